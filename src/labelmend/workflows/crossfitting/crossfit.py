"""Out-of-sample predictions of a whole data set by cross-fitting: k folds, k networks, each case once.

OUT/crossfit.json                    the folds, the settings, and what was measured
OUT/probabilities/<case>.npz         probabilities as `--probabilities` reads them, float16
OUT/fold_<k>/                        the network of a fold: weights, card, settings, log of epochs
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelmend import __version__
from labelmend.errors import ConfigError, MissingDataError, OutputError
from labelmend.html.result import Result
from labelmend.io import (
    Dataset,
    DatasetFacts,
    check_dataset,
    common_orientation,
    open_images,
    open_labels,
    write_json,
)
from labelmend.io.cases import named_cases
from labelmend.io.files.atomic import plain
from labelmend.io.files.reading import read_object
from labelmend.io.labels.label_folder import LabelFolder
from labelmend.io.labels.nnunet import is_nnunet, open_nnunet
from labelmend.model.config import Device
from labelmend.runtime.extras import needed_by
from labelmend.runtime.output_folder import about_to_write, check_output, kept_folder, names_in
from labelmend.runtime.progress import Progress, counter, no_progress
from labelmend.runtime.text import listed
from labelmend.workflows.crossfitting.choose import FoldTraining, chosen_settings
from labelmend.workflows.crossfitting.folds import make_folds

if TYPE_CHECKING:
    from labelmend.workflows.training.run_data import RunData

PLAN, PROBABILITIES, DONE = "crossfit.json", "probabilities", "fold.json"


@dataclass(frozen=True, eq=False, repr=False)
class CrossfitResult(Result):
    """Out-of-sample predictions of the folds that are finished.

    Args:
        folder: where they are.
        probabilities: the folder to pass on as `--probabilities`.
        folds: per fold what was trained and measured, the content of its fold.json.
        missing: folds that are not finished.
        notes: sentences on the data and on the settings that were chosen.
    """

    folder: Path
    probabilities: Path
    folds: tuple[dict[str, Any], ...]
    missing: tuple[int, ...]
    notes: tuple[str, ...]

    def headline(self) -> str:
        """How many folds are finished, and where the probabilities are."""
        n_folds = len(self.folds) + len(self.missing)
        return f"{len(self.folds)} of {n_folds} folds finished, probabilities in {self.probabilities}"

    def sentences(self) -> tuple[str, ...]:
        """What a reader of the probabilities should know: who predicted, after which training, how well.

        Raises:
            MissingDataError: a fold is not finished.
        """
        if self.missing:
            raise MissingDataError(
                f"{self.folder}: folds {listed(list(map(str, self.missing)))} are not finished: run "
                "labelmend crossfit without --fold, or for these folds, first"
            )
        low, high = (pick(row["dice_to_given"] for row in self.folds) for pick in (min, max))
        return (
            f"Each case was predicted by one of {len(self.folds)} networks, trained here on the given labels "
            f"of the other folds. Mean Dice of the predictions with the given labels: {low:.2f} to "
            f"{high:.2f} over the folds.",
            *self.notes,
        )

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """One row per finished fold."""
        return self.folds

    def remarks(self) -> Sequence[str]:
        """What was chosen, and what is missing."""
        missing = (f"Folds not finished: {listed(list(map(str, self.missing)))}.",) if self.missing else ()
        return (*self.notes, *missing)


def crossfit(
    labels: str | Path,
    images: str | Path | None = None,
    *,
    out: str | Path,
    folds: int = 5,
    groups: str | Path | None = None,
    fold: int | None = None,
    minutes: float = 30.0,
    train: FoldTraining = FoldTraining(),  # noqa: B008 - frozen
    classes: Mapping[str, int] | None = None,
    ignore: int | None = None,
    spacing_mm: float | Sequence[float] | None = None,
    cases: str | Path | Sequence[str] | None = None,
    device: Device = "auto",
    seed: int = 0,
    progress: Progress = no_progress,
) -> CrossfitResult:
    """Predict each case by a network that was trained on the given labels of other cases.

    The same call continues after an interruption; finished folds are kept.

    Args:
        labels: label folder, or raw data set of nnU-Net with one channel.
        images: folder of images; default those of the nnU-Net data set.
        out: folder of networks and probabilities: new, empty, or holding this very cross-fit.
        folds: number of folds.
        groups: CSV file with the columns `case` and `group`, to keep the cases of a patient in one fold, or
            nnU-Net's splits_final.json.
        fold: train this fold only, 0 to folds - 1, so that folds can run as separate jobs.
        minutes: time for the training of all folds on this machine; sets the number of epochs.
        train: settings of the networks, instead of those chosen from the data.
        classes: class names and their values in integer maps.
        ignore: value that marks pixels nobody annotated in integer maps.
        spacing_mm: pixel spacing of files that store none, mm.
        cases: only these: ids, or a text file of them.
        device: "auto" uses a GPU if available, "cpu" does not.
        seed: random seed of folds and training.
        progress: called with a `Tick` after each step, see `labelmend.runtime.progress`.

    Raises:
        DataError: labels or images that cannot be read or do not fit together.
        ConfigError: settings that make no sense.
        OutputError: `out` holds something else; another process works on the same fold.
    """
    if not minutes > 0:
        raise ConfigError(f"minutes must be positive, got {minutes}")
    out, dataset = Path(out), _open(labels, images, classes, ignore, spacing_mm, cases)
    check_output(out, names_in(out) if (out / PLAN).exists() else [PROBABILITIES], folders=_read(dataset))
    fold_of = make_folds(dataset.cases, folds, groups=groups, seed=seed)
    n_folds = max(fold_of.values()) + 1
    if fold is not None and not 0 <= fold < n_folds:
        raise ConfigError(f"fold must be between 0 and {n_folds - 1}, got {fold}")
    asked = {
        "labels": str(Path(labels).resolve()), "images": str(dataset.root.resolve()), "folds": fold_of,
        "train": dataclasses.asdict(train), "spacing_mm": spacing_mm, "ignore": ignore, "seed": seed,
    }  # fmt: skip
    with needed_by("cross-fitting"):
        from labelmend.workflows.crossfitting.fold_network import predict_fold

    data = _checked(dataset, progress)
    about_to_write(out)
    plan = _plan(out, asked, data, train, n_folds, minutes, device)
    for number in range(n_folds) if fold is None else [fold]:
        home = out / f"fold_{number}"
        if not (home / DONE).exists():
            with kept_folder(out, f"fold_{number}"):
                row = predict_fold(home, out / PROBABILITIES, number, fold_of, data, plan, progress)
                write_json(home / DONE, row)
    return _result(out, n_folds, plan)


def _open(
    labels: str | Path,
    images: str | Path | None,
    classes: Mapping[str, int] | None,
    ignore: int | None,
    spacing_mm: float | Sequence[float] | None,
    cases: str | Path | Sequence[str] | None,
) -> Dataset:
    """Labels and images paired by case, for training."""
    labels = Path(labels)
    given: LabelFolder
    if labels.suffix == ".json":
        raise ConfigError(
            f"{labels}: networks are trained on label folders so far, not on COCO files: export one mask per "
            "image, or give --probabilities of your own model"
        )
    if is_nnunet(labels):
        given, channels, _ = open_nnunet(labels, spacing_mm=spacing_mm)
        several = next((files for files in channels.values() if len(files) > 1), None)
        if several is not None and images is None:
            raise ConfigError(
                f"{several[0].parent} has {len(several)} channels per case, and networks are trained on one: "
                "give --images with the folder of one channel, or --probabilities of nnU-Net itself"
            )
        files = {case: paths[0] for case, paths in channels.items()}
        home = next(iter(files.values())).parent if images is None else Path(images)
    else:
        given = open_labels(labels, classes=classes, ignore=ignore, spacing_mm=spacing_mm)
        if images is None:
            raise MissingDataError(
                f"{labels}: give --images with the images, so that networks can be trained, or "
                "--probabilities with the predictions of your own model"
            )
        home = Path(images)
    if images is not None:
        files = open_images(images)
    wanted = given.cases if cases is None else named_cases(cases)
    for case in wanted:
        if case not in given.files or case not in files:
            where = home if case not in files else labels
            raise MissingDataError(f"case {case} has no file in {where}: add it, or list the cases to use")
    return Dataset(home, files, given, tuple(sorted(set(wanted))), spacing_mm)


def _read(dataset: Dataset) -> list[Path]:
    return [place for place in (dataset.root, dataset.labels.path) if place.is_dir()]


def _checked(dataset: Dataset, progress: Progress) -> RunData:
    """Every file read once before anything is trained."""
    from labelmend.workflows.training.run_data import RunData

    count = counter(progress, "checking data")
    files = {case: dataset.labels.sources(case)[0] for case in dataset.cases}
    images = {case: dataset.images[case] for case in dataset.cases}
    orientation, notes = common_orientation(images, files)
    dataset = dataclasses.replace(dataset, orientation=orientation)
    facts = check_dataset(dataset, lambda case: count(case, len(dataset.cases)))
    return RunData(dataset, facts, None, notes)


def _plan(
    out: Path,
    asked: Mapping[str, Any],
    data: RunData,
    train: FoldTraining,
    n_folds: int,
    minutes: float,
    device: Device,
) -> dict[str, Any]:
    """The content of crossfit.json: written by the first process, the same for all that follow."""
    with kept_folder(out, "plan"):
        if (out / PLAN).exists():
            plan = read_object(out / PLAN, ("asked", "settings", "notes"), "choose another --out")
            changed = [name for name, value in asked.items() if plan["asked"].get(name) != _json(value)]
            if changed:
                raise OutputError(
                    f"{out} holds a cross-fit with other {listed(changed)}: choose another folder"
                )
            return plan
        settings, notes = _settings(data.facts, data, train, n_folds, minutes, device)
        plan = _json({
            "labelmend_version": __version__, "asked": asked, "device": device, "minutes": minutes,
            "settings": settings, "notes": [*data.notes, *notes],
        })  # fmt: skip
        write_json(out / PLAN, plan)
        return plan


def _settings(
    facts: DatasetFacts, data: RunData, train: FoldTraining, n_folds: int, minutes: float, device: Device
) -> tuple[dict[str, Any], tuple[str, ...]]:
    import torch

    labels = data.training.labels
    return chosen_settings(
        facts,
        train,
        out_channels=len(labels.classes) + (not labels.overlapping),
        folds=n_folds,
        minutes=minutes,
        device="cuda" if device == "auto" and torch.cuda.is_available() else "cpu",
    )


def _json(value: Any) -> Any:
    """A value as it is read back from JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    return json.loads(json.dumps(plain(value)))


def _result(out: Path, n_folds: int, plan: Mapping[str, Any]) -> CrossfitResult:
    done = {number: out / f"fold_{number}" / DONE for number in range(n_folds)}
    rows = tuple(
        read_object(path, ("fold", "epochs"), "remove the folder of the fold and run the same command again")
        for path in done.values()
        if path.exists()
    )
    missing = tuple(number for number, path in done.items() if not path.exists())
    return CrossfitResult(out, out / PROBABILITIES, rows, missing, tuple(plan["notes"]))
