"""What a run works on: which cases are trained on, which are trusted, and that the two never meet."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from drawing import picture
from drawn_data import CASES, TRAINING, exclusive, overlapping
from labelmend.errors import (
    CleanCasesError,
    ConfigError,
    GeometryError,
    LabelmendError,
    MissingDataError,
    UnreadableFileError,
)
from labelmend.io import open_dataset
from labelmend.methods.plain import Plain
from labelmend.methods.spatial_correction import SpatialCorrection
from labelmend.workflows.training.config import TrainConfig
from labelmend.workflows.training.run_data import check_first_round, load_and_check


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return overlapping(tmp_path / "data")


def config(data: Path, **settings) -> TrainConfig:
    return TrainConfig(**{"data": str(data), "out": "unused", "labels": "given", **settings})


def listed(path: Path, *cases: str) -> str:
    path.write_text("\n".join(cases))
    return str(path)


def trusted_folder(data: Path, *cases: str) -> Path:
    """Only these cases of clean/, in a label folder beside the data."""
    for name in ("heart", "lung"):
        (data / "trusted" / name).mkdir(parents=True)
        for case in cases:
            shutil.copy(data / "clean" / name / f"{case}.png", data / "trusted" / name)
    return data / "trusted"


def other_root(root: Path, *, seed: int = 50, size: int = 32, case: str = "t0") -> Path:
    """A folder of its own with one trusted case that is new."""
    from labelmend.phantom import draw_phantom

    image, masks = draw_phantom(np.random.default_rng(seed), size)
    picture(root / "images" / f"{case}.png", image[0])
    for name, mask in zip(("heart", "lung"), masks[1:]):
        picture(root / "clean" / name / f"{case}.png", mask)
    return root


def test_without_trusted_cases_every_case_is_trained_on(pictures):
    material = load_and_check(config(pictures), Plain())
    assert material.training.cases == CASES
    assert material.clean is None


def test_trusted_cases_from_a_list_are_held_out(pictures):
    settings = {"clean": str(pictures / "trusted.txt"), "clean_labels": "clean"}
    material = load_and_check(config(pictures, **settings), SpatialCorrection())
    assert material.clean is not None
    assert (material.clean.cases, material.training.cases) == (("c0",), TRAINING)
    assert material.clean.labels.path == pictures / "clean"


def test_trusted_cases_from_a_label_folder_are_held_out(data):
    material = load_and_check(config(data, clean=str(trusted_folder(data, "c1", "c4"))), SpatialCorrection())
    assert material.clean is not None
    assert material.clean.cases == ("c1", "c4")
    assert material.training.cases == ("c0", "c2", "c3", "c5")


def test_trusted_cases_from_a_folder_of_their_own_hold_nothing_out(data, tmp_path):
    material = load_and_check(config(data, clean=str(other_root(tmp_path / "other"))), SpatialCorrection())
    assert material.clean is not None
    assert (material.clean.cases, material.training.cases) == (("t0",), CASES)


def test_fewer_trusted_cases_leave_the_training_cases_as_they_are(data, tmp_path):
    few = listed(tmp_path / "few.txt", "c3")
    clean = str(trusted_folder(data, "c1", "c3"))
    material = load_and_check(config(data, clean=clean, clean_cases=few), SpatialCorrection())
    assert material.clean is not None
    assert (material.clean.cases, material.training.cases) == (("c3",), ("c0", "c2", "c4", "c5"))


def test_a_trusted_case_needs_no_given_labels(data):
    for name in ("heart", "lung"):
        (data / "given" / name / "c0.png").unlink()
    settings = {"clean": str(data / "trusted.txt"), "clean_labels": "clean"}
    assert load_and_check(config(data, **settings), SpatialCorrection()).training.cases == TRAINING


def test_a_training_case_needs_given_labels_though_others_are_held_out(data):
    for name in ("heart", "lung"):
        (data / "given" / name / "c3.png").unlink()
    with pytest.raises(MissingDataError, match=r"case c3 has an image .* no label"):
        load_and_check(
            config(data, clean=str(data / "trusted.txt"), clean_labels="clean"), SpatialCorrection()
        )


def test_given_labels_need_an_image_though_others_are_held_out(data):
    (data / "images" / "c3.png").unlink()
    with pytest.raises(MissingDataError, match=r"case c3 has labels .* no image"):
        load_and_check(
            config(data, clean=str(data / "trusted.txt"), clean_labels="clean"), SpatialCorrection()
        )


def test_only_listed_cases_are_trained_on_and_only_they_need_labels(data, tmp_path):
    for name in ("heart", "lung"):
        (data / "given" / name / "c5.png").unlink()
    cases = listed(tmp_path / "cases.txt", "c4", "c2")
    assert load_and_check(config(data, cases=cases), Plain()).training.cases == ("c2", "c4")


def test_a_listed_case_that_is_nowhere_is_named(pictures, tmp_path):
    cases = listed(tmp_path / "cases.txt", "c4", "nobody")
    with pytest.raises(MissingDataError, match="'nobody'"):
        load_and_check(config(pictures, cases=cases), Plain())


def test_a_listed_case_that_is_trusted_is_a_leak(pictures, tmp_path):
    cases = listed(tmp_path / "cases.txt", "c0", "c2")
    settings = {"cases": cases, "clean": str(pictures / "trusted.txt"), "clean_labels": "clean"}
    with pytest.raises(CleanCasesError, match="case c0 is trusted and trained on"):
        load_and_check(config(pictures, **settings), SpatialCorrection())


def test_a_trusted_case_of_another_folder_with_the_same_id_is_a_leak(data, tmp_path):
    clean = other_root(tmp_path / "other", case="c2")
    with pytest.raises(CleanCasesError, match="case c2 is trusted and trained on"):
        load_and_check(config(data, clean=str(clean)), SpatialCorrection())


def test_the_same_picture_under_another_name_is_a_leak(data, tmp_path):
    clean = other_root(tmp_path / "other")
    shutil.copy(data / "images" / "c2.png", clean / "images" / "t0.png")
    with pytest.raises(CleanCasesError, match=r"trusted case t0 .* same image as training case c2"):
        load_and_check(config(data, clean=str(clean)), SpatialCorrection())


def test_holding_out_every_case_leaves_nothing_to_train_on(pictures):
    with pytest.raises(MissingDataError, match="no case is left"):
        load_and_check(config(pictures, clean=str(pictures / "clean")), SpatialCorrection())


def test_a_method_that_needs_trusted_cases_says_how_to_give_them(pictures):
    with pytest.raises(CleanCasesError, match="SpatialCorrection needs trusted cases: give --clean"):
        load_and_check(config(pictures), SpatialCorrection())


def test_a_list_of_trusted_cases_needs_to_know_where_their_truth_is(pictures):
    with pytest.raises(CleanCasesError, match="--clean-labels"):
        load_and_check(config(pictures, clean=str(pictures / "trusted.txt")), SpatialCorrection())


def test_trusted_cases_that_are_nowhere_are_told(pictures, tmp_path):
    with pytest.raises(MissingDataError, match="neither a folder nor a text file"):
        load_and_check(config(pictures, clean=str(tmp_path / "nowhere")), SpatialCorrection())


def test_a_trusted_label_without_image_is_named(data):
    clean = trusted_folder(data, "c1")
    for name in ("heart", "lung"):
        shutil.copy(clean / name / "c1.png", clean / name / "z9.png")
    with pytest.raises(MissingDataError, match=r"trusted case z9 .* has no image"):
        load_and_check(config(data, clean=str(clean)), SpatialCorrection())


def test_trusted_labels_that_leave_a_choice_are_to_be_chosen(data, tmp_path):
    clean = other_root(tmp_path / "other")
    shutil.copytree(clean / "clean", clean / "second")
    with pytest.raises(CleanCasesError, match="clean, second; choose one with --clean-labels"):
        load_and_check(config(data, clean=str(clean)), SpatialCorrection())
    chosen = load_and_check(config(data, clean=str(clean), clean_labels="second"), SpatialCorrection())
    assert chosen.clean is not None
    assert chosen.clean.labels.path.name == "second"


def test_trusted_and_given_labels_have_the_same_classes(data, tmp_path):
    clean = other_root(tmp_path / "other")
    (clean / "clean" / "lung").rename(clean / "clean" / "liver")
    with pytest.raises(CleanCasesError, match=r"classes heart, liver.*have heart, lung"):
        load_and_check(config(data, clean=str(clean)), SpatialCorrection())


def test_trusted_and_training_images_are_of_one_kind(data, tmp_path):
    clean = other_root(tmp_path / "other")
    picture(clean / "images" / "t0.png", np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(GeometryError, match=r"2-D with 3 channel.*2-D with 1"):
        load_and_check(config(data, clean=str(clean)), SpatialCorrection())


def test_images_of_several_sizes_need_a_common_grid(data):
    picture(data / "images" / "c2.png", np.zeros((40, 32), np.uint8))
    for name in ("heart", "lung"):
        picture(data / "given" / name / "c2.png", np.ones((40, 32), bool))
    with pytest.raises(ConfigError, match=r"\(32, 32\), \(40, 32\).*--resize or --patch"):
        load_and_check(config(data), Plain())
    assert load_and_check(config(data, resize=32), Plain()).facts.shapes == {(32, 32), (40, 32)}
    assert load_and_check(config(data, patch=16), Plain()).facts.shapes == {(32, 32), (40, 32)}


def test_trusted_cases_of_another_size_are_fine_unless_they_are_trained_on(data, tmp_path):
    clean = str(other_root(tmp_path / "other", size=48))
    assert load_and_check(config(data, clean=clean), SpatialCorrection()).clean is not None
    with pytest.raises(ConfigError, match="--clean-repeat"):
        load_and_check(config(data, clean=clean, clean_repeat=1), SpatialCorrection())
    assert (
        load_and_check(config(data, clean=clean, clean_repeat=1, resize=32), SpatialCorrection()).clean
        is not None
    )


def test_a_reference_holds_every_training_case(data):
    for name in ("heart", "lung"):
        (data / "clean" / name / "c3.png").unlink()
    with pytest.raises(MissingDataError, match="case c3 is trained on but has no labels in --reference"):
        load_and_check(config(data, reference=str(data / "clean")), Plain())


def test_a_reference_has_the_classes_of_the_given_labels(data):
    shutil.rmtree(data / "clean" / "lung")
    with pytest.raises(ConfigError, match=r"--reference .* has the classes heart, the given"):
        load_and_check(config(data, reference=str(data / "clean")), Plain())


def test_a_reference_lies_on_the_grid_of_the_given_labels(data):
    for name in ("heart", "lung"):
        picture(data / "clean" / name / "c3.png", np.ones((16, 16), bool))
    with pytest.raises(GeometryError, match=r"case c3: .* differ in shape, \(32, 32\) and \(16, 16\)"):
        load_and_check(config(data, reference=str(data / "clean")), Plain())


def test_a_reference_that_cannot_be_read_is_known_before_training(data):
    path = data / "clean" / "lung" / "c3.png"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnreadableFileError, match=r"clean/lung/c3\.png"):
        load_and_check(config(data, reference=str(data / "clean")), Plain())


def test_no_data_folder_is_told():
    with pytest.raises(ConfigError, match="no data folder"):
        load_and_check(TrainConfig(), Plain())


def test_a_method_is_told_the_classes_and_how_often_they_occur(tmp_path):
    data = exclusive(tmp_path / "maps")
    classes = {"heart": 1, "lung": 2}
    facts = load_and_check(config(data, classes=classes, ignore=9), Plain()).for_method(seed=7)
    labels = np.stack(
        [open_dataset(data, "given", classes=classes, ignore=9).read_labels(c).array for c in CASES]
    )
    annotated = labels[labels != 9]
    assert (facts.classes, facts.overlapping, facts.ndim) == (("heart", "lung"), False, 2)
    assert (facts.n_cases, facts.seed) == (6, 7)
    assert facts.class_frequency == pytest.approx(((annotated == 1).mean(), (annotated == 2).mean()))


def test_progress_names_every_case_of_both_kinds(pictures):
    seen: list[str] = []
    settings = {"clean": str(pictures / "trusted.txt"), "clean_labels": "clean"}
    load_and_check(config(pictures, **settings), SpatialCorrection(), seen.append)
    assert seen == [*TRAINING, "c0"]


def finished_run(folder: Path, cases: list[str], clean: list[str], clean_repeat: int) -> Path:
    folder.mkdir()
    summary = {"cases": [{"case": case} for case in cases], "clean_cases": clean}
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "config.yaml").write_text(f"clean_repeat: {clean_repeat}\n")
    return folder


def test_a_first_round_that_never_saw_the_trusted_cases_is_taken(pictures, tmp_path):
    clean = open_dataset(pictures, "clean", cases=["c0"])
    check_first_round(finished_run(tmp_path / "run", ["c1", "c2"], ["c0"], clean_repeat=0), clean)


@pytest.mark.parametrize(("trained", "trusted", "repeat"), [(["c0", "c1"], [], 0), (["c1"], ["c0"], 2)])
def test_a_first_round_that_was_trained_on_a_trusted_case_is_refused(
    pictures, tmp_path, trained, trusted, repeat
):
    clean = open_dataset(pictures, "clean", cases=["c0"])
    with pytest.raises(CleanCasesError, match="case c0 is trusted, but the network of --first-round"):
        check_first_round(finished_run(tmp_path / "run", trained, trusted, repeat), clean)


def test_a_first_round_that_is_no_finished_run_is_refused(pictures, tmp_path):
    with pytest.raises(LabelmendError, match="no finished run"):
        check_first_round(tmp_path, open_dataset(pictures, "clean", cases=["c0"]))
