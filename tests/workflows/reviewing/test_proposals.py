"""Proposals of classes in folders and of COCO files are checked like those of integer maps."""

from __future__ import annotations

import numpy as np
import pytest

from drawing import picture
from drawn_audit import overlapping
from labelmend.errors import DataError
from labelmend.workflows.auditing.audit_folder import open_given, read_audit
from labelmend.workflows.reviewing.proposals import check_proposals


def test_a_proposal_that_fits_passes(tmp_path):
    audit = read_audit(overlapping(tmp_path))
    check_proposals(audit, open_given(audit), ["a"])


def test_pixels_that_nobody_annotated_must_stay_so_in_their_own_folder_too(tmp_path):
    audit = read_audit(overlapping(tmp_path))
    picture(audit.folder / "proposals" / "ignore" / "a.png", np.zeros((12, 16), np.uint8))
    with pytest.raises(DataError, match="changes unannotated pixels"):
        check_proposals(audit, open_given(audit), ["a"])
