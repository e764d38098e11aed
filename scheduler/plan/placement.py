"""Placement: where each node runs. In the caller, in the actor that holds its variables, or as a Ray task.

Nodes are placed by their known costs. A user function that was never seen is tried in a worker, not in the caller.
Nodes that ask for resources, isolation or a time limit always go to a worker.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from weftwork.actors.programs.sizes import size_of
from weftwork.graph.cores import usable_cores
from weftwork.graph.operation import WRITES, Kind
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.needs import is_free
from weftwork.scheduler.plan.cost import COSTS, Costs, shape_bytes
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.policy import (
    PARALLEL_GAIN,
    REMOTE_BYTES,
    SHARING_A_NODE,
    SHARING_ONCE,
    UNKNOWN_BYTES,
    WORTH_A_JOURNEY,
    WORTH_A_TASK,
    WORTH_SHARING_NOW,
    WORTH_SHARING_ONCE,
)


class Place(enum.Enum):
    """A kind of place in which segments run."""

    CALLER = "caller"
    THREAD = "thread"
    ACTOR = "actor"
    TASK = "task"
    RESIDENT = "resident"
    DYNAMIC = "dynamic"
    """Local workers, or tasks on several machines, which are given ready nodes as the run goes on."""
    QUEUE = "queue"
    """A queue of the session, in the caller. Waiting in it takes no thread."""
    LOOP = "loop"
    """The program's event loop, where coroutines wait without a thread. A plain function with limits gets its own
    thread."""
    NESTED = "nested"
    """A thread of the caller that runs a branch or a loop, whose bodies are runs planned separately."""

    __hash__ = object.__hash__  # faster: the hash of Enum is a Python function


_HERE = (Place.CALLER, Place.QUEUE, Place.LOOP, Place.NESTED)
"""Places whose outputs stay in the caller's memory."""


def worth_sharing_once(seconds: float, nodes: int, are_up: bool) -> bool:
    """Whether work of these seconds and nodes is worth sharing among processes, even if it is done only once.

    are_up: whether the processes have started.
    """
    if seconds < (WORTH_SHARING_NOW if are_up else WORTH_SHARING_ONCE):
        return False
    return seconds >= PARALLEL_GAIN * (seconds / max(2, usable_cores()) + SHARING_A_NODE * nodes + SHARING_ONCE)


class Estimate:
    """Predicted seconds of each node and bytes of each value; seconds are None for a function that was never seen.

    A node's own history takes precedence over its function's records for inputs of that size.
    """

    @property
    def complete(self) -> bool:
        """True if every function has been measured."""
        return None not in self.seconds

    def __init__(self, flow: Dataflow, known_bytes: Mapping[int, int | None], costs: Costs = COSTS):
        self.seconds: list[float | None] = []
        self.bytes: list[float] = [64.0] * len(flow.producer)
        for tensor, value in flow.feeds.items():
            self.bytes[value] = shape_bytes(tensor) or 64
        for name, value in (*flow.pinned.items(), *flow.newest.items()):
            self.bytes[value] = shape_bytes(flow.variables[name].outputs[0]) or 64
        for value, constant in flow.constants.items():
            self.bytes[value] = size_of(constant)
        for value, size in known_bytes.items():
            if size is not None:
                self.bytes[value] = size
        sizes = self.bytes
        known: dict = {}  # cached, because most nodes of a large graph are alike
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
            mine = history.of(flow.ops[node], taken) if history is not None else None
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

    forced: the session's `placement`: "auto", one place for all nodes, or "mixed" (spread over all three, for tests).
    remote: values stored outside the caller.   slots: CPUs for tasks.   machines: their number in the cluster.
    nested: the branches and loops that run nested.
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
    """The place that a node's kind and need require: the actor at its home for a GPU or state, else a task."""
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
    """The place for a node considered by itself; None for a task if anything can run beside it.

    A function that was never called is tried in a task, unless the cluster has no CPU for tasks.
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
    """Total work divided by the longest path: the number of slots that could be kept busy."""
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
    """Turn cheap nodes into tasks if they alone read a task's large output, so that it need not leave the task."""
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
    """Turn cheap nodes into tasks if their large inputs may be on another machine: Ray runs a task near its inputs.

    On one machine the caller reads a task's outputs without a copy.
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
    """Move writes to the variables' actor if their old version or a large input is stored outside the caller.

    Library nodes between such an input and the write move too, so that the large value goes there directly.
    """
    away = set(remote)
    toward = _only_toward_writes(flow)
    for node in range(len(flow.ops)):
        if node in toward and places[node] is Place.CALLER and any([v in away for v in flow.inputs[node]]):
            places[node] = Place.ACTOR
        if places[node] not in _HERE:
            away.update([v for v in flow.outputs[node] if estimate.bytes[v] > REMOTE_BYTES])


def _only_toward_writes(flow: Dataflow) -> set[int]:
    """The writes, and the pure library nodes whose outputs only the writes read."""
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
    if HISTORY.stays(flow.kernels[node]):
        return Place.CALLER
    if COSTS.blocks(flow.kernels[node]):
        return Place.TASK
    whole = (Place.RESIDENT.value, Place.THREAD.value, Place.DYNAMIC.value)  # planned as a whole
    return Place.CALLER if forced in whole else Place(forced)


def scattered(number: int, ways: int) -> int:
    """A number from 0 to `ways` - 1, by a hash of `number`."""
    return (number * 2654435761 >> 7) % ways


def stateful(kind: Kind) -> bool:
    """True for nodes that read or change a variable."""
    return kind in WRITES or kind is Kind.PEEK
