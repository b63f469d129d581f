"""The input of an audit: labels in any layout, probabilities and optional images, read case by case."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import ConfigError, GeometryError, MissingDataError
from labelmend.io import (
    LabelFolder,
    checksum,
    grid_difference,
    open_images,
    open_labels,
    read_case_list,
    read_image,
    spacing_notes,
    stored_apart,
)
from labelmend.io.arrays import (
    Arrays,
    CaseSpacing,
    ClassNames,
    as_path,
    hold_cases,
    numbered,
    one_spacing,
)
from labelmend.io.held_cases import HeldLabels, HeldSource
from labelmend.io.images.orientation_tag import turned_apart
from labelmend.io.labels.coco import CocoLabels, open_coco
from labelmend.io.labels.coco_proposals import write_proposal
from labelmend.io.labels.nnunet import is_nnunet, open_nnunet
from labelmend.io.probabilities.axes import OrderSetting
from labelmend.io.probabilities.open_probabilities import MOST_LISTED, open_probabilities
from labelmend.io.probabilities.probability_folder import ProbabilityFolder
from labelmend.runtime.text import listed
from labelmend.types import FloatArray, LabelMap, every_class

Layout = Literal["folder", "nnunet", "coco"]
AnySource: TypeAlias = "Source | HeldSource"


@dataclass(frozen=True, eq=False)
class Source:
    """Labels, probabilities and images of the same cases.

    Args:
        labels: path of the labels as the caller gave it.
        layout: kind of layout at that path.
        given: the labels.
        probs: the probabilities.
        images: folder of images, or None.
        image_files: per case, the files of its channels; empty without images.
        spacing_mm: spacing for files that store none.
        notes: sentences about the data, such as what was left out.
    """

    labels: Path
    layout: Layout
    given: LabelFolder | CocoLabels
    probs: ProbabilityFolder
    images: Path | None
    image_files: Mapping[str, tuple[Path, ...]]
    spacing_mm: Sequence[float] | float | None
    notes: tuple[str, ...] = ()

    @property
    def cases(self) -> tuple[str, ...]:
        return self.given.cases

    @property
    def classes(self) -> tuple[str, ...]:
        return self.given.classes

    @property
    def names(self) -> tuple[str, ...]:
        """Every class that reports include, see `LabelMap.names`."""
        return every_class(self.given.background, self.classes)

    @property
    def with_images(self) -> bool:
        return self.images is not None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The folders and files that are read."""
        named = (self.given.path, self.labels, self.probs.path, self.images)
        return tuple(path for path in named if path is not None)

    def only(self, case: str) -> Source:
        """The same source restricted to one case, small enough to send to a worker."""
        files = {case: self.image_files[case]} if case in self.image_files else {}
        return dataclasses.replace(
            self, given=self.given.only(case), probs=self.probs.only(case), image_files=files
        )

    def read(self, case: str) -> tuple[LabelMap, FloatArray, NDArray[np.float32] | None, str]:
        """Labels, probabilities and image `(c *space)` of a case, and how image and label geometry differ.

        The image is None if there is none; the difference is an empty string if the geometries agree or are
        not stored.
        """
        given, probs = self.read_labels(case)
        if case not in self.image_files:
            return given, probs, None, ""
        channels = [read_image(path, self.spacing_mm).onto(given.grid) for path in self.image_files[case]]
        for path, channel in zip(self.image_files[case], channels, strict=True):
            turned = turned_apart(channel.grid, given.grid)
            if turned:
                raise GeometryError(f"case {case}, {path} and {self.label_files(case)[0]}: {turned}")
            if channel.grid.shape != given.grid.shape:
                raise GeometryError(
                    f"case {case}: the image {path} has shape {channel.grid.shape}, its labels "
                    f"{given.grid.shape}: audit labels on the grid of the images"
                )
        apart = filter(None, (grid_difference(channel.grid, given.grid) for channel in channels))
        return given, probs, np.concatenate([channel.array for channel in channels]), next(apart, "")

    def read_labels(self, case: str) -> tuple[LabelMap, FloatArray]:
        """Labels and probabilities of a case."""
        given = self.given.read(case)
        return given, self.probs.read(case, given)

    def checksum(self, case: str) -> str:
        """Checksum of the given labels of a case."""
        if isinstance(self.given, CocoLabels):
            return self.given.checksum(case)
        return checksum(*self.given.sources(case))

    def write(self, folder: Path, case: str, labels: LabelMap) -> tuple[Path, ...]:
        """Write new labels of a case below a folder, in the given format; for COCO, one file per case."""
        if isinstance(self.given, CocoLabels):
            return (write_proposal(folder, self.given, case, labels),)
        return self.given.write(folder, case, labels)

    def label_files(self, case: str) -> tuple[Path, ...]:
        return (self.labels,) if isinstance(self.given, CocoLabels) else self.given.sources(case)

    def image_name(self, case: str) -> str | None:
        """The (first) image file of a case relative to the image folder, or None."""
        if case not in self.image_files or self.images is None:
            return None
        return self.image_files[case][0].relative_to(self.images).as_posix()

    def description(self) -> dict[str, Any]:
        """The entry of audit.json that describes this source."""
        given = self.given
        values = given.class_map() if isinstance(given, LabelFolder) and not given.overlapping else None
        spacing = self.spacing_mm
        return {
            "labels": str(self.labels.resolve()),
            "layout": self.layout,
            "probabilities": str(self.probs.path.resolve()),
            "order": self.probs.order,
            "images": None if self.images is None else str(self.images.resolve()),
            "classes": list(self.classes),
            "values": values,
            "overlapping": self.given.overlapping,
            "ignore": getattr(self.given, "ignore", None),
            "spacing_mm": spacing if spacing is None or isinstance(spacing, int | float) else list(spacing),
        }


