"""Sentences and numbers of the report."""

from __future__ import annotations

import pytest

from labelmend.html import text as words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (-0.01, "0.0"),
        (0.04, "0.0"),
        (1.26, "+1.3"),
        (-1234.56, "−1,234.6"),
        (None, "–"),
        (10.0, "+10.0"),
    ],
)
def test_signed_numbers(value: float | None, text: str) -> None:
    assert words.signed(value) == text


def test_listings_and_counts_read_as_english() -> None:
    assert [words.listing(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == [
        "a",
        "a and b",
        "a, b and c",
    ]
    assert [words.count(n, "case") for n in (0, 1, 1200)] == ["0 cases", "1 case", "1,200 cases"]
