"""Regions read as overlapping classes and go back as the integers that nnU-Net would paint."""

import dataclasses
import itertools
import pickle

import numpy as np
import pytest
from PIL import Image as Pillow

from labelmend.errors import ConfigError, GeometryError, LabelValueError, OutputError
from labelmend.io import LabelFolder, RegionFolder
from labelmend.io.labels.nnunet_regions import painted
from labelmend.types import Grid, LabelMap

NAMES = ("whole", "core", "enhancing")
REGIONS = ((1, 2, 3), (2, 3), (3,))
GIVEN = [[0, 1, 2], [3, 4, 1]]


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "labelsTr" / "a.png"
    path.parent.mkdir()
    Pillow.fromarray(np.array(GIVEN, np.uint8)).save(path)
    return RegionFolder(path.parent, NAMES, True, None, 4, {"a": (path,)}, regions=REGIONS, order=(1, 2, 3))


def stored(path):
    with Pillow.open(path) as image:
        return np.array(image).tolist()


def test_every_region_is_the_union_of_its_integers(folder):
    labels = folder.read("a")
    assert labels.overlapping
    assert labels.classes == NAMES
    assert labels.masks().astype(int).tolist() == [
        [[0, 1, 1], [1, 0, 1]],
        [[0, 0, 1], [1, 0, 0]],
        [[0, 0, 0], [1, 0, 0]],
    ]
    assert labels.ignored().astype(int).tolist() == [[0, 0, 0], [0, 1, 0]]
    assert isinstance(folder, LabelFolder)


def test_without_a_value_to_ignore_nothing_is(folder):
    Pillow.fromarray(np.array([[0, 1, 2]], np.uint8)).save(folder.files["a"][0])
    assert dataclasses.replace(folder, ignore=None).read("a").ignored_mask is None


def test_what_was_read_is_written_back_the_same(folder, tmp_path):
    (written,) = folder.write(tmp_path / "out", "a", folder.read("a"))
    assert written == tmp_path / "out" / "a.png"
    assert stored(written) == GIVEN


def test_only_changed_pixels_are_painted(folder, tmp_path):
    given = folder.read("a")
    masks = given.masks().copy()
    masks[1:, 0, 2] = False  # core taken away: 2 becomes 1
    masks[:, 0, 0] = True  # all three added: 0 becomes 3
    masks[:, 1, 1] = True  # ignored, so it stays 4
    (written,) = folder.write(tmp_path / "out", "a", given.with_masks(masks))
    assert stored(written) == [[3, 1, 1], [3, 4, 1]]


def test_ignored_pixels_stay_whatever_the_masks_say(folder, tmp_path):
    given = folder.read("a")
    full = dataclasses.replace(given, array=np.ones_like(given.array))
    (written,) = folder.write(tmp_path / "out", "a", full)
    assert stored(written) == [[3, 3, 3], [3, 4, 3]]


def test_masks_that_no_integer_has_read_back_as_painted(folder, tmp_path):
    given = folder.read("a")
    masks = given.masks().copy()
    masks[:, 0, 1] = [False, True, False]  # a core outside of the whole
    folder.write(tmp_path / "out", "a", given.with_masks(masks))
    back = dataclasses.replace(folder, path=tmp_path / "out", files={"a": (tmp_path / "out" / "a.png",)})
    assert back.read("a").masks()[:, 0, 1].tolist() == [True, True, False]


def test_integers_of_other_regions_stay_where_their_masks_do(tmp_path):
    """Two integers with the same masks: neither becomes the other."""
    path = tmp_path / "labelsTr" / "a.png"
    path.parent.mkdir()
    Pillow.fromarray(np.array([[1, 2, 0]], np.uint8)).save(path)
    folder = RegionFolder(
        path.parent, ("both",), True, None, None, {"a": (path,)}, regions=((1, 2),), order=(1,)
    )
    given = folder.read("a")
    (written,) = folder.write(tmp_path / "out", "a", given.with_masks(np.ones((1, 1, 3), bool)))
    assert stored(written) == [[1, 2, 1]]


def test_every_integer_of_nested_regions_survives_masks_and_painting():
    array = np.arange(4)[None]
    masks = np.stack([np.isin(array, region) for region in REGIONS])
    np.testing.assert_array_equal(painted(masks, (1, 2, 3)), array)


def test_later_regions_are_painted_over_earlier_ones():
    """Slow and independent: of all masks that hold a pixel the last one names it."""
    columns = np.array(list(itertools.product((False, True), repeat=3))).T
    expected = [max((v for v, m in zip((5, 1, 3), c, strict=True) if m), default=0, key=(5, 1, 3).index)
                if any(c) else 0 for c in columns.T]  # fmt: skip
    assert painted(columns, (5, 1, 3)).tolist() == expected


def test_a_value_of_no_region_is_an_error(folder):
    Pillow.fromarray(np.array([[0, 7]], np.uint8)).save(folder.files["a"][0])
    with pytest.raises(LabelValueError, match=r"case a: .*a.png holds 7, which is in no region"):
        folder.read("a")


def test_given_labels_are_never_overwritten(folder):
    for place in (folder.path, folder.path / "below"):
        with pytest.raises(OutputError, match="is inside the folder of the given labels"):
            folder.write(place, "a", folder.read("a"))
    assert stored(folder.files["a"][0]) == GIVEN


def test_other_classes_or_shapes_do_not_fit(folder, tmp_path):
    exclusive = LabelMap(np.zeros((2, 3), int), Grid((2, 3), (1.0, 1.0)), NAMES)
    with pytest.raises(ConfigError, match="do not match the regions"):
        folder.write(tmp_path / "out", "a", exclusive)
    wide = LabelMap(np.zeros((3, 2, 9), bool), Grid((2, 9), (1.0, 1.0)), NAMES)
    with pytest.raises(GeometryError, match=r"shape \(2, 9\) for a map of \(2, 3\)"):
        folder.write(tmp_path / "out", "a", wide)
    assert not (tmp_path / "out").exists()


def test_every_region_needs_an_integer_to_paint(folder):
    with pytest.raises(ConfigError, match=r"3 regions .* names 2 integers"):
        dataclasses.replace(folder, order=(1, 2))


def test_a_folder_of_one_case_goes_to_a_worker(folder, tmp_path):
    sent = pickle.loads(pickle.dumps(folder.only("a")))
    np.testing.assert_array_equal(sent.read("a").array, folder.read("a").array)
    sent.write(tmp_path / "out", "a", sent.read("a"))
    assert stored(tmp_path / "out" / "a.png") == GIVEN
