"""Lanes: how many nodes of a run may be executed at a time: as many as there are CPUs, or fewer if the session says so.

A lane is the caller, a thread beside it, a resident, a task or an actor call. Who waits in a queue has none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from weftwork.scheduler.machines import inventory


class Lanes(NamedTuple):
    """The lanes of a session's runs. most: how many each may use at a time, or None."""

    most: int | None = None

    @classmethod
    def of(cls, config: Any) -> Lanes:
        """What a config asks for: a negative number is the caller alone."""
        asked = config.inter_op_parallelism_threads
        return cls(max(1, asked) if asked else None)

    def cpus(self) -> int:
        """How many tasks may run at a time."""
        return self._within(inventory.cpus())

    def local_cpus(self) -> int:
        """How many threads may run at a time."""
        return self._within(inventory.local_cpus())

    def own_cpus(self) -> int:
        """How many local workers may run at a time."""
        return self._within(inventory.own_cpus())

    def slots(self) -> int:
        """How many nodes may run at a time, wherever."""
        return self._within(inventory.slots())

    def _within(self, count: int) -> int:
        return count if self.most is None else min(count, self.most)


UNBOUNDED = Lanes()
