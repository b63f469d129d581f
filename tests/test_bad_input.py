"""Bad input ends in one clear sentence and exit code 2, before training, with nothing half written."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image

import drawn_data
from drawing import picture
from drawn_data import ALWAYS_FLAGS, CASES, contents, half_files
from labelmend.cli import main
from labelmend.workflows.training import loop as engine

NETWORK = json.dumps({"channels": [4, 8], "strides": [2], "norm": "BATCH"})


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pictures/, maps/ and scans/, to be copied and spoilt."""
    root = tmp_path_factory.mktemp("originals")
    drawn_data.overlapping(root / "pictures", size=16)
    drawn_data.exclusive(root / "maps", size=16)
    drawn_data.volumes(root / "scans", shape=(8, 8, 8))
    return root


@pytest.fixture
def pictures(originals: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals / "pictures", tmp_path / "data"))


@pytest.fixture
def maps(originals: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals / "maps", tmp_path / "data"))


@pytest.fixture
def scans(originals: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals / "scans", tmp_path / "data"))


def arguments(data: Path, *more: str, method: str = "plain") -> list[str]:
    return [
        "train", str(data), "--labels", "given", "--out", str(data.parent / "run"), "--method", method,
        "--network.args", NETWORK, "--epochs", "1", "--device", "cpu", "--threads", "1", *more,
    ]  # fmt: skip


Refused = Callable[..., str]


