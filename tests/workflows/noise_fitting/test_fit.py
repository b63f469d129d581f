"""Folders in, estimates and fit.json out; what does not fit together is named."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest

import drawing
from drawing import picture, volume
from drawn_data import contents, half_files
from labelmend.errors import ConfigError, GeometryError, MissingDataError, OutputError
from labelmend.noise import markov_noise
from labelmend.workflows.noise_fitting.fit import fit_noise, fit_rater_noise, rater_names

CASES = ("a", "b", "c", "d", "e", "f")


def disc(radius: float, size: int = 48) -> np.ndarray:
    return drawing.disc((size, size), (size / 2, size / 2), radius)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """given: two discs that wandered outward; clean."""
    rng = np.random.default_rng(0)
    for index, case in enumerate(CASES):
        for name, radius in (("heart", 10), ("lung", 13)):
            clean = disc(radius + index / 3)
            picture(tmp_path / "clean" / name / f"{case}.png", clean)
            noisy = markov_noise(clean, rng, steps=20, expand=0.8, flip=0.1)
            picture(tmp_path / "given" / name / f"{case}.png", noisy)
    return tmp_path / "given", tmp_path / "clean"


QUICK = {"flip": 0.1, "flips": (), "n_boot": 50}


def test_every_class_is_fitted_and_written(folders: tuple[Path, Path], tmp_path: Path) -> None:
    before, seen, points = contents(tmp_path), [], []
    found = fit_noise(
        *folders, out=tmp_path / "out", spacing_mm=0.5, **QUICK,
        progress=lambda tick: (seen if tick.stage == "measuring" else points).append(tick),
    )  # fmt: skip
    assert [c.name for c in found.classes] == ["heart", "lung"]
    assert [(tick.text, tick.total) for tick in seen] == [(case, 6) for case in CASES]
    assert {tick.stage for tick in points} == {"simulating heart", "simulating lung"}
    for c in found.classes:
        assert 0.3 < c.summary["bias_mm"].value < 1.2  # about 1.6 pixels of half a millimetre
        assert c.summary["bias_mm"].low > 0
        assert c.fit.noise.expand > 0.5
    written = json.loads((tmp_path / "out" / "fit.json").read_text())
    assert written["unit"] == "mm"
    row = written["classes"][1]
    assert row["class"] == "lung"
    assert row["fit"]["steps"]["value"] == found.classes[1].fit.steps.value
    assert sum(row["histogram"]["given"]) == pytest.approx(1)
    assert sum(row["histogram"]["simulated"]) == pytest.approx(1)
    assert len(row["given"]) == len(row["simulated"]) == 6
    after = contents(tmp_path)
    assert {path: after[path] for path in before} == before
    assert half_files(tmp_path) == []


def test_a_second_fit_may_replace_the_first_but_nothing_else(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "fit.json").write_text("{}")
    found = fit_noise(*folders, out=tmp_path / "old", **QUICK)
    assert json.loads((tmp_path / "old" / "fit.json").read_text())["kind"] == found.as_dict()["kind"]
    (tmp_path / "old" / "notes.txt").write_text("mine")
    for out, words in (
        (tmp_path / "old", "already holds notes.txt"),
        (tmp_path / "old" / "notes.txt", "is a file"),
        (folders[0] / "fit", "is inside the input folder"),
    ):
        with pytest.raises(OutputError, match=words):
            fit_noise(*folders, out=out, **QUICK)


def test_a_case_without_clean_labels_is_named(folders: tuple[Path, Path]) -> None:
    for name in ("heart", "lung"):
        picture(folders[0] / name / "extra.png", disc(9))
    with pytest.raises(MissingDataError, match=r"1 of 7 cases .*: extra"):
        fit_noise(*folders, **QUICK)


def test_masks_of_other_shapes_are_named(folders: tuple[Path, Path]) -> None:
    for name in ("heart", "lung"):
        picture(folders[0] / name / "b.png", disc(9, size=40))
    with pytest.raises(GeometryError, match=r"case b: .*shape, \(40, 40\) and \(48, 48\)"):
        fit_noise(*folders, **QUICK)


def test_a_class_that_is_empty_throughout_is_named(folders: tuple[Path, Path]) -> None:
    for case in CASES:
        picture(folders[0] / "heart" / f"{case}.png", np.zeros((48, 48), bool))
    with pytest.raises(MissingDataError, match="class 'heart' has no case with a boundary"):
        fit_noise(*folders, **QUICK)


def test_ignored_pixels_are_no_errors(tmp_path: Path) -> None:
    for case in "ab":
        clean = disc(10).astype(np.uint8)
        given = clean.copy()
        given[:18] = 9
        picture(tmp_path / "clean" / f"{case}.png", clean)
        picture(tmp_path / "given" / f"{case}.png", given)
    found = fit_noise(
        tmp_path / "given", tmp_path / "clean", classes={"disc": 1}, ignore=9, flips=(), n_boot=10
    )
    assert found.classes[0].summary["bias_mm"].value == 0
    assert found.classes[0].fit.noise.steps == 0


@pytest.fixture
def annotators(tmp_path: Path) -> list[Path]:
    """Three annotators of six cases: one draws a pixel larger, and the last has not seen case f."""
    for shift, name in enumerate(("small", "large", "wide")):
        for index, case in enumerate(CASES):
            if (name, case) != ("wide", "f"):
                mask = np.zeros((20, 40), bool)
                mask[:, : 10 + index + 2 * shift] = True
                picture(tmp_path / name / "half" / f"{case}.png", mask)
    return [tmp_path / name for name in ("small", "large", "wide")]


def test_annotators_are_compared_on_the_cases_they_share(annotators: list[Path], tmp_path: Path) -> None:
    found = fit_rater_noise(annotators, out=tmp_path / "out", spacing_mm=0.5, n_boot=50)
    fit = found.classes["half"]
    assert fit.raters == ("small", "large", "wide")
    assert fit.n_cases == (6, 6, 5)
    assert [i.value for i in fit.bias_mm] == pytest.approx([-1, 0, 1])
    assert [i.value for i in fit.roughness_mm] == [0, 0, 0]
    written = json.loads((tmp_path / "out" / "fit.json").read_text())
    assert (written["kind"], written["n_cases"]) == ("raters", 6)
    assert written["classes"][0]["bias_mm"][2]["value"] == pytest.approx(1)


def test_annotators_who_cannot_be_compared_are_refused(annotators: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected two or more"):
        fit_rater_noise(annotators[:1])
    with pytest.raises(ConfigError, match="expected two or more"):
        fit_rater_noise([annotators[0], annotators[0]])
    picture(tmp_path / "other" / "half" / "z.png", disc(5))
    with pytest.raises(MissingDataError, match="no case is in two of the folders"):
        fit_rater_noise([annotators[0], tmp_path / "other"])
    picture(tmp_path / "named" / "whole" / "a.png", disc(5))
    with pytest.raises(ConfigError, match=r"has classes whole, .*small has half"):
        fit_rater_noise([annotators[0], tmp_path / "named"])
    picture(tmp_path / "tiny" / "half" / "a.png", disc(3, size=8))
    with pytest.raises(GeometryError, match=r"case a: .*shape"):
        fit_rater_noise([annotators[0], tmp_path / "tiny"])


def test_folders_of_one_name_are_told_by_their_path() -> None:
    assert rater_names([Path("x/labels"), Path("y/labels")]) == ("x/labels", "y/labels")


def test_cases_without_clean_labels_may_be_left_out_by_name(folders: tuple[Path, Path]) -> None:
    given, clean = folders
    (clean / "heart" / "c.png").unlink()
    (clean / "lung" / "c.png").unlink()
    found = fit_noise(given, clean, cases=[case for case in CASES if case != "c"], **QUICK)
    assert found.classes[0].cases == ("a", "b", "d", "e", "f")
    assert found.notes == ("Only 5 selected cases were compared.",)


def test_a_pixdim_beside_its_affine_is_told_to_all_who_fit(tmp_path: Path) -> None:
    for name, radius in (("one", 10), ("two", 12)):
        mask = disc(radius)[..., None].repeat(2, axis=2).astype(np.uint8)
        (tmp_path / name).mkdir()
        volume(tmp_path / name / "a.nii.gz", mask, np.eye(4))
        header = bytearray((data := gzip.decompress((tmp_path / name / "a.nii.gz").read_bytes()))[:348])
        header[80:84] = struct.pack("<f", 3.0)
        (tmp_path / name / "a.nii.gz").write_bytes(gzip.compress(bytes(header) + data[348:]))
    both = (tmp_path / "one", tmp_path / "two")
    for notes in (fit_noise(*both, **QUICK).notes, fit_rater_noise(both, n_boot=0).notes):
        assert len(notes) == 1
        assert "In 2 files" in notes[0]
        assert "pixdim gives a voxel size of 3, 1, 1 mm" in notes[0].replace(" x ", ", ")
