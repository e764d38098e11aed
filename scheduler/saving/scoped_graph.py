"""The nodes of one name scope, as a GraphDef of their own.

unbound input   an input from outside the scope. In the GraphDef its name says so, and no node makes it
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

UNBOUND = "$unbound_inputs_"


def within(graph_def: Any, scope: str) -> tuple[Any, list[str]]:
    """The nodes of a scope with names relative to it, and the names of their unbound inputs."""
    start, made = f"{scope.rstrip('/')}/", type(graph_def)()
    made.versions.CopyFrom(graph_def.versions)
    unbound: dict[str, None] = {}
    for node in graph_def.node:
        if not node.name.startswith(start):
            continue
        kept = made.node.add()
        kept.CopyFrom(node)
        kept.name = node.name.removeprefix(start)
        del kept.input[:]
        for given in node.input:
            control, name = ("^", given[1:]) if given.startswith("^") else ("", given)
            inside = name.startswith(start)
            kept.input.append(control + (name.removeprefix(start) if inside else UNBOUND + name))
            if not inside:
                unbound[control + UNBOUND + name] = None
        if "_class" in kept.attr:
            groups = kept.attr["_class"].list.s
            groups[:] = [group.replace(b"loc:@" + start.encode(), b"loc:@") for group in groups]
    return made, list(unbound)


def check_bound(unbound: Iterable[str], given: Any) -> None:
    """Raise ValueError unless every unbound input is given."""
    missing = sorted(set(unbound) - set(given or ()))
    if missing:
        text = ",".join(missing)
        raise ValueError(f"Graph contains unbound inputs: {text}. Must provide these inputs through input_map.")
