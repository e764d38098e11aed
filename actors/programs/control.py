"""Kernels of branches and loops: they run sections of a graph as plain Python `if` and `while`.

body      a section's program. It takes all values of the owner, and returns the section's outputs, followed by new
          versions of the variables that the owner writes
stop      the run's stop list. These kernels take it as their first argument and check it in every iteration
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weftwork.actors.programs.bodies import COMPILED_AFTER, Body, Control
from weftwork.actors.programs.program import Stopped, is_from_outside, stop_now
from weftwork.graph.kernels.cells import zeros_of
from weftwork.graph.streams import Positions


class Branches(Control):
    """kernel(stop, pred, *values): run one of two bodies."""

    __name__ = "cond"

    def __init__(self, true: Body, false: Body):
        self.true, self.false = true, false

    def __call__(self, stop: list, pred: Any, *values: Any) -> Any:
        results = (self.true if pred else self.false)(stop, list(values))
        return results[0] if len(results) == 1 else tuple(results)


class Loop(Control):
    """kernel(stop, *values): a while loop. Returns the loop variables and versions after the last iteration.

    carried: the number of values that change between iterations. They come first, and are the outputs.
    draws: positions of random stream positions, which advance with each iteration.   limited: the value after the
    carried ones is the maximum number of iterations.
    """

    __name__ = "while_loop"

    def __init__(self, test: Body, step: Body, carried: int, draws: tuple[int, ...], limited: bool):
        self.test, self.step, self.carried, self.draws, self.limited = test, step, carried, draws, limited
        self._fused: Fused | None = None

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), "_fused": None}

    def __call__(self, stop: list, *values: Any) -> Any:
        state = self.run(stop, list(values[: self.carried]), list(values[self.carried :]), 0)
        return state[0] if len(state) == 1 else tuple(state)

    def run(self, stop: list, state: list, rest: list, first: int) -> list:
        """The state after the last iteration. state: before iteration `first`."""
        limit = int(rest[0]) if self.limited else None
        iteration = first
        test, step, positions = self.test, self.step, Positions(self.draws, rest)
        alone = COMPILED_AFTER if self._fused is None else 1  # the first iteration looks for variables without a value
        while limit is None or iteration < limit:
            if stop:
                raise Stopped
            if iteration - first == alone and not self.draws:
                fused = self._as_function()
                if fused is not None:
                    return fused(stop, None if limit is None else limit - iteration, state, rest)
            if self.draws:
                positions.move(rest, iteration)
            if not test(stop, state + rest)[0]:
                break
            state = step(stop, state + rest)
            iteration += 1
        return state

    def _as_function(self) -> Fused | None:
        """The loop as one function, or None if a body is a planned run of its own."""
        test, step = self.test.alone, self.step.alone
        if self._fused is None and test is not None and step is not None:
            self._fused = Fused(test, step, self.carried)
        return self._fused


class Fused:
    """A loop as one Python function, whose `while` contains the steps of the condition and the body."""

    def __init__(self, test: Body, step: Body, carried: int):
        self._where: list[tuple[Body, int] | None] = []
        self._names: dict[Body, tuple[str, dict[int, str]]] = {}
        """For each body, the prefix of its names, and the names of its inputs."""
        names: dict[str, Any] = {"stop_now": stop_now}
        count = len(test.program.inputs)
        args = [f"s{i}" for i in range(carried)] + [f"r{i}" for i in range(count - carried)]
        lines = [f"def loop(stop, left{''.join(f', {name}' for name in args)}):", " while left != 0:"]
        lines.append("  stop and stop_now()")
        self._where += [None] * len(lines)
        (wanted,) = self._add(lines, test, args, names, "t")
        lines += [f"  if not {wanted}: break"]
        self._where.append(None)
        ends = self._add(lines, step, args, names, "b")
        lines += [f"  {', '.join(args[:carried])}, = {', '.join(ends)},"] if carried else []
        lines += ["  left -= 1", f" return [{', '.join(args[:carried])}]"]
        exec(compile("\n".join(lines), "<weftwork loop>", "exec"), names)
        self._function = names["loop"]

    def _add(self, lines: list[str], body: Body, args: list[str], names: dict[str, Any], prefix: str) -> list[str]:
        """Add the lines of a body, without assigning to the loop's own variables. Returns the names of its outputs."""
        program = body.program
        written = program.written()
        given = {}
        for slot, name in zip(program.inputs, args, strict=True):
            given[slot] = name
            if slot in written:
                given[slot] = f"{prefix}v{slot}"
                lines.append(f"  {prefix}v{slot} = {name}")
                self._where.append(None)
        self._names[body] = prefix, given
        made, outputs = program.statements(names, prefix, given, kept=True)
        lines += [f"  {line}" for line in made]
        self._where += [(body, at) for at in range(len(made))]
        return outputs

    def __call__(self, stop: list, left: int | None, state: list, rest: list) -> list:
        """The state after the last iteration, or after at most `left` iterations."""
        try:
            return self._function(stop, -1 if left is None else left, *state, *rest)
        except BaseException as error:
            if is_from_outside(error):
                raise
            body, step, taken = self._failed(error)
            raise body.explained(error, step, taken) from error

    def _failed(self, error: BaseException) -> tuple[Body, int, list | None]:
        """The body and step that raised, and the step's inputs."""
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code is self._function.__code__:
                found = self._where[trace.tb_lineno - 1] if trace.tb_lineno <= len(self._where) else None
                body, step = found or next(step for step in self._where if step is not None)
                return body, step, body.program.taken(step, trace.tb_frame.f_locals, *self._names[body])
            trace = trace.tb_next
        raise error


