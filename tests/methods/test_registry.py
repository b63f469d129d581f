import sys

import pytest

from labelmend import methods
from labelmend.errors import ConfigError
from labelmend.methods.base import Method
from labelmend.methods.registry import METHODS, method_name

ONE = """
from dataclasses import dataclass
from labelmend.methods.base import Method

@dataclass(frozen=True)
class MyIdea(Method):
    strength: float = 0.5
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder whose files count as files of methods/."""
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_the_methods_are_the_files_but_for_the_protocol_and_the_list_itself():
    assert {"plain", "spatial_correction"} <= set(METHODS)
    assert not {"base", "registry"} & set(METHODS)
    assert len(METHODS) == len(list(METHODS))


def test_a_file_with_one_method_is_found_by_its_name(folder):
    (folder / "my_idea.py").write_text(ONE)
    assert "my_idea" in METHODS
    assert issubclass(METHODS["my_idea"], Method)
    assert method_name(METHODS["my_idea"](strength=0.25)) == "my_idea"


@pytest.mark.parametrize(("text", "count"), [("", 0), (ONE + ONE.replace("MyIdea", "Other"), 2)])
def test_a_file_must_hold_exactly_one_method(folder, text, count):
    (folder / f"odd{count}.py").write_text(text)
    with pytest.raises(ConfigError, match=f"exactly one Method, found {count}"):
        METHODS[f"odd{count}"]


def test_listing_the_names_imports_no_method(folder):
    (folder / "broken.py").write_text("raise RuntimeError('imported')")
    assert "broken" in set(METHODS)


def test_an_unknown_name_is_a_key_error():
    with pytest.raises(KeyError, match="no_such_method"):
        METHODS["no_such_method"]
    assert "no_such_method" not in METHODS
