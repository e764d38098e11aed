"""Writes the first tutorial as a notebook: examples/pipelines/first_tutorial.ipynb.

python -m docs.notebook     after the tutorial has changed; a test compares them
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "tutorials" / "files_and_tables.md"
NOTEBOOK = ROOT / "examples" / "pipelines" / "first_tutorial.ipynb"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://)([^)]+)\)")


def notebook(text: str) -> str:
    """A page as a notebook, as JSON: blocks of Python become code cells, and the text between them text cells."""
    cells: list[dict[str, Any]] = []
    for number, part in enumerate(BLOCK.split(text)):  # text and code take turns
        lines = LINK.sub(r"](../../docs/tutorials/\1)", part).strip().splitlines(keepends=True)
        if number % 2:
            code = {"cell_type": "code", "execution_count": None, "outputs": []}
            cells.append({**code, "id": f"cell-{number}", "metadata": {}, "source": lines})
        elif lines:
            cells.append({"cell_type": "markdown", "id": f"cell-{number}", "metadata": {}, "source": lines})
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"


if __name__ == "__main__":
    NOTEBOOK.write_text(notebook(PAGE.read_text()))
