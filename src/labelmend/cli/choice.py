"""Choose a registered dataclass by name and set its fields as flags: `--noise markov --noise.steps 180`.

In a config file the same choice reads

    noise:
      name: markov
      steps: 180

or, with the defaults of its fields, `noise: markov`.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from jsonargparse import Namespace

from labelmend.cli.parser import ArgumentParser, settings_of
from labelmend.errors import LabelmendError


@dataclasses.dataclass(frozen=True)
class Choice:
    """One key whose value is a registered dataclass.

    Args:
        key: the flag without dashes; its fields become `--key.field`.
        registry: dataclass by name; only the chosen one is looked up, so a registry may import lazily.
        default: name taken when none is given; None leaves the key without value.
        help: one sentence on what is chosen.
    """

    key: str
    registry: Mapping[str, type]
    default: str | None
    help: str

    @property
    def names(self) -> str:
        return ", ".join(sorted(self.registry))


class ChoiceParser(ArgumentParser):
    """A jsonargparse parser with `--config FILE` and arguments whose fields depend on a name.

    The name is looked up first, on the command line and in the config files, the later one winning. The
    fields of the chosen dataclass are then ordinary typed arguments, known to help, `--config` and the rest.
    One parser serves one choice per key: build another to parse another.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Walk:
    ...     steps: int = 3
    >>> parser = ChoiceParser()
    >>> parser.add_choice("noise", {"walk": Walk}, default="walk", help="the noise to draw")
    >>> chosen(parser.parse_args(["--noise", "walk", "--noise.steps", "5"]).noise, {"walk": Walk})
    Walk(steps=5)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._choices: list[Choice] = []
        self._bound: dict[str, str | None] = {}

    def add_choice(
        self, key: str, registry: Mapping[str, type], *, default: str | None = None, help: str
    ) -> None:
        """Add `--key NAME` and, once the name is known, `--key.field` for each field of `registry[NAME]`.

        The first call also adds `--config FILE`.
        """
        if not self._choices:
            self.add_argument(
                "--config", action="config", help="YAML file with settings; later flags win over it"
            )
        self._choices.append(Choice(key, registry, default, help))

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Namespace | None = None, **kwargs: Any
    ) -> Namespace:
        """Parse as jsonargparse does, after the names of the choices have been found."""
        arguments = list(sys.argv[1:] if args is None else args)
        for choice in self._choices:
            name = self._name_on(arguments, choice)
            arguments = [_rewrite(a, choice, name) for a in _joined(arguments, choice.key)]
            self._bind(choice, name)
            if name is None:
                self._refuse_fields(arguments, choice)
        return super().parse_args(arguments, namespace, **kwargs)

    def dump(self, cfg: Namespace, *args: Any, **kwargs: Any) -> str:
        """The settings as YAML, readable with `--config`; works on a parser that has not parsed anything."""
        for choice in self._choices:
            value = cfg.get(choice.key)
            self._bind(choice, value.get("name") if value is not None else None)
        return super().dump(cfg, *args, **kwargs)

    def _name_on(self, arguments: Sequence[str], choice: Choice) -> str | None:
        """The chosen name: the last one on the command line or in a config file, else the default."""
        name = choice.default
        for flag, value in _flag_values(arguments):
            if flag in (f"--{choice.key}", f"--{choice.key}.name"):
                name = None if value in ("null", "None") else value
            elif flag == "--config":
                name = _name_in(_load(value), choice, name)
        if name is not None and name not in choice.registry:
            near = difflib.get_close_matches(str(name), list(choice.registry), n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            self.error(f"no {choice.key} called {name!r}: choose from {choice.names}{meant}")
        return name

    def _bind(self, choice: Choice, name: str | None) -> None:
        """Add the arguments of the chosen dataclass, once."""
        if choice.key in self._bound:
            if self._bound[choice.key] != name:
                raise RuntimeError(
                    f"this parser has settled on {choice.key} {self._bound[choice.key]!r}; build a new one"
                )
            return
        self._bound[choice.key] = name
        group = self.add_argument_group(f"{choice.key} {name}" if name else choice.key)
        more = f"{choice.help}; `--{choice.key} NAME` for short: {choice.names}"
        group.add_argument(f"--{choice.key}.name", type=str | None, default=name, help=more)
        if name is not None:
            group.add_class_arguments(choice.registry[name], choice.key, as_group=False)

    def _refuse_fields(self, arguments: Sequence[str], choice: Choice) -> None:
        for flag, _ in _flag_values(arguments):
            if flag.startswith(f"--{choice.key}.") and flag != f"--{choice.key}.name":
                self.error(f"{flag} was given without --{choice.key} NAME: choose from {choice.names}")


def chosen(value: Namespace | Mapping[str, Any] | None, registry: Mapping[str, type]) -> Any:
    """The dataclass that a parsed choice stands for, or None where nothing was chosen.

    Args:
        value: `arguments.<key>` as `ChoiceParser.parse_args` returns it.
        registry: the mapping given to `add_choice`.

    Raises:
        ConfigError: raised by the dataclass itself on values that it cannot use.
    """
    if value is None:
        return None
    fields = value.as_dict() if isinstance(value, Namespace) else dict(value)
    name = fields.pop("name", None)
    return None if name is None else registry[name](**fields)


def _flag_values(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """(flag, value) of every `--flag value` and `--flag=value`; the value is "" at the end of the line."""
    pairs = []
    for position, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument.startswith("--"):
            flag, equals, value = argument.partition("=")
            following = arguments[position + 1] if position + 1 < len(arguments) else ""
            pairs.append((flag, value if equals else following))
    return pairs


def _joined(arguments: Sequence[str], key: str) -> list[str]:
    """The arguments with `--key X` and `--config X` written as one word, `--key=X`."""
    joined: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        following = next(waiting, None) if argument in (f"--{key}", "--config") else None
        joined.append(argument if following is None else f"{argument}={following}")
    return joined


def _rewrite(argument: str, choice: Choice, name: str | None) -> str:
    """`--key=X` as `--key.name=X`; a config that chose another name without the fields of that other one."""
    flag, _, value = argument.partition("=")
    if flag == f"--{choice.key}":
        return f"--{choice.key}.name={value}"
    if flag != "--config":
        return argument
    settings = _load(value)
    named = _name_in(settings, choice, name)
    if named == name and isinstance(settings.get(choice.key, {}), Mapping):
        return argument
    return f"--config={json.dumps({**settings, choice.key: {'name': named}}, default=str)}"


def _name_in(settings: Mapping[str, Any], choice: Choice, otherwise: str | None) -> str | None:
    """The name that a config file gives to a choice: `key: NAME` or `key: {name: NAME}`."""
    value = settings.get(choice.key, {"name": otherwise})
    return value.get("name", otherwise) if isinstance(value, Mapping) else value


def _load(config: str) -> dict[str, Any]:
    """Settings of a config file or of YAML in its place; nothing if unreadable: the parser will tell."""
    try:
        return dict(settings_of(config) or {})
    except LabelmendError:
        return {}
