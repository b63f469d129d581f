"""An audit in shards: together they write what one run writes, in any order, killed or not."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawn_findings import CLASSES, arrays, checksums, disc_set, discs, picture, soft, sure
from labelmend.engine import audit, audit_shards
from labelmend.engine.audit import audit_labels
from labelmend.engine.audit_result import AuditResult
from labelmend.engine.audit_shards import Waiting
from labelmend.errors import ConfigError, OutputError, UnreadableFileError

N = 5


class Killed(BaseException):
    """What nothing in the audit may catch."""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five cases, and who drew them; two have an error, and the network is too sure of itself."""
    root = disc_set(tmp_path_factory.mktemp("discs"), N, power=3.0)
    (root / "who.csv").write_text("case,annotator\nc00,ann\nc01,bob\n")
    return root


@pytest.fixture
def data(drawn: Path, tmp_path: Path) -> Path:
    """A copy that may be spoiled."""
    return shutil.copytree(drawn, tmp_path / "data")


def run(data: Path, out: Path, **more: Any) -> AuditResult | Waiting:
    settings = {"probabilities": data / "probabilities", "images": data / "images", "classes": CLASSES}
    return audit_labels(data / "labels", out=out, **(settings | more))


def whole(data: Path, out: Path, **more: Any) -> AuditResult:
    found = run(data, out, **more)
    assert isinstance(found, AuditResult)
    return found


def waiting(data: Path, out: Path, **more: Any) -> Waiting:
    found = run(data, out, **more)
    assert isinstance(found, Waiting)
    return found


def killed_at(n: int) -> Callable[[str, str, int], None]:
    """An `on_case` that ends the run at its n-th case."""
    seen: list[str] = []

    def on_case(stage: str, case: str, n_cases: int) -> None:
        seen.append(case)
        if len(seen) == n:
            raise Killed

    return on_case


def parts(out: Path) -> set[str]:
    return {path.name for path in (out / "parts").iterdir()}


