"""Work on a Ray cluster, begun here: the results and the bytes of one process, and nothing is reported."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import drawn_correct
from drawn_data import contents
from labelmend.cli import main
from labelmend.errors import MissingDataError
from labelmend.io.files.reading import read_yaml
from labelmend.runtime.parallel import each

ray = pytest.importorskip("ray", reason="Ray has no wheel for this version of Python")


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No cluster but one that the package begins itself: without a token in the home folder, and ended."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
        patch.setenv("RAY_AUTH_MODE", "disabled")
        yield
        ray.shutdown()


def test_results_come_in_the_order_of_the_items() -> None:
    assert list(each(math.sqrt, [n * n for n in range(20)], jobs=2, backend="ray")) == list(range(20))


def test_an_error_of_the_function_is_raised_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"absent\.yaml"):
        list(each(read_yaml, [tmp_path / "absent.yaml"], jobs=2, backend="ray"))


def test_a_cluster_that_is_begun_here_reports_nothing_to_the_makers_of_ray() -> None:
    list(each(math.sqrt, [1], jobs=1, backend="ray"))
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_simulate_draws_the_same_masks_on_a_cluster(tmp_path: Path) -> None:
    drawn_correct.generous(tmp_path)
    settings = ["simulate", str(tmp_path / "labels"), "--noise", "polygon", "--classes", "disc=1"]
    assert main([*settings, "--out", str(tmp_path / "alone")]) == 0
    assert main([*settings, "--out", str(tmp_path / "ray"), "--backend", "ray", "--jobs", "2"]) == 0
    assert contents(tmp_path / "ray") == contents(tmp_path / "alone")


def test_audit_finds_the_same_on_a_cluster(tmp_path: Path) -> None:
    drawn_correct.generous(tmp_path)
    settings = [
        "audit", str(tmp_path / "labels"), "--probabilities", str(tmp_path / "probs"),
        "--classes", "disc=1", "--no-page",
    ]  # fmt: skip
    assert main([*settings, "--out", str(tmp_path / "alone")]) == 0
    assert main([*settings, "--out", str(tmp_path / "ray"), "--backend", "ray", "--jobs", "2"]) == 0
    names = ("cases.jsonl", "findings.jsonl", "findings.csv")
    for name in names:
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    assert json.loads((tmp_path / "ray/audit.json").read_text())["n_cases"] == len(drawn_correct.CASES)
