"""Fields of samples, on stand-ins with the three things that are used of FiftyOne's samples."""

import json

import pytest

from labelmend.errors import MissingDataError
from labelmend.workflows.auditing.fiftyone_fields import add_fiftyone_fields


class Sample(dict):
    def __init__(self, filepath):
        super().__init__()
        self.filepath, self.saved = filepath, 0

    def save(self):
        self.saved += 1


@pytest.fixture
def audited(tmp_path):
    facts = {"kind": "audit", "id": "1", "classes": ["lung"], "n_cases": 2, "images": None}
    (tmp_path / "audit.json").write_text(json.dumps(facts))
    rows = [
        {"case": case, "rank": rank, "score": score, "reason": reason, "image": image, "proposal": []}
        for case, rank, score, reason, image in [
            ("b", 1, 0.9, "lung of 12 px seems to be missing.", "b_0000.png"),
            ("a", 2, 0.1, "Nothing.", None),
        ]
    ]
    (tmp_path / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    finding = {
        "case": "b", "kind": "missing", "class_name": "lung", "score": 0.8, "other": "", "box": None,
        "reason": "lung of 12 px seems to be missing.",
    }  # fmt: skip
    (tmp_path / "findings.jsonl").write_text(json.dumps(finding) + "\n")
    return tmp_path


def test_samples_of_audited_cases_get_fields_and_are_saved_once(audited):
    samples = [Sample("/data/a.png"), Sample("/data/b.nii.gz"), Sample("/data/other.png")]
    assert add_fiftyone_fields(audited, samples) == 2
    assert samples[1] == {
        "label_score": 0.9,
        "label_rank": 1,
        "label_reason": "lung of 12 px seems to be missing.",
        "label_findings": ["lung of 12 px seems to be missing."],
    }
    assert samples[0]["label_findings"] == []
    assert [sample.saved for sample in samples] == [1, 1, 0]
    assert samples[2] == {}


def test_samples_of_audited_images_are_known_by_the_names_of_these(audited):
    samples = [Sample("/data/b_0000.png"), Sample("/data/b_0001.png"), Sample("/data/a_0000.png")]
    assert add_fiftyone_fields(audited, samples) == 1
    assert [sample.get("label_rank") for sample in samples] == [1, None, None]


def test_the_first_list_that_is_saved_is_not_empty(audited):
    """An empty one would leave FiftyOne without a type for what lists hold."""
    saved = []

    class Noted(Sample):
        def save(self):
            saved.append((self.filepath, self["label_findings"]))

    assert add_fiftyone_fields(audited, map(Noted, ["/1/a.png", "/2/a.png", "/1/b.png", "/3/a.png"])) == 4
    assert saved[0] == ("/1/b.png", ["lung of 12 px seems to be missing."])
    assert sorted(path for path, _ in saved) == ["/1/a.png", "/1/b.png", "/2/a.png", "/3/a.png"]


def test_samples_of_another_data_set_are_an_error(audited):
    with pytest.raises(MissingDataError, match=r"such as b\.png"):
        add_fiftyone_fields(audited, [Sample("/data/x.png")])
