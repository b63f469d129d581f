"""Palettes of one folder must agree where their indices occur."""

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from labelmend.errors import LabelValueError
from labelmend.io import open_labels
from labelmend.io.labels.palettes import check_palettes, stored_palette

BLACK, RED, GREEN = (0, 0, 0), (200, 0, 0), (0, 200, 0)


def draw(path, values, *colours):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Pillow.fromarray(np.array(values, np.uint8))
    if colours:
        picture.putpalette([part for colour in colours for part in colour])
    picture.save(path)
    return path


def draw_tiff(path, values, *colours):
    table = np.zeros((3, 256), np.uint16)
    table[:, : len(colours)] = np.array(colours).T * 257
    tifffile.imwrite(path, np.array(values, np.uint8), photometric="palette", colormap=table)
    return path


@pytest.mark.parametrize("classes", [None, {"red": 1, "green": 2}])
def test_an_index_of_two_colours_is_refused_with_both_files(tmp_path, classes):
    draw(tmp_path / "a.png", [[0, 1, 2]], BLACK, RED, GREEN)
    draw(tmp_path / "b.png", [[0, 1, 2]], BLACK, GREEN, RED)
    with pytest.raises(LabelValueError, match=r"a\.png and .*b\.png .*value 1 .*#c80000 .*#00c800"):
        open_labels(tmp_path, classes=classes)


def test_a_background_at_another_index_is_refused(tmp_path):
    draw(tmp_path / "a.png", [[0, 1, 0]], BLACK, RED)
    draw(tmp_path / "b.png", [[1, 0, 1]], RED, BLACK)
    with pytest.raises(LabelValueError, match="value 0 is #000000 in one and #c80000"):
        open_labels(tmp_path)


def test_palettes_that_differ_where_nothing_is_drawn_or_in_length_are_one(tmp_path):
    draw(tmp_path / "a.png", [[0, 1, 1]], BLACK, RED, GREEN)
    draw(tmp_path / "b.png", [[0, 1, 1]], BLACK, RED, (9, 9, 9), (8, 8, 8))
    draw(tmp_path / "c.png", [[0, 1, 0]], BLACK, RED)
    draw(tmp_path / "d.png", [[0, 1, 2]], BLACK, RED, GREEN)
    assert open_labels(tmp_path).classes == ("1", "2")


def test_a_grey_file_among_them_says_nothing_of_colours(tmp_path):
    draw(tmp_path / "a.png", [[0, 1]], BLACK, RED)
    draw(tmp_path / "b.png", [[0, 1]])
    assert open_labels(tmp_path).classes == ("1",)


def test_files_of_one_class_may_differ_in_their_colour_but_not_in_the_background(tmp_path):
    draw(tmp_path / "lung" / "a.png", [[0, 1]], BLACK, RED)
    draw(tmp_path / "lung" / "b.png", [[0, 1]], BLACK, GREEN)
    assert open_labels(tmp_path).classes == ("lung",)
    draw(tmp_path / "lung" / "c.png", [[0, 1]], RED, BLACK)
    with pytest.raises(LabelValueError, match="value 0"):
        open_labels(tmp_path)


def test_tiff_palettes_count_too(tmp_path):
    files = [
        draw_tiff(tmp_path / "a.tif", [[0, 1], [1, 0]], BLACK, RED),
        draw_tiff(tmp_path / "b.tif", [[0, 1], [1, 0]], BLACK, GREEN),
    ]
    with pytest.raises(LabelValueError, match=r"a\.tif and .*b\.tif .*value 1"):
        check_palettes(files)


def test_a_file_that_is_no_picture_has_no_palette(tmp_path):
    for name, data in (("a.png", b"\x89PNG\r\n\x1a\n"), ("b.tif", b"II*\0"), ("c.nii", b"x")):
        (tmp_path / name).write_bytes(data)
        assert stored_palette(tmp_path / name) == ()
    (tmp_path / "folder.png").mkdir()
    assert stored_palette(tmp_path / "folder.png") == ()


def test_a_black_class_over_a_coloured_background_must_be_named(tmp_path):
    draw(tmp_path / "a.png", [[0, 1, 1]], (255, 255, 255), BLACK)
    with pytest.raises(LabelValueError, match=r"a\.png .* value 0 is #ffffff and value 1 is black"):
        open_labels(tmp_path)
    assert open_labels(tmp_path, classes={"ink": 1}).values == (1,)
    assert open_labels(tmp_path, classes={"paper": 0, "ink": 1}).background == "paper"


def test_black_where_nothing_is_drawn_or_where_values_are_ignored_is_no_background(tmp_path):
    draw(tmp_path / "a.png", [[0, 1, 3]], GREEN, RED, BLACK, BLACK)
    assert open_labels(tmp_path, ignore=3).classes == ("1",)
