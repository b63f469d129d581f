"""The examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from types import ModuleType

import pytest

import labelmend


def modules_with_examples() -> list[ModuleType]:
    names = [module.name for module in pkgutil.walk_packages(labelmend.__path__, "labelmend.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    return [
        module for module in modules if any(test.examples for test in doctest.DocTestFinder().find(module))
    ]


@pytest.mark.parametrize("module", modules_with_examples(), ids=lambda module: module.__name__)
def test_the_examples_of_a_module_are_right(module, capsys):
    assert doctest.testmod(module).failed == 0, capsys.readouterr().out


def test_there_are_examples():
    assert len(modules_with_examples()) > 15


def test_a_wrong_example_is_seen():
    def wrong():
        """
        >>> 1 + 1
        3
        """

    runner = doctest.DocTestRunner(verbose=False)
    for test in doctest.DocTestFinder().find(wrong, "wrong"):
        runner.run(test, out=lambda text: None)
    assert runner.summarize(verbose=False).failed == 1
