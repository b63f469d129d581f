"""TIFF: pages and stacks, every depth, and no page lost without a word."""

import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from labelmend.errors import GeometryError, LabelValueError, UnreadableFileError
from labelmend.io import read_image, read_label_array, write_label_array

PAGE = np.array([[0, 1, 2, 0], [3, 3, 0, 1], [0, 0, 0, 2]])
STACK = np.stack([PAGE, PAGE[::-1], 0 * PAGE, PAGE[:, ::-1], PAGE])


def rewrite(source, array):
    target = source.parent / "out" / source.name
    write_label_array(target, array, source)
    return target


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "i4", "f4"])
@pytest.mark.parametrize("array", [PAGE, STACK], ids=["2-D", "3-D"])
@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"byteorder": ">"}, {"bigtiff": True}], ids=str
)
def test_labels_are_read_and_written_back_in_the_dtype_of_the_source(tmp_path, dtype, array, options):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array.astype(dtype), photometric="minisblack", **options)
    labels, grid = read_label_array(path)
    assert labels.tolist() == array.tolist()
    assert labels.dtype.kind in "iu"
    assert grid.shape == array.shape
    assert grid.spacing_mm == (1.0,) * array.ndim
    target = rewrite(path, array[..., ::-1])
    assert read_label_array(target)[0].tolist() == array[..., ::-1].tolist()
    with tifffile.TiffFile(path) as old, tifffile.TiffFile(target) as new:
        assert new.pages[0].dtype == np.dtype(dtype)
        assert new.byteorder == old.byteorder
        assert new.pages[0].compression == old.pages[0].compression


def test_a_stack_of_one_page_is_2_d(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PAGE[None].astype("u1"), photometric="minisblack")
    assert read_label_array(tmp_path / "a.tif")[1].shape == (3, 4)
    assert read_label_array(rewrite(tmp_path / "a.tif", PAGE[::-1]))[0].tolist() == PAGE[::-1].tolist()


def test_a_stack_three_pixels_wide_is_no_colour_picture(tmp_path):
    array = np.arange(5 * 4 * 3).reshape(5, 4, 3) % 7
    tifffile.imwrite(tmp_path / "a.tif", array.astype("u1"), photometric="minisblack", metadata=None)
    assert read_label_array(tmp_path / "a.tif")[0].tolist() == array.tolist()
    assert read_label_array(rewrite(tmp_path / "a.tif", 6 - array))[0].tolist() == (6 - array).tolist()


def test_a_1_bit_picture_reads_as_zero_and_one_and_stays_1_bit(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PAGE > 0)
    assert read_label_array(tmp_path / "a.tif")[0].tolist() == (PAGE > 0).astype(int).tolist()
    target = rewrite(tmp_path / "a.tif", PAGE == 0)
    assert read_label_array(target)[0].tolist() == (PAGE == 0).astype(int).tolist()
    with tifffile.TiffFile(target) as tif:
        assert tif.pages[0].bitspersample == 1


def test_a_palette_gives_indices_and_is_kept(tmp_path):
    colours = np.arange(3 * 256, dtype="u2").reshape(3, 256)
    tifffile.imwrite(tmp_path / "a.tif", PAGE.astype("u1"), photometric="palette", colormap=colours)
    assert read_label_array(tmp_path / "a.tif")[0].tolist() == PAGE.tolist()
    with tifffile.TiffFile(rewrite(tmp_path / "a.tif", PAGE[::-1])) as tif:
        assert np.array_equal(tif.pages[0].colormap, colours)
        assert tif.pages[0].asarray().tolist() == PAGE[::-1].tolist()


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits"])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_compressions_that_need_pillow_are_read_and_come_back_lossless(tmp_path, compression, dtype):
    path = tmp_path / "a.tif"
    Pillow.fromarray(PAGE.astype(dtype)).save(path, compression=compression)
    assert read_label_array(path)[0].tolist() == PAGE.tolist()
    target = rewrite(path, PAGE[::-1])
    assert read_label_array(target)[0].tolist() == PAGE[::-1].tolist()
    assert tifffile.imread(target).dtype == np.dtype(dtype)


def test_a_stack_compressed_with_lzw_is_read_page_by_page(tmp_path):
    first, *others = [Pillow.fromarray(page.astype("u1")) for page in STACK]
    first.save(tmp_path / "a.tif", compression="tiff_lzw", save_all=True, append_images=others)
    assert read_label_array(tmp_path / "a.tif")[0].tolist() == STACK.tolist()


