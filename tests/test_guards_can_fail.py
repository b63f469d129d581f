"""A guard that cannot fail guards nothing: each is shown a copy of the tree with a violation in it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from test_exported_members import listed, wrong_lists
from test_layers import (
    TORCH_FREE,
    broken_contracts,
    crowded_folders,
    loads_torch,
    methods_that_know_files_or_loops,
    names_twice,
    run_python,
    uses_of_the_public_face,
)
from test_tree_mirror import homeless_tests, untested_modules

ROOT = Path(__file__).resolve().parents[1]

BAD_METHODS = {
    "changes_inputs": """
        def revise(self, state, cases, clean):
            return state, (self.spoiled(predicted) for predicted in cases)

        def spoiled(self, predicted):
            predicted.probs[:] = 0
            return revision(predicted, predicted.given.masks(), "the probabilities are gone")
    """,
    "is_never_satisfied": """
        def revise(self, state, cases, clean):
            return state, (revision(p, np.zeros_like(p.given.masks()), "emptied") for p in cases)
    """,
    "throws_dice": """
        def step(self, state, batch, nets):
            loss, logits, state = super().step(state, batch, nets)
            return loss * float(np.random.default_rng().random()), logits, state
    """,
    "counts_what_is_ignored": """
        def step(self, state, batch, nets):
            from labelmend.losses import dice_ce_loss
            logits = nets[0](batch.image)
            return dice_ce_loss(logits, batch.target), logits, state
    """,
}
"""Methods that break one promise each; `forgets_its_paper`, below, breaks another."""

BROKEN_PROMISE = {
    "changes_inputs": "test_inputs_are_never_changed",
    "is_never_satisfied": "test_perfect_predictions_are_a_fixed_point",
    "throws_dice": "test_the_same_seed_gives_the_same_result",
    "counts_what_is_ignored": "test_a_batch_of_one_an_absent_class_and_an_all_ignored_batch_are_survived",
    "forgets_its_paper": "test_it_names_its_paper_and_documents_its_fields",
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of package and tests that may be spoiled."""
    for name in ("src/labelmend", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def plant(path: Path, text: str) -> None:
    """Add lines to the end of a file, or make it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((path.read_text() if path.exists() else "") + text)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_layer_guard_sees_io_import_a_job(copy):
    assert broken_contracts(copy) == ""
    plant(
        copy / "src/labelmend/io/images/png.py", "\n\ndef f():\n    import labelmend.workflows.simulation\n"
    )
    assert "labelmend.io is not allowed to import labelmend.workflows" in broken_contracts(copy)


def test_the_layer_guard_sees_siblings_import_each_other(copy):
    plant(copy / "src/labelmend/noise/base.py", "\nfrom labelmend.io import case_id\n")
    assert "labelmend.noise is not allowed to import labelmend.io" in broken_contracts(copy)


def test_the_layer_guard_sees_a_package_that_has_no_layer(copy):
    plant(copy / "src/labelmend/strays/__init__.py", "")
    assert "labelmend.strays" in broken_contracts(copy)


def test_the_layer_guard_sees_torch_where_it_has_no_business(copy):
    plant(copy / "src/labelmend/noise/presets.py", "\nimport torch\n")
    assert loads_torch(copy, TORCH_FREE) == "labelmend.noise"


def test_the_layer_guard_sees_a_method_open_files(copy):
    plant(copy / "src/labelmend/methods/plain.py", "\n\ndef f():\n    from labelmend.io import read_image\n")
    plant(copy / "src/labelmend/methods/base.py", "\nimport labelmend.workflows.training.loop\n")
    assert methods_that_know_files_or_loops(copy) == [
        "base.py: labelmend.workflows.training.loop",
        "plain.py: labelmend.io.read_image",
    ]


def test_the_layer_guard_sees_a_job_that_knows_another(copy):
    plant(
        copy / "src/labelmend/workflows/evaluation.py",
        "\n\ndef f():\n    import labelmend.workflows.correction.correct\n",
    )
    assert "Jobs do not know each other BROKEN" in broken_contracts(copy)


def test_the_layer_guard_sees_findings_open_files(copy):
    plant(
        copy / "src/labelmend/workflows/auditing/findings/finding.py", "\nfrom labelmend.io import checksum\n"
    )
    assert "Findings are arrays in, findings out BROKEN" in broken_contracts(copy)


def test_the_layer_guard_sees_a_crowded_folder_and_a_name_that_is_there_twice(copy):
    for number in range(20):
        plant(copy / f"src/labelmend/geometry/more_{number}.py", "")
    plant(copy / "src/labelmend/geometry/more_1.py", "\n\ndef dice():\n    pass\n")
    assert crowded_folders(copy) == ["geometry"]
    assert names_twice(copy) == {"dice": ["geometry/more_1.py", "metrics/overlap.py"]}


def test_the_layer_guard_sees_a_detour_through_the_root_package(copy):
    plant(
        copy / "src/labelmend/noise/base.py", "\nfrom labelmend import train\nfrom labelmend import types\n"
    )
    assert uses_of_the_public_face(copy) == ["noise/base.py: labelmend.train"]


def test_the_mirror_guard_sees_a_module_without_tests(copy):
    before = untested_modules(copy)
    plant(copy / "src/labelmend/geometry/volume.py", "")
    (copy / "tests/geometry/test_sdf.py").unlink()
    assert sorted({*untested_modules(copy)} - {*before}) == ["geometry/sdf.py", "geometry/volume.py"]


def test_the_mirror_guard_sees_tests_without_a_module(copy):
    before = homeless_tests(copy)
    plant(copy / "tests/geometry/test_volume.py", "")
    (copy / "src/labelmend/geometry/sdf.py").unlink()
    assert sorted({*homeless_tests(copy)} - {*before}) == ["geometry/test_sdf.py", "geometry/test_volume.py"]


def test_the_mirror_guard_sees_a_package_file_that_starts_to_do_something(copy):
    before = untested_modules(copy)
    plant(copy / "src/labelmend/noise/__init__.py", "\n\ndef f():\n    pass\n")
    assert {*untested_modules(copy)} - {*before} == {"noise/__init__.py"}


def test_the_guard_of_public_names_sees_one_that_is_not_there(copy):
    assert wrong_lists(copy) == []
    replace(copy / "src/labelmend/noise/__init__.py", '"markov_noise",', '"markov_noise",\n    "no_noise",')
    assert wrong_lists(copy) == ["noise lists no_noise, which is not there"]


def test_the_guard_of_public_names_sees_one_that_is_not_listed(copy):
    replace(copy / "src/labelmend/noise/__init__.py", '    "markov_noise",\n', "")
    assert wrong_lists(copy) == ["noise does not list markov_noise"]


def test_the_guard_of_public_names_sees_a_list_out_of_order(copy):
    init = copy / "src/labelmend/geometry/__init__.py"
    head = init.read_text().partition("__all__")[0]
    init.write_text(f"{head}__all__ = {listed(init)[::-1]}\n")
    assert wrong_lists(copy) == ["geometry lists its names out of order or twice"]


def test_the_guard_of_public_names_sees_a_lazy_name_that_leads_nowhere(copy):
    replace(
        copy / "src/labelmend/__init__.py",
        '"train": "workflows.training.train"',
        '"train": "workflows.training.config"',
    )
    assert wrong_lists(copy) == [
        "labelmend lists train, which is not in labelmend.workflows.training.config",
        "labelmend tells type checkers other names or modules than it loads",
    ]


def test_the_contract_sees_every_method_that_breaks_a_promise(copy):
    for name, body in BAD_METHODS.items():
        plant(copy / f"src/labelmend/methods/{name}.py", bad_method(body, "Paper: none."))
    plant(copy / "src/labelmend/methods/forgets_its_paper.py", bad_method("    pass", ""))
    chosen = " or ".join(BROKEN_PROMISE)
    done = run_python(copy, "-m", "pytest", "tests/methods/test_contract.py", "-rf", "-k", chosen)
    assert done.returncode == 1, done.stdout + done.stderr
    failed = set(re.findall(r"^FAILED \S+::(\w+)\[(?:.*-)?(\w+)\]", done.stdout, re.MULTILINE))
    assert {(test, method) for method, test in BROKEN_PROMISE.items()} <= failed, done.stdout
    assert {method for _, method in failed} == set(BROKEN_PROMISE)


def bad_method(body: str, paper: str) -> str:
    """A file of methods/ with one method."""
    return (
        "from dataclasses import dataclass\nimport numpy as np\n"
        "from labelmend.methods.base import Method, revision\n\n\n"
        f'@dataclass(frozen=True)\nclass Bad(Method):\n    """Breaks a promise. {paper}"""\n'
        f"{body.replace(chr(10) + '    ', chr(10))}\n"
    )
