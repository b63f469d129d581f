"""The network of a fold: what it never saw, the grid it predicts on, how well it agrees with the labels."""

import json
import shutil

import nibabel
import numpy as np

import drawn_data
from labelmend.types import Grid, LabelMap
from labelmend.workflows.crossfitting.choose import FoldTraining
from labelmend.workflows.crossfitting.crossfit import crossfit
from labelmend.workflows.crossfitting.fold_network import _dice

QUICK = FoldTraining(network=drawn_data.TINY, epochs=1, batch_size=2, threads=1)


def go(data, out, **settings):
    settings = {"folds": 2, "train": QUICK, "device": "cpu"} | settings
    return crossfit(data / "given", data / "images", out=out, **settings)


def test_a_case_does_not_change_its_own_prediction(tmp_path):
    """The proof that predictions are out of sample: other labels of a case leave its probabilities alone."""
    pictures = drawn_data.overlapping(tmp_path / "pictures")
    made = go(pictures, tmp_path / "one")
    changed = tmp_path / "data"
    shutil.copytree(pictures, changed)
    for name in ("heart", "lung"):
        shutil.copy(pictures / "given" / name / "c1.png", changed / "given" / name / "c0.png")
    again = go(changed, tmp_path / "two")
    same = {
        case: np.array_equal(*(np.load(r.probabilities / f"{case}.npz")["probs"] for r in (made, again)))
        for case in drawn_data.CASES
    }
    folds = json.loads((tmp_path / "one/crossfit.json").read_text())["asked"]["folds"]
    assert same["c0"]
    assert all(same[case] == (folds[case] == folds["c0"]) for case in drawn_data.CASES)


def test_volumes_stored_in_several_orientations_get_probabilities_on_the_grid_of_their_labels(tmp_path):
    data = drawn_data.volumes(tmp_path / "data")
    path = data / "given" / "c1.nii.gz"
    for folder in ("images", "given"):
        file = data / folder / "c1.nii.gz"
        volume = nibabel.load(file)
        turned = volume.as_reoriented([[2, 1], [0, -1], [1, 1]])
        nibabel.save(turned, file)
    made = go(data, tmp_path / "out", classes={"organ": 1, "lesion": 2})
    probs = np.load(made.probabilities / "c1.npz")["probs"]
    assert probs.shape == (3, *nibabel.load(path).shape)
    assert np.allclose(probs.astype(float).sum(0), 1, atol=0.01)


def test_agreement_is_the_mean_dice_of_the_classes_that_are_there():
    given = LabelMap(np.array([[1, 1, 0, 0]]), Grid((1, 4), (1.0, 1.0)), ("a", "b"))
    probs = np.zeros((3, 1, 4), np.float32)
    probs[1, 0, 1:3], probs[0, 0, [0, 3]] = 1, 1
    assert _dice(probs, given) == 0.5  # one of two pixels; class b is in neither