def test_values_are_as_stored_where_zero_means_white(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PAGE.astype("u1"), photometric="miniswhite")
    assert read_label_array(tmp_path / "a.tif")[0].tolist() == PAGE.tolist()
    Pillow.fromarray(PAGE > 0).save(tmp_path / "fax.tif", compression="group4", tiffinfo={262: 0})
    with tifffile.TiffFile(tmp_path / "fax.tif") as tif:
        zero_is_white = tif.pages[0].photometric == 0
    stored = (PAGE == 0) if zero_is_white else (PAGE > 0)
    assert read_label_array(tmp_path / "fax.tif")[0].tolist() == stored.astype(int).tolist()


def test_description_and_resolution_of_the_source_are_kept(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, STACK.astype("u1"), imagej=True, resolution=(4, 5), metadata={"axes": "ZYX", "spacing": 2.5}
    )
    with tifffile.TiffFile(path) as old, tifffile.TiffFile(rewrite(path, STACK[::-1])) as new:
        assert new.pages[0].description == old.pages[0].description
        assert "spacing=2.5" in new.pages[0].description
        assert new.pages[0].resolution == old.pages[0].resolution
        assert new.series[0].axes == "ZYX"
        assert new.series[0].asarray().tolist() == STACK[::-1].tolist()


def test_the_same_labels_give_the_same_bytes(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PAGE.astype("u1"))
    write_label_array(tmp_path / "b.tif", PAGE, tmp_path / "a.tif")
    write_label_array(tmp_path / "c.tif", PAGE, tmp_path / "a.tif")
    assert (tmp_path / "b.tif").read_bytes() == (tmp_path / "c.tif").read_bytes()


@pytest.mark.parametrize("planar", [False, True])
def test_a_colour_picture_is_a_three_channel_image_and_no_label(tmp_path, planar):
    colour = np.stack([PAGE, 10 * PAGE, 20 * PAGE]).astype("u1")
    if planar:
        tifffile.imwrite(tmp_path / "a.tif", colour, photometric="rgb", planarconfig="separate")
    else:
        tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(colour, 0, -1), photometric="rgb")
    image = read_image(tmp_path / "a.tif")
    assert image.array.tolist() == colour.astype(float).tolist()
    assert image.grid.shape == (3, 4)
    with pytest.raises(LabelValueError, match=r"a\.tif: .*channels"):
        read_label_array(tmp_path / "a.tif")


def test_channels_of_a_volume_come_first(tmp_path):
    volume = np.stack([STACK, 2 * STACK], axis=1).astype("u2")
    tifffile.imwrite(tmp_path / "a.tif", volume, imagej=True, metadata={"axes": "ZCYX"})
    image = read_image(tmp_path / "a.tif", spacing_mm=(2, 1, 1))
    assert image.array.tolist() == np.stack([STACK, 2 * STACK]).astype(float).tolist()
    assert image.grid.spacing_mm == (2.0, 1.0, 1.0)


def test_a_16_bit_image_keeps_its_values(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 65535]], "u2"))
    assert read_image(tmp_path / "a.tif").array.tolist() == [[[0.0, 65535.0]]]


def test_four_axes_are_no_labels_and_no_image(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", np.stack([STACK, STACK]).astype("u1"), imagej=True, metadata={"axes": "TZYX"}
    )
    with pytest.raises(GeometryError, match="axes TZYX"):
        read_label_array(tmp_path / "a.tif")
    with pytest.raises(GeometryError, match="axes CTZYX"):
        read_image(tmp_path / "a.tif")


def test_pages_of_different_size_are_an_error(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(PAGE.astype("u1"), photometric="minisblack")
        tif.write(PAGE[:2].astype("u1"), photometric="minisblack")
    with pytest.raises(GeometryError, match="2 series of different images"):
        read_label_array(tmp_path / "a.tif")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"metadata": None},
        {"compression": "zlib", "metadata": None},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
    ],
    ids=str,
)
def test_a_tiff_cut_off_anywhere_is_unreadable_or_has_lost_no_pixel(tmp_path, options, rng):
    path = tmp_path / "a.tif"
    stack = rng.integers(0, 4, (6, 24, 24), np.uint8)
    tifffile.imwrite(path, stack, photometric="minisblack", **options)
    whole, refused = path.read_bytes(), 0
    lengths = sorted({*range(1, len(whole), 61), len(whole) - 1})
    for length in lengths:
        path.write_bytes(whole[:length])
        try:
            array = read_label_array(path)[0]
        except UnreadableFileError:
            refused += 1
        else:
            assert np.array_equal(array, stack)
    assert refused >= len(lengths) - 12


