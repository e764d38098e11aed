"""Effects: which nodes of a dataflow must run in the caller, one after another, because they share state.

A function that writes captured or global state runs in the caller, in creation order. So does every function of the
same run that reads what another one writes. Both see what they would see in a plain program. Nodes that ask for a
process of their own, or for resources, are exempt: what they write is lost with the call.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from weftwork.actors.programs.bodies import Control
from weftwork.graph import dtypes
from weftwork.graph.operation import Kind, Operation
from weftwork.graph.python.captured import is_watched
from weftwork.graph.python.captured_kinds import SURROUNDINGS, given
from weftwork.graph.python.seeded import Seeded, draws_of
from weftwork.graph.user_function import UserFunction
from weftwork.scheduler.compile.dataflow import Dataflow

_EFFECTS = frozenset({Kind.FUNCTION, Kind.CONTROL, Kind.QUEUE})
"""Kinds of nodes that may have side effects, so that others may have to wait for them."""


def has_effects(op: Operation) -> bool:
    """Whether an operation may have side effects."""
    return op.kind in _EFFECTS


def functions_of(kernels: Iterable[Any]) -> tuple[UserFunction, ...]:
    """The users' functions that kernels call, each once, including those inside branches and loops."""
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
    """The functions that write state, and those that read what another of the functions writes."""
    every = [function for function in functions if not function.unordered]
    if not any([function.captured.writes for function in every]):
        return frozenset()
    known: dict = {}
    for function in every:  # what bound them may be over: a debugger, a helper that has been replaced
        function.captured.look(known)
    written = frozenset().union(*[function.captured.writes for function in every])
    if SURROUNDINGS in written:  # any function may look at these
        return frozenset(every)
    return frozenset([f for f in every if f.captured.writes or not written.isdisjoint(f.captured.reads)])


def need_one_thread(functions: Iterable[UserFunction]) -> bool:
    """Whether a function uses the random generators of its process, or depends on the thread it runs in."""
    return any([function.captured.main or draws_of(function) for function in functions])


def settle_effects(flow: Dataflow) -> None:
    """Set `flow.functions`, `flow.here` and `flow.awaited`, and order the nodes that share state."""
    flow.functions = functions_of(flow.kernels)
    _share_classes(flow)
    flow.here = frozenset([node for node, op in enumerate(flow.ops) if op.traits.here])
    flow.awaited = frozenset([node for node, op in enumerate(flow.ops) if op.traits.awaited])
    flow.bound = bound = bound_together(flow.functions)
    flow.watched = is_watched()
    if not bound:
        return
    exempt = flow.needs.keys() | {node for node in flow.awaited if flow.ops[node].traits.waits}
    nodes = [n for n, k in enumerate(flow.kernels) if n not in exempt and not bound.isdisjoint(functions_of([k]))]
    flow.here |= frozenset(nodes)
    take_turns(flow, nodes)


def is_freed(flow: Dataflow) -> bool:
    """Whether functions that had to run in the caller, one after another, no longer have to."""
    return bound_together(flow.functions) < flow.bound


def _share_classes(flow: Dataflow) -> None:
    """Share classes along values.

    A node may call methods of the values that it reads, so their makers' classes are its captured state, too.
    """
    if not any([function.captured.classes for function in flow.functions]):
        return
    made: dict[int, dict[int, type]] = {}
    for node, inputs in enumerate(flow.inputs):
        came = {key: kind for value in inputs for key, kind in made.get(flow.producer[value], {}).items()}
        for function in functions_of([flow.kernels[node]]):
            function.captured.take(came.values())
            came.update([(id(kind), kind) for kind in function.captured.classes])
        if came:
            made[node] = came


def take_fed(flow: Dataflow, values: Sequence) -> None:
    """Treat fed functions, and the classes of fed objects, as captured state of the functions that take them."""
    for tensor, number in flow.feeds.items():
        parts = list(given([values[number]])) if tensor.dtype is dtypes.object else []
        if parts:
            takers = [flow.kernels[node] for node, inputs in enumerate(flow.inputs) if number in inputs]
            for function in functions_of(takers):
                function.captured.take(parts)


def in_turn(op: Operation) -> bool:
    """Whether an operation has effects in the caller's process, and so runs there in creation order."""
    return op.traits.here and op.kind in _EFFECTS


def take_turns(flow: Dataflow, nodes: Sequence[int]) -> None:
    """Make nodes, given in order, wait for each other, because of their effects.

    Only nodes that wait for a queue themselves wait for another such node, so that they cannot block each other for
    ever.
    """
    if len(nodes) < 2:
        return
    waiting = _behind_queues(flow)
    last: dict[bool, int] = {}
    for node in nodes:
        before = last.get(node in waiting)
        last[True] = node
        if node not in waiting:
            last[False] = node
        if before is not None:
            flow.wait_for(node, before)


def _behind_queues(flow: Dataflow) -> set[int]:
    """The nodes that wait for a queue, directly or through other nodes."""
    if not flow.queued:
        return set()
    found: set[int] = set()
    for node, op in enumerate(flow.ops):
        before = {flow.producer[value] for value in flow.inputs[node]}.union(flow.after.get(node, ()))
        if op.kind is Kind.QUEUE or node in flow.waiting or not before.isdisjoint(found):
            found.add(node)
    return found
