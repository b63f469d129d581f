"""Completion scripts know every verb and its flags, and bash takes them."""

import shutil
import subprocess

import pytest

from labelmend.cli import VERBS, main


def script(shell: str, capsys) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_verb_is_in_the_script_with_flags(shell, capsys):
    text = script(shell, capsys)
    assert all(verb in text for verb in VERBS)
    for flag in ("spacing-mm", "probabilities", "no-page", "method"):
        assert flag in text


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
@pytest.mark.parametrize(
    ("words", "offered"),
    [(["au"], ["audit"]), (["audit", "--prob"], ["--probabilities"]), (["predict", "--dev"], ["--device"])],
)
def test_bash_completes_verbs_and_flags(words, offered, capsys):
    line = " ".join(["labelmend", *words])
    ask = f"COMP_WORDS=({line}); COMP_CWORD={len(words)}; _labelmend labelmend {words[-1]}"
    ask += "; echo ${COMPREPLY[@]}"
    done = subprocess.run(
        ["bash", "-c", f"{script('bash', capsys)}\n{ask}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == offered


def test_an_unknown_shell_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["completion", "csh"])
    assert "SHELL takes one of bash, zsh, fish, got csh" in capsys.readouterr().err
