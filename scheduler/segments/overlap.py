"""Overlapping loops: kernels of nested loops that run several iterations at a time, as one section.

some      the maximum number of iterations that run at once: the loop's `parallel_iterations`
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weftwork.actors.programs.bodies import Control
from weftwork.actors.programs.control import Loop, Sweep
from weftwork.actors.programs.program import Stopped
from weftwork.graph.streams import Positions, in_iteration
from weftwork.scheduler.compile.sections import SectionFlow
from weftwork.scheduler.compile.unrolling import Unrolled, body_ahead, unrolled


class _Sections:
    """The unrolled sections by number of iterations, made when first needed."""

    def __init__(self, unroll: Callable[[int], Unrolled], planned: Callable[[SectionFlow], Any]):
        self._unroll, self._planned = unroll, planned
        self._made: dict[int, tuple[Unrolled, Any]] = {}

    def of(self, times: int) -> tuple[Unrolled, Any]:
        """The section of `times` iterations, and its planned body."""
        made = self._made.get(times)
        if made is None:
            section = self._unroll(times)
            made = self._made[times] = (section, self._planned(section.section))
        return made


class OverlappedLoop(Control):
    """A Loop whose condition depends on nothing heavy, so its inputs are computed some iterations ahead."""

    __name__ = "while_loop"

    def __init__(
        self, loop: Loop, step: SectionFlow, ahead: tuple[int, ...], some: int, planned: Callable[[SectionFlow], Any]
    ):
        self.loop, self.some = loop, some
        self._step, self._ahead = step, ahead
        self._next = body_ahead(step, ahead)
        self._own = (*ahead, *[loop.carried + at for at in loop.draws])
        self._sections = _Sections(self.unrolled, planned)

    def unrolled(self, times: int) -> Unrolled:
        """`times` iterations as one section."""
        return unrolled(self._step, times, self._own, {p: p for p in range(self.loop.carried)})

    def __call__(self, stop: list, *values: Any) -> Any:
        loop = self.loop
        state, rest = list(values[: loop.carried]), list(values[loop.carried :])
        limit = int(rest[0]) if loop.limited else None
        first = 0
        while True:
            own: list = []
            count, next_state = self._run_ahead(stop, state, rest, first, limit, own)
            if count:
                section, body = self._sections.of(count)
                if count == self.some and body.plain:  # overlapping gains nothing
                    state = loop.run(stop, state, rest, first)
                    break
                every = state + rest
                made = body(stop, [*[every[p] for p in section.given], *own])
                for position, value in zip(section.carried, made, strict=True):
                    next_state[position] = value
                state = next_state
            first += count
            if count < self.some:
                break
        return state[0] if len(state) == 1 else tuple(state)

    def _run_ahead(
        self, stop: list, state: list, rest: list, first: int, limit: int | None, own: list
    ) -> tuple[int, list]:
        """How many iterations follow, up to `some`, and the state after them as far as it is computed ahead.

        own: receives the values given to each iteration.
        """
        loop, state, rest = self.loop, list(state), list(rest)
        count, positions = 0, Positions(loop.draws, rest)
        while count < self.some and (limit is None or first + count < limit):
            if stop:
                raise Stopped
            positions.move(rest, first + count)
            every = state + rest
            if not loop.test(stop, every)[0]:
                break
            own += [every[p] for p in self._own]
            for position, value in zip(self._ahead, self._next(stop, every), strict=True):
                state[position] = value
            count += 1
        return count, state


class OverlappedSweep(Control):
    """A Sweep over several elements at a time."""

    __name__ = "sweep"

    def __init__(self, sweep: Sweep, step: SectionFlow, some: int, planned: Callable[[SectionFlow], Any]):
        self.sweep, self.some, self._step = sweep, some, step
        self._held = sweep.carried + sweep.state
        self._draws = [self._held + sweep.elements + at for at in sweep.draws]
        self._own = (*range(self._held, self._held + sweep.elements), *self._draws)
        self._sections = _Sections(self.unrolled, planned)

    def unrolled(self, times: int) -> Unrolled:
        """`times` elements as one section."""
        sweep = self.sweep
        end = len(self._step.outputs) - sweep.state
        ends = {p: p if p < sweep.carried else end + p - sweep.carried for p in range(self._held)}
        return unrolled(self._step, times, self._own, ends, range(sweep.carried, end))

    def __call__(self, stop: list, *values: Any) -> Any:
        sweep, held = self.sweep, list(values[: self._held])
        arrays = values[self._held : self._held + sweep.elements]
        rest = values[self._held + sweep.elements :]
        count = sweep.count(arrays)
        collected: list[list] = [[] for _ in sweep.empty]
        for first in range(0, count, self.some):
            if stop:
                raise Stopped
            some = min(self.some, count - first)
            section, body = self._sections.of(some)
            if some == self.some and body.plain:  # overlapping gains nothing
                held = sweep.run(stop, held, arrays, list(rest), range(first, count), collected)
                break
            own: list = []
            for iteration in range(first, first + some):
                at = count - 1 - iteration if sweep.reverse else iteration
                own += [array[at] for array in arrays]
                own += [in_iteration(values[p], iteration) for p in self._draws]
            every = [*held, *values[self._held :]]
            made = body(stop, [*[every[p] for p in section.given], *own])
            held = list(made[: len(held)])
            for at, value in enumerate(made[len(held) :]):
                collected[at % len(collected)].append(value)
        made = [*held[: sweep.carried], *sweep.stacked(collected), *held[sweep.carried :]]
        return made[0] if len(made) == 1 else tuple(made)
