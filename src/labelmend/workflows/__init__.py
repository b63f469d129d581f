"""The jobs, a folder each; jobs do not import each other."""
