"""One function over many items, on the cores of this machine or of a cluster; dead workers are replaced."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from labelmend.errors import ConfigError, LabelmendError, WorkerError
from labelmend.runtime.extras import needed_by

Item = TypeVar("Item")
Result = TypeVar("Result")

BACKENDS = ("loky", "ray")
# Items handed out at a time, per job: enough to keep all jobs busy, little enough to do again.
CHUNK = 512
# How often a chunk is begun before its workers' deaths are taken for its own fault.
ATTEMPTS = 4
# PR_SET_PDEATHSIG of Linux: the signal that a process gets when its parent ends.
_DEATH_SIGNAL = 1


def each(
    function: Callable[[Item], Result], items: Iterable[Item], *, jobs: int = 1, backend: str = "loky"
) -> Iterator[Result]:
    """Yield `function(item)` for every item, in the order of the items.

    Items are taken as they are needed, so that a million of them need no room. Where a worker dies, its chunk
    is done again: the function may be called twice for one item and must not mind.

    Args:
        function: picklable for more than one job.
        items: what it is called with, one by one.
        jobs: workers; 1 works in this process, -1 uses every core.
        backend: `loky`, processes on this machine, or `ray` (an extra), the cluster at RAY_ADDRESS, else one
            begun here.

    Raises:
        LabelmendError: raised by the function, as if it had been called here.
        ConfigError: jobs or backend that do not exist.
        WorkerError: a chunk whose workers died again and again.
    """
    check_jobs(jobs, backend)
    if jobs == 1 and backend == "loky":
        yield from map(function, items)
        return
    deaths = _deaths(backend)
    waiting = iter(items)
    try:
        while chunk := list(itertools.islice(waiting, CHUNK * (jobs if jobs > 0 else os.cpu_count() or 1))):
            for outcome in _survived(function, chunk, jobs, backend, deaths):
                if isinstance(outcome, LabelmendError):
                    raise outcome
                yield outcome
    except BaseException:
        if backend == "loky":
            end_workers()
        raise


def end_workers() -> None:
    """End the processes of this machine's pool now, if there are any; the next call begins new ones."""
    from joblib.externals.loky import reusable_executor

    pool = reusable_executor._executor
    if pool is not None:
        pool.shutdown(wait=True, kill_workers=True)


def check_jobs(jobs: int, backend: str) -> None:
    """Refuse a number of jobs or a backend that does not exist, before anything is begun.

    Raises:
        ConfigError: as said. MissingExtraError: Ray is not installed.
    """
    if jobs == 0 or jobs < -1:
        raise ConfigError(f"jobs must be 1 or more, or -1 for every core, got {jobs}")
    if backend not in BACKENDS:
        raise ConfigError(f"no backend called {backend!r}: choose from {', '.join(BACKENDS)}")
    if backend == "ray":
        with needed_by('backend "ray"'):
            import ray  # noqa: F401


def _outcome(function: Callable[[Item], Result], item: Item, parent: int | None) -> Result | LabelmendError:
    """The function with its errors as values, since clusters wrap what is raised.

    Args:
        function, item: see `each`.
        parent: the process that a worker of this machine does not outlive; None of a cluster.
    """
    if parent is not None:
        _end_with(parent)
    try:
        return function(item)
    except LabelmendError as error:
        return error


def _end_with(parent: int) -> None:
    """End this process when its parent is killed, so that it writes nothing beside whoever goes on."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _survived(
    function: Callable[[Item], Result],
    chunk: list[Item],
    jobs: int,
    backend: str,
    deaths: tuple[type[BaseException], ...],
) -> Iterator[Result | LabelmendError]:
    from joblib import Parallel, delayed

    n_done = 0
    for attempt in itertools.count(1):
        # Ray's backend hands over results only when all of them are there.
        return_as = "generator" if backend == "loky" else "list"
        parent = os.getpid() if backend == "loky" else None
        parallel = Parallel(_workers(jobs, backend), backend=backend, return_as=return_as)
        try:
            for outcome in parallel(delayed(_outcome)(function, item, parent) for item in chunk[n_done:]):
                n_done += 1
                yield outcome
            return
        except deaths as error:
            if attempt == ATTEMPTS:
                raise WorkerError(
                    f"workers died {attempt} times over the same {len(chunk)} items "
                    f"({type(error).__name__}): give them more memory, or ask for fewer jobs; "
                    f"what was finished is kept"
                ) from error


def _workers(jobs: int, backend: str) -> int:
    """Jobs that a backend can start now: a cluster that lost a node has fewer cores than it was asked for."""
    if backend != "ray":
        return jobs
    import ray

    cores = max(int(ray.cluster_resources().get("CPU", 1)), 1)
    return cores if jobs == -1 else min(jobs, cores)


def _deaths(backend: str) -> tuple[type[BaseException], ...]:
    """What a backend raises when a worker dies, after making the backend known."""
    if backend == "loky":
        from joblib.externals.loky.process_executor import BrokenProcessPool

        return (BrokenProcessPool,)
    import ray
    from ray.util.joblib import register_ray

    register_ray()
    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray reports to its makers
        ray.init(address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    return (ray.exceptions.RayError,)
