import numpy as np
import pytest
from PIL import Image

from labelmend.errors import GeometryError
from labelmend.io import read_image, write_picture


def test_black_white_and_what_lies_beyond(tmp_path):
    write_picture(tmp_path / "a.png", np.array([[0.0, 1.0], [-3.0, 7.0]]))
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == "L"
        assert np.asarray(picture).tolist() == [[0, 255], [0, 255]]
    assert read_image(tmp_path / "a.png").array.shape == (1, 2, 2)


def test_three_axes_are_no_picture(tmp_path):
    with pytest.raises(GeometryError, match=r"\(1, 2, 2\)"):
        write_picture(tmp_path / "a.png", np.zeros((1, 2, 2)))
    assert list(tmp_path.iterdir()) == []
