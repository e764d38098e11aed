"""The part of a graph that is in one name scope, as a GraphDef of its own.

unbound input   what a node of the scope takes from outside: in the GraphDef it has no maker, and a name that says so
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

UNBOUND = "$unbound_inputs_"


def within(graph_def: Any, scope: str) -> tuple[Any, list[str]]:
    """(the nodes of a scope under their names inside of it, the names of their unbound inputs)."""
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
    """Raise ValueError unless each unbound input is given."""
    missing = sorted(set(unbound) - set(given or ()))
    if missing:
        text = ",".join(missing)
        raise ValueError(f"Graph contains unbound inputs: {text}. Must provide these inputs through input_map.")
