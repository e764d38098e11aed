"""Readers and writers of control flow that a program makes by hand, outside of the branches and loops of a GraphDef."""

from __future__ import annotations

from typing import Any

from weftwork.graph.interchange.given import Given, reads
from weftwork.graph.interchange.nodes import Part
from weftwork.graph.interchange.writing import Node, writes
from weftwork.graph.ops import dead


@reads("Switch", "RefSwitch")
def _switch(given: Given) -> Any:
    return list(dead.switch(*given.inputs, name=given.name))


@reads("Merge", "RefMerge")
def _merge(given: Given) -> Any:
    return list(dead.merge(given.inputs, name=given.name))


@reads("RefSelect")
def _select(given: Given) -> Any:
    return dead.ref_select(given.inputs[0], given.inputs[1:], name=given.name)


@reads("Exit", "RefExit", "NextIteration", "RefNextIteration", "RefIdentity", "LoopCond")
def _passed(given: Given) -> Any:
    """Without a back edge there is no loop: the value is passed on."""
    return dead.passed(given.type, given.inputs[0], name=given.name)


@reads("Enter", "RefEnter")
def _enter(given: Given) -> Any:
    return dead.enter(given.type, given.inputs[0], {key: given[key] for key in _FRAME}, name=given.name)


@writes("Enter", "RefEnter")
def _written(node: Node) -> tuple[list[Part], dict[str, Any]]:
    return node.inputs(), dict(node.attrs)


_FRAME = ("frame_name", "is_constant", "parallel_iterations")
