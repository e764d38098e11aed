"""Budget: how many bytes of large values may live at a time in one run, in the object store of the cluster.

live        bytes of the large values that were made and are still needed
promised    bytes of those that the work on its way will make, as far as is known
"""

from __future__ import annotations

import functools
import heapq
from collections.abc import Iterable, Mapping
from typing import Any

from weftwork.scheduler.machines import inventory, objects
from weftwork.scheduler.plan.plan import Plan, Segment
from weftwork.scheduler.plan.policy import BUDGET_SHARE, NEGLIGIBLE_BYTES


class Budget:
    """What one run of a plan keeps in the object store."""

    def __init__(self, plan: Plan, limit: int):
        self._sizes: dict[int, int] = {}
        self._live = 0.0
        self._promised = 0.0
        expected = sum([segment.large for segment in plan.segments])
        self._given = limit or (float("inf") if expected < NEGLIGIBLE_BYTES else None)

    @functools.cached_property
    def _limit(self) -> float:
        """Asked for once Ray runs."""
        return self._given or BUDGET_SHARE * inventory.store_bytes()

    def spilled(self, values: Iterable[Any]) -> int:
        """The bytes of some values that have gone to disk, where there is so much that some may."""
        if self._given == float("inf"):
            return 0
        return objects.spilled([value for value in values if objects.is_reference(value)])

    @property
    def live(self) -> list[int]:
        """The large values that were made and are still needed."""
        return list(self._sizes)

    def choose(self, ready: list[Segment], readers: Mapping[int, int], idle: bool) -> Segment | None:
        """Take the next segment from a heap of ready ones; None when all must wait for memory.

        idle: nothing is on its way, so that waiting would not help.
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
        """Bytes of the inputs that nobody else reads."""
        if not self._sizes:
            return 0.0
        return sum([self._sizes.get(number, 0) for number in segment.inputs if readers[number] == 1])

    def started(self, segment: Segment) -> None:
        """A segment is on its way."""
        self._promised += segment.large

    def ended(self, segment: Segment) -> None:
        """A segment is no longer on its way."""
        self._promised -= segment.large

    def made(self, number: int, size: int) -> None:
        """A large value is there."""
        self._sizes[number] = size
        self._live += size

    def dropped(self, number: int) -> None:
        """A value is not needed any more."""
        self._live -= self._sizes.pop(number, 0)
