"""Runs that are killed, anywhere, and started again: the same files as a run that was left alone.

One process trains once, undisturbed, then forks a child for every further start: a kill costs no import. A
child is killed with SIGKILL in the middle of a write: after half of the temporary file, or just before or
just after the rename.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drawn_data import ALWAYS_FLAGS, TRAINING, contents, half_files
from labelmend.cli import main
from labelmend.io import checksum, read_manifest

EPOCHS = 3

SERVER = '''
import json, os, signal, sys
from pathlib import Path

import labelmend.workflows.training.loop as engine
from labelmend.cli import main

engine.CHECKPOINT_EVERY_S = -1.0  # after every epoch
rename, write_bytes, write = os.replace, Path.write_bytes, os.write


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def arm(mode, pattern, count):
    """Kill this process at the count-th write of a file whose path (or line, for a log) holds the pattern."""
    left = count

    def due(text):
        nonlocal left
        left -= pattern in text
        return left == 0 and pattern in text

    def half_write_bytes(path, data):
        if due(str(path)):
            write_bytes(path, data[: len(data) // 2])
            die()
        return write_bytes(path, data)

    def kill_at_rename(source, target):
        hit = due(str(target))
        if hit and mode == "before":
            die()
        rename(source, target)
        if hit:
            die()

    def half_line(descriptor, data):
        if due(bytes(data).decode()):
            write(descriptor, data[: len(data) // 2])
            die()
        return write(descriptor, data)

    if mode == "half":
        Path.write_bytes = half_write_bytes
    elif mode == "line":
        os.write = half_line
    else:
        os.replace = kill_at_rename


def start(argv, kill=None):
    """Exit status of one start in a child: 0, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        status = 70
        try:
            if kill is not None:
                arm(*kill)
            status = main(argv)
        finally:
            sys.stdout.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


jobs = json.loads(Path(sys.argv[1]).read_text())
done = {"alone": [main(jobs.pop("alone")["argv"])]}
for name, job in jobs.items():
    done[name] = [start(job["argv"], kill) for kill in ([job["kill"], None] if job["kill"] else [None])]
