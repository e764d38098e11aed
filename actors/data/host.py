"""The iterators of one session: their positions, and the threads that make their next elements.

attempt   a node's request to an iterator; a cancelled attempt takes no element
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from contextvars import copy_context
from itertools import islice
from typing import Any
from weakref import WeakSet

from weftwork.actors.checkpoints.encoding import decode, encode
from weftwork.actors.data import (  # noqa: F401  # importing them fills STAGES
    ahead,
    basic,
    batching,
    caches,
    files,
    functional,
    sources,
)
from weftwork.actors.data.stage import END, Functions, Pipeline, from_plain, tensors_of, to_plain
from weftwork.graph import shapes
from weftwork.graph.data.description import Description
from weftwork.graph.errors import (
    CancelledError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    OpError,
    OutOfRangeError,
    from_exception,
)
from weftwork.graph.operation import Operation
from weftwork.graph.python.ownership import copied

_IDLE = 5.0
"""Seconds after which an idle iterator's thread ends."""
_UNINITIALIZED = (
    "GetNext() failed because the iterator has not been initialized. Ensure that you have run the initializer "
    "operation for this iterator before getting the next element."
)
_CLOSED = "The session is closed, and its iterators with it."


class Attempt:
    """A node's pending request. work: computes the node's outputs.   on_done: gets them, or an error."""

    def __init__(self, work: Callable[[], list], on_done: Callable[[Any], None]):
        self.work, self.on_done = work, on_done
        self.cancelled = False


class IteratorState:
    """An iterator of the session."""

    def __init__(self, name: str, functions: Functions):
        self.name, self._functions = name, functions
        self.pipeline: Pipeline | None = None
        self.types: tuple = ()
        self.shapes: tuple = ()
        self.named: Operation | None = None
        """The node that made its handle, which knows the dataset of a one-shot iterator."""
        self._ended = False
        self._put_back: deque = deque()
        """Elements that were made for attempts that have been cancelled since."""
        self._attempts: deque[Attempt] = deque()
        self._change = threading.Condition(threading.RLock())
        self._busy = False
        self._thread: threading.Thread | None = None
        self._closed = False

    # The dataset

    def begin(self, description: Description, op: Operation) -> None:
        """Start at the beginning of a dataset. Raises InvalidArgumentError."""
        pipeline = Pipeline(description, op.graph, self._functions)
        with self._change:
            old, self.pipeline, self._ended = self.pipeline, pipeline, False
            self._put_back.clear()
            self.types, self.shapes = op.attrs["_types"], op.attrs.get("_shapes", ())
        if old is not None:
            old.close()

    def each(self, description: Description, op: Operation) -> Iterator[list]:
        """Yield all elements of a dataset."""
        pipeline = self.pipeline = Pipeline(description, op.graph, self._functions)
        try:
            while (element := pipeline.root.next()) is not END:
                pipeline.check_open()
                yield element
        finally:
            pipeline.close()

    def _opened(self, op: Operation) -> Pipeline:
        """The current pipeline. A one-shot iterator starts its pipeline here, at its first use."""
        if self.pipeline is None:
            op = op if self.named is None else self.named
            variant = op.attrs["_dataset"]
            if variant is None:
                raise FailedPreconditionError(None, None, _UNINITIALIZED)
            self.begin(self._functions.value_of(op.graph, *variant), op)
        assert self.pipeline is not None
        return self.pipeline

    # Elements

    def next(self, op: Operation, on_done: Callable[[Any], None]) -> Callable[[], None]:
        """Begin to make the next element. Returns a function that cancels the attempt."""
        with self._change:
            pipeline = self.pipeline
            if pipeline is not None and not (self._busy or self._attempts) and self._has_next(pipeline):
                on_done(outcome(lambda: self._next_element(op)))
                return _nothing
        return self.ask(lambda: self._next_element(op), on_done)

    def _has_next(self, pipeline: Pipeline) -> bool:
        return self._ended or bool(self._put_back) or pipeline.root.ready

    def _next_element(self, op: Operation) -> list:
        pipeline = self._opened(op)
        element = self._put_back.popleft() if self._put_back else END if self._ended else pipeline.root.next()
        if element is END:
            self._ended = pipeline is self.pipeline
            raise OutOfRangeError(None, None, "End of sequence")
        return ElementValues(element)

    def ask(self, work: Callable[[], list], on_done: Callable[[Any], None]) -> Callable[[], None]:
        """Run `work` in the iterator's thread, after everything requested before."""
        attempt = Attempt(work, on_done)
        with self._change:
            if self._closed:
                on_done(CancelledError(None, None, _CLOSED))
                return _nothing
            self._attempts.append(attempt)
            if self._thread is None:
                run = copy_context().run
                self._thread = threading.Thread(target=run, args=(self._serve,), name="weftwork-iterator", daemon=True)
                self._thread.start()
            self._change.notify_all()
        return lambda: self._cancel(attempt)

    def _cancel(self, attempt: Attempt) -> None:
        with self._change:
            attempt.cancelled = True
            with suppress(ValueError):
                self._attempts.remove(attempt)

    def _serve(self) -> None:
        while True:
            with self._change:
                self._busy = False
                if not self._attempts and not self._closed:
                    self._change.wait(_IDLE)
                if not self._attempts:
                    self._thread = None
                    return
                attempt = self._attempts.popleft()
                self._busy = True
            result = outcome(attempt.work)
            if self._closed and isinstance(result, OpError):
                result = CancelledError(None, None, _CLOSED)
            with self._change:
                if attempt.cancelled:
                    if isinstance(result, ElementValues):
                        self._put_back.append(result.element)
                    continue
            attempt.on_done(result)

    def close(self) -> None:
        """Refuse new attempts and fail the waiting ones."""
        with self._change:
            self._closed = True
            attempts = list(self._attempts)
            self._attempts.clear()
            self._change.notify_all()
        if self.pipeline is not None:
            self.pipeline.close()
        for attempt in attempts:
            attempt.on_done(CancelledError(None, None, _CLOSED))

    # Saving

    def state(self) -> bytes:
        """The saved position.

        Raises FailedPreconditionError before initialization, UnimplementedError if it has no state.
        """
        if self.pipeline is None:
            raise FailedPreconditionError(None, None, _UNINITIALIZED)
        state = {"ended": self._ended, "put_back": to_plain(self._put_back), "root": self.pipeline.root.state()}
        return bytes(encode(state, "object"))

    def restore(self, data: bytes, op: Operation) -> None:
        """Go to a saved position in the same dataset."""
        pipeline = self._opened(op)
        state = decode(data, "object", None)
        pipeline.root.restore(state["root"])
        self._ended, self._put_back = state["ended"], deque(from_plain(state["put_back"]))


