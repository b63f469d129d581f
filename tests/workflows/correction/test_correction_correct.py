"""From given labels and saved probabilities to corrected labels, in every layout, with their records."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from drawing import picture
from drawn_correct import (
    BOLT,
    CASES,
    NAMES,
    RADII,
    SHAPE,
    TRUSTED,
    disc,
    generous,
    likely,
    raw,
    saved,
    softmax,
    swapped,
)
from drawn_data import contents, half_files
from labelmend.errors import (
    CleanCasesError,
    ConfigError,
    DataError,
    GeometryError,
    MissingDataError,
    OutputError,
)
from labelmend.geometry import boundary_bias, signed_distance
from labelmend.io import checksum, open_labels, open_nnunet, read_label_array, read_manifest
from labelmend.methods.adele import Adele
from labelmend.methods.confident import Confident
from labelmend.methods.plain import Plain
from labelmend.methods.spatial_correction import SpatialCorrection
from labelmend.types import Grid, LabelMap
from labelmend.workflows.correction.correct import IN_SAMPLE, correct, count_case
from labelmend.workflows.correction.result import CorrectResult

UNTRUSTED = CASES[len(TRUSTED) :]


def discs(root: Path, method: Any = None, **more: Any) -> CorrectResult:
    settings = {"clean": root / "clean", "classes": {"disc": 1}, "out": root / "out"} | more
    return correct(
        root / "labels", probabilities=root / "probs", method=method or SpatialCorrection(), **settings
    )


def nuts(root: Path, method: Any, **more: Any) -> CorrectResult:
    settings = {"classes": NAMES, "out": root / "out"} | more
    return correct(root / "labels", probabilities=root / "probs", method=method, **settings)


def biases(labels: Path, root: Path) -> list[float]:
    """How far outlines lie from the true ones, in px."""
    new, true = open_labels(labels), open_labels(root / "true", classes={"disc": 1})
    return [boundary_bias(new.read(case).masks()[0], true.read(case).masks()[0]) for case in CASES]


@pytest.mark.parametrize("predicted_by", [0, 3], ids=["of a clean network", "with the bias of the labels"])
def test_outlines_3_px_too_generous_come_within_half_a_pixel(tmp_path: Path, predicted_by: int) -> None:
    root = generous(tmp_path, predicted_by=predicted_by)
    assert max(biases(root / "labels", root)) < -2.5
    done = discs(root)
    assert np.abs(biases(done.labels, root)).max() < 0.5
    assert (done.n_cases, done.n_corrected, done.n_trusted) == (6, 4, 2)
    (row,) = done.summary["findings"]
    told = "replaced by the prediction" if predicted_by == 0 else "predicted boundary moved inward by 2."
    assert row["why"].startswith(told)
    assert row["given_mm"] == pytest.approx(-2.7, abs=0.1)


def test_trusted_cases_get_the_trusted_masks(tmp_path: Path) -> None:
    done = discs(generous(tmp_path, predicted_by=3))
    new = open_labels(done.labels)
    for case in TRUSTED:
        np.testing.assert_array_equal(new.read(case).masks()[0], disc(RADII[case]))


def test_cases_on_a_list_are_kept_and_measured(tmp_path: Path) -> None:
    """The trusted masks are as wide as the predictions: there is no bias, and all stays byte for byte."""
    root = generous(tmp_path, predicted_by=3)
    (tmp_path / "trusted.txt").write_text("a\nb\n")
    done = discs(root, clean=tmp_path / "trusted.txt")
    assert contents(done.labels) == contents(root / "labels")
    assert (done.n_corrected, done.n_trusted) == (0, 2)
    assert "within 2 standard errors" in done.summary["findings"][0]["why"]


def test_given_labels_that_are_better_than_predictions_stay(tmp_path: Path) -> None:
    """Outlines are right but for one trusted case; predictions are squares, of another size and shape."""
    root = generous(tmp_path, by=0)
    picture(tmp_path / "clean" / "b.png", np.roll(disc(RADII["b"]), 1, axis=0) * 1)
    for case in CASES:
        square = np.zeros(SHAPE, bool)
        square[8:40, 8:40] = True
        saved(tmp_path / "probs", case, softmax(likely(square)))
    done = discs(root)
    assert "kept: on trusted cases the given labels" in done.summary["findings"][0]["why"]
    before, after = contents(root / "labels"), contents(done.labels)
    assert [case for case in before if before[case] != after[case]] == ["b.png"]


def test_records_say_what_was_done_and_why(tmp_path: Path) -> None:
    root = generous(tmp_path, predicted_by=3)
    done = discs(root)
    rows = {row.case: row for row in read_manifest(done.folder / "manifest.jsonl")}
    assert list(rows) == list(CASES)
    mended, trusted = rows["d"], rows["a"]
    assert (mended.method, mended.version, mended.files) == ("spatial_correction", 1, ("labels/d.png",))
    assert mended.parameters["min_shift_vox"] == 0.5
    assert mended.parent_checksum == checksum(root / "labels" / "d.png")
    assert mended.checksum == checksum(done.labels / "d.png")
    assert mended.reason == "disc: predicted boundary moved inward by 2.70 px"
    assert mended.extra["displacement_mm"]["disc"] == pytest.approx(-2.7, abs=0.1)
    assert mended.extra["probabilities"] == checksum(root / "probs" / "d.npz")
    assert (trusted.method, trusted.parameters, trusted.version) == ("trusted", {}, 1)
    assert trusted.extra == {"trusted": str(root / "clean")}
    written = json.loads((done.folder / "summary.json").read_text())
    assert written["clean_cases"] == list(TRUSTED)
    assert [case["version"] for case in written["cases"]] == [1] * 6
    assert (written["layout"], written["corrected"], written["unit"]) == ("folder", "labels", "px")
    assert sorted(path.name for path in done.folder.iterdir()) == [
        "dataset.json", "labels", "manifest.jsonl", "summary.json"]  # fmt: skip


def test_the_source_is_never_touched_and_progress_counts_each_pass(tmp_path: Path) -> None:
    root = generous(tmp_path, predicted_by=3)
    before, seen = contents(root), []
    discs(root, progress=lambda tick: seen.append((tick.stage, tick.text, tick.total)))
    after = contents(root)
    assert {name: after[name] for name in before} == before
    assert seen[::4] == [("reading", "c", 4), ("measuring on trusted cases", "a", 2), ("correcting", "e", 4)]
    assert len(seen) == 4 + 2 + 4


# ---- confident, adele


def test_confident_replaces_a_wrong_object_and_touches_no_other_case(tmp_path: Path) -> None:
    root = swapped(tmp_path)
    done = nuts(root, Confident(replace=True))
    before, after = contents(root / "labels"), contents(done.labels)
    assert [case for case in before if before[case] != after[case]] == ["c.png"]
    array, sure = open_labels(done.labels).read("c").array, disc(5, (33, 33))
    assert (array[sure] == 2).all()
    assert (array[~BOLT] == open_labels(root / "labels", classes=NAMES).read("c").array[~BOLT]).all()


def test_confident_leaves_a_wrong_object_out_where_labels_can_say_so(tmp_path: Path) -> None:
    done = nuts(swapped(tmp_path), Confident(), ignore=9)
    new = open_labels(done.labels)
    assert new.ignore == 9
    assert (new.read("c").array[disc(5, (33, 33))] == 9).all()
    row = read_manifest(done.folder / "manifest.jsonl")[2]
    assert row.reason.endswith("contradicts with confidence; left out of training as 9")
    assert row.extra["left_out_vox"] == (new.read("c").array == 9).sum()
    assert done.summary["notes"] == []


def test_confident_says_so_where_labels_cannot_leave_pixels_out(tmp_path: Path) -> None:
    done = nuts(swapped(tmp_path), Confident())
    assert (open_labels(done.labels).read("c").array[disc(5, (33, 33))] == 2).all()
    (note,) = done.summary["notes"]
    assert "pixels should be left out of training, but the labels have no value" in note


def test_adele_takes_sure_predictions_and_leaves_trusted_cases_alone(tmp_path: Path) -> None:
    root = generous(tmp_path)
    done = discs(root, Adele(tau=0.8))
    new = open_labels(done.labels)
    for case in UNTRUSTED:
        mask = new.read(case).masks()[0]
        assert mask[disc(RADII[case])].all()
        assert mask.sum() < open_labels(root / "labels", classes={"disc": 1}).read(case).masks().sum()
    (note,) = done.summary["notes"]
    assert note == "Method adele does not look at trusted cases; they are only left alone."
    assert (done.n_corrected, done.n_trusted) == (4, 2)


# ---- layouts


def test_a_raw_data_set_becomes_another_that_nnunet_can_plan(tmp_path: Path) -> None:
    home = raw(tmp_path)
    done = correct(
        home,
        probabilities=tmp_path / "probs",
        clean=tmp_path / "clean",
        method=SpatialCorrection(),
        out=tmp_path / "out",
        dataset="Dataset501_Mended",
    )
    assert done.labels == tmp_path / "out" / "Dataset501_Mended"
    given, new = contents(home), contents(done.labels)
    assert given.keys() == new.keys()
    assert all(given[name] == new[name] for name in given if name.startswith("imagesTr"))
    content = json.loads((done.labels / "dataset.json").read_text())
    assert (content["name"], content["numTraining"], content["labels"]) == (
        "Mended", 6, {"background": 0, "disc": 1})  # fmt: skip
    labels, images, info = open_nnunet(done.labels)
    assert (labels.cases, len(images), info.notes) == (CASES, 6, ())
    np.testing.assert_array_equal(labels.read("f").array, disc(RADII["f"]))
    row = read_manifest(done.folder / "manifest.jsonl")[5]
    assert row.files == ("Dataset501_Mended/labelsTr/f.png",)


def test_of_a_raw_data_set_unchanged_labels_are_the_same_files(tmp_path: Path) -> None:
    home = raw(tmp_path)
    picture(home / "labelsTr" / "e.png", disc(RADII["e"]) * 1)
    settings: dict[str, Any] = {"probabilities": tmp_path / "probs", "clean": tmp_path / "clean"}
    done = correct(home, method=SpatialCorrection(), out=tmp_path / "out", **settings)
    given, new = contents(home), contents(done.labels)
    changed = [name for name in given if name.startswith("labelsTr") and given[name] != new[name]]
    assert changed == [f"labelsTr/{case}.png" for case in CASES if case != "e"]
    assert [row.version for row in read_manifest(done.folder / "manifest.jsonl")] == [1, 1, 1, 1, 0, 1]


def test_regions_of_nnunet_are_corrected_as_overlapping_classes(tmp_path: Path) -> None:
    home = raw(tmp_path, {"background": 0, "whole": [1, 2], "core": 2}, regions_class_order=[1, 2])
    for case in CASES:
        core = disc(4)
        for folder, extra in ((home / "labelsTr", 3), (tmp_path / "clean", 0)):
            if folder.name == "labelsTr" or case in TRUSTED:
                picture(folder / f"{case}.png", np.where(core, 2, disc(RADII[case] + extra)))
        saved(tmp_path / "probs", case, np.stack([likely(disc(RADII[case] + 3)), likely(core)]))
    settings: dict[str, Any] = {"probabilities": tmp_path / "probs", "clean": tmp_path / "clean"}
    done = correct(home, method=SpatialCorrection(), out=tmp_path / "out", **settings)
    whole, core = done.summary["findings"]
    assert (whole["moved"], core["moved"]) == (True, False)
    labels = open_nnunet(done.labels)[0]
    for case in UNTRUSTED:
        masks = labels.read(case).masks()
        assert abs(boundary_bias(masks[0], disc(RADII[case]))) < 0.5
        np.testing.assert_array_equal(masks[1], disc(4))


def ball(radius_mm: float) -> np.ndarray:
    """A ball on a grid of 20 x 18 x 10 voxels of 1 x 1 x 2.5 mm."""
    axes = np.meshgrid(np.arange(20) - 9.5, np.arange(18) - 8.5, 2.5 * (np.arange(10) - 4.5), indexing="ij")
    return sum(np.square(axis) for axis in axes) <= radius_mm**2


def test_volumes_of_unequal_spacing_keep_their_headers(tmp_path: Path) -> None:
    affine = np.diag([-1.0, -1.0, 2.5, 1.0])
    home = tmp_path / "Dataset003_Balls"
    for i, case in enumerate("abcd"):
        masks = {
            home / "labelsTr" / f"{case}.nii.gz": ball(8.5 + i % 2),
            tmp_path / "true" / case: ball(6 + i % 2),
        }
        masks |= {home / "imagesTr" / f"{case}_0000.nii.gz": ball(6 + i % 2)}
        masks |= {tmp_path / "clean" / f"{case}.nii.gz": ball(6 + i % 2)} if case in "ab" else {}
        for path, mask in masks.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            image = nibabel.Nifti1Image(mask.astype(np.int16), affine)
            image.header["descrip"] = b"drawn by hand"
            nibabel.save(image, path.with_name(f"{path.name.removesuffix('.nii.gz')}.nii.gz"))
        distance = signed_distance(ball(8.5 + i % 2), (1.0, 1.0, 2.5))
        probs = softmax((1 / (1 + np.exp(distance))).astype(np.float32))
        (tmp_path / "probs").mkdir(exist_ok=True)
        np.savez_compressed(tmp_path / "probs" / f"{case}.npz", probabilities=probs.transpose(0, 3, 2, 1))
    content = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "ball": 1}, "file_ending": ".nii.gz"}
    (home / "dataset.json").write_text(json.dumps(content | {"numTraining": 4}))
    done = correct(
        home,
        probabilities=tmp_path / "probs",
        clean=tmp_path / "clean",
        method=SpatialCorrection(),
        out=tmp_path / "out",
    )
    labels = open_nnunet(done.labels)[0]
    for i, case in enumerate("abcd"):
        assert abs(boundary_bias(labels.read(case).masks()[0], ball(6 + i % 2), (1.0, 1.0, 2.5))) < 0.5
        new, old = (nibabel.load(root / "labelsTr" / f"{case}.nii.gz") for root in (done.labels, home))
        assert new.header.binaryblock == old.header.binaryblock
    assert done.summary["unit"] == "mm"


def test_a_coco_file_is_written_as_one(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    wide, narrow = np.zeros((16, 16), bool), np.zeros((16, 16), bool)
    wide[2:14, 2:14], narrow[4:12, 4:12] = True, True
    names = dict(enumerate("abc"))

    def written(path: Path, low: int, high: int, ids: list[int]) -> Path:
        square = [[low, low, high, low, high, high, low, high]]
        content = {
            "images": [{"id": i, "file_name": f"{names[i]}.png", "height": 16, "width": 16} for i in ids],
            "annotations": [
                {"id": i, "image_id": i, "category_id": 1, "segmentation": square, "iscrowd": 0} for i in ids
            ],
            "categories": [{"id": 1, "name": "cat"}],
        }
        path.write_text(json.dumps(content))
        return path

    for case in names.values():
        saved(tmp_path / "probs", case, likely(narrow)[None])
    given = written(tmp_path / "given.json", 2, 14, [0, 1, 2])
    clean = written(tmp_path / "clean.json", 4, 12, [0])
    done = correct(
        given,
        probabilities=tmp_path / "probs",
        clean=clean,
        method=SpatialCorrection(),
        out=tmp_path / "out",
    )
    assert done.labels == tmp_path / "out" / "labels.json"
    areas = {a["image_id"]: a["area"] for a in json.loads(done.labels.read_text())["annotations"]}
    assert areas == {0: 64, 1: 64, 2: 64}
    row = read_manifest(done.folder / "manifest.jsonl")[1]
    assert (row.files, row.parent_checksum) == (("labels.json",), checksum(given))


# ---- doubts and refusals


def test_probabilities_that_know_the_labels_are_told(tmp_path: Path) -> None:
    root = generous(tmp_path)
    for case in CASES:
        saved(tmp_path / "probs", case, softmax(likely(disc(RADII[case] + 3), 0.1)))
    done = discs(root)
    assert done.warnings == (IN_SAMPLE,)
    assert json.loads((done.folder / "summary.json").read_text())["warnings"] == [IN_SAMPLE]
    assert discs(generous(tmp_path / "other")).warnings == ()


def test_counts_of_a_case_are_those_of_hand() -> None:
    labels = LabelMap(np.array([[0, 1, 1, 9]], np.uint8), Grid((1, 4), (1.0, 2.0)), ("a",), ignore=9)
    probs = np.array([[[0.9, 0.3, 0.2, 0.5]], [[0.1, 0.7, 0.8, 0.5]]], np.float32)
    found = count_case(labels, probs)
    assert (found.pixels.tolist(), found.annotated, found.ndim) == ([2.0], 3, 2)
    assert found.calibration.n_at_outlines == 3  # 0 | 1 and, towards the ignored pixel, 1 |
    assert found.calibration.at_outlines == pytest.approx(0.9 + 0.7 + 0.8)
    twice = found + found
    assert (twice.pixels.tolist(), twice.annotated, twice.calibration.n_at_outlines) == ([4.0], 6, 6)
    np.testing.assert_allclose(twice.confidence[0], [[1.8, 3.0]], rtol=1e-6)


def test_methods_that_need_training_write_nothing(tmp_path: Path) -> None:
    root = generous(tmp_path)
    with pytest.raises(
        ConfigError, match=r"method plain works while .* adele, confident, spatial_correction"
    ):
        discs(root, Plain())
    with pytest.raises(CleanCasesError, match="needs trusted cases"):
        discs(root, clean=None)
    assert not (root / "out").exists()


def test_bad_trusted_cases_write_nothing(tmp_path: Path) -> None:
    root = generous(tmp_path)
    picture(root / "clean" / "b.png", disc(9)[:, :40] * 1)
    with pytest.raises(GeometryError, match="case b"):
        discs(root)
    picture(root / "clean" / "b.png", disc(9) * 5)
    with pytest.raises(DataError, match="case b"):
        discs(root)
    with pytest.raises(CleanCasesError, match="none is left to correct"):
        discs(root, clean=root / "true")
    assert not (root / "out").exists()


def test_a_case_that_cannot_be_read_leaves_nothing_half_written(tmp_path: Path) -> None:
    root = generous(tmp_path)
    saved(root / "probs", "f", np.full((2, 5, 5), 0.5))
    with pytest.raises(GeometryError, match="case f"):
        discs(root)
    assert not (root / "out").exists()
    assert half_files(root) == []
    assert sorted(path.name for path in root.iterdir()) == ["clean", "labels", "probs", "true"]


@pytest.mark.parametrize("place", ["labels", "labels/out", "probs/out", "clean/out", "taken"])
def test_a_place_that_is_taken_or_read_from_is_refused(tmp_path: Path, place: str) -> None:
    root = generous(tmp_path)
    picture(root / "taken" / "x.png", disc(3) * 1)
    before = contents(root)
    with pytest.raises(OutputError):
        discs(root, out=root / place)
    assert contents(root) == before


def test_an_empty_folder_is_taken_and_the_same_call_gives_the_same_bytes(tmp_path: Path) -> None:
    root = generous(tmp_path, predicted_by=3)
    (root / "out").mkdir()
    first = discs(root)
    assert contents(first.folder) == contents(discs(root, out=root / "again").folder)
    with pytest.raises(OutputError):
        discs(root)


def test_correcting_does_not_load_torch(tmp_path: Path) -> None:
    """But for flags of adele and confident, whose types jsonargparse looks up."""
    root = generous(tmp_path)
    code = f"""if True:
        import sys
        from labelmend.cli import main
        from labelmend.workflows.correction.correct import correct
        from labelmend.methods.adele import Adele
        from labelmend.methods.confident import Confident

        labels, probs, clean = "{root}/labels", "{root}/probs", "{root}/clean"
        for name, method in (("one", Adele()), ("two", Confident())):
            correct(labels, probabilities=probs, out="{root}/" + name, method=method, classes={{"disc": 1}})
        line = ["correct", labels, "--probabilities", probs, "--clean", clean, "--classes", "{{disc: 1}}"]
        assert main([*line, "--out", "{root}/three"]) == 0
        sys.exit("torch" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_class_of_value_0_is_counted_and_named_in_what_is_written(tmp_path: Path) -> None:
    root = swapped(tmp_path)
    done = nuts(root, Confident(replace=True), classes={"tray": 0} | NAMES)
    (row,) = [row for row in read_manifest(done.folder / "manifest.jsonl") if row.version == 1]
    old, new = (read_label_array(folder / "c.png")[0] for folder in (root / "labels", done.labels))
    names = {"tray": 0} | NAMES
    assert row.extra["added_vox"] == {n: int(((new == v) & (old != v)).sum()) for n, v in names.items()}
    assert row.extra["removed_vox"] == {n: int(((old == v) & (new != v)).sum()) for n, v in names.items()}
    assert json.loads((done.folder / "dataset.json").read_text()) == {"labels": names}
    assert open_labels(done.labels).names == tuple(names)


def held(root: Path, **names: str) -> dict[str, dict[str, np.ndarray]]:
    """Folders of pictures and of probabilities as arrays by case id."""
    found = {
        what: {path.stem: read_label_array(path)[0] for path in sorted((root / folder).glob("*.png"))}
        for what, folder in names.items()
    }
    probs = {path.stem: np.load(path)["probabilities"][:, 0] for path in (root / "probs").glob("*.npz")}
    return {**found, "probabilities": probs}


def test_arrays_come_back_as_files_would_be_written(tmp_path: Path) -> None:
    root = generous(tmp_path)
    done = discs(root)
    given = held(root, labels="labels", clean="clean")
    arrays = correct(**given, method=SpatialCorrection(), classes=["disc"])
    assert (arrays.folder, arrays.n_cases, arrays.n_corrected, arrays.n_trusted) == (None, 6, 4, 2)
    assert isinstance(arrays.labels, dict)
    for case in CASES:
        np.testing.assert_array_equal(arrays.labels[case], read_label_array(done.labels / f"{case}.png")[0])
    assert arrays.summary["findings"] == json.loads(json.dumps(done.summary["findings"]))
    assert (arrays.summary["clean"], arrays.summary["corrected"]) == ("arrays", None)


def test_a_list_comes_back_as_a_list_and_the_given_arrays_stay(tmp_path: Path) -> None:
    arrays = held(swapped(tmp_path), labels="labels")
    labels, probs = list(arrays["labels"].values()), [arrays["probabilities"][case] for case in CASES]
    before = [array.copy() for array in labels]
    done = correct(labels, probs, method=Confident(), classes=NAMES)
    assert isinstance(done.labels, list)
    changed = [not np.array_equal(new, old) for new, old in zip(done.labels, before, strict=True)]
    assert changed == [case == "c" for case in CASES]
    written = read_label_array(nuts(tmp_path, Confident()).labels / "c.png")[0]
    np.testing.assert_array_equal(done.labels[2], written)
    np.testing.assert_array_equal(labels, before)


def test_trusted_arrays_are_given_or_named(tmp_path: Path) -> None:
    arrays = held(generous(tmp_path), labels="labels", clean="clean")
    clean = arrays.pop("clean")
    named = correct(**arrays, method=Adele(), clean=["a", "b"])
    assert (named.n_trusted, named.summary["clean_cases"]) == (2, ["a", "b"])
    elsewhere = {"x": clean["a"]}, {"x": arrays["probabilities"]["a"]}
    done = correct(**arrays, method=SpatialCorrection(), clean=elsewhere[0], clean_probabilities=elsewhere[1])
    assert (done.n_trusted, done.summary["clean_cases"]) == (0, ["x"])


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"out": "OUT"}, ConfigError, "arrays come back as arrays"),
        ({"clean": "trusted.txt"}, ConfigError, "clean is trusted labels by case id .* got str"),
        ({"clean": ["z"]}, MissingDataError, "trusted case z has no labels"),
        ({"clean": {"z": disc(3) * 1}}, MissingDataError, "trusted case z has no probabilities"),
        ({"clean": list(CASES)}, CleanCasesError, "all 6 cases of the set of arrays are trusted"),
        ({"clean": {"a": disc(3)[:9] * 1}}, GeometryError, "case a: trusted labels in the set of arrays"),
        ({"clean": ["a"], "clean_probabilities": [disc(3)]}, ConfigError, "kept by case id"),
    ],
)
def test_what_does_not_fit_arrays_is_refused(tmp_path: Path, settings, error, sentence) -> None:
    with pytest.raises(error, match=sentence):
        correct(**held(generous(tmp_path), labels="labels"), method=Adele(), **settings)


def test_files_need_a_folder_to_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="need a folder to lie in"):
        discs(generous(tmp_path), out=None)
