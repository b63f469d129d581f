"""The review page in a browser: keys, verdicts that last, files in and out, and names that must not run."""

from __future__ import annotations

import io
import json
import re
import shutil
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from scipy.ndimage import gaussian_filter

from drawn_audit import ID, case_row, finding, flat, overlapping, regions, volumetric, write_audit
from drawn_coco import coco_audit
from labelmend.errors import OutputError
from labelmend.html.figures import CORRECTED, GIVEN
from labelmend.io import Image
from labelmend.types import Grid, LabelMap
from labelmend.workflows.auditing.audit_folder import read_audit
from labelmend.workflows.auditing.page import render_review, write_review
from labelmend.workflows.auditing.page_pictures import Limits, Shown, case_block
from labelmend.workflows.reviewing.apply import apply_review
from labelmend.workflows.reviewing.verdicts import read_verdicts

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
HOSTILE_FILE = '"><img src=x onerror=alert(1)><script>alert(1)<'
LAG = """async ([keys, n]) => {
  const frame = () => new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  const times = [], loops = [];
  for (let i = 0; i < n; i++) {
    const before = performance.now();
    for (let k = 0, x = 0; k < 1e6; k++) window.x = x += k * k % 7;
    const start = performance.now();
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: keys[i % keys.length], bubbles: true }));
    await frame();
    times.push(performance.now() - start);
    loops.push(start - before);
  }
  return [times, loops];
}"""
"""Milliseconds from a key to the frame that shows what it did, and of a fixed loop before each key."""

LOOP_MS = 25.0
"""What the loop takes on two quiet cores; slower machines get as much more time."""

