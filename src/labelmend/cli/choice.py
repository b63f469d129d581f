"""Choose a registered dataclass by name and set its fields as flags: `--noise markov --noise.steps 180`.

In a config file the same choice reads

    noise:
      name: markov
      steps: 180

or, with the defaults of its fields, `noise: markov`.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from jsonargparse import Namespace

from labelmend.errors import LabelmendError


@dataclasses.dataclass(frozen=True)
class Choice:
    """One key whose value is a registered dataclass.

    Args:
        key: the flag without dashes; the fields of the dataclass become `--key.field`.
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

    def name_in(self, arguments: Sequence[str]) -> str | None:
        """The last name given on the command line or in a config file, else the default."""
        finder = argparse.ArgumentParser(
            add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS
        )
        given = {"dest": "given", "action": "append"}
        finder.add_argument(f"--{self.key}", f"--{self.key}.name", type=str, **given)  # type: ignore[arg-type]
        finder.add_argument("--config", type=_Config, **given)  # type: ignore[arg-type]
        try:
            found = getattr(finder.parse_known_args(arguments)[0], "given", [])
        except SystemExit:
            return self.default  # a flag without its value, which the parser itself will name
        name = self.default
        for value in found:
            name = self.name_of(value.settings(), name) if isinstance(value, _Config) else value
        return None if name in ("null", "None") else name

    def name_of(self, settings: Mapping[str, Any], otherwise: str | None) -> str | None:
        """The name that settings give: `key: NAME` or `key: {name: NAME}`."""
        value = settings.get(self.key, {"name": otherwise})
        return value.get("name", otherwise) if isinstance(value, Mapping) else value

    def named(self, settings: Mapping[str, Any], chosen: str | None) -> dict[str, Any]:
        """Settings with `key: {name: NAME, ...}`, without the fields of a name that was not chosen."""
        if self.key not in settings:
            return dict(settings)
        value, name = settings[self.key], self.name_of(settings, chosen)
        keep = isinstance(value, Mapping) and name == chosen
        return {**settings, self.key: {**(value if keep else {}), "name": name}}


class _Config(str):
    """The value of `--config`."""

    def settings(self) -> Mapping[str, Any]:
        """What it holds; nothing where it cannot be read, which the parser itself will say."""
        from labelmend.cli.parser import settings_of

        try:
            return settings_of(self) or {}
        except LabelmendError:
            return {}


def chosen(value: Namespace | Mapping[str, Any] | None, registry: Mapping[str, type]) -> Any:
    """The dataclass that a parsed choice stands for, or None where nothing was chosen.

    Args:
        value: `arguments.<key>` as the parser returns it.
        registry: the mapping given to `add_choice`.

    Raises:
        ConfigError: raised by the dataclass itself on values that it cannot use.
    """
    if value is None:
        return None
    fields = value.as_dict() if isinstance(value, Namespace) else dict(value)
    name = fields.pop("name", None)
    return None if name is None else registry[name](**fields)
