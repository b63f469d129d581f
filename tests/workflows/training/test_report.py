"""The page as a whole: what it shows, what it must never do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drawing import picture
from drawn_data import edit_json
from labelmend.errors import GeometryError, LabelmendError, MissingDataError
from labelmend.workflows.training.report import write_report

HOSTILE = '<script>alert("x")<img src=x onerror=alert(1)>'
HOSTILE_FILE = HOSTILE.replace("/", "")


class Page(HTMLParser):
    """Tags with their attributes, and the text outside style and script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:
            self.words.append(data)

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [a for t, a in self.tags if t == tag and all(a.get(k) == v for k, v in wanted.items())]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page_of(run: Path, **options: int) -> Page:
    return Page(write_report(run, **options).read_text(encoding="utf-8"))


def test_every_class_has_its_bias_its_change_and_its_way_to_the_reference(flat_run: Path) -> None:
    text = page_of(flat_run).text
    assert (
        "Given outlines of heart run about 2.0 mm too large (95 % interval 1.5 to 2.5 mm, 3 trusted cases)."
        in text
    )
    # lung, given-corrected: 32/52 in case a and 2*20/(36+20) in case b, mean 0.665, lowest 0.615
    assert "lung 2 of 2 0.665 0.615 0 18 −1.0" in text
    # lung, given-clean 32/52 twice; corrected-clean 1 and 32/36
    assert "lung 0.615 0.944 +0.329 2 0" in text
    assert "0 of 2 cases further from clean" in text


def test_cases_come_with_the_largest_change_first(flat_run: Path) -> None:
    text = page_of(flat_run).text
    assert text.index("1 of 2 a why a") < text.index("2 of 2 b why b")


def test_outlines_lie_on_the_pixel_faces_of_the_masks(flat_run: Path) -> None:
    paths = page_of(flat_run).all("path")
    assert {"class": "given k1", "d": "M3 3h6v6h-6z"} in paths
    assert {"class": "corrected k1", "d": "M4 4h4v4h-4z"} in paths
    assert {"class": "clean k1", "d": "M4 4h4v4h-4z"} in paths
    assert {"class": "given k0", "d": "M6 6h6v4h-6z"} in paths


def test_toggles_name_every_outline_and_every_class(flat_run: Path) -> None:
    hides = [box["data-hide"] for box in page_of(flat_run).all("input", type="checkbox")]
    assert hides == ["given", "corrected", "clean", "k0", "k1"]


def test_without_a_reference_nothing_is_said_about_clean(flat_run: Path) -> None:
    edit_json(flat_run / "summary.json", reference=None)
    page = page_of(flat_run)
    assert "how right it is: no clean reference was named" in page.text
    assert "Dice to clean" not in page.text
    assert [box["data-hide"] for box in page.all("input")] == ["given", "corrected", "k0", "k1"]
    assert not [a for a in page.all("path") if (a.get("class") or "").startswith("clean")]


def test_a_reference_for_some_cases_is_counted(flat_run: Path) -> None:
    for name in ("heart", "lung"):
        (flat_run.parent / "data" / "clean" / name / "a.png").unlink()
    text = page_of(flat_run).text
    assert "1 of 2 cases has a clean reference" in text
    assert "lung 0.615 0.889 +0.274 1 0" in text


def test_a_correction_that_went_wrong_is_counted_and_marked(flat_run: Path) -> None:
    folder = flat_run / "labels" / "lung"
    picture(folder / "a.png", np.zeros((12, 16), np.uint8))
    page = page_of(flat_run)
    assert "1 of 2 cases further from clean" in page.text
    assert "lung 0.615 0.444 −0.171 1 1" in page.text
    assert page.all("path", **{"class": "worse"})


def test_a_volume_is_shown_on_the_slice_that_changed_most_and_scaled_by_spacing(volume_run: Path) -> None:
    page = page_of(volume_run)
    assert "Axial slice, 4 of 5 (array axis 2, index 3)" in page.text
    (stage,) = page.all("div", **{"class": "stage"})
    assert stage["style"] == "--w: 1000; --h: 1250.0"  # 8 x 10 voxels of 1 mm, rows run front to back
    assert "rim 0 7 – 0.76" in page.text
    # first axis to the left, second to the back: columns and rows as stored, rim in column 6, rows 2 to 7
    assert {"class": "given k1", "d": "M6 2h1v6h-1z"} in page.all("path")
    assert not [a for a in page.all("path") if a.get("class") == "corrected k1"]


