"""Noise learned from data: how wrong given masks are, and the settings that would make them so."""

from labelmend.fitting.displacement import Pair, measure, without_specks
from labelmend.fitting.markov import MarkovFit, fit_markov, summarise_displacements
from labelmend.fitting.raters import compare_raters, fit_raters

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
