"""Train on wrong labels, revise them, report."""
