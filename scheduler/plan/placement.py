"""Where each node runs: in the caller, in the actor that holds its variables, or as a Ray task.

Nodes are placed by what they cost, as far as the history knows. A user's function that was never seen is tried in a
worker, not in the caller. What asks for resources, isolation or a time limit goes to a worker always.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from weftwork.graph.operation import WRITES, Kind
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.needs import is_free
from weftwork.scheduler.plan.cost import COSTS, Costs, shape_bytes
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.policy import (
    PARALLEL_GAIN,
    REMOTE_BYTES,
    UNKNOWN_BYTES,
    WORTH_A_JOURNEY,
    WORTH_A_TASK,
    WORTH_PLANNING_ONCE,
    WORTH_SHARING_ONCE,
)


class Place(enum.Enum):
    """A kind of place that runs segments."""

    CALLER = "caller"
    THREAD = "thread"
    ACTOR = "actor"
    TASK = "task"
    RESIDENT = "resident"
    DYNAMIC = "dynamic"
    """Local workers, to which ready nodes are given while the run goes on."""
    QUEUE = "queue"
    """Where the session's queues are: in the caller, and waiting there takes no thread."""
    LOOP = "loop"
    """The program's event loop, where coroutines wait without a thread; what takes limits has a thread of its own."""
    NESTED = "nested"
    """A thread of the caller, where the bodies of a branch or a loop are runs that are planned by themselves."""

    __hash__ = object.__hash__  # an Enum's own is a Python function


_HERE = (Place.CALLER, Place.QUEUE, Place.LOOP, Place.NESTED)
"""Places whose values lie in the caller."""


def worth_sharing_once(seconds: float, nodes: int) -> bool:
    """Whether work of so many seconds and nodes is worth sharing out among processes though it is done once."""
    return seconds >= max(WORTH_SHARING_ONCE, WORTH_PLANNING_ONCE * nodes)


class Estimate:
    """Predicted seconds of each node and bytes of each value; None seconds for a function that was never seen.

    A node's own history counts first, then its function's on inputs of that size.
    """

    @property
    def complete(self) -> bool:
        """True when every function has been seen."""
        return None not in self.seconds

    def __init__(self, flow: Dataflow, known_bytes: Mapping[int, int | None], costs: Costs = COSTS):
        self.seconds: list[float | None] = []
        self.bytes: list[float] = [64.0] * len(flow.producer)
        for tensor, value in flow.feeds.items():
            self.bytes[value] = shape_bytes(tensor) or 64
        for name, value in (*flow.pinned.items(), *flow.newest.items()):
            self.bytes[value] = shape_bytes(flow.variables[name].outputs[0]) or 64
        for value, constant in flow.constants.items():
            self.bytes[value] = getattr(constant, "nbytes", 64)
        for value, size in known_bytes.items():
            if size is not None:
                self.bytes[value] = size
        sizes = self.bytes
        known: dict = {}  # most nodes of a large graph are alike
        history = HISTORY if costs is COSTS and HISTORY.has_nodes else None
        for node, inputs in enumerate(flow.inputs):
            kernel = flow.kernels[node]
            taken = 0.0
            for value in inputs:
                taken += sizes[value]
            try:
                record = known[kernel, taken]
            except KeyError:
                record = known[kernel, taken] = costs.find(kernel, taken) if kernel is not None else None
            mine = history.of(flow.ops[node]) if history is not None else None
            best = record if mine is None or record is None else mine
            self.seconds.append(0.0 if kernel is None else None if best is None else best.seconds)
            for value, tensor in zip(flow.outputs[node], flow.ops[node].outputs, strict=False):
                size = shape_bytes(tensor)
                if size is None:
                    size = record.bytes if record is not None else UNKNOWN_BYTES
                sizes[value] = size
        for value, tensor in flow.extra.items():
            sizes[value] = shape_bytes(tensor) or UNKNOWN_BYTES


def place(
    flow: Dataflow,
    estimate: Estimate,
    forced: str,
    remote: set[int],
    slots: int,
    machines: int = 1,
    nested: frozenset[int] = frozenset(),
) -> list[Place]:
    """The place of every node.

    forced: the session's `placement`: "auto", or one place for all, or "mixed" (spread over all three, for tests).
    remote: values that do not lie in the caller.   slots: CPUs that tasks may use.   machines: of the cluster.
    nested: branches and loops that are to run nested.
    """
    if forced != "auto":
        return [_forced(flow, node, forced) for node in range(len(flow.ops))]
    here = Place.CALLER
    if is_free(flow) and all([s is not None and s < WORTH_A_TASK for s in estimate.seconds]):
        places: list[Place | None] = [here] * len(flow.ops)
    else:
        places = [_alone(flow, estimate, node, slots) for node in range(len(flow.ops))]
    if slots > 1 and any(p is None for p in places) and _gain(flow, estimate) >= PARALLEL_GAIN:
        chosen = [Place.TASK if p is None else p for p in places]
    else:
        chosen = [Place.CALLER if p is None else p for p in places]
    for node in nested:
        chosen[node] = Place.NESTED
    if Place.TASK in chosen:
        _end_in_tasks(flow, estimate, chosen)
    if machines > 1:
        _follow_large(flow, estimate, chosen, remote)
    if flow.writes:
        _keep_with_state(flow, estimate, chosen, remote)
    return chosen


