"""The command line: one file per verb, loaded only when asked for, and the only layer that prints."""

from __future__ import annotations

import argparse
import difflib
import importlib
import json
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from types import ModuleType

from labelmend import __version__
from labelmend.cli.patient_stream import patient_output
from labelmend.errors import LabelmendError
from labelmend.runtime.extras import missing_extra
from labelmend.runtime.stopping import StoppedError, stoppable

VERBS = {
    "audit": "find wrong masks: which, where and why",
    "crossfit": "train k networks, and predict each case by one that has not seen it",
    "review": "apply the decisions made on an audit's page",
    "correct": "correct masks with predictions you already have; nothing is trained",
    "train": "train on noisy masks, and correct them",
    "predict": "segment images with a trained model",
    "evaluate": "compare two label folders: Dice, IoU, NSD, HD95, signed boundary bias",
    "simulate": "draw noisy masks from clean ones",
    "fit-noise": "measure how masks are wrong, from clean masks or from several annotators",
    "pseudo-masks": "make masks from image-level labels",
    "estimate-transition": "estimate how often class labels are wrong, and which",
    "completion": "print a completion script for bash, zsh or fish",
    "demo": "simulate, train and correct on drawn radiographs; needs no data",
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


def cli_module(verb: str) -> ModuleType:
    """The module of a verb, with its `parser` and `run`; `fit-noise` lives in fit_noise.py."""
    return importlib.import_module(f"labelmend.cli.{verb.replace('-', '_')}")


def _main(argv: list[str]) -> int:
    common, (verb, *rest) = _common(argv)
    if common.version:
        print(f"labelmend {__version__}")
        return 0
    if verb in ("", "-h", "--help"):
        print(_usage())
        return 0
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        meant = f"did you mean {near[0]}?" if near else f"choose from {', '.join(VERBS)}"
        print(f"labelmend: there is no verb {verb!r}; {meant}", file=sys.stderr)
        return 2
    return _run(verb, rest, common)


def _run(verb: str, rest: list[str], common: argparse.Namespace) -> int:
    """Run a verb and print its summary if `--json` asks for it."""
    from labelmend.cli.console import Console, inert
    from labelmend.io.files.atomic import plain
    from labelmend.runtime.output_folder import DryRunEnded, dry_run

    resumes = False
    try:
        with stoppable():
            module = cli_module(verb)
            resumes = getattr(module, "RESUMES", False)
            console = Console(common.quiet or common.json, common.verbose, common.dry_run)
            arguments = module.parser().parse_args(rest)
            with dry_run() if common.dry_run else nullcontext():
                summary = module.run(arguments, console)
            if common.json:
                print(json.dumps(plain(summary), indent=2))
            return 0
    except DryRunEnded as stopped:
        console.say(f"Inputs and settings are fine. Without --dry-run, this would write to {stopped.out}.")
        if common.json:
            print(json.dumps({"would_write": str(stopped.out)}))
        return 0
    except LabelmendError as error:
        if common.verbose:
            traceback.print_exc()
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
        advice = "continue" if resumes else "start over"
        print(f"labelmend {verb}: stopped; run the same command again to {advice}", file=sys.stderr)
        return 128 + (stopped.number if isinstance(stopped, StoppedError) else signal.SIGINT)


def _common(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The flags that all verbs know, from anywhere on the line; then the verb (or "") and its arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flags in (("--quiet", "-q"), ("--verbose", "-v"), ("--json",), ("--dry-run", "--dry_run")):
        parser.add_argument(*flags, action="store_true")
    own, rest = parser.parse_known_args(argv)
    own.version = rest[:1] in (["--version"], ["-V"])
    return own, rest or [""]


def _usage() -> str:
    lines = ["usage: labelmend VERB INPUTS... --out OUT [settings]", ""]
    lines += [f"  {verb:20} {what}" for verb, what in VERBS.items()]
    lines += ["", "labelmend VERB --help shows the settings of a verb, --help-all every one of them."]
    return "\n".join(lines)
