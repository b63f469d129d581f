"""What a run works on: the training cases, the trusted cases, and the proof that the two do not overlap."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labelmend.errors import CleanCasesError, ConfigError, GeometryError, MissingDataError
from labelmend.geometry.orientation import labels_onto
from labelmend.io import (
    Dataset,
    DatasetFacts,
    check_dataset,
    common_orientation,
    grid_difference,
    open_dataset,
    open_images,
    open_labels,
    read_case_list,
    spacing_notes,
)
from labelmend.io.cases import named_cases
from labelmend.io.files.reading import read_object
from labelmend.methods.base import Facts, Method
from labelmend.workflows.training.config import TrainConfig, read_settings


@dataclass(frozen=True, eq=False)
class RunData:
    """Checked data of a run.

    Args:
        training: images and given labels.
        facts: gathered by reading them once.
        clean: trusted cases, or None.
        notes: sentences on what headers say.
        unseen: classes that no trusted case shows.
    """

    training: Dataset
    facts: DatasetFacts
    clean: Dataset | None
    notes: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()

    def for_method(self, seed: int) -> Facts:
        labels = self.training.labels
        return Facts(
            classes=labels.classes,
            overlapping=labels.overlapping,
            ndim=self.facts.ndim,
            n_cases=self.facts.n_cases,
            class_frequency=self.facts.class_frequency,
            seed=seed,
        )


def load_and_check(
    config: TrainConfig, method: Method, on_case: Callable[[str], None] = lambda case: None
) -> RunData:
    """Open, read and check everything that a run will read, before anything is trained or written.

    Raises:
        DataError: something is wrong with a file or folder.
        CleanCasesError: the method needs trusted cases and there are none, or they are trained on too.
        ConfigError: settings that do not fit the data.
    """
    if method.needs.clean == "required" and config.clean is None:
        raise CleanCasesError(
            f"{type(method).__name__} needs trusted cases: give --clean a folder with images/ and labels, a "
            "label folder for some of the cases, or a text file of case ids (one is enough to begin with)"
        )
    if not config.data:
        raise ConfigError("no data folder was given")
    clean, held_out = open_clean(config)
    training = _open_training(config, held_out)
    if not training.cases:
        raise MissingDataError(
            f"{config.data}: no case is left to train on once the trusted ones are held out"
        )
    files = {case: training.labels.sources(case)[0] for case in training.cases}
    orientation, notes = common_orientation(_images(training), files)
    training = dataclasses.replace(training, orientation=orientation)
    facts = check_dataset(training, on_case)
    _check_reference(config, training)
    if len(facts.shapes) > 1 and config.resize is None and config.patch is None:
        shapes = ", ".join(map(str, sorted(facts.shapes)[:3]))
        raise ConfigError(f"images differ in size ({shapes}, ...): give --resize or --patch")
    sources = [path for data in filter(None, (training, clean)) for path in _sources(data)]
    notes += spacing_notes(sources, config.spacing_mm)
    unseen: tuple[str, ...] = ()
    if clean is not None:
        clean = dataclasses.replace(clean, orientation=orientation)
        clean_facts = check_dataset(clean, on_case, every_class=False)
        _check_clean(clean, clean_facts, training, facts)
        if config.clean_repeat and config.resize is None and config.patch is None:
            _check_one_size(clean_facts, facts)
        shown = zip(clean.labels.classes, clean_facts.class_frequency, strict=True)
        unseen = tuple(name for name, share in shown if not share)
    return RunData(training, facts, clean, notes, unseen)


def _images(dataset: Dataset) -> dict[str, Path]:
    return {case: dataset.images[case] for case in dataset.cases}


def _sources(dataset: Dataset) -> list[Path]:
    """Images and label files."""
    labels = (path for case in dataset.cases for path in dataset.labels.sources(case))
    return [*_images(dataset).values(), *labels]


def open_clean(config: TrainConfig) -> tuple[Dataset | None, frozenset[str]]:
    """The trusted cases, and which of the cases in `config.data` they are (to be held out from training)."""
    if config.clean is None:
        return None, frozenset()
    path = Path(config.clean)
    if path.is_file():
        if config.clean_labels is None:
            raise CleanCasesError(
                f"--clean {path} lists cases: say with --clean-labels which label folder holds their truth"
            )
        dataset = _open(config, Path(config.data), config.clean_labels, read_case_list(path))
        return _restricted(dataset, config), frozenset(dataset.cases)
    if not path.is_dir():
        raise MissingDataError(f"--clean {path} is neither a folder nor a text file of case ids")
    if (path / "images").is_dir():
        return _restricted(
            _open(config, path, config.clean_labels or _only_labels(path, config.labels)), config
        ), frozenset()
    cases = open_labels(path, classes=config.classes, ignore=config.ignore).cases
    known = open_images(Path(config.data) / "images")
    missing = [case for case in cases if case not in known]
    if missing:
        raise MissingDataError(
            f"trusted case {missing[0]} ({path}) has no image in {Path(config.data) / 'images'}"
        )
    dataset = _open(config, Path(config.data), str(path.resolve()), cases)
    return _restricted(dataset, config), frozenset(dataset.cases)


def _open_training(config: TrainConfig, held_out: frozenset[str]) -> Dataset:
    """The cases to train on with their given labels; a trusted case that is held out needs none."""
    root = Path(config.data)
    if config.cases is not None:
        return _open(config, root, config.labels, named_cases(config.cases))
    if not held_out:
        return _open(config, root, config.labels)
    images = open_images(root / "images")
    training = _open(config, root, config.labels, [case for case in images if case not in held_out])
    alone = [case for case in training.labels.cases if case not in images]
    if alone:
        file = training.labels.sources(alone[0])[0]
        raise MissingDataError(f"case {alone[0]} has labels ({file}) but no image in {root / 'images'}")
    return training


def _open(
    config: TrainConfig, root: Path, labels: str, cases: tuple[str, ...] | list[str] | None = None
) -> Dataset:
    return open_dataset(
        root, labels, classes=config.classes, ignore=config.ignore, spacing_mm=config.spacing_mm, cases=cases
    )


def _restricted(dataset: Dataset, config: TrainConfig) -> Dataset:
    return dataset if config.clean_cases is None else dataset.subset(named_cases(config.clean_cases))


def _check_reference(config: TrainConfig, training: Dataset) -> None:
    """The truth for the report is there, readable, for every training case and with the same classes."""
    if config.reference is None:
        return
    reference = open_labels(
        config.reference, classes=config.classes, ignore=config.ignore, spacing_mm=config.spacing_mm
    )
    missing = [case for case in training.cases if case not in reference.files]
    if missing:
        raise MissingDataError(
            f"case {missing[0]} is trained on but has no labels in --reference {config.reference}"
        )
    if reference.classes != training.labels.classes:
        raise ConfigError(
            f"--reference {config.reference} has the classes {', '.join(reference.classes)}, "
            f"the given labels have {', '.join(training.labels.classes)}"
        )
    for case in training.cases:
        grid = training.read_labels(case).grid
        problem = grid_difference(grid, labels_onto(reference.read(case), grid).grid)
        if problem:
            raise GeometryError(
                f"case {case}: given labels {training.labels.sources(case)[0]} and reference "
                f"{reference.sources(case)[0]} differ in {problem}"
            )


def _only_labels(path: Path, preferred: str) -> str:
    """The label folder beside images/: the only one there is, or the one named like the given labels."""
    names = sorted(
        p.name for p in path.iterdir() if p.is_dir() and p.name != "images" and not p.name.startswith(".")
    )
    if preferred in names:
        return preferred
    if len(names) != 1:
        found = ", ".join(names) or "none"
        raise CleanCasesError(f"{path} holds these label folders: {found}; choose one with --clean-labels")
    return names[0]


def _check_clean(clean: Dataset, clean_facts: DatasetFacts, training: Dataset, facts: DatasetFacts) -> None:
    """Trusted cases are of the same kind as the training cases, and none of them is one."""
    if not clean.cases:
        raise CleanCasesError(f"{clean.root} holds no trusted case")
    if (
        clean.labels.classes != training.labels.classes
        or clean.labels.overlapping != training.labels.overlapping
    ):
        raise CleanCasesError(
            f"trusted labels {clean.labels.path} have the classes {', '.join(clean.labels.classes)}, "
            f"given labels {training.labels.path} have {', '.join(training.labels.classes)}: "
            "they must be the same"
        )
    if (clean_facts.ndim, clean_facts.n_channels) != (facts.ndim, facts.n_channels):
        raise GeometryError(
            f"trusted images are {clean_facts.ndim}-D with {clean_facts.n_channels} channel(s), "
            f"training images {facts.ndim}-D with {facts.n_channels}"
        )
    both = sorted(set(clean.cases) & set(training.cases))
    if both:
        raise CleanCasesError(
            f"case {both[0]} is trusted and trained on ({len(both)} such): a bias measured on training cases "
            "is too small; take it out of one of the two"
        )
    owner = {checksum: case for case, checksum in facts.checksums.items()}
    for case, checksum in clean_facts.checksums.items():
        if checksum in owner:
            twin = owner[checksum]
            raise CleanCasesError(
                f"trusted case {case} ({clean.images[case]}) is the same image as training case {twin} "
                f"({training.images[twin]}): take it out of one of the two"
            )


def check_first_round(run: Path, clean: Dataset) -> None:
    """Refuse a first round whose network was trained on a trusted case.

    Args:
        run: folder of the finished run that serves as the first round.
        clean: the trusted cases.
    """
    path = run / "summary.json"
    if not path.exists():
        raise MissingDataError(f"--first-round {run} is no finished run, it has no summary.json")
    summary = read_object(path, ("cases", "clean_cases"), "name a finished run")
    seen = {row["case"] for row in summary["cases"]}
    if read_settings(run).get("clean_repeat"):
        seen |= set(summary["clean_cases"])
    both = sorted(seen & set(clean.cases))
    if both:
        raise CleanCasesError(
            f"case {both[0]} is trusted, but the network of --first-round {run} was trained on it: a bias "
            "measured on training cases is too small"
        )


def _check_one_size(clean_facts: DatasetFacts, facts: DatasetFacts) -> None:
    """Trusted cases that join the training can share a batch with the others."""
    shapes = sorted(clean_facts.shapes | facts.shapes)
    if len(shapes) > 1:
        listed = ", ".join(map(str, shapes[:3]))
        raise ConfigError(
            f"--clean-repeat trains on trusted cases, but images differ in size ({listed}): "
            "give --resize or --patch"
        )
