"""The queue host: holds the queues, readers, accumulators and barriers of one session.

Their nodes run here and can wait without occupying a thread or a worker. The first node that uses a queue creates it.
Later nodes find it by its container and by its shared name, or else its own name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from weftwork.actors.queues.accumulators import Accumulator, BarrierKeeper, Keeper
from weftwork.actors.queues.queue import Attempt, Queue
from weftwork.actors.queues.reader import Reader, Request
from weftwork.actors.queues.staging import MapStage, Stage
from weftwork.graph import shapes
from weftwork.graph.errors import CancelledError, InvalidArgumentError, OpError
from weftwork.graph.kernels.indices import inside
from weftwork.graph.operation import Operation
from weftwork.graph.ops.queues import Definition
from weftwork.graph.python.forks import fresh
from weftwork.graph.python.ownership import copied

KEEPERS: dict[str, type[Keeper]] = {
    "ResourceConditionalAccumulator": Accumulator,
    "SparseConditionalAccumulator": Accumulator,
    "Barrier": BarrierKeeper,
    "Stage": Stage,
    "MapStage": MapStage,
    "OrderedMapStage": MapStage,
}
"""Classes for the kinds that are not queues."""


class QueueHost:
    """Holds queues and readers. others: hosts for nodes with a `_host` attribute, by the value of that attribute."""

    def __init__(self, **others: Any):
        self._others = others
        self._queues: dict[tuple[str, str], Any] = {}
        self._readers: dict[tuple[str, str], Reader] = {}
        self._lock = fresh(threading.RLock())
        self._closed = False

    def start(self, op: Operation, values: list, on_done: Callable[[Any], None]) -> Callable[[], None]:
        """Begin a node's action. `on_done` gets its outputs, or an error. Returns a function that cancels it."""
        attrs = op.attrs
        if "_host" in attrs:
            return self._others[attrs["_host"]].start(op, values, on_done)
        action = attrs["_word"]
        with self._lock:
            try:
                if "_reader" in attrs:
                    return self._start_reader(attrs, values, on_done)
                queue, values = self._found(attrs, values)
                if isinstance(queue, Keeper):
                    give_up = queue.begin(action, [*values, *attrs["_given"]], on_done)
                    return lambda: self._locked(give_up)
                attempt = _attempt(action, queue.definition, values, on_done)
            except OpError as error:
                on_done(error)
                return _nothing
            if attempt is None:
                on_done([_inspected(queue, action)])
                return _nothing
            if action == "close" and attrs["_cancel"]:
                queue.close_at_once()
                on_done([])
                return _nothing
            queue.start(attempt)
        return lambda: self._cancel(queue, attempt)

    def _locked(self, function: Callable[[], None]) -> None:
        with self._lock:
            function()

    def _start_reader(
        self, attrs: Mapping[str, Any], values: list, on_done: Callable[[Any], None]
    ) -> Callable[[], None]:
        if self._closed:
            raise CancelledError(None, None, "The session is closed, and its readers with it.")
        action, reader, name = attrs["_word"], self._readers.get(attrs["_reader"]), attrs["_reader"][1]
        if reader is None:
            reader = self._readers[attrs["_reader"]] = Reader(attrs["_records"])
        if action in ("read", "read_up_to"):
            queue, values = self._found(attrs, values)
            wanted = int(values[0]) if values else 1
            if wanted <= 0:
                raise InvalidArgumentError(None, None, f"num_records must be > 0, but is {wanted}")
            request = Request(queue, wanted, action == "read_up_to", on_done)
            reader.start(request)
            return lambda: self._cancel(reader, request)
        if action == "reset":
            reader.reset()
            on_done([])
        elif action == "restore_state":
            reader.restore(name, values[0])
            on_done([])
        elif action in ("make", "serialize_state"):
            on_done([name.encode() if action == "make" else reader.state()])
        else:
            on_done([np.int64(reader.produced if action == "num_records_produced" else reader.completed)])
        return _nothing

    def _cancel(self, where: Any, what: Any) -> None:
        with self._lock:
            where.cancel(what)

    def _found(self, attrs: Mapping[str, Any], values: list) -> tuple[Any, list]:
        """The queue that a node refers to, and the node's remaining inputs."""
        choices = attrs.get("_choices")
        if choices is None:
            return self._queue(attrs["_container"], attrs["_queue"], attrs["_definition"]), values
        if np.ndim(values[0]):
            text = f"The index of a queue must be a scalar, but has shape {list(np.shape(values[0]))}"
            raise InvalidArgumentError(None, None, text)
        return self._queue(*choices[int(inside(values[0], len(choices)))]), values[1:]

    def _queue(self, container: str, name: str, definition: Definition) -> Any:
        if self._closed:
            raise CancelledError(None, None, "The session is closed, and its queues with it.")
        queue = self._queues.get((container, name))
        if queue is None:
            if definition.kind not in KEEPERS:
                _check(definition)
            queue = self._queues[container, name] = KEEPERS.get(definition.kind, Queue)(name, definition)
        elif not _is_same(queue.definition, definition):
            raise InvalidArgumentError(None, None, _difference(name, queue.definition, definition))
        return queue

    def take_over(self, other: QueueHost, but: Collection[str]) -> None:
        """Adopt the queues and readers of a host that is closing, except those in the containers `but`."""
        with self._lock:
            self._readers.update({key: reader for key, reader in other._readers.items() if key[0] not in but})
            self._queues.update({key: queue for key, queue in other._queues.items() if key[0] not in but})

    def close(self) -> None:
        """Cancel everything that waits, and refuse anything new."""
        with self._lock:
            self._closed = True
            for reader in self._readers.values():
                reader.close()
            for queue in self._queues.values():
                queue.cancel_all()
        for other in self._others.values():
            other.close()


