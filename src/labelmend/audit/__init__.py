"""Reading a finished run: what was off, what changed, which cases to look at first. Nothing here trains."""

from labelmend.audit.figures import before_after
from labelmend.audit.report import write_report
from labelmend.audit.review_page import write_review
from labelmend.audit.seed_page import write_seed_page
from labelmend.audit.summary import RunSummary, read_summary
from labelmend.audit.transition import write_transition_page

__all__ = [
    "RunSummary",
    "before_after",
    "read_summary",
    "write_report",
    "write_review",
    "write_seed_page",
    "write_transition_page",
]
