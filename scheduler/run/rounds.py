"""Rounds of a first run: which nodes try the functions that were never seen, and which wait for what that tells."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.plan.placement import Estimate


def deferred(
    flow: Dataflow, estimate: Estimate, done: frozenset[int], probes: int, many: Collection[Any]
) -> frozenset[int]:
    """The nodes of later rounds: all but the first few calls of each unseen function, and what these wait for.

    many: the functions that have so many calls that it pays to try some first. The first calls of a function run beside
    each other: one that waits for another is of a later round. What alone takes a first call's value goes on with it,
    so that the value, which may be large, stays where it is made. Once every function is seen there are none.
    """
    tried: dict[Any, int] = {}
    chosen: dict[int, frozenset] = {}
    lacking: set[int] = set()
    waiting: set[int] = set()
    after, ops, kernels, outputs = flow.after, flow.ops, flow.kernels, flow.outputs
    uses = flow.uses()
    unseen = False

    def goes_on(node: int) -> frozenset | None:
        """The functions before a node in the chain from a first call that it goes on with; None for none."""
        values = lacking.intersection(flow.inputs[node])
        makers = {flow.producer[v] for v in values}
        if len(makers) == 1 and node not in after and all([uses[v] == 1 for v in values]):
            return chosen.get(makers.pop())
        return None

    for node, (inputs, seconds) in enumerate(zip(flow.inputs, estimate.seconds, strict=True)):
        if node in done:
            continue
        kernel, before = kernels[node], frozenset()
        blocked = not lacking.isdisjoint(inputs) or (after and not waiting.isdisjoint(after.get(node, ())))
        if blocked:
            before = goes_on(node)
        if seconds is None and kernel in many:
            unseen = True
            count = tried.get(kernel, 0)
            if before is not None and count < probes and kernel not in before:
                tried[kernel] = count + 1
                chosen[node] = before | {kernel}
            blocked = True
        elif blocked and before is not None:
            chosen[node] = before
        if blocked:
            lacking.update(outputs[node])
            waiting.add(node)
    if not unseen:
        return frozenset()
    now = set(done)
    stack = list(chosen)
    while stack:
        node = stack.pop()
        if node not in now:
            now.add(node)
            stack += [flow.producer[v] for v in flow.inputs[node] if flow.producer[v] >= 0]
            stack += after.get(node, ())
    return frozenset([node for node in range(len(ops)) if node not in now])
