"""The iterators of one session: how far each has come, and the threads that make their next elements.

attempt   a node of a run that asks an iterator for something, and waits; who is cancelled has taken nothing
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
from weftwork.actors.data import (  # noqa: F401  # they fill STAGES
    ahead,
    basic,
    batching,
    caches,
    files,
    functional,
    sources,
)
from weftwork.actors.data.stage import END, Functions, Pipeline, plain, revived, spread
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
from weftwork.graph.ownership import copied

_IDLE = 5.0
"""Seconds after which the thread of an iterator that nobody asks ends."""
_UNINITIALIZED = (
    "GetNext() failed because the iterator has not been initialized. Ensure that you have run the initializer "
    "operation for this iterator before getting the next element."
)
_CLOSED = "The session is closed, and its iterators with it."


class Attempt:
    """What a node waits for. work: makes the node's outputs."""

    def __init__(self, work: Callable[[], list], told: Callable[[Any], None]):
        self.work, self.told = work, told
        self.cancelled = False


class Held:
    """An iterator of the session."""

    def __init__(self, name: str, functions: Functions):
        self.name, self._functions = name, functions
        self.pipeline: Pipeline | None = None
        self.types: tuple = ()
        self.named: Operation | None = None
        """The node that gave its handle: it knows the dataset of a one-shot iterator."""
        self._ended = False
        self._put_back: deque = deque()
        """Elements whose attempts were cancelled while they were made."""
        self._attempts: deque[Attempt] = deque()
        self._change = threading.Condition(threading.RLock())
        self._busy = False
        self._thread: threading.Thread | None = None
        self._closed = False

    # Its beginning

    def begin(self, description: Description, op: Operation) -> None:
        """Be at the beginning of a dataset. Raises InvalidArgumentError."""
        pipeline = Pipeline(description, op.graph, self._functions)
        with self._change:
            old, self.pipeline, self._ended = self.pipeline, pipeline, False
            self._put_back.clear()
            self.types = op.attrs["_types"]
        if old is not None:
            old.close()

    def each(self, description: Description, op: Operation) -> Iterator[list]:
        """All elements of a dataset."""
        pipeline = self.pipeline = Pipeline(description, op.graph, self._functions)
        try:
            while (element := pipeline.root.next()) is not END:
                pipeline.check_open()
                yield element
        finally:
            pipeline.close()

    def _opened(self, op: Operation) -> Pipeline:
        """The pipeline; that of a one-shot iterator begins when it is first asked."""
        if self.pipeline is None:
            op = op if self.named is None else self.named
            variant = op.attrs["_dataset"]
            if variant is None:
                raise FailedPreconditionError(None, None, _UNINITIALIZED)
            self.begin(self._functions.value_of(op.graph, *variant), op)
        assert self.pipeline is not None
        return self.pipeline

    # Elements

    def next(self, op: Operation, told: Callable[[Any], None]) -> Callable[[], None]:
        """Begin to make the next element; returns what cancels that."""
        with self._change:
            pipeline = self.pipeline
            if pipeline is not None and not (self._busy or self._attempts) and self._is_there(pipeline):
                told(outcome(lambda: self._taken(op)))
                return _nothing
        return self.ask(lambda: self._taken(op), told)

    def _is_there(self, pipeline: Pipeline) -> bool:
        return self._ended or bool(self._put_back) or pipeline.root.ready

    def _taken(self, op: Operation) -> list:
        pipeline = self._opened(op)
        element = self._put_back.popleft() if self._put_back else END if self._ended else pipeline.root.next()
        if element is END:
            self._ended = pipeline is self.pipeline
            raise OutOfRangeError(None, None, "End of sequence")
        return Taken(element)

    def ask(self, work: Callable[[], list], told: Callable[[Any], None]) -> Callable[[], None]:
        """Let its thread do something, after what it was asked for before."""
        attempt = Attempt(work, told)
        with self._change:
            if self._closed:
                told(CancelledError(None, None, _CLOSED))
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
                    if isinstance(result, Taken):
                        self._put_back.append(result.element)
                    continue
            attempt.told(result)

    def close(self) -> None:
        """Nobody may ask any more; who waits is told."""
        with self._change:
            self._closed = True
            attempts = list(self._attempts)
            self._attempts.clear()
            self._change.notify_all()
        if self.pipeline is not None:
            self.pipeline.close()
        for attempt in attempts:
            attempt.told(CancelledError(None, None, _CLOSED))

    # Saving

    def state(self) -> bytes:
        """How far it has come. Raises FailedPreconditionError before its beginning, UnimplementedError."""
        if self.pipeline is None:
            raise FailedPreconditionError(None, None, _UNINITIALIZED)
        state = {"ended": self._ended, "put_back": plain(self._put_back), "root": self.pipeline.root.state()}
        return bytes(encode(state, "object"))

    def restore(self, data: bytes, op: Operation) -> None:
        """Be where `state` was: of the same dataset, at whose beginning it is."""
        pipeline = self._opened(op)
        state = decode(data, "object", None)
        pipeline.root.restore(state["root"])
        self._ended, self._put_back = state["ended"], deque(revived(state["put_back"]))


