"""Fixtures shared by all tests: real data where it is at hand, one thread, a clean generator."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import drawn_data
from drawing import box, picture, volume

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def jsrt() -> Path:
    """The JSRT radiographs, or a skip that says how to provide them."""
    for base in (os.environ.get("LABELMEND_DATA"), ROOT.parent / "shared" / "data"):
        if base and (Path(base) / "jsrt" / "train").is_dir():
            return Path(base) / "jsrt"
    pytest.skip("real data absent: set LABELMEND_DATA to the folder that holds jsrt/")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20230501)


@pytest.fixture
def no_nnunet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of nnU-Net are not set."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Overlapping classes, 32 x 32 PNG."""
    return drawn_data.overlapping(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def integer_maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exclusive classes with a value to ignore, 32 x 32 PNG."""
    return drawn_data.exclusive(tmp_path_factory.mktemp("integer_maps"))


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exclusive classes, 16 x 20 x 12 NIfTI of 0.8 x 0.8 x 2.5 mm."""
    return drawn_data.volumes(tmp_path_factory.mktemp("scans"))


def bias(name: str, mean: float | None, low: float | None, high: float | None, **more: Any) -> dict[str, Any]:
    row = {
        "class": name,
        "mean_mm": mean,
        "low_mm": low,
        "high_mm": high,
        "n_cases": 3,
        "moved": True,
        "why": "",
    }
    return row | more


def case_row(case: str, k: int, **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"case": case, "version": 1, "reason": f"why {case}", "added_vox": [0] * k}
    return row | {"removed_vox": [0] * k, "displacement_mm": [-1.0] * k, "confidence": 0.9} | more


def write_summary(run: Path, data: Path, classes: list[str], **more: Any) -> dict[str, Any]:
    """Write summary.json; every entry can be replaced."""
    raw: Mapping[str, Any] = {
        "labelmend_version": "0.1.0",
        "method": "spatial_correction",
        "parameters": {"confidence": 0.95},
        "paper": "Somebody et al., 2023.",
        "classes": classes,
        "overlapping": True,
        "unit": "mm",
        "images": str(data / "images"),
        "given": str(data / "given"),
        "corrected": "labels",
        "reference": str(data / "clean"),
        "spacing_mm": None,
        "label_values": None,
        "ignore": None,
        "clean_cases": ["t1", "t2", "t3"],
        "rounds": [{"round": 1, "loss": 0.5, "bias": [bias(classes[0], -2.0, -2.5, -1.5)], "n_revised": 2}],
        "cases": [case_row("a", len(classes)), case_row("b", len(classes))],
    }
    summary = {**raw, **more}
    run.mkdir(parents=True, exist_ok=True)
    (run / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return summary


@pytest.fixture
def flat_run(tmp_path: Path) -> Path:
    """Two cases of 12 x 16 with overlapping classes "heart" and "lung".

    clean lung 4 x 4, given 6 x 6 around it, corrected: clean in case "a", one column too many in case "b".
    clean heart overlaps the lung; given and corrected hearts equal it in both cases.
    """
    data, run, shape = tmp_path / "data", tmp_path / "run", (12, 16)
    clean, given = box(shape, (4, 8), (4, 8)), box(shape, (3, 9), (3, 9))
    corrected = {"a": clean, "b": box(shape, (4, 8), (4, 9))}
    heart = box(shape, (6, 10), (6, 12))
    for case in ("a", "b"):
        ramp = np.arange(shape[0] * shape[1], dtype=np.uint8).reshape(shape)
        picture(data / "images" / f"{case}.png", ramp)
        for folder, lung in (
            (data / "given", given),
            (data / "clean", clean),
            (run / "labels", corrected[case]),
        ):
            picture(folder / "lung" / f"{case}.png", lung)
            picture(folder / "heart" / f"{case}.png", heart)
    write_summary(run, data, ["heart", "lung"], spacing_mm=[2.0, 2.0])
    return run


@pytest.fixture
def volume_run(tmp_path: Path) -> Path:
    """One 3-D case of 8 x 10 x 5, 1 x 1 x 4 mm, exclusive classes 1 "core" and 2 "rim", without reference.

    The corrected rim lacks six voxels in slice 3 and one in slice 1.
    """
    data, run, shape = tmp_path / "data", tmp_path / "run", (8, 10, 5)
    given = np.zeros(shape, np.uint8)
    given[2:6, 2:6, 1:4] = 1
    given[6, 2:8, 1:4] = 2
    corrected = given.copy()
    corrected[6, 2:8, 3] = 0
    corrected[6, 2, 1] = 0
    image = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    volume(data / "images" / "v.nii.gz", image)
    volume(data / "given" / "v.nii.gz", given)
    volume(run / "labels" / "v.nii.gz", corrected)
    write_summary(
        run,
        data,
        ["core", "rim"],
        overlapping=False,
        label_values={"core": 1, "rim": 2},
        reference=None,
        cases=[case_row("v", 2, displacement_mm=[0.0, None])],
    )
    return run


@pytest.fixture
def summary_of() -> Callable[[Path, Path, list[str], list[str]], None]:
    """Writes RUN/summary.json for cases in DATA."""

    def write(run: Path, data: Path, classes: list[str], cases: list[str]) -> None:
        write_summary(run, data, classes, cases=[case_row(case, len(classes)) for case in cases])

    return write
