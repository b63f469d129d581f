"""Folders of drawn labels compared case by case, with scores worked out by hand."""

import json
import math

import numpy as np
import pytest

from drawing import picture, volume
from labelmend.errors import ConfigError, GeometryError, LabelValueError, MissingDataError
from labelmend.metrics import known_boundary_bias, surface_distances
from labelmend.workflows.evaluation import evaluate


def row(text: str) -> np.ndarray:
    """A picture of one row, a digit a pixel."""
    return np.array([[int(c) for c in text]], np.uint8)


def save_nifti(path, array, spacing_mm, shift=0.0) -> None:
    affine = np.diag([*spacing_mm, 1.0])
    affine[0, 3] = shift
    volume(path, array.astype(np.uint8), affine)


@pytest.fixture
def folders(tmp_path):
    """Heart (1) and lung (2): in case a the heart is one pixel too large on both sides, b is equal."""
    names = json.dumps({"labels": {"background": 0, "heart": 1, "lung": 2}})
    for folder in ("drawn", "truth"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "dataset.json").write_text(names)
    picture(tmp_path / "drawn" / "a.png", row("001111002200"))
    picture(tmp_path / "truth" / "a.png", row("000110002200"))
    for folder in ("drawn", "truth"):
        picture(tmp_path / folder / "b.png", row("000110002200"))
    return tmp_path / "drawn", tmp_path / "truth"


def test_every_case_and_class_has_a_score(folders):
    evaluation = evaluate(*folders, spacing_mm=(1.0, 2.0), tolerance_mm=1.0)
    assert [(s.case, s.class_name) for s in evaluation.scores] == [
        ("a", "heart"),
        ("a", "lung"),
        ("b", "heart"),
        ("b", "lung"),
    ]
    heart = evaluation.scores[0]
    assert heart.dice == pytest.approx(4 / 6)
    assert heart.iou == 0.5
    assert heart.nsd == 0  # the ends of the row, which are its boundary, are 2 mm off
    assert heart.hd95_mm == 2
    assert heart.boundary_bias_mm == -2  # too large: negative
    assert all((s.dice, s.nsd, s.hd95_mm, s.boundary_bias_mm) == (1, 1, 0, 0) for s in evaluation.scores[1:])


def test_the_summary_is_over_cases_and_then_over_classes(folders):
    summary = evaluate(*folders, spacing_mm=(1.0, 2.0)).summary()
    heart, lung = summary.classes
    assert heart.spreads["dice"].mean == pytest.approx((4 / 6 + 1) / 2)
    assert heart.spreads["dice"].sd == pytest.approx((1 / 3) / math.sqrt(2))
    assert heart.spreads["boundary_bias_mm"].median == -1
    assert lung.spreads["dice"].n == 2
    assert summary.mean["dice"] == pytest.approx((5 / 6 + 1) / 2)
    assert summary.mean["boundary_bias_mm"] == -0.5


def test_lengths_are_in_pixels_where_no_spacing_is_known(folders):
    assert evaluate(*folders).unit == "px"
    assert evaluate(*folders).scores[0].hd95_mm == 1
    assert evaluate(*folders, spacing_mm=2).unit == "mm"


def test_overlapping_folders_and_integer_maps_compare_by_name(folders, tmp_path):
    drawn, _ = folders
    for case, heart in (("a", "000110000000"), ("b", "000110000000")):
        picture(tmp_path / "masks" / "heart" / f"{case}.png", row(heart) * 255)
        picture(tmp_path / "masks" / "lung" / f"{case}.png", row("000000001100") * 255)
    evaluation = evaluate(drawn, tmp_path / "masks")
    assert [round(s.dice, 3) for s in evaluation.scores] == [0.667, 1, 1, 1]


def test_reference_cases_without_labels_are_listed_and_not_scored(folders):
    drawn, truth = folders
    picture(truth / "c.png", row("000110002200"))
    evaluation = evaluate(drawn, truth)
    assert evaluation.not_scored == ("c",)
    assert evaluation.n_cases == 2


def test_labels_without_a_reference_are_an_error_that_names_them(folders):
    drawn, truth = folders
    for index in range(7):
        picture(drawn / f"extra{index}.png", row("000110002200"))
    with pytest.raises(
        MissingDataError, match=r"7 of 9 cases in .*drawn.*extra0, .*extra6. Add them, or select"
    ):
        evaluate(drawn, truth)


def test_a_folder_that_does_not_exist_is_named(folders, tmp_path):
    with pytest.raises(MissingDataError, match="nowhere"):
        evaluate(folders[0], tmp_path / "nowhere")