class Taken(list):
    """The values of an element's tensors, as a run's own."""

    def __init__(self, element: list):
        super().__init__([copied(v) if not hasattr(v, "dtype") or v.dtype.hasobject else v for v in spread(element)])
        self.element = element


def _nothing() -> None:
    return None


def outcome(work: Callable[[], list]) -> Any:
    """What `work` gives, or the OpError that it raises."""
    try:
        return work()
    except OpError as error:
        return error
    except Exception as error:
        return from_exception(error)(None, None, f"{type(error).__name__}: {error}")


class Iterators:
    """Holds iterators. Each is made by the first node that uses it, and found by its container and its name."""

    def __init__(self, functions: Functions):
        self._functions = functions
        self._held: dict[tuple[str, str], Held] = {}
        self._walks: WeakSet[Held] = WeakSet()
        """What goes through a whole dataset for one node."""
        self._lock = threading.Lock()
        self._closed = False

    def start(self, op: Operation, values: list, told: Callable[[Any], None]) -> Callable[[], None]:
        """Begin what a node does; `told` gets the list of its outputs, or an error. Returns what cancels it."""
        word = op.attrs["_word"]
        try:
            if word in ("reduce", "single"):
                return self._through(op, values, told)
            if word == "get_next_of":
                return self._of_handle(op, values[0]).next(op, told)
            held = self.at(op.attrs["_iterator"])
        except OpError as error:
            told(error)
            return _nothing
        if word == "get_next":
            return held.next(op, told)
        return held.ask(lambda: _WORDS[word](held, op, values), told)

    def at(self, key: tuple[str, str]) -> Held:
        """The iterator of a container and a name. Raises CancelledError."""
        with self._lock:
            if self._closed:
                raise CancelledError(None, None, _CLOSED)
            return self._held.setdefault(key, Held(key[1], self._functions))

    def _of_handle(self, op: Operation, handle: Any) -> Held:
        """The iterator that a handle names. Raises NotFoundError, or InvalidArgumentError for one of other types."""
        with self._lock:
            held = self._held.get(_key(bytes(handle)))
        if held is None:
            raise NotFoundError(None, None, f"Resource {handle!r} is not an iterator of this session.")
        wanted = op.attrs["_types"]
        if held.types and len(held.types) != len(wanted):
            text = f"Number of components does not match: expected {len(wanted)} types but got {len(held.types)}."
            raise InvalidArgumentError(None, None, text)
        for at, (mine, other) in enumerate(zip(held.types, wanted, strict=False)):
            if mine is not other:
                text = f"Data type mismatch at component {at}: expected {other.name} but got {mine.name}."
                raise InvalidArgumentError(None, None, text)
        return held

    def _through(self, op: Operation, values: list, told: Callable[[Any], None]) -> Callable[[], None]:
        """Go through a whole dataset, in a thread of its own."""
        held = Held(op.name, self._functions)
        with self._lock:
            self._walks.add(held)
        work = self._reduced if op.attrs["_word"] == "reduce" else self._single
        cancel = held.ask(lambda: work(held, op, values), told)

        def stop() -> None:
            cancel()
            held.close()

        return stop

    def _reduced(self, held: Held, op: Operation, values: list) -> list:
        count, function = op.attrs["_state"], op.attrs["function"]
        state, captured = list(values[1 : 1 + count]), tuple(values[1 + count :])
        for element in held.each(values[0], op):
            state = self._functions.call(op.graph, function, captured, [*state, *spread(element)])
        return state

    def _single(self, held: Held, op: Operation, values: list) -> list:
        elements = list(islice(held.each(values[0], op), 2))
        if len(elements) != 1:
            text = "Dataset had more than one element." if elements else "Dataset was empty."
            raise InvalidArgumentError(None, None, text)
        return Taken(elements[0])

    def close(self) -> None:
        """The session ends: nothing waits any more, and nothing begins."""
        with self._lock:
            self._closed = True
            held = [*self._held.values(), *self._walks]
        for each in held:
            each.close()


def _make(held: Held, op: Operation, values: Sequence) -> list:
    held.begin(values[0], op)
    return []


def _handle(held: Held, op: Operation, values: Sequence) -> list:
    held.types, held.named = held.types or op.attrs["_types"], op
    return ["\0".join(op.attrs["_iterator"]).encode()]


def _key(handle: bytes) -> tuple[str, str]:
    container, _, name = handle.decode(errors="replace").partition("\0")
    return container, name


def _save(held: Held, op: Operation, values: Sequence) -> list:
    return [held.state()]


def _restore(held: Held, op: Operation, values: Sequence) -> list:
    held.restore(bytes(values[0]), op)
    return []


_WORDS: dict[str, Callable[[Held, Operation, Sequence], list]] = {
    "make": _make,
    "handle": _handle,
    "save": _save,
    "restore": _restore,
}
