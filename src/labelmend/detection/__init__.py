"""What is wrong with annotations, seen from out-of-sample probabilities: arrays in, findings out."""

from labelmend.detection.bias import Bias, biases
from labelmend.detection.calibration import Calibration, calibration_of, scaled
from labelmend.detection.edges import edge_profile, peak_mm
from labelmend.detection.examine import Examined, examine
from labelmend.detection.faults import Layout, UsualLayout, faults, layout_of, usual_layout
from labelmend.detection.finding import KINDS, Finding, Frame, Kind, measured
from labelmend.detection.numbers import CaseNumbers, Seen, numbers_of, see
from labelmend.detection.objects import WrongObject, wrong_objects
from labelmend.detection.own_findings import OwnFinding, own_findings
from labelmend.detection.propose import propose
from labelmend.detection.regions import Region, regions
from labelmend.detection.score import CaseScore, Typical, case_score, pixel_scores, typical
from labelmend.detection.steps import step_mm

__all__ = [
    "KINDS",
    "Bias",
    "Calibration",
    "CaseNumbers",
    "CaseScore",
    "Examined",
    "Finding",
    "Frame",
    "Kind",
    "Layout",
    "OwnFinding",
    "Region",
    "Seen",
    "Typical",
    "UsualLayout",
    "WrongObject",
    "biases",
    "calibration_of",
    "case_score",
    "edge_profile",
    "examine",
    "faults",
    "layout_of",
    "measured",
    "numbers_of",
    "own_findings",
    "peak_mm",
    "pixel_scores",
    "propose",
    "regions",
    "scaled",
    "see",
    "step_mm",
    "typical",
    "usual_layout",
    "wrong_objects",
]
