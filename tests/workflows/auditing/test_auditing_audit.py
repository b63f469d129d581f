"""An audit of drawn discs: what it finds, what it writes, what it leaves alone, and what it refuses."""

from __future__ import annotations

import csv
import inspect
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from drawing import box, disc, picture, volume
from drawn_data import contents
from drawn_findings import CLASSES, EXTRA, GENEROUS, MISSED, arrays, disc_set, discs, soft, sure
from labelmend.errors import ConfigError, DataError, GeometryError, MissingDataError, OutputError
from labelmend.geometry import signed_distance
from labelmend.io import checksum
from labelmend.workflows.auditing.audit import audit
from labelmend.workflows.auditing.audit_folder import open_given, open_proposals, read_audit
from labelmend.workflows.auditing.findings import scaled
from labelmend.workflows.auditing.result import AuditResult

FILES = {"audit.json", "cases.jsonl", "findings.jsonl", "findings.csv", "summary.md", "proposals"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return disc_set(tmp_path_factory.mktemp("discs"))


@pytest.fixture(scope="module")
def result(data: Path) -> AuditResult:
    return run(data, data / "out")


def run(data: Path, out: Path, **more: Any) -> AuditResult:
    settings = {"images": data / "images", "classes": CLASSES, "page": False}
    probabilities = more.pop("probabilities", data / "probabilities")
    found = audit(data / "labels", probabilities, out=out, **(settings | more))
    assert isinstance(found, AuditResult)
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read_map(path: Path) -> np.ndarray:
    return np.array(Image.open(path))


def test_the_three_wrong_cases_come_first_each_with_its_reason(result):
    first = {row["case"]: row for row in result.cases[:3]}
    assert first.keys() == {MISSED, GENEROUS, EXTRA}
    area = (discs(1)[0] == 2).sum()
    assert first[MISSED]["reason"] == f"lesion: an object of {area} px seems to be missing."
    assert first[EXTRA]["reason"].startswith("lesion: an object of ")
    assert first[EXTRA]["reason"].endswith("seems to be spurious.")
    assert first[GENEROUS]["reason"].startswith("liver")
    assert "too wide" in first[GENEROUS]["reason"]
    assert result.cases[2]["score"] > 0.5 > result.cases[3]["score"]


def test_cases_without_an_error_have_no_finding_and_no_proposal(result):
    assert [row["n_findings"] for row in result.cases[3:]] == [0] * 9
    assert {row["reason"] for row in result.cases[3:]} == {"Nothing stands out."}
    assert [row["proposal"] for row in result.cases[3:]] == [[]] * 9


def test_proposals_mend_a_missing_and_a_spurious_object_exactly(data, result):
    for case in (MISSED, EXTRA):
        proposal = read_map(result.folder / "proposals" / f"{case}.png")
        np.testing.assert_array_equal(proposal, read_map(data / "truth" / f"{case}.png"))


def test_a_proposal_for_a_generous_outline_is_nearer_to_the_truth(data, result):
    given, true = (read_map(data / name / f"{GENEROUS}.png") for name in ("labels", "truth"))
    proposal = read_map(result.folder / "proposals" / f"{GENEROUS}.png")
    assert (proposal != true).sum() < 0.3 * (given != true).sum()


def test_the_files_of_an_audit_agree_with_each_other(data, result):
    assert {path.name for path in result.folder.iterdir()} == FILES
    facts = json.loads((result.folder / "audit.json").read_text())
    cases, findings = (lines(result.folder / f"{name}.jsonl") for name in ("cases", "findings"))
    assert facts == json.loads(json.dumps(result.facts))
    assert cases == list(result.cases)
    assert [row["rank"] for row in cases] == list(range(1, 13))
    assert [row["score"] for row in cases] == sorted((row["score"] for row in cases), reverse=True)
    assert [row["case"] for row in findings] == [r["case"] for r in cases for _ in range(r["n_findings"])]
    assert [row["n_findings"] for row in cases] == [len(result.findings[row["case"]]) for row in cases]
    written = {p.stem for p in (result.folder / "proposals").iterdir()}
    assert written == {row["case"] for row in cases if row["proposal"]} == {MISSED, GENEROUS, EXTRA}
    assert [row["files"] for row in cases] == [[str(data / "labels" / f"{r['case']}.png")] for r in cases]
    with open(result.folder / "findings.csv", encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(findings)
    for row, finding in zip(table, findings, strict=True):
        assert (row["case"], row["reason"]) == (finding["case"], finding["reason"])
        assert (json.loads(row["box"]) if row["box"] else None) == finding["box"]
        assert (float(row["offset_mm"]) if row["offset_mm"] else None) == pytest.approx(finding["offset_mm"])


def test_audit_json_says_what_was_audited(data, result):
    facts = result.facts
    assert (facts["kind"], facts["layout"], facts["n_cases"], facts["unit"]) == ("audit", "folder", 12, "px")
    assert facts["labels"] == str((data / "labels").resolve())
    assert facts["images"] == str((data / "images").resolve())
    assert (facts["classes"], facts["values"]) == (["liver", "lesion"], CLASSES)
    assert facts["statistics"]["edge_mm"]["liver"] == pytest.approx(0, abs=0.3)
    assert [key for key, value in facts["statistics"].items() if value.keys() != CLASSES.keys()] == []


def test_the_page_can_read_it(result):
    found = read_audit(result.folder)
    assert [case.case for case in found.cases] == [row["case"] for row in result.cases]
    assert all(path.is_file() for case in found.cases for path in case.proposal)
    assert all(case.image is not None and case.image.is_file() for case in found.cases)
    assert all(case.checksum.startswith("sha256:") for case in found.cases)


def test_a_summary_for_the_card_of_the_data_set(result):
    text = (result.folder / "summary.md").read_text()
    assert "12 cases, 3 to look at first." in text
    assert "| missing objects | 1 |" in text
    assert "| spurious objects | 1 |" in text


def test_originals_stay_and_a_second_audit_gives_the_same_id_and_files(data, result, tmp_path):
    before = contents(data)
    again = run(data, tmp_path / "again")
    assert again.facts["id"] == result.facts["id"]
    assert contents(again.folder) == contents(result.folder)
    assert contents(data) == before
    run(data, tmp_path / "again", overwrite=True)
    assert contents(again.folder) == contents(result.folder)


def test_two_processes_write_what_one_does(data, result, tmp_path):
    seen: list[tuple[str, str]] = []
    two = run(data, tmp_path / "two", jobs=2, progress=lambda tick: seen.append((tick.stage, tick.text)))
    assert contents(two.folder) == contents(result.folder)
    names = [f"c{i:02d}" for i in range(12)]
    assert seen == [(stage, case) for stage in ("reading cases", "comparing cases") for case in names]


def test_without_proposals_all_else_is_told_as_with_them(data, result, tmp_path):
    without = run(data, tmp_path / "without", proposals=False)
    assert {path.name for path in without.folder.iterdir()} == FILES - {"proposals"}
    for name in ("findings.jsonl", "findings.csv", "summary.md"):
        assert (without.folder / name).read_bytes() == (result.folder / name).read_bytes()
    assert list(without.cases) == [row | {"proposal": [], "proposal_checksum": ""} for row in result.cases]
    assert {**without.facts, "id": None} == {**result.facts, "id": None}


def test_what_an_earlier_audit_proposed_is_cleared(data, tmp_path):
    run(data, tmp_path / "out")
    only = tmp_path / "right"
    for case in ("c00", "c02", "c03"):
        for name in ("labels", "probabilities", "images"):
            (file,) = (data / name).glob(f"{case}.*")
            (only / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, only / name)
    result = run(only, tmp_path / "out", overwrite=True)
    assert not list((result.folder / "proposals").iterdir() if (result.folder / "proposals").exists() else [])
    assert read_audit(result.folder).id == result.facts["id"]
    assert {row["n_findings"] for row in result.cases} == {0}


def test_it_runs_without_torch(data, tmp_path):
    code = (
        "import sys, warnings; warnings.simplefilter('error')\n"
        "from labelmend.workflows.auditing.audit import audit\n"
        "labels, probabilities, out = sys.argv[1:]\n"
        f"audit(labels, probabilities=probabilities, out=out, classes={CLASSES!r}, page=False)\n"
        "sys.exit('torch' in sys.modules)"
    )
    places = [str(place) for place in (data / "labels", data / "probabilities", tmp_path)]
    done = subprocess.run([sys.executable, "-c", code, *places], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_other_labels_or_other_settings_have_another_id(data, result, tmp_path):
    without = run(data, tmp_path / "without", images=None)
    assert without.facts["id"] != result.facts["id"]
    assert without.facts["images"] is None
    assert {row["image"] for row in without.cases} == {None}
    assert without.facts["statistics"]["edge_spread"] == {"liver": None, "lesion": None}


def generous(root: Path, wide: Callable[[int], bool]) -> Path:
    """Discs that the network predicts as they are drawn, some of them 3 px too far out."""
    for index in range(9):
        true, image = discs(index)
        given = np.where((signed_distance(true == 1) < 3) & (true == 0) & wide(index), 1, true)
        case = f"c{index:02d}"
        picture(root / "labels" / f"{case}.png", given)
        picture(root / "images" / f"{case}.png", image)
        arrays(root / "probabilities" / f"{case}.npz", probs=soft(given, 2))
    return root


def test_an_annotator_who_draws_3_px_too_far_out_is_named_though_the_network_learned_it(tmp_path):
    data = generous(tmp_path, lambda index: index % 3 == 1)
    table = "case,annotator\n" + "".join(f"c{i:02d}.png,{'bob' if i % 3 == 1 else 'ann'}\n" for i in range(9))
    (tmp_path / "who.csv").write_text(table)
    result = run(data, tmp_path / "out", annotators=tmp_path / "who.csv")
    rows = {(r["annotator"], r["class_name"], r["against"]): r
            for r in result.facts["bias"]}  # fmt: skip
    bob, ann = (rows[name, "liver", "image edges"] for name in ("bob", "ann"))
    assert bob["systematic"]
    assert bob["offset_mm"] == pytest.approx(3, abs=0.3)
    assert bob["reason"].startswith("bob draws liver 3")
    assert not ann["systematic"]
    assert not rows["bob", "liver", "prediction"]["systematic"]
    assert [row["annotator"] for row in result.cases[:3]] == ["bob"] * 3
    assert f"- {bob['reason']}" in (result.folder / "summary.md").read_text()


def test_probabilities_that_know_the_labels_are_called_in_sample(tmp_path):
    for index in range(3):
        given = discs(index)[0]
        picture(tmp_path / "labels" / f"c{index}.png", given)
        arrays(tmp_path / "probabilities" / f"c{index}.npz", probs=sure(given, 2, 0.98))
    result = run(tmp_path, tmp_path / "out", images=None)
    assert any("trained on these very labels" in warning for warning in result.facts["warnings"])
    assert result.facts["calibration"]["at_outlines"] == pytest.approx(0.98, abs=1e-3)


def test_honest_probabilities_are_not(result):
    assert not any("trained on these very labels" in warning for warning in result.facts["warnings"])


def labels_from(root: Path, power: float) -> Path:
    """Labels that were drawn from probabilities pixel by pixel, which are then sharpened by a power."""
    rng = np.random.default_rng(5)
    for index in range(4):
        probs = soft(discs(index)[0], 2, 0.25)
        given = (rng.random((64, 64)) > np.cumsum(probs, axis=0)[:-1]).sum(axis=0)
        picture(root / "labels" / f"c{index}.png", given)
        arrays(root / "probabilities" / f"c{index}.npz", probs=scaled(probs, 1 / power))
    return root


def test_the_power_that_probabilities_were_sharpened_by_is_found_and_undone(tmp_path):
    data = labels_from(tmp_path, 2.0)
    plain = run(data, tmp_path / "plain", images=None)
    assert plain.facts["calibration"]["temperature"] == pytest.approx(2, rel=0.2)
    assert any("overconfident" in warning for warning in plain.facts["warnings"])
    mended = run(data, tmp_path / "mended", images=None, calibrate=True)
    assert mended.facts["calibration"] == plain.facts["calibration"]  # of what was given
    assert mended.facts["id"] != plain.facts["id"]
    assert not any("sure" in warning for warning in mended.facts["warnings"])


def test_overlapping_classes_have_a_proposal_of_one_file_a_class(tmp_path):
    true = np.stack([disc((64, 64), (30, 30), 14), disc((64, 64), (30, 30), 6)])
    for index in range(3):
        for name, mask in zip(("inner", "outer"), true[::-1]):
            missed = index == 1 and name == "inner"
            picture(tmp_path / "labels" / name / f"c{index}.png", mask & (not missed))
        probs = np.where(true[::-1], 0.9, 0.1).astype(np.float32)
        arrays(tmp_path / "probabilities" / f"c{index}.npz", probs=probs)
    result = run(tmp_path, tmp_path / "out", images=None, classes=None)
    assert result.facts["overlapping"]
    assert result.facts["values"] is None
    assert result.cases[0]["case"] == "c1"
    assert result.cases[0]["proposal"] == ["proposals/inner/c1.png", "proposals/outer/c1.png"]
    for name, mask in zip(("inner", "outer"), true[::-1]):
        np.testing.assert_array_equal(read_map(result.folder / "proposals" / name / "c1.png"), mask * 255)


def test_one_volume_of_thick_slices(tmp_path):
    shape, affine = (20, 22, 8), np.diag([-1.0, -1.0, 4.0, 1.0])
    true = box(shape, (1, 9), (1, 9), (2, 6)) * 1 + box(shape, (10, 19), (12, 21), (2, 5)) * 2
    (tmp_path / "labels").mkdir()
    given = np.where(true == 2, 0, true).astype(np.uint8)
    volume(tmp_path / "labels" / "v.nii.gz", given, affine)
    arrays(tmp_path / "probabilities" / "v.npz", probs=sure(true, 2))
    result = run(tmp_path, tmp_path / "out", images=None)
    (row,) = result.cases
    assert row["reason"] == "lesion: an object of 972 mm3 seems to be missing."  # 9 x 9 x 3 of 4 mm3
    assert result.facts["unit"] == "mm"
    proposal = np.asarray(nibabel.load(result.folder / "proposals" / "v.nii.gz").dataobj)
    np.testing.assert_array_equal(proposal, true)
    assert any("1 case is too few" in warning for warning in result.facts["warnings"])


def test_cases_of_other_spacing_count_like_the_rest(tmp_path):
    true, shape = disc((40, 40), (20, 20), 9), (40, 40, 1)
    (tmp_path / "labels").mkdir()
    for case, mm in zip("abc", (9.0, 1.0, 1.0)):
        image = nibabel.Nifti1Image(true.astype(np.uint8).reshape(shape), np.diag([mm, mm, mm, 1.0]))
        nibabel.save(image, tmp_path / "labels" / f"{case}.nii.gz")
        arrays(tmp_path / "probabilities" / f"{case}.npz", probs=sure(true.reshape(shape), 1))
    result = run(tmp_path, tmp_path / "out", images=None, classes={"a": 1})
    assert result.facts["statistics"]["offset_spread"] == {"a": 0.25}  # of 1 mm, not of the first case's 9


def test_what_nobody_annotated_is_no_error(tmp_path):
    for index in range(3):
        true = discs(index)[0]
        given = np.where((true == 2) | (index == 2), 9, true)
        picture(tmp_path / "labels" / f"c{index}.png", given)
        arrays(tmp_path / "probabilities" / f"c{index}.npz", probs=soft(true, 2))
    result = run(tmp_path, tmp_path / "out", images=None, ignore=9)
    findings = {case: [f.reason for f in own] for case, own in result.findings.items()}
    assert findings == {"c0": [], "c1": [], "c2": ["Nothing is annotated."]}
    assert result.facts["ignore"] == 9


def test_findings_as_parquet(data, result, tmp_path):
    table = pytest.importorskip("pyarrow.parquet")
    found = run(data, tmp_path / "out", parquet=True)
    rows = table.read_table(found.folder / "findings.parquet").to_pylist()
    assert [(row["case"], row["reason"]) for row in rows] == [
        (row["case"], row["reason"]) for row in lines(result.folder / "findings.jsonl")
    ]


@pytest.fixture
def spoiled(data: Path, tmp_path: Path) -> Path:
    """A copy of labels, probabilities and images that may be spoiled."""
    for name in ("labels", "probabilities", "images"):
        shutil.copytree(data / name, tmp_path / "data" / name)
    return tmp_path / "data"


def test_probabilities_of_another_shape_are_refused_with_case_and_file(spoiled, tmp_path):
    arrays(spoiled / "probabilities" / "c05.npz", probs=np.full((3, 64, 32), 1 / 3, np.float32))
    with pytest.raises(
        GeometryError, match=r"case c05: .*c05\.npz: .*\(3, 64, 32\), the labels have \(64, 64\)"
    ):
        run(spoiled, tmp_path / "out")


def test_an_image_of_another_size_is_refused_with_case_and_file(spoiled, tmp_path):
    picture(spoiled / "images" / "c06.png", np.zeros((64, 63)))
    with pytest.raises(
        GeometryError, match=r"case c06: the image .*c06\.png has shape \(64, 63\), its labels"
    ):
        run(spoiled, tmp_path / "out")


def test_a_case_without_probabilities_is_named(spoiled, tmp_path):
    (spoiled / "probabilities" / "c02.npz").unlink()
    with pytest.raises(MissingDataError, match="c02"):
        run(spoiled, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_case_without_an_image_is_named(spoiled, tmp_path):
    (spoiled / "images" / "c03.png").unlink()
    with pytest.raises(MissingDataError, match=r"1 of 12 cases of .* have no image in .*: c03\."):
        run(spoiled, tmp_path / "out")


def test_an_annotator_of_an_unknown_case_is_refused_before_anything_is_written(data, tmp_path):
    (tmp_path / "who.csv").write_text("case,annotator\nc00,ann\nc99,bob\n")
    with pytest.raises(DataError, match=r"who\.csv, line 3: no case called 'c99'"):
        run(data, tmp_path / "out", annotators=tmp_path / "who.csv")
    assert not (tmp_path / "out").exists()


def test_no_jobs_are_no_way_to_work(data, tmp_path):
    with pytest.raises(ConfigError, match="jobs must be 1 or more"):
        run(data, tmp_path / "out", jobs=0)


@pytest.mark.parametrize("name", ["labels", "probabilities", "images"])
def test_nothing_is_written_into_what_is_read(spoiled, name):
    before = contents(spoiled)
    for out in (spoiled / name, spoiled / name / "audit"):
        with pytest.raises(OutputError, match="choose another folder"):
            run(spoiled, out)
    assert contents(spoiled) == before


def test_a_folder_with_something_else_in_it_is_left_alone(data, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match=r"already holds thesis\.txt"):
        run(data, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_proposals_of_an_audit_are_not_cleared_while_they_are_audited(data, tmp_path):
    out = run(data, tmp_path / "out").folder
    before = contents(out)
    with pytest.raises(OutputError, match="is read and would be replaced"):
        audit(out / "proposals", probabilities=data / "probabilities", classes=CLASSES, out=out)
    assert contents(out) == before


def test_a_file_that_is_read_is_not_replaced_by_one_of_the_same_name(data, tmp_path):
    (tmp_path / "findings.csv").write_text("case,annotator\nc00,ann\n")
    with pytest.raises(OutputError, match=r"findings\.csv is read and would be replaced"):
        run(data, tmp_path, annotators=tmp_path / "findings.csv")
    assert (tmp_path / "findings.csv").read_text() == "case,annotator\nc00,ann\n"


def test_an_audit_is_not_replaced_unless_that_is_asked_for(data, tmp_path):
    out = run(data, tmp_path / "out").folder
    before = contents(out)
    with pytest.raises(OutputError, match=r"already holds results \(audit\.json\): .* --overwrite"):
        run(data, out)
    assert contents(out) == before


def test_an_audit_that_was_killed_or_fails_leaves_nothing_in_its_place(data, tmp_path, monkeypatch):
    def fail(folder, progress):
        assert (folder / "audit.json").is_file()
        raise KeyError

    monkeypatch.setattr("labelmend.workflows.auditing.audit.write_review", fail)
    with pytest.raises(KeyError):
        run(data, tmp_path / "out", page=True)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".part-out" / "proposals").mkdir(parents=True)
    (tmp_path / ".part-out" / "proposals" / "old.png").write_bytes(b"half a file")
    found = run(data, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not (found.folder / "proposals" / "old.png").exists()


def test_the_review_page_is_written_unless_it_is_not_wanted(data, tmp_path):
    pages = [
        (run(data, tmp_path / str(page), page=page).folder / "report.html").is_file()
        for page in (True, False)
    ]
    assert pages == [True, False]
    assert inspect.signature(audit).parameters["page"].default is True


def test_each_proposal_has_a_checksum(result):
    rows = [row for row in result.cases if row["proposal"]]
    assert rows
    for row in rows:
        assert row["proposal_checksum"] == checksum(*(result.folder / name for name in row["proposal"]))


def test_labels_that_lie_elsewhere_than_their_image_are_a_fault(tmp_path):
    true = disc((32, 32), (16, 16), 8)
    (tmp_path / "probabilities").mkdir()
    for number in range(3):
        place = np.diag([1.0, 1.0, 1.0, 1.0])
        name = f"case_{number}.nii.gz"
        image = (true * 100.0).astype(np.float32)[..., None]
        volume(tmp_path / "images" / name, image, place)
        place[0, 3] = 5.0 * (number == 1)
        volume(tmp_path / "labels" / name, true.astype(np.uint8)[..., None], place)
        inside = np.where(true, 0.9, 0.1)[..., None]
        np.save(tmp_path / "probabilities" / f"case_{number}.npy", np.stack([1 - inside, inside]))
    found = run(tmp_path, tmp_path / "OUT", classes={"disc": 1})
    told = {case: [f.reason for f in own if f.kind == "fault"] for case, own in found.findings.items()}
    assert [case for case, reasons in told.items() if reasons] == ["case_1"]
    assert "differ in affine, by up to 5" in told["case_1"][0]


def test_a_class_of_value_0_is_told_by_its_name(data, tmp_path):
    found = run(data, tmp_path, classes={"body": 0} | CLASSES)
    kinds = {case: [(f.kind, f.class_name, f.other) for f in own] for case, own in found.findings.items()}
    assert ("wrong_class", "lesion", "body") in kinds[MISSED]
    assert ("wrong_class", "body", "lesion") in kinds[EXTRA]
    text = (tmp_path / "findings.csv").read_text() + (tmp_path / "summary.md").read_text()
    assert "background" not in text
    assert not any(kind in ("missing", "spurious") for own in kinds.values() for kind, *_ in own)
    assert found.facts["values"] == {"body": 0} | CLASSES
    assert open_given(read_audit(tmp_path)).names == ("body", "liver", "lesion")


def held(data: Path) -> dict[str, dict[str, np.ndarray]]:
    """The same set as arrays by case id."""
    cases = [f"c{index:02d}" for index in range(12)]
    return {
        "labels": {case: read_map(data / "labels" / f"{case}.png") for case in cases},
        "probabilities": {case: np.load(data / "probabilities" / f"{case}.npz")["probs"] for case in cases},
        "images": {case: read_map(data / "images" / f"{case}.png") for case in cases},
    }


def test_arrays_give_the_findings_and_proposals_of_files(data, result):
    found = audit(**held(data), classes=CLASSES)
    assert found.folder is None
    assert found.findings == result.findings
    told = [(row["case"], row["rank"], row["score"], row["reason"]) for row in found.cases]
    assert told == [(row["case"], row["rank"], row["score"], row["reason"]) for row in result.cases]
    assert found.proposals.keys() == {row["case"] for row in result.cases if row["proposal"]} != set()
    for case, proposed in found.proposals.items():
        np.testing.assert_array_equal(proposed, read_map(result.folder / "proposals" / f"{case}.png"))


def test_nothing_is_written_where_no_folder_is_named(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    audit(**held(data), classes=CLASSES)
    assert list(tmp_path.iterdir()) == []


def test_arrays_one_after_the_other_are_numbered(data):
    arrays = {what: np.stack(list(cases.values())) for what, cases in held(data).items()}
    found = audit(
        arrays["labels"], list(arrays["probabilities"]), arrays["images"], classes=["liver", "lesion"]
    )
    assert {row["case"] for row in found.cases[:3]} == {"01", "04", "07"}


def test_without_proposals_none_are_kept(data):
    assert audit(**held(data), classes=CLASSES, proposals=False).proposals == {}


def test_the_folder_of_an_audit_of_arrays_holds_all_that_its_review_needs(data, tmp_path):
    found = audit(**held(data), classes=CLASSES, out=tmp_path / "out", spacing_mm=0.5)
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    read = read_audit(moved)
    given = open_given(read)
    np.testing.assert_array_equal(given.read("c01").array, held(data)["labels"]["c01"])
    assert given.read("c01").grid.spacing_mm == (0.5, 0.5)
    assert (read.cases[0].image.is_file(), found.facts["unit"]) == (True, "mm")
    proposals = open_proposals(read, given)
    assert {case: tuple(files) for case, files in proposals.files.items()}.keys() == {"c01", "c04", "c07"}
    page = (moved / "report.html").read_text(encoding="utf-8")
    assert page.count('"img": "data:image') + page.count('"img":"data:image') >= 12
    assert '"error"' not in page


def test_workers_audit_arrays_too(data):
    one, two = (audit(**held(data), classes=CLASSES, jobs=jobs) for jobs in (1, 2))
    assert one.cases == two.cases
    for case, proposed in one.proposals.items():
        np.testing.assert_array_equal(two.proposals[case], proposed)


def test_an_array_that_does_not_fit_is_named_with_its_case(data):
    arrays = held(data)
    arrays["probabilities"]["c03"] = arrays["probabilities"]["c03"][1:]
    with pytest.raises(GeometryError, match=r"case c03: .* shape \(2, 64, 64\), expected \(3, 64, 64\)"):
        audit(**arrays, classes=CLASSES)
