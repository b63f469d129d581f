"""Saved probabilities that know nothing of the cases change no label, drawn by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawing import picture
from drawn_correct import CASES, SHAPE, disc, likely, saved, softmax
from drawn_data import contents
from labelmend.methods.adele import Adele
from labelmend.methods.confident import Confident
from labelmend.workflows.correction.correct import correct


def spread(root: Path, says: str) -> Path:
    """One disc a case, each at another place, part of it missing; probabilities that know it, or not."""
    at = [(12, 12), (12, 34), (34, 12), (34, 34), (23, 23), (12, 23)]
    true = [disc(7, centre) for centre in at]
    rng = np.random.default_rng(0)
    known = {
        "each its own": [likely(mask, 0.4) for mask in true],
        "constant": [np.full(SHAPE, 0.99, np.float32)] * 6,
        "random": [rng.random(SHAPE).astype(np.float32) for _ in true],
        "of other cases": [likely(mask, 0.4) for mask in (*true[1:], true[0])],
        "mean shape": [likely(disc(18, (23, 23)), 0.4)] * 6,
    }
    for case, mask, (row, _), probs in zip(CASES, true, at, known[says], strict=True):
        picture(root / "labels" / f"{case}.png", (mask & (np.indices(SHAPE)[0] < row + 4)) * 1)
        saved(root / "probs", case, softmax(probs))
    return root


@pytest.mark.parametrize("says", ["constant", "random", "of other cases", "mean shape"])
@pytest.mark.parametrize("method", [Adele(), Confident(replace=True)], ids=["adele", "confident"])
def test_probabilities_that_know_nothing_of_the_cases_change_no_label(tmp_path, method, says) -> None:
    root = spread(tmp_path, says)
    done = correct(
        root / "labels", probabilities=root / "probs", method=method, classes={"disc": 1}, out=root / "out"
    )
    assert done.n_corrected == 0
    assert contents(done.labels) == contents(root / "labels")
    (warning,) = [text for text in done.warnings if "Nothing shows" in text]
    assert "know disc (agreement 0.00 above chance on 6 cases; 0.05 needed)" in warning


def test_probabilities_that_know_the_cases_change_them_and_min_learned_0_asks_nothing(tmp_path) -> None:
    for says, least in (("each its own", 0.05), ("of other cases", 0.0)):
        root = spread(tmp_path / says, says)
        settings: dict[str, Any] = {"probabilities": root / "probs", "classes": {"disc": 1}}
        done = correct(root / "labels", method=Adele(), out=root / "out", min_learned=least, **settings)
        assert done.n_corrected == 6
        assert not [text for text in done.warnings if "Nothing shows" in text]