@pytest.mark.parametrize(
    ("order", "more"),
    [
        (["1/1"], {}),
        (["1/2", "2/2", "1/2"], {}),
        (["2/2", "1/2", "2/2"], {"images": None, "parquet": True}),
        (["3/3", "1/3", "2/3", "1/3", "3/3"], {"annotators": "who.csv"}),
        (["1/2", "2/2", "1/2", "2/2"], {"calibrate": True}),
        (["2/3", "3/3", "1/3", "3/3", "2/3", "1/3", "3/3"], {"calibrate": True}),
        (["4/7", "7/7", "1/7", "5/7", "3/7", "2/7", "6/7", "1/7", "3/7", "4/7", "5/7"], {"proposals": False}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "-".join(value),
)
def test_shards_in_any_order_write_what_one_run_writes_byte_for_byte(drawn, tmp_path, order, more):
    if more.get("parquet"):
        pytest.importorskip("pyarrow")
    if "annotators" in more:
        more = {"annotators": drawn / "who.csv"}
    one = whole(drawn, tmp_path / "one", **more)
    seen: Counter[tuple[str, str]] = Counter()
    for shard in order[:-1]:
        waiting(drawn, tmp_path / "out", shard=shard, on_case=lambda *call: seen.update([call[:2]]), **more)
    last = whole(
        drawn, tmp_path / "out", shard=order[-1], on_case=lambda *call: seen.update([call[:2]]), **more
    )
    assert checksums(tmp_path / "out") == checksums(tmp_path / "one")
    assert not (tmp_path / "out" / "parts").exists()
    assert (last.facts, last.cases, str(last.findings)) == (one.facts, one.cases, str(one.findings))
    assert (last.folder, last.written) == (tmp_path / "out", True)
    stages = ["counting", *(["counting again"] if more.get("calibrate") else []), "examining"]
    assert seen == Counter({(stage, f"c{i:02d}"): 1 for stage in stages for i in range(N)})


def test_a_shard_says_how_far_all_have_come_and_whom_it_waits_for(drawn, tmp_path):
    out = tmp_path / "out"
    found = [
        waiting(drawn, out, shard=shard, calibrate=True) for shard in ("2/3", "1/3", "3/3", "1/3", "2/3")
    ]
    assert [str(row) for row in found] == [
        "counted 2 of 5 cases; run the same command again when shards 1, 3 of 3 have counted",
        "counted 4 of 5 cases; run the same command again when shard 3 of 3 has counted",
        "counted again 1 of 5 cases; run the same command again when shards 1, 2 of 3 have counted again",
        "counted again 3 of 5 cases; run the same command again when shard 2 of 3 has counted again",
        "examined 2 of 5 cases; run the same command again when shards 1, 3 of 3 have examined",
    ]
    assert found[0] == Waiting(out, "counting", 2, 5, (1, 3), 3)
    assert {path.name for path in out.iterdir()} == {"parts"}


def test_a_shard_that_waits_does_nothing_twice(drawn, tmp_path):
    first = waiting(drawn, tmp_path, shard="1/2")
    before = checksums(tmp_path)
    assert waiting(drawn, tmp_path, shard="1/2", on_case=killed_at(1)) == first
    assert checksums(tmp_path) == before


def test_a_killed_shard_does_again_what_it_had_not_finished_and_no_more(drawn, tmp_path):
    one = checksums(whole(drawn, tmp_path / "one").folder)
    out = tmp_path / "out"
    with pytest.raises(Killed):
        run(drawn, out, shard="1/2", on_case=killed_at(2))
    assert not out.exists()
    waiting(drawn, out, shard="1/2")
    with pytest.raises(Killed):  # two cases counted, then killed at the second of its findings
        run(drawn, out, shard="2/2", on_case=killed_at(4))
    assert parts(out) == {"counted-1-of-2.jsonl", "counted-2-of-2.jsonl", "proposals"}
    stages: list[str] = []
    waiting(drawn, out, shard="2/2", on_case=lambda stage, case, n: stages.append(stage))
    assert stages == ["examining"] * 2
    whole(drawn, out, shard="1/2")
    assert checksums(out) == one


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"shard": "1/3"}, r"shards \(2, here 3\)"),
        ({"calibrate": True}, r"calibrate \(false, here true\)"),
        (
            {"proposals": False, "parquet": True},
            r"parquet \(false, here true\), proposals \(true, here false\)",
        ),
        ({"images": None}, "images"),
        ({"spacing_mm": 0.5}, r"spacing_mm \(null, here 0\.5\)"),
        ({"annotators": "who.csv"}, "annotators"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_parts_of_an_audit_with_other_settings_are_refused_and_stay(drawn, tmp_path, more, told):
    waiting(drawn, tmp_path, shard="1/2")
    before = checksums(tmp_path)
    if "annotators" in more:
        more = {"annotators": drawn / "who.csv"}
    with pytest.raises(
        OutputError, match=rf"counted-1-of-2\.jsonl is of an audit with other {told}"
    ) as caught:
        run(drawn, tmp_path, on_case=killed_at(1), **{"shard": "2/2", **more})
    assert f"remove {tmp_path / 'parts'}" in str(caught.value)
    assert checksums(tmp_path) == before


def test_parts_of_other_labels_other_cases_or_another_version_are_refused(drawn, data, tmp_path, monkeypatch):
    out = tmp_path / "out"
    waiting(data, out, shard="1/2")
    with pytest.raises(OutputError, match="with other labels, probabilities, images: run all shards"):
        run(drawn, out, shard="2/2")
    monkeypatch.setattr("labelmend.engine.audit_result.__version__", "0.0.9")
    with pytest.raises(OutputError, match=r'with other version \(".*", here "0\.0\.9"\)'):
        run(data, out, shard="2/2")
    monkeypatch.undo()
    for name in ("labels", "probabilities", "images"):
        (next((data / name).glob("c03.*"))).unlink()
    with pytest.raises(OutputError, match=r"with other n_cases \(5, here 4\), cases: "):
        run(data, out, shard="2/2")


def test_shards_with_other_settings_that_were_started_at_once_find_out_when_they_meet(drawn, tmp_path):
    def other(stage: str, case: str, n_cases: int) -> None:
        if not list(tmp_path.glob("parts/*.jsonl")):
            waiting(drawn, tmp_path, shard="1/2", proposals=False)

    with pytest.raises(OutputError, match=r"proposals \(false, here true\)"):
        run(drawn, tmp_path, shard="2/2", on_case=other)


@pytest.mark.parametrize("name", ["labels", "probabilities", "images"])
def test_a_case_that_changed_since_it_was_counted_is_named(data, tmp_path, name):
    out = tmp_path / "out"
    waiting(data, out, shard="2/2")
    waiting(data, out, shard="1/2")
    (file,) = (data / name).glob("c03.*")
    os.utime(file, ns=(1, 1))
    with pytest.raises(OutputError, match=r"of case c03 changed since .*counted-2-of-2\.jsonl was written"):
        run(data, out, shard="2/2")


def test_findings_are_not_joined_with_numbers_that_they_do_not_rest_on(data, tmp_path):
    out = tmp_path / "out"
    waiting(data, out, shard="2/2")
    waiting(data, out, shard="1/2")
    picture(data / "labels" / "c03.png", discs(4)[0])
    (out / "parts" / "counted-2-of-2.jsonl").unlink()
    with pytest.raises(OutputError, match=r"examined-1-of-2\.jsonl was made with other numbers .*: remove"):
        run(data, out, shard="2/2")


@pytest.mark.parametrize(
    "spoil", [lambda lines: lines[:-1], lambda lines: [*lines[:-1], lines[-1][:50] + "\n"]]
)
def test_a_damaged_part_is_named_with_the_shard_to_run_again(drawn, tmp_path, spoil):
    waiting(drawn, tmp_path, shard="1/2")
    path = tmp_path / "parts" / "counted-1-of-2.jsonl"
    path.write_text("".join(spoil(path.read_text().splitlines(keepends=True))))
    with pytest.raises(UnreadableFileError, match=r"counted-1-of-2\.jsonl is damaged .* run shard 1 again"):
        run(drawn, tmp_path, shard="2/2")
    path.unlink()
    waiting(drawn, tmp_path, shard="1/2")
    whole(drawn, tmp_path, shard="2/2")


def both_done(drawn: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All cases examined, and the run that would join them killed before it wrote anything."""
    waiting(drawn, out, shard="1/2")
    waiting(drawn, out, shard="2/2")
    with monkeypatch.context() as patch:
        patch.setattr(audit, "write_result", killed)
        with pytest.raises(Killed):
            run(drawn, out, shard="1/2")
    assert {"examined-1-of-2.jsonl", "examined-2-of-2.jsonl"} < parts(out)


def killed(*_: object, **__: object) -> None:
    raise Killed


@pytest.mark.parametrize("shard", ["1/2", "2/2"])
def test_any_shard_joins_what_a_killed_one_did_not(drawn, tmp_path, monkeypatch, shard):
    one = checksums(whole(drawn, tmp_path / "one").folder)
    both_done(drawn, tmp_path / "out", monkeypatch)
    assert whole(drawn, tmp_path / "out", shard=shard, on_case=killed_at(1)).written
    assert checksums(tmp_path / "out") == one


@pytest.mark.parametrize("last", ["c01.png", "cases.jsonl", "audit.json"])
def test_a_run_killed_while_it_moves_the_files_into_place_is_made_good(drawn, tmp_path, monkeypatch, last):
    one = checksums(whole(drawn, tmp_path / "one").folder)
    out = tmp_path / "out"
    both_done(drawn, out, monkeypatch)
    replace = os.replace

    def replace_until(source: Path, target: Path) -> None:
        replace(source, target)
        if Path(target).parent in (out, out / "proposals") and Path(target).name == last:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(audit_shards.os, "replace", replace_until)
        with pytest.raises(Killed):
            run(drawn, out, shard="2/2")
    assert (out / "parts").exists()
    again = whole(drawn, out, shard="2/2")
    assert again.written == (last != "audit.json")
    assert checksums(out) == one


@pytest.mark.parametrize("all_gone", [True, False])
def test_of_two_runs_that_join_at_once_one_says_that_it_wrote_the_result(
    drawn, tmp_path, monkeypatch, all_gone
):
    one = checksums(whole(drawn, tmp_path / "one").folder)
    out = tmp_path / "out"
    both_done(drawn, out, monkeypatch)
    write, inner = audit.write_result, []

    def write_late(*given: Any, **more: Any) -> AuditResult:
        found = write(*given, **more)
        if not inner:
            inner.append(None)
            with monkeypatch.context() as patch:
                if not all_gone:  # it has taken the first part away, and is slow to remove the rest
                    patch.setattr(audit_shards.shutil, "rmtree", lambda *_, **__: None)
                inner[0] = run(drawn, out, shard="2/2")
        return found

    monkeypatch.setattr(audit, "write_result", write_late)
    outer = whole(drawn, out, shard="1/2")
    assert isinstance(inner[0], AuditResult)
    assert (inner[0].written, outer.written) == (True, False)
    assert outer.cases == inner[0].cases
    assert checksums(out) == one
    assert not (out / "parts").exists()


def test_a_run_whose_own_files_another_took_away_gives_what_was_joined(drawn, tmp_path, monkeypatch):
    out, write = tmp_path / "out", audit.write_result
    both_done(drawn, out, monkeypatch)
    inner: list[Any] = []

    def write_early(folder: Path, *given: Any, **more: Any) -> AuditResult:
        if not inner:
            inner.append(None)
            inner[0] = run(drawn, out, shard="2/2")
            folder.parent.write_text("no folder any more")  # nothing can be written into it
            try:
                return write(folder, *given, **more)
            finally:
                folder.parent.unlink()
        return write(folder, *given, **more)

    monkeypatch.setattr(audit, "write_result", write_early)
    outer = whole(drawn, out, shard="1/2")
    assert (inner[0].written, outer.written) == (True, False)
    assert outer.cases == inner[0].cases


def test_a_shard_that_comes_late_finds_the_whole_audit_and_changes_nothing(drawn, tmp_path):
    for shard in ("1/2", "2/2"):
        waiting(drawn, tmp_path, shard=shard)
    joined = whole(drawn, tmp_path, shard="1/2")
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    late = whole(drawn, tmp_path, shard="2/2", on_case=killed_at(1))
    assert not late.written
    assert (late.cases, late.facts) == (joined.cases, json.loads(json.dumps(joined.facts)))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times


def test_a_whole_audit_of_other_settings_or_labels_is_neither_given_nor_replaced(data, tmp_path):
    out = tmp_path / "out"
    whole(data, out)
    before = checksums(out)
    with pytest.raises(
        OutputError, match="holds a finished audit with other images, settings: choose another"
    ):
        run(data, out, shard="1/2", images=None)
    picture(data / "labels" / "c03.png", discs(4)[0])
    assert not whole(data, out, shard="1/2").written  # c03 is no case of this shard
    with pytest.raises(
        OutputError, match="finished audit of other labels than now, case c03: choose another"
    ):
        run(data, out, shard="2/2")
    assert checksums(out) == before


def test_an_audit_of_all_does_not_clear_parts(drawn, tmp_path):
    waiting(drawn, tmp_path, shard="1/2")
    before = checksums(tmp_path)
    with pytest.raises(OutputError, match=rf"{re.escape(str(tmp_path / 'parts'))} holds parts of an audit"):
        run(drawn, tmp_path)
    assert checksums(tmp_path) == before


@pytest.mark.parametrize(
    "name", ["thesis.txt", "parts/thesis.txt", "parts/a/b.txt", "cases.jsonl", ".part-proposals/a"]
)
def test_a_folder_with_something_else_in_it_is_left_alone(drawn, tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("years of work\n")
    with pytest.raises(OutputError, match="choose a new or empty folder"):
        run(drawn, tmp_path, shard="1/2")
    assert checksums(tmp_path).keys() == {name}


@pytest.mark.parametrize("shard", ["3/2", "0/2", "2"])
def test_a_shard_that_does_not_exist_is_refused(drawn, tmp_path, shard):
    with pytest.raises(ConfigError, match=r"written i/n with 1 <= i <= n"):
        run(drawn, tmp_path / "out", shard=shard)
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_into_what_is_read(data):
    before = checksums(data)
    for out in (data / "labels", data / "labels" / "audit"):
        with pytest.raises(OutputError, match="choose another folder"):
            run(data, out, shard="1/2")
    assert checksums(data) == before


def nnunet(root: Path) -> dict[str, Any]:
    """Four discs as a raw data set of nnU-Net; the second lacks its lesion."""
    home = root / "Dataset001_Discs"
    for index in range(4):
        true, image = discs(index)
        picture(home / "labelsTr" / f"c{index}.png", np.where(true == 2, 0, true) if index == 1 else true)
        picture(home / "imagesTr" / f"c{index}_0000.png", image)
        arrays(root / "probs" / f"c{index}.npz", probabilities=soft(true, 2)[:, None])
    content = {"labels": {"background": 0, **CLASSES}, "channel_names": {"0": "x"}, "file_ending": ".png"}
    (home / "dataset.json").write_text(json.dumps(content | {"numTraining": 4}))
    return {"labels": home, "probabilities": root / "probs"}


def coco(root: Path) -> dict[str, Any]:
    """Four images with a square each, which one of them lacks."""
    pytest.importorskip("pycocotools")
    square = {"category_id": 1, "segmentation": [[8, 8, 24, 8, 24, 24, 8, 24]], "iscrowd": 0, "area": 256}
    content: dict[str, Any] = {
        "images": [{"id": i, "file_name": f"p{i}.png", "height": 32, "width": 32} for i in range(4)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [{"id": i + 1, "image_id": i, **square} for i in range(3)],
    }
    root.mkdir()
    (root / "coco.json").write_text(json.dumps(content))
    inside = np.zeros((32, 32), int)
    inside[8:24, 8:24] = 1
    for i in range(4):
        arrays(root / "probs" / f"p{i}.npz", probs=sure(inside, 2)[1:])
    return {"labels": root / "coco.json", "probabilities": root / "probs"}


@pytest.mark.parametrize("layout", [nnunet, coco], ids=lambda layout: layout.__name__)
def test_every_layout_can_be_audited_in_shards(tmp_path, layout):
    settings = layout(tmp_path / "data")
    one = audit_labels(**settings, out=tmp_path / "one")
    for shard in ("1/2", "2/2"):
        assert isinstance(audit_labels(**settings, out=tmp_path / "out", shard=shard), Waiting)
    two = audit_labels(**settings, out=tmp_path / "out", shard="1/2")
    assert isinstance(one, AuditResult)
    assert isinstance(two, AuditResult)
    assert (one.facts["layout"], two.facts) == (layout.__name__, one.facts)
    assert one.cases[0]["proposal"]
    assert checksums(tmp_path / "out") == checksums(tmp_path / "one")
