"""Every example runs, in small, and shows what it says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SMALL: dict[str, dict[str, int]] = {
    "01_simulate_and_evaluate.py": {"n_cases": 3, "size": 48, "steps": 20},
    "02_train_and_correct.py": {"n_cases": 6, "size": 32, "epochs": 2, "n_trusted": 2},
    "03_pure_functions.py": {"n_annotators": 40},
    "04_own_training_loop.py": {"epochs": 25},
}


@pytest.fixture
def ran(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> tuple[Any, str]:
    """What the `main` of an example returns and prints."""
    returned = runpy.run_path(str(EXAMPLES / request.param))["main"](**SMALL[request.param])
    return returned, capsys.readouterr().out


def numbers(text: str, before: str) -> list[float]:
    return [float(number) for number in re.findall(rf"{before} ([-+]?\d+\.\d+)", text)]


def test_there_is_a_small_setting_for_every_example():
    assert sorted(SMALL) == sorted(path.name for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("name", SMALL)
def test_an_example_has_at_most_sixty_lines_and_says_how_to_run_it(name):
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert f"python examples/{name}" in text.split('"""')[1]


@pytest.mark.parametrize("ran", ["01_simulate_and_evaluate.py"], indirect=True)
def test_simulated_annotators_draw_too_large(ran):
    _, out = ran
    assert len(numbers(out, "Dice")) == 3
    assert all(0 < value < 1 for value in numbers(out, "Dice"))
    assert all(value < 0 for value in numbers(out, "bias"))


@pytest.mark.parametrize("ran", ["02_train_and_correct.py"], indirect=True)
def test_training_writes_corrected_labels_and_says_what_it_measured(ran):
    _, out = ran
    assert re.findall(r"^(\w+) +bias", out, re.MULTILINE) == ["clavicle", "heart", "lung"]
    assert len(numbers(out, "Dice to clean")) == 2
    assert "lung pixels in case05" in out


@pytest.mark.parametrize("ran", ["03_pure_functions.py"], indirect=True)
def test_one_clean_case_repairs_another(ran):
    corrected, out = ran
    as_drawn = numbers(out, "other case:")[0]
    assert as_drawn < 0.95
    assert corrected > 0.98


@pytest.mark.parametrize("ran", ["04_own_training_loop.py"], indirect=True)
def test_the_labels_of_your_own_loop_come_closer_to_the_truth(ran):
    _, out = ran
    (given, _), (_, revised) = zip(numbers(out, "given"), numbers(out, "revised"))
    assert given < 0.8 < 0.9 < revised
