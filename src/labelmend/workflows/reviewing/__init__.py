"""The review page, and what a person decided on it."""
