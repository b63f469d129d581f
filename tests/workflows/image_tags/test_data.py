"""What `seed` learns from: images of any size on one grid, one measure for all, and a fair fifth held out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from drawing import picture, volume
from labelmend.errors import ConfigError, DataError, GeometryError, MissingDataError
from labelmend.workflows.image_tags.data import TagData, example_rows, held_out, load_tagged_images

WAYS = {"classes": None, "resize": 8, "measure": "set", "share": 0.0, "seed": 0}


@pytest.fixture
def folder(tmp_path):
    """Four pictures of three sizes; a and b show a disc, a and c a square."""
    for case, shape in (("a", (8, 8)), ("b", (8, 8)), ("c", (16, 4)), ("d", (9, 7))):
        picture(tmp_path / f"images/{case}.png", np.full(shape, 51 * ("abcd".index(case) + 1), np.uint8))
    (tmp_path / "tags.csv").write_text("image,disc,square\na,1,1\nb,1,0\nc,0,1\nd,0,0\n")
    return tmp_path


def gathered(folder, **ways) -> TagData:
    return load_tagged_images(folder / "images", folder / "tags.csv", **{**WAYS, **ways})


def test_images_of_all_sizes_come_to_one_grid_and_keep_their_own_in_mind(folder):
    material = gathered(folder)
    assert material.batch(np.arange(4)).shape == (4, 1, 8, 8)
    assert material.native == ((8, 8), (8, 8), (16, 4), (9, 7))
    assert material.table.cases == ("a", "b", "c", "d")
    assert material.channels == 1
    assert gathered(folder, resize=(4, 6)).batch(np.arange(2)).shape == (2, 1, 4, 6)


def test_the_measure_of_the_set_keeps_differences_between_images(folder):
    values = gathered(folder).batch(np.arange(4)).mean(dim=(1, 2, 3))
    expected = (np.arange(4) - 1.5) / np.std(np.arange(4))
    torch.testing.assert_close(values, torch.tensor(expected, dtype=torch.float32), rtol=0, atol=1e-5)


def test_the_measure_of_the_image_removes_them(folder):
    picture(folder / "images/a.png", np.array([[0, 100], [100, 200]], np.uint8))
    batch = gathered(folder, measure="image", resize=(2, 2)).batch(np.arange(2))
    root = 2**0.5
    torch.testing.assert_close(batch[0, 0], torch.tensor([[-root, 0], [0, root]]))
    assert not batch[1].any()


def test_images_beyond_the_budget_are_read_again(folder):
    material = gathered(folder)
    before = material.batch(np.arange(4))
    material.images._cache.clear()
    assert torch.equal(material.batch(np.arange(4)), before)


def test_colour_counts_as_three_channels(folder):
    for case in "abcd":
        picture(folder / f"images/{case}.png", np.full((8, 8, 3), 40, np.uint8))
    material = gathered(folder)
    assert material.channels == 3
    assert not material.batch(np.arange(4)).any()  # a constant channel is 0, not infinite


def test_every_pattern_of_tags_is_held_out_by_its_share(rng):
    tags = np.repeat([[0, 0], [0, 1], [1, 0], [1, 1]], [40, 20, 20, 20], axis=0).astype(bool)
    rows = held_out(tags, 0.2, rng)
    assert len(set(rows.tolist())) == 20
    assert np.bincount(2 * tags[rows, 0] + tags[rows, 1]).tolist() == [8, 4, 4, 4]


@pytest.mark.parametrize("seed", range(20))
def test_the_last_image_with_or_without_a_class_is_never_held_out(seed):
    tags = np.array([[1, 0, 1], [0, 1, 1], [0, 1, 1], [0, 1, 1]], bool)
    rows = held_out(tags, 0.5, np.random.default_rng(seed))
    kept = np.delete(tags, rows, axis=0)
    assert kept.any(axis=0).tolist() == [True, True, True]
    assert (~kept).any(axis=0).tolist() == [True, True, False]  # the third is on every image


def test_nothing_is_held_out_if_nothing_is_asked_for(rng):
    assert len(held_out(np.eye(4, dtype=bool), 0.0, rng)) == 0


def test_rows_in_training_and_held_out_make_up_all(folder):
    material = gathered(folder, share=0.5)
    assert sorted([*material.training, *material.held_out]) == [0, 1, 2, 3]


def test_examples_are_of_every_class_and_of_none(rng):
    tags = np.zeros((50, 3), bool)
    tags[:40, 0], tags[41, 1], tags[42:44, 2] = True, True, True
    rows = example_rows(tags, 8, rng)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert len(rows) == 8
    assert 41 in rows
    assert {42, 43} <= set(rows.tolist())
    assert (~tags[rows].any(axis=1)).sum() >= 2
    assert example_rows(tags[:3], 8, rng).tolist() == [0, 1, 2]


def test_a_volume_is_told(folder):

    volume(folder / "images/e.nii", np.zeros((4, 5, 6), np.float32), np.eye(4))
    with (folder / "tags.csv").open("a") as file:
        file.write("e,1,0\n")
    with pytest.raises(GeometryError, match=r"e\.nii is a volume of shape \(4, 5, 6\).*need 2-D images"):
        gathered(folder)


def test_images_of_different_channels_are_told_with_both_files(folder):
    picture(folder / "images/c.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DataError, match=r"c\.png has 3 channels, .*a\.png has 1"):
        gathered(folder)


def test_images_of_different_sizes_are_told_where_nothing_is_resized(folder):
    with pytest.raises(GeometryError, match=r"c\.png is \(16, 4\), .*a\.png is \(8, 8\).*--resize"):
        gathered(folder, resize=None)


def test_sizes_and_tags_that_do_not_fit_are_told(folder):
    with pytest.raises(ConfigError, match="resize needs 2 positive sizes"):
        gathered(folder, resize=[8, 8, 8])
    (folder / "images/d.png").unlink()
    with pytest.raises(MissingDataError, match="no image: d"):
        gathered(folder)
    with pytest.raises(MissingDataError, match="does not exist"):
        load_tagged_images(folder / "no", folder / "tags.csv", **WAYS)


def test_slices_stored_in_other_orientations_are_learned_from_in_one_and_mapped_back(folder):
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    ways = {"a": (values, np.eye(4)), "b": (values, np.eye(4)), "d": (values[::-1], np.diag([-1.0, 1, 1, 1]))}
    ways["c"] = (values.T, np.eye(4)[:, [1, 0, 2, 3]])
    for case, (array, affine) in ways.items():
        (folder / f"images/{case}.png").unlink()
        volume(folder / f"images/{case}.nii", array, affine)
    material = gathered(folder, resize=None)
    batch = material.batch(np.arange(4))
    assert all(torch.equal(one, batch[0]) for one in batch)
    assert material.native == ((4, 3), (4, 3), (3, 4), (4, 3))
    for row, (array, _) in enumerate(ways[case] for case in "abcd"):
        assert material.stored(row, torch.from_numpy(values[None].copy()))[0].tolist() == array.tolist()
    assert "2 of 4 volumes are stored as ARS, LAS rather than RAS" in material.notes[0]
