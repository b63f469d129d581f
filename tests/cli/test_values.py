"""Values with commas, as YAML, and as config files hold them."""

import pytest

from labelmend.cli.values import class_values, names, names_or_file, numbers
from labelmend.errors import ConfigError


@pytest.mark.parametrize("given", ["lung=1, heart=2", "{lung: 1, heart: 2}", {"lung": 1, "heart": 2}])
def test_class_values_are_names_with_numbers(given):
    assert class_values(given) == {"lung": 1, "heart": 2}


def test_a_class_name_may_hold_an_equals_sign():
    assert class_values("a=b=3") == {"a=b": 3}


@pytest.mark.parametrize("given", ["lung", "lung=one", "=1", "lung=1,", "{lung: x}", "{lung: true}", "{lung"])
def test_other_class_values_are_refused(given):
    with pytest.raises(ConfigError, match="expected"):
        class_values(given)


@pytest.mark.parametrize("given", ["a,b", "a, b", "[a, b]", ["a", "b"], ("a", "b")])
def test_names_are_separated_by_commas(given):
    assert names(given) == ["a", "b"]


def test_names_that_look_like_numbers_stay_text():
    assert names("[1, 2]") == ["1", "2"]


def test_a_file_that_exists_is_taken_as_one(tmp_path):
    (tmp_path / "a,b").write_text("c1\n")
    assert names_or_file(str(tmp_path / "a,b")) == str(tmp_path / "a,b")
    assert names_or_file("a,b") == ["a", "b"]
    assert names_or_file("[a]") == ["a"]
    assert names_or_file("nowhere") == "nowhere"


@pytest.mark.parametrize(
    ("given", "kind", "single", "value"),
    [
        ("1.4", float, True, 1.4),
        ("1.4,0.7", float, True, [1.4, 0.7]),
        ("[1.4, 0.7]", float, True, [1.4, 0.7]),
        ("[1.4]", float, True, [1.4]),
        ([2.0], float, True, [2.0]),
        (3, float, True, 3.0),
        ("128", int, True, 128),
        ("128,96", int, True, [128, 96]),
        ("0.5", float, False, [0.5]),
        ("[]", float, False, []),
        ("", float, False, []),
    ],
)
def test_numbers_are_read_one_or_several(given, kind, single, value):
    assert numbers(kind, single=single)(given) == value


@pytest.mark.parametrize(
    ("given", "kind"), [("1.5", int), ("x", float), ("1,x", int), (True, int), ("[a]", int)]
)
def test_what_is_no_number_is_refused(given, kind):
    with pytest.raises(ConfigError, match="expected a number"):
        numbers(kind, single=True)(given)