def test_a_lzw_tiff_that_is_cut_off_is_unreadable(tmp_path, rng):
    path = tmp_path / "a.tif"
    Pillow.fromarray(rng.integers(0, 4, (50, 50), np.uint8)).save(path, compression="tiff_lzw")
    whole = path.read_bytes()
    for length in range(1, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(UnreadableFileError, match=r"a\.tif"):
            read_label_array(path)


def patched(path, **tags):
    """Set numbers in the header of a TIFF of one page, by the name of their tag."""
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        for name, value in tags.items():
            tag = tif.pages[0].tags[name]
            data[tag.offset + 2 : tag.offset + 4] = (4).to_bytes(2, "little")
            data[tag.offset + 8 : tag.offset + 12] = value.to_bytes(4, "little")
    path.write_bytes(data)


@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}, {"tile": (16, 16), "compression": "zlib"}]
)
@pytest.mark.parametrize("read", [read_image, read_label_array])
def test_a_tiff_is_asked_for_its_size_before_it_is_unpacked(tmp_path, options, read):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((16, 16), "u1"), metadata=None, **options)
    patched(tmp_path / "a.tif", ImageWidth=10**6, ImageLength=10**6)
    with pytest.raises(UnreadableFileError, match=r"a\.tif: the file declares 1000000 x 1000000 pixels"):
        read(tmp_path / "a.tif")


def test_the_pages_of_a_stack_count_together_and_so_does_a_tile(tmp_path, monkeypatch):
    monkeypatch.setenv("LABELMEND_MAX_GIB", str(3000 / 2**30))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 16, 16), "u1"), photometric="minisblack")
    with pytest.raises(UnreadableFileError, match="3 x 16 x 16 pixels"):
        read_label_array(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((16, 16), "u1"), tile=(32, 32), metadata=None)
    with pytest.raises(UnreadableFileError, match="32 x 32 pixels in each strip or tile"):
        read_label_array(tmp_path / "b.tif")


def test_tiles_that_a_tiff_does_not_name_are_not_read_as_zeros(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((16, 16), "u1"), tile=(16, 16), metadata=None)
    patched(tmp_path / "a.tif", ImageWidth=64)
    with pytest.raises(UnreadableFileError, match="lists only 1 of 4 strips or tiles"):
        read_label_array(tmp_path / "a.tif")


def test_a_strip_that_unpacks_to_far_more_than_declared_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((16, 16), "u1"), compression="zlib", metadata=None)
    bomb = zlib.compress(bytes(2**27), 9)
    patched(path, StripOffsets=path.stat().st_size, StripByteCounts=len(bomb))
    path.write_bytes(path.read_bytes() + bomb)
    with pytest.raises(UnreadableFileError, match="unpacks to far more"):
        read_label_array(path)


def test_16_bits_where_zero_means_white_are_read_as_stored_from_lzw(tmp_path):
    array = (PAGE * 300).astype("u2")
    Pillow.fromarray(array).save(tmp_path / "a.tif", compression="tiff_lzw", tiffinfo={262: 0})
    assert read_label_array(tmp_path / "a.tif")[0].tolist() == array.tolist()


def test_labels_in_a_tiff_that_jpeg_compressed_are_refused_and_images_are_read(tmp_path):
    Pillow.fromarray(np.full((16, 16), 7, "u1")).save(tmp_path / "a.tif", compression="jpeg")
    assert read_image(tmp_path / "a.tif").array.shape == (1, 16, 16)
    with pytest.raises(LabelValueError, match="JPEG, which alters label values"):
        read_label_array(tmp_path / "a.tif")


def test_a_value_that_1_bit_cannot_hold_is_written_with_8(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PAGE > 9)
    assert read_label_array(rewrite(tmp_path / "a.tif", PAGE * 85))[0].tolist() == (PAGE * 85).tolist()


def test_a_tag_on_the_first_page_turns_the_stack_and_tags_that_differ_are_refused(tmp_path):
    tags = [(274, 3, 1, 6, True)]
    tifffile.imwrite(tmp_path / "a.tif", STACK.astype("u1"), photometric="minisblack", extratags=tags)
    assert read_label_array(tmp_path / "a.tif")[0].tolist() == np.rot90(STACK, -1, (1, 2)).tolist()
    with tifffile.TiffWriter(tmp_path / "b.tif") as tif:
        for tag in (6, 8):
            tif.write(PAGE.astype("u1"), contiguous=False, metadata=None, extratags=[(274, 3, 1, tag, True)])
    with pytest.raises(GeometryError, match="different orientation tags"):
        read_label_array(tmp_path / "b.tif")
