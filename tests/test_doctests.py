"""The examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import labelmend

MODULES = [
    module.name
    for module in pkgutil.walk_packages(labelmend.__path__, "labelmend.")
    if not module.name.endswith("__main__")  # importing it runs the command
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_right(name, capsys):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0, capsys.readouterr().out


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(found) > 15


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
