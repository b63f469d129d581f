"""The command line: one file a verb, loaded only when asked for, and the only layer that prints."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Sequence
from types import ModuleType

from labelmend import __version__
from labelmend.cli.patient_stream import patient_output
from labelmend.errors import LabelmendError
from labelmend.runtime.extras import missing_extra
from labelmend.runtime.stopping import StoppedError, stoppable

VERBS = {
    "train": "train on noisy masks and write corrected ones",
    "predict": "segment images with a finished run",
    "evaluate": "compare label folders: Dice, IoU, NSD, HD95, signed boundary bias",
    "simulate": "draw noisy masks from clean ones",
    "fit-noise": "learn how masks are wrong, from clean ones or from several annotators",
    "seed": "make masks from image-level tags, as labels to train on",
    "audit": "which labels of a data set look wrong, from saved probabilities",
    "correct": "mend masks with probabilities that you have already, without training",
    "review": "turn what a person decided on an audit's page into the final labels",
    "estimate": "how often class labels of a table are wrong, and which rows to look at",
    "demo": "the main job on drawn radiographs, no data needed",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb: 0 if it went well, 2 with one sentence on bad input, 128 + n if signal n stopped it."""
    argv = list(sys.argv[1:] if argv is None else argv)
    with patient_output() as out:
        code = _main(argv)
        out.flush()
        if out.error is not None and not isinstance(out.error, BrokenPipeError):
            kept = "; all files are written" if code == 0 else ""
            reason = f"standard output cannot be written ({out.error.strerror})"
            print(f"labelmend: {reason}{kept}", file=sys.stderr)
            return code or 2
    return code


def _main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(_usage())
        return 0
    if argv[0] == "--version":
        print(f"labelmend {__version__}")
        return 0
    verb, *rest = argv
    if verb not in VERBS:
        print(f"labelmend: no verb called {verb!r}; choose from {', '.join(VERBS)}", file=sys.stderr)
        return 2
    goes_on = False
    try:
        with stoppable():
            module = cli_module(verb)
            goes_on = getattr(module, "GOES_ON", False)
            return module.run(module.parser().parse_args(rest))
    except LabelmendError as error:
        from labelmend.cli.screen import inert

        print(f"labelmend {verb}: {inert(' '.join(str(error).split()))}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        missing = missing_extra(f"labelmend {verb}", error)
        if missing is None:
            raise
        print(missing, file=sys.stderr)
        return 2
    except (KeyboardInterrupt, StoppedError) as stopped:
        parallel = sys.modules.get("labelmend.runtime.parallel")
        if parallel is not None:
            parallel.end_workers()
        advice = "goes on from here" if goes_on else "begins anew"
        print(f"labelmend {verb}: stopped; the same command {advice}", file=sys.stderr)
        return 128 + (stopped.number if isinstance(stopped, StoppedError) else signal.SIGINT)


def cli_module(verb: str) -> ModuleType:
    """The module of a verb, with its `parser` and `run`; `fit-noise` lives in fit_noise.py."""
    return importlib.import_module(f"labelmend.cli.{verb.replace('-', '_')}")


def _usage() -> str:
    lines = ["usage: labelmend VERB ...", ""]
    lines += [f"  {verb:10} {what}" for verb, what in VERBS.items()]
    return "\n".join([*lines, "", "labelmend VERB --help tells the settings of a verb."])