class Sweep(Control):
    """kernel(stop, *values): apply a body to each element along the first axis of some arrays, in order.

    values: carried values (`carried` of them, then versions), `elements` arrays, and values that stay the same.
    The body returns the next carried values, values to collect, and versions. The results are the last carried values,
    the collected values stacked, and the versions.
    """

    __name__ = "sweep"

    def __init__(
        self, body: Body, carried: int, state: int, elements: int, draws: tuple[int, ...], reverse: bool, empty: tuple
    ):
        self.body, self.carried, self.state, self.elements = body, carried, state, elements
        self.draws, self.reverse, self.empty = draws, reverse, empty

    def __call__(self, stop: list, *values: Any) -> Any:
        c, s = self.carried, self.state
        arrays = values[c + s : c + s + self.elements]
        collected: list[list] = [[] for _ in self.empty]
        held = self.run(
            stop,
            list(values[: c + s]),
            arrays,
            list(values[c + s + self.elements :]),
            range(self.count(arrays)),
            collected,
        )
        made = [*held[:c], *self.stacked(collected), *held[c:]]
        return made[0] if len(made) == 1 else tuple(made)

    def count(self, arrays: Sequence) -> int:
        """The number of elements. Raises ValueError for arrays of different lengths."""
        lengths = {len(array) for array in arrays}
        if len(lengths) != 1:
            raise ValueError(f"the elements have different lengths: {[len(array) for array in arrays]}")
        return lengths.pop()

    def run(
        self, stop: list, held: list, arrays: Sequence, rest: list, iterations: range, collected: list[list]
    ) -> list:
        """Run some iterations and return the carried values. Values to collect are appended to `collected`."""
        c, s, count = self.carried, self.state, len(arrays[0])
        positions = Positions(self.draws, rest)
        for iteration in iterations:
            if stop:
                raise Stopped
            at = count - 1 - iteration if self.reverse else iteration
            positions.move(rest, iteration)
            results = self.body(stop, [*held, *[array[at] for array in arrays], *rest])
            versions = results[len(results) - s :]
            held = [*results[:c], *versions]
            for items, value in zip(collected, results[c : len(results) - s], strict=True):
                items.append(value)
        return held

    def stacked(self, collected: list[list]) -> list:
        """The collected values as arrays."""
        if self.reverse:
            collected = [items[::-1] for items in collected]
        return [_stacked(items, empty) for items, empty in zip(collected, self.empty, strict=True)]


