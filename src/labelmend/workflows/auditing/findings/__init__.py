"""What is wrong with annotations, seen from out-of-sample probabilities: arrays in, findings out."""

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
