"""Draw noise on a cluster of two local Ray nodes, kill one in the middle, and compare with one process.

    pip install 'labelmend[ray]'
    python benchmarks/ray_two_nodes.py       # one minute; writes results/ray_two_nodes.md

Half of the first chunk is done when the second node dies with its worker. The run goes on with what is left
of the cluster, and its masks and manifest must be those of a run in one process, byte for byte.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", RAY_USAGE_STATS_ENABLED="0")

import numpy as np
import ray
from PIL import Image
from ray.cluster_utils import Cluster

from labelmend import simulate
from labelmend.phantom import PHANTOM_CLASSES, draw_phantom

RESULT = Path(__file__).parent / "results" / "ray_two_nodes.md"
CASES, SIZE = 150, 256
KILL_AFTER = 120


def draw_cases(folder: Path) -> None:
    for number in range(CASES):
        _, masks = draw_phantom(np.random.default_rng(number), SIZE)
        for name, mask in zip(PHANTOM_CLASSES, masks, strict=True):
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / name / f"case_{number:03}.png")


def content(folder: Path) -> dict[str, str]:
    """SHA-256 of every file."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        home, out = Path(place), Path(place) / "cluster"
        draw_cases(home / "clean")
        alone = content(simulate(home / "clean", home / "alone", preset="J1").folder)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 10**8})
        second = cluster.add_node(num_cpus=1, object_store_memory=10**8)
        ray.init(address=cluster.address, log_to_driver=False)
        nodes_before, at_death = len(ray.nodes()), {}

        def kill() -> None:
            while len(list(out.rglob("*.png"))) < KILL_AFTER:
                time.sleep(0.02)
            at_death["masks"] = len(list(out.rglob("*.png")))
            at_death["writers"] = len(list(out.glob(".*manifest.jsonl")))
            cluster.remove_node(second, allow_graceful=False)

        killer = threading.Thread(target=kill)
        killer.start()
        simulate(home / "clean", out, preset="J1", jobs=2, backend="ray")
        killer.join()
        alive = sum(node["Alive"] for node in ray.nodes())
        together = content(out)
        ray.shutdown()
        cluster.shutdown()
    same = together == alone
    text = (
        "# Two Ray nodes, one killed in the middle\n\n"
        f"Made by `python benchmarks/ray_two_nodes.py`. {CASES} drawn radiographs with "
        f"{len(PHANTOM_CLASSES)} masks each at {SIZE} px, preset J1, `jobs=2`, `backend='ray'`.\n\n"
        f"- nodes at the start: {nodes_before}; processes that had written masks at the kill: "
        f"{at_death['writers']}; masks written by then: {at_death['masks']} of {CASES * 3}\n"
        f"- nodes alive at the end: {alive}\n"
        f"- masks and manifest identical to those of one process: **{'yes' if same else 'NO'}** "
        f"({len(together)} files, SHA-256)\n"
    )
    RESULT.write_text(text)
    print(text)
    if not same:
        raise SystemExit("the cluster's files differ from those of one process")


if __name__ == "__main__":
    main()
