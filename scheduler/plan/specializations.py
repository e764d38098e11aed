"""Specializations: the plans of one dataflow for values of different sizes.

specialization   the competing plans of a dataflow for sources of certain sizes
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

from weftwork.actors.programs.lru import Lru
from weftwork.actors.programs.sizes import size_of
from weftwork.graph.weak import members
from weftwork.scheduler.plan.autotune import Autotuner
from weftwork.scheduler.plan.cost import size_class

_KEPT = 16
_SMALL = 1024
"""Values up to this many bytes count as equally large."""


_all: WeakSet[Specialization] = WeakSet()


def forget_plans() -> None:
    """Make all plans of this process anew: the places where functions may be called have changed."""
    for specialization in members(_all):
        specialization.autotuner = None


class Specialization:
    """The plans of a dataflow for sources of certain sizes, with the state of knowledge they were made from.

    known: `Planner.known` when they were made.   sizes: those of the sources; None until the sources are known.
    """

    __slots__ = ("__weakref__", "autotuner", "known", "runs", "sizes")

    def __init__(self):
        _all.add(self)
        self.autotuner: Autotuner | None = None
        self.known: Any = None
        self.runs = 0
        self.sizes: tuple | None = None

    @property
    def work(self) -> float:
        """Predicted seconds of all nodes, run one after another; 0 without a prediction."""
        return self.autotuner.work if self.autotuner is not None else 0.0


class Specializations:
    """The specializations of a dataflow. last: the one used by the last run."""

    __slots__ = ("_made", "last")

    def __init__(self):
        self.last = Specialization()
        self._made: Lru[tuple, Specialization] = Lru(_KEPT)

    def find(self, values: Sequence[Any]) -> Specialization:
        """The specialization for values of these sizes, which becomes `last`."""
        sizes = tuple([0 if (size := size_of(value)) <= _SMALL else size_class(size) for value in values])
        specialization = self.last
        if specialization.sizes != sizes:
            specialization = self._made.find(sizes)
            if specialization is None:
                specialization = self._made.keep(sizes, self.last if not self._made else Specialization())
                specialization.sizes = sizes
            self.last = specialization
        return specialization
