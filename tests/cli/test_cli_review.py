"""What `labelmend review` reads, prints and answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drawn_audit import ID, flat
from labelmend.cli import main


def decide(folder: Path, **verdicts: str) -> str:
    rows = [{"case": c, "verdict": v, "at": "", "note": ""} for c, v in verdicts.items()]
    path = folder / "verdicts.json"
    path.write_text(json.dumps({"kind": "labelmend verdicts", "version": 1, "audit": ID, "verdicts": rows}))
    return str(path)


def test_apply_counts_the_verdicts_and_says_where_the_labels_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, final = flat(tmp_path), tmp_path / "final"
    assert (
        main(["review", "apply", str(out), decide(tmp_path, a="take", b="redraw"), "--to", str(final)]) == 0
    )
    assert capsys.readouterr().out.splitlines() == [
        "     1  proposal taken",
        "     1  to draw again, left as given",
        "     2  not looked at, left as given",
        f"final labels  {final / 'labels'}",
        f"to draw again {final / 'worklist'}",
    ]


def test_page_says_what_to_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = flat(tmp_path)
    assert main(["review", "page", str(out), "--max_side_px", "64"]) == 0
    assert capsys.readouterr().out == f"{out / 'report.html'}: 0.0 MB, open it in a browser\n"
    assert (out / "report.html").stat().st_size > 20_000


def test_verdicts_of_another_audit_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, path = flat(tmp_path), decide(tmp_path)
    (out / "audit.json").write_text((out / "audit.json").read_text().replace(ID, "changed"))
    assert main(["review", "apply", str(out), path, "--to", str(tmp_path / "final")]) == 2
    assert "labelmend review: " in (error := capsys.readouterr().err)
    assert error.count("\n") == 1


@pytest.mark.parametrize("line", [["review"], ["review", "apply", "OUT", "V"], ["review", "burn", "OUT"]])
def test_a_deed_that_is_not_whole_is_refused(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(line)
    assert stopped.value.code == 2
    assert capsys.readouterr().err
