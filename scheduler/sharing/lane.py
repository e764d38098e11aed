"""Lane: one local worker that takes part in a shared-out run, with the batches of nodes that it has been given.

If measurements predict when it will finish a batch, it gets the next one shortly before, so it need not wait for a
message. While plenty of work is left that nobody waits for, it gets the next one at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import NamedTuple

from weftwork.actors.processes.batches import FLOWS
from weftwork.actors.programs.lru import Lru
from weftwork.scheduler.plan.policy import (
    AHEAD_OF_A_LANE,
    AHEAD_SHARE,
    CALLS_BEFORE_HERE,
    FEEDING,
    HOP,
    LONGEST_BATCH,
    LONGEST_FINAL_BATCH,
    ROUND_TRIP,
    SHORTEST_BATCH,
    SHORTEST_TASK,
    STABLE_SPREAD,
    TASK_CARE,
    TASK_HOP,
    TASK_ROUND_TRIP,
)
from weftwork.scheduler.run.telling import HERE, Sent

_MOST_TOKENS = 2048
"""Most kernels that a worker keeps. Beyond that, it forgets all of them."""


class Lengths(NamedTuple):
    """How long batches for one kind of lane are, in seconds.

    worth: less is not worth a message.   round_trip: from a batch to the next one that reads its values. Less is not
    split.   shortest, longest, final: see `SHORTEST_BATCH` and its neighbours in the policy.
    """

    worth: float
    round_trip: float
    shortest: float
    longest: float
    final: float


OF_WORKERS = Lengths(HOP, ROUND_TRIP, SHORTEST_BATCH, LONGEST_BATCH, LONGEST_FINAL_BATCH)


def of_tasks(lanes: int) -> Lengths:
    """The lengths of so many lanes of tasks: the more lanes, the longer, because one thread feeds them all."""
    times = max(SHORTEST_TASK, FEEDING * TASK_CARE * lanes) / SHORTEST_BATCH
    shortest, longest, final = [times * seconds for seconds in (SHORTEST_BATCH, LONGEST_BATCH, LONGEST_FINAL_BATCH)]
    return Lengths(TASK_HOP, TASK_ROUND_TRIP, shortest, longest, final)


@dataclass(slots=True, eq=False)
class Batch:
    """Nodes that a lane runs one after another.

    seconds: their predicted seconds; None if one of them was never seen.   variance: of these seconds.
    calls: on how many calls they rest, at least.   sent: when and how the nodes were sent.
    """

    nodes: list[int]
    seconds: float | None
    variance: float = inf
    calls: float = 0
    sent: Sent = HERE

    @property
    def certain(self) -> bool:
        """Whether the prediction is good."""
        return self.seconds is not None and is_certain(self.seconds, self.variance)

    def add(self, node: int, seconds: float | None, variance: float, calls: float) -> None:
        """Add a node with its predicted seconds. The variances of independent calls add up."""
        self.nodes.append(node)
        self.seconds = None if seconds is None or self.seconds is None else self.seconds + seconds
        self.variance += variance
        if calls < self.calls:
            self.calls = calls


def is_certain(seconds: float, variance: float, among: float = LONGEST_FINAL_BATCH) -> bool:
    """Whether a prediction of seconds with this variance is good, or that of `among` seconds of such nodes would be.

    A sum of many calls is known better than each of them: its variance grows as it does, not as its square.
    """
    return variance <= STABLE_SPREAD**2 * seconds * max(seconds, among)


class Lane:
    """The work of a lane, and what its worker keeps. pid: the worker's process."""

    def __init__(self, pid: int = 0):
        self.pid = pid
        self.batches: dict[int, Batch] = {}
        self.held: set[int] = set()
        """Numbers of the run's values that the worker holds."""
        self.dropped: list[int] = []
        """Values that it holds and nobody needs; the next message tells it to drop them."""
        self.tokens: set[int] = set()
        self.large = False
        """True if it holds a large value."""
        self.blocks: set[str] = set()
        self.known: set[str] = set()
        """Names of the surroundings that it was sent."""
        self.rows: Lru[str, set[int]] = Lru(FLOWS)
        """Rows that it keeps, by dataflow. The worker drops the same ones at the same time."""
        self.clear = False
        """True if it must forget kernels and rows before the next batch."""
        self.free_at = 0.0
        """The predicted end of its work, by `time.monotonic`."""

    def has(self, number: int, flow: str | None) -> bool:
        """Whether the worker has a value, or a constant of a dataflow."""
        if number in self.held:
            return True
        rows = self.rows.peek(flow) if flow else None  # no use: the worker, which drops the same ones, hears of none
        return rows is not None and ~number in rows

    def begin(self) -> None:
        """Begin a run, of which the worker holds no value yet."""
        self.batches, self.held, self.dropped, self.large = {}, set(), [], False
        if len(self.tokens) > _MOST_TOKENS:
            self.forget()

    def give(self, number: int, batch: Batch) -> None:
        """Note that a batch was sent to the lane."""
        now = monotonic()
        begins = max(now, self.free_at) if self.batches else now
        self.free_at = begins + (inf if batch.seconds is None else batch.seconds)
        self.batches[number] = batch

    def done(self, number: int) -> Batch:
        """Remove a finished batch."""
        batch = self.batches.pop(number)
        self.free_at = monotonic() + sum([inf if b.seconds is None else b.seconds for b in self.batches.values()])
        return batch

    def drop(self, number: int) -> None:
        """Make the worker drop a value that nobody needs, with the next batch."""
        if number in self.held:
            self.held.discard(number)
            self.dropped.append(number)

    def forget(self) -> None:
        """Send the worker all kernels and rows anew from now on."""
        self.tokens, self.blocks, self.known, self.rows, self.clear = set(), set(), set(), Lru(FLOWS), True

    def room_at(self, plenty: bool = False) -> float:
        """When it may get the next batch, by `time.monotonic`: 0 for now, infinity for once a batch is done.

        plenty: so much work is left that a batch may wait behind another one, however long that takes.
        """
        if not self.batches:
            return 0.0
        first, *more = self.batches.values()
        if more and first.calls < CALLS_BEFORE_HERE:  # their results come soon, and show how long a batch can be
            return inf
        seconds = [batch.seconds for batch in self.batches.values()]
        if None not in seconds and sum(seconds) < AHEAD_OF_A_LANE:  # type: ignore[arg-type]
            return 0.0
        if more or not first.certain:
            return 0.0 if plenty and not more else inf
        return self.free_at - max(AHEAD_OF_A_LANE, AHEAD_SHARE * first.seconds)  # type: ignore[operator]


def with_room(lanes: Mapping[int, Lane], cores: int, plenty: bool = False) -> list[int]:
    """The lanes that may get a batch. cores: the number of cores that are free for idle lanes.   plenty: see `Lane`."""
    now = monotonic()
    return [slot for slot, lane in lanes.items() if lane.room_at(plenty) <= now and (cores > 0 or lane.batches)]


def idlest(lanes: Mapping[int, Lane], free: Sequence[int], inputs: Sequence[int]) -> int:
    """The lane with the least work among those with room; among equals, the one that holds most of the inputs."""
    if len(free) == 1:
        return free[0]
    return min(free, key=lambda slot: (len(lanes[slot].batches), -len(lanes[slot].held.intersection(inputs))))


def until_room(lanes: Iterable[Lane]) -> float | None:
    """Seconds until a lane is predicted to have room; None if only a message can tell."""
    soonest = min([lane.room_at() for lane in lanes], default=inf)
    return None if soonest == inf else max(0.0, soonest - monotonic())
