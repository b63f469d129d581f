import pytest

from labelmend.errors import ConfigError, UnreadableFileError
from labelmend.io.files import limits


def test_a_header_may_declare_half_of_the_free_memory(monkeypatch):
    monkeypatch.delenv(limits.MAX_GIB, raising=False)
    monkeypatch.setattr(limits, "free_memory_bytes", lambda: 2000)
    limits.check_declared(1000, "a.png", "1000 pixels of uint8")
    with pytest.raises(UnreadableFileError, match=r"a\.png declares 1001 pixels .*LABELMEND_MAX_GIB"):
        limits.check_declared(1001, "a.png", "1001 pixels of uint8")


def test_the_setting_replaces_the_limit(monkeypatch):
    monkeypatch.setattr(limits, "free_memory_bytes", lambda: 0)
    monkeypatch.setenv(limits.MAX_GIB, "0.5")
    assert limits.limit_bytes() == 2**29


@pytest.mark.parametrize("setting", ["much", "-1", "nan", "inf", "0"])
def test_a_setting_that_is_no_size_is_refused(monkeypatch, setting):
    monkeypatch.setenv(limits.MAX_GIB, setting)
    with pytest.raises(ConfigError, match="expected a positive number of GiB"):
        limits.limit_bytes()


def test_free_memory_is_a_size_of_this_machine():
    assert 2**20 < limits.free_memory_bytes() < 2**50
