"""What `labelmend review` reads, prints and answers."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from drawn_audit import ID, decide, flat, regions
from drawn_coco import CAT, DOG, coco_set, true_masks
from labelmend.cli import main
from labelmend.io import open_coco


def test_apply_counts_the_verdicts_and_says_where_the_labels_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, final = flat(tmp_path), tmp_path / "final"
    path = str(decide(tmp_path, ("a", "take"), ("b", "redraw")))
    assert main(["review", "apply", str(out), path, "--out", str(final)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "     1  proposal taken",
        "     1  to be redrawn, left as given",
        "     2  not reviewed, left as given",
        f"final labels  {final / 'labels'}",
        f"to redraw     {final / 'worklist'}",
    ]


def test_apply_tells_what_was_drawn_again_and_the_next_command_for_nnunet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, final, new = regions(tmp_path), tmp_path / "final", tmp_path / "new"
    shutil.copytree(out / "proposals", new)
    line = ["review", "apply", str(out), str(decide(tmp_path, ("v", "redraw"))), "--out", str(final)]
    line += ["--redrawn", str(new), "--dataset", "Dataset055_Good", "--copy-images"]
    assert main(line) == 0
    assert capsys.readouterr().out.splitlines() == [
        "     1  redrawn, and taken",
        f"final labels  {final / 'Dataset055_Good' / 'labelsTr'}",
        f"next          nnUNet_raw={final} nnUNetv2_plan_and_preprocess -d 55 --verify_dataset_integrity",
    ]
    assert not (final / "Dataset055_Good" / "imagesTr" / "v_0000.nii.gz").is_symlink()


def test_page_says_what_to_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = flat(tmp_path)
    assert main(["review", "page", str(out), "--max-side-px", "64"]) == 0
    assert capsys.readouterr().out == f"{out / 'report.html'}: 0.0 MB, open it in a browser\n"
    assert (out / "report.html").stat().st_size > 20_000


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_a_coco_file_is_audited_reviewed_and_read_by_pycocotools(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = pytest.importorskip("pycocotools.coco")
    home, out, final = coco_set(tmp_path / "data"), tmp_path / "out", tmp_path / "final"
    named = ["--probabilities", str(home / "probabilities"), "--images", str(home / "images")]
    assert main(["audit", str(home / "instances.json"), *named, "--out", str(out)]) == 0
    assert f"review  {out / 'report.html'}" in capsys.readouterr().out
    text = (out / "report.html").read_text()
    assert len(re.findall(r'"img":\s*"data:image/png;base64,', text)) == 3
    assert sorted(path.name for path in (out / "proposals").iterdir()) == ["a.json", "c.json"]

    audit = json.loads((out / "audit.json").read_text())["id"]
    path = str(decide(tmp_path, ("a", "take"), ("b", "keep"), ("c", "redraw"), audit=audit))
    assert main(["review", "apply", str(out), path, "--out", str(final)]) == 0
    assert f"final labels  {final / 'instances.json'}" in capsys.readouterr().out
    assert (final / "worklist" / "cvat.xml").is_file()

    read = reader.COCO(str(final / "instances.json"))
    given = open_coco(home / "instances.json")
    proposal = open_coco(out / "proposals" / "a.json").read("a").array
    np.testing.assert_array_equal(proposal, true_masks("a"))
    wanted = {10: proposal, 20: given.read("b").array, 30: given.read("c").array}
    for number, masks in wanted.items():
        for category, mask in zip((DOG, CAT), masks, strict=True):
            found = read.loadAnns(read.getAnnIds(imgIds=[number], catIds=[category], iscrowd=False))
            drawn = [read.annToMask(entry) for entry in found if entry["segmentation"]]
            np.testing.assert_array_equal(np.any(drawn, axis=0), mask)
    assert read.loadAnns(read.getAnnIds(imgIds=[20, 30])) == [
        *given.annotations["b"],
        *given.annotations["c"],
    ]


def test_verdicts_of_another_audit_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, path = flat(tmp_path), str(decide(tmp_path))
    (out / "audit.json").write_text((out / "audit.json").read_text().replace(ID, "changed"))
    assert main(["review", "apply", str(out), path, "--out", str(tmp_path / "final")]) == 2
    assert "labelmend review: " in (error := capsys.readouterr().err)
    assert error.count("\n") == 1


@pytest.mark.parametrize("line", [["review"], ["review", "apply", "OUT", "V"], ["review", "burn", "OUT"]])
def test_a_deed_that_is_not_whole_is_refused(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(line)
    assert stopped.value.code == 2
    assert capsys.readouterr().err
