"""Accumulators and barriers as state machines: no threads, no waiting. Who cannot be served waits, and is told.

A request is begun by its word and its values, and told the list of its outputs, or an error. What gives it up puts
back what it took.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph.errors import CancelledError, InvalidArgumentError, OutOfRangeError
from weftwork.graph.ops.queues import Definition
from weftwork.graph.ownership import copied
from weftwork.graph.shapes import bracket_text, compatible

Told = Callable[[Any], None]


class _Waiting:
    """Someone who waits for something to be complete. undo: puts back what was taken."""

    def __init__(self, wanted: int, small: bool, told: Told):
        self.wanted, self.small, self.told = wanted, small, told
        self.undo: Callable[[], None] | None = None


class Keeper:
    """What accumulators and barriers share: who waits, in order of arrival."""

    def __init__(self, name: str, definition: Definition):
        self.name, self.definition = name, definition
        self.closed = False
        self._waiting: deque[_Waiting] = deque()

    def begin(self, word: str, values: list, told: Told) -> Callable[[], None]:
        """Begin what a node asks. Returns what gives it up. Raises InvalidArgumentError, CancelledError."""
        if word != "take":
            told(getattr(self, f"do_{word}")(*values))
            self.serve()
            return _nothing
        count = int(values[0])
        if count < 1:
            raise InvalidArgumentError(None, None, f"Argument num_required must be a positive integer, not {count}")
        request = _Waiting(count, len(values) > 1 and bool(values[1]), told)
        self._waiting.append(request)
        self.serve()
        return lambda: self._give_up(request)

    def serve(self) -> None:
        """Let those who wait have what is there, the first one first."""
        while self._waiting and self.try_take(self._waiting[0]):
            self._waiting.popleft()

    def try_take(self, request: _Waiting) -> bool:
        """Serve a request if that can be done now."""
        raise NotImplementedError

    def _give_up(self, request: _Waiting) -> None:
        if request in self._waiting:
            self._waiting.remove(request)
            request.told(CancelledError(None, None, "TakeGrad operation was cancelled"))
        elif request.undo is not None:
            request.undo()
        self.serve()

    def cancel_all(self) -> None:
        """Nobody waits any more."""
        for request in list(self._waiting):
            self._give_up(request)

    def cancel_enqueues(self) -> None:
        """Nothing that is put in waits."""


def _nothing() -> None:
    return None


class Accumulator(Keeper):
    """A sum of gradients. counts: of each row how many have it, where they are IndexedSlices."""

    def __init__(self, name: str, definition: Definition):
        super().__init__(name, definition)
        self._sparse = definition.kind == "SparseConditionalAccumulator"
        self._step, self._count = 0, 0
        self._sum: Any = None
        self._rows: dict[int, list] = {}
        self._shape: Any = np.zeros(0, np.int64)

    def do_size(self) -> list:
        """How many gradients there are."""
        return [np.int32(self._count)]

    def do_set_step(self, step: Any) -> list:
        """The step of the gradients that count from now on."""
        self._step = int(step)
        return []

    def do_apply(self, step: Any, *grad: Any) -> list:
        """Add a gradient, unless it is of an earlier step."""
        if int(step) < self._step:
            return []
        if self._sparse:
            self._add_rows(*grad)
        else:
            (dense,) = grad
            wanted = self.definition.shapes[0] if self._sum is None else np.shape(self._sum)  # type: ignore[index]
            if not compatible(np.shape(dense), wanted):
                raise InvalidArgumentError(
                    None, None, f"Shape mismatch: expected {bracket_text(wanted)}, got {bracket_text(np.shape(dense))}"
                )
            self._sum = copied(dense) if self._sum is None else self._sum + dense
        self._count += 1
        return []

    def _add_rows(self, indices: Any, values: Any, shape: Any) -> None:
        if np.ndim(indices) != 1 or len(indices) != len(values):
            both = f"{np.shape(indices)}, {np.shape(values)}"
            text = f"Input indices should be vector and have as many as the values: {both}"
            raise InvalidArgumentError(None, None, text)
        self._shape = np.asarray(shape, np.int64) if np.size(shape) else self._shape
        seen: set[int] = set()
        for index, value in zip(np.asarray(indices).tolist(), values, strict=True):
            held = self._rows.get(index)
            if held is None:
                self._rows[index] = [np.array(value), 1]
            else:
                held[0] = held[0] + value
                held[1] += index not in seen
            seen.add(index)

    def try_take(self, request: _Waiting) -> bool:
        if self._count < request.wanted:
            return False
        before = (self._step, self._count, self._sum, self._rows)
        request.told(self._taken())
        self._step, self._count, self._sum, self._rows = self._step + 1, 0, None, {}
        request.undo = lambda: self._put_back(before)
        return True

    def _taken(self) -> list:
        summed = self.definition.keep == 1
        kind = self.definition.dtypes[0].numpy
        if not self._sparse:
            return [self._sum if summed else (self._sum / kind.type(self._count)).astype(kind)]
        order = sorted(self._rows)
        rows = [self._rows[i][0] if summed else self._rows[i][0] / kind.type(self._rows[i][1]) for i in order]
        values = np.array(rows, kind) if rows else np.zeros((0,), kind)
        return [np.array(order, np.int64), values, self._shape]

    def _put_back(self, before: tuple) -> None:
        step, count, total, rows = before
        self._step, self._count = step, self._count + count
        self._sum = total if self._sum is None else self._sum + total
        for index, (value, times) in rows.items():
            held = self._rows.get(index)
            self._rows[index] = [value, times] if held is None else [held[0] + value, held[1] + times]


class BarrierKeeper(Keeper):
    """Elements by key. A key's place is that of its first insertion."""

    def __init__(self, name: str, definition: Definition):
        super().__init__(name, definition)
        self._elements: dict[bytes, list] = {}
        self._places: dict[bytes, int] = {}
        self._complete: list[bytes] = []
        self._next, self._sealed = -(2**63), False

    def do_ready_size(self) -> list:
        """How many are complete."""
        return [np.int32(len(self._complete))]

    def do_incomplete_size(self) -> list:
        """How many are not."""
        return [np.int32(len(self._elements) - len(self._complete))]

    def do_close(self, cancel: Any) -> list:
        """No new keys; with `cancel` no components either."""
        if self.closed and not (bool(cancel) and not self._sealed):
            raise CancelledError(None, None, f"Barrier '{self.name}' is already closed.")
        self.closed, self._sealed = True, bool(cancel)
        return []

    def do_insert(self, component: Any, keys: Any, values: Any) -> list:
        """A component of some keys' values."""
        if len(keys) != len(values):
            raise InvalidArgumentError(None, None, f"keys and values differ: {len(keys)} vs. {len(values)}")
        number, size = int(component), len(self.definition.dtypes)
        if self._sealed:
            raise CancelledError(None, None, f"Barrier {self.name} is closed.  Pending enqueues cancelled.")
        for key, value in zip(np.asarray(keys, object).tolist(), values, strict=True):
            element = self._elements.get(key)
            if element is None:
                if self.closed:
                    text = f"Barrier {self.name} is closed, but attempted to insert a brand new key: {key!r}"
                    raise CancelledError(None, None, text)
                element = self._elements[key] = [None] * size
                self._places[key] = self._next
                self._next += 1
            if element[number] is not None:
                raise InvalidArgumentError(None, None, f"Key {key!r} already has a value for component {number}")
            element[number] = copied(value)
            if all(part is not None for part in element):
                self._complete.append(key)
        return []

    def try_take(self, request: _Waiting) -> bool:
        waits_for_more = not self.closed or (not self._sealed and len(self._elements) > len(self._complete))
        count = min(request.wanted, len(self._complete))
        if count < request.wanted:
            if waits_for_more:
                return False
            if not (request.small and count):
                text = f"Barrier '{self.name}' is closed and has insufficient elements (requested {request.wanted}, "
                request.told(OutOfRangeError(None, None, f"{text}total size {len(self._elements)})"))
                return True
        keys = sorted(self._complete, key=self._places.__getitem__)[:count]
        taken = [(key, self._places.pop(key), self._elements.pop(key)) for key in keys]
        self._complete = [key for key in self._complete if key in self._elements]
        names = np.empty(count, object)
        names[:] = keys
        columns = zip(*[element for _, _, element in taken], strict=True)
        parts = [np.array(column, kind.numpy) for column, kind in zip(columns, self.definition.dtypes, strict=True)]
        request.told([np.array([place for _, place, _ in taken], np.int64), names, *parts])
        request.undo = lambda: self._put_back(taken)
        return True

    def _put_back(self, taken: list) -> None:
        for key, place, element in taken:
            self._places[key], self._elements[key] = place, element
            self._complete.append(key)


KEEPERS: dict[str, type[Keeper]] = {
    "ConditionalAccumulator": Accumulator,
    "SparseConditionalAccumulator": Accumulator,
    "Barrier": BarrierKeeper,
}
"""What is no queue, by the kind of its definition."""
