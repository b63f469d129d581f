"""Programs as their authors released them, defects included, to compare with; one file per program."""
