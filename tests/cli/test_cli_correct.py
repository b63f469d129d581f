"""`labelmend correct` as a person types it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from drawing import volume
from drawn_correct import NAMES, generous, raw, swapped
from labelmend.cli import main
from labelmend.io import read_manifest


def line(root: Path, labels: Path, *more: str) -> list[str]:
    out = ["--out", str(root / "out")]
    return ["correct", str(labels), "--probabilities", str(root / "probs"), *out, *more]


def test_a_raw_data_set_tells_the_next_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = raw(tmp_path)
    assert main(line(tmp_path, home, "--clean", str(tmp_path / "clean"), "--dataset=Dataset041_Mended")) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        "disc         replaced by the prediction: on trusted cases given outlines lie 2.70 px too far out, "
        "predicted ones 0.00 px off",
        "4 of 6 cases corrected, 2 trusted",
        f"corrected labels  {tmp_path / 'out' / 'Dataset041_Mended'}",
        f"next              nnUNet_raw={tmp_path / 'out'} nnUNetv2_plan_and_preprocess -d 41 "
        "--verify_dataset_integrity",
    ]


def test_settings_of_the_method_are_flags_and_notes_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = swapped(tmp_path)
    names = f"{{{', '.join(f'{name}: {value}' for name, value in NAMES.items())}}}"
    flags = ["--method", "confident", "--no-method.replace", "--classes", names]
    assert main(line(root, root / "labels", *flags)) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("nut          pixels given otherwise are flagged")
    assert out[2].startswith("note: ")
    assert out[3] == "1 of 6 cases corrected"
    rows = read_manifest(root / "out" / "manifest.jsonl")
    assert rows[0].parameters == {"replace": False, "backend": "own"}


def test_settings_come_from_a_file_too(tmp_path: Path) -> None:
    root = generous(tmp_path)
    (tmp_path / "run.yaml").write_text("method: {name: adele, tau: 0.9}\nclasses: {disc: 1}\n")
    assert main(line(root, root / "labels", "--config", str(tmp_path / "run.yaml"))) == 0
    assert read_manifest(root / "out" / "manifest.jsonl")[0].parameters["tau"] == 0.9


def test_a_method_that_needs_training_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = generous(tmp_path)
    assert main(line(root, root / "labels", "--method", "plain")) == 2
    error = capsys.readouterr().err
    assert error == (
        "labelmend correct: method plain works while a network is trained, so it cannot correct labels from "
        "probabilities alone: choose one of adele, confident, spatial_correction, official_adele, "
        "official_spatial_correction, or run labelmend train\n"
    )
    assert not (root / "out").exists()


def test_trusted_cases_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = generous(tmp_path)
    assert main(line(root, root / "labels")) == 2
    assert "SpatialCorrection needs trusted cases: give --clean" in capsys.readouterr().err


def test_the_order_of_axes_that_messages_name_is_a_flag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("labels", "probs"):
        (tmp_path / folder).mkdir()
    mask = np.zeros((6, 6, 6), np.uint8)
    mask[1:3, 2:4, 3:6] = 1
    for case in "ab":
        volume(tmp_path / "labels" / f"{case}.nii", mask, np.eye(4))
        inside = np.where(mask, 0.9, 0.1).astype(np.float32).T
        np.save(tmp_path / "probs" / f"{case}.npy", np.stack([1 - inside, inside]))
    flags = ["--method", "adele", "--classes", "{organ: 1}"]
    assert main(line(tmp_path, tmp_path / "labels", *flags)) == 0
    assert "use --order sitk" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "out")
    assert main(line(tmp_path, tmp_path / "labels", *flags, "--order", "sitk")) == 0
    assert "0 of 2 cases corrected" in (out := capsys.readouterr().out)
    assert "--order" not in out
    out = ["--out", str(tmp_path / "audit"), "--no-page", "--classes", "{organ: 1}"]
    audit = ["audit", str(tmp_path / "labels"), "--probabilities", str(tmp_path / "probs"), *out]
    assert main(audit) == 0
    assert "look reversed" in capsys.readouterr().out
    assert main([*audit, "--order=sitk", "--overwrite"]) == 0
    assert "look reversed" not in capsys.readouterr().out
