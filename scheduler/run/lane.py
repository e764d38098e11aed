"""Lane: one core that a run is shared out to, and the batches of nodes that it has been given.

A lane has a local worker, or a thread of this process for nodes that release the GIL. It is given its next batch
shortly before it has done the last one, where measurements tell when that will be: then it never waits for a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from time import monotonic

from weftwork.actors.processes.local_worker import FLOWS
from weftwork.actors.programs.lru import Lru
from weftwork.scheduler.plan.policy import AHEAD_OF_A_LANE
from weftwork.scheduler.run.telling import HERE, Sent

_MOST_TOKENS = 2048
"""Kernels that a worker may keep; when there are more, it forgets them all."""


@dataclass(slots=True, eq=False)
class Batch:
    """Nodes that a lane runs one after another.

    seconds: their predicted seconds; None if one of them was never seen.   certain: measurements that agree with each
    other predict them.   in_thread: the lane's thread runs them, and not its worker.   sent: when and how they left.
    """

    nodes: list[int]
    seconds: float | None
    certain: bool = False
    in_thread: bool = False
    sent: Sent = HERE


class Lane:
    """What a lane has to do, and what its worker keeps. pid: the worker's process."""

    def __init__(self, pid: int = 0):
        self.pid = pid
        self.batches: dict[int, Batch] = {}
        self.held: set[int] = set()
        """Numbers of the run's values that the worker has."""
        self.dropped: list[int] = []
        """Values that it has and nobody needs: the next message says so."""
        self.tokens: set[int] = set()
        self.large = False
        """It holds a large value."""
        self.blocks: set[str] = set()
        self.known: set[str] = set()
        """Names of the surroundings that it has."""
        self.rows: Lru[str, set[int]] = Lru(FLOWS)
        """Rows that it keeps, by dataflow: the worker drops the same ones."""
        self.clear = False
        """It must forget kernels and rows before the next batch."""
        self.free_at = 0.0
        """When it will have done what it has, by `time.monotonic`, if predictions hold."""

    def begin(self) -> None:
        """A run begins: the worker holds no value of it."""
        self.batches, self.held, self.dropped, self.large = {}, set(), [], False
        if len(self.tokens) > _MOST_TOKENS:
            self.forget()

    def give(self, number: int, batch: Batch) -> None:
        """A batch is on its way to the lane."""
        now = monotonic()
        begins = max(now, self.free_at) if self.batches else now
        self.free_at = begins + (inf if batch.seconds is None else batch.seconds)
        self.batches[number] = batch

    def done(self, number: int) -> Batch:
        """A batch is done."""
        batch = self.batches.pop(number)
        self.free_at = monotonic() + sum([inf if b.seconds is None else b.seconds for b in self.batches.values()])
        return batch

    def drop(self, number: int) -> None:
        """Nobody needs a value any more: the worker is told with the next batch."""
        if number in self.held:
            self.held.discard(number)
            self.dropped.append(number)

    def forget(self) -> None:
        """The worker must be sent all kernels and rows anew."""
        self.tokens, self.blocks, self.known, self.rows, self.clear = set(), set(), set(), Lru(FLOWS), True

    def serves(self, in_thread: bool) -> bool:
        """Whether all that it has to do is done by its thread, or else by its worker."""
        return all([batch.in_thread is in_thread for batch in self.batches.values()])

    @property
    def room_at(self) -> float:
        """When it may be given the next batch, by `time.monotonic`: 0 for now, infinity once a batch is done."""
        if not self.batches:
            return 0.0
        seconds = [batch.seconds for batch in self.batches.values()]
        if None not in seconds and sum(seconds) < AHEAD_OF_A_LANE:  # type: ignore[arg-type]
            return 0.0
        (first, *more) = self.batches.values()
        return inf if more or not first.certain else self.free_at - AHEAD_OF_A_LANE


def with_room(lanes: Mapping[int, Lane], in_thread: bool) -> list[int]:
    """The lanes that may be given a batch for their threads, or else for their workers.

    A thread's batch does not wait for that of the lane's worker, nor the other way: the two would share the core.
    """
    now = monotonic()
    return [slot for slot, lane in lanes.items() if lane.room_at <= now and lane.serves(in_thread)]


def idlest(lanes: Mapping[int, Lane], free: Sequence[int], inputs: Sequence[int]) -> int:
    """The lane with the least to do of those with room: among equals, the one that holds most of a node's inputs."""
    if len(free) == 1:
        return free[0]
    return min(free, key=lambda slot: (len(lanes[slot].batches), -len(lanes[slot].held.intersection(inputs))))


def until_room(lanes: Iterable[Lane]) -> float | None:
    """Seconds until a lane has room although it has told nothing; None if only a message can tell."""
    soonest = min([lane.room_at for lane in lanes], default=inf)
    return None if soonest == inf else max(0.0, soonest - monotonic())
