"""What every job needs to run: the folder that it writes to, whole and by one process at a time."""
