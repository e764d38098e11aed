"""Lanes: how many nodes of a run may execute at once: one for each CPU, or fewer if the session's config says so.

A lane is the caller, a thread beside it, a local worker, a task or an actor call. A node waiting in a queue takes none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from weftwork.scheduler.machines import inventory


class Lanes(NamedTuple):
    """The lanes of a session's runs. most: how many a run may use at once, or None."""

    most: int | None = None

    @classmethod
    def of(cls, config: Any) -> Lanes:
        """The lanes that a config allows; a negative number means the caller alone."""
        asked = config.inter_op_parallelism_threads
        return cls(max(1, asked) if asked else None)

    def cpus(self) -> int:
        """How many tasks may run at once."""
        return self._within(inventory.cpus())

    def own_cpus(self) -> int:
        """How many threads and local workers of this machine may run at once."""
        return self._within(inventory.own_cpus())

    def slots(self) -> int:
        """How many nodes may run at once, in any place."""
        return self._within(inventory.slots())

    def _within(self, count: int) -> int:
        return count if self.most is None else min(count, self.most)


UNBOUNDED = Lanes()
