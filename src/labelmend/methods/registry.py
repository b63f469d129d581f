"""Methods by file name: `methods/my_idea.py` with one Method class is `--method my_idea`; no list to keep."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from labelmend import methods
from labelmend.errors import ConfigError
from labelmend.methods.base import Method

_NOT_METHODS = {"base", "given_outlines", "registry"}

PUBLISHED = "labelmend.methods.published"
"""Programs as released: methods like the others, in a folder of their own."""


class _Registry(Mapping[str, type[Method]]):
    """Names are known from the files; a file is imported when its method is asked for."""

    def __getitem__(self, name: str) -> type[Method]:
        if name not in set(self):
            raise KeyError(name)
        module = importlib.import_module(_homes()[name])
        found = [
            item
            for item in vars(module).values()
            if isinstance(item, type) and issubclass(item, Method) and item.__module__ == module.__name__
        ]
        if len(found) != 1:
            raise ConfigError(f"methods/{name}.py must define exactly one Method, found {len(found)}")
        return found[0]

    def __iter__(self) -> Iterator[str]:
        return iter(_homes())

    def __len__(self) -> int:
        return len(_homes())


def _homes() -> dict[str, str]:
    """Per name the module that defines the method."""
    published = Path(methods.__file__ or "").parent / "published"
    return {
        found.name: f"{package}.{found.name}"
        for package, path in (("labelmend.methods", methods.__path__), (PUBLISHED, [str(published)]))
        for found in pkgutil.iter_modules(path)
        if not found.ispkg and found.name not in _NOT_METHODS
    }


METHODS: Mapping[str, type[Method]] = _Registry()


def method_name(method: Method) -> str:
    """The name under which a method is registered: that of its file."""
    return type(method).__module__.rpartition(".")[2]
