"""One of several runs that share cases: which cases it takes, and how it is written."""

from __future__ import annotations

import pytest

from labelmend.errors import ConfigError
from labelmend.runtime.shard import Shard


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_the_shards_take_each_case_once(count):
    taken = [Shard(number, count).of("abcde") for number in range(1, count + 1)]
    assert sorted("".join(taken)) == list("abcde")
    assert max(map(len, taken)) - min(map(len, taken)) <= 1


def test_a_shard_is_read_as_it_is_written():
    assert Shard.parse("2/4") == Shard(2, 4)
    assert Shard.parse("1/1") == Shard()


@pytest.mark.parametrize("text", ["3/2", "0/2", "2", "", "a/b", "1/0", "-1/2", "1/2/3", "1.0/2", " 1/2"])
def test_a_shard_that_does_not_exist_is_refused(text):
    with pytest.raises(ConfigError, match=r"written i/n with 1 <= i <= n, as in 2/4, got"):
        Shard.parse(text)


def test_every_shard_has_a_file_of_its_own():
    names = {Shard(number, count).named("a-b.jsonl") for count in (1, 2, 3) for number in range(1, count + 1)}
    assert names == {
        "a-b.jsonl", "a-b-1-of-2.jsonl", "a-b-2-of-2.jsonl",
        "a-b-1-of-3.jsonl", "a-b-2-of-3.jsonl", "a-b-3-of-3.jsonl",
    }  # fmt: skip
