from labelmend.workflows.training.results import RunResult, _case_row


def test_a_case_that_no_round_revised_counts_as_kept():
    row = _case_row("a", None, 2)
    assert (row["case"], row["version"], row["reason"]) == ("a", 0, "kept as given")
    assert row["added_vox"] == row["removed_vox"] == [0, 0]


def test_a_displacement_that_nobody_could_measure_is_null():
    note = {"version": 1, "case": "other", "displacement_mm": [float("nan"), None, -0.5, float("inf")]}
    row = _case_row("a", note, 4)
    assert (row["case"], row["displacement_mm"]) == ("a", [None, None, -0.5, None])


def test_a_run_shows_the_cases_with_most_changed_pixels_first(tmp_path):
    cases = [
        {
            "case": "a",
            "version": 0,
            "reason": "kept",
            "added_vox": {"x": 0},
            "removed_vox": {"x": 0},
        },
        {"case": "b", "version": 2, "reason": "moved", "added_vox": {"x": 3}, "removed_vox": {"x": 4}},
    ]
    result = RunResult(tmp_path, tmp_path / "labels", {"cases": cases, "notes": ["Mind the gap."]})
    assert repr(result).splitlines() == [
        f"1 of 2 cases corrected, run in {tmp_path}",
        "case  changed_vox  reason",
        "b     7            moved",
        "a     0            kept",
        "Mind the gap.",
    ]
