"""Cross-fitting: every case predicted by a network that has not seen it, resumed, fold by fold, refused."""

import json
import shutil

import numpy as np
import pytest

import drawn_data
from drawing import picture
from labelmend.errors import ConfigError, MissingDataError, OutputError
from labelmend.io import open_labels, read_image, read_label_array
from labelmend.io.probabilities.open_probabilities import open_probabilities
from labelmend.model.predictor import load_predictor
from labelmend.workflows.crossfitting import fold_network
from labelmend.workflows.crossfitting.choose import FoldTraining
from labelmend.workflows.crossfitting.crossfit import crossfit

QUICK = FoldTraining(network=drawn_data.TINY, epochs=1, batch_size=2, threads=1)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return drawn_data.overlapping(tmp_path_factory.mktemp("pictures"))


def go(data, out, **settings):
    settings = {"folds": 2, "train": QUICK, "device": "cpu"} | settings
    return crossfit(data / "given", data / "images", out=out, **settings)


def test_every_case_is_predicted_once_by_a_network_that_was_trained_without_it(pictures, tmp_path):
    made = go(pictures, tmp_path / "out")
    assert sorted(p.stem for p in made.probabilities.iterdir()) == list(drawn_data.CASES)
    folds = json.loads((tmp_path / "out/crossfit.json").read_text())["asked"]["folds"]
    labels = open_labels(pictures / "given")
    for case, fold in folds.items():
        own = load_predictor(tmp_path / "out" / f"fold_{fold}")
        other = load_predictor(tmp_path / "out" / f"fold_{1 - fold}")
        image = read_image(pictures / "images" / f"{case}.png")
        found = open_probabilities(made.probabilities, labels).read(case, labels.read(case))
        assert np.allclose(found, own.probs(image), atol=1e-3)
        assert not np.allclose(found, other.probs(image), atol=1e-3)
    trained = [row["n_trained"] for row in made.folds]
    assert trained == [3, 3]


def test_finished_folds_are_kept_and_a_killed_fold_continues(pictures, tmp_path, monkeypatch):
    whole = go(pictures, tmp_path / "whole")

    def stop(path, probs):
        if path.parent.exists() and len(list(path.parent.iterdir())) == 4:
            raise KeyboardInterrupt
        write(path, probs)

    write = fold_network.write_probabilities
    monkeypatch.setattr(fold_network, "write_probabilities", stop)
    with pytest.raises(KeyboardInterrupt):
        go(pictures, tmp_path / "killed")
    assert (tmp_path / "killed/fold_0/fold.json").exists()
    monkeypatch.setattr(fold_network, "write_probabilities", write)
    before = (tmp_path / "killed/fold_0/model.safetensors").stat().st_mtime_ns
    go(pictures, tmp_path / "killed")
    assert (tmp_path / "killed/fold_0/model.safetensors").stat().st_mtime_ns == before
    for case in drawn_data.CASES:
        one, two = (np.load(tmp_path / n / f"probabilities/{case}.npz")["probs"] for n in ("whole", "killed"))
        assert np.array_equal(one, two)
    assert whole.missing == ()


def test_folds_run_as_separate_jobs(pictures, tmp_path):
    first = go(pictures, tmp_path / "out", fold=1)
    assert first.missing == (0,)
    with pytest.raises(MissingDataError, match="folds 0 are not finished"):
        first.sentences()
    both = go(pictures, tmp_path / "out", fold=0)
    assert both.missing == ()
    assert "predicted by one of 2 networks" in both.sentences()[0]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"fold": 2}, ConfigError, "fold must be between 0 and 1, got 2"),
        ({"minutes": 0}, ConfigError, "minutes must be positive"),
        ({"folds": 9}, ConfigError, "6 cases or groups, too few for 9 folds"),
        ({"cases": ["c0", "nobody"]}, MissingDataError, "case nobody has no file"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_anything_is_written(
    pictures, tmp_path, settings, error, message
):
    with pytest.raises(error, match=message):
        go(pictures, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_another_cross_fit_is_not_mixed_with_this_one(pictures, tmp_path):
    go(pictures, tmp_path / "out")
    with pytest.raises(OutputError, match="cross-fit with other folds, seed"):
        go(pictures, tmp_path / "out", seed=1)


def test_a_folder_with_something_else_is_refused(pictures, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"already holds mine\.txt"):
        go(pictures, tmp_path)


def test_coco_files_are_not_trained_on_and_the_message_says_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match="export one mask per image, or give --probabilities"):
        crossfit(tmp_path / "labels.json", tmp_path, out=tmp_path / "out")


def raw_dataset(root, pictures, channels=1):
    """A raw data set of nnU-Net with the heart of each picture, and so many channels."""
    home = root / "Dataset005_Heart"
    (home / "labelsTr").mkdir(parents=True)
    (home / "imagesTr").mkdir()
    for case in drawn_data.CASES:
        for channel in range(channels):
            shutil.copy(pictures / f"images/{case}.png", home / f"imagesTr/{case}_{channel:04d}.png")
        mask = read_label_array(pictures / f"given/heart/{case}.png")[0] > 0
        picture(home / f"labelsTr/{case}.png", mask * 1)
    names = {str(channel): "xray" for channel in range(channels)}
    facts = {"channel_names": names, "labels": {"background": 0, "heart": 1}, "file_ending": ".png"}
    (home / "dataset.json").write_text(json.dumps(facts | {"numTraining": len(drawn_data.CASES)}))
    return home


def test_a_raw_data_set_of_nnunet_needs_no_folder_of_images(pictures, tmp_path):
    made = crossfit(raw_dataset(tmp_path, pictures), out=tmp_path / "out", folds=2, train=QUICK, device="cpu")
    assert np.load(made.probabilities / "c0.npz")["probs"].shape == (2, 32, 32)
    assert "2 of 2 folds finished" in repr(made)


def test_several_channels_are_refused_with_advice(pictures, tmp_path):
    home = raw_dataset(tmp_path, pictures, channels=2)
    with pytest.raises(ConfigError, match=r"2 channels per case, .* trained on one: give --images"):
        crossfit(home, out=tmp_path / "out", train=QUICK)
