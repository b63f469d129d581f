"""Valid files of every format that labelmend reads, what reads them, and how hypothesis damages them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import tifffile
from hypothesis import strategies as st
from PIL import Image

from labelmend.io import (
    open_coco,
    open_labels,
    open_nnunet,
    read_case_list,
    read_image,
    read_label_array,
    read_manifest,
)
from labelmend.io.files.case_column import read_case_column
from labelmend.io.files.reading import read_yaml
from labelmend.io.probabilities.npz import open_array
from labelmend.workflows.auditing.audit_folder import read_audit
from labelmend.workflows.class_labels.read_arrays import read_arrays
from labelmend.workflows.class_labels.read_table import read_table
from labelmend.workflows.image_tags.tag_table import read_tags
from labelmend.workflows.reviewing.verdicts import read_verdicts
from labelmend.workflows.training.config import read_settings


@dataclass(frozen=True)
class Reader:
    """A reader of one kind of file.

    Args:
        file_name: where the file lies below a folder.
        content: a valid file.
        read: reads it.
        beside: other files, by name.
    """

    file_name: str
    content: bytes
    read: Callable[[Path], Any]
    beside: tuple[tuple[str, bytes], ...] = ()

    def valid(self, folder: Path) -> bytes:
        """The content of a valid file, once all that belongs to it lies in the folder."""
        for name, data in ((self.file_name, self.content), *self.beside):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return self.content


def _picture(form: str, dtype: Any = np.uint8) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray((np.eye(6) * 1).astype(dtype)).save(buffer, form)
    return buffer.getvalue()


def _tiff() -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.eye(6, dtype=np.uint8))
    return buffer.getvalue()


def _npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _nifti() -> bytes:
    return bytes(nibabel.Nifti1Image(np.eye(4, dtype=np.uint8)[None], np.eye(4)).to_bytes())


def _coco(path: Path) -> None:
    labels = open_coco(path)
    for case in labels.cases:
        labels.read(case)


def _labels(path: Path) -> None:
    folder = open_labels(path.parent)
    for case in folder.cases:
        folder.read(case)


COCO = {
    "images": [{"id": 1, "file_name": "a.png", "height": 4, "width": 4}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 3, 0, 3, 3]], "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 1, "segmentation": {"size": [4, 4], "counts": [2, 14]}},
        {"id": 3, "image_id": 1, "category_id": 1, "segmentation": {"size": [4, 4], "counts": "2>"}},
    ],
    "categories": [{"id": 1, "name": "cell", "supercategory": "none"}],
}
NNUNET = {"labels": {"background": 0, "x": 1}, "channel_names": {"0": "g"}, "file_ending": ".png"}
VERDICTS = {
    "kind": "labelmend verdicts", "version": 1, "audit": "a", "reviewer": "r", "saved": "s",
    "verdicts": [{"case": "a", "verdict": "keep", "at": "", "note": ""}],
}  # fmt: skip
AUDIT = {"kind": "audit", "id": "a", "n_cases": 1, "classes": ["x"], "images": None}
CASE = {"case": "a", "rank": 1, "score": 0.5, "reason": "r", "image": None, "proposal": ["proposals/a.png"]}
FINDING = {
    "case": "a", "kind": "case", "class_name": "x", "score": 1, "reason": "r", "box": [[0, 1]], "other": "",
}  # fmt: skip
ROW = {
    "case": "a", "files": ["a.png"], "checksum": "c", "parent": "p", "parent_checksum": "c", "method": "m",
    "parameters": {}, "version": 0, "seed": 0,
}  # fmt: skip
_LINES = ((("cases.jsonl"), _json(CASE) + b"\n"), ("findings.jsonl", _json(FINDING) + b"\n"))

READERS = {
    "png image": Reader("a.png", _picture("PNG"), read_image),
    "png labels": Reader("a.png", _picture("PNG"), read_label_array),
    "jpeg image": Reader("a.jpg", _picture("JPEG"), read_image),
    "tiff image": Reader("a.tif", _tiff(), read_image),
    "tiff labels": Reader("a.tif", _tiff(), read_label_array),
    "nifti image": Reader("a.nii", _nifti(), read_image),
    "nifti labels": Reader("a.nii", _nifti(), read_label_array),
    "npz array": Reader("a.npz", _npz(probabilities=np.eye(4)), lambda path: open_array(path).read()),
    "npy array": Reader("a.npy", _npy(np.eye(4)), lambda path: open_array(path).read()),
    "npy features": Reader(
        "x.npy", _npy(np.eye(4)), lambda path: read_arrays(path, path.with_name("y.npy")),
        (("y.npy", _npy(np.array([0, 1, 0, 1]))),),
    ),
    "npy labels": Reader(
        "y.npy", _npy(np.array([0, 1, 0, 1])), lambda path: read_arrays(path.with_name("x.npy"), path),
        (("x.npy", _npy(np.eye(4))),),
    ),
    "sparse features": Reader(
        "x.npz",
        _npz(format=b"csr", shape=[2, 2], data=[1.0, 2.0], indices=[0, 1], indptr=[0, 1, 2]),
        lambda path: read_arrays(path, path.with_name("y.npy")),
        (("y.npy", _npy(np.array([0, 1]))),),
    ),
    "csv table": Reader("t.csv", b"a,b,y\n1.5,7,0\n2.5,9,1\n-1,3,0\n", lambda path: read_table(path, "y")),
    "csv tags": Reader(
        "t.csv", b"image,x,z\na,1,0\nb,0,1\n", lambda path: read_tags(path, images=["a", "b"])
    ),
    "csv cases": Reader(
        "t.csv", b"case,by\na,Ada\nb,Bo\n", lambda path: read_case_column(path, "by", ["a", "b"])
    ),
    "case list": Reader("t.txt", b"a\nb.png\n# c\n", read_case_list),
    "coco": Reader("i.json", _json(COCO), _coco),
    "nnunet": Reader(
        "D/dataset.json", _json(NNUNET), lambda path: open_nnunet(path.parent),
        (("D/labelsTr/a.png", _picture("PNG")), ("D/imagesTr/a_0000.png", _picture("PNG"))),
    ),
    "class names": Reader(
        "L/dataset.json", _json({"labels": {"x": 1}}), _labels, (("L/a.png", _picture("PNG")),)
    ),
    "verdicts": Reader("v.json", _json(VERDICTS), read_verdicts),
    "audit": Reader("A/audit.json", _json(AUDIT), lambda path: read_audit(path.parent), tuple(
        (f"A/{name}", data) for name, data in _LINES
    )),
    "audit cases": Reader(
        "A/cases.jsonl", _LINES[0][1], lambda path: read_audit(path.parent),
        (("A/audit.json", _json(AUDIT)), ("A/findings.jsonl", _LINES[1][1])),
    ),
    "audit findings": Reader(
        "A/findings.jsonl", _LINES[1][1], lambda path: read_audit(path.parent),
        (("A/audit.json", _json(AUDIT)), ("A/cases.jsonl", _LINES[0][1])),
    ),
    "manifest": Reader("m.jsonl", _json(ROW) + b"\n", read_manifest),
    "config": Reader("c.yaml", b"worst: 1\nclasses: {a: 1}\n", read_yaml),
    "settings of a run": Reader(
        "R/config.yaml", b"out: R\nseed: 0\n", lambda path: read_settings(path.parent)
    ),
}  # fmt: skip

_ODD = [
    None, True, -1, 0, 2**64, 10**300, 1e308, float("nan"), float("inf"), "", "²", "1", "a\x00b", "\ud800",
    "../../x", "=1", [], {}, [[]], [None], "x" * 3000,
]  # fmt: skip


def garbage() -> st.SearchStrategy[Any]:
    """Any JSON."""
    leaves = st.sampled_from([odd for odd in _ODD if odd != "\ud800"])
    keys = st.sampled_from(
        ["images", "annotations", "categories", "labels", "kind", "verdicts", "id", "case", "²"]
    )
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
        max_leaves=12,
    )


def damaged(valid: bytes) -> st.SearchStrategy[bytes]:
    """The bytes of a file with some of them cut off, overwritten, put in, or, of JSON, with odd values."""
    places = st.integers(0, max(len(valid) - 1, 0))
    ways = [
        places.map(lambda n: valid[:n]),
        st.tuples(places, st.binary(min_size=1, max_size=8)).map(
            lambda pair: valid[: pair[0]] + pair[1] + valid[pair[0] + len(pair[1]) :]
        ),
        st.tuples(places, st.binary(max_size=8)).map(
            lambda pair: valid[: pair[0]] + pair[1] + valid[pair[0] :]
        ),
        st.binary(max_size=64),
        st.sampled_from(
            [
                b"[" * 3000,
                b'{"a":' * 3000,
                b"\xff\xfe\x00",
                b"9" * 5000,
                b"\x00" * 100,
                valid.decode("latin-1").encode("utf-16"),
            ]
        ),
    ]
    try:
        text, end = valid.decode(), valid[-1:] if valid[-1:] == b"\n" else b""
        tree = json.loads(text)
    except ValueError:
        return st.one_of(ways)
    odd = st.tuples(st.integers(0, 10**6), st.sampled_from(_ODD)).map(
        lambda pair: json.dumps(_changed(tree, *pair)).encode() + end
    )
    return st.one_of(odd, odd, odd, *ways)


def _changed(tree: Any, place: int, odd: Any) -> Any:
    """The tree with one value, chosen by a number, replaced."""
    paths: list[tuple[Any, ...]] = []

    def walk(value: Any, path: tuple[Any, ...]) -> None:
        paths.append(path)
        pairs = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        )
        for key, below in pairs:
            walk(below, (*path, key))

    walk(tree, ())
    path = paths[place % len(paths)]
    if not path:
        return odd
    new = json.loads(json.dumps(tree))
    at = new
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = odd
    return new
