"""One of several runs that share the cases of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from labelmend.errors import ConfigError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """One of several runs that share the cases of a folder, on one machine or many with a common disk.

    >>> Shard.parse("2/4")
    Shard(number=2, count=4)
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """A shard from "i/n", 1 <= i <= n."""
        number, slash, count = text.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise ConfigError(f"a shard is written i/n with 1 <= i <= n, as in 2/4, got {text!r}")
        return cls(int(number), int(count))

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Its share: every n-th item, so that neighbours go to different shards.

        >>> Shard(2, 3).of("abcdefg")
        'be'
        """
        return items[self.number - 1 :: self.count]

    def named(self, name: str) -> str:
        """The name of a file that each shard writes for itself; where there is one shard only, as it is.

        >>> Shard(2, 4).named("manifest.jsonl"), Shard().named("manifest.jsonl")
        ('manifest-2-of-4.jsonl', 'manifest.jsonl')
        """
        stem, dot, suffix = name.rpartition(".")
        return name if self.count == 1 else f"{stem}-{self.number}-of-{self.count}{dot}{suffix}"
