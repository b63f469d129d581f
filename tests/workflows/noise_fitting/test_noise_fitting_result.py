"""What a fit of noise shows of itself: a row for each class, or for each class and annotator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drawn_findings import disc, picture
from labelmend.workflows.noise_fitting.fit import fit_noise, fit_rater_noise


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Given discs two pixels wider than the clean ones."""
    for case in ("a", "b", "c"):
        shift = "abc".index(case)
        for folder, radius in (("given", 12), ("clean", 10)):
            picture(tmp_path / folder / f"{case}.png", disc((40, 40), (20 + shift, 20), radius) * 1)
    return tmp_path / "given", tmp_path / "clean"


def test_a_class_has_its_numbers_with_the_ends_of_their_intervals(folders):
    fit = fit_noise(*folders, classes={"disc": 1}, n_boot=20)
    (row,) = fit.rows()
    assert (row["class"], row["n_cases"]) == ("disc", 3)
    value = fit.classes[0].summary["bias_mm"]
    assert (row["bias_mm"], row["bias_mm_low"], row["bias_mm_high"]) == (value.value, value.low, value.high)
    assert row["flags"].startswith("--noise")
    assert repr(fit).splitlines()[0] == "Noise of 1 classes, with 95% intervals; lengths in px"


def test_annotators_have_a_row_each(folders):
    fit = fit_rater_noise(folders, classes={"disc": 1}, n_boot=20)
    rows = fit.rows()
    assert [(row["class"], row["rater"], row["n_cases"]) for row in rows] == [
        ("disc", "given", 3),
        ("disc", "clean", 3),
    ]
    np.testing.assert_allclose(rows[0]["bias_mm"], -rows[1]["bias_mm"])
    assert fit.headline() == "2 annotators of 3 cases; lengths in px"
