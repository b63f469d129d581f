"""A noisy copy of a label folder: same structure, order independent, resumable, never over something else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from drawing import disc, picture
from drawn_data import contents
from labelmend.errors import ConfigError, OutputError
from labelmend.io import open_labels, read_manifest
from labelmend.noise import MarkovNoise
from labelmend.runtime.progress import Tick
from labelmend.workflows import simulation
from labelmend.workflows.simulation import mean_dice

NOISE = MarkovNoise(steps=10, expand=0.8, flip=0.4)
SHAPE = (40, 48)
CASES = ("p1", "p2", "p3", "p4")


def simulate(labels: Path, out: Path, **settings: Any) -> Path:
    """Noisy copy of a folder."""
    folder = simulation.simulate(labels, out, **settings).folder
    assert folder is not None
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two overlapping classes as folders of 0/255 pictures."""
    for k, name in enumerate(("heart", "lung")):
        for i, case in enumerate(CASES):
            picture(tmp_path / f"clean/{name}/{case}.png", disc(SHAPE, (20, 20 + 6 * k), 8 + i))
    return tmp_path / "clean"


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """Integer maps in 3-D NIfTI: a = 1, b = 4, ignored 9."""
    (tmp_path / "maps").mkdir()
    for case in CASES[:2]:
        array = np.zeros((6, 20, 24), np.uint8)
        array[2:4, 5:12, 4:10], array[2:4, 5:12, 12:19], array[:, :3] = 1, 4, 9
        image = nibabel.Nifti1Image(array, np.diag([3.0, 1.0, 1.0, 1.0]))
        nibabel.save(image, tmp_path / "maps" / f"{case}.nii.gz")
    return tmp_path / "maps"


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_the_copy_has_the_same_structure_and_format(folders: Path, tmp_path: Path) -> None:
    out = simulate(folders, tmp_path / "noisy", noise=NOISE)
    assert out == tmp_path / "noisy"
    assert set(contents(out)) == {*contents(folders), "manifest.jsonl"}
    assert set(np.unique(read(out / "lung" / "p1.png"))) == {0, 255}
    assert read(out / "lung" / "p1.png").sum() > read(folders / "lung" / "p1.png").sum()


def test_the_clean_labels_are_left_alone(folders: Path, tmp_path: Path) -> None:
    before = contents(folders)
    simulate(folders, tmp_path / "noisy", noise=NOISE)
    assert contents(folders) == before


def test_integer_maps_keep_geometry_ignored_pixels_and_class_names(maps: Path, tmp_path: Path) -> None:
    out = simulate(maps, tmp_path / "noisy", noise=NOISE, classes={"a": 1, "b": 4}, ignore=9)
    clean, noisy = (nibabel.load(folder / "p1.nii.gz") for folder in (maps, out))
    assert np.array_equal(clean.affine, noisy.affine)
    assert clean.get_data_dtype() == noisy.get_data_dtype()
    before, after = np.asarray(clean.dataobj), np.asarray(noisy.dataobj)
    assert np.array_equal(before == 9, after == 9)
    assert set(np.unique(after)) == {0, 1, 4, 9}
    assert not np.array_equal(before, after)
    again = open_labels(out)
    assert (again.classes, again.values, again.ignore) == (("a", "b"), (1, 4), 9)


def test_the_manifest_says_how_each_case_was_made_well_enough_to_make_it_again(
    folders: Path, tmp_path: Path
) -> None:
    out = simulate(folders, tmp_path / "noisy", noise=NOISE, seed=5)
    rows = read_manifest(out / "manifest.jsonl")
    assert [row.case for row in rows] == list(CASES)
    assert all((row.seed, row.version, row.method) == (5, 0, "simulate") for row in rows)
    labels = open_labels(folders)
    again = NOISE.apply(labels.read("p2"), rows[1].parameters)
    assert np.array_equal(again.array, open_labels(out).read("p2").array)
    assert rows[1].files == ("heart/p2.png", "lung/p2.png")
    assert rows[1].parameters["classes"]["lung"]["steps"] == 10


