"""Prints the largest files and functions, and fails when one has grown past what one can hold in mind."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LONGEST = {"file": 450, "function": 60, "line": 120}


def measured() -> dict[str, list[tuple[int, str]]]:
    """The lines of each file and function of the product, and the columns of each line, the largest first.

    Lines of the documentation count too, but for those of tables.
    """
    found: dict[str, list[tuple[int, str]]] = {kind: [] for kind in LONGEST}
    for folder in ("graph", "actors", "scheduler", "weftwork"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text, name = path.read_text(), path.relative_to(ROOT).as_posix()
            lines = text.splitlines()
            if name != "weftwork/__init__.py":  # a list of names
                found["file"].append((len(lines), name))
            found["line"] += [(len(line.split("  # type:")[0]), f"{name}:{i}") for i, line in enumerate(lines, 1)]
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    size = (node.end_lineno or node.lineno) - node.lineno + 1
                    found["function"].append((size, f"{name}:{node.lineno} {node.name}"))
    for path in sorted(path for path in ROOT.rglob("*.md") if not path.relative_to(ROOT).parts[0].startswith(".")):
        lines = enumerate(path.read_text().splitlines(), 1)
        name = path.relative_to(ROOT).as_posix()
        found["line"] += [(len(line), f"{name}:{i}") for i, line in lines if not line.startswith("|")]
    return {kind: sorted(items, reverse=True) for kind, items in found.items()}


def main() -> int:
    """Print the five largest of each kind; 1 when one is too large."""
    failed = 0
    for kind, items in measured().items():
        print(f"largest {kind}s (at most {LONGEST[kind]}):")
        for size, name in items[:5]:
            print(f"  {size:5d}  {name}{'   TOO LARGE' * (size > LONGEST[kind])}")
        failed |= items[0][0] > LONGEST[kind]
    return failed


if __name__ == "__main__":
    sys.exit(main())