def place_needed(flow: Dataflow, node: int) -> Place | None:
    """The place that a node's nature and needs leave it: the actor at its home for a GPU or state, else a task."""
    if flow.ops[node].kind is Kind.QUEUE:
        return Place.QUEUE
    if node in flow.waiting:
        return Place.NESTED
    if node in flow.awaited:
        return Place.LOOP
    if flow.is_here(node):
        return Place.CALLER
    need = flow.needs.get(node)
    if need is None:
        return None
    if need.home.gpu is not None or (need.home.machine and flow.ops[node].kind in WRITES):
        return Place.ACTOR
    return Place.TASK


def _alone(flow: Dataflow, estimate: Estimate, node: int, slots: int) -> Place | None:
    """The place that a node's own nature asks for; None: a task if anything can run beside it.

    A function that was never called is tried in a task, unless the cluster has no CPU for any.
    """
    op = flow.ops[node]
    needed = place_needed(flow, node)
    if needed is not None:
        return needed
    if HISTORY.stays(flow.kernels[node]):
        return Place.CALLER
    seconds = estimate.seconds[node]
    if seconds is None:
        return Place.TASK if op.traits.user and slots else Place.CALLER
    return None if seconds >= WORTH_A_TASK and op.kind not in WRITES else Place.CALLER


def _gain(flow: Dataflow, estimate: Estimate) -> float:
    """Total work over the longest path: how many slots could be kept busy."""
    ends: list[float] = [0.0] * len(flow.producer)
    done: list[float] = []
    total = 0.0
    for node, inputs in enumerate(flow.inputs):
        seconds = estimate.seconds[node]
        seconds = WORTH_A_TASK if seconds is None else seconds
        total += seconds
        start = max([ends[v] for v in inputs], default=0.0)
        for other in flow.after.get(node, ()):
            start = max(start, done[other])
        done.append(start + seconds)
        for value in flow.outputs[node]:
            ends[value] = done[-1]
    return total / max(done, default=0.0) if total else 1.0


def _end_in_tasks(flow: Dataflow, estimate: Estimate, places: list[Place]) -> None:
    """Make tasks of cheap nodes that a task's large output is made for alone: then it need not leave that task."""
    uses = flow.uses()
    sizes = estimate.bytes
    for node, inputs in enumerate(flow.inputs):
        op = flow.ops[node]
        if places[node] is not Place.CALLER or op.kind in WRITES or flow.is_here(node):
            continue
        large = [v for v in inputs if sizes[v] > WORTH_A_JOURNEY and flow.producer[v] >= 0]
        if len(large) == 1 and uses[large[0]] == 1 and places[flow.producer[large[0]]] is Place.TASK:
            if sum([sizes[v] for v in flow.outputs[node]]) < 0.5 * sizes[large[0]]:
                places[node] = Place.TASK


def _follow_large(flow: Dataflow, estimate: Estimate, places: list[Place], remote: set[int]) -> None:
    """Make tasks of cheap nodes whose large inputs may lie on another machine: Ray runs a task where most of them lie.

    On one machine the caller sees what a task made without a copy.
    """
    away = set(remote)
    sizes = estimate.bytes
    for node, inputs in enumerate(flow.inputs):
        made = sum([sizes[v] for v in flow.outputs[node]])
        op = flow.ops[node]
        if places[node] is Place.CALLER and op.kind not in WRITES and not flow.is_here(node):
            coming = sum([sizes[v] for v in inputs if v in away])
            if coming > WORTH_A_JOURNEY and made < 0.5 * coming:
                places[node] = Place.TASK
        if places[node] not in _HERE:
            away.update(flow.outputs[node])


def _keep_with_state(flow: Dataflow, estimate: Estimate, places: list[Place], remote: set[int]) -> None:
    """Put writes into the variables' actor when their old version or a large input does not lie in the caller.

    The library's nodes between such an input and the write go with it, so that what is large goes there by itself.
    """
    away = set(remote)
    toward = _only_toward_writes(flow)
    for node in range(len(flow.ops)):
        if node in toward and places[node] is Place.CALLER and any([v in away for v in flow.inputs[node]]):
            places[node] = Place.ACTOR
        if places[node] not in _HERE:
            away.update([v for v in flow.outputs[node] if estimate.bytes[v] > REMOTE_BYTES])


def _only_toward_writes(flow: Dataflow) -> set[int]:
    """The writes, and the library's pure nodes of which nobody but them takes the output."""
    toward: set[int] = set()
    others: set[int] = {v for v in flow.fetched if v is not None}
    for node in range(len(flow.ops) - 1, -1, -1):
        op = flow.ops[node]
        writes = op.kind in WRITES
        if writes or (op.kind is Kind.PURE and not op.traits.user and not others.intersection(flow.outputs[node])):
            toward.add(node)
        else:
            others.update(flow.inputs[node])
    return toward


def _forced(flow: Dataflow, node: int, forced: str) -> Place:
    op = flow.ops[node]
    needed = place_needed(flow, node)
    if needed is not None:
        return needed
    if forced == "mixed":
        return (Place.CALLER, Place.ACTOR, Place.TASK)[scattered(op.index, 3)]
    if COSTS.blocks(flow.kernels[node]):
        return Place.TASK
    whole = (Place.RESIDENT.value, Place.THREAD.value, Place.DYNAMIC.value)  # whole plans are made for these
    return Place.CALLER if forced in whole else Place(forced)


def scattered(number: int, ways: int) -> int:
    """A hash of a number: which of some ways it goes."""
    return (number * 2654435761 >> 7) % ways


def stateful(kind: Kind) -> bool:
    """True for nodes that look at or change a variable."""
    return kind in WRITES or kind is Kind.PEEK