def test_mean_dice_is_that_of_the_files(folders: Path, tmp_path: Path) -> None:
    out = simulate(folders, tmp_path / "noisy", noise=NOISE)
    scores = []
    for case in CASES:
        a, b = (read(folder / "lung" / f"{case}.png") > 0 for folder in (folders, out))
        scores.append(2 * (a & b).sum() / (a.sum() + b.sum()))
    found = mean_dice(out)
    assert list(found) == ["heart", "lung"]
    assert found["lung"] == pytest.approx(np.mean(scores), abs=1e-5)


def test_an_absent_structure_counts_in_no_mean(folders: Path, tmp_path: Path) -> None:
    for case in CASES:
        picture(folders / "heart" / f"{case}.png", np.zeros(SHAPE, np.uint8))
    assert np.isnan(mean_dice(simulate(folders, tmp_path / "noisy", noise=NOISE))["heart"])


def test_a_mask_depends_on_seed_and_case_alone(folders: Path, tmp_path: Path) -> None:
    whole = simulate(folders, tmp_path / "whole", noise=NOISE)
    shutil.copytree(folders, tmp_path / "fewer")
    for name in ("heart", "lung"):
        (tmp_path / "fewer" / name / "p1.png").unlink()
    fewer = simulate(tmp_path / "fewer", tmp_path / "out", noise=NOISE)
    other = simulate(folders, tmp_path / "other", noise=NOISE, seed=1)
    assert np.array_equal(read(whole / "lung" / "p3.png"), read(fewer / "lung" / "p3.png"))
    assert not np.array_equal(read(whole / "lung" / "p3.png"), read(other / "lung" / "p3.png"))


class Stopped(Exception):
    pass


def stop_after(count: int) -> object:
    seen: list[str] = []

    def progress(tick: Tick) -> None:
        seen.append(tick.text)
        if len(seen) == count:
            raise Stopped

    return progress


def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(folders: Path, tmp_path: Path) -> None:
    whole = simulate(folders, tmp_path / "whole", noise=NOISE)
    with pytest.raises(Stopped):
        simulate(folders, tmp_path / "halves", noise=NOISE, progress=stop_after(2))
    assert len(read_manifest(tmp_path / "halves" / "manifest.jsonl")) == 2
    halves = simulate(folders, tmp_path / "halves", noise=NOISE)
    assert contents(halves) == contents(whole)


def test_a_run_killed_between_a_file_and_its_row_goes_on(folders: Path, tmp_path: Path) -> None:
    whole = simulate(folders, tmp_path / "whole", noise=NOISE)
    killed = tmp_path / "killed"
    shutil.copytree(whole, killed)
    rows = (whole / "manifest.jsonl").read_text().splitlines(keepends=True)
    (killed / "manifest.jsonl").write_text("".join(rows[:2]) + rows[2][:30])  # a torn line
    picture(killed / "heart" / "p3.png", np.zeros(SHAPE, np.uint8))
    (killed / "lung" / ".part-p3.png").write_bytes(b"half a file")
    (killed / "lung" / "p3.png").unlink()
    simulate(folders, killed, noise=NOISE)
    assert contents(killed) == contents(whole)


def test_finished_cases_are_not_written_again(folders: Path, tmp_path: Path) -> None:
    out = simulate(folders, tmp_path / "noisy", noise=NOISE)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    seen: list[tuple[str, int]] = []
    simulate(folders, out, noise=NOISE, progress=lambda tick: seen.append((tick.text, tick.total)))
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert seen == [(case, 4) for case in CASES]


def test_a_lost_file_is_drawn_again_and_counted_once(folders: Path, tmp_path: Path) -> None:
    out = simulate(folders, tmp_path / "noisy", noise=NOISE)
    before, mean = contents(out), mean_dice(out)
    (out / "lung" / "p2.png").unlink()
    simulate(folders, out, noise=NOISE)
    assert contents(out).items() >= {k: v for k, v in before.items() if k != "manifest.jsonl"}.items()
    assert mean_dice(out) == mean


@pytest.mark.parametrize("change", [{"seed": 1}, {"noise": MarkovNoise(steps=11, expand=0.8, flip=0.4)}])
def test_a_folder_drawn_with_other_settings_is_refused(
    change: dict[str, int], folders: Path, tmp_path: Path
) -> None:
    out = simulate(folders, tmp_path / "noisy", noise=NOISE)
    before = contents(out)
    with pytest.raises(OutputError, match=r"case p1 in .*noisy was written with other settings"):
        simulate(folders, out, **{"noise": NOISE, **change})  # type: ignore[arg-type]
    assert contents(out) == before


