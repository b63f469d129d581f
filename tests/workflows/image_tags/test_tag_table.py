"""Tags of images: two layouts of a text table, and one clear sentence for everything that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labelmend.errors import ConfigError, DataError, LabelmendError, MissingDataError, UnreadableFileError
from labelmend.workflows.image_tags.tag_table import read_tags

IMAGES = ("a", "b", "c.07")


@pytest.fixture
def file(tmp_path):
    """Writes a file of tags."""

    def write(text: str | bytes, name: str = "tags.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def test_a_column_a_class_keeps_the_order_of_columns_and_sorts_the_cases(file):
    read = read_tags(file("image,lung,heart\nc.07,0,1\nb.png,0,0\na.nii.gz,1,1\n"), images=IMAGES)
    assert (read.cases, read.classes) == (IMAGES, ("lung", "heart"))
    np.testing.assert_array_equal(read.tags, [[1, 1], [0, 0], [0, 1]])
    assert read.tags.dtype == bool
    assert read.of("a") == ("lung", "heart")
    assert read.of("b") == ()
    assert read.notes == ()


def test_a_column_of_names_sorts_the_classes_and_an_empty_cell_is_no_class(file):
    read = read_tags(file("case,Tags\na,lung; heart\nb,\nc.07,heart|heart\n"), images=IMAGES)
    assert read.classes == ("heart", "lung")
    np.testing.assert_array_equal(read.tags, [[1, 1], [0, 0], [1, 0]])


@pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("True", "FALSE"), ("yes", "No"), ("1.0", "0.0")])
def test_yes_and_no_may_be_written_in_several_ways(file, yes, no):
    read = read_tags(file(f"image,x\na, {yes}\nb,{no} \nc.07,{no}\n"), images=IMAGES)
    assert read.tags.tolist() == [[True], [False], [False]]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.tsv", "image\tx,y\na\t1\nb\t0\nc.07\t0\n"),
        ("t.csv", "image;x,y\na;1\nb;0\nc.07;0\n".replace(",", ".")),
        ("t.txt", "image\tx\r\n\r\na\t1\r\nb\t0\r\nc.07\t0\r\n"),
        ("t.csv", "\ufeffimage,x\na,1\nb,0\nc.07,0"),
        ("t.csv", '"image","a name, with a comma"\n"folder/a.png","1"\nfolder\\b.png,0\nc.07,0\n'),
    ],
)
def test_tabs_semicolons_quotes_and_the_mark_of_excel_are_read(file, name, text):
    assert read_tags(file(text, name), images=IMAGES).tags.tolist() == [[True], [False], [False]]


def test_named_classes_are_taken_in_their_order_and_the_rest_is_noted(file):
    path = file("image,age,lung,heart\na,61,1,0\nb,48,0,1\nc.07,70,0,0\n")
    read = read_tags(path, images=IMAGES, classes=["heart", "lung"])
    assert read.classes == ("heart", "lung")
    assert read.tags.tolist() == [[False, True], [True, False], [False, False]]
    assert read.notes == ("Unused columns or tags: age.",)


def test_a_class_on_every_image_is_kept_and_told(file):
    read = read_tags(file("image,body,lung\na,1,1\nb,1,0\nc.07,1,1\n"), images=IMAGES)
    assert read.everywhere == ("body",)
    assert read.inseparable == ()


def test_classes_that_are_always_together_are_told(file):
    read = read_tags(file("image,x,y,z\na,1,1,1\nb,0,0,1\nc.07,0,0,0\n"), images=IMAGES)
    assert read.inseparable == (("x", "y"),)
    assert read.everywhere == ()


HEAD = "image,lung,heart\n"
REST = "b,0,1\nc.07,0,0\n"

BAD = {
    "an image that is not there": (
        HEAD + "a,1,0\n" + REST + "d.png,1,0\n",
        MissingDataError,
        ["tags 1 of 4 cases that have no image: d", "the images are a, b, c.07"],
    ),
    "an image without a line": (HEAD + REST, MissingDataError, ["1 of 3 images have no line", ": a;"]),
    "a class that is never tagged": (
        HEAD + "a,0,1\n" + REST,
        DataError,
        ["tags none of 3 images with lung", "--classes"],
    ),
    "all images of one class": (
        "image,lung\na,1\nb,1\nc.07,1\n",
        DataError,
        ["same tags on every image (lung)", "cannot be distinguished from background"],
    ),
    "all images of all classes": (
        "image,tags\na,x;y\nb,y;x\nc.07,x;y\n",
        DataError,
        ["same tags on every image (x, y)"],
    ),
    "no class at all": ("image,tags\na,\nb,\nc.07,\n", DataError, ["tags no image with any class"]),
    "a case twice": (
        HEAD + "a,1,0\na.png,1,0\n" + REST,
        DataError,
        ["case a twice, in lines 2 and 3"],
    ),
    "a cell of another kind": (
        HEAD + "a,1,maybe\n" + REST,
        DataError,
        ["line 2, column 'heart' holds 'maybe'", "1 or 0"],
    ),
    "an empty cell": (HEAD + "\na,1,\n" + REST, DataError, ["line 3, column 'heart' is empty"]),
    "a short line": (HEAD + "a,1\n" + REST, DataError, ["line 2, has 2 cells, but the header has 3"]),
    "a long line": (HEAD + "a,1,0,0\n" + REST, DataError, ["line 2, has 4 cells"]),
    "no name in a line": (HEAD + ",1,0\n" + REST, DataError, ["line 2, has no image name"]),
    "a column twice": ("image,x,x\na,1,0\n", DataError, ["two columns named 'x'"]),
    "a column without name": ("image,x,\na,1,0\n", DataError, ["column 3 has no name"]),
    "one column": ("image\na\nb\n", DataError, ["only one column ('image')"]),
    "no header": ("a.png,1,0\nb,0,1\n", DataError, ["line 1 is about image 'a.png'", "header"]),
    "no line": (HEAD, DataError, ["a header but no rows"]),
    "blank lines": ("\n \n", UnreadableFileError, ["only blank lines"]),
    "an empty file": ("", UnreadableFileError, ["empty (0 bytes)"]),
    "not UTF-8": ("image,\xe4\na,1\n".encode("latin-1"), UnreadableFileError, ["UTF-8"]),
    "a reserved name": (
        "image,Background\na,1\nb,0\nc.07,0\n",
        ConfigError,
        ["cannot be named 'Background'"],
    ),
    "too many classes": (
        "image,tags\na," + ";".join(map(str, range(255))) + "\nb,\nc.07,\n",
        DataError,
        ["255 classes", "254"],
    ),
}


@pytest.mark.parametrize(("text", "kind", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_told_in_one_sentence(file, text, kind, words):
    path = file(text)
    with pytest.raises(LabelmendError) as caught:
        read_tags(path, images=IMAGES)
    assert type(caught.value) is kind
    for piece in (str(path), *words):
        assert piece in str(caught.value)


def test_many_missing_images_are_counted_and_the_first_are_named(file):
    path = file("image,x\n" + "".join(f"z{i},1\n" for i in range(9)))
    with pytest.raises(
        MissingDataError, match="9 of 9 cases that have no image: z0, z1, z2, z3, z4 and 4 more"
    ):
        read_tags(path, images=IMAGES)


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (["lnug"], "did you mean 'lung'"),
        (["bone"], "it has lung, heart"),
        (["lung", "lung"], "named twice"),
    ],
)
def test_named_classes_that_do_not_fit_are_told(file, classes, words):
    path = file(HEAD + "a,1,0\n" + REST)
    with pytest.raises(ConfigError, match=words):
        read_tags(path, images=IMAGES, classes=classes)


def test_another_kind_of_file_and_no_file_are_told(file, tmp_path):
    with pytest.raises(UnreadableFileError, match=r"\.csv, \.tsv, \.txt"):
        read_tags(file("x", "tags.xlsx"), images=IMAGES)
    with pytest.raises(MissingDataError, match="does not exist"):
        read_tags(tmp_path / "no.csv", images=IMAGES)