class ElementValues(list):
    """The flat tensor values of an element, as values that a run may own."""

    def __init__(self, element: list):
        super().__init__(
            [copied(v) if not hasattr(v, "dtype") or v.dtype.hasobject else v for v in tensors_of(element)]
        )
        self.element = element


def _nothing() -> None:
    return None


def outcome(work: Callable[[], list]) -> Any:
    """The result of `work`, or the OpError that it raises."""
    try:
        return work()
    except OpError as error:
        return error
    except Exception as error:
        return from_exception(error)(None, None, f"{type(error).__name__}: {error}")


class Iterators:
    """Holds the iterators of a session. The first node that uses one creates it; its key is (container, name)."""

    def __init__(self, functions: Functions):
        self._functions = functions
        self._held: dict[tuple[str, str], IteratorState] = {}
        self._walks: WeakSet[IteratorState] = WeakSet()
        """Temporary iterators, each of which consumes a whole dataset for one node."""
        self._lock = threading.Lock()
        self._closed = False

    def start(self, op: Operation, values: list, on_done: Callable[[Any], None]) -> Callable[[], None]:
        """Begin a node's action. `on_done` gets its outputs, or an error. Returns a function that cancels it."""
        action = op.attrs["_word"]
        try:
            if action in ("reduce", "single"):
                return self._consume(op, values, on_done)
            if action == "get_next_of":
                return self._of_handle(op, values[0]).next(op, on_done)
            held = self.at(op.attrs["_iterator"])
        except OpError as error:
            on_done(error)
            return _nothing
        if action == "get_next":
            return held.next(op, on_done)
        return held.ask(lambda: _ACTIONS[action](held, op, values), on_done)

    def at(self, key: tuple[str, str]) -> IteratorState:
        """The iterator with a key, created if necessary. Raises CancelledError after `close`."""
        with self._lock:
            if self._closed:
                raise CancelledError(None, None, _CLOSED)
            return self._held.setdefault(key, IteratorState(key[1], self._functions))

    def _of_handle(self, op: Operation, handle: Any) -> IteratorState:
        """Look up an iterator by handle. Raises NotFoundError for one of another session, else InvalidArgumentError."""
        with self._lock:
            held = self._held.get(_key(bytes(handle)))
        if held is None:
            kind = NotFoundError if b"\0" in bytes(handle) else InvalidArgumentError  # of another session, or no handle
            raise kind(None, None, f"Resource {handle!r} is not an iterator of this session.")
        wanted = op.attrs["_types"]
        if held.types and len(held.types) != len(wanted):
            text = f"Number of components does not match: expected {len(wanted)} types but got {len(held.types)}."
            raise InvalidArgumentError(None, None, text)
        for at, (mine, other) in enumerate(zip(held.types, wanted, strict=False)):
            if mine is not other:
                text = f"Data type mismatch at component {at}: expected {other.cpp_name} but got {mine.cpp_name}."
                raise InvalidArgumentError(None, None, text)
        for at, (mine, other) in enumerate(zip(held.shapes, op.attrs.get("_shapes", ()), strict=False)):
            if not shapes.compatible(mine, other):
                wished, got = shapes.bracket_text(other), shapes.bracket_text(mine)
                text = f"Incompatible shapes at component {at}: expected {wished} but got {got}."
                raise InvalidArgumentError(None, None, text)
        return held

    def _consume(self, op: Operation, values: list, on_done: Callable[[Any], None]) -> Callable[[], None]:
        """Consume a whole dataset in a thread of its own."""
        held = IteratorState(op.name, self._functions)
        with self._lock:
            self._walks.add(held)
        work = self._reduced if op.attrs["_word"] == "reduce" else self._single
        cancel = held.ask(lambda: work(held, op, values), on_done)

        def stop() -> None:
            cancel()
            held.close()

        return stop

    def _reduced(self, held: IteratorState, op: Operation, values: list) -> list:
        count, function = op.attrs["_state"], op.attrs["function"]
        state, captured = list(values[1 : 1 + count]), tuple(values[1 + count :])
        for element in held.each(values[0], op):
            state = self._functions.call(op.graph, function, captured, [*state, *tensors_of(element)])
        return state

    def _single(self, held: IteratorState, op: Operation, values: list) -> list:
        elements = list(islice(held.each(values[0], op), 2))
        if len(elements) != 1:
            text = "Dataset had more than one element." if elements else "Dataset was empty."
            raise InvalidArgumentError(None, None, text)
        return ElementValues(elements[0])

    def close(self) -> None:
        """Fail everything that waits, and refuse anything new."""
        with self._lock:
            self._closed = True
            held = [*self._held.values(), *self._walks]
        for each in held:
            each.close()


def _make(held: IteratorState, op: Operation, values: Sequence) -> list:
    held.begin(values[0], op)
    return []


def _handle(held: IteratorState, op: Operation, values: Sequence) -> list:
    if not held.types:
        held.types, held.shapes = op.attrs["_types"], op.attrs.get("_shapes", ())
    held.named = op
    return ["\0".join(op.attrs["_iterator"]).encode()]


def _key(handle: bytes) -> tuple[str, str]:
    container, _, name = handle.decode(errors="replace").partition("\0")
    return container, name


def _save(held: IteratorState, op: Operation, values: Sequence) -> list:
    return [held.state()]


def _restore(held: IteratorState, op: Operation, values: Sequence) -> list:
    held.restore(bytes(values[0]), op)
    return []


_ACTIONS: dict[str, Callable[[IteratorState, Operation, Sequence], list]] = {
    "make": _make,
    "handle": _handle,
    "save": _save,
    "restore": _restore,
}
