"""The review page, and the decisions a reviewer makes on it."""
