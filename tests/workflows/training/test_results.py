from labelmend.workflows.training.results import _case_row


def test_a_case_that_no_round_revised_counts_as_kept():
    row = _case_row("a", None, 2)
    assert (row["case"], row["version"], row["reason"]) == ("a", 0, "kept as given")
    assert row["added_vox"] == row["removed_vox"] == [0, 0]


def test_a_displacement_that_nobody_could_measure_is_null():
    note = {"version": 1, "case": "other", "displacement_mm": [float("nan"), None, -0.5, float("inf")]}
    row = _case_row("a", note, 4)
    assert (row["case"], row["displacement_mm"]) == ("a", [None, None, -0.5, None])
