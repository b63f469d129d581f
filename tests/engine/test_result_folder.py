"""Where results may go: a new or empty folder, one with earlier results, and never over what is read."""

import pytest

from labelmend.engine.result_folder import check_result_folder
from labelmend.errors import OutputError

OWN = ("found.json", "page.html")


def test_new_empty_and_earlier_folders_will_do(tmp_path):
    check_result_folder(None, OWN)
    check_result_folder(tmp_path / "new", OWN)
    check_result_folder(tmp_path, OWN)
    (tmp_path / "found.json").write_text("")
    (tmp_path / ".part-page.html").write_text("")
    check_result_folder(tmp_path, OWN)
    assert not (tmp_path / "new").exists()


def test_anything_else_is_told(tmp_path):
    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(OutputError, match=r"already holds thesis\.txt"):
        check_result_folder(tmp_path, OWN)
    with pytest.raises(OutputError, match=r"thesis\.txt is a file"):
        check_result_folder(tmp_path / "thesis.txt", OWN)


def test_results_never_lie_in_a_folder_or_over_a_file_that_is_read(tmp_path):
    with pytest.raises(OutputError, match="lies in the label folder"):
        check_result_folder(tmp_path / "deep" / "down", OWN, folders=[tmp_path])
    (tmp_path / "found.json").write_text("")
    with pytest.raises(OutputError, match=r"found\.json would be replaced"):
        check_result_folder(tmp_path, OWN, files=[tmp_path / "found.json"])