def test_other_clean_labels_are_refused(folders: Path, tmp_path: Path) -> None:
    out = simulate(folders, tmp_path / "noisy", noise=NOISE)
    picture(folders / "lung" / "p3.png", disc(SHAPE, (20, 20), 5))
    with pytest.raises(OutputError, match=r"case p3 in .* was drawn from other clean labels"):
        simulate(folders, out, noise=NOISE)


def test_masks_that_somebody_changed_are_not_overwritten(folders: Path, tmp_path: Path) -> None:
    out = simulate(folders, tmp_path / "noisy", noise=NOISE)
    picture(out / "lung" / "p3.png", disc(SHAPE, (20, 20), 5))
    with pytest.raises(OutputError, match=r"case p3 in .* was changed after it was written"):
        simulate(folders, out, noise=NOISE)


def test_a_folder_with_other_content_is_refused(folders: Path, tmp_path: Path) -> None:
    (tmp_path / "taken" / "lung").mkdir(parents=True)
    (tmp_path / "taken" / "lung" / "p1.png").write_text("mine")
    with pytest.raises(OutputError, match=r"taken already holds lung.p1.png: choose a new or empty folder"):
        simulate(folders, tmp_path / "taken", noise=NOISE)
    assert contents(tmp_path / "taken").keys() == {"lung/p1.png"}
    out = simulate(folders, tmp_path / "noisy", noise=NOISE)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"already holds notes.txt"):
        simulate(folders, out, noise=NOISE)


@pytest.mark.parametrize("place", [".", "noisy", "lung"])
def test_nothing_is_written_among_the_clean_labels(place: str, folders: Path) -> None:
    before = contents(folders)
    with pytest.raises(OutputError, match="is inside the input folder"):
        simulate(folders, folders / place, noise=NOISE)
    assert contents(folders) == before


