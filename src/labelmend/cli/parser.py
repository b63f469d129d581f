"""The parser of all verbs: config files are read as every other file is, and errors are one sentence."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import jsonargparse

from labelmend.errors import LabelmendError
from labelmend.io.files.reading import checked_yaml, read_yaml


class ArgumentParser(jsonargparse.ArgumentParser):
    """jsonargparse's parser; whatever arguments and config files hold ends in settings or exit code 2."""

    _configs: tuple[str, ...] = ()

    def parse_args(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        namespace: jsonargparse.Namespace | None = None,
        **kwargs: Any,
    ) -> jsonargparse.Namespace:
        """Parse as jsonargparse does, after each config file was read once and found to hold settings."""
        arguments = list(sys.argv[1:] if args is None else args)
        try:
            for config in configs(arguments):
                if settings_of(config) is not None:
                    self._configs = (*self._configs, config)
            return super().parse_args(arguments, namespace, **kwargs)
        except LabelmendError as error:
            self.error(str(error))
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, OSError) as error:
            self.error(f"a setting cannot be read ({error})")

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print one sentence that names the config files and exit with 2."""
        from labelmend.cli.screen import inert

        files = [name for name in self._configs if os.path.exists(name)]
        where = f" (settings come from the command line and from {', '.join(files)})" if files else ""
        sentence = " ".join(f"{message}{where}".split())
        print(
            inert(f"{self.prog}: error: {sentence}; {self.prog} --help tells what there is"), file=sys.stderr
        )
        sys.exit(2)


def configs(arguments: Sequence[str]) -> Iterator[str]:
    """The values of all `--config FILE` and `--config=FILE`."""
    for position, argument in enumerate(arguments):
        if argument == "--":
            return
        flag, equals, value = argument.partition("=")
        if flag == "--config" and (equals or position + 1 < len(arguments)):
            yield value if equals else arguments[position + 1]


def settings_of(config: str) -> Mapping[str, Any] | None:
    """Settings of a config file, or of YAML in its place; None where the name of a file that is not there.

    Raises:
        DataError: no settings can be read.
    """
    if os.path.lexists(config):
        return read_yaml(config)
    return checked_yaml(config, "--config") if ":" in config else None
