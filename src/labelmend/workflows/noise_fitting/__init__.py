"""Noise learned from data: how wrong given masks are, and the settings that would make them so."""

from labelmend.workflows.noise_fitting.displacement import Pair, measure, without_specks
from labelmend.workflows.noise_fitting.markov import MarkovFit, fit_markov, summarise_displacements
from labelmend.workflows.noise_fitting.raters import compare_raters, fit_raters

__all__ = [
    "MarkovFit",
    "Pair",
    "compare_raters",
    "fit_markov",
    "fit_raters",
    "measure",
    "summarise_displacements",
    "without_specks",
]
