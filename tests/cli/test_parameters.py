"""Flags that come from a signature: spelling, types, defaults, help, and the way back to keywords."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from labelmend.cli.parameters import parameters, settings
from labelmend.cli.parser import VerbParser


@dataclass(frozen=True)
class Turn:
    """A turn.

    Args:
        angle_deg: how far.
        axes: about which.
    """

    angle_deg: float = 90.0
    axes: tuple[int, ...] = (0,)


def job(
    source: str | Path,
    *,
    out: str | Path,
    classes: Mapping[str, int] | None = None,
    cases: str | Path | Sequence[str] | None = None,
    layers: Sequence[str] | None = None,
    spacing_mm: Sequence[float] | float | None = None,
    mode: Literal["fast", "slow"] = "fast",
    flip_axes: bool = False,
    page: bool = True,
    n_boot: int = 5,
    turn: Turn = Turn(),
    progress: Callable[[str], None] | None = None,
) -> None:
    """Do it.

    Args:
        source: what is read.
        out: where to write.
        classes: names and values.
        n_boot: how many
            draws.
    """


SKIP = ("source", "progress")


def parser() -> VerbParser:
    made = VerbParser("job", "Do it.", essential=("mode",))
    made.add_input("source", "what is read")
    made.add_settings(job, SKIP)
    return made


def parsed(*more: str) -> dict[str, object]:
    return settings(parser().parse_args(["S", "--out", "O", *more]), job, SKIP)


def test_defaults_are_those_of_the_signature():
    assert parsed() == {
        "out": "O", "classes": None, "cases": None, "layers": None, "spacing_mm": None, "mode": "fast",
        "flip_axes": False, "page": True, "n_boot": 5, "turn": Turn(),
    }  # fmt: skip


def test_help_is_that_of_the_docstring_on_one_line():
    assert {p.name: p.help for p in parameters(job, SKIP)}["n_boot"] == "how many draws."


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--classes", "lung=1,heart=2"], "classes", {"lung": 1, "heart": 2}),
        (["--cases", "a,b"], "cases", ["a", "b"]),
        (["--layers", "stage3,stage4"], "layers", ["stage3", "stage4"]),
        (["--spacing-mm", "1.4"], "spacing_mm", 1.4),
        (["--spacing-mm", "1.4,0.7"], "spacing_mm", [1.4, 0.7]),
        (["--spacing_mm", "1.4"], "spacing_mm", 1.4),
        (["--spacing-mm", "null"], "spacing_mm", None),
        (["--mode", "slow"], "mode", "slow"),
        (["--flip-axes"], "flip_axes", True),
        (["--flip_axes"], "flip_axes", True),
        (["--no-page"], "page", False),
        (["--page", "--no-page", "--page"], "page", True),
        (["--n-boot", "7"], "n_boot", 7),
        (["--turn.angle-deg", "45"], "turn", Turn(45.0)),
        (["--turn.axes", "1,2"], "turn", Turn(axes=(1, 2))),
    ],
)
def test_a_flag_becomes_its_keyword(words, name, value):
    assert parsed(*words)[name] == value


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["S"], "give --out"),
        (["--out", "O"], "give SOURCE"),
        (["S", "--out", "O", "--mode", "quick"], "--mode takes one of fast, slow, got quick"),
        (["S", "--out", "O", "--n-boot", "many"], "--n-boot takes a whole number, got many"),
        (["S", "--out", "O", "--turn.angle-deg", "x"], "--turn.angle-deg takes a number, got x"),
        (["S", "--out", "O", "--spacing-mm", "x"], "--spacing-mm: expected a number"),
        (["S", "--out", "O", "--n_bot", "3"], "there is no setting --n_bot; did you mean --n-boot?"),
        (["S", "--out", "O", "--flip-axis"], "there is no setting --flip-axis; did you mean --flip-axes?"),
        (["S", "T", "--out", "O"], "there is one input too many: T"),
        (["S", "--out"], "--out: expected one argument"),
    ],
)
def test_a_mistake_is_one_sentence_with_a_remedy(words, sentence, capsys):
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(words)
    assert capsys.readouterr().err.startswith(f"labelmend job: {sentence}")


def test_short_help_shows_inputs_what_must_be_given_and_the_essential(capsys):
    with pytest.raises(SystemExit, match="0"):
        parser().parse_args(["--help"])
    short = capsys.readouterr().out
    assert "usage: labelmend job SOURCE --out PATH [settings]" in short
    assert "--mode" in short
    assert "--n-boot" not in short
    assert "9 more settings: labelmend job --help-all" in short
    with pytest.raises(SystemExit, match="0"):
        parser().parse_args(["--help-all"])
    whole = capsys.readouterr().out
    assert "--n-boot N" in whole
    assert "(default: 5)" in whole
    assert "--[no-]page" in whole