def open_source(
    labels: str | Path | Arrays,
    probabilities: str | Path | Arrays,
    images: str | Path | Arrays | None = None,
    *,
    classes: ClassNames | None = None,
    ignore: int | None = None,
    spacing_mm: CaseSpacing | None = None,
    order: OrderSetting = "auto",
    cases: str | Path | Sequence[str] | None = None,
) -> AnySource:
    """Labels with their probabilities and images: arrays as they are, files opened but not read yet.

    Args:
        labels: arrays, see `labelmend.io.arrays`; or a label folder, a raw data set of nnU-Net, or a COCO
            file (.json).
        probabilities: arrays where the labels are; or a folder, see `open_probabilities`.
        images: arrays where the labels are; or a folder. Every case needs one. Of nnU-Net they are found
            where they belong, and cases may lack them.
        classes: names and values, for integer maps and boolean arrays only.
        ignore: value of pixels nobody annotated, for integer maps only.
        spacing_mm: of arrays; of files that store none, or instead of what they store.
        order: of the axes of probabilities, see `open_probabilities`.
        cases: only these: ids, or a text file of them; all others may lack probabilities and images.

    Raises:
        DataError: raised by `open_labels`, `open_nnunet`, `open_coco` and `open_probabilities`.
        ConfigError: class names or an ignore value for a dataset that defines them itself.
    """
    if not isinstance(labels, str | Path):
        return hold_cases(
            labels,
            probabilities,
            images,
            classes=classes,
            ignore=ignore,
            spacing_mm=spacing_mm,
            cases=None if cases is None else named_cases(cases),
        )
    return _open_files(
        Path(labels),
        as_path(probabilities, "probabilities"),
        None if images is None else as_path(images, "images"),
        classes=numbered(classes),
        ignore=ignore,
        spacing_mm=one_spacing(spacing_mm),
        order=order,
        cases=cases,
    )


