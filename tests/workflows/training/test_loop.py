"""The main job on small drawn data, from folder to folder."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import ClassVar

import nibabel
import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState, GradientState
from PIL import Image
from torch import nn

import labelmend
from drawing import picture
from drawn_data import AFFINE, ALWAYS, CASES, QUICK, TRAINING, contents, half_files
from labelmend.errors import ConfigError, LabelmendError, OutputError
from labelmend.geometry.orientation import Turn
from labelmend.io import checksum, open_labels, read_image, read_label_array, read_manifest
from labelmend.methods.base import Needs, revision
from labelmend.methods.forward_t import ForwardT
from labelmend.methods.plain import Plain
from labelmend.model.config import NetworkConfig
from labelmend.model.predictor import load_predictor
from labelmend.runtime.progress import Tick
from labelmend.types import Grid
from labelmend.workflows.training.config import AugmentConfig, TrainConfig
from labelmend.workflows.training.results import RunResult
from labelmend.workflows.training.train import train

DEEPER = NetworkConfig("UNet", {"channels": [4, 8, 8], "strides": [2, 2]})


class Pixelwise(nn.Module):
    """Classes by brightness: each is predicted somewhere and not everywhere, however short the training."""

    def __init__(self, ndim: int = 2, out_channels: int = 2) -> None:
        super().__init__()
        self.layer = (nn.Conv2d if ndim == 2 else nn.Conv3d)(1, out_channels, 1)
        with torch.no_grad():
            for channel in range(out_channels):
                self.layer.weight[channel] = channel - (out_channels - 1) / 2
                self.layer.bias[channel] = 0.0

    def forward(self, image):
        return self.layer(image)


def trusted(data: Path) -> dict[str, str]:
    return {"clean": str(data / "trusted.txt"), "clean_labels": "clean"}


def go(data: Path, out: Path, **more) -> RunResult:
    return train(data, out=out, labels="given", **{"method": "plain", **QUICK, **more})


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def whole(data: Path) -> dict:
    """The settings of the run that most tests look at."""
    return {"reference": data / "clean", "method": ALWAYS, "network": Pixelwise(), **trusted(data)}


# ---- overlapping classes in pictures, and all that a run leaves


@pytest.fixture(scope="module")
def ticks() -> list[Tick]:
    return []


@pytest.fixture(scope="module")
def before(pictures) -> dict[str, str]:
    return contents(pictures)


@pytest.fixture(scope="module")
def result(pictures, before, ticks, tmp_path_factory) -> RunResult:
    """Two rounds of two epochs, all five training cases corrected."""
    out = tmp_path_factory.mktemp("runs") / "run"
    return go(pictures, out, **whole(pictures), progress=ticks.append)


def test_every_training_case_gets_its_labels_in_the_structure_of_the_given_ones(result):
    expected = [f"{name}/{case}.png" for name in ("heart", "lung") for case in TRAINING]
    assert list(contents(result.labels)) == expected


def test_labels_are_corrected_in_the_format_of_the_given_ones(result, pictures):
    for name in ("heart", "lung"):
        new, old = (Image.open(folder / name / "c1.png") for folder in (result.labels, pictures / "given"))
        assert (new.mode, new.size) == (old.mode, old.size)
        assert set(np.unique(new)) == {0, 255}
        assert not np.array_equal(new, old)


def test_originals_stay_as_they_are(result, pictures, before):
    assert contents(pictures) == before


def test_a_folder_that_another_process_trains_in_is_refused(pictures, tmp_path):
    refused = []

    def meanwhile(tick: Tick) -> None:
        if tick.stage == "writing labels" and not refused:
            with pytest.raises(OutputError, match="is being written by process"):
                go(pictures, tmp_path / "run", epochs=1)
            refused.append(tick)

    go(pictures, tmp_path / "run", epochs=1, progress=meanwhile)
    assert len(refused) == 1
    assert half_files(tmp_path) == []


def test_labels_removed_while_others_are_written_are_told_and_written_again(pictures, tmp_path):
    out, first = tmp_path / "run", []

    def remove(tick: Tick) -> None:
        if tick.stage == "writing labels":
            first.extend(path for path in (out / "labels").rglob("*.png") if not first)
            first[0].unlink(missing_ok=True)

    with pytest.raises(
        OutputError, match="were removed while others were written: run the same command again"
    ):
        go(pictures, out, epochs=1, progress=remove)
    go(pictures, out, epochs=1)
    assert first[0].is_file()
    before = contents(out / "labels")
    first[0].unlink()
    go(pictures, out, epochs=1)  # of a finished run too
    assert contents(out / "labels") == before


def test_no_half_file_is_left(result):
    assert half_files(result.folder) == []


def test_a_run_leaves_these_files(result):
    assert {path.name for path in result.folder.iterdir()} == {
        "checkpoint",
        "config.yaml",
        "labels",
        "manifest.jsonl",
        "metrics.jsonl",
        "model.json",
        "model.safetensors",
        "report.html",
        "summary.json",
    }


def test_every_epoch_of_every_round_has_one_row(result):
    assert [(row["round"], row["epoch"]) for row in rows(result.folder)] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert all(np.isfinite(row["loss"]) for row in rows(result.folder))


def test_every_written_file_has_a_manifest_row_with_its_checksum(result):
    manifest = read_manifest(result.folder / "manifest.jsonl")
    assert [row.case for row in manifest] == list(TRAINING)
    for row in manifest:
        assert checksum(*(result.folder / name for name in row.files)) == row.checksum
    named = [name for row in manifest for name in row.files]
    assert sorted(named) == [f"labels/{name}" for name in contents(result.labels)]


def test_a_manifest_row_tells_where_the_labels_come_from(result, pictures):
    row = read_manifest(result.folder / "manifest.jsonl")[0]
    sources = [pictures / "given" / name / "c1.png" for name in ("heart", "lung")]
    assert (row.parent, row.parent_checksum) == (str(pictures / "given"), checksum(*sources))
    assert (row.method, row.version, row.seed) == ("spatial_correction", 2, 0)
    assert row.parameters["min_shift_vox"] == 0.0
    assert "predicted boundary moved" in row.reason
    assert row.labelmend_version == labelmend.__version__


def test_the_summary_tells_rounds_cases_and_folders(result, pictures):
    summary = result.summary
    assert [(r["round"], r["n_revised"], len(r["bias"])) for r in summary["rounds"]] == [(1, 5, 2), (2, 5, 2)]
    assert [row["case"] for row in summary["cases"]] == list(TRAINING)
    assert summary["clean_cases"] == ["c0"]
    assert (summary["classes"], summary["overlapping"], summary["unit"]) == (["heart", "lung"], True, "px")
    assert (summary["given"], summary["images"]) == (str(pictures / "given"), str(pictures / "images"))
    assert "Yao" in summary["paper"]


def test_counted_changes_are_those_of_the_files(result, pictures):
    given, corrected = open_labels(pictures / "given"), open_labels(result.labels)
    for row in result.summary["cases"]:
        old, new = given.read(row["case"]).masks(), corrected.read(row["case"]).masks()
        assert row["added_vox"] == (new & ~old).sum((1, 2)).tolist()
        assert row["removed_vox"] == (old & ~new).sum((1, 2)).tolist()


def test_the_report_is_one_page(result):
    assert (result.folder / "report.html").read_text().startswith("<!")


def test_the_saved_network_knows_what_undoes_the_bias_of_the_last_round(result):
    card = load_predictor(result.folder, network=Pixelwise()).card
    last = result.summary["rounds"][-1]["bias"]
    assert [row["moved"] for row in last] == [True, True]
    assert card.correction["settings"] == {"undo": [[row["level"], row["shift_mm"]] for row in last]}
    assert card.correction["method"] == "spatial_correction"
    assert type(ALWAYS)(**card.correction["parameters"]) == ALWAYS


def test_a_run_whose_summary_was_deleted_writes_its_model_anew_and_trains_nothing(result, pictures, tmp_path):
    shutil.copytree(result.folder, tmp_path / "run")
    (tmp_path / "run" / "summary.json").unlink()
    (tmp_path / "run" / "model.json").write_text("{}")
    ticks = []
    go(pictures, tmp_path / "run", **whole(pictures), progress=ticks.append)
    assert (tmp_path / "run" / "model.json").read_text() == (result.folder / "model.json").read_text()
    assert {tick.stage for tick in ticks} <= {"checking data", "writing labels"}


def test_the_saved_network_predicts_on_the_grid_of_an_image(result, pictures):
    predictor = load_predictor(result.folder, network=Pixelwise())
    assert predictor.masks(read_image(pictures / "images" / "c0.png")).shape == (2, 32, 32)


def test_progress_goes_through_the_stages_in_order(result, ticks):
    stages = list(dict.fromkeys(tick.stage for tick in ticks))
    assert stages == [
        "checking data",
        "measuring on trusted cases",
        "revising, round 1",
        "round 2",
        "revising, round 2",
        "writing labels",
    ] or stages == [
        "checking data",
        "round 1",
        "measuring on trusted cases",
        "revising, round 1",
        "round 2",
        "revising, round 2",
        "writing labels",
    ]
    for stage in ("round 1", "round 2", "writing labels"):
        done = [tick.done for tick in ticks if tick.stage == stage]
        assert done == list(range(1, done[-1] + 1))
        assert done[-1] == next(tick.total for tick in ticks if tick.stage == stage)


def test_a_finished_run_that_is_started_again_changes_nothing(result, pictures):
    files = contents(result.folder)
    again = go(pictures, result.folder, **whole(pictures))
    assert again.summary == result.summary
    assert contents(result.folder) == files


def test_a_deleted_report_is_written_again(result, pictures):
    page = (result.folder / "report.html").read_bytes()
    (result.folder / "report.html").unlink()
    go(pictures, result.folder, **whole(pictures))
    assert (result.folder / "report.html").read_bytes() == page


def test_the_network_that_was_handed_in_stays_as_it_is(pictures, tmp_path):
    network = Pixelwise()
    start = {key: value.clone() for key, value in network.state_dict().items()}
    go(pictures, tmp_path / "run", method="plain", network=network)
    assert all(torch.equal(value, start[key]) for key, value in network.state_dict().items())


# ---- the same settings, the same labels


def weights(pictures: Path, out: Path, **more) -> bytes:
    go(pictures, out, **more, method="plain")
    return (out / "model.safetensors").read_bytes()


def test_the_seed_alone_decides(pictures, tmp_path):
    one = weights(pictures, tmp_path / "one", seed=4)
    assert one == weights(pictures, tmp_path / "two", seed=4)
    assert one != weights(pictures, tmp_path / "other", seed=5)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_processes_that_load_data_change_nothing(pictures, tmp_path):
    more = {"augment": dataclasses.replace(TrainConfig().augment, rotate_deg=5.0), "epochs": 1}
    alone = weights(pictures, tmp_path / "alone", **more)
    assert alone == weights(pictures, tmp_path / "helped", workers=1, **more)


def test_memory_for_cases_changes_nothing(pictures, tmp_path):
    assert weights(pictures, tmp_path / "one") == weights(pictures, tmp_path / "two", cache_gib=0.0)


# ---- integer maps with pixels to ignore


@pytest.fixture(scope="module")
def maps_result(integer_maps, tmp_path_factory) -> RunResult:
    more = {"classes": {"lung": 2, "heart": 1}, "ignore": 9, **trusted(integer_maps)}
    out = tmp_path_factory.mktemp("runs") / "maps"
    return go(integer_maps, out, **more, method=ALWAYS, network=Pixelwise(out_channels=3))


def test_pixels_to_ignore_come_back_as_they_were(maps_result, integer_maps):
    for case in TRAINING:
        old = np.array(Image.open(integer_maps / "given" / f"{case}.png"))
        new = np.array(Image.open(maps_result.labels / f"{case}.png"))
        assert np.array_equal(new == 9, old == 9)
        assert (old == 9).any()


def test_corrected_integer_maps_hold_no_new_value(maps_result, integer_maps):
    changed = 0
    for case in TRAINING:
        old = np.array(Image.open(integer_maps / "given" / f"{case}.png"))
        new = np.array(Image.open(maps_result.labels / f"{case}.png"))
        assert new.dtype == np.uint8
        assert set(np.unique(new)) <= {0, 1, 2, 9}
        changed += int((old != new).sum())
    assert changed > 0


def test_classes_of_integer_maps_are_named_and_in_the_order_of_their_values(maps_result):
    assert maps_result.summary["classes"] == ["heart", "lung"]
    assert maps_result.summary["label_values"] == {"heart": 1, "lung": 2}
    assert maps_result.summary["ignore"] == 9


def test_the_parent_of_an_integer_map_is_its_file(maps_result, integer_maps):
    row = read_manifest(maps_result.folder / "manifest.jsonl")[0]
    assert (row.files, row.parent) == (("labels/c1.png",), str(integer_maps / "given" / "c1.png"))


def test_a_class_stored_as_255_is_written_and_predicted_as_255(integer_maps, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(integer_maps / "images", data / "images")
    (data / "given").mkdir()
    for case in CASES:
        array = np.array(Image.open(integer_maps / "clean" / f"{case}.png"))
        picture(data / "given" / f"{case}.png", np.where(array == 2, 255, 0).astype(np.uint8))
    result = go(data, tmp_path / "run", epochs=1, network=Pixelwise())
    assert set(np.unique(Image.open(result.labels / "c1.png"))) == {0, 255}
    assert load_predictor(result.folder, network=Pixelwise()).card.values == (255,)


# ---- volumes


class Graded(Pixelwise):
    """Classes by brightness that fades along the first axis: it matters which one that is."""

    def forward(self, image):
        fading = torch.linspace(2, 0, image.shape[2]).reshape(1, 1, -1, 1, 1)
        return self.layer(image * fading)


def stored_otherwise(path: Path, turn: Turn) -> None:
    """The same volume at the same place with other axes."""
    image = nibabel.load(path)
    old = Grid(image.shape, tuple(map(float, image.header.get_zooms())), image.affine)
    nibabel.save(
        nibabel.Nifti1Image(turn.apply(np.asarray(image.dataobj)), turn.grid(old).affine, dtype=np.int16)
        if image.get_data_dtype() == np.int16
        else nibabel.Nifti1Image(turn.apply(np.asarray(image.dataobj)), turn.grid(old).affine),
        path,
    )


def test_how_volumes_are_stored_does_not_matter(scans, tmp_path):
    """Images, labels and trusted cases in other orientations, each alone or together: the same masks."""
    other = tmp_path / "other"
    shutil.copytree(scans, other)
    turn, flip = Turn((2, 0, 1), (False, True, False)), Turn((0, 1, 2), (True, False, False))
    for folder in ("images", "given"):
        stored_otherwise(other / folder / f"{TRAINING[0]}.nii.gz", turn)
    stored_otherwise(other / "given" / f"{TRAINING[1]}.nii.gz", flip)
    stored_otherwise(other / "clean" / "c0.nii.gz", turn)
    more = {"method": ALWAYS, "resize": [16, 16, 8], **trusted(scans)}
    one = go(scans, tmp_path / "one", network=Graded(3, 3), **more)
    two = go(other, tmp_path / "two", network=Graded(3, 3), **more)
    changed = 0
    for case, undo in zip(TRAINING, [turn, flip, None, None, None], strict=False):
        a, b = (read_label_array(result.labels / f"{case}.nii.gz")[0] for result in (one, two))
        assert np.array_equal(a, b if undo is None else undo.undo(b))
        changed += int((a != read_label_array(scans / "given" / f"{case}.nii.gz")[0]).sum())
    assert changed > 0
    assert one.summary["rounds"] == two.summary["rounds"]
    assert any("volumes are stored as" in note for note in two.summary["notes"])
    assert not any("stored" in note for note in one.summary["notes"])
    predictor = load_predictor(two.folder, network=Graded(3, 3))
    a, b = (read_image(data / "images" / f"{TRAINING[0]}.nii.gz") for data in (scans, other))
    assert np.array_equal(predictor.probs(a), turn.undo(predictor.probs(b)))
    pixels = np.arange(7, 40)
    places = turn.undo(np.arange(b.array.size).reshape(b.grid.shape)).ravel()[pixels]
    assert np.array_equal(predictor.features(a, pixels), predictor.features(b, places))


def check_volumes(result: RunResult, scans: Path) -> None:
    """Everything but the labels themselves is as in the given files, and some labels are new."""
    changed = 0
    for case in TRAINING:
        old, new = (nibabel.load(folder / f"{case}.nii.gz") for folder in (scans / "given", result.labels))
        assert old.header.binaryblock == new.header.binaryblock
        assert new.get_data_dtype() == np.int16
        np.testing.assert_allclose(new.affine, AFFINE, rtol=1e-6)
        assert bytes(new.header["descrip"]).startswith(b"drawn by hand")
        assert set(np.unique(new.dataobj)) <= {0, 1, 2}
        changed += int((np.asarray(old.dataobj) != np.asarray(new.dataobj)).sum())
    assert changed > 0
    assert result.summary["unit"] == "mm"


@pytest.mark.parametrize(
    "grid", [{"patch": [8, 8, 8]}, {"resize": [12, 16, 8]}, {}], ids=["patch", "resize", "whole"]
)
def test_anisotropic_volumes_keep_header_affine_and_dtype(scans, tmp_path, grid):
    more = {**grid, **trusted(scans), "network": Pixelwise(ndim=3, out_channels=3)}
    result = go(scans, tmp_path / "run", method=ALWAYS, **more)
    check_volumes(result, scans)


def test_a_network_by_name_trains_on_patches_of_volumes(scans, tmp_path):
    result = go(scans, tmp_path / "run", patch=8, epochs=1, **trusted(scans), method=ALWAYS)
    card = load_predictor(result.folder).card
    assert (card.ndim, card.patch, card.network) == (3, (8, 8, 8), QUICK["network"])
    assert list(contents(result.labels)) == [f"{case}.nii.gz" for case in TRAINING]


@pytest.mark.parametrize("grid", [{}, {"patch": 8}], ids=["whole", "patches"])
def test_bands_of_distance_are_measured_in_volumes_with_the_features_of_the_network(scans, tmp_path, grid):
    method = ForwardT(bands_mm=(-1.0, 1.0))
    result = go(scans, tmp_path / "run", **grid, epochs=1, method=method)
    (row, *_) = result.summary["rounds"][-1]["bias"]
    assert row["bands_mm"] == [-1.0, 1.0]
    np.testing.assert_allclose(np.sum(row["banded"], axis=-1), 1)


# ---- ways to name the trusted cases


def test_a_list_a_label_folder_and_a_folder_of_their_own_give_the_same_labels(pictures, tmp_path):
    data, few, apart = tmp_path / "data", tmp_path / "few", tmp_path / "apart"
    shutil.copytree(pictures, data)
    for name in ("heart", "lung"):
        for folder in (few, apart / "labels"):
            (folder / name).mkdir(parents=True)
            shutil.copy(pictures / "clean" / name / "c0.png", folder / name)
    (apart / "images").mkdir()
    shutil.copy(pictures / "images" / "c0.png", apart / "images")
    shutil.copytree(data, tmp_path / "without")
    for path in (tmp_path / "without").rglob("c0.png"):
        path.unlink()
    ways = {
        "list": (data, trusted(data)),
        "labels": (data, {"clean": few}),
        "folder": (tmp_path / "without", {"clean": apart}),
    }
    found = {}
    for way, (root, clean) in ways.items():
        out = tmp_path / "runs" / way
        result = go(root, out, epochs=1, rounds=1, **clean, method=ALWAYS, network=Pixelwise())
        assert result.summary["rounds"][0]["n_revised"] == 5
        found[way] = contents(result.labels)
    assert found["list"] == found["labels"] == found["folder"]


# ---- what joins which epoch


@dataclasses.dataclass(frozen=True)
class Spy(Plain):
    """Plain training that writes down what it was shown.

    Paper: none.
    """

    needs: ClassVar[Needs] = Needs(clean="optional", rounds=2)
    seen: ClassVar[list[tuple[int, tuple[str, ...]]]] = []

    def step(self, state, batch, nets):
        self.seen.append((batch.epoch, batch.cases))
        return super().step(state, batch, nets)


@pytest.fixture
def seen() -> list[tuple[int, tuple[str, ...]]]:
    Spy.seen.clear()
    return Spy.seen


def test_trusted_cases_are_never_trained_on_unless_asked_for(pictures, tmp_path, seen):
    go(pictures, tmp_path / "run", **trusted(pictures), method=Spy(), network=Pixelwise())
    assert {case for _, cases in seen for case in cases} == set(TRAINING)


def test_repeated_trusted_cases_join_every_epoch_from_the_second_round_on(pictures, tmp_path, seen):
    more = {"clean_repeat": 3, "batch_size": 8, "epochs": 2, **trusted(pictures)}
    go(pictures, tmp_path / "run", **more, method=Spy(), network=Pixelwise())
    # one batch of eight an epoch: round 1 has five cases to fill it, round 2 five and three times c0
    assert [epoch for epoch, _ in seen] == [0, 1, 0, 1]
    assert ["c0" in cases for _, cases in seen[:2]] == [False, False]
    assert [sorted(cases) for _, cases in seen[2:]] == [["c0", "c0", "c0", *TRAINING]] * 2


def test_a_bias_is_not_measured_on_trusted_cases_that_were_trained_on(pictures, tmp_path):
    more = {"clean_repeat": 1, "epochs": 1, **trusted(pictures)}
    result = go(pictures, tmp_path / "run", **more, method=ALWAYS, network=Pixelwise())
    assert [row["round"] for row in result.summary["rounds"]] == [1]
    assert load_predictor(result.folder, network=Pixelwise()).card.correction is None
    assert {row["version"] for row in result.summary["cases"]} == {1}


@dataclasses.dataclass(frozen=True)
class Content(Plain):
    """Asks for three rounds and has enough after the second."""

    needs: ClassVar[Needs] = Needs(rounds=3)

    def init(self, facts):
        return {"revised": 0}

    def revise(self, state, cases, clean):
        return {"revised": state["revised"] + 1}, iter(())

    def finished(self, state):
        return state["revised"] == 2


def test_rounds_that_would_change_nothing_are_left_out(pictures, tmp_path):
    result = go(pictures, tmp_path, method=Content())
    assert [row["round"] for row in rows(tmp_path)] == [1] * QUICK["epochs"] + [2] * QUICK["epochs"]
    assert len(result.summary["rounds"]) == 2
    before = contents(tmp_path)
    go(pictures, tmp_path, method=Content())
    assert contents(tmp_path) == before


def test_steps_of_an_epoch_may_be_set(pictures, tmp_path, seen):
    more = {"steps_per_epoch": 5, "epochs": 1, "rounds": 1}
    go(pictures, tmp_path / "run", **more, method=Spy(), network=Pixelwise())
    assert len(seen) == 5


def test_only_listed_cases_are_trained_on_and_written(pictures, tmp_path, seen):
    (tmp_path / "cases.txt").write_text("c2\nc4\n")
    more = {"cases": tmp_path / "cases.txt", "epochs": 1, "rounds": 1}
    result = go(pictures, tmp_path / "run", **more, method=Spy(), network=Pixelwise())
    assert {case for _, cases in seen for case in cases} == {"c2", "c4"}
    assert {Path(name).stem for name in contents(result.labels)} == {"c2", "c4"}


# ---- early stopping


def test_a_round_that_does_not_get_better_stops_early(pictures, tmp_path, seen):
    """A learning rate that moves nothing: the first epoch stays the best, two more are waited for."""
    more = {"early_stop": 2, "epochs": 9, "rounds": 1, "learning_rate": 1e-30, "validation_share": 0.34}
    result = go(pictures, tmp_path / "run", **more, method=Spy(), network=Pixelwise())
    assert [row["epoch"] for row in rows(result.folder)] == [1, 2, 3]
    assert len({row["validation_loss"] for row in rows(result.folder)}) == 1
    # a third of six cases is held out from training, yet their labels are written
    assert len({case for _, cases in seen for case in cases}) == 4
    assert len(contents(result.labels)) == 2 * 6


def test_the_best_epoch_is_kept_not_the_last(pictures, tmp_path):
    more = {"early_stop": 1, "epochs": 6, "rounds": 1, "learning_rate": 30.0, "seed": 3}
    go(pictures, tmp_path / "run", **more, method="plain", network=Pixelwise())
    losses = [row["validation_loss"] for row in rows(tmp_path / "run")]
    assert losses[-1] > min(losses)
    state = torch.load(tmp_path / "run" / "checkpoint" / "state.pt", weights_only=True)
    kept = load_predictor(tmp_path / "run", network=Pixelwise()).network
    assert torch.equal(state["networks"][0]["layer.weight"], kept.layer.weight)
    shorter = {**more, "epochs": 6, "early_stop": 0, "rounds": 1}
    go(pictures, tmp_path / "all", **shorter, method="plain", network=Pixelwise())
    last = load_predictor(tmp_path / "all", network=Pixelwise()).network
    assert not torch.equal(last.layer.weight, kept.layer.weight)


def test_early_stopping_needs_a_case_to_hold_out(pictures, tmp_path):
    (tmp_path / "one.txt").write_text("c2\n")
    with pytest.raises(ConfigError, match="only 1 case"):
        go(pictures, tmp_path / "run", cases=tmp_path / "one.txt", early_stop=1)
    assert not (tmp_path / "run").exists()


# ---- a first round from another run


def test_a_finished_run_serves_as_the_first_round(pictures, tmp_path):
    more = {"network": Pixelwise(), **trusted(pictures)}
    plain = go(pictures, tmp_path / "plain", method="plain", **more)
    whole = go(pictures, tmp_path / "whole", method=ALWAYS, **more)
    short = go(pictures, tmp_path / "short", method=ALWAYS, first_round=tmp_path / "plain", **more)
    assert [row["round"] for row in rows(short.folder)] == [2, 2]
    assert contents(short.labels) == contents(whole.labels)
    assert plain.summary["rounds"][0]["n_revised"] == 0


def test_a_first_round_of_another_kind_is_refused_before_anything_is_written(pictures, tmp_path):
    more = {"network": Pixelwise(), "epochs": 1, **trusted(pictures)}
    go(pictures, tmp_path / "plain", method="plain", **more)
    with pytest.raises(ConfigError, match=r"has resize None, this run has \(16, 16\)"):
        go(pictures, tmp_path / "run", method=ALWAYS, first_round=tmp_path / "plain", resize=16, **more)
    assert not (tmp_path / "run").exists()


# ---- refused before anything is written


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"network": NetworkConfig("UNett")}, "UNet"),
        ({"network": DEEPER, "patch": 18}, "--patch"),
        ({"network": NetworkConfig("ResNet", {"no": 1})}, "cannot be built"),
        ({"resize": [16, 16, 16]}, "resize needs 2 positive sizes"),
        ({"mixed_precision": "fp16"}, "fp16"),
        ({"first_round": "nowhere"}, "no finished model"),
    ],
    ids=["unknown network", "patch too odd", "arguments", "axes", "fp16 on a processor", "first round"],
)
def test_settings_that_do_not_fit_are_told_before_anything_is_written(pictures, tmp_path, more, words):
    with pytest.raises(LabelmendError, match=words):
        go(pictures, tmp_path / "run", **more)
    assert not (tmp_path / "run").exists()


def test_a_network_with_too_few_channels_is_told_before_anything_is_written(pictures, tmp_path):
    with pytest.raises(ConfigError, match=r"expected logits of shape \(2, 2, 32, 32\)"):
        go(pictures, tmp_path / "run", method="plain", network=Pixelwise(out_channels=1))
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_ends_in_one_sentence(pictures, tmp_path):
    network = Pixelwise()
    nn.init.constant_(network.layer.bias, float("nan"))
    with pytest.raises(LabelmendError, match="the loss became nan in epoch 1: lower --learning-rate"):
        go(pictures, tmp_path / "run", method="plain", network=network)


# ---- precision


@pytest.fixture
def fresh_accelerate():
    """Accelerate settles on one precision a process; these tests want another."""
    for state in (AcceleratorState, GradientState):
        state._reset_state(*([True] if state is AcceleratorState else []))
    yield
    for state in (AcceleratorState, GradientState):
        state._reset_state(*([True] if state is AcceleratorState else []))


def test_half_precision_trains(pictures, tmp_path, fresh_accelerate):
    more = {"mixed_precision": "bf16", "epochs": 1, "rounds": 1}
    result = go(pictures, tmp_path / "run", **more, **trusted(pictures), method=ALWAYS)
    assert len(contents(result.labels)) == 10


def test_another_precision_in_the_same_process_is_refused(pictures, tmp_path, fresh_accelerate):
    go(pictures, tmp_path / "one", epochs=1, method="plain", network=Pixelwise())
    more = {"mixed_precision": "bf16", "epochs": 1}
    with pytest.raises(ConfigError, match="mixed_precision bf16 with device cpu cannot be had"):
        go(pictures, tmp_path / "two", **more, method="plain", network=Pixelwise())
    assert not (tmp_path / "two").exists()


# ---- a method that asks to revise between epochs


@dataclasses.dataclass(frozen=True)
class Eraser(Plain):
    """Erases all labels and leaves out the upper half of every picture after its second epoch.

    Paper: none.
    """

    needs: ClassVar[Needs] = Needs(counts=("n_cases",))
    seen: ClassVar[list[tuple[int, float, float]]] = []

    def init(self, facts):
        return {"n_cases": np.zeros(1), "totals": []}

    def step(self, state, batch, nets):
        upper = batch.valid[:, : batch.valid.shape[1] // 2]
        self.seen.append((batch.epoch, float(batch.target.sum()), float(upper.float().mean())))
        state = state | {"n_cases": state["n_cases"] + len(batch.cases)}
        return (*super().step(state, batch, nets)[:2], state)

    def epoch_end(self, state, epoch):
        totals = [*state["totals"], float(state["n_cases"][0])]
        return {"n_cases": np.zeros(1), "totals": totals}, epoch == 1

    def revise(self, state, cases, clean):
        return state, (self._erased(predicted) for predicted in cases)

    def _erased(self, predicted):
        upper = np.zeros(predicted.given.grid.shape, bool)
        upper[: len(upper) // 2] = True
        empty = revision(predicted, np.zeros_like(predicted.given.masks()), "erased", 1.0)
        return dataclasses.replace(empty, left_out=upper)


@pytest.fixture
def erased(pictures, tmp_path) -> RunResult:
    Eraser.seen.clear()
    still = {"rotate_deg": 0.0, "scale": 0.0, "shift": 0.0, "intensity": 0.0}
    return go(pictures, tmp_path / "run", method=Eraser(), epochs=4, augment=AugmentConfig(**still))


def test_labels_revised_between_epochs_are_what_the_next_epoch_trains_on(erased):
    before = [target for epoch, target, _ in Eraser.seen if epoch < 2]
    after = [target for epoch, target, _ in Eraser.seen if epoch >= 2]
    assert min(before) > 0
    assert max(after) == 0
    assert [row.get("n_revised") for row in rows(erased.folder)] == [None, len(CASES), None, None]


def test_training_leaves_out_the_pixels_that_a_revision_names(erased):
    assert {share for epoch, _, share in Eraser.seen if epoch < 2} == {1.0}
    assert {share for epoch, _, share in Eraser.seen if epoch >= 2} == {0.0}


def test_what_is_left_out_of_training_is_written_all_the_same(erased):
    assert all(not np.asarray(Image.open(path)).any() for path in erased.labels.rglob("*.png"))


def test_counts_are_handed_to_the_end_of_every_epoch(erased):
    from labelmend.workflows.training.checkpoint import load_checkpoint

    saved = load_checkpoint(erased.folder / "checkpoint" / "state.pt")
    shown = len([epoch for epoch, _, _ in Eraser.seen if epoch == 0]) * QUICK["batch_size"]
    assert saved["state"]["totals"] == [shown] * 4
    assert saved["version"] == 2


def test_a_run_stopped_after_such_a_revision_ends_with_the_same_labels(pictures, tmp_path, monkeypatch):
    from labelmend.workflows.training import loop as module

    monkeypatch.setattr(module, "CHECKPOINT_EVERY_S", -1.0)
    whole_run = go(pictures, tmp_path / "whole", method=Eraser(), epochs=4)

    class Stopped(Exception):
        pass

    def stop(tick):
        if tick.stage == "round 1" and tick.done > 2 * tick.total / 4:
            raise Stopped

    with pytest.raises(Stopped):
        go(pictures, tmp_path / "halves", method=Eraser(), epochs=4, progress=stop)
    halves = go(pictures, tmp_path / "halves", method=Eraser(), epochs=4)
    assert contents(halves.labels) == contents(whole_run.labels)
    assert (halves.folder / "model.safetensors").read_bytes() == (
        whole_run.folder / "model.safetensors"
    ).read_bytes()


def test_a_class_of_value_0_is_in_all_that_a_run_reports(integer_maps, tmp_path):
    out, names = tmp_path / "run", {"tissue": 0, "heart": 1, "lung": 2}
    more = {"method": ALWAYS, "network": Pixelwise(out_channels=3), **trusted(integer_maps)}
    found = go(integer_maps, out, classes=names, ignore=9, reference=str(integer_maps / "clean"), **more)
    assert found.summary["classes"] == ["tissue", "heart", "lung"]
    assert found.summary["label_values"] == names
    given = open_labels(integer_maps / "given", classes=names, ignore=9)
    corrected = open_labels(found.labels, classes=names, ignore=9)
    changed = 0
    for row in found.summary["cases"]:
        old, new = given.read(row["case"]).array, corrected.read(row["case"]).array
        assert row["added_vox"] == [int(((new == v) & (old != v)).sum()) for v in (0, 1, 2)]
        assert row["removed_vox"] == [int(((old == v) & (new != v)).sum()) for v in (0, 1, 2)]
        changed += row["added_vox"][0] + row["removed_vox"][0]
    assert changed > 0
    assert ">tissue<" in (out / "report.html").read_text().replace("\n", "")
    card = load_predictor(out, network=Pixelwise(out_channels=3)).card
    assert (card.background, card.classes, card.out_channels) == ("tissue", ("heart", "lung"), 3)


def test_a_class_that_no_trusted_case_shows_stays_as_given_and_the_report_says_so(pictures, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(pictures, data)
    picture(data / "clean" / "heart" / "c0.png", np.zeros((32, 32), np.uint8))
    result = go(data, tmp_path / "run", method=ALWAYS, network=Pixelwise(), **trusted(data))
    for case in TRAINING:
        name = f"heart/{case}.png"
        assert (result.labels / name).read_bytes() == (data / "given" / name).read_bytes()
    assert result.summary["notes"] == ["No trusted case shows heart, so nothing of it is measured on them."]
    heart = result.summary["rounds"][0]["bias"][0]
    assert heart["why"] == "no trusted case shows it, so its labels are left as given"
    assert heart["why"] in (result.folder / "report.html").read_text()


def test_trusted_cases_that_show_no_class_at_all_are_refused(pictures, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(pictures, data)
    for name in ("heart", "lung"):
        picture(data / "clean" / name / "c0.png", np.zeros((32, 32), np.uint8))
    with pytest.raises(LabelmendError, match="class heart is absent from all 1 cases"):
        go(data, tmp_path / "run", method=ALWAYS, network=Pixelwise(), **trusted(data))
