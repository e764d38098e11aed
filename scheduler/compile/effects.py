"""Effects: which nodes of a dataflow must run in the caller, one after another, for the state that they share.

A function that writes captured or global state runs in the caller, in creation order; and so does one of the same run
that reads what another writes: so all see what they would in a plain program. What asks for a process of its own, or
for resources, is not among them: what it writes is lost with its call.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from weftwork.actors.programs.control import Control
from weftwork.graph.captured import SURROUNDINGS
from weftwork.graph.function import UserFunction
from weftwork.graph.seeded import Seeded
from weftwork.scheduler.compile.dataflow import Dataflow, take_turns


def functions_of(kernels: Iterable[Any]) -> tuple[UserFunction, ...]:
    """The users' functions that some kernels call, each once; those of branches and loops too."""
    found: dict[UserFunction, None] = {}
    for kernel in dict.fromkeys(kernels):
        if isinstance(kernel, Seeded):
            kernel = kernel.kernel
        if isinstance(kernel, UserFunction):
            found[kernel] = None
        elif isinstance(kernel, Control):
            found.update(dict.fromkeys(kernel.functions))
    return tuple(found)


def bound_together(functions: Iterable[UserFunction]) -> frozenset[UserFunction]:
    """Of some functions those that write state, and those that read what another of them writes."""
    every = list(functions)
    written = frozenset().union(*[function.captured.writes for function in every])
    if not written:
        return frozenset()
    if SURROUNDINGS in written:  # which any may look at
        return frozenset(every)
    return frozenset([f for f in every if f.captured.writes or not written.isdisjoint(f.captured.reads)])


def needs_one_thread(flow: Dataflow) -> bool:
    """True where functions share the generators of their process, or look at the thread that they run in."""
    return any([function.captured.main or function.captured.draws for function in flow.functions])


def settle_effects(flow: Dataflow) -> None:
    """Find `flow.functions` and `flow.here`, and let the nodes that share state wait for each other."""
    flow.functions = functions_of(flow.kernels)
    flow.here = frozenset([node for node, op in enumerate(flow.ops) if op.traits.here])
    bound = bound_together(flow.functions)
    if not bound:
        return
    nodes = [n for n, k in enumerate(flow.kernels) if n not in flow.needs and not bound.isdisjoint(functions_of([k]))]
    flow.here |= frozenset(nodes)
    take_turns(flow, nodes)