def test_different_class_names_are_listed(folders):
    drawn, truth = folders
    (drawn / "dataset.json").write_text(json.dumps({"labels": {"heart": 1, "liver": 2}}))
    with pytest.raises(ConfigError, match=r"heart, liver.*heart, lung"):
        evaluate(drawn, truth)


def test_labels_without_names_take_those_of_the_reference(folders):
    drawn, truth = folders
    (drawn / "dataset.json").unlink()
    assert evaluate(drawn, truth).classes == ("heart", "lung")
    assert evaluate(truth, drawn).classes == ("heart", "lung")
    picture(drawn / "a.png", row("003110002200"))
    with pytest.raises(LabelValueError, match=r"case a: .*the value 3"):
        evaluate(drawn, truth)


def test_a_value_that_only_one_of_two_nameless_folders_holds_is_a_class_that_the_other_misses(folders):
    drawn, truth = folders
    for folder in folders:
        (folder / "dataset.json").unlink()
        picture(folder / "a.png", row("000110000000"))
    picture(drawn / "b.png", row("000110000000"))
    for labels, reference in ((drawn, truth), (truth, drawn)):
        evaluation = evaluate(labels, reference)
        assert evaluation.classes == ("1", "2")
        assert [s.dice for s in evaluation.scores if s.class_name == "2" and s.case == "b"] == [0]


def test_labels_that_are_empty_throughout_score_zero(folders):
    drawn, truth = folders
    (drawn / "dataset.json").unlink()
    for case in ("a", "b"):
        picture(drawn / f"{case}.png", row("000000000000"))
    summary = evaluate(drawn, truth).summary()
    assert summary.mean["dice"] == 0
    assert math.isnan(summary.mean["hd95_mm"])
    assert [(c.n_missing, c.n_infinite) for c in summary.classes] == [(2, 2), (2, 2)]


def test_classes_may_be_named_by_hand(folders):
    for folder in folders:
        (folder / "dataset.json").unlink()
    assert evaluate(*folders, classes={"heart": 1, "lung": 2}).classes == ("heart", "lung")


def test_pixels_the_reference_ignores_are_left_out_of_both(folders):
    drawn, truth = folders
    picture(truth / "a.png", row("009119002200"))
    heart = evaluate(drawn, truth, ignore=9).scores[0]
    assert heart.dice == 1
    assert heart.labels_vox == 2
    picture(drawn / "a.png", row("009111002200"))  # pixels that only the labels ignore count as background
    picture(truth / "a.png", row("001111002200"))
    assert evaluate(drawn, truth, ignore=9).scores[0].dice == pytest.approx(2 * 3 / 7)


def test_an_ignore_folder_beside_the_class_folders_is_heeded(tmp_path):
    picture(tmp_path / "drawn" / "heart" / "a.png", row("0011110000") * 255)
    picture(tmp_path / "truth" / "heart" / "a.png", row("0001100000") * 255)
    picture(tmp_path / "truth" / "ignore" / "a.png", row("0010010000") * 255)
    assert evaluate(tmp_path / "drawn", tmp_path / "truth").scores[0].dice == 1


def test_shapes_that_differ_are_an_error_with_case_and_files(folders):
    drawn, truth = folders
    picture(drawn / "b.png", row("0001100022"))
    with pytest.raises(GeometryError, match=r"case b: .*drawn/b.png and .*truth/b.png.*\(1, 10\).*\(1, 12\)"):
        evaluate(drawn, truth)


def test_three_dimensions_with_the_spacing_of_the_header(tmp_path):
    truth, drawn = np.zeros((2, 6, 7, 8), int)
    truth[1:4, 2:5, 2:6] = 1
    drawn[2:5, 2:5, 2:6] = 1  # one slice of 5 mm further
    save_nifti(tmp_path / "truth" / "a.nii.gz", truth, (5, 1, 1))
    save_nifti(tmp_path / "drawn" / "a.nii.gz", drawn, (5, 1, 1))
    evaluation = evaluate(tmp_path / "drawn", tmp_path / "truth")
    score = evaluation.scores[0]
    assert evaluation.unit == "mm"
    assert score.dice == pytest.approx(2 * 24 / 72)
    assert score.hd95_mm == 5


