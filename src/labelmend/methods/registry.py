"""Methods by file name: `methods/my_idea.py` with one Method class is `--method my_idea`; no list to keep."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping

from labelmend import methods
from labelmend.errors import ConfigError
from labelmend.methods.base import Method

_NOT_METHODS = {"base", "registry"}
"""Nor is a file whose name begins with an underscore: a part of a method that is too long for its own."""


class _Registry(Mapping[str, type[Method]]):
    """Names are known from the files; a file is imported when its method is asked for."""

    def __getitem__(self, name: str) -> type[Method]:
        if name not in set(self):
            raise KeyError(name)
        module = importlib.import_module(f"labelmend.methods.{name}")
        found = [
            item
            for item in vars(module).values()
            if isinstance(item, type) and issubclass(item, Method) and item.__module__ == module.__name__
        ]
        if len(found) != 1:
            raise ConfigError(f"methods/{name}.py must define exactly one Method, found {len(found)}")
        return found[0]

    def __iter__(self) -> Iterator[str]:
        names = (module.name for module in pkgutil.iter_modules(methods.__path__))
        return (name for name in names if name not in _NOT_METHODS and not name.startswith("_"))

    def __len__(self) -> int:
        return len(list(iter(self)))


METHODS: Mapping[str, type[Method]] = _Registry()


def method_name(method: Method) -> str:
    """The name under which a method is registered: that of its file."""
    return type(method).__module__.rpartition(".")[2]
