"""Accumulators and barriers as state machines: no threads, no blocking.

A request names an action and gives its inputs. When it can be served, its `on_done` is called with the list of outputs,
or with an error. Cancelling a request returns what it had taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph.errors import CancelledError, InvalidArgumentError, OutOfRangeError
from weftwork.graph.ops.queues import Definition
from weftwork.graph.python.ownership import copied
from weftwork.graph.shapes import bracket_text, compatible

OnDone = Callable[[Any], None]


class _Request:
    """A take that waits for enough elements. undo: puts back what it took."""

    def __init__(self, wanted: int, allow_small: bool, on_done: OnDone):
        self.wanted, self.allow_small, self.on_done = wanted, allow_small, on_done
        self.undo: Callable[[], None] | None = None


class Keeper:
    """The common base of accumulators and barriers. Requests are served in order of arrival.

    least: the smallest number that one may take.
    """

    least = 1

    def __init__(self, name: str, definition: Definition):
        self.name, self.definition = name, definition
        self.closed = False
        self._waiting: deque[_Request] = deque()

    def begin(self, action: str, values: list, on_done: OnDone) -> Callable[[], None]:
        """Begin an action. Returns a function that cancels it. Raises InvalidArgumentError or CancelledError."""
        if action != "take":
            on_done(getattr(self, f"do_{action}")(*values))
            self.serve()
            return _nothing
        count = int(values[0])
        if count < self.least:
            raise InvalidArgumentError(None, None, f"Argument num_required must be positive, but was {count}")
        request = _Request(count, len(values) > 1 and bool(values[1]), on_done)
        self._waiting.append(request)
        self.serve()
        return lambda: self._give_up(request)

    def serve(self) -> None:
        """Serve waiting requests in order, until one has to wait."""
        while self._waiting and self.try_take(self._waiting[0]):
            self._waiting.popleft()

    def try_take(self, request: _Request) -> bool:
        """Serve a request if it can be served now; return whether it was."""
        raise NotImplementedError

    def _give_up(self, request: _Request) -> None:
        if request in self._waiting:
            self._waiting.remove(request)
            request.on_done(CancelledError(None, None, "TakeGrad operation was cancelled"))
        elif request.undo is not None:
            request.undo()
        self.serve()

    def cancel_all(self) -> None:
        """Cancel all waiting requests."""
        for request in list(self._waiting):
            self._give_up(request)


def _nothing() -> None:
    return None


def _shown(key: Any) -> str:
    """A key for a message."""
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)


class Accumulator(Keeper):
    """A sum of gradients. Of sparse gradients, each row keeps its own sum and count."""

    def __init__(self, name: str, definition: Definition):
        super().__init__(name, definition)
        self._sparse = definition.kind == "SparseConditionalAccumulator"
        self._step, self._count = 0, 0
        self._sum: Any = None
        self._rows: dict[int, list] = {}

    def do_size(self) -> list:
        """The number of gradients in the sum."""
        return [np.int32(self._count)]

    def do_set_step(self, step: Any) -> list:
        """Ignore gradients of earlier steps from now on."""
        self._step = int(step)
        return []

    def do_apply(self, step: Any, *grad: Any) -> list:
        """Add a gradient, unless it belongs to an earlier step."""
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
        wrong = self._mismatch(indices, values, shape)
        if wrong:
            raise InvalidArgumentError(None, None, wrong)
        seen: set[int] = set()
        for index, value in zip(np.asarray(indices).tolist(), values, strict=True):
            held = self._rows.get(index)
            if held is None:
                self._rows[index] = [np.array(value), 1]
            else:
                held[0] = held[0] + value
                held[1] += index not in seen
            seen.add(index)

    def _mismatch(self, indices: Any, values: Any, shape: Any) -> str:
        """What is wrong with the rows of a gradient; "" if nothing is."""
        if np.ndim(indices) != 1:
            return f"Input indices should be vector but received shape: {bracket_text(np.shape(indices))}"
        if np.ndim(values) == 0:
            return "Values cannot be scalar"
        if len(indices) != len(values):
            return f"Expected {len(indices)} non-empty input values, got {len(values)}"
        wanted: Any = self.definition.shapes[0]  # type: ignore[index]
        if wanted is None and self._rows:
            wanted = (None, *np.shape(next(iter(self._rows.values()))[0]))
        if wanted is None:
            return ""
        for axis, (size, given) in enumerate(zip(wanted, np.asarray(shape).tolist(), strict=False)):
            if size is not None and size != given:
                return f"Shape mismatch: expected shape dim {axis} to be {size}, got {given}"
        if np.ndim(values) != len(wanted):
            return f"Shape mismatch: expected values rank {len(wanted)}, got {np.ndim(values)}"
        for axis, size in enumerate(wanted[1:], 1):
            if size is not None and size != values.shape[axis]:
                return f"Shape mismatch: expected values dim {axis} to be {size}, got {values.shape[axis]}"
        for number, index in enumerate(np.asarray(indices).tolist()):
            if index < 0 or (wanted[0] is not None and index >= wanted[0]):
                text = f"index of slice {number} exceeded limits of shape; index is {index} exceeded {wanted[0]}"
                return f"Shape mismatch: {text}"
        return ""

    def try_take(self, request: _Request) -> bool:
        if self._count < request.wanted:
            return False
        before = (self._step, self._count, self._sum, self._rows)
        request.on_done(self._taken())
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
        known: Any = self.definition.shapes[0]  # type: ignore[index]
        rows_in_all = -1 if not known or known[0] is None else known[0]  # the gradients' own shapes do not count
        return [np.array(order, np.int64), values, np.array([rows_in_all, *values.shape[1:]], np.int64)]

    def _put_back(self, before: tuple) -> None:
        step, count, total, rows = before
        self._step, self._count = step, self._count + count
        self._sum = total if self._sum is None else self._sum + total
        for index, (value, times) in rows.items():
            held = self._rows.get(index)
            self._rows[index] = [value, times] if held is None else [held[0] + value, held[1] + times]


class BarrierKeeper(Keeper):
    """Elements that are filled component by component, by key. They are taken in the order of their first insertion."""

    least = 0

    def __init__(self, name: str, definition: Definition):
        super().__init__(name, definition)
        self._elements: dict[bytes, tuple[tuple[int, int], list]] = {}
        """The incomplete elements by key: their place, and their components.

        The place is the index that is reported, and the number of keys that came before."""
        self._came = 0
        self._complete: list[tuple[tuple[int, int], bytes, list]] = []
        """The complete ones, whose keys may come again: (place, key, components)."""
        self._next, self._sealed = -(2**63), False

    def do_ready_size(self) -> list:
        """The number of complete elements."""
        return [np.int32(len(self._complete))]

    def do_incomplete_size(self) -> list:
        """The number of incomplete elements."""
        return [np.int32(len(self._elements))]

    def do_close(self, cancel: Any) -> list:
        """Accept no new keys; with `cancel`, no further components either."""
        if self.closed and not (bool(cancel) and not self._sealed):
            raise CancelledError(None, None, f"Barrier '{self.name}' is already closed.")
        self.closed, self._sealed = True, bool(cancel)
        return []

    def do_insert(self, keys: Any, values: Any, component: Any) -> list:
        """Insert one component of the elements with these keys."""
        if len(keys) != len(values):
            raise InvalidArgumentError(None, None, f"keys and values differ: {len(keys)} vs. {len(values)}")
        number, size = int(component), len(self.definition.dtypes)
        if self._sealed:
            raise CancelledError(None, None, f"Barrier {self.name} is closed.  Pending enqueues cancelled.")
        place, known = self._next, self._came
        for key, value in zip(np.asarray(keys, object).tolist(), values, strict=True):
            if key not in self._elements:
                if self.closed:
                    text = f"Barrier {self.name} is closed, but attempted to insert a brand new key: {_shown(key)}"
                    raise CancelledError(None, None, text)
                self._elements[key] = (place, self._came), [None] * size
                self._came += 1
            at, element = self._elements[key]
            if element[number] is not None:
                text = f"Key {_shown(key)} already has a value for component {number} in barrier {self.name}"
                raise InvalidArgumentError(None, None, text)
            element[number] = copied(value)
            if all(part is not None for part in element):
                self._complete.append((at, key, element))
                del self._elements[key]
        self._next += self._came > known  # keys that arrive together share an index
        return []

    def try_take(self, request: _Request) -> bool:
        waits_for_more = not self.closed or (not self._sealed and bool(self._elements))
        count = min(request.wanted, len(self._complete))
        if count < request.wanted:
            if waits_for_more:
                return False
            if not (request.allow_small and count):
                total = len(self._elements) + len(self._complete)
                text = f"Barrier '{self.name}' is closed and has insufficient elements (requested {request.wanted}, "
                request.on_done(OutOfRangeError(None, None, f"{text}total size {total})"))
                return True
        self._complete.sort(key=lambda entry: entry[0])
        taken, self._complete = self._complete[:count], self._complete[count:]
        names = np.empty(count, object)
        names[:] = [key for _, key, _ in taken]
        parts = [self._column([e[at] for _, _, e in taken], at) for at in range(len(self.definition.dtypes))]
        request.on_done([np.array([place for (place, _), _, _ in taken], np.int64), names, *parts])
        request.undo = lambda: self._complete.extend(taken)
        return True

    def _column(self, values: list, component: int) -> Any:
        """The values of one component as an array."""
        kind, shape = self.definition.dtypes[component], (self.definition.shapes or ())[component]
        return np.array(values, kind.numpy) if values else np.zeros((0, *(shape or ())), kind.numpy)