class Split:
    """kernel(*arrays): cut each array into `count` parts of about equal length; all first parts come first."""

    __name__ = "split"

    def __init__(self, count: int):
        self.count = count

    def __call__(self, *arrays: Any) -> tuple:
        lengths = [len(array) for array in arrays]
        if len(set(lengths)) != 1:
            raise ValueError(f"the elements have different lengths: {lengths}")
        ends = [lengths[0] * k // self.count for k in range(self.count + 1)]
        return tuple([array[a:b] for a, b in zip(ends, ends[1:], strict=False) for array in arrays])


class Join:
    """kernel(*parts): concatenate what `count` parts have collected, `outputs` arrays each."""

    __name__ = "join"

    def __init__(self, count: int, outputs: int):
        self.count, self.outputs = count, outputs

    def __call__(self, *parts: Any) -> Any:
        made = []
        for at in range(self.outputs):
            pieces = parts[at :: self.outputs]
            made.append(np.concatenate([piece for piece in pieces if len(piece)] or pieces[:1]))
        return made[0] if len(made) == 1 else tuple(made)


def _stacked(items: list, empty: tuple) -> Any:
    """Stack values. With no values, the result is zeros of the (shape, dtype) given by `empty`."""
    if not items:
        return np.zeros(*empty)
    return _objects(items) if empty[1].kind == "O" else np.stack(items)


def _objects(items: list) -> np.ndarray:
    array = np.empty(len(items), object)
    array[:] = items
    return array


def _add_up(totals: list, parts: list) -> list:
    return list(parts) if not totals else [total + part for total, part in zip(totals, parts, strict=True)]


class LoopGradient(Control):
    """kernel(stop, *values): the gradients of a loop. It runs again, keeping its states, and then backwards.

    values: `carried` initial loop variables, `grads` gradients of the final ones, the limit if `limited`, others.
    back: the body of one iteration backwards. From the state before the iteration and the gradients after it, it
    computes the gradients before it and those of each captured value.   captures: positions of the captured values.
    """

    __name__ = "while_loop_grad"

    def __init__(
        self,
        test: Body,
        step: Body,
        back: Body,
        carried: int,
        grads: int,
        limited: bool,
        captures: tuple[int, ...],
        draws: tuple[int, ...] = (),
    ):
        self.test, self.step, self.back, self.draws = test, step, back, draws
        self.carried, self.grads, self.limited, self.captures = carried, grads, limited, captures

    def __call__(self, stop: list, *values: Any) -> Any:
        n, m = self.carried, self.grads
        state, grads, rest = list(values[:n]), list(values[n : n + m]), list(values[n + m :])
        limit = int(rest[0]) if self.limited else None
        states: list = []
        positions = Positions(self.draws, rest)
        while limit is None or len(states) < limit:
            if stop:
                raise Stopped
            positions.move(rest, len(states))
            if not self.test(stop, [*state, *grads, *rest])[0]:
                break
            states.append(state)
            state = self.step(stop, [*state, *grads, *rest])
        totals: list = []
        for iteration in range(len(states) - 1, -1, -1):
            if stop:
                raise Stopped
            before = states[iteration]
            positions.move(rest, iteration)
            results = self.back(stop, [*before, *grads, *rest])
            grads, totals = results[:m], _add_up(totals, results[m:])
        made = [*grads, *(totals or [zeros_of(values[position]) for position in self.captures])]
        return made[0] if len(made) == 1 else tuple(made)


class SweepGradient(Control):
    """kernel(stop, *values): the gradients of a sweep, computed like those of a loop.

    values: `carried` initial values, `elements` arrays, `grads` gradients of the final carried values, `collected`
    gradients of the collected arrays, the rest.   wanted: positions of the arrays that have gradients. Their gradients
    come after those of the carried values and before those of captured values.
    """

    __name__ = "sweep_grad"

    def __init__(
        self,
        forth: Body,
        back: Body,
        carried: int,
        elements: int,
        grads: int,
        collected: int,
        reverse: bool,
        wanted: tuple[int, ...],
        captures: tuple[int, ...],
        draws: tuple[int, ...] = (),
    ):
        self.draws = draws
        self.forth, self.back, self.carried, self.elements, self.grads = forth, back, carried, elements, grads
        self.collected, self.reverse, self.wanted, self.captures = collected, reverse, wanted, captures

    def __call__(self, stop: list, *values: Any) -> Any:
        c, e, g, k = self.carried, self.elements, self.grads, self.collected
        state, arrays = list(values[:c]), values[c : c + e]
        grads, given = list(values[c + e : c + e + g]), values[c + e + g : c + e + g + k]
        rest = list(values[c + e + g + k :])
        count = len(arrays[0])
        order = range(count - 1, -1, -1) if self.reverse else range(count)
        states: list = []
        positions = Positions(self.draws, rest)
        for at in order:
            if stop:
                raise Stopped
            positions.move(rest, len(states))
            states.append(state)
            items = [array[at] for array in arrays]
            state = self.forth(stop, [*state, *items, *grads, *[array[at] for array in given], *rest])[:c]
        totals: list = []
        flows = [np.zeros_like(arrays[position]) for position in self.wanted]
        for iteration in range(count - 1, -1, -1):
            if stop:
                raise Stopped
            before, at = states[iteration], order[iteration]
            positions.move(rest, iteration)
            items = [array[at] for array in arrays]
            results = self.back(stop, [*before, *items, *grads, *[array[at] for array in given], *rest])
            grads = results[:g]
            for flow, part in zip(flows, results[g : g + len(flows)], strict=True):
                flow[at] = part
            totals = _add_up(totals, results[g + len(flows) :])
        made = [*grads, *flows, *(totals or [zeros_of(values[position]) for position in self.captures])]
        return made[0] if len(made) == 1 else tuple(made)
