"""A hook of MkDocs that turns each notebook into a page; tests/test_notebooks.py runs them."""

from __future__ import annotations

import json
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

SOURCE = "https://github.com/labelmend/labelmend/blob/main/docs/notebooks"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook of docs/notebooks, and leave out what is no page."""
    for file in list(files):
        path = Path(file.src_uri)
        if path.suffix == ".ipynb":
            files.remove(file)
            page = as_markdown(Path(config.docs_dir) / path)
            files.append(File.generated(config, path.with_suffix(".md").as_posix(), content=page))
        elif path.suffix == ".py":
            files.remove(file)
    return files


def as_markdown(notebook: Path) -> str:
    """The cells of a notebook as Markdown, with a link to the file."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    parts = [
        text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
        for cell, text in zip(cells, texts, strict=True)
    ]
    return "\n\n".join([*parts, f"[Download this notebook]({SOURCE}/{notebook.name})"]) + "\n"