@pytest.mark.parametrize(
    ("spacing_mm", "shift", "what"), [((5, 1, 1.1), 0, "spacing"), ((5, 1, 1), 3, "affine")]
)
def test_volumes_that_lie_elsewhere_are_an_error(tmp_path, spacing_mm, shift, what):
    array = np.zeros((4, 5, 6), int)
    array[1:3, 1:3, 1:3] = 1
    save_nifti(tmp_path / "truth" / "a.nii.gz", array, (5, 1, 1))
    save_nifti(tmp_path / "drawn" / "a.nii.gz", array, spacing_mm, shift)
    with pytest.raises(GeometryError, match=f"case a: .* differ in {what}"):
        evaluate(tmp_path / "drawn", tmp_path / "truth")


@pytest.mark.parametrize(("stores", "lacks"), [("drawn", "truth"), ("truth", "drawn")])
def test_the_file_that_stores_its_spacing_gives_it_to_the_pair(tmp_path, stores, lacks):
    save_nifti(tmp_path / stores / "a.nii.gz", row("000110000000")[..., None], (1, 2.5, 1))
    picture(tmp_path / lacks / "a.png", row("000011000000"))
    evaluation = evaluate(tmp_path / "drawn", tmp_path / "truth")
    assert evaluation.unit == "mm"
    assert evaluation.scores[0].hd95_mm == pytest.approx(0.95 * 2.5)  # distances 0 and 2.5


def test_cases_with_and_without_spacing_are_not_put_into_one_table(tmp_path):
    flat = np.zeros((6, 5), np.uint8)
    flat[2:4, 1:4] = 1
    for folder in ("drawn", "truth"):
        save_nifti(tmp_path / folder / "a.nii.gz", flat[..., None], (2, 2, 2))
        picture(tmp_path / folder / "b.png", flat)
    with pytest.raises(GeometryError, match="case b has no spacing"):
        evaluate(tmp_path / "drawn", tmp_path / "truth")


@pytest.mark.parametrize("tolerance_mm", [-0.1, math.inf, math.nan])
def test_a_tolerance_that_is_no_distance_is_refused_before_any_file_is_read(tolerance_mm, tmp_path):
    with pytest.raises(ConfigError, match="tolerance"):
        evaluate(tmp_path / "nowhere", tmp_path / "nowhere", tolerance_mm=tolerance_mm)


def test_each_case_is_reported_once_with_the_total(folders):
    seen = []
    evaluate(*folders, progress=lambda tick: seen.append((tick.text, tick.total)))
    assert seen == [("a", 2), ("b", 2)]


def test_the_worst_come_first_and_those_without_score_not_at_all(folders):
    drawn, truth = folders
    for folder in folders:
        picture(folder / "b.png", row("000110000000"))
    evaluation = evaluate(drawn, truth)
    assert [(s.case, s.class_name) for s in evaluation.worst(9)] == [
        ("a", "heart"),
        ("a", "lung"),
        ("b", "heart"),
    ]
    assert len(evaluation.worst(1)) == 1


def test_the_dictionary_is_valid_json_and_keeps_the_infinite_apart(folders):
    drawn, truth = folders
    picture(drawn / "a.png", row("000000002200"))
    for folder in folders:
        picture(folder / "b.png", row("000110000000"))
    text = json.dumps(evaluate(drawn, truth).as_dict(), allow_nan=False)
    found = json.loads(text)
    by_name = {(s["case"], s["class"]): s for s in found["scores"]}
    assert by_name["a", "heart"]["hd95_mm"] == "inf"
    assert by_name["a", "heart"]["boundary_bias_mm"] is None
    assert by_name["b", "lung"]["dice"] is None
    heart = found["classes"][0]
    assert (heart["class"], heart["n_infinite"], heart["n_missing"]) == ("heart", 1, 1)
    assert found["unit"] == "px"


def test_the_published_noisy_radiographs_have_the_known_dice_and_are_too_large(jsrt):
    evaluation = evaluate(jsrt / "train" / "given_J1", jsrt / "train" / "clean", spacing_mm=1.4)
    spreads = {c.class_name: c.spreads for c in evaluation.summary().classes}
    assert evaluation.n_cases == 148
    for name, mean, sd in (("lung", 0.784, 0.023), ("heart", 0.772, 0.019), ("clavicle", 0.828, 0.027)):
        assert spreads[name]["dice"].mean == pytest.approx(mean, abs=0.0006)
        assert spreads[name]["dice"].sd == pytest.approx(sd, abs=0.0006)
        assert spreads[name]["boundary_bias_mm"].mean < -1


