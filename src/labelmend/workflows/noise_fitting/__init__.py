"""Learn noise from data: the errors of given masks, and the noise settings that reproduce them."""

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