def _nothing() -> None:
    return None


def _inspected(queue: Queue, action: str) -> Any:
    """The output of a node that only inspects the queue."""
    if action == "make":
        return queue.name.encode()
    return np.int32(queue.size) if action == "size" else np.bool_(queue.closed)


def _check(definition: Definition) -> None:
    """Raise InvalidArgumentError for a queue that could never yield an element."""
    keep, capacity = definition.keep, definition.capacity
    if keep < 0:
        raise InvalidArgumentError(None, None, f"min_after_dequeue {keep} must be >= 0")
    if keep and 0 <= capacity <= keep:
        raise InvalidArgumentError(None, None, f"min_after_dequeue {keep} must be < capacity {capacity}")


def _is_same(held: Definition, asked: Definition) -> bool:
    """Whether two definitions can share one queue. Unknown dimensions match any."""
    if held.kind != "PaddingFIFOQueue" or None in (held.shapes, asked.shapes):
        return held == asked
    pairs = zip(held.shapes or (), asked.shapes or (), strict=False)
    return held == asked._replace(shapes=held.shapes) and all([shapes.compatible(a, b) for a, b in pairs])


def _difference(name: str, held: Definition, asked: Definition) -> str:
    """The message about two definitions of one queue that differ."""
    if held.kind != asked.kind:
        text = f"Shared queue '{name}' has type '{held.kind}' that does not match type of node '{asked.kind}'"
        return f"Expected {held.kind}, found {asked.kind}V2: {text}"
    fields = {
        "capacity": ("capacity", str, "was"),
        "dtypes": ("component types", lambda types: ", ".join([kind.cpp_name for kind in types]), "were"),
        "shapes": ("component shapes", _listed, "were"),
        "keep": ("min_after_dequeue", str, "was"),
    }
    for field, (label, text, was) in fields.items():
        has, wants = getattr(held, field), getattr(asked, field)
        if has != wants:
            return f"Shared queue '{name}' has {label} {text(has)} but requested {label} {was} {text(wants)}."
    return f"Shared queue '{name}' has random seeds {held.seeds} but requested seeds are {asked.seeds}."


def _listed(known: tuple | None) -> str:
    """The shapes of the components, in the words of TensorFlow's runtime."""
    return f"[{', '.join([shapes.bracket_text(shape) for shape in known or ()])}]"


