"""`labelmend simulate` from the command line: what it prints, what it writes, how it fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drawing import disc, picture, volume
from labelmend.cli import main
from labelmend.io import read_manifest


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    for k, name in enumerate(("heart", "lung")):
        for case in ("p1", "p2"):
            picture(tmp_path / "clean" / name / f"{case}.png", disc((40, 48), (20, 20 + 4 * k), 10))
    return tmp_path / "clean"


def parameters(out: Path, name: str = "lung") -> dict[str, object]:
    settings = dict(read_manifest(out / "manifest.jsonl")[0].parameters["classes"][name])
    settings.pop("seed")
    return settings


FLAGS = ["--noise.steps", "18", "--noise.expand", "0.7", "--noise.flip", "0.1", "--noise.speckle", "0.2"]


def test_a_preset(clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", str(clean), "--out", str(tmp_path / "out"), "--preset", "J1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert f"{tmp_path / 'out'}: mean Dice to the clean masks: heart 0." in lines[0]
    assert parameters(tmp_path / "out")["steps"] == 180


def test_raters_are_told_with_their_style(
    clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--preset", "J1", "--raters", "2", "--jobs", "2", "--severity", "easy"]
    assert main(["simulate", str(clean), "--out", str(tmp_path / "out"), *words]) == 0
    first, *raters = capsys.readouterr().out.splitlines()
    assert "mean Dice to the clean masks: heart 0." in first
    assert [line.split(":")[0] for line in raters] == ["rater_1", "rater_2"]
    assert all("strength" in line and "bias" in line and "lung 0." in line for line in raters)
    assert (tmp_path / "out" / "rater_2" / "lung" / "p1.png").exists()


def test_a_composed_noise_from_a_config_file(clean: Path, tmp_path: Path) -> None:
    config = tmp_path / "noise.yaml"
    config.write_text(
        "noise:\n  name: compose\n  probability: [1.0, 0.0]\n"
        "  parts:\n  - {name: markov, steps: 3}\n  - missing\n"
    )
    assert main(["simulate", str(clean), "--out", str(tmp_path / "out"), "--config", str(config)]) == 0
    first, second = read_manifest(tmp_path / "out" / "manifest.jsonl")[0].parameters["parts"]
    assert first["classes"]["lung"]["steps"] == 3
    assert second is None


def test_a_noise_with_fields_as_flags(clean: Path, tmp_path: Path) -> None:
    words = ["simulate", str(clean), "--out", str(tmp_path / "out"), "--noise", "markov", *FLAGS]
    assert main([*words, "--noise.smooth", "--seed", "3"]) == 0
    expected = {"steps": 18, "expand": 0.7, "flip": 0.1, "speckle": 0.2, "smooth": True}
    assert parameters(tmp_path / "out") == expected
    assert read_manifest(tmp_path / "out" / "manifest.jsonl")[0].seed == 3


def test_a_printed_config_draws_the_same_masks(
    clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(clean), "--out", str(tmp_path / "a"), "--noise", "markov", *FLAGS, "--seed", "4"]
    with pytest.raises(SystemExit, match="0"):
        main(["simulate", *words, "--print-config"])
    config = tmp_path / "config.yaml"
    config.write_text(capsys.readouterr().out.replace(str(tmp_path / "a"), str(tmp_path / "b")))
    assert main(["simulate", *words]) == 0
    assert main(["simulate", "--config", str(config)]) == 0
    for name in ("heart/p1.png", "lung/p2.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_classes_and_ignore_name_the_values_of_integer_maps(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    array = np.zeros((30, 30), np.uint8)
    array[5:15, 5:15], array[18:25, 18:25], array[:, 28:] = 1, 2, 255
    Image.fromarray(array).save(tmp_path / "maps" / "p1.png")
    words = ["simulate", str(tmp_path / "maps"), "--out", str(tmp_path / "out"), "--noise", "markov", *FLAGS]
    assert main([*words, "--classes", "{a: 1, b: 2}", "--ignore", "255"]) == 0
    assert parameters(tmp_path / "out", "b")["steps"] == 18
    noisy = np.asarray(Image.open(tmp_path / "out" / "p1.png"))
    assert np.array_equal(noisy == 255, array == 255)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no noise was chosen"),
        (["--preset", "J9"], "no preset called 'J9': choose from J1, J2, J3"),
        (["--preset", "J1", "--severity", "mild"], "no severity called 'mild'"),
        (["--preset", "J1", "--raters", "0"], "the number of raters must be 1 or more, got 0"),
        (["--preset", "J1", "--jobs", "0"], "jobs must be 1 or more, or -1 for every core, got 0"),
        (["--preset", "J1", "--shard", "3/2"], "a shard is written i/n"),
        (["--preset", "J1", "--backend", "slurm"], "no backend called 'slurm'"),
        (["--noise", "compose"], "compose noise needs a list of parts"),
        (["--noise", "compose", "--noise.parts", "[polygn]"], "no noise called 'polygn'"),
        (["--noise", "slice_steps"], "slice_steps noise is for volumes"),
        (["--preset", "J1", "--noise", "markov"], "not both"),
        (["--noise", "markov", "--noise.flip", "1.5"], "noise flip is a probability"),
        (["--noise", "markov", "--noise.steps", "-1"], "noise steps must be a whole number"),
    ],
)
def test_bad_settings_end_in_one_sentence_and_2(
    words: list[str], message: str, clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", str(clean), "--out", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_missing_folder_ends_in_one_sentence_and_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", str(tmp_path / "none"), "--out", str(tmp_path / "out"), "--preset", "J1"]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_an_unknown_noise_ends_in_2(clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["simulate", str(clean), "--out", str(tmp_path / "out"), "--noise", "markow"])
    assert "did you mean markov?" in capsys.readouterr().err


def test_a_pixdim_beside_its_affine_is_told(tmp_path, capsys):
    array = np.zeros((12, 12, 3), np.uint8)
    array[3:9, 3:9] = 1
    (tmp_path / "clean").mkdir()
    volume(tmp_path / "clean" / "a.nii", array, np.eye(4))
    data = bytearray((tmp_path / "clean" / "a.nii").read_bytes())
    data[80:84] = np.float32(3).tobytes()
    (tmp_path / "clean" / "a.nii").write_bytes(data)
    assert (
        main(["simulate", str(tmp_path / "clean"), "--out", str(tmp_path / "out"), "--noise", "morphology"])
        == 0
    )
    assert "a.nii pixdim gives a voxel size of 3" in capsys.readouterr().out


def test_a_dry_run_says_how_far_outlines_move_and_writes_nothing(clean, tmp_path, capsys):
    words = ["simulate", str(clean), "--out", str(tmp_path / "out"), "--noise", "morphology"]
    words += ["--noise.low-mm", "8", "--noise.high-mm", "8", "--noise.dilate", "0", "--dry-run"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "nothing is written" in printed
    assert "lung: 2 of 2 masks keep a Dice under 0.5" in printed
    assert not (tmp_path / "out").exists()


def test_cases_may_be_named(clean, tmp_path):
    words = ["--noise", "morphology", "--cases", "p2"]
    assert main(["simulate", str(clean), "--out", str(tmp_path / "out"), *words]) == 0
    assert [path.name for path in (tmp_path / "out" / "lung").iterdir()] == ["p2.png"]