Path(sys.argv[2]).write_text(json.dumps(done))
'''

KILLS = {
    "first checkpoint half written": ("half", "state.pt", 1),
    "after a checkpoint in round 1": ("after", "state.pt", 2),
    "between rounds": ("before", "state.pt", EPOCHS + 2),
    "row of an epoch half written": ("line", '"round": 2, "epoch": 2', 1),
    "revision not yet renamed": ("before", "v1/c2.npz", 1),
    "third label half written": ("half", "labels/heart/.part-c3.png", 1),
    "third label written, but not its manifest row": ("after", "labels/lung/c3.png", 1),
    "summary not yet renamed": ("before", "summary.json", 1),
}

MORE_KILLS = {
    "settings half written": ("half", "config.yaml", 1),
    "second checkpoint not yet renamed": ("before", "state.pt", 2),
    "end of round 1": ("after", "state.pt", EPOCHS + 1),
    "after a checkpoint in round 2": ("after", "state.pt", EPOCHS + 4),
    "revision of the third case half written": ("half", "v1/.part-c3.npz", 1),
    "revision of round 2": ("after", "v2/c4.npz", 1),
    "weights half written": ("half", "model.safetensors", 1),
    "third label not yet renamed": ("before", "labels/lung/c3.png", 1),
    "manifest row half written": ("line", '"case": "c3"', 1),
    "report half written": ("half", "report.html", 1),
}


def command(data: Path, out: Path, *more: str) -> list[str]:
    network = json.dumps({"channels": [4, 8], "strides": [2], "norm": "BATCH", "dropout": 0.2})
    return [
        "train", str(data), "--labels", "given", "--out", str(out), "--clean", str(data / "trusted.txt"),
        "--clean-labels", "clean", *ALWAYS_FLAGS, "--network.args", network,
        "--epochs", str(EPOCHS), "--batch-size", "4", "--device", "cpu", "--threads", "1", *more,
    ]  # fmt: skip


def lasting(run: Path) -> dict[str, str]:
    """What a run leaves, but for settings and report (they name the folder) and the checkpoint itself."""
    assert (run / "report.html").read_text().rstrip().endswith("</html>")
    passing = ("config.yaml", "report.html", "checkpoint/state.pt")
    return {name: digest for name, digest in contents(run).items() if name not in passing}


def epochs(run: Path) -> list[tuple[int, int]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [(row["round"], row["epoch"]) for row in map(json.loads, lines)]


def killed(folder: Path, data: Path, kills: dict[str, tuple[str, str, int]]) -> Path:
    """A run that was left alone, one that stopped early, and one for every kill, each started twice."""
    # a rate that changes nothing: the first epoch stays the best, the second ends the round
    early = ["--early-stop", "1", "--learning-rate", "1e-30", "--validation-share", "0.3", "--epochs", "9"]
    early += ["--network.args", '{"channels": [4, 8], "strides": [2], "norm": "INSTANCE"}']
    jobs = {
        "alone": {"argv": command(data, folder / "alone"), "kill": None},
        "early, alone": {"argv": command(data, folder / "early, alone", *early), "kill": None},
        "early": {"argv": command(data, folder / "early", *early), "kill": ("after", "state.pt", 2)},
    }
    for name, kill in kills.items():
        jobs[name] = {"argv": command(data, folder / name), "kill": kill}
    (folder / "server.py").write_text(SERVER)
    (folder / "jobs.json").write_text(json.dumps(jobs))
    server = [sys.executable, str(folder / "server.py"), str(folder / "jobs.json"), str(folder / "done.json")]
    ended = subprocess.run(server, capture_output=True, text=True, timeout=280, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return folder


def check_killed(runs: Path, name: str) -> None:
    """The first start was killed, the second ended well, and nothing tells them from a run left alone."""
    assert json.loads((runs / "done.json").read_text())[name] == [-signal.SIGKILL, 0]
    assert lasting(runs / name) == lasting(runs / "alone")
    assert half_files(runs / name) == []
    manifest = read_manifest(runs / name / "manifest.jsonl")
    assert [row.case for row in manifest] == list(TRAINING)
    for row in manifest:
        assert checksum(*(runs / name / file for file in row.files)) == row.checksum


@pytest.fixture(scope="module")
def runs(pictures, tmp_path_factory) -> Path:
    return killed(tmp_path_factory.mktemp("killed"), pictures, KILLS)


@pytest.fixture(scope="module")
def more_runs(pictures, tmp_path_factory) -> Path:
    return killed(tmp_path_factory.mktemp("killed"), pictures, MORE_KILLS)


def test_the_run_that_is_left_alone_corrects_every_case(runs):
    rounds = json.loads((runs / "alone" / "summary.json").read_text())["rounds"]
    assert [row["n_revised"] for row in rounds] == [5, 5]
    assert epochs(runs / "alone") == [(r, e) for r in (1, 2) for e in (1, 2, 3)]


@pytest.mark.parametrize("name", KILLS)
def test_a_killed_run_started_again_ends_with_the_same_files(runs, name):
    check_killed(runs, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE_KILLS)
def test_a_killed_run_started_again_ends_with_the_same_files_wherever_it_was(more_runs, name):
    check_killed(more_runs, name)


def test_a_round_that_stopped_early_is_not_trained_further_after_a_kill(runs):
    assert json.loads((runs / "done.json").read_text())["early"] == [-signal.SIGKILL, 0]
    assert epochs(runs / "early, alone") == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert lasting(runs / "early") == lasting(runs / "early, alone")


SLOW = """
import sys, time
import labelmend.workflows.training.loop as engine
from labelmend.cli import main

engine.CHECKPOINT_EVERY_S = -1.0
append = engine.append_metrics
engine.append_metrics = lambda *arguments: (append(*arguments), time.sleep(0.3))
sys.exit(main(sys.argv[1:]))
"""


def test_kill_9_from_outside_in_the_middle_of_training(runs, pictures, tmp_path, capsys):
    (tmp_path / "slow.py").write_text(SLOW)
    argv = command(pictures, tmp_path / "run")
    process = subprocess.Popen([sys.executable, str(tmp_path / "slow.py"), *argv], stdout=subprocess.DEVNULL)
    log = tmp_path / "run" / "metrics.jsonl"
    waited_until = time.monotonic() + 120
    while not (log.exists() and log.read_text().count("\n") >= 2):
        assert process.poll() is None
        assert time.monotonic() < waited_until
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert (tmp_path / "run" / "checkpoint" / "state.pt").exists()
    assert not (tmp_path / "run" / "labels").exists()
    assert main(argv) == 0
    assert lasting(tmp_path / "run") == lasting(runs / "alone")
    assert half_files(tmp_path) == []


def test_accelerate_launch_ends_with_the_same_files(runs, pictures, tmp_path):
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "labelmend"]
    launch += command(pictures, tmp_path / "run")
    ended = subprocess.run(launch, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert lasting(tmp_path / "run") == lasting(runs / "alone")


def test_two_processes_share_the_work_and_write_every_label_once(pictures, tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    argv = command(pictures, tmp_path / "run", "--early-stop", "5", "--validation-share", "0.3")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [*launch, "-m", "labelmend", *argv],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env=environment,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("cases corrected") == 1
    assert epochs(tmp_path / "run") == [(r, e) for r in (1, 2) for e in (1, 2, 3)]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert [row["n_revised"] for row in summary["rounds"]] == [5, 5]
    assert [row.case for row in read_manifest(tmp_path / "run" / "manifest.jsonl")] == list(TRAINING)
    expected = [f"{name}/{case}.png" for name in ("heart", "lung") for case in TRAINING]
    assert list(contents(tmp_path / "run" / "labels")) == expected
    assert half_files(tmp_path) == []