def _attempt(action: str, definition: Definition, values: list, on_done: Callable[[Any], None]) -> Attempt | None:
    """The attempt for a node's action, or None if it only inspects the queue. Raises InvalidArgumentError."""
    if action in ("size", "is_closed", "make"):
        return None
    if action == "close":
        return Attempt("close", lambda result: on_done(_failed(result) or []))
    if action in ("enqueue", "enqueue_many"):
        rows = [tuple(values)] if action == "enqueue" else _rows(definition, values)
        return Attempt(
            "enqueue", lambda result: on_done(_failed(result) or []), [_checked(definition, r) for r in rows]
        )
    if action == "dequeue":
        return Attempt("dequeue", lambda result: on_done(_failed(result) or list(result[0])), wanted=1)
    if np.ndim(values[0]):
        raise InvalidArgumentError(None, None, f"n must be a scalar, but has the shape {list(np.shape(values[0]))}")
    wanted = int(values[0])
    if definition.shapes is None:
        text = f"{definition.kind}'s DequeueMany and DequeueUpTo require the components to have specified shapes."
        raise InvalidArgumentError(None, None, text)
    if wanted < 0:
        kind = "DequeueManyOp" if action == "dequeue_many" else "DequeueUpToOp"
        raise InvalidArgumentError(None, None, f"{kind} requested {wanted} < 0 elements")

    def together(result: Any) -> None:
        on_done(
            _failed(result) or [_stacked(definition, i, [e[i] for e in result]) for i in range(len(definition.dtypes))]
        )

    return Attempt("dequeue", together, wanted=wanted, allow_fewer=action == "dequeue_up_to")


def _rows(definition: Definition, values: list) -> list[tuple]:
    """Split arrays into elements. Raises InvalidArgumentError naming the component that does not fit."""
    count = np.shape(values[0])[:1]
    for i, value in enumerate(values):
        row = None if definition.shapes is None else definition.shapes[i]
        wanted = None if row is None or not count else (*count, *row)
        got = np.shape(value)
        if not got or got[:1] != count or not shapes.compatible(got, wanted):
            expected = shapes.bracket_text(wanted) if wanted is not None else f"[{count[0] if count else '?'},...]"
            text = f"Shape mismatch in tuple component {i}. Expected {expected}, got {shapes.bracket_text(got)}"
            if row is None and got and count:
                text = (
                    "All input tensors must have the same size in the 0th dimension. "
                    f"Component {i} has {got[0]}, and should have {count[0]}"
                )
            raise InvalidArgumentError(None, None, text)
    return list(zip(*values, strict=True))


def _failed(result: Any) -> Any:
    return result if isinstance(result, Exception) else None


def _checked(definition: Definition, element: tuple) -> tuple:
    """Check an element against the queue's shapes, and copy values that others may write to."""
    made = []
    for i, value in enumerate(element):
        shape = None if definition.shapes is None else definition.shapes[i]
        if not shapes.compatible(np.shape(value), shape):
            expected, got = shapes.bracket_text(shape), shapes.bracket_text(np.shape(value))
            text = f"Shape mismatch in tuple component {i}. Expected {expected}, got {got}"
            raise InvalidArgumentError(None, None, text)
        plain = type(value) is np.ndarray and not value.dtype.hasobject
        made.append(value if plain and not value.flags.writeable and value.base is None else copied(value))
    return tuple(made)


def _stacked(definition: Definition, component: int, values: list) -> Any:
    """Stack one component of several elements, padding open dimensions with zeros to the largest."""
    shape = definition.shapes[component]  # type: ignore[index]
    largest = tuple([max([np.shape(v)[axis] for v in values], default=d or 0) for axis, d in enumerate(shape)])
    array = np.zeros((len(values), *largest), definition.dtypes[component].as_numpy_dtype)
    if array.dtype == object:
        array.fill(b"")
    for at, value in enumerate(values):
        array[(at, *[slice(0, d) for d in np.shape(value)])] = value
    return array
