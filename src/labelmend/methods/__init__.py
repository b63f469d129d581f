"""Learning methods, one paper a file; `registry.METHODS` finds them by file name."""