def streets(root, name="road"):
    """Two folders in which one pixel of sidewalk is drawn as road; value 255 is not annotated."""
    picture(root / "drawn" / "a.png", np.array([[0, 0, 0, 0, 1, 1, 2, 2, 255, 0]], np.uint8))
    picture(root / "truth" / "a.png", np.array([[0, 0, 0, 1, 1, 1, 2, 2, 255, 255]], np.uint8))
    names = {"labels": {name: 0, "sidewalk": 1, "building": 2, "ignore": 255}}
    (root / "dataset.json").write_text(json.dumps(names))
    return root / "drawn", root / "truth"


def test_a_named_class_0_has_its_row_like_the_others(tmp_path):
    folders = streets(tmp_path)
    found = evaluate(*folders, tolerance_mm=0)
    assert found.classes == ("road", "sidewalk", "building")
    road, sidewalk, building = found.scores
    assert (road.labels_vox, road.reference_vox, road.dice) == (4, 3, pytest.approx(6 / 7))
    assert (sidewalk.labels_vox, sidewalk.reference_vox, sidewalk.dice) == (2, 3, pytest.approx(4 / 5))
    assert (building.dice, building.nsd) == (1, 1)
    assert found.summary().mean["dice"] == pytest.approx((6 / 7 + 4 / 5 + 1) / 3)
    assert [c["class"] for c in found.as_dict()["classes"]] == ["road", "sidewalk", "building"]


def test_names_given_by_hand_make_0_a_class_and_background_none(tmp_path):
    folders = streets(tmp_path, "background")
    assert evaluate(*folders).classes == ("sidewalk", "building")
    by_hand = {"road": 0, "sidewalk": 1, "building": 2}
    assert evaluate(*folders, classes=by_hand, ignore=255).classes == ("road", "sidewalk", "building")


def test_a_class_0_is_matched_by_its_name_whatever_its_value_on_the_other_side(tmp_path):
    drawn, truth = streets(tmp_path)
    picture(drawn / "a.png", np.array([[3, 3, 3, 3, 0, 0, 2, 2, 255, 3]], np.uint8))
    names = {"labels": {"road": 3, "sidewalk": 0, "building": 2, "ignore": 255}}
    (drawn / "dataset.json").write_text(json.dumps(names))
    found = evaluate(drawn, truth)
    assert [s.dice for s in found.scores] == [pytest.approx(6 / 7), pytest.approx(4 / 5), 1]


def test_labels_without_names_take_those_of_the_other_folder_with_class_0(tmp_path):
    drawn, truth = streets(tmp_path)
    (tmp_path / "dataset.json").rename(truth / "dataset.json")
    picture(drawn / "a.png", np.zeros((1, 10), np.uint8))  # all road
    assert [s.labels_vox for s in evaluate(drawn, truth).scores] == [8, 0, 0]


def test_a_class_0_that_only_one_side_names_is_told_with_the_names_of_both(tmp_path):
    drawn, truth = streets(tmp_path)
    (drawn / "dataset.json").write_text(
        json.dumps({"labels": {"background": 0, "sidewalk": 1, "building": 2}})
    )
    with pytest.raises(
        ConfigError, match=r"has the classes sidewalk, building, .* has road, sidewalk, building"
    ):
        evaluate(drawn, truth, ignore=255)


def test_labels_stored_in_another_orientation_than_the_reference_are_compared_in_the_world(tmp_path):
    truth = np.zeros((4, 5, 6), int)
    truth[0:2, 1:3, 1:5] = 1
    save_nifti(tmp_path / "truth" / "a.nii.gz", truth, (5, 1, 1))
    save_nifti(tmp_path / "drawn" / "a.nii.gz", truth[::-1], (-5, 1, 1), shift=15)
    (score,) = evaluate(tmp_path / "drawn", tmp_path / "truth").scores
    assert (score.dice, score.hd95_mm) == (1, 0)


def test_a_pixdim_unlike_the_affine_and_a_spacing_unlike_the_header_are_told(tmp_path):
    for folder in ("truth", "drawn"):
        array = np.zeros((4, 5, 6), int)
        array[1:3, 1:3, 1 + (folder == "drawn") : 4] = 1
        save_nifti(tmp_path / folder / "a.nii", array, (5, 1, 0.5))
        data = bytearray((tmp_path / folder / "a.nii").read_bytes())
        data[80:92] = np.array([1, 1, 1], "<f4").tobytes()
        (tmp_path / folder / "a.nii").write_bytes(data)
    found = evaluate(tmp_path / "drawn", tmp_path / "truth")
    assert found.scores[0].hd95_mm == 0.5
    assert (
        "pixdim gives a voxel size of 1 x 1 x 1 mm, but the affine 5 x 1 x 0.5 mm"
        in found.as_dict()["notes"][0]
    )
    by_hand = evaluate(tmp_path / "drawn", tmp_path / "truth", spacing_mm=(5, 1, 2))
    assert by_hand.scores[0].hd95_mm == 2
    assert "The spacing you set, 5 x 1 x 2 mm, overrides 5 x 1 x 0.5 mm" in by_hand.notes[1]


