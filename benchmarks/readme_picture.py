"""The picture at the top of the README, of a finished demo: `python benchmarks/readme_picture.py [demo]`."""

from __future__ import annotations

import sys
from pathlib import Path

from labelmend.html.figures import before_after
from labelmend.io import open_dataset, open_labels

CASE = "case007"
TARGET = Path(__file__).parents[1] / "docs" / "images" / "before_after.png"


def main(demo: Path) -> None:
    data = open_dataset(demo / "data", "clean")
    folders = (demo / "data" / "given", demo / "spatial_correction" / "labels", demo / "data" / "clean")
    masks = [open_labels(folder).read(CASE).masks() for folder in folders]
    picture = before_after(data.read_image(CASE).array[0], *masks, classes=data.labels.classes, scale=4)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    picture.save(TARGET, optimize=True)
    print(f"{TARGET}: {picture.size[0]} x {picture.size[1]} pixels")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
