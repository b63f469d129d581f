"""The verb on drawn pictures, and an audit that starts from images and masks alone."""

import json

import numpy as np

import drawn_data
from labelmend.cli import main

QUICK = [
    "--folds", "2", "--train.epochs", "1", "--train.batch-size", "2", "--train.threads", "1",
    f"--train.network.args={json.dumps(drawn_data.TINY.args)}",
]  # fmt: skip


def test_crossfit_prints_its_folds_and_where_the_probabilities_are(tmp_path, capsys):
    drawn_data.overlapping(tmp_path)
    out = tmp_path / "CF"
    command = ["crossfit", str(tmp_path / "given"), "--images", str(tmp_path / "images"), "--out", str(out)]
    assert main([*command, *QUICK, "--fold", "0"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Folds not finished: 1." in shown
    assert main([*command, *QUICK]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Dice with given labels" in shown
    assert "not finished" not in shown
    assert len(list((out / "probabilities").iterdir())) == len(drawn_data.CASES)


def test_an_audit_from_images_and_masks_alone_trains_once(tmp_path, capsys):
    drawn_data.overlapping(tmp_path)
    out = tmp_path / "AUDIT"
    command = ["audit", str(tmp_path / "given"), "--images", str(tmp_path / "images"), "--out", str(out)]
    assert main([*command, *QUICK]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Each case was predicted by one of 2 networks, trained here" in shown
    assert (out / "report.html").exists()
    weights = out / "crossfit/fold_0/model.safetensors"
    trained = weights.stat().st_mtime_ns
    assert main([*command, *QUICK]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*command, *QUICK, "--overwrite"]) == 0
    assert weights.stat().st_mtime_ns == trained
    assert np.load(out / "crossfit/probabilities/c0.npz")["probs"].shape == (2, 32, 32)


def test_an_audit_without_images_and_probabilities_says_what_to_give(tmp_path, capsys):
    drawn_data.overlapping(tmp_path)
    assert main(["audit", str(tmp_path / "given"), "--out", str(tmp_path / "AUDIT")]) == 2
    assert "give --images with the images" in capsys.readouterr().err
    assert not (tmp_path / "AUDIT").exists()
