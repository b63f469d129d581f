"""Audit folders written by hand, as `labelmend audit` leaves them, for tests of the page and its verdicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from drawing import box, picture, volume

ID = "3f9a0c1d2e4b5a69"
DECIDED = "2026-10-01T08:00:00.000Z"


def finding(case: str, number: int, kind: str, class_name: str, reason: str, **more: Any) -> dict[str, Any]:
    """One line of findings.jsonl."""
    row = {"case": case, "number": number, "kind": kind, "class_name": class_name, "score": 0.9}
    row |= {"reason": reason, "box": None, "size_mm": 30.0, "offset_mm": None, "other": ""}
    return row | more


def case_row(case: str, rank: int, **more: Any) -> dict[str, Any]:
    """One line of cases.jsonl."""
    row = {
        "case": case,
        "rank": rank,
        "score": 1 / (1 + rank),
        "reason": f"reason of {case}",
        "annotator": "",
    }
    return row | {"files": [], "image": None, "proposal": [], "n_findings": 0, "classes": {}} | more


def write_audit(
    out: Path, labels: Path, cases: list[dict[str, Any]], findings: list[dict[str, Any]], **more: Any
) -> Path:
    """Write audit.json, cases.jsonl and findings.jsonl; every entry of audit.json can be replaced."""
    facts = {
        "kind": "audit",
        "version": "0.1.0",
        "id": ID,
        "labels": str(labels),
        "layout": "folder",
        "probabilities": str(labels.parent / "probs"),
        "images": str(labels.parent / "images"),
        "classes": ["heart", "lung"],
        "values": {"heart": 1, "lung": 2},
        "overlapping": False,
        "ignore": None,
        "unit": "px",
        "spacing_mm": None,
        "n_cases": len(cases),
        "settings": {},
        "statistics": {},
        "bias": [],
        "calibration": {"temperature": 1.0, "ece": 0.01, "ece_after": 0.01},
        "warnings": [],
        "notes": [],
        "assumptions": [],
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "audit.json").write_text(json.dumps(facts | more), encoding="utf-8")
    for name, rows in (("cases.jsonl", cases), ("findings.jsonl", findings)):
        (out / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return out


def decide(folder: Path, *verdicts: tuple[str, str], **more: Any) -> Path:
    """verdicts.json as the page downloads it, of pairs (case, verdict); every entry can be replaced."""
    rows = [{"case": c, "verdict": v, "at": DECIDED, "note": f"note {c}"} for c, v in verdicts]
    content = {"kind": "labelmend verdicts", "version": 1, "audit": ID, "reviewer": "RF", "saved": DECIDED}
    path = folder / "verdicts.json"
    path.write_text(json.dumps(content | {"verdicts": rows} | more), encoding="utf-8")
    return path


def flat(root: Path, names: tuple[str, ...] = ("a", "b", "c", "d")) -> Path:
    """2-D PNG, exclusive classes: 12 x 16, given lung 6 x 6 around the proposed 4 x 4, heart in the corner.

    "a" and "b" have a proposal, the third case is only spurious heart without one, the last has no finding.
    The first four rows of the given labels of "a" hold 9, not annotated.
    """
    shape, data, out = (12, 16), root / "data", root / "audit"
    given = np.where(box(shape, (4, 10), (4, 10)), 2, 0) + box(shape, (10, 12), (12, 16))
    proposed = np.where(box(shape, (5, 9), (5, 9)), 2, 0) + box(shape, (10, 12), (12, 16))
    findings, cases = [], []
    for rank, name in enumerate(names, start=1):
        ramp = np.arange(192).reshape(shape)
        picture(data / "images" / f"{name}.png", ramp)
        labels = given.copy()
        labels[:2] = 9 if rank == 1 else 0
        picture(data / "labels" / f"{name}.png", labels)
        more: dict[str, Any] = {"image": f"{name}.png", "files": [str(data / "labels" / f"{name}.png")]}
        if rank <= 2:
            better = proposed.copy()
            better[:2] = 9 if rank == 1 else 0
            picture(out / "proposals" / f"{name}.png", better)
            findings.append(
                finding(name, 1, "outline", "lung", "lung 1.0 px too far out", box=[[4, 10], [4, 10]])
            )
            more |= {"proposal": [f"proposals/{name}.png"]}
        if rank in (2, 3):
            findings.append(
                finding(name, 2, "spurious", "heart", "nobody expects a heart", box=[[10, 12], [12, 16]])
            )
        cases.append(case_row(name, rank, **more))
    return write_audit(out, data / "labels", cases, findings, ignore=9)


def overlapping(root: Path, class_names: tuple[str, str] = ("heart", "lung"), case: str = "a") -> Path:
    """2-D PNG, one folder a class with 0/255, an ignore folder: one case, its lung proposed smaller."""
    shape, data, out = (12, 16), root / "data", root / "audit"
    heart, lung = class_names
    picture(data / "images" / f"{case}.png", np.arange(192).reshape(shape))
    picture(data / "labels" / heart / f"{case}.png", box(shape, (6, 10), (6, 12)))
    picture(data / "labels" / lung / f"{case}.png", box(shape, (3, 9), (3, 9)))
    picture(data / "labels" / "ignore" / f"{case}.png", box(shape, (0, 1), (0, 16)))
    picture(out / "proposals" / heart / f"{case}.png", box(shape, (6, 10), (6, 12)))
    picture(out / "proposals" / lung / f"{case}.png", box(shape, (4, 8), (4, 8)))
    picture(out / "proposals" / "ignore" / f"{case}.png", box(shape, (0, 1), (0, 16)))
    files = [f"proposals/{folder}/{case}.png" for folder in (heart, lung, "ignore")]
    row = case_row(case, 1, image=f"{case}.png", proposal=files)
    found = finding(case, 1, "outline", lung, "too far out", box=[[3, 9], [3, 9]])
    return write_audit(
        out, data / "labels", [row], [found], classes=[heart, lung], values=None, overlapping=True
    )


def volumetric(root: Path, slices: int = 5) -> Path:
    """One NIfTI case of 8 x 10 x `slices`, 1 x 1 x 4 mm: core = 1, rim = 2; no rim proposed in slice 3."""
    shape, data, out = (8, 10, slices), root / "data", root / "audit"
    given = np.zeros(shape, np.uint8)
    given[2:6, 2:6, 1:4] = 1
    given[6, 2:8, 1:4] = 2
    proposed = given.copy()
    proposed[6, 2:8, 3] = 0
    image = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    volume(data / "images" / "v.nii.gz", image)
    volume(data / "labels" / "v.nii.gz", given)
    volume(out / "proposals" / "v.nii.gz", proposed)
    row = case_row("v", 1, image="v.nii.gz", proposal=["proposals/v.nii.gz"])
    found = finding("v", 1, "spurious", "rim", "rim of slice 4 is not there", box=[[6, 7], [2, 8], [3, 4]])
    names = {"core": 1, "rim": 2}
    return write_audit(out, data / "labels", [row], [found], classes=list(names), values=names, unit="mm")


def regions(root: Path) -> Path:
    """A raw data set of nnU-Net with regions: whole = 1 or 2, core = 2, ignored = 3; 8 x 10 x 5.

    The proposal turns the core of slice 2 into whole.
    """
    shape, home, out = (8, 10, 5), root / "data" / "Dataset007_Drawn", root / "audit"
    given = np.zeros(shape, np.uint8)
    given[2:6, 2:8, 1:4] = 1
    given[3:5, 3:6, 1:4] = 2
    given[0] = 3
    proposed = given.copy()
    proposed[3:5, 3:6, 2] = 1
    for channel in range(2):
        image = np.random.default_rng(channel).normal(size=shape).astype(np.float32)
        volume(home / "imagesTr" / f"v_{channel:04d}.nii.gz", image)
    volume(home / "labelsTr" / "v.nii.gz", given)
    volume(out / "proposals" / "v.nii.gz", proposed)
    names = {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}
    facts = {"channel_names": {"0": "T1", "1": "T2"}, "labels": names, "regions_class_order": [1, 2]}
    text = json.dumps(facts | {"numTraining": 1, "file_ending": ".nii.gz"})
    (home / "dataset.json").write_text(text, encoding="utf-8")
    row = case_row("v", 1, image="v_0000.nii.gz", proposal=["proposals/v.nii.gz"])
    found = finding(
        "v", 1, "wrong_class", "whole", "the core of slice 3 is none", box=[[3, 5], [3, 6], [2, 3]]
    )
    more = {"classes": ["whole", "core"], "values": None, "overlapping": True, "ignore": 3, "unit": "mm"}
    return write_audit(out, home, [row], [found], layout="nnunet", images=str(home / "imagesTr"), **more)
