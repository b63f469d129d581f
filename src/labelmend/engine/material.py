"""What a run works on: the training cases, the trusted cases, and the proof that the two do not overlap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labelmend.engine.config import TrainConfig
from labelmend.errors import CleanCasesError, ConfigError, GeometryError, MissingDataError
from labelmend.io import Dataset, DatasetFacts, check_dataset, open_dataset, open_images, open_labels, read_case_list
from labelmend.methods.base import Facts, Method


@dataclass(frozen=True, eq=False)
class Material:
    """Checked data of a run.

    Args:
        training: images and given labels.
        facts: what one reading of them told.
        clean: trusted cases, or None.
    """

    training: Dataset
    facts: DatasetFacts
    clean: Dataset | None

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


def gather(config: TrainConfig, method: Method, on_case: Callable[[str], None] = lambda case: None) -> Material:
    """Open, read and check everything that a run will read, before anything is trained or written.

    Raises:
        DataError: something is wrong with a file or folder.
        CleanCasesError: the method needs trusted cases and there are none, or they are among the training cases.
        ConfigError: settings that do not fit the data.
    """
    if method.needs.clean == "required" and config.clean is None:
        raise CleanCasesError(
            f"{type(method).__name__} needs trusted cases: give --clean a folder with images/ and labels, a label "
            "folder for some of the cases, or a text file of case ids (one is enough to begin with)"
        )
    if not config.data:
        raise ConfigError("no data folder was given")
    clean, held_out = open_clean(config)
    given = _open(config, Path(config.data), config.labels)
    if config.cases is None:
        training = given.subset([case for case in given.cases if case not in held_out])
    else:
        training = given.subset(read_case_list(config.cases))
    if not training.cases:
        raise MissingDataError(f"{config.data}: no case is left to train on once the trusted ones are held out")
    _check_reference(config, training)
    facts = check_dataset(training, on_case)
    if len(facts.shapes) > 1 and config.resize is None and config.patch is None:
        shapes = ", ".join(map(str, sorted(facts.shapes)[:3]))
        raise ConfigError(f"images differ in size ({shapes}, ...): give --resize or --patch")
    if clean is not None:
        _check_clean(clean, check_dataset(clean, on_case), training, facts)
    return Material(training, facts, clean)


def open_clean(config: TrainConfig) -> tuple[Dataset | None, frozenset[str]]:
    """The trusted cases, and which of the cases in `config.data` they are (to be held out from training)."""
    if config.clean is None:
        return None, frozenset()
    path = Path(config.clean)
    if path.is_file():
        if config.clean_labels is None:
            raise CleanCasesError(f"--clean {path} lists cases: say with --clean_labels which label folder holds their truth")
        dataset = _open(config, Path(config.data), config.clean_labels, read_case_list(path))
        return _restricted(dataset, config), frozenset(dataset.cases)
    if not path.is_dir():
        raise MissingDataError(f"--clean {path} is neither a folder nor a text file of case ids")
    if (path / "images").is_dir():
        return _restricted(_open(config, path, config.clean_labels or _only_labels(path, config.labels)), config), frozenset()
    cases = open_labels(path, classes=config.classes, ignore=config.ignore).cases
    known = open_images(Path(config.data) / "images")
    missing = [case for case in cases if case not in known]
    if missing:
        raise MissingDataError(f"trusted case {missing[0]} ({path}) has no image in {Path(config.data) / 'images'}")
    dataset = _open(config, Path(config.data), str(path.resolve()), cases)
    return _restricted(dataset, config), frozenset(dataset.cases)


def _open(config: TrainConfig, root: Path, labels: str, cases: tuple[str, ...] | list[str] | None = None) -> Dataset:
    return open_dataset(
        root, labels, classes=config.classes, ignore=config.ignore, spacing_mm=config.spacing_mm, cases=cases
    )


def _restricted(dataset: Dataset, config: TrainConfig) -> Dataset:
    return dataset if config.clean_cases is None else dataset.subset(read_case_list(config.clean_cases))


def _check_reference(config: TrainConfig, training: Dataset) -> None:
    """The truth for the report is there, for every training case and with the same classes."""
    if config.reference is None:
        return
    reference = open_labels(config.reference, classes=config.classes, ignore=config.ignore)
    missing = [case for case in training.cases if case not in reference.files]
    if missing:
        raise MissingDataError(f"case {missing[0]} is trained on but has no labels in --reference {config.reference}")
    if reference.classes != training.labels.classes:
        raise ConfigError(
            f"--reference {config.reference} has the classes {', '.join(reference.classes)}, "
            f"the given labels have {', '.join(training.labels.classes)}"
        )


def _only_labels(path: Path, preferred: str) -> str:
    """The label folder beside images/: the only one there is, or the one named like the given labels."""
    names = sorted(p.name for p in path.iterdir() if p.is_dir() and p.name != "images" and not p.name.startswith("."))
    if preferred in names:
        return preferred
    if len(names) != 1:
        found = ", ".join(names) or "none"
        raise CleanCasesError(f"{path} holds these label folders: {found}; choose one with --clean_labels")
    return names[0]


def _check_clean(clean: Dataset, clean_facts: DatasetFacts, training: Dataset, facts: DatasetFacts) -> None:
    """Trusted cases are of the same kind as the training cases, and none of them is one."""
    if not clean.cases:
        raise CleanCasesError(f"{clean.root} holds no trusted case")
    if clean.labels.classes != training.labels.classes or clean.labels.overlapping != training.labels.overlapping:
        raise CleanCasesError(
            f"trusted labels {clean.labels.path} have the classes {', '.join(clean.labels.classes)}, "
            f"given labels {training.labels.path} have {', '.join(training.labels.classes)}: they must be the same"
        )
    if (clean_facts.ndim, clean_facts.n_channels) != (facts.ndim, facts.n_channels):
        raise GeometryError(
            f"trusted images are {clean_facts.ndim}-D with {clean_facts.n_channels} channel(s), "
            f"training images {facts.ndim}-D with {facts.n_channels}"
        )
    both = sorted(set(clean.cases) & set(training.cases))
    if both:
        raise CleanCasesError(
            f"case {both[0]} is trusted and trained on ({len(both)} such): a bias measured on training cases is too "
            "small; take it out of one of the two"
        )
    owner = {checksum: case for case, checksum in facts.checksums.items()}
    for case, checksum in clean_facts.checksums.items():
        if checksum in owner:
            raise CleanCasesError(
                f"trusted case {case} is the same image as training case {owner[checksum]} ({training.images[owner[checksum]]})"
            )

