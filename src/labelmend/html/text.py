"""What the report says in words and numbers, apart from where it says it."""

from __future__ import annotations

import math
from collections.abc import Sequence

MINUS = "\u2212"


def number(value: float | None, digits: int = 2) -> str:
    """A number with a true minus sign; a dash where it is not known.

    >>> number(-1.25, 1), number(None)
    ('−1.2', '–')
    """
    if value is None:
        return "–"
    text = f"{value:,.{digits}f}"
    return text.replace("-", MINUS) if float(text.replace(",", "")) else text.replace("-", "")


def signed(value: float | None, digits: int = 1) -> str:
    """A number with its sign: +1.2, −1.2, 0.0."""
    text = number(value, digits)
    return f"+{text}" if value is not None and value > 0 and text.strip("0.") else text


def listing(names: Sequence[str]) -> str:
    """Names in a sentence.

    >>> listing(["lung", "heart", "clavicle"])
    'lung, heart and clavicle'
    """
    return " and ".join([*([", ".join(names[:-1])] if len(names) > 1 else []), *names[-1:]])


def count(n: int, one: str, many: str = "") -> str:
    """A number of things: "1 case", "2 cases", "1,200 cases"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def percent(value: float | None) -> str:
    """A share in whole percent, with one decimal below 10 %.

    >>> [percent(value) for value in (0.273, 0.0312, 1.0, 0.0, None)]
    ['27 %', '3.1 %', '100 %', '0 %', '–']
    """
    return "–" if value is None else f"{_percents(value)} %"


def span(low: float | None, high: float | None) -> str:
    """The ends of an interval of shares; empty where there is none.

    >>> span(0.221, 0.314), span(None, None)
    ('22 to 31 %', '')
    """
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return ""
    return f"{_percents(low)} to {_percents(high)} %"


def _percents(value: float) -> str:
    shown = round(100 * value, 1)
    return f"{shown:.0f}" if shown >= 9.95 or shown == 0 else f"{shown:.1f}"
