"""Budget: how many bytes of large values one run may keep in the cluster's object store at a time.

live        bytes of large values that exist and are still needed
promised    predicted bytes of large values that running work will make
"""

from __future__ import annotations

import functools
import heapq
from collections.abc import Iterable, Mapping
from typing import Any

from weftwork.scheduler.machines import inventory, objects
from weftwork.scheduler.plan.plan import Segment
from weftwork.scheduler.plan.policy import BUDGET_SHARE, NEGLIGIBLE_BYTES


class Budget:
    """The object store space used by one run of a plan."""

    def __init__(self, expected: float, limit: int):
        """expected: bytes of all large values that the run may make.   limit: the session's, or 0."""
        self._sizes: dict[int, int] = {}
        self._live = 0.0
        self._promised = 0.0
        self._given = limit or (float("inf") if expected < NEGLIGIBLE_BYTES else None)

    @functools.cached_property
    def _limit(self) -> float:
        """Determined once Ray runs."""
        return self._given or BUDGET_SHARE * inventory.store_bytes()

    def spilled(self, values: Iterable[Any]) -> int:
        """The bytes of some values that were spilled to disk; only checked if there is enough to spill."""
        if self._given == float("inf"):
            return 0
        return objects.spilled([value for value in values if objects.is_reference(value)])

    @property
    def live(self) -> list[int]:
        """The large values that exist and are still needed."""
        return list(self._sizes)

    @property
    def has_room(self) -> bool:
        """Whether more work may start."""
        return self._live + self._promised <= self._limit

    def choose(self, ready: list[Segment], readers: Mapping[int, int], idle: bool) -> Segment | None:
        """Pop the next segment from a heap of ready ones; None if all must wait for memory.

        idle: nothing is running, so waiting would not help.
        """
        if self._fits(ready[0], readers):
            return heapq.heappop(ready)
        best = min(ready, key=lambda segment: segment.large - self._freed(segment, readers))
        if best.large <= self._freed(best, readers) or idle:
            ready.remove(best)
            heapq.heapify(ready)
            return best
        return None

    def _fits(self, segment: Segment, readers: Mapping[int, int]) -> bool:
        return self._live + self._promised + segment.large - self._freed(segment, readers) <= self._limit

    def _freed(self, segment: Segment, readers: Mapping[int, int]) -> float:
        """Bytes of the inputs that no other segment reads."""
        if not self._sizes:
            return 0.0
        return sum([self._sizes.get(number, 0) for number in segment.inputs if readers[number] == 1])

    def started(self, segment: Segment) -> None:
        """Note that a segment has started."""
        self._promised += segment.large

    def ended(self, segment: Segment) -> None:
        """Note that a segment has ended."""
        self._promised -= segment.large

    def made(self, number: int, size: int) -> None:
        """Note that a large value was made."""
        self._sizes[number] = size
        self._live += size

    def dropped(self, number: int) -> None:
        """Note that a value is no longer needed."""
        self._live -= self._sizes.pop(number, 0)
