"""The parser of all verbs: flags from signatures, short help first, config files, one-sentence errors."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NoReturn

import jsonargparse
from jsonargparse import ActionConfigFile, Namespace  # type: ignore[attr-defined]  # not typed as public

from labelmend.cli.choice import Choice
from labelmend.cli.parameters import Parameter, Source, add_flag, add_flags
from labelmend.errors import LabelmendError
from labelmend.io.files.reading import checked_yaml, read_yaml

COMMON = """for every verb:
  --config FILE         read settings from a YAML file; flags after it win
  --print-config        print all settings as YAML and exit
  --quiet, -q           print nothing but errors
  --verbose, -v         log every step, and show where an error arose
  --json                print one JSON object instead of text
  --dry-run             check all inputs and settings, and write nothing
  --help-all            show every setting"""


class VerbParser(jsonargparse.ArgumentParser):
    """jsonargparse's parser with flags made from signatures, and one choice of a dataclass per key.

    Args:
        verb: name of the verb.
        description: one or two sentences on what it does.
        essential: flags, beside inputs and required ones, that `--help` shows; `--help-all` shows all.

    >>> def greet(name: str, *, times: int = 1, loud: bool = False) -> None:
    ...     '''Greet.
    ...
    ...     Args:
    ...         times: how often.
    ...         loud: in capitals.
    ...     '''
    >>> parser = VerbParser("greet", "Greet somebody.")
    >>> parser.add_input("name", "whom")
    >>> parser.add_settings(greet, skip=["name"])
    >>> parser.parse_args(["Ada", "--times", "2", "--loud"]).as_dict()
    {'config': None, 'name': 'Ada', 'times': 2, 'loud': True}
    """

    def __init__(self, verb: str, description: str, essential: Collection[str] = ()) -> None:
        super().__init__(
            prog=f"labelmend {verb}", description=description, formatter_class=_Help, allow_abbrev=False,
            add_help=False, print_config="--print-config",
        )  # fmt: skip
        self._name = self.prog
        self._essential = set(essential)
        self._choices: list[Choice] = []
        self._bound: dict[str, str | None] = {}
        self._configs: list[str] = []
        self._whole = False
        self._positionals.title, self._optionals.title = "inputs", "settings"
        for flags, whole in ((("--help", "-h"), False), (("--help-all",), True)):
            self.add_argument(*flags, action=_ShowHelp, whole=whole, help=argparse.SUPPRESS)
        self.add_argument("--config", action=_ConfigFile, help=argparse.SUPPRESS)
        self._option_string_actions["--print-config"].help = argparse.SUPPRESS

    def add_input(self, name: str, help: str, *, optional: bool = False) -> None:
        """Add a positional argument."""
        if optional:
            self.add_argument(name, type=str | None, nargs="?", default=None, help=help, metavar=name.upper())
        else:
            self.add_argument(name, type=str, help=help, metavar=name.upper())

    def add_flag(self, name: str, annotation: Any, default: Any, help: str) -> None:
        """Add one flag that is no parameter of a function."""
        add_flag(self, name, Parameter(name, annotation, default, help))

    def add_settings(
        self, source: Source, skip: Collection[str] = (), *, required: Collection[str] = ()
    ) -> None:
        """Add a flag for each parameter of a function, or field of a dataclass; some that must be given."""
        add_flags(self, source, skip=skip, required=required)

    def add_choice(self, key: str, registry: Mapping[str, type], *, default: str | None, help: str) -> None:
        """Add `--key NAME` and, once the name is known, `--key.field` for each field of `registry[NAME]`."""
        self._choices.append(Choice(key, registry, default, help))

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Namespace | None = None, **kwargs: Any
    ) -> Namespace:
        """Parse as jsonargparse does; bad arguments and config files end in one sentence and exit code 2."""
        arguments = list(sys.argv[1:] if args is None else args)
        try:
            for choice in self._choices:
                self._bind(choice, self._checked(choice, choice.name_in(arguments)))
            return super().parse_args(arguments, namespace, **kwargs)
        except LabelmendError as error:
            self.error(str(error))
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, OSError) as error:
            self.error(f"a setting cannot be read ({error})")

    def dump(self, cfg: Namespace, *args: Any, **kwargs: Any) -> str:
        """The settings as YAML, readable with `--config`; works on a parser that has not parsed anything."""
        for choice in self._choices:
            value = cfg.get(choice.key)
            self._bind(choice, value.get("name") if value is not None else None)
        return super().dump(cfg, *args, **kwargs)

    def read_config(self, config: str) -> dict[str, Any]:
        """Settings of a config file, with each choice written as `key: {name: NAME}`.

        Raises:
            DataError: no settings can be read.
        """
        settings = settings_of(config)
        if settings is None:
            raise LabelmendError(f"--config {config} does not exist")
        self._configs.append(config)
        for choice in self._choices:
            settings = choice.named(settings, self._bound[choice.key])
        return dict(settings)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print one sentence that names the config files and exit with 2."""
        from labelmend.cli.console import inert

        files = [name for name in self._configs if os.path.exists(name)]
        where = f" (settings come from the command line and from {', '.join(files)})" if files else ""
        sentence = " ".join(f"{self._plain(message)}{where}".split())
        print(inert(f"{self._name}: {sentence}; see {self._name} --help"), file=sys.stderr)
        sys.exit(2)

    def format_help(self, formatter: argparse.HelpFormatter | None = None) -> str:
        """The inputs and the essential settings; all of them after `--help-all`."""
        hidden = [] if self._whole else [a for a in self._actions if not self._is_essential(a)]
        texts = [action.help for action in hidden]
        for action in hidden:
            action.help = argparse.SUPPRESS
        self.usage = self._usage()
        text = super().format_help(formatter)
        for action, kept in zip(hidden, texts, strict=True):
            action.help = kept
        n_more = sum(kept != argparse.SUPPRESS for kept in texts)
        more = f"{n_more} more settings: {self._name} --help-all\n\n" if n_more else ""
        return f"{text}\n{more}{COMMON}\n"

    def flags(self) -> list[str]:
        """All flags of the verb, as completion offers them."""
        for choice in self._choices:
            self._bind(choice, self._bound.get(choice.key, choice.default))
        flags = {_flag(action) for action in self._actions if action.option_strings}
        flags |= {flag for action in self._actions for flag in action.option_strings[1:]}
        return sorted(flag for flag in flags if flag.startswith("--"))

    def _checked(self, choice: Choice, name: str | None) -> str | None:
        if name is not None and name not in choice.registry:
            self.error(
                f"no {choice.key} called {name!r}: choose from {choice.names}{_meant(name, choice.registry)}"
            )
        return name

    def _bind(self, choice: Choice, name: str | None) -> None:
        """Add the flags of the chosen dataclass, once."""
        if choice.key in self._bound:
            if self._bound[choice.key] != name:
                raise RuntimeError(
                    f"this parser has settled on {choice.key} {self._bound[choice.key]!r}; build a new one"
                )
            return
        self._bound[choice.key] = name
        action = self.add_argument(
            f"--{choice.key}.name", type=str | None, default=name, metavar="NAME",
            help=f"{choice.help}: {choice.names}",
        )  # fmt: skip
        self._option_string_actions[f"--{choice.key}"] = action
        action.shown = f"--{choice.key}"  # as an option string it would hide the key of the fields
        if name is not None:
            group = self.add_argument_group(f"settings of {choice.key} {name}")
            add_flags(group, choice.registry[name], prefix=f"{choice.key}.")

    def _is_essential(self, action: argparse.Action) -> bool:
        named = action.dest in self._essential or action.dest in {f"{c.key}.name" for c in self._choices}
        return named or not action.option_strings or getattr(action, "must_be_given", False)

    def _usage(self) -> str:
        """`labelmend audit LABELS --probabilities PROBABILITIES --out OUT [settings]`."""
        inputs = [
            f"[{a.metavar}]" if a.nargs == "?" else str(a.metavar)
            for a in self._actions
            if not a.option_strings
        ]
        required = [
            f"{a.option_strings[0]} {a.metavar or a.dest.upper()}"
            for a in self._actions
            if getattr(a, "must_be_given", False)
        ]
        return " ".join([self._name, *inputs, *required, "[settings]"])

    def _plain(self, message: str) -> str:
        """jsonargparse's complaint about a setting, in a researcher's words."""
        if lost := re.match(r"[Uu]nrecognized arguments: (\S+)|Option '([^']+)' is not accepted", message):
            return self._unknown(lost[1] or f"--{lost[2]}")
        if absent := re.match(r"(?:argument )?(?:.*)arguments are required: (.+)", message):
            dests = absent[1].split(", ")
            return f"give {' and '.join(self._shown(dest) for dest in dests)}"
        if wrong := re.match(r'Parser key "([^"]+)":', message):
            value = re.search(r"(?:Got value|Given value): (.*)", message, re.DOTALL)
            if value:
                return f"{self._shown(wrong[1])} takes {self._expected(wrong[1])}, got {value[1]}"
        if wrong := re.match(r"argument (\S+): (.*)", message, re.DOTALL):
            return f"{wrong[1]}: {wrong[2]}"
        return message

    def _unknown(self, word: str) -> str:
        flag = word.partition("=")[0]
        if not flag.startswith("-"):
            return f"there is one input too many: {word}"
        for choice in self._choices:
            if flag.startswith(f"--{choice.key}.") and self._bound.get(choice.key) is None:
                return f"{flag} was given without --{choice.key} NAME: choose from {choice.names}"
        return f"there is no setting {flag}{_meant(flag.replace('_', '-'), self.flags())}"

    def _shown(self, dest: str) -> str:
        action = next((a for a in self._actions if a.dest == dest), None)
        if action is None:
            return f"--{dest}"
        return _flag(action) if action.option_strings else str(action.metavar or dest.upper())

    def _expected(self, dest: str) -> str:
        action = next((a for a in self._actions if a.dest == dest), None)
        kind = str(getattr(action, "_typehint", None) or getattr(action, "type", ""))
        if choices := re.search(r"Literal\[([^]]+)\]", kind):
            return "one of " + ", ".join(word.strip(" '\"") for word in choices[1].split(","))
        if "float" in kind:
            return "a number"
        return "a whole number" if "int" in kind else "another kind of value"


