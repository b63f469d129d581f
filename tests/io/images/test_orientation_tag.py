"""Orientation tags: pictures and labels are read as they are shown, and labels go back as they came."""

from io import BytesIO

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from labelmend.io import read_image, read_label_array, write_label_array, write_new_labels
from labelmend.io.images.orientation_tag import as_shown, checked_orientation, stored, turned_apart
from labelmend.types import Grid

STORED = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
SHOWN = {
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[4, 1], [5, 2], [6, 3]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[3, 6], [2, 5], [1, 4]],
}
"""By the EXIF standard: 6 is turned clockwise, 8 anticlockwise, 2, 4, 5 and 7 are mirrored."""


def exif(tag):
    made = Pillow.Exif()
    made[274] = tag
    return made


def save(path, array, tag, **options):
    """A picture with an orientation tag, in the format of its name; *.lzw.tif is written by Pillow."""
    if path.name.endswith(".lzw.tif"):
        Pillow.fromarray(array).save(path, compression="tiff_lzw", tiffinfo={274: tag})
    elif path.suffix == ".tif":
        tags = [(274, 3, 1, tag, False)]
        tifffile.imwrite(path, array, photometric="minisblack", extratags=tags, metadata=None, **options)
    else:
        Pillow.fromarray(array).save(path, exif=exif(tag))
    return path


@pytest.mark.parametrize("tag", SHOWN)
def test_every_orientation_is_shown_as_the_standard_says_and_undone(tag):
    assert as_shown(STORED, tag).tolist() == SHOWN[tag]
    assert stored(np.array(SHOWN[tag]), tag).tolist() == STORED.tolist()
    assert as_shown(np.stack([STORED, 2 * STORED]), tag)[1].tolist() == (2 * np.array(SHOWN[tag])).tolist()


@pytest.mark.parametrize("tag", [None, 0, 9, 65535, "6", (6,)])
def test_a_tag_that_means_nothing_turns_nothing(tag):
    assert checked_orientation(tag) == 1


@pytest.mark.parametrize("tag", SHOWN)
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.lzw.tif"])
def test_images_and_labels_are_read_as_shown_and_labels_go_back_under_their_tag(tmp_path, tag, name):
    path = save(tmp_path / name, STORED, tag)
    image = read_image(path)
    labels, grid = read_label_array(path)
    assert image.array[0].tolist() == labels.tolist() == SHOWN[tag]
    assert image.grid.shape == grid.shape == np.shape(SHOWN[tag])
    new = labels % 4
    write_label_array(tmp_path / f"new_{name}", new, path)
    read, its_grid = read_label_array(tmp_path / f"new_{name}")
    assert read.tolist() == new.tolist()
    assert its_grid.orientation_tag == tag


@pytest.mark.parametrize("tag", SHOWN)
def test_a_photograph_is_read_as_shown(tmp_path, tag):
    save(tmp_path / "a.jpg", np.kron(STORED * np.uint8(40), np.ones((16, 16), np.uint8)), tag)
    blocks = read_image(tmp_path / "a.jpg").array[0][8::16, 8::16]
    assert np.rint(blocks / 40).tolist() == SHOWN[tag]


@pytest.mark.parametrize("tag", [3, 6])
def test_a_stack_and_a_colour_picture_are_turned_in_their_planes(tmp_path, tag):
    save(tmp_path / "a.tif", np.stack([STORED, 2 * STORED]), tag)
    assert read_label_array(tmp_path / "a.tif")[0][1].tolist() == (2 * np.array(SHOWN[tag])).tolist()
    colours = np.stack([STORED, 10 * STORED, 20 * STORED], axis=-1)
    tags = [(274, 3, 1, tag, True)]
    for name, options in (("b.tif", {}), ("c.tif", {"compression": "zlib"})):
        tifffile.imwrite(tmp_path / name, colours, photometric="rgb", extratags=tags, **options)
        assert read_image(tmp_path / name).array[1].tolist() == (10 * np.array(SHOWN[tag])).tolist()
    Pillow.fromarray(colours).save(tmp_path / "d.tif", compression="tiff_lzw", tiffinfo={274: tag})
    assert read_image(tmp_path / "d.tif").array[2].tolist() == (20 * np.array(SHOWN[tag])).tolist()


@pytest.mark.parametrize("garbage", [b"MM\0*\0\0\0\x08\xff\xff" + b"\1" * 40, b"\xff" * 30, b"II"])
def test_exif_that_cannot_be_read_turns_nothing(tmp_path, garbage):
    Pillow.fromarray(STORED).save(tmp_path / "a.png", exif=garbage)
    assert read_label_array(tmp_path / "a.png")[0].tolist() == STORED.tolist()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_new_labels_lie_on_the_image_as_shown_and_have_no_tag(tmp_path, name):
    image = save(tmp_path / name, STORED * np.uint8(40), 6)
    target = tmp_path / "out" / name.replace("jpg", "png")
    write_new_labels(target, np.array(SHOWN[6]), image)
    labels, grid = read_label_array(target)
    assert (labels.tolist(), grid.orientation_tag) == (SHOWN[6], 1)
    assert np.array(Pillow.open(BytesIO(target.read_bytes()))).tolist() == SHOWN[6]


@pytest.mark.parametrize(
    ("image", "labels", "words"),
    [
        (6, 1, ""),
        (6, 6, ""),
        (1, 1, ""),
        (1, 6, "labels have orientation tag 6, but the image has none"),
        (8, 6, "labels have orientation tag 6, but the image has 8"),
    ],
)
def test_labels_may_have_no_tag_or_that_of_their_image(image, labels, words):
    said = turned_apart(
        Grid((3, 3), (1, 1), orientation_tag=image), Grid((3, 3), (1, 1), orientation_tag=labels)
    )
    assert words in said
    assert bool(said) == bool(words)


def test_labels_in_the_shape_of_the_unturned_pixels_are_said_to_be_unturned():
    said = turned_apart(Grid((3, 2), (1, 1), orientation_tag=6), Grid((2, 3), (1, 1)))
    assert "displayed as (3, 2)" in said
    assert "(2, 3) of its stored pixels" in said
