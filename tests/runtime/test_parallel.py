"""Work shared out over processes: the same results in the same order, and dead workers are replaced."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from labelmend.errors import ConfigError, MissingDataError, WorkerError
from labelmend.runtime import parallel
from labelmend.runtime.parallel import CHUNK, each


def square(number: int) -> int:
    return number * number


def refuse(number: int) -> int:
    raise MissingDataError(f"number {number} is not there")


def die_once(folder: Path, number: int) -> int:
    """Kill the own process when number 3 comes for the first time."""
    mark = folder / "died"
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_the_order_of_the_items(jobs: int) -> None:
    items = range(3 * CHUNK)
    assert list(each(square, items, jobs=jobs)) == [n * n for n in items]


def test_one_job_works_in_this_process_and_takes_items_one_by_one() -> None:
    taken: list[int] = []
    items = (taken.append(n) or n for n in range(10))  # type: ignore[func-returns-value]
    pids = each(lambda _: os.getpid(), items)
    assert next(pids) == os.getpid()
    assert taken == [0]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_the_function_is_raised_as_it_is(jobs: int) -> None:
    with pytest.raises(MissingDataError, match="number 7 is not there"):
        list(each(refuse, [7], jobs=jobs))


def test_the_work_of_a_killed_worker_is_done_again(tmp_path: Path) -> None:
    assert list(each(partial(die_once, tmp_path), range(8), jobs=2)) == list(range(8))
    assert (tmp_path / "died").exists()


def test_workers_that_always_die_end_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "ATTEMPTS", 2)
    with pytest.raises(WorkerError, match=r"workers died 2 times over the same 1 items .*fewer jobs"):
        list(each(die, [1], jobs=2))


@pytest.mark.parametrize("jobs", [0, -2])
def test_a_number_of_jobs_that_makes_no_sense_is_refused(jobs: int) -> None:
    with pytest.raises(ConfigError, match=f"got {jobs}"):
        list(each(square, [1], jobs=jobs))


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ConfigError, match="no backend called 'slurm': choose from loky, ray"):
        list(each(square, [1], backend="slurm"))
