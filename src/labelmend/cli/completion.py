"""`source <(labelmend completion bash)`: complete verbs and flags in bash, zsh and fish."""

from __future__ import annotations

import shlex
from typing import Any, Literal

from jsonargparse import Namespace

from labelmend.cli import VERBS, cli_module
from labelmend.cli.console import Console
from labelmend.cli.parser import VerbParser

BASH = """_labelmend() {{
    local flags=""
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{verbs}" -- "$2"))
    elif [[ "$2" == -* ]]; then
        COMPREPLY=($(compgen -W "$flags" -- "$2"))
    else
        COMPREPLY=($(compgen -f -- "$2"))
    fi
}}
complete -o filenames -F _labelmend labelmend"""


def parser() -> VerbParser:
    """The settings of the verb."""
    made = VerbParser("completion", "Print a script that completes verbs and flags in your shell.")
    made.add_argument("shell", type=Literal["bash", "zsh", "fish"], metavar="SHELL", help="bash, zsh or fish")
    return made


def run(arguments: Namespace, console: Console) -> dict[str, Any]:
    """Print the script."""
    flags = {verb: cli_module(verb).parser().flags() for verb in VERBS}
    script = {"bash": bash, "zsh": zsh, "fish": fish}[arguments.shell](flags)
    console.say(script)
    return {"script": script}


def bash(flags: dict[str, list[str]]) -> str:
    """The script for bash."""
    cases = "\n".join(f'        {verb}) flags="{" ".join(words)}" ;;' for verb, words in flags.items())
    return BASH.format(cases=cases, verbs=" ".join(flags))


def zsh(flags: dict[str, list[str]]) -> str:
    """The script for zsh, which can run that for bash."""
    return f"autoload -U +X bashcompinit && bashcompinit\n{bash(flags)}"


def fish(flags: dict[str, list[str]]) -> str:
    """The script for fish."""
    lines = [
        f"complete -c labelmend -n __fish_use_subcommand -f -a {verb} -d {shlex.quote(what)}"
        for verb, what in VERBS.items()
    ]
    for verb, words in flags.items():
        lines += [
            f"complete -c labelmend -n '__fish_seen_subcommand_from {verb}' -l {word[2:]}" for word in words
        ]
    return "\n".join(lines)