def test_a_file_is_no_folder_to_write_to(folders: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        simulate(folders, tmp_path / "file", noise=NOISE)


def test_preset_or_noise_but_one_of_them(folders: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no noise was chosen"):
        simulate(folders, tmp_path / "noisy")
    with pytest.raises(ConfigError, match="not both"):
        simulate(folders, tmp_path / "noisy", preset="J1", noise=NOISE)


def test_a_preset_that_does_not_know_the_classes_fails_before_a_write(maps: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not for 'a'"):
        simulate(maps, tmp_path / "noisy", preset="J1", classes={"a": 1, "b": 4}, ignore=9)
    assert not (tmp_path / "noisy").exists()


def test_a_preset_writes_its_name(folders: Path, tmp_path: Path) -> None:
    row = read_manifest(simulate(folders, tmp_path / "noisy", preset="J1") / "manifest.jsonl")[0]
    assert row.parameters["preset"] == "J1"
    assert json.loads(json.dumps(row.parameters["classes"]["lung"]))["steps"] == 180


def test_simulating_does_not_load_torch() -> None:
    code = "import sys, labelmend.workflows.simulation, labelmend.phantom; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_jobs_change_nothing_not_even_the_manifest(folders: Path, tmp_path: Path) -> None:
    one = simulate(folders, tmp_path / "one", noise=NOISE, raters=2)
    two = simulate(folders, tmp_path / "two", noise=NOISE, raters=2, jobs=2)
    assert contents(one) == contents(two)
    assert len(contents(one)) == 1 + 2 * 2 * len(CASES)


def test_shards_together_write_what_one_run_writes(folders: Path, tmp_path: Path) -> None:
    whole = simulate(folders, tmp_path / "whole", noise=NOISE)
    parts = tmp_path / "parts"
    for shard, cases in (("2/3", 1), ("1/3", 2), ("3/3", 1)):
        seen: list[str] = []
        simulate(folders, parts, noise=NOISE, shard=shard, progress=lambda tick: seen.append(tick.text))  # noqa: B023
        assert len(seen) == cases
    masks = {name: digest for name, digest in contents(parts).items() if "manifest" not in name}
    assert masks == {name: digest for name, digest in contents(whole).items() if "manifest" not in name}
    assert mean_dice(parts) == pytest.approx(mean_dice(whole))
    before = {path: path.stat().st_mtime_ns for path in parts.rglob("*.png")}
    simulate(folders, parts, noise=NOISE)
    assert {path: path.stat().st_mtime_ns for path in parts.rglob("*.png")} == before


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_a_shard_that_does_not_exist_is_refused(shard: str, folders: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"written i/n .*got"):
        simulate(folders, tmp_path / "out", noise=NOISE, shard=shard)
    assert not (tmp_path / "out").exists()


def test_each_rater_has_a_label_folder_and_a_hand_of_their_own(maps: Path, tmp_path: Path) -> None:
    settings = {"noise": NOISE, "classes": {"a": 1, "b": 4}, "ignore": 9}
    out = simulate(maps, tmp_path / "three", raters=3, **settings)  # type: ignore[arg-type]
    folders = [open_labels(out / f"rater_{n}") for n in (1, 2, 3)]
    assert all(folder.classes == ("a", "b") and folder.ignore == 9 for folder in folders)
    one, two, three = (folder.read("p1").array for folder in folders)
    assert not np.array_equal(one, two)
    assert not np.array_equal(two, three)
    rows = read_manifest(out / "manifest.jsonl")
    styles = {(row.parameters["rater"]["name"], row.parameters["rater"]["bias"]) for row in rows}
    assert (len(rows), len(styles)) == (6, 3)
    fewer = simulate(maps, tmp_path / "two", raters=2, **settings)  # type: ignore[arg-type]
    assert np.array_equal(open_labels(fewer / "rater_2").read("p1").array, two)


def test_severity_turns_the_noise_up(folders: Path, tmp_path: Path) -> None:
    dice = [
        mean_dice(simulate(folders, tmp_path / severity, noise=NOISE, severity=severity))["heart"]
        for severity in ("easy", "medium", "hard")
    ]
    assert dice[0] > dice[1] > dice[2]
    with pytest.raises(ConfigError, match="no severity called 'brutal': choose from easy, medium, hard"):
        simulate(folders, tmp_path / "out", noise=NOISE, severity="brutal")


def test_rows_of_workers_whose_parent_was_killed_are_kept(folders: Path, tmp_path: Path) -> None:
    whole = simulate(folders, tmp_path / "whole", noise=NOISE)
    killed = tmp_path / "killed"
    shutil.copytree(whole, killed)
    rows = (whole / "manifest.jsonl").read_text().splitlines(keepends=True)
    (killed / "manifest.jsonl").write_text(rows[0])
    (killed / ".machine-17-manifest.jsonl").write_text("".join(rows[2:]) + "{torn")
    before = {path: path.stat().st_mtime_ns for path in killed.rglob("p[134].png")}
    simulate(folders, killed, noise=NOISE)
    assert {path: path.stat().st_mtime_ns for path in killed.rglob("p[134].png")} == before
    assert contents(killed) == contents(whole)


def test_an_empty_mask_is_written_alike_by_one_process_and_by_several(folders: Path, tmp_path: Path) -> None:
    """The value of foreground, 1 here, is that of the other files: a worker sees only the one it writes."""
    for path in folders.rglob("*.png"):
        picture(path, (read(path) > 0).astype(np.uint8))
    picture(folders / "heart" / "p2.png", np.zeros(SHAPE, np.uint8))
    labels = open_labels(folders)
    full = labels.read("p2").with_masks(np.ones((2, 40, 48), bool))
    labels.only("p2").write(tmp_path / "out", "p2", full)
    assert set(np.unique(read(tmp_path / "out" / "heart" / "p2.png"))) == {1}


def test_a_class_of_value_0_has_its_dice_and_keeps_its_name(maps: Path, tmp_path: Path) -> None:
    names = {"tissue": 0, "a": 1, "b": 4}
    out = simulate(maps, tmp_path / "noisy", noise=NOISE, classes=names, ignore=9)
    copy, clean = open_labels(out), open_labels(maps, classes=names, ignore=9)
    assert json.loads((out / "dataset.json").read_text()) == {"labels": {**names, "ignore": 9}}
    assert copy.names == ("tissue", "a", "b")
    for row in read_manifest(out / "manifest.jsonl"):
        noisy, true = (folder.read(row.case).array == 0 for folder in (copy, clean))
        assert row.extra["dice"]["tissue"] == round(2 * (noisy & true).sum() / (noisy.sum() + true.sum()), 6)
        assert 0 < row.extra["dice"]["tissue"] < 1


def test_a_folder_whose_name_is_a_pattern_is_gone_on_with(folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "x[1]*?"
    simulate(folders, out, noise=NOISE)
    before = contents(out)
    (out / "lung" / "p2.png").unlink()
    simulate(folders, out, noise=NOISE)
    assert contents(out) == before


@pytest.mark.parametrize("what", ["one mask", "the folder"])
def test_masks_removed_while_others_are_drawn_are_told(folders: Path, tmp_path: Path, what: str) -> None:
    out = tmp_path / "noisy"

    def remove(tick: Tick) -> None:
        if tick.text == "p2":
            shutil.rmtree(out) if what == "the folder" else (out / "lung" / "p1.png").unlink()

    with pytest.raises(OutputError, match=r"removed while .*: run the same command again"):
        simulate(folders, out, noise=NOISE, progress=remove)
    simulate(folders, out, noise=NOISE)
    other = simulate(folders, tmp_path / "other", noise=NOISE)
    assert contents(out) == contents(other)


def test_two_shards_write_at_once_but_never_the_same_one_twice(folders: Path, tmp_path: Path) -> None:
    out, refused = tmp_path / "noisy", []

    def meanwhile(tick: Tick) -> None:
        if tick.text == "p1":
            simulate(folders, out, noise=NOISE, shard="2/2")
            with pytest.raises(OutputError, match="is being written by process"):
                simulate(folders, out, noise=NOISE, shard="1/2")
            refused.append(tick.text)

    simulate(folders, out, noise=NOISE, shard="1/2", progress=meanwhile)
    assert refused == ["p1"]
    assert sorted(path.name for path in (out / "lung").iterdir()) == [f"{case}.png" for case in CASES]


def held(folder: Path) -> dict[str, np.ndarray]:
    opened = open_labels(folder)
    return {case: opened.read(case).array for case in opened.cases}


def test_arrays_become_what_files_of_the_same_names_become(folders, tmp_path):
    written = simulate(folders, tmp_path / "noisy", noise=NOISE, seed=3)
    drawn = simulation.simulate(held(folders), noise=NOISE, seed=3, classes=["heart", "lung"])
    assert drawn.folder is None
    for case, noisy in held(written).items():
        np.testing.assert_array_equal(drawn.labels[case], noisy)
    of_folder = simulation.simulate(folders, written, noise=NOISE, seed=3)
    assert list(of_folder.dice) == list(drawn.dice)


def test_a_list_of_arrays_gives_a_list_and_leaves_the_clean_ones_alone(folders):
    clean = list(held(folders).values())
    before = [array.copy() for array in clean]
    drawn = simulation.simulate(clean, noise=NOISE, classes=["heart", "lung"], jobs=2)
    assert [array.shape for array in drawn.labels] == [(2, 40, 48)] * len(CASES)
    assert not np.array_equal(drawn.labels[0], clean[0])
    np.testing.assert_array_equal(clean, before)


def test_raters_of_arrays_have_their_own(folders):
    drawn = simulation.simulate(held(folders), noise=NOISE, classes=["heart", "lung"], raters=2)
    assert list(drawn.labels) == ["rater_1", "rater_2"]
    one, two = (drawn.labels[rater]["p1"] for rater in drawn.labels)
    assert not np.array_equal(one, two)
    assert {row["rater"] for row in drawn.rows()} == {"rater_1", "rater_2"}


def test_the_rows_of_the_result_begin_with_the_lowest_dice(folders, tmp_path):
    drawn = simulation.simulate(folders, tmp_path / "noisy", noise=NOISE)
    found = [row["dice"] for row in drawn.rows()]
    assert (found, len(found)) == (sorted(found), 8)
    assert drawn.headline() == f"4 noisy annotations in {tmp_path / 'noisy'}"


@pytest.mark.parametrize("settings", [{"out": "OUT"}, {"shard": "1/2"}])
def test_arrays_are_not_written(folders, settings):
    with pytest.raises(ConfigError, match="noisy arrays come back as arrays"):
        simulation.simulate(held(folders), noise=NOISE, classes=["heart", "lung"], **settings)


def test_files_need_a_folder(folders):
    with pytest.raises(ConfigError, match="need a folder to lie in"):
        simulation.simulate(folders, noise=NOISE)