@pytest.fixture
def refused(monkeypatch, capsys, tmp_path) -> Refused:
    """Run the command; it must end with 2, one line on stderr that holds the words, and no trace on disk."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("training was started")

    def check(argv: list[str], *words: str, untouched: bool = False) -> str:
        monkeypatch.setattr(engine, "fit", fail)
        before = contents(tmp_path)
        assert main(argv) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        lines = captured.err.splitlines()
        assert len(lines) == 1, captured.err
        for word in words:
            assert word in lines[0]
        assert contents(tmp_path) == before
        assert half_files(tmp_path) == []
        assert untouched or not (tmp_path / "run").exists()
        return lines[0]

    return check


def listed(path: Path, *cases: str) -> str:
    path.write_text("\n".join(cases))
    return str(path)


# ---- folders and partners


def test_no_such_data_folder(refused, tmp_path):
    refused(arguments(tmp_path / "nowhere"), str(tmp_path / "nowhere"))


def test_a_data_folder_without_images(refused, pictures):
    shutil.rmtree(pictures / "images")
    refused(arguments(pictures), str(pictures / "images"), "does not exist")


def test_an_empty_image_folder(refused, pictures):
    for path in (pictures / "images").iterdir():
        path.unlink()
    refused(arguments(pictures), str(pictures / "images"), "no images")


def test_no_such_label_folder(refused, pictures):
    refused(arguments(pictures, "--labels", "givne"), str(pictures / "givne"))


def test_an_image_without_label(refused, pictures):
    (pictures / "given" / "heart" / "c3.png").unlink()
    (pictures / "given" / "lung" / "c3.png").unlink()
    refused(arguments(pictures), "case c3", str(pictures / "images" / "c3.png"), str(pictures / "given"))


def test_an_image_without_the_label_of_one_class(refused, pictures):
    (pictures / "given" / "lung" / "c3.png").unlink()
    refused(arguments(pictures), "case c3", str(pictures / "given" / "lung"))


def test_a_label_without_image(refused, pictures):
    (pictures / "images" / "c3.png").unlink()
    refused(arguments(pictures), "case c3", str(pictures / "given" / "heart" / "c3.png"), "no image")


def test_a_case_that_lies_there_twice(refused, pictures):
    shutil.copy(pictures / "images" / "c3.png", pictures / "images" / "c3.tif")
    refused(arguments(pictures), "case c3", "c3.tif")


# ---- grids


def test_shapes_that_differ(refused, maps):
    picture(maps / "given" / "c2.png", np.ones((16, 18), np.uint8))
    more = ["--classes", "{heart: 1, lung: 2}", "--ignore", "9"]
    refused(arguments(maps, *more), "case c2", str(maps / "given" / "c2.png"), "(16, 16)", "(16, 18)")


def test_classes_of_one_case_on_different_grids(refused, pictures):
    picture(pictures / "given" / "lung" / "c2.png", np.ones((8, 8), bool))
    refused(arguments(pictures), "case c2", str(pictures / "given" / "lung" / "c2.png"), "shape")


def rewritten(path: Path, affine: np.ndarray | None = None, array: np.ndarray | None = None) -> None:
    old = nibabel.load(path)
    data = np.asarray(old.dataobj) if array is None else array
    new = nibabel.Nifti1Image(data, old.affine if affine is None else affine)
    new.header.set_xyzt_units("mm")
    nibabel.save(new, path)


def test_affines_that_differ(refused, scans):
    moved = drawn_data.AFFINE.copy()
    moved[0, 3] = 5.0
    rewritten(scans / "given" / "c2.nii.gz", affine=moved)
    refused(arguments(scans), "case c2", str(scans / "given" / "c2.nii.gz"), "affine", "5")


def test_spacings_that_differ(refused, scans):
    rewritten(scans / "images" / "c2.nii.gz", affine=np.diag([-0.8, -0.8, 3.0, 1.0]))
    refused(arguments(scans), "case c2", "spacing", "3.0", "2.5")


@pytest.mark.parametrize("spacing", ["[1.0, 1.0, 1.0]", "-1.0", "[0.0, 1.0]"])
def test_a_spacing_that_no_picture_can_have(refused, pictures, spacing):
    refused(arguments(pictures, "--spacing-mm", spacing), "spacing")


def test_images_of_differing_sizes_without_a_common_grid(refused, pictures):
    picture(pictures / "images" / "c2.png", np.zeros((24, 16), np.uint8))
    for name in ("heart", "lung"):
        picture(pictures / "given" / name / "c2.png", np.ones((24, 16), bool))
    refused(arguments(pictures), "(16, 16)", "(24, 16)", "--resize", "--patch")


def test_an_image_in_colour_among_grey_ones(refused, pictures):
    picture(pictures / "images" / "c2.png", np.zeros((16, 16, 3), np.uint8))
    refused(arguments(pictures), "case c2", str(pictures / "images" / "c2.png"), "3 channels")


# ---- values


def test_a_class_value_outside_the_names(refused, maps):
    refused(
        arguments(maps, "--classes", "{heart: 1}", "--ignore", "9"),
        "case c0", str(maps / "given" / "c0.png"), "2", "heart = 1",
    )  # fmt: skip


def test_a_value_to_ignore_that_nobody_named(refused, maps):
    refused(arguments(maps, "--classes", "{heart: 1, lung: 2}"), "case c0", "the value 9")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers(refused, scans, bad):
    image = np.asarray(nibabel.load(scans / "images" / "c4.nii.gz").dataobj).copy()
    image[1, 2, 3] = bad
    rewritten(scans / "images" / "c4.nii.gz", array=image)
    refused(arguments(scans), str(scans / "images" / "c4.nii.gz"), "1 pixels", "NaN or infinite")


def test_labels_that_are_no_whole_numbers(refused, scans):
    labels = np.asarray(nibabel.load(scans / "given" / "c4.nii.gz").dataobj).astype(np.float32)
    labels[0, 0, 0] = 0.5
    rewritten(scans / "given" / "c4.nii.gz", array=labels)
    refused(arguments(scans), str(scans / "given" / "c4.nii.gz"), "whole numbers", "0.5")


def test_a_label_in_colour(refused, maps):
    picture(maps / "given" / "c1.png", np.zeros((16, 16, 3), np.uint8))
    refused(arguments(maps), str(maps / "given" / "c1.png"), "colour")


def test_a_class_that_is_empty_in_every_case(refused, pictures):
    for case in CASES:
        picture(pictures / "given" / "lung" / f"{case}.png", np.zeros((16, 16), bool))
    refused(arguments(pictures), "class lung is absent from all 6 cases", str(pictures / "given"))


def test_a_named_class_that_no_integer_map_holds(refused, maps):
    more = ["--classes", "{heart: 1, lung: 2, liver: 3}", "--ignore", "9"]
    refused(arguments(maps, *more), "class liver is absent", str(maps / "given"))


def test_labels_that_are_all_empty(refused, maps):
    for case in CASES:
        picture(maps / "given" / f"{case}.png", np.zeros((16, 16), np.uint8))
    refused(arguments(maps), str(maps / "given"), "empty")


# ---- files that cannot be read


def as_tiff(data: Path) -> None:
    for folder in ("images", "given"):
        for path in list((data / folder).glob("*.png")):
            tifffile.imwrite(path.with_suffix(".tif"), np.array(Image.open(path)))
            path.unlink()


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES = {
    "truncated": halve,
    "empty": lambda path: path.write_bytes(b""),
    "something else": lambda path: path.write_bytes(b"x" * 99),
}


@pytest.mark.parametrize("folder", ["images", "given"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("kind", ["png", "tif", "nii.gz"])
def test_a_file_that_cannot_be_read_whole(refused, originals, tmp_path, folder, damage, kind):
    data = Path(shutil.copytree(originals / ("scans" if kind == "nii.gz" else "maps"), tmp_path / "data"))
    if kind == "tif":
        as_tiff(data)
    damage(data / folder / f"c2.{kind}")
    refused(arguments(data), str(data / folder / f"c2.{kind}"))


def test_a_file_of_no_known_kind(refused, pictures):
    (pictures / "images" / "c9.dat").write_bytes(b"0")
    refused(arguments(pictures), str(pictures / "images" / "c9.dat"), ".png")


# ---- trusted cases


def spatial(data: Path, *more: str) -> list[str]:
    return arguments(data, *more, method="spatial_correction")


def trusted(data: Path) -> list[str]:
    return ["--clean", str(data / "trusted.txt"), "--clean-labels", "clean"]


def test_no_trusted_case_for_a_method_that_needs_one(refused, pictures):
    refused(spatial(pictures), "needs trusted cases", "--clean")


def test_trusted_cases_that_are_nowhere(refused, pictures):
    refused(
        spatial(pictures, "--clean", str(pictures / "trsuted.txt")), "trsuted.txt", "neither a folder nor"
    )


def test_an_unknown_case_in_the_list_of_trusted_ones(refused, pictures):
    clean = listed(pictures / "few.txt", "c0", "nobody")
    refused(spatial(pictures, "--clean", clean, "--clean-labels", "clean"), "'nobody'")


def test_an_empty_list_of_trusted_cases(refused, pictures):
    clean = listed(pictures / "few.txt", "# nobody yet", "")
    refused(spatial(pictures, "--clean", clean, "--clean-labels", "clean"), clean, "no case")


def test_a_trusted_case_that_is_listed_twice(refused, pictures):
    clean = listed(pictures / "few.txt", "c0", "c0")
    refused(spatial(pictures, "--clean", clean, "--clean-labels", "clean"), clean, "c0 twice")


def test_a_list_of_trusted_cases_without_their_labels(refused, pictures):
    refused(spatial(pictures, "--clean", str(pictures / "trusted.txt")), "--clean-labels")


def test_no_such_folder_of_trusted_labels(refused, pictures):
    more = ["--clean", str(pictures / "trusted.txt"), "--clean-labels", "claen"]
    refused(spatial(pictures, *more), str(pictures / "claen"))


def test_a_listed_training_case_that_is_trusted(refused, pictures):
    cases = listed(pictures / "cases.txt", "c0", "c1", "c2")
    refused(spatial(pictures, "--cases", cases, *trusted(pictures)), "case c0 is trusted and trained on")


def apart(data: Path, case: str, source: str) -> Path:
    """A folder of its own with the picture of `source` as trusted case `case`."""
    root = data.parent / "apart"
    (root / "images").mkdir(parents=True)
    shutil.copy(data / "images" / f"{source}.png", root / "images" / f"{case}.png")
    for name in ("heart", "lung"):
        (root / "clean" / name).mkdir(parents=True)
        shutil.copy(data / "clean" / name / f"{source}.png", root / "clean" / name / f"{case}.png")
    return root


def test_a_trusted_case_with_the_id_of_a_training_case(refused, pictures):
    refused(
        spatial(pictures, "--clean", str(apart(pictures, "c1", "c1"))), "case c1 is trusted and trained on"
    )


def test_a_trusted_case_that_is_a_training_picture_under_another_name(refused, pictures):
    root = apart(pictures, "other", "c4")
    refused(
        spatial(pictures, "--clean", str(root)),
        "trusted case other", "training case c4", str(root / "images" / "other.png"),
    )  # fmt: skip


def test_a_trusted_case_that_a_first_round_was_trained_on(refused, pictures, monkeypatch, capsys):
    first = pictures.parent / "first"
    argv = arguments(pictures)
    argv[argv.index("--out") + 1] = str(first)
    assert main(argv) == 0
    capsys.readouterr()
    more = [*trusted(pictures), "--first-round", str(first)]
    refused(spatial(pictures, *more), "case c0 is trusted", str(first), "trained on it")


def test_trusted_cases_with_other_classes(refused, pictures):
    root = apart(pictures, "t0", "c0")
    (pictures / "images" / "c0.png").unlink()
    for name in ("heart", "lung"):
        (pictures / "given" / name / "c0.png").unlink()
    (root / "clean" / "lung").rename(root / "clean" / "liver")
    refused(spatial(pictures, "--clean", str(root)), "liver", "lung", str(root / "clean"))


def test_a_damaged_trusted_label(refused, pictures):
    halve(pictures / "clean" / "lung" / "c0.png")
    refused(spatial(pictures, *trusted(pictures)), str(pictures / "clean" / "lung" / "c0.png"))


def test_nothing_left_to_train_on(refused, pictures):
    refused(spatial(pictures, "--clean", str(pictures / "clean")), str(pictures), "no case is left")


# ---- lists and references


def test_an_unknown_case_to_train_on(refused, pictures):
    refused(arguments(pictures, "--cases", listed(pictures / "cases.txt", "c1", "nobody")), "'nobody'")


def test_no_such_list_of_cases(refused, pictures):
    refused(arguments(pictures, "--cases", str(pictures / "no.txt")), str(pictures / "no.txt"))


def test_a_reference_that_lacks_a_case(refused, pictures):
    for name in ("heart", "lung"):
        (pictures / "clean" / name / "c5.png").unlink()
    refused(arguments(pictures, "--reference", str(pictures / "clean")), "case c5", "--reference")


def test_a_reference_that_is_nowhere(refused, pictures):
    refused(arguments(pictures, "--reference", str(pictures / "no")), str(pictures / "no"))


def test_a_damaged_reference(refused, pictures):
    halve(pictures / "clean" / "lung" / "c5.png")
    refused(arguments(pictures, "--reference", str(pictures / "clean")), "c5.png")


# ---- settings


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["--epochs", "-1"], "epochs"),
        (["--epochs", "0"], "epochs"),
        (["--batch-size", "0"], "batch_size"),
        (["--learning-rate", "-0.1"], "learning_rate"),
        (["--validation-share", "1.5"], "validation_share"),
        (["--resize", "16", "--patch", "8"], "not both"),
        (["--resize", "[16, 16, 16]"], "resize"),
        (["--augment.scale", "-1"], "scale"),
        (["--network.name", "UNett"], "UNet"),
        (["--network.args", '{"chanels": [4]}'], "chanels"),
        (["--patch", "7"], "--patch"),
        (["--mixed-precision", "fp16"], "fp16"),
        (["--first-round", "nowhere"], "nowhere"),
        (["--classes", "{heart: 1, brain: 2}"], "brain"),
        (["--ignore", "9"], "ignore"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_setting_that_cannot_be_used(refused, pictures, more, word):
    refused(arguments(pictures, *more), word)


@pytest.mark.parametrize("more", [["--method.gamma", "2"], ["--method.trim", "0.7"]])
def test_a_setting_of_the_method_that_cannot_be_used(refused, pictures, more):
    refused(spatial(pictures, *trusted(pictures), *more), more[0].rpartition(".")[2])


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["--method", "spacial_correction"], "spatial_correction"),
        (["--method.gama", "1"], "gama"),
        (["--epoch_s", "3"], "epoch_s"),
        (["--epochs", "many"], "epochs"),
        (["--mixed-precision", "fp8"], "--mixed-precision takes one of no, fp16, bf16, got fp8"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_flags_that_the_command_line_does_not_know(pictures, capsys, more, word):
    with pytest.raises(SystemExit) as ended:
        main(arguments(pictures, *more))
    assert ended.value.code == 2
    assert word in capsys.readouterr().err
    assert not (pictures.parent / "run").exists()


def test_an_unknown_verb(capsys):
    assert main(["trian"]) == 2
    assert "'trian'; did you mean train?" in capsys.readouterr().err


# ---- the place to write to


def test_no_output_folder(pictures, capsys):
    argv = arguments(pictures)
    at = argv.index("--out")
    with pytest.raises(SystemExit, match="2"):
        main([*argv[:at], *argv[at + 2 :]])
    assert capsys.readouterr().err == "labelmend train: give --out; see labelmend train --help\n"


def test_an_output_folder_that_is_not_empty(refused, pictures):
    out = pictures.parent / "run"
    out.mkdir()
    (out / "thesis.txt").write_text("do not lose")
    refused(arguments(pictures), str(out), "already holds thesis.txt", untouched=True)


def test_an_output_folder_that_is_a_file(refused, pictures):
    (pictures.parent / "run").write_text("do not lose")
    refused(arguments(pictures), "is a file", untouched=True)


def test_an_output_folder_with_a_run_of_other_settings(refused, pictures, capsys):
    assert main(arguments(pictures)) == 0
    capsys.readouterr()
    refused(
        arguments(pictures, "--epochs", "2", "--seed", "5"), "epochs: 1 -> 2", "seed: 0 -> 5", untouched=True
    )


def test_an_output_folder_among_the_given_labels(refused, pictures):
    argv = arguments(pictures)
    argv[argv.index("--out") + 1] = str(pictures / "given")
    refused(argv, str(pictures / "given"), "already holds")


def test_a_checkpoint_that_cannot_be_read(refused, pictures, capsys):
    assert main(arguments(pictures)) == 0
    capsys.readouterr()
    halve(pictures.parent / "run" / "checkpoint" / "state.pt")
    refused(arguments(pictures), "state.pt", "delete the run folder", untouched=True)


# ---- disk full


@pytest.fixture
def full_disk(monkeypatch) -> Callable[[str], None]:
    """From now on there is no room for files whose path holds a word; a half of them is written."""

    def arm(word: str) -> None:
        write_bytes, fsync = Path.write_bytes, os.fsync

        def half_written(path: Path, data: bytes) -> int:
            if word in str(path):
                write_bytes(path, data[: len(data) // 2])
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            return write_bytes(path, data)

        def late(descriptor: int) -> None:
            if word in os.readlink(f"/proc/self/fd/{descriptor}"):
                raise OSError(errno.ENOSPC, "No space left on device")
            fsync(descriptor)

        monkeypatch.setattr(Path, "write_bytes", half_written)
        monkeypatch.setattr(os, "fsync", late)

    return arm


STARTED = {"config.yaml", "metrics.jsonl", "checkpoint"}
FINISHING = {*STARTED, "labels", "manifest.jsonl", "model.json", "model.safetensors"}


@pytest.mark.parametrize(
    ("word", "left"),
    [
        ("config.yaml", set()),
        ("state.pt", STARTED),
        ("v1/.part-c3.npz", STARTED),
        ("model.safetensors", STARTED),
        ("labels/lung/.part-c2.png", FINISHING),
        ("summary.json", FINISHING),
    ],
)
def test_a_full_disk_ends_in_one_sentence_and_the_same_command_goes_on(
    pictures, full_disk, monkeypatch, capsys, word, left
):
    argv = spatial(pictures, *trusted(pictures), *ALWAYS_FLAGS, "--rounds", "1")
    run = pictures.parent / "run"
    with monkeypatch.context():
        full_disk(word)
        assert main(argv) == 2
    monkeypatch.undo()
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "disk full while writing" in error
    assert word.rpartition("/")[2].removeprefix(".part-") in error
    assert {path.name for path in run.parent.glob("run/*")} == left
    assert half_files(run) == []
    assert main(argv) == 0
    assert len(contents(run / "labels")) == 2 * 5


@pytest.mark.parametrize("log", ["metrics.jsonl", "manifest.jsonl"])
def test_a_full_disk_leaves_no_torn_line_in_a_log(pictures, full_disk, monkeypatch, capsys, log):
    full_disk(log)
    assert main(arguments(pictures)) == 2
    monkeypatch.undo()
    assert "disk full while writing" in capsys.readouterr().err
    assert (pictures.parent / "run" / log).read_bytes() == b""
    assert main(arguments(pictures)) == 0


# ---- predict


@pytest.fixture
def finished(originals, tmp_path_factory, capsys) -> Path:
    run = tmp_path_factory.mktemp("finished")
    argv = arguments(originals / "pictures")
    argv[argv.index("--out") + 1] = str(run / "run")
    assert main(argv) == 0
    capsys.readouterr()
    return run / "run"


def test_predicting_with_a_run_that_is_not_finished(refused, pictures, tmp_path):
    out = str(tmp_path / "out")
    refused(
        ["predict", str(tmp_path / "nowhere"), str(pictures / "images"), "--out", out],
        "nowhere",
        "no finished model",
    )


def test_predicting_an_image_that_cannot_be_read(refused, pictures, finished, tmp_path):
    halve(pictures / "images" / "c4.png")
    argv = [
        "predict",
        str(finished),
        str(pictures / "images"),
        "--out",
        str(tmp_path / "out"),
        "--device",
        "cpu",
    ]
    refused(argv, str(pictures / "images" / "c4.png"))


def test_predicting_an_image_in_colour_with_a_network_for_grey_ones(refused, pictures, finished, tmp_path):
    picture(pictures / "images" / "c4.png", np.zeros((16, 16, 3), np.uint8))
    argv = [
        "predict",
        str(finished),
        str(pictures / "images"),
        "--out",
        str(tmp_path / "out"),
        "--device",
        "cpu",
    ]
    refused(argv, str(pictures / "images" / "c4.png"), "1 channel")


def test_predicting_into_a_folder_that_holds_something(refused, pictures, finished):
    images = str(pictures / "images")
    refused(["predict", str(finished), images, "--out", images], images, "is inside the input folder")


def test_correcting_a_bias_that_was_never_measured(refused, pictures, finished, tmp_path):
    argv = ["predict", str(finished), str(pictures / "images"), "--out", str(tmp_path / "out"), "--correct"]
    refused(argv, "no bias")
