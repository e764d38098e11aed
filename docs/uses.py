"""Where each public name is used: in the blocks of the docs, in an example program, or in a test. All of these run.

use       a line of such a program: where it stands, and its text
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"```python[^\n]*\n(.*?)```", re.DOTALL)
_SHORT = 100
"""Most characters of a line that is shown."""


class Use(NamedTuple):
    """A line that uses a name."""

    path: str
    text: str


@functools.cache
def uses() -> dict[str, Use]:
    """{name, such as `train.Saver`: its use}, from the docs if they have one, else an example, else a test."""
    found: dict[str, Use] = {}
    for path, source in _programs():
        lines = source.splitlines()
        for name, line in _used(ast.parse(source)):
            known = found.get(name)
            text = lines[line - 1].strip()
            if known is None or (len(known.text) > _SHORT and known.path == path):
                found[name] = Use(path, text)
    return found


def use_of(names: Iterable[str]) -> Use | None:
    """The first use of a thing, by any of its names; None if there is none."""
    known = [use for name in names if (use := uses().get(name.removeprefix("weftwork."))) is not None]
    return min(known, key=lambda use: len(use.text) > _SHORT, default=None)


def _programs() -> Iterator[tuple[str, str]]:
    """(path, source) of all programs that use the library: pages, then examples, then tests."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"), key=lambda page: page.stem == "one_liners")]
    for page in pages:
        yield page.relative_to(ROOT).as_posix(), "\n".join(_BLOCK.findall(page.read_text()))
    for folder in ("examples", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text()


def _used(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """(name, line) of whatever a program takes from the library, also by a shorter name that it gives to a module."""
    modules = {name: "" for name in ("tf", "wf", "weftwork")}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            modules.update(_renamed(node, modules))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (name := _dotted(node, modules)):
            yield name, node.lineno


def _renamed(node: ast.Assign, modules: dict[str, str]) -> dict[str, str]:
    """{name: module} for `linalg = tf.linalg`, and for several of them in one line."""
    target, value = node.targets[0], node.value
    several = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
    pairs = zip(target.elts, value.elts, strict=False) if several else [(target, value)]  # type: ignore[union-attr]
    found = {one.id: _dotted(other, modules) for one, other in pairs if isinstance(one, ast.Name)}
    return {name: module for name, module in found.items() if module}


def _dotted(node: ast.AST, modules: dict[str, str]) -> str:
    """The name in the library that an expression stands for; "" if it is none."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not parts or not isinstance(node, ast.Name) or node.id not in modules:
        return ""
    return ".".join([part for part in (modules[node.id], *reversed(parts)) if part])
