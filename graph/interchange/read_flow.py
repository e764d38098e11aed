"""Readers of control flow that a program makes by hand, outside of the branches and loops of a GraphDef."""

from __future__ import annotations

from typing import Any

from weftwork.graph.interchange.given import Given, reads
from weftwork.graph.ops import dead


@reads("Switch", "RefSwitch")
def _switch(given: Given) -> Any:
    return list(dead.switch(*given.inputs, name=given.name))


@reads("Merge", "RefMerge")
def _merge(given: Given) -> Any:
    return list(dead.merge(given.inputs, name=given.name))


@reads("Enter", "RefEnter", "Exit", "RefExit", "NextIteration", "RefNextIteration", "LoopCond")
def _passed(given: Given) -> Any:
    """Without a back edge there is no loop: the value is passed on."""
    return dead.passed(given.type, given.inputs[0], name=given.name)
