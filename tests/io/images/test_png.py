"""PNG: stored values as they are, palettes as indices, and no damaged file taken for a whole one."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow

from labelmend.errors import GeometryError, LabelValueError, UnreadableFileError
from labelmend.io import read_image, read_label_array, write_label_array

COLOURS = [0, 0, 0, 128, 0, 0, 0, 128, 0, 224, 224, 192]


def grey_png(rows: list[list[int]], bits: int, level: int = 6) -> bytes:
    """A grey PNG of 1, 2, 4, 8 or 16 bits, by hand; the last four bytes of its data lie in a chunk apart."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    lines = b""
    for row in rows:
        text = "".join(f"{value:0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        lines += b"\0" + bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))
    packed = zlib.compress(lines, level)
    head = struct.pack(">IIBBBBB", len(rows[0]), len(rows), bits, 0, 0, 0, 0)
    body = (
        chunk(b"IHDR", head) + chunk(b"IDAT", packed[:-4]) + chunk(b"IDAT", packed[-4:]) + chunk(b"IEND", b"")
    )
    return b"\x89PNG\r\n\x1a\n" + body


def palette_png(path, values, colours=COLOURS, **options):
    picture = Pillow.frombytes("P", np.shape(values)[::-1], np.array(values, np.uint8).tobytes())
    picture.putpalette(colours)
    picture.save(path, **options)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_labels_of_any_depth_give_the_stored_values(tmp_path, bits):
    rows = [[0, 1, 0], [2**bits - 1, 0, 1]]
    path = tmp_path / "a.png"
    path.write_bytes(grey_png(rows, bits))
    array, grid = read_label_array(path)
    assert array.tolist() == rows
    assert array.dtype.kind in "iu"
    assert grid.shape == (2, 3)
    assert grid.spacing_mm == (1.0, 1.0)
    assert grid.affine is None


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_labels_written_like_a_grey_source_read_back_the_same(tmp_path, bits):
    source, target = tmp_path / "a.png", tmp_path / "out" / "a.png"
    source.write_bytes(grey_png([[0, 1, 0], [1, 0, 1]], bits))
    new = np.array([[2**bits - 1, 0, 0], [0, 0, 1]])
    write_label_array(target, new, source)
    assert read_label_array(target)[0].tolist() == new.tolist()
    if bits in (1, 8, 16):
        with Pillow.open(target) as new_picture, Pillow.open(source) as old_picture:
            assert new_picture.mode == old_picture.mode


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_value_that_the_bits_of_a_grey_source_cannot_hold_is_written_with_8(tmp_path, bits):
    (tmp_path / "a.png").write_bytes(grey_png([[0, 1]], bits))
    write_label_array(tmp_path / "b.png", np.array([[0, 255]]), tmp_path / "a.png")
    assert read_label_array(tmp_path / "b.png")[0].tolist() == [[0, 255]]


def test_a_palette_picture_gives_indices_not_colours(tmp_path):
    palette_png(tmp_path / "a.png", [[0, 1, 2], [3, 3, 0]])
    assert read_label_array(tmp_path / "a.png")[0].tolist() == [[0, 1, 2], [3, 3, 0]]


def test_a_palette_picture_is_written_back_with_its_colours_transparency_and_resolution(tmp_path):
    palette_png(tmp_path / "a.png", [[0, 1, 2], [3, 3, 0]], transparency=0, dpi=(300, 300))
    write_label_array(tmp_path / "b.png", np.array([[3, 2, 1], [0, 0, 0]]), tmp_path / "a.png")
    with Pillow.open(tmp_path / "a.png") as old, Pillow.open(tmp_path / "b.png") as new:
        assert new.mode == "P"
        assert new.getpalette() == old.getpalette()
        assert new.info["transparency"] == 0
        assert new.info["dpi"] == old.info["dpi"]
    assert read_label_array(tmp_path / "b.png")[0].tolist() == [[3, 2, 1], [0, 0, 0]]


@pytest.mark.parametrize(("mode", "what"), [("RGB", "colour"), ("RGBA", "colour"), ("LA", "transparency")])
def test_a_colour_picture_is_no_label(tmp_path, mode, what):
    Pillow.new(mode, (4, 3)).save(tmp_path / "a.png")
    with pytest.raises(LabelValueError, match=rf"a\.png: .*{what} \(mode {mode}\)"):
        read_label_array(tmp_path / "a.png")


def test_a_grey_image_is_one_float32_channel(tmp_path):
    (tmp_path / "a.png").write_bytes(grey_png([[0, 65535, 7]], 16))
    image = read_image(tmp_path / "a.png", spacing_mm=0.5)
    assert image.array.dtype == np.float32
    assert image.array.tolist() == [[[0.0, 65535.0, 7.0]]]
    assert image.grid.spacing_mm == (0.5, 0.5)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_colour_image_has_its_three_channels_first(tmp_path, mode):
    Pillow.new(mode, (4, 3), (10, 20, 30, 255)[: len(mode)]).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.array.shape == (3, 3, 4)
    assert image.array[:, 0, 0].tolist() == [10.0, 20.0, 30.0]
    assert image.grid.shape == (3, 4)


def test_grey_with_transparency_is_one_channel(tmp_path):
    Pillow.new("LA", (4, 3), (10, 255)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").array.tolist() == np.full((1, 3, 4), 10.0).tolist()


def test_a_palette_image_is_read_in_its_colours(tmp_path):
    palette_png(tmp_path / "a.png", [[1, 3]])
    assert read_image(tmp_path / "a.png").array[:, 0, 1].tolist() == [224.0, 224.0, 192.0]


def test_a_png_cut_off_anywhere_is_unreadable(tmp_path, rng):
    path = tmp_path / "a.png"
    Pillow.fromarray(rng.integers(0, 4, (40, 40), np.uint8)).save(path)
    whole = path.read_bytes()
    for length in [*range(1, len(whole), 37), len(whole) - 12, len(whole) - 4, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(UnreadableFileError, match=r"a\.png.*truncated"):
            read_label_array(path)
        with pytest.raises(UnreadableFileError, match=r"a\.png.*truncated"):
            read_image(path)


def test_a_png_with_one_flipped_byte_in_its_data_is_unreadable(tmp_path, rng):
    path = tmp_path / "a.png"
    Pillow.fromarray(rng.integers(0, 4, (40, 40), np.uint8)).save(path)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(UnreadableFileError, match=r"a\.png"):
        read_label_array(path)


def test_a_flipped_pixel_in_an_uncompressed_png_is_unreadable(tmp_path):
    path = tmp_path / "a.png"
    damaged = bytearray(grey_png([[7] * 40] * 40, 8, level=0))
    path.write_bytes(damaged)
    assert set(read_label_array(path)[0].ravel().tolist()) == {7}
    damaged[damaged.index(b"\7" * 40) + 20] = 8
    path.write_bytes(damaged)
    with pytest.raises(UnreadableFileError, match=r"a\.png"):
        read_label_array(path)


def test_a_jpeg_that_is_cut_off_is_unreadable(tmp_path, rng):
    path = tmp_path / "a.jpg"
    Pillow.fromarray(rng.integers(0, 255, (64, 64), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UnreadableFileError, match=r"a\.jpg"):
        read_image(path)


def test_a_spacing_with_too_many_axes_is_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(grey_png([[0, 1]], 8))
    with pytest.raises(GeometryError, match=r"a\.png: expected 2 positive spacings"):
        read_label_array(tmp_path / "a.png", spacing_mm=(1.0, 1.0, 2.0))


def test_labels_of_another_shape_are_not_written(tmp_path):
    (tmp_path / "a.png").write_bytes(grey_png([[0, 1]], 8))
    with pytest.raises(GeometryError, match=r"shape \(2, 1\).*\(1, 2\)"):
        write_label_array(tmp_path / "b.png", np.zeros((2, 1), int), tmp_path / "a.png")


@pytest.mark.parametrize("n_colours", [1, 2, 3, 4, 5, 16, 17, 255, 256])
@pytest.mark.parametrize("values", [(0, 0, 0), (0, 1, 2), (0, 2, 3), (0, 255, 7)], ids=str)
def test_a_palette_of_any_length_keeps_its_colours_and_every_value(tmp_path, n_colours, values):
    colours = [part for i in range(n_colours) for part in (i, 255 - i, i // 2)]
    palette_png(tmp_path / "a.png", [[0, n_colours - 1, 0]], colours, transparency=0)
    write_label_array(tmp_path / "b.png", np.array([values]), tmp_path / "a.png")
    assert read_label_array(tmp_path / "b.png")[0].tolist() == [list(values)]
    with Pillow.open(tmp_path / "b.png") as new:
        palette = new.getpalette()
        assert (new.mode, new.info["transparency"]) == ("P", 0)
        assert palette[: 3 * n_colours] == colours
        assert len({tuple(palette[i : i + 3]) for i in range(0, len(palette), 3)}) == len(palette) // 3


def head(width, height, bits=8, colour=0):
    """A PNG that declares much and holds hardly anything."""
    picture = bytearray(grey_png([[0]], 8))
    picture[16:26] = struct.pack(">IIBB", width, height, bits, colour)
    picture[29:33] = struct.pack(">I", zlib.crc32(bytes(picture[12:29])))
    return bytes(picture)


@pytest.mark.parametrize("size", [(10**6, 10**6), (2**31 - 1, 2**31 - 1), (2**32 - 1, 2**32 - 1)], ids=str)
@pytest.mark.parametrize("read", [read_image, read_label_array])
def test_a_png_is_asked_for_its_size_before_it_is_unpacked(tmp_path, size, read):
    (tmp_path / "a.png").write_bytes(head(*size))
    with pytest.raises(UnreadableFileError, match=rf"a\.png: the file declares {size[0]} x {size[1]} pixels"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.jpg", "a.bmp"])
def test_jpeg_and_bmp_are_asked_too(tmp_path, monkeypatch, name):
    Pillow.new("RGB", (40, 50)).save(tmp_path / name)
    monkeypatch.setenv("LABELMEND_MAX_GIB", f"{(40 * 50 * 12 - 1) / 2**30:.20f}")
    with pytest.raises(UnreadableFileError, match="40 x 50 pixels"):
        read_image(tmp_path / name)


def test_a_picture_beyond_the_limit_of_pillow_is_read_and_written_without_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 100)
    array = np.arange(400).reshape(20, 20) % 7
    for name, options in (("a.png", {}), ("a.tif", {"compression": "tiff_lzw"})):
        Pillow.fromarray(array.astype(np.uint8)).save(tmp_path / name, **options)
        assert read_image(tmp_path / name).array[0].tolist() == array.tolist()
        write_label_array(tmp_path / f"new_{name}", array, tmp_path / name)
        assert read_label_array(tmp_path / f"new_{name}")[0].tolist() == array.tolist()
    assert Pillow.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        (b"zTXt", b"Comment\0\0"),
        (b"iTXt", b"Comment\0\1\0\0\0"),
        (b"iCCP", b"profile\0\0"),
    ],
)
def test_notes_and_profiles_of_any_size_are_not_unpacked(tmp_path, kind, start):
    body = start + zlib.compress(bytes(2**24))
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    picture = grey_png([[0, 3]], 8)
    (tmp_path / "a.png").write_bytes(picture[:33] + chunk + picture[33:])
    assert read_label_array(tmp_path / "a.png")[0].tolist() == [[0, 3]]


def test_a_jpeg_that_is_called_png_is_an_image_but_no_label(tmp_path):
    Pillow.new("L", (16, 16), 40).save(tmp_path / "a.png", "JPEG")
    assert read_image(tmp_path / "a.png").array.shape == (1, 16, 16)
    with pytest.raises(UnreadableFileError, match="not a PNG despite its name"):
        read_label_array(tmp_path / "a.png")