def _open_files(
    labels: Path,
    probabilities: Path,
    images: Path | None,
    *,
    classes: Mapping[str, int] | None,
    ignore: int | None,
    spacing_mm: Sequence[float] | float | None,
    order: OrderSetting,
    cases: str | Path | Sequence[str] | None,
) -> Source:
    """Files opened, see `open_source`."""
    layout: Layout = "coco" if labels.suffix == ".json" else "nnunet" if is_nnunet(labels) else "folder"
    if layout != "folder" and (classes is not None or ignore is not None):
        raise ConfigError(f"{labels} defines its own classes: leave out classes and ignore")
    notes: tuple[str, ...] = ()
    files: dict[str, tuple[Path, ...]] = {}
    home = images
    given: LabelFolder | CocoLabels
    if layout == "nnunet":
        given, files, info = open_nnunet(labels, spacing_mm=spacing_mm)
        notes, labels = info.notes, info.root if (labels / "dataset.json").is_file() else labels
        own = next(iter(files.values()))[0].parent if files else None
        if home is None or (own is not None and home.resolve() == own.resolve()):
            home = own
        else:
            files = {case: (path,) for case, path in open_images(home).items()}
    elif layout == "coco":
        if home is not None and not home.is_dir():
            raise MissingDataError(f"{home} is not a folder: expected the images of {labels}")
        given = open_coco(labels, spacing_mm=spacing_mm, images=home)
        notes = given.notes
        files = {} if home is None else {case: (p,) for case, p in given.image_files(home).items()}
    else:
        given = open_labels(labels, classes=classes, ignore=ignore, spacing_mm=spacing_mm)
    if home is not None and layout == "folder":
        files = {case: (path,) for case, path in open_images(home).items()}
    if cases is not None:
        wanted = wanted_cases(cases, given)
        notes = (*notes, f"Only {len(wanted)} of {len(given.cases)} cases were selected.")
        given = given.only(*wanted)
    probs = _matched(probabilities, given, files if images is not None else None, home, order)
    source = Source(labels, layout, given, probs, home, files, spacing_mm, (*notes, *probs.notes))
    return dataclasses.replace(source, notes=(*source.notes, *_header_notes(source)))


def _header_notes(source: Source) -> tuple[str, ...]:
    """Sentences about inconsistent headers of labels and images."""
    files = source.image_files
    read = [path for case in source.cases for path in (*source.label_files(case), *files.get(case, ()))]
    apart = stored_apart(
        {case: paths[0] for case, paths in files.items()},
        {case: source.label_files(case)[0] for case in source.cases},
    )
    return (*spacing_notes(read, source.spacing_mm), *apart)


def named_cases(cases: str | Path | Sequence[str]) -> tuple[str, ...]:
    """The ids of the cases asked for: of a text file, of a text with commas, or as they are."""
    if isinstance(cases, Path) or (isinstance(cases, str) and os.path.isfile(cases)):
        return read_case_list(cases)
    return tuple(map(str.strip, cases.split(","))) if isinstance(cases, str) else tuple(cases)


def wanted_cases(
    cases: str | Path | Sequence[str], given: LabelFolder | CocoLabels | HeldLabels
) -> tuple[str, ...]:
    """The ids of the cases asked for, sorted, or an error that lists all that are not there."""
    wanted = named_cases(cases)
    unknown = [case for case in dict.fromkeys(wanted) if case not in given.cases]
    if unknown or not wanted:
        raise MissingDataError(
            f"{given.path} has no labels for the requested cases: "
            f"{listed(unknown, MOST_LISTED) or 'none named'}. "
            f"It has {listed(given.cases)}: give ids of these, or a text file of them"
        )
    return tuple(sorted(set(wanted)))


def _matched(
    probabilities: str | Path,
    given: LabelFolder | CocoLabels,
    images: Mapping[str, tuple[Path, ...]] | None,
    home: Path | None,
    order: OrderSetting,
) -> ProbabilityFolder:
    """The probabilities of all cases, or one error that lists all cases without probabilities or image."""
    missing = [] if images is None else [case for case in given.cases if case not in images]
    problem = f"{len(missing)} of {len(given.cases)} cases of {given.path} have no image in {home}: "
    problem += f"{listed(missing, MOST_LISTED)}. Add the images, or give no images at all"
    try:
        probs = open_probabilities(probabilities, given, order=order)
    except MissingDataError as error:
        raise MissingDataError(f"{error}. Also, {problem}" if missing else str(error)) from error
    if missing:
        raise MissingDataError(f"{problem}, or select cases (--cases: ids, or a text file of them)")
    return probs
