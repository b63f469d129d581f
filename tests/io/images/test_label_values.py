"""Label values: whole numbers, in a dtype that holds them."""

import numpy as np
import pytest

from labelmend.errors import GeometryError, LabelValueError
from labelmend.io.images.label_values import as_integers, check_shape, distinct_values, fit_dtype


def test_stored_integers_keep_their_dtype_in_native_byte_order():
    array = as_integers(np.array([[0, 300]], ">u2"))
    assert array.dtype == np.dtype("u2")
    assert array.dtype.isnative
    assert array.tolist() == [[0, 300]]


def test_booleans_become_zero_and_one():
    assert as_integers(np.array([True, False])).tolist() == [1, 0]


def test_whole_floats_become_integers():
    array = as_integers(np.array([0.0, 2.0, 0.99999999]))
    assert array.dtype == np.int32
    assert array.tolist() == [0, 2, 1]


@pytest.mark.parametrize("bad", [0.5, np.nan, np.inf, 1e12])
def test_a_value_that_is_no_whole_number_is_named(bad):
    with pytest.raises(LabelValueError, match=rf"1 pixels are not \(such as {bad:g}\)".replace("+", r"\+")):
        as_integers(np.array([0.0, bad, 1.0]))


def test_complex_pixels_are_no_labels():
    with pytest.raises(LabelValueError, match="complex64"):
        as_integers(np.zeros(3, np.complex64))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([3, 0, 3, 255], np.uint8),
        ([-2, 5, -2], np.int16),
        ([0, 65535, 7], np.uint16),
        ([2**31, 2**31 + 3], np.uint32),
        ([2**63 + 5, 2**63 + 9], np.uint64),
        ([-(2**40), 0, 2**40], np.int64),
        ([-(2**31), 2**31 - 1], np.int32),
        ([-128, 127], np.int8),
        ([2**16, 0, 2**16], np.int32),
        ([5, 9], np.uint64),
        ([1, 2**16 + 1], np.int64),
        ([], np.uint8),
    ],
)
def test_the_distinct_values_are_those_of_a_set(values, dtype):
    assert distinct_values(np.array(values, dtype)) == tuple(sorted(set(values)))


def test_a_value_that_does_not_fit_the_source_is_an_error():
    assert fit_dtype(np.array([0, 255]), np.uint8).dtype == np.uint8
    with pytest.raises(LabelValueError, match="values 0 to 300 do not fit the source's uint8"):
        fit_dtype(np.array([0, 300]), np.uint8)


def test_a_shape_that_does_not_fit_the_source_is_an_error():
    check_shape(np.zeros((2, 3)), (2, 3))
    with pytest.raises(GeometryError, match=r"\(2, 3\).*\(3, 2\)"):
        check_shape(np.zeros((2, 3)), (3, 2))
