"""`labelmend pseudo-masks` as a person runs it."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import numpy as np
import pytest

from drawing import picture
from labelmend.cli import main
from labelmend.cli.console import Console
from labelmend.cli.pseudo_masks import parser, show
from labelmend.workflows.image_tags.make_masks import pseudo_masks

NOT_A_FLAG = {"backbone", "progress"}
INPUTS = ["IMAGES", "TAGS", "--out", "OUT"]
QUICK = ["--resize", "16", "--epochs", "1", "--device", "cpu", "--threads", "1"]


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    """Twelve images; every second one has a bright corner and is tagged."""
    monkeypatch.setenv("COLUMNS", "100")
    rng, lines = np.random.default_rng(0), ["image,corner,age"]
    for i in range(12):
        image = rng.random((16, 16)) / 2
        image[:6, :6] += 0.5 * (i % 2)
        picture(tmp_path / f"images/c{i}.png", image)
        lines.append(f"c{i}.png,{i % 2},{40 + i}")
    (tmp_path / "tags.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def arguments(data: Path, *more: str) -> list[str]:
    return [
        "pseudo-masks",
        str(data / "images"),
        str(data / "tags.csv"),
        "--out",
        str(data / "out"),
        *QUICK,
        *more,
    ]


def test_masks_warnings_report_and_the_next_command_are_told(data, capsys):
    assert main(arguments(data, "--classes", "corner")) == 0
    printed, err = capsys.readouterr()
    assert err == ""
    assert printed.startswith("12 images: ")
    out = data / "out"
    for words in (
        "corner", "Use these masks with caution:", "Too few held-out images", "Unused columns or tags: age",
        f"masks   {out / 'labels'}", f"report  {out / 'report.html'}",
        f"labelmend train DATA --labels {out / 'labels'} --method adele --out RUN",
    ):  # fmt: skip
        assert words in printed
    assert "</html>" in (out / "report.html").read_text(encoding="utf-8")
    assert len(list((out / "labels").glob("*.png"))) == 12


def test_every_setting_of_the_function_is_a_flag_with_the_same_default():
    signature = inspect.signature(pseudo_masks).parameters
    parsed = parser().parse_args(INPUTS).as_dict()
    assert set(parsed) - {"config"} == set(signature) - NOT_A_FLAG
    for name in set(parsed) - {"config", "images", "tags", "out"}:
        assert parsed[name] == signature[name].default, name


def test_flags_may_name_several_layers_and_sizes():
    parsed = parser().parse_args([*INPUTS, "--layers", "stage3,stage4", "--resize", "64,96"])
    assert (parsed.layers, parsed.resize) == (["stage3", "stage4"], [64, 96])
    assert parser().parse_args([*INPUTS, "--resize", "null"]).resize is None


def test_settings_may_come_from_a_file(data):
    (data / "s.yaml").write_text("mode: none\nlayers: [stage4]\nclasses: [corner]\n")
    assert main(arguments(data, "--config", str(data / "s.yaml"))) == 0
    assert '"mode": "none"' in (data / "out/summary.json").read_text()


def test_bad_input_is_one_sentence(data, capsys):
    assert main(arguments(data)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("labelmend pseudo-masks: ")
    assert err.count("\n") == 1
    assert "line 2, column 'age' holds '40'" in err
    assert "--classes" in err


def test_the_extra_for_refining_is_named_before_anything_is_read(data, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "skimage"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    assert (
        main([*arguments(data, "--refine", "grow")[:2], "no.csv", *arguments(data, "--refine", "grow")[3:]])
        == 2
    )
    assert "pip install 'labelmend[tags]'" in capsys.readouterr().err


def test_numbers_of_held_out_images_are_shown_where_they_are_known(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    known = {"name": "lung", "n_tagged": 7, "seeded": 0.2, "unsure": 0.3, "accuracy": 0.91, "commoner": 0.52}
    classes = [{**known, "on_background": 0.07}, {**known, "name": "heart", "on_background": None}]
    shares = {"n_cases": 9, "background": 0.5, "unsure": 0.2}
    show({**shares, "classes": classes, "warnings": [], "notes": []}, Console())
    printed = capsys.readouterr().out
    assert "9 images: 30 % of the pixels are marked as a class, 50 % as background, 20 % are" in printed
    assert "91 %" in printed
    assert "7.0 %" in printed
    assert "with caution" not in printed