def test_cases_beyond_the_limit_stay_in_the_table(flat_run: Path) -> None:
    page = page_of(flat_run, max_cases=1)
    assert len(page.all("article")) == 1
    assert "The first 1 of 2 have pictures" in page.text
    assert [a["href"] for a in page.all("a") if a["href"] != "#cases"] == ["#all", "#case-1"]
    assert len(page_of(flat_run, max_cases=0).all("img")) == 0


def test_a_picture_larger_than_the_screen_is_thinned_and_says_so(flat_run: Path) -> None:
    data = flat_run.parent / "data"
    for path in [*data.rglob("*.png"), *flat_run.rglob("*.png")]:
        picture = Image.open(path)
        picture.resize((16 * 70, 12 * 70), Image.Resampling.NEAREST).save(path)
    page = page_of(flat_run, max_cases=1)
    assert "Shown with one pixel in 2 along each axis." in page.text
    assert {"class": "given k1", "d": "M105 105h210v210h-210z"} in page.all("path")


def test_the_page_stands_alone(flat_run: Path) -> None:
    page = page_of(flat_run)
    assert len(page.all("script")) == 1
    assert "src" not in page.all("script")[0]
    assert not page.all("link")
    for _, attributes in page.tags:
        for name in ("src", "href", "action", "xlink:href"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:image/")), value
    (policy,) = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert re.fullmatch(
        r"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-[\w+/]{43}='",
        policy,
    )


def test_hostile_names_are_shown_and_never_run(flat_run: Path) -> None:
    data = flat_run.parent / "data"
    for path in [*data.rglob("a.png"), *flat_run.rglob("a.png")]:
        path.rename(path.with_name(f"{HOSTILE_FILE}.png"))
    for folder in (data / "given", data / "clean", flat_run / "labels"):
        (folder / "lung").rename(folder / HOSTILE_FILE)
    raw = json.loads((flat_run / "summary.json").read_text())
    raw["cases"][0] |= {"case": HOSTILE_FILE, "reason": HOSTILE}
    bias = raw["rounds"][0]["bias"][0] | {"class": HOSTILE_FILE, "why": HOSTILE}
    raw["rounds"][0]["bias"] = [bias]
    raw |= {"classes": ["heart", HOSTILE_FILE], "method": HOSTILE, "paper": HOSTILE, "unit": HOSTILE}
    raw |= {"parameters": {HOSTILE: HOSTILE}, "clean_cases": [HOSTILE], "labelmend_version": HOSTILE}
    edit_json(flat_run / "summary.json", **raw)
    page = page_of(flat_run)
    assert len(page.all("script")) == 1
    assert {(a["src"] or "")[:11] for a in page.all("img")} == {"data:image/"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert page.text.count(HOSTILE_FILE) > 5


def test_a_closing_tag_or_quote_in_a_name_breaks_out_of_nothing(flat_run: Path) -> None:
    breakout = "\"'></style></script></title><b data-x=1>"
    raw = json.loads((flat_run / "summary.json").read_text())
    raw["cases"][0]["reason"] = breakout
    raw["rounds"][0]["bias"][0]["why"] = breakout
    edit_json(flat_run / "summary.json", **(raw | {"method": breakout, "unit": breakout, "paper": breakout}))
    assert not page_of(flat_run).all("b")


def test_the_page_appears_whole_or_not_at_all(flat_run: Path) -> None:
    (flat_run / "report.html").write_text("old")
    (flat_run.parent / "data" / "images" / "b.png").unlink()
    with pytest.raises(MissingDataError, match=r"case 'b' of the summary has no image in .*images"):
        write_report(flat_run)
    assert (flat_run / "report.html").read_text() == "old"
    assert sorted(p.name for p in flat_run.iterdir()) == ["labels", "report.html", "summary.json"]


def test_an_image_of_another_shape_names_the_case(flat_run: Path) -> None:
    picture(flat_run.parent / "data" / "images" / "a.png", np.zeros((5, 6), np.uint8))
    with pytest.raises(GeometryError, match=r"case 'a': image has shape \(5, 6\), its labels \(12, 16\)"):
        write_report(flat_run)


def test_a_case_without_given_labels_is_one_clear_error(flat_run: Path) -> None:
    raw = json.loads((flat_run / "summary.json").read_text())
    raw["cases"][0]["case"] = "nobody"
    edit_json(flat_run / "summary.json", cases=raw["cases"])
    with pytest.raises(MissingDataError, match="case 'nobody' of the summary has no labels"):
        write_report(flat_run)


def test_a_method_that_revises_nothing_still_has_a_report(flat_run: Path) -> None:
    shutil.rmtree(flat_run / "labels")
    raw = json.loads((flat_run / "summary.json").read_text())
    cases = [c | {"version": 0, "reason": "", "displacement_mm": [None, None]} for c in raw["cases"]]
    edit_json(
        flat_run / "summary.json",
        cases=cases,
        rounds=[{"round": 1, "loss": 0.1, "bias": [], "n_revised": 0}],
        paper=None,
    )
    text = page_of(flat_run).text
    assert "No outline was changed." in text
    assert "0 of 2 cases changed" in text
    assert "Left as given." in text
    assert "How far the given outlines are off" not in text


def test_later_rounds_follow_the_first(flat_run: Path) -> None:
    raw = json.loads((flat_run / "summary.json").read_text())
    row = raw["rounds"][0]["bias"][0]
    second = {"round": 2, "loss": 0.1, "bias": [row | {"mean_mm": 0.3, "low_mm": None}], "n_revised": 0}
    edit_json(flat_run / "summary.json", rounds=[*raw["rounds"], second])
    text = page_of(flat_run).text
    assert text.index("about 2.0 mm too large") < text.index("Round 2, trained on")
    assert "Round 2, trained on the outlines of the round before: 0.3 mm too small." in text


def test_a_bias_that_could_not_be_measured_draws_no_bar(flat_run: Path) -> None:
    raw = json.loads((flat_run / "summary.json").read_text())
    row = raw["rounds"][0]["bias"][0] | {"mean_mm": None, "low_mm": None, "high_mm": None, "n_cases": 0}
    edit_json(flat_run / "summary.json", rounds=[raw["rounds"][0] | {"bias": [row]}])
    page = page_of(flat_run)
    assert "could not be measured" in page.text
    assert not page.all("rect")


def test_one_spacing_for_all_axes_and_notes_are_shown(flat_run: Path) -> None:
    edit_json(flat_run / "summary.json", spacing_mm=2.0, notes=["Training stopped early."])
    text = page_of(flat_run).text
    assert "spacing, mm 2.0" in text
    assert "Training stopped early." in text


def test_a_missing_summary_is_a_labelmend_error(tmp_path: Path) -> None:
    with pytest.raises(LabelmendError):
        write_report(tmp_path)


def test_the_audit_does_not_load_torch() -> None:
    code = "import sys, labelmend.html; sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_radiographs_make_a_small_page(jsrt: Path, tmp_path: Path, summary_of: Callable[..., None]) -> None:
    classes, names = (
        ["clavicle", "heart", "lung"],
        sorted(p.name for p in (jsrt / "train" / "images").iterdir())[:6],
    )
    for source, target in (
        ("images", tmp_path / "images"),
        *((f"given_J1/{c}", tmp_path / "given" / c) for c in classes),
        *((f"clean/{c}", tmp_path / "clean" / c) for c in classes),
        *((f"clean/{c}", tmp_path / "run" / "labels" / c) for c in classes),
    ):
        target.mkdir(parents=True)
        for name in names:
            shutil.copy(jsrt / "train" / source / name, target)
    summary_of(tmp_path / "run", tmp_path, classes, [name[:-4] for name in names])
    report = write_report(tmp_path / "run")
    text = Page(report.read_text()).text
    assert "6 of 6 cases changed" in text
    assert re.search(r"lung 0\.7\d\d 1\.000 \+0\.2\d\d 6 0", text)
    assert report.stat().st_size < 6 * 10_000_000 / 148
