"""What `labelmend demo` prints: what is going on, two tables, and where the report is, last of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labelmend import demo as engine
from labelmend.cli import main
from labelmend.demo import DemoResult
from labelmend.workflows.training import report
from labelmend.workflows.training.results import RunResult

SUMMARY: dict[str, Any] = {"unit": "px", "rounds": [], "notes": [], "cases": [{"version": 1}, {"version": 0}]}


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A demo that trains nothing; keeps what it was told."""
    calls: dict[str, Any] = {}

    def fake(out: Path, **settings: Any) -> DemoResult:
        calls.update(settings, out=out)
        run = RunResult(tmp_path / "run", tmp_path / "run" / "labels", SUMMARY)
        return DemoResult(
            run, {"lung": (0.75, 0.95)}, {"lung": (0.7, 0.9, 0.925), "heart": (0.5, 0.8, 0.875)}
        )

    monkeypatch.setattr(engine, "demo", fake)
    monkeypatch.setattr(report, "write_report", lambda run: calls.update(report=run))
    return calls


def test_given_corrected_and_clean_stand_side_by_side(told, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    rows = [line.replace("│", " ").split() for line in out.splitlines()]
    assert ["lung", "0.750", "0.950"] in rows
    assert ["heart", "0.500", "0.800", "0.875"] in rows
    assert ["mean", "0.600", "0.850", "0.900"] in rows


def test_the_last_line_says_where_the_report_is(
    told, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["demo"])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.split() == ["report", str(tmp_path / "run" / "report.html")]


def test_settings_reach_the_demo(told) -> None:
    main(["demo", "--out", "elsewhere", "--epochs", "3", "--seed", "7"])
    assert (told["out"], told["epochs"], told["seed"]) == (Path("elsewhere"), 3, 7)
