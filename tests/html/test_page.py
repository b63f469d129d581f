"""What may stand in a page although others wrote it."""

from __future__ import annotations

import json

import pytest
from jinja2 import UndefinedError

from labelmend.html.page import csp_hash, json_block, templates

HOSTILE = "</script><!--<script>&\u2028\"'"


def test_a_block_holds_no_letter_that_html_reads() -> None:
    assert not set("<>&\u2028") & set(str(json_block({HOSTILE: [HOSTILE]})))


def test_a_block_reads_back_as_what_was_put_in() -> None:
    content = {HOSTILE: [1, 0.5, None, "grün"], "path": ["a", "b"]}
    assert json.loads(json_block(content)) == content


def test_a_number_that_json_does_not_know_becomes_null() -> None:
    assert json_block([float("nan"), float("inf")]) == "[null,null]"


def test_another_script_has_another_hash() -> None:
    assert csp_hash("a") != csp_hash("b")


def test_templates_escape_names_and_refuse_a_value_that_is_not_there() -> None:
    pages = templates("labelmend.workflows.training", shout=str.upper)
    assert pages.from_string("{{ name | shout }}").render(name="<b>") == "&lt;B&gt;"
    with pytest.raises(UndefinedError, match="'name' is undefined"):
        pages.from_string("{{ name }}").render()
    assert "report.html.jinja" in pages.list_templates()
