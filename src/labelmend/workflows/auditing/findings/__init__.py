"""What is wrong with annotations, seen from out-of-sample probabilities: arrays in, findings out.

The steps of an audit, for loops of your own; `labelmend.audit` takes the same ones over files or arrays.

    disagreements   find_disagreements(given, probs)            of a case: where labels and prediction differ
    statistics      statistics_of(given, seen, image)           of a case: a few numbers a class
    typical values  typical(statistics, spacing_mm)             of all cases: what is usual
    findings        examine(given, own, statistics, usual)      of a case: its score and its findings
    a proposal      propose(given, seen, inward_mm)             of a case: labels that mend what was found

Four cases of a large and a small square; in the last nobody drew the small one, which is predicted:

>>> import numpy as np
>>> from labelmend.types import LabelMap
>>> large, both = np.zeros((2, 32, 32), np.uint8)
>>> large[4:20, 4:20] = both[4:20, 4:20] = both[24:30, 24:30] = 1
>>> given = [LabelMap.from_array(m, classes=["box"], spacing_mm=2.0) for m in (both, both, both, large)]
>>> probs = np.where(np.stack([both == 0, both == 1]), np.float32(0.95), np.float32(0.05))
>>> seen = [find_disagreements(labels, probs) for labels in given]
>>> statistics = [statistics_of(labels, there) for labels, there in zip(given, seen)]
>>> usual = typical(statistics, 2.0)
>>> own = [[found.finding for found in own_findings(*case)] for case in zip(given, seen)]
>>> examined = [examine(*case, usual) for case in zip(given, own, statistics)]
>>> [round(case.score.score, 2) for case in examined]
[0.0, 0.0, 0.0, 0.53]
>>> [(finding.kind, finding.box) for finding in examined[-1].findings]
[('missing', ((24, 30), (24, 30)))]
>>> int((propose(given[-1], seen[-1], examined[-1].inward_mm).array != both).sum())
0
"""

from labelmend.metrics.calibration import Calibration, calibration_of, scaled
from labelmend.workflows.auditing.findings.case_findings import Examined, examine
from labelmend.workflows.auditing.findings.case_score import (
    CaseScore,
    Typical,
    case_score,
    pixel_scores,
    typical,
)
from labelmend.workflows.auditing.findings.case_statistics import (
    CaseStatistics,
    Disagreements,
    find_disagreements,
    statistics_of,
)
from labelmend.workflows.auditing.findings.disagreement_regions import Region, regions
from labelmend.workflows.auditing.findings.finding import KINDS, Finding, Frame, Kind, measured
from labelmend.workflows.auditing.findings.image_edges import edge_profile, peak_mm
from labelmend.workflows.auditing.findings.layout_faults import (
    Layout,
    UsualLayout,
    faults,
    layout_of,
    usual_layout,
)
from labelmend.workflows.auditing.findings.propose_labels import propose
from labelmend.workflows.auditing.findings.region_findings import OwnFinding, own_findings
from labelmend.workflows.auditing.findings.systematic_bias import SystematicBias, biases
from labelmend.workflows.auditing.findings.voxel_units import step_mm
from labelmend.workflows.auditing.findings.wrong_objects import WrongObject, wrong_objects

__all__ = [
    "KINDS",
    "Calibration",
    "CaseScore",
    "CaseStatistics",
    "Disagreements",
    "Examined",
    "Finding",
    "Frame",
    "Kind",
    "Layout",
    "OwnFinding",
    "Region",
    "SystematicBias",
    "Typical",
    "UsualLayout",
    "WrongObject",
    "biases",
    "calibration_of",
    "case_score",
    "edge_profile",
    "examine",
    "faults",
    "find_disagreements",
    "layout_of",
    "measured",
    "own_findings",
    "peak_mm",
    "pixel_scores",
    "propose",
    "regions",
    "scaled",
    "statistics_of",
    "step_mm",
    "typical",
    "usual_layout",
    "wrong_objects",
]
