"""Every method on two processes ends with the labels that it ends with on one.

One launch trains all methods one after the other, so that starting up is paid once. Two processes with two
cases a batch see in every step what one process with four sees. Networks without batch statistics and
pictures without augmentation leave little to differ: rounding, and that a mean over the pixels that a method
keeps is taken in each process, so that halves of a batch weigh alike however much of them is kept.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labelmend.io import open_labels
from labelmend.methods.registry import METHODS

SCRIPT = """
import sys
from pathlib import Path

import labelmend
from labelmend.workflows.training.config import AugmentConfig, NetworkConfig
from labelmend.methods.registry import METHODS

data, out, batch_size = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
network = NetworkConfig("UNet", {"channels": [4, 8], "strides": [2], "norm": "INSTANCE"})
still = AugmentConfig(rotate_deg=0.0, scale=0.0, shift=0.0, intensity=0.0)
for name in METHODS:
    fields = {"sieve_from": 3, "warm_up": 1, "ramp_to": 3} if name == "cores" else {}
    fields |= {"warm_up": 1} if name == "robust_loss" else {}
    fields |= {"ramp_epochs": 3} if name == "co_teaching" else {}
    method = METHODS[name](**fields)
    trusted = {"clean": str(data / "trusted.txt"), "clean_labels": "clean"}
    labelmend.train(
        data, out=out / name, labels="given", method=method, network=network, augment=still, epochs=8,
        batch_size=batch_size, steps_per_epoch=2, device="cpu", threads=1, average_shift=0, min_learned=0.0,
        **(trusted if method.needs.clean == "required" else {}),
    )
"""


@pytest.fixture(scope="module")
def both(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of the runs of one process and of two."""
    home = tmp_path_factory.mktemp("processes")
    (home / "train.py").write_text(SCRIPT)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for folder, first, batch_size in (("one", [sys.executable], 4), ("two", launch, 2)):
        words = [*first, str(home / "train.py"), str(pictures), str(home / folder), str(batch_size)]
        ended = subprocess.run(
            words,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert ended.returncode == 0, ended.stderr[-3000:]
    return home / "one", home / "two"


@pytest.mark.parametrize("name", sorted(METHODS))
def test_two_processes_end_with_the_labels_of_one(name: str, both: tuple[Path, Path]) -> None:
    one, two = (open_labels(folder / name / "labels") for folder in both)
    assert one.cases == two.cases
    differing = [np.mean(one.read(case).masks() != two.read(case).masks()) for case in one.cases]
    assert max(differing) < 0.005, differing


def test_some_of_these_runs_changed_labels(both: tuple[Path, Path], pictures: Path) -> None:
    """Equal labels say little where nothing was ever corrected."""
    given = open_labels(pictures / "given")
    changed = []
    for name in METHODS:
        labels = open_labels(both[0] / name / "labels")
        changed.append(any((labels.read(c).masks() != given.read(c).masks()).any() for c in labels.cases))
    assert sum(changed) >= 3