Opener = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make test")
    path = next((found for found in map(shutil.which, BROWSERS) if found), None)
    if path is None:
        pytest.skip(f"no browser found: install one of {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Opener]:
    """Opens a page; any error of its script, and any request but for the page itself, fails the test."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, accept_downloads=True)
    context.set_default_timeout(60_000)
    troubles: list[str] = []

    def open_page(path: Path, *scripts: str) -> Any:
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
        page.on("dialog", lambda dialog: (troubles.append("a dialog"), dialog.dismiss()))
        page.on(
            "request",
            lambda r: None if r.url.startswith(("data:", path.as_uri())) else troubles.append(r.url),
        )
        for script in scripts:
            page.add_init_script(script)
        page.goto(path.as_uri())
        return page

    yield open_page
    context.close()
    assert troubles == []


@pytest.fixture
def page(opened: Opener, tmp_path: Path) -> Any:
    """Four cases: a and b have a proposal, c only a spurious heart, d no finding."""
    return opened(write_review(flat(tmp_path)))


def press(page: Any, keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def case(page: Any) -> str:
    return page.inner_text("#name")


def chips(page: Any) -> list[str]:
    """Verdicts in the list, by their keys."""
    return page.locator("#cases .chip").all_inner_texts()


def listed(page: Any) -> list[str]:
    return page.locator("#cases li:not([hidden]) .name").all_inner_texts()


def downloaded(page: Any, path: Path) -> dict[str, Any]:
    with page.expect_download() as file:
        page.click("#download")
    file.value.save_as(path)
    return json.loads(path.read_text())


def painted(page: Any, kind: str, *, aside: bool = False) -> list[str]:
    """Outlines of the slice that is shown, once its picture is decoded and the next frame is painted."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    page.wait_for_function("() => document.getElementById('lines').painted")
    lines = page.evaluate("document.getElementById('lines').painted")
    return [line["d"] for line in lines if line["kind"] == kind and (line["aside"] or not aside)]


def colours(page: Any) -> dict[str, int]:
    """Number of pixels of the picture in the colours of given and proposed outlines."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    pixels = np.asarray(Pillow.open(io.BytesIO(page.locator("#stage").screenshot())).convert("RGB"), int)
    wanted = {"given": GIVEN, "proposed": CORRECTED}
    rgb = {kind: [int(colour[i : i + 2], 16) for i in (1, 3, 5)] for kind, colour in wanted.items()}
    return {kind: int((np.abs(pixels - value).max(axis=2) < 12).sum()) for kind, value in rgb.items()}


def view(page: Any) -> tuple[float, float, float]:
    """Centre in picture pixels and zoom."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    found = page.evaluate("document.getElementById('lines').view")
    return found["x"], found["y"], found["zoom"]


def test_the_worst_case_opens_with_its_reason_and_both_outlines(page: Any) -> None:
    assert (case(page), page.inner_text("#reason")) == ("a", "reason of a")
    assert page.inner_text("#findings") == "1 inaccurate outline: lung\nlung 1.0 px too far out"
    assert painted(page, "given") == ["M12 10h4v2h-4z", "M4 4h6v6h-6z"]
    assert painted(page, "proposed") == ["M5 5h4v4h-4z"]
    assert painted(page, "ignored") == ["M0 0h16v2h-16z"]


def test_a_verdict_moves_on_to_the_next_undecided_case(page: Any) -> None:
    press(page, "a")
    assert case(page) == "b"
    press(page, "s")
    assert (case(page), chips(page)) == ("c", ["A", "S", "", ""])
    press(page, "jf")
    assert (case(page), chips(page)) == ("c", ["A", "S", "", "F"])
    assert page.inner_text(".progress p").strip() == "3 of 4 decided"
    press(page, "d")
    assert "All cases are decided: download" in page.inner_text("#said")


def test_nothing_is_taken_where_nothing_is_proposed(page: Any) -> None:
    press(page, "jjs")
    assert (case(page), chips(page)) == ("c", ["", "", "", ""])
    assert "no proposal" in page.inner_text("#said")
    assert page.is_disabled(".verdicts [data-verdict=take]")


def test_undo_goes_back_case_by_case_to_what_was_there(page: Any) -> None:
    press(page, "as")
    press(page, "kkd")  # case a again: redraw instead of keep
    assert chips(page) == ["D", "S", "", ""]
    press(page, "z")
    assert (case(page), chips(page)) == ("a", ["A", "S", "", ""])
    press(page, "zz")
    assert (case(page), chips(page)) == ("a", ["", "", "", ""])
    press(page, "z")
    assert "Nothing to undo" in page.inner_text("#said")


def test_a_key_held_down_decides_once(page: Any) -> None:
    page.keyboard.down("a")
    page.keyboard.down("a")
    page.keyboard.down("a")
    assert chips(page) == ["A", "", "", ""]


def test_keys_work_on_a_cyrillic_keyboard(page: Any) -> None:
    page.evaluate(
        "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'ф', code: 'KeyA', bubbles: true}))"
    )
    assert chips(page) == ["A", "", "", ""]


def test_verdicts_and_undo_survive_closing_the_page(opened: Opener, tmp_path: Path) -> None:
    path = write_review(flat(tmp_path))
    first = opened(path)
    press(first, "as")
    first.fill("#reviewer", "RF")
    first.close()
    write_review(tmp_path / "audit", max_side_px=8)  # the page may be written again meanwhile
    again = opened(path)
    assert (case(again), chips(again), again.input_value("#reviewer")) == ("c", ["A", "S", "", ""], "RF")
    assert again.is_hidden("#notice")
    press(again, "z")
    assert chips(again) == ["A", "", "", ""]


def test_verdicts_of_another_audit_stay_apart(opened: Opener, tmp_path: Path) -> None:
    path = write_review(flat(tmp_path))
    press(opened(path), "as")
    facts = tmp_path / "audit" / "audit.json"
    facts.write_text(facts.read_text().replace(ID, "another"))
    assert chips(opened(write_review(tmp_path / "audit"))) == ["", "", "", ""]


def test_two_windows_of_one_audit_agree(opened: Opener, tmp_path: Path) -> None:
    path = write_review(flat(tmp_path))
    one, other = opened(path), opened(path)
    press(one, "a")
    other.wait_for_function("() => document.querySelector('#cases .chip').textContent === 'A'")
    press(one, "z")
    other.wait_for_function("() => document.querySelector('#cases .chip').textContent === ''")


def test_a_browser_that_keeps_nothing_says_so_and_works(opened: Opener, tmp_path: Path) -> None:
    deny = "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no') }})"
    page = opened(write_review(flat(tmp_path)), deny)
    assert "does not store verdicts" in page.inner_text("#notice")
    press(page, "as")
    rows = downloaded(page, tmp_path / "v.json")["verdicts"]
    assert [(row["case"], row["verdict"]) for row in rows] == [("a", "keep"), ("b", "take")]


def test_a_store_that_is_full_is_told(opened: Opener, tmp_path: Path) -> None:
    full = "Storage.prototype.setItem = (key) => { if (!key.endsWith('probe')) throw new Error('full') }"
    page = opened(write_review(flat(tmp_path)), full)
    assert page.is_hidden("#notice")
    press(page, "a")
    assert page.is_visible("#notice")


def test_the_download_is_applied(page: Any, tmp_path: Path) -> None:
    page.fill("#reviewer", "RF")
    page.click("#stage")
    press(page, "sdf")
    file = tmp_path / "verdicts.json"
    content = downloaded(page, file)
    assert list(content) == ["kind", "version", "audit", "reviewer", "saved", "verdicts"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", content["saved"])
    found = read_verdicts(file)
    assert (found.audit, found.reviewer, len(found.verdicts)) == (ID, "RF", 3)
    done = apply_review(tmp_path / "audit", file, out=tmp_path / "final")
    assert done.counts == {"take": 1, "redraw": 1, "skip": 1, "unreviewed": 1}
    proposal = tmp_path / "audit" / "proposals" / "a.png"
    assert (done.labels / "a.png").read_bytes() == proposal.read_bytes()


def test_a_file_of_verdicts_is_taken_up_again(page: Any, tmp_path: Path) -> None:
    press(page, "j")
    press(page, "s")
    row = {"at": "2020-01-01T00:00:00.000Z", "note": "old"}
    content = {"kind": "labelmend verdicts", "version": 1, "audit": ID, "reviewer": "Ada", "saved": ""}
    rows = [
        {"case": "a", "verdict": "redraw"},
        {"case": "b", "verdict": "keep"},
        {"case": "?", "verdict": "keep"},
    ]
    rows += [{"case": "d", "verdict": "burn"}, {"case": "c", "verdict": "take"}]
    (tmp_path / "v.json").write_text(json.dumps(content | {"verdicts": [r | row for r in rows]}))
    page.set_input_files("#file", tmp_path / "v.json")
    page.wait_for_function("() => document.getElementById('said').textContent.includes('1 verdicts loaded')")
    assert chips(page) == ["D", "S", "", ""]  # the newer verdict on b stays; what does not fit is passed over
    assert page.input_value("#reviewer") == "Ada"
    press(page, "kkk")
    assert page.input_value("#note") == "old"


def test_verdicts_of_another_audit_are_taken_where_the_labels_are_the_same(
    opened: Opener, tmp_path: Path
) -> None:
    out = flat(tmp_path)
    rows = [json.loads(line) for line in (out / "cases.jsonl").read_text().splitlines()]
    for row in rows:
        row |= {"checksum": f"given {row['case']}", "proposal_checksum": f"proposed {row['case']}"}
    (out / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = opened(write_review(out))
    content = {"kind": "labelmend verdicts", "version": 1, "audit": "earlier", "reviewer": "Ada", "saved": ""}
    at = {"at": "2020-01-01T00:00:00.000Z", "note": ""}
    same = {name: {"given": f"given {name}", "proposed": f"proposed {name}"} for name in "abcd"}
    told = [
        {"case": "a", "verdict": "take"} | same["a"],
        {"case": "b", "verdict": "take"} | same["b"] | {"proposed": "another"},
        {"case": "c", "verdict": "keep"} | same["c"] | {"given": "another"},
        {"case": "d", "verdict": "skip"},
    ]
    (tmp_path / "v.json").write_text(json.dumps(content | {"verdicts": [at | row for row in told]}))
    page.set_input_files("#file", tmp_path / "v.json")
    page.wait_for_function(
        "() => document.getElementById('said').textContent.includes('3 refer to other labels')"
    )
    assert chips(page) == ["S", "", "", ""]
    (saved,) = downloaded(page, tmp_path / "again.json")["verdicts"]
    assert (saved["case"], saved["given"], saved["proposed"]) == ("a", "given a", "proposed a")


@pytest.mark.parametrize(
    "text", ["{", '{"kind": "other"}', '{"kind": "labelmend verdicts", "version": 1, "audit": "x"}']
)
def test_a_file_of_something_else_changes_nothing(page: Any, tmp_path: Path, text: str) -> None:
    press(page, "a")
    (tmp_path / "v.json").write_text(text)
    page.set_input_files("#file", tmp_path / "v.json")
    page.wait_for_function(
        "() => /not a verdicts file|another audit/.test(document.getElementById('said').textContent)"
    )
    assert chips(page) == ["A", "", "", ""]


def test_a_note_is_typed_without_deciding_and_goes_along(page: Any, tmp_path: Path) -> None:
    press(page, "n")
    page.keyboard.type("sad fez")
    page.keyboard.press("Escape")
    assert chips(page) == ["", "", "", ""]
    press(page, "d")
    assert downloaded(page, tmp_path / "v.json")["verdicts"][0]["note"] == "sad fez"


def test_the_list_is_filtered_by_reason_class_verdict_and_name(page: Any) -> None:
    page.select_option("#by-kind", "spurious")
    assert (listed(page), case(page)) == (["b", "c"], "b")
    page.select_option("#by-class", "lung")
    assert listed(page) == []
    page.select_option("#by-kind", "")
    assert listed(page) == ["a", "b"]
    page.select_option("#by-class", "")
    page.select_option("#by-kind", "none")
    assert (listed(page), case(page)) == (["d"], "d")
    page.select_option("#by-kind", "")
    page.fill("#by-name", "C")
    assert (listed(page), case(page)) == (["c"], "c")


def test_the_undecided_list_shrinks_as_it_is_worked_through(page: Any) -> None:
    page.select_option("#by-verdict", "none")
    press(page, "ja")
    assert (listed(page), case(page)) == (["a", "c", "d"], "c")
    press(page, "aa")
    assert (listed(page), case(page)) == (["a"], "a")


def test_both_outlines_are_seen_in_their_colours_and_switched_off_and_on(page: Any) -> None:
    both = colours(page)
    assert both["given"] > both["proposed"] > 500
    press(page, "1")
    assert colours(page)["given"] == 0
    press(page, "12")
    assert colours(page)["given"] == both["given"]
    assert colours(page)["proposed"] == 0
    press(page, "2 ")
    assert colours(page) == {"given": 0, "proposed": 0}
    press(page, " ")
    assert colours(page) == both
    page.click("#classes >> text=heart")
    assert painted(page, "given") == ["M4 4h6v6h-6z"]


def test_the_class_under_the_pointer_is_named(page: Any) -> None:
    frame = page.locator("#stage").bounding_box()
    page.mouse.move(frame["x"] + frame["width"] / 2 - 50, frame["y"] + frame["height"] / 2)
    assert page.inner_text("#under") == "lung: given, proposed"
    page.mouse.move(5, 5)
    assert page.inner_text("#under") == ""


def test_the_picture_is_enlarged_moved_and_made_whole_again(page: Any) -> None:
    assert view(page) == (8, 6, 1)
    press(page, "+")
    assert view(page) == (8, 6, 1.25)
    press(page, "0")
    page.mouse.move(600, 400)
    page.mouse.wheel(0, -100)
    x, _, enlarged = view(page)
    assert enlarged == pytest.approx(1.15)
    page.mouse.down()
    page.mouse.move(650, 400)
    page.mouse.up()
    assert view(page)[0] < x
    page.mouse.dblclick(600, 400)
    assert view(page) == (8, 6, 1)


def test_a_right_drag_changes_brightness_and_contrast(page: Any) -> None:
    page.mouse.move(600, 400)
    page.mouse.down(button="right")
    page.mouse.move(690, 340)
    page.mouse.up(button="right")
    assert page.evaluate("document.getElementById('photo').style.filter") == "brightness(1.2) contrast(1.3)"
    press(page, "0")
    assert page.evaluate("document.getElementById('photo').style.filter") == ""


def test_findings_are_visited_one_by_one(page: Any) -> None:
    press(page, "jx")
    assert page.inner_text("#findings [aria-current=true]").startswith("1 inaccurate outline: lung")
    assert painted(page, "given", aside=True) == ["M12 10h4v2h-4z"]  # the heart steps back
    press(page, "x")
    assert page.inner_text("#findings [aria-current=true]").startswith("2 spurious object: heart")
    assert view(page) == (14, 11, 1.6)
    press(page, "x")
    assert view(page) == (8, 6, 1)


def test_a_volume_is_paged_by_keys_and_by_the_slider(opened: Opener, tmp_path: Path) -> None:
    page = opened(write_review(volumetric(tmp_path)))
    assert page.inner_text("#where") == "axial slice 4 of 5"
    assert page.locator(".end").all_inner_texts() == ["R", "L", "A", "P"]
    assert painted(page, "proposed") == []  # the rim of this slice is proposed away
    assert painted(page, "given") == ["M2 2h4v4h-4z", "M6 2h1v6h-1z"]
    press(page, "eee")
    assert page.inner_text("#where") == "axial slice 5 of 5"
    press(page, "w")
    page.fill("#slice", "0")
    assert page.inner_text("#where") == "axial slice 1 of 5"
    page.hover("#stage")
    page.mouse.wheel(0, 100)
    assert page.inner_text("#where") == "axial slice 2 of 5"
    press(page, "x")
    assert page.inner_text("#where") == "axial slice 4 of 5"


def test_regions_of_nnunet_are_shown_one_over_the_other(opened: Opener, tmp_path: Path) -> None:
    page = opened(write_review(regions(tmp_path)))
    assert page.inner_text("#where") == "axial slice 3 of 5"
    assert painted(page, "given") == ["M2 2h4v6h-4z", "M3 3h2v3h-2z"]
    assert painted(page, "proposed") == []  # no core, and the whole as it was
    assert painted(page, "ignored") == ["M0 0h1v10h-1z"]
    assert page.is_hidden("#unseen")


def test_a_coco_file_is_shown_with_what_is_proposed(opened: Opener, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    page = opened(write_review(coco_audit(tmp_path)))
    assert (case(page), listed(page)) == ("a", ["a", "b", "c"])
    assert [len(painted(page, kind)) for kind in ("given", "proposed", "ignored")] == [1, 2, 1]
    press(page, "j")
    assert page.is_disabled(".verdicts [data-verdict=take]")
    press(page, "j")
    assert [len(painted(page, kind)) for kind in ("given", "proposed")] == [2, 1]


def test_every_case_of_a_coco_file_has_a_picture_or_says_why_not(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    out = coco_audit(tmp_path)
    text = write_review(out).read_text()
    blocks = [json.loads(block) for block in re.findall(r'id="case-\d">(.*?)</script>', text)]
    assert [block["slices"][0]["img"][:15] for block in blocks] == ["data:image/png;"] * 3
    path = tmp_path / "data" / "instances.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = "none"
    path.write_text(json.dumps(content))
    (tmp_path / "data" / "images" / "val" / "b.png").unlink()
    text = write_review(out).read_text()
    broken, bare, _ = (json.loads(block) for block in re.findall(r'id="case-\d">(.*?)</script>', text))
    assert broken["error"].startswith("case a: instances.json: annotation 1: its segmentation is str")
    assert (bare["slices"][0]["img"], bare["note"]) == (None, "images/val/b.png does not exist")
    assert str(tmp_path) not in text


def test_help_shows_the_keys_and_lets_none_through(page: Any) -> None:
    press(page, "?")
    assert "keep the given outline" in page.inner_text("#help")
    press(page, "a")
    page.keyboard.press("Escape")
    assert page.is_hidden("#help")
    assert chips(page) == ["", "", "", ""]


def test_what_was_found_everywhere_is_told(opened: Opener, tmp_path: Path) -> None:
    out = flat(tmp_path)
    facts = json.loads((out / "audit.json").read_text())
    facts |= {"bias": [{"reason": "lung runs too far out"}], "warnings": ["not <b>out of sample</b>"]}
    (out / "audit.json").write_text(json.dumps(facts))
    page = opened(write_review(out))
    press(page, "i")
    assert "lung runs too far out" in page.inner_text("#about")
    assert "not <b>out of sample</b>" in page.inner_text("#about")


def test_buttons_do_what_the_keys_do(page: Any) -> None:
    page.click(".verdicts [data-verdict=redraw]")
    page.keyboard.press(" ")  # the button lets go: space switches outlines
    assert (chips(page), page.is_visible("#lines")) == (["D", "", "", ""], False)
    page.click('#cases .name >> text="d"')
    assert case(page) == "d"
    page.click("#undo")
    assert (case(page), chips(page)) == ("a", ["", "", "", ""])


def test_hostile_names_are_shown_and_never_run(opened: Opener, tmp_path: Path) -> None:
    out = overlapping(tmp_path, ("lung", HOSTILE_FILE), f"{HOSTILE_FILE}a")
    for name in ("cases.jsonl", "findings.jsonl"):
        row = json.loads((out / name).read_text()) | {"reason": HOSTILE, "annotator": HOSTILE}
        (out / name).write_text(json.dumps(row) + "\n")
    facts = json.loads((out / "audit.json").read_text())
    facts |= {"warnings": [HOSTILE], "bias": [{"reason": HOSTILE}], "id": HOSTILE, "version": HOSTILE}
    (out / "audit.json").write_text(json.dumps(facts))
    page = opened(write_review(out))
    press(page, "xi")
    assert (case(page), page.inner_text("#reason")) == (f"{HOSTILE_FILE}a", HOSTILE)
    assert page.inner_text("#about").count(HOSTILE) == 4
    assert HOSTILE_FILE in page.inner_text("#by-class")
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert page.locator("script:not([type])").count() == 1
    page.keyboard.press("Escape")
    press(page, "s")
    content = downloaded(page, tmp_path / "v.json")
    assert content["verdicts"][0]["case"] == f"{HOSTILE_FILE}a"
    apply_review(out, tmp_path / "v.json", out=tmp_path / "final")


def test_an_inline_script_that_slipped_in_would_not_run(browser: Any, tmp_path: Path) -> None:
    path = write_review(flat(tmp_path))
    slipped = "</main><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
    path.write_text(path.read_text().replace("</main>", slipped))
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(path.as_uri())
    assert page.evaluate("window.hacked") is None
    assert sum("Content Security Policy" in text for text in said) >= 2
    page.close()


def test_a_case_that_cannot_be_read_says_why_and_can_be_decided(opened: Opener, tmp_path: Path) -> None:
    out = flat(tmp_path)
    (tmp_path / "data" / "images" / "a.png").unlink()
    (tmp_path / "data" / "labels" / "b.png").write_bytes(b"no picture")
    page = opened(write_review(out))
    assert "a.png does not exist" in page.inner_text("#unseen")
    assert len(painted(page, "given")) == 2
    press(page, "j")
    assert "This case cannot be shown. b.png: this is not a PNG" in page.inner_text("#unseen")
    assert page.is_hidden("#stage")
    press(page, "wex+0d")
    assert (case(page), chips(page)[1]) == ("c", "D")
    assert page.is_hidden("#unseen")
    assert str(tmp_path) not in page.content()  # folders of the machine stay out of the page


def test_without_images_outlines_lie_on_grey(opened: Opener, tmp_path: Path) -> None:
    out = flat(tmp_path)
    rows = [json.loads(line) | {"image": None} for line in (out / "cases.jsonl").read_text().splitlines()]
    (out / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = opened(write_review(out))
    assert len(painted(page, "given")) == 2
    assert colours(page)["given"] > 0


def a_large_case() -> dict[str, Any]:
    """512 x 512 pixels with a picture, two classes of some thousand corners, and a proposal."""
    grid = Grid((512, 512), (0.7, 0.7))
    noise = gaussian_filter(np.random.default_rng(0).normal(size=grid.shape), 16)
    noise /= noise.std()
    given, better = ((noise > level).astype(np.uint8) + (noise > 1.5) for level in (0.5, 0.6))
    shown = [LabelMap(array, grid, ("heart", "lung")) for array in (given, better)]
    block = case_block(
        Shown(*shown, Image(noise[None].astype(np.float32), grid)), [((9, 99), (9, 99))], Limits()
    )
    assert len(json.dumps(block)) > 50_000
    return block


def test_a_thousand_cases_react_at_once_and_are_decoded_one_by_one(opened: Opener, tmp_path: Path) -> None:
    block, names = a_large_case(), [f"case_{i:04d}" for i in range(1000)]
    rows = [case_row(name, i, proposal=["proposals/x.png"]) for i, name in enumerate(names, start=1)]
    found = [finding(name, 1, "outline", "lung", "too far out", box=[[9, 99]] * 2) for name in names]
    audit = read_audit(write_audit(tmp_path / "audit", tmp_path / "labels", rows, found))
    path = tmp_path / "audit" / "report.html"
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(render_review(audit, (block for _ in names)))
    count = "const real = JSON.parse; window.parses = 0; JSON.parse = (...a) => (window.parses++, real(...a))"
    page = opened(path, count)
    page.wait_for_timeout(200)
    assert page.evaluate("window.parses") <= 4  # the index, what was kept, this case, the next one
    for keys in ("j", "as", "x", "+"):
        times, loops = map(statistics.median, page.evaluate(LAG, [list(keys), 15]))
        assert times < 100 * max(1, loops / LOOP_MS), (keys, times, loops)  # a busy machine is allowed for
    assert int(page.inner_text("#done")) == 15


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    out = flat(tmp_path)
    (out / "report.html").write_text("old")
    (out / ".part-report.html").mkdir()
    with pytest.raises(OutputError):
        write_review(out)
    assert (out / "report.html").read_text() == "old"


def test_progress_counts_all_cases(tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []
    write_review(flat(tmp_path), progress=lambda tick: seen.append((tick.text, tick.total)))
    assert seen == [("a", 4), ("b", 4), ("c", 4), ("d", 4)]


def test_the_policy_of_the_page_lets_nothing_in(tmp_path: Path) -> None:
    text = write_review(flat(tmp_path)).read_text()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert re.fullmatch(
        r"default-src 'none'; img-src data:; style-src 'sha256-[\w+/]{43}='; "
        r"script-src 'sha256-[\w+/]{43}='; base-uri 'none'; form-action 'none'",
        policy,
    )
    assert not re.findall(r"(?:src|href)=", re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL))