class _ConfigFile(ActionConfigFile):
    """`--config FILE`: read with the checks of every other file, choices in either of their forms."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        self.apply_config(parser, cfg, self.dest, json.dumps(parser.read_config(values), default=str))


class _ShowHelp(argparse.Action):
    """`--help` and `--help-all`."""

    def __init__(self, *, whole: bool, **given: Any) -> None:
        super().__init__(**(given | {"nargs": 0, "default": argparse.SUPPRESS, "dest": argparse.SUPPRESS}))
        self._whole = whole

    def __call__(self, parser: Any, *given: Any) -> NoReturn:
        parser._whole = self._whole
        sys.stdout.write(parser.format_help())
        sys.exit(0)


class _Help(argparse.HelpFormatter):
    """Help with defaults where they say something."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=100)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if isinstance(action, jsonargparse.ActionYesNo):
            yes = action.option_strings[0]
            return yes if action.default is False else f"--[no-]{yes[2:]}"
        text = super()._format_action_invocation(action)
        return text.replace(action.option_strings[0], _flag(action), 1) if action.option_strings else text

    def _get_help_string(self, action: argparse.Action) -> str:
        text = (action.help or "").replace("%", "%%").replace("`", "").rstrip(".")
        value = action.default
        if not action.option_strings or value in (None, False, argparse.SUPPRESS) or value == "":
            return text
        if isinstance(value, bool):
            return f"{text} (default: on)"
        shown = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        return f"{text} (default: {shown.replace('%', '%%') or 'none'})"


def _flag(action: argparse.Action) -> str:
    """A flag as people write it: the name of a choice as `--noise`."""
    return getattr(action, "shown", action.option_strings[0])


def settings_of(config: str) -> Mapping[str, Any] | None:
    """Settings of a config file, or of YAML in its place; None where the name of a file that does not exist.

    Raises:
        DataError: no settings can be read.
    """
    if os.path.lexists(config):
        return read_yaml(config)
    return checked_yaml(config, "--config") if ":" in config else None


def _meant(word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
