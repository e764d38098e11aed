"""Prints the largest files and functions: what has grown past what one can hold in mind."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Print the five largest files and functions of the product."""
    files, functions = [], []
    for folder in ("graph", "actors", "scheduler"):
        for path in (ROOT / folder).glob("*.py"):
            text = path.read_text()
            files.append((len(text.splitlines()), f"{folder}/{path.name}"))
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef):
                    size = (node.end_lineno or node.lineno) - node.lineno + 1
                    functions.append((size, f"{folder}/{path.name}:{node.lineno} {node.name}"))
    for title, found in (("files", files), ("functions", functions)):
        print(f"largest {title}:")
        for size, name in sorted(found, reverse=True)[:5]:
            print(f"  {size:5d}  {name}")


if __name__ == "__main__":
    main()
