"""Staging areas as state machines: values wait in order (`Stage`), or by key (`MapStage`).

A request is tried again whenever the area has changed, so a put that waits for room does not hold up a get. Requests
that can be served are served in order of arrival. Cancelling a get puts back what it has taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from weftwork.actors.queues.accumulators import Keeper, OnDone
from weftwork.graph.errors import CancelledError, InvalidArgumentError, OpError, ResourceExhaustedError
from weftwork.graph.ops.queues import Definition
from weftwork.graph.python.ownership import copied

Undo = Callable[[], None]
Served = tuple[list, Undo | None] | None
"""The outputs of a request and how to take it back, or None if it has to wait."""


class _Request:
    """attempt: serves the request if it can be served now."""

    def __init__(self, attempt: Callable[[], Served], on_done: OnDone):
        self.attempt, self.on_done = attempt, on_done
        self.undo: Undo | None = None


class Staging(Keeper):
    """The common base of both kinds. The definition's `keep` is the largest number of bytes; 0 is no limit."""

    def __init__(self, name: str, definition: Definition):
        super().__init__(name, definition)
        self._requests: list[_Request] = []

    def begin(self, action: str, values: list, on_done: OnDone) -> Undo:
        """Begin an action. Returns a function that cancels it."""
        request = _Request(partial(getattr(self, f"try_{action}"), *values), on_done)
        self._requests.append(request)
        self.serve()
        return lambda: self._withdraw(request)

    def serve(self) -> None:
        """Serve all requests that can be served."""
        while any([self._served(request) for request in list(self._requests)]):
            pass

    def _served(self, request: _Request) -> bool:
        try:
            found = request.attempt()
        except OpError as error:
            self._requests.remove(request)
            request.on_done(error)
            return True
        if found is None:
            return False
        self._requests.remove(request)
        request.undo = found[1]
        request.on_done(found[0])
        return True

    def _withdraw(self, request: _Request) -> None:
        if request in self._requests:
            self._requests.remove(request)
            request.on_done(CancelledError(None, None, f"The operation on staging area '{self.name}' was cancelled"))
        elif request.undo is not None:
            request.undo()
        self.serve()

    def cancel_all(self) -> None:
        """Cancel all waiting requests."""
        for request in list(self._requests):
            self._withdraw(request)

    def has_room(self, count: int, held: Iterable[list], values: list) -> bool:
        """Whether `values` fit beside `count` elements. Those that are held take bytes.

        Raises ResourceExhaustedError if they never will.
        """
        limit, size = self.definition.keep, size_of(values)
        if limit and size > limit:
            text = f"Attempted to insert tensors with combined size of '{size}' bytes into Staging Area with a memory"
            raise ResourceExhaustedError(None, None, f"{text} limit of '{limit}'.")
        return not (0 < self.definition.capacity <= count or (limit and sum(map(size_of, held)) + size > limit))


def size_of(values: Any) -> int:
    """The bytes of some arrays; None counts nothing."""
    return sum([np.asarray(value).nbytes for value in values if value is not None])


class Stage(Staging):
    """Elements in order."""

    def __init__(self, name: str, definition: Definition):
        super().__init__(name, definition)
        self._elements: deque[list] = deque()

    def try_put(self, *values: Any) -> Served:
        """Add an element at the end."""
        if not self.has_room(len(self._elements), self._elements, list(values)):
            return None
        self._elements.append([copied(value) for value in values])
        return [], None

    def try_get(self) -> Served:
        """Take the first element."""
        if not self._elements:
            return None
        first = self._elements.popleft()
        return first, lambda: self._elements.appendleft(first)

    def try_peek(self, index: Any) -> Served:
        """The element with this index, which stays."""
        if not 0 <= int(index) < len(self._elements):
            return None
        return list(self._elements[int(index)]), None

    def try_size(self) -> Served:
        """The number of elements."""
        return [np.int32(len(self._elements))], None

    def try_clear(self) -> Served:
        """Remove all elements."""
        self._elements.clear()
        return [], None


class MapStage(Staging):
    """Elements by key, whose components may come and go one by one. An element can be taken once it is complete."""

    def __init__(self, name: str, definition: Definition):
        super().__init__(name, definition)
        self._complete: dict[int, list] = {}
        self._incomplete: dict[int, list] = {}

    def try_put(self, key: Any, *given: Any) -> Served:
        """Add components of the element with this key.   given: the values, and a tuple of their indices."""
        *values, indices = given
        at, size = int(key), len(self.definition.dtypes)
        if list(indices) != sorted(set(indices)):
            raise InvalidArgumentError(None, None, "Indices are not strictly ordered")
        self._check(at, indices)
        element = self._incomplete.get(at, [None] * size)
        for index in indices:
            if element[index] is not None:
                text = f"The tensor for index '{index}' for key '{at}' was already initialized '{size}'."
                raise InvalidArgumentError(None, None, text)
        held = [*self._complete.values(), *self._incomplete.values()]
        if not self.has_room(len(self._complete), held, values):
            return None
        element = list(element)
        for index, value in zip(indices, values, strict=True):
            element[index] = copied(value)
        if any(part is None for part in element):
            self._incomplete[at] = element
        else:
            self._incomplete.pop(at, None)
            self._complete.setdefault(at, element)
        return [], None

    def try_get(self, key: Any, indices: tuple[int, ...]) -> Served:
        """Take components of the element with this key. The others stay."""
        found = self._found(int(key), indices)
        if found is None:
            return None
        element = self._complete[int(key)]
        rest = [None if index in indices else part for index, part in enumerate(element)]
        if all(part is None for part in rest):
            del self._complete[int(key)]
        else:
            self._complete[int(key)] = rest
        return found, lambda: self._complete.update({int(key): element})

    def try_get_any(self, indices: tuple[int, ...]) -> Served:
        """Take components of an element, and its key: the smallest if the area is ordered."""
        if not self._complete:
            return None
        key = min(self._complete) if self.definition.kind == "OrderedMapStage" else next(iter(self._complete))
        served = self.try_get(key, indices)
        return None if served is None else ([np.int64(key), *served[0]], served[1])

    def try_peek(self, key: Any, indices: tuple[int, ...]) -> Served:
        """Components of the element with this key, which stay."""
        found = self._found(int(key), indices)
        return None if found is None else (found, None)

    def try_size(self) -> Served:
        """The number of complete elements."""
        return [np.int32(len(self._complete))], None

    def try_incomplete_size(self) -> Served:
        """The number of incomplete elements."""
        return [np.int32(len(self._incomplete))], None

    def try_clear(self) -> Served:
        """Remove all elements."""
        self._complete.clear()
        self._incomplete.clear()
        return [], None

    def _found(self, key: int, indices: tuple[int, ...]) -> list | None:
        self._check(key, indices)
        element = self._complete.get(key)
        if element is None:
            return None
        for index in indices:
            if element[index] is None:
                text = f"Tensor at index '{index}' for key '{key}' has already been removed."
                raise InvalidArgumentError(None, None, text)
        return [element[index] for index in indices]

    def _check(self, key: int, indices: tuple[int, ...]) -> None:
        for index in indices:
            if not 0 <= index < len(self.definition.dtypes):
                text = f"Index '{index}' for key '{key}' was out of bounds '{len(self.definition.dtypes)}'."
                raise InvalidArgumentError(None, None, text)
