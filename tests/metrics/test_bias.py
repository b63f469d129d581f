"""The mean of one number a case, and its interval."""

import numpy as np
import pytest

from labelmend.metrics import estimate_bias


def test_the_interval_is_students_t():
    bias = estimate_bias([-5.0, -6.0, -7.0, float("nan")], "lung")
    # sd 1, n 3, t(0.975, 2) = 4.3027
    assert (bias.mean_mm, bias.n_cases) == (-6.0, 3)
    assert bias.low_mm == pytest.approx(-6 - 4.3027 / np.sqrt(3), abs=1e-3)
    assert bias.high_mm == pytest.approx(-6 + 4.3027 / np.sqrt(3), abs=1e-3)


def test_one_clean_case_gives_a_bias_without_an_interval():
    bias = estimate_bias([-5.0])
    assert bias.mean_mm == -5
    assert np.isnan(bias.low_mm)
    assert np.isnan(bias.high_mm)