@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 1), (1, 6, 9), (6, 1, 9)])
def test_a_single_slice_scores_the_same_in_every_shape(tmp_path, shape):
    truth, drawn = np.zeros((6, 9), int), np.zeros((6, 9), int)
    truth[1:5, 1:5], drawn[1:5, 1:8] = 1, 1
    steps = iter((1.0, 2.0))
    spacing = [next(steps) if size > 1 else 7.0 for size in (*shape, 1)[:3]]
    for folder, array in (("truth", truth), ("drawn", drawn)):
        save_nifti(tmp_path / folder / "a.nii", array.reshape(shape), spacing)
    (score,) = evaluate(tmp_path / "drawn", tmp_path / "truth", tolerance_mm=1).scores
    flat = surface_distances(drawn == 1, truth == 1, spacing_mm=(1.0, 2.0))
    assert (score.nsd, score.hd95_mm) == (flat.nsd(1), flat.hausdorff(95))
    assert 0 < score.nsd < 1
    assert score.boundary_bias_mm == pytest.approx(
        known_boundary_bias(drawn == 1, truth == 1, spacing_mm=(1, 2))
    )


DRAWN = {"a": row("001111002200"), "b": row("000110002200")}
TRUTH = {"a": row("000110002200"), "b": row("000110002200"), "c": row("000110002200")}
NAMES = {"heart": 1, "lung": 2}


def test_arrays_are_scored_like_folders(folders):
    of_folders = evaluate(*folders, spacing_mm=(1.0, 2.0), tolerance_mm=1.0)
    of_arrays = evaluate(DRAWN, TRUTH, classes=NAMES, spacing_mm=(1.0, 2.0), tolerance_mm=1.0)
    assert of_arrays.scores == of_folders.scores
    assert (of_arrays.not_scored, of_arrays.unit, of_arrays.notes) == (("c",), "mm", ())
    assert (of_arrays.labels, of_arrays.as_dict()["reference"]) == (None, None)


def test_arrays_may_be_compared_with_a_folder(folders):
    assert evaluate(DRAWN, folders[1]).scores == evaluate(*folders).scores


def test_arrays_one_after_the_other_and_boolean_masks_are_scored():
    stack = np.stack([*DRAWN.values()]), np.stack([TRUTH["a"], TRUTH["b"]])
    of_maps = evaluate(*stack, classes=["heart", "lung"])
    masks = [[np.stack([labels == 1, labels == 2]) for labels in cases] for cases in stack]
    assert evaluate(*masks, classes=["heart", "lung"]).scores == of_maps.scores
    assert [score.case for score in of_maps.scores] == ["0", "0", "1", "1"]


def test_arrays_without_names_lend_each_other_theirs():
    evaluation = evaluate({"a": row("0011")}, {"a": row("0012")})
    assert {score.class_name: score.dice for score in evaluation.scores} == {
        "1": pytest.approx(2 / 3),
        "2": 0,
    }
    empty = evaluate({"a": row("0000")}, {"a": row("0012")})
    assert [score.dice for score in empty.scores] == [0, 0]


def test_arrays_that_do_not_fit_are_named_by_case():
    with pytest.raises(MissingDataError, match=r"1 of 2 cases in the set of arrays have no reference .* b\."):
        evaluate(DRAWN, {"a": TRUTH["a"]}, classes=NAMES)
    with pytest.raises(GeometryError, match=r"case a: an array and an array differ in shape, \(1, 12\)"):
        evaluate({"a": DRAWN["a"]}, {"a": TRUTH["a"].T}, classes=NAMES)
    with pytest.raises(MissingDataError, match=r"no labels for the requested cases: x\. It has a, b"):
        evaluate(DRAWN, TRUTH, classes=NAMES, cases=["x"])


def test_the_result_shows_the_lowest_dice_first(folders):
    evaluation = evaluate(*folders)
    assert repr(evaluation).splitlines()[0] == "2 cases compared: mean Dice 0.917; lengths in px"
    lowest, *_ = evaluation.rows()
    assert (lowest["case"], lowest["class"]) == ("a", "heart")
    frame = evaluation.to_frame()
    assert (len(frame), frame["dice"].min()) == (4, pytest.approx(4 / 6))
    assert "<table>" in evaluation._repr_html_()
