"""Queues: nodes that put elements into a queue of the session or take elements out, and wait until they can.

element    a list of components, one for each dtype of the queue
handle     the tensor that stands for the queue. It is the first input of the queue's operations, and has no value
A queue belongs to the session, like a variable: two sessions of one graph have two queues.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from weftwork.graph import dtypes as types
from weftwork.graph import shapes as dims
from weftwork.graph.build import convert_to_tensor, static_value
from weftwork.graph.graph import Graph
from weftwork.graph.operation import HANDLES, Kind, Operation, Tensor
from weftwork.graph.seeds import stream_seeds
from weftwork.graph.stacks import get_default_graph


class Definition(NamedTuple):
    """A queue's definition: class, capacity (-1: none), dtypes, shapes; for a shuffle its seeds and minimum size."""

    kind: str
    capacity: int
    dtypes: tuple
    shapes: tuple | None
    seeds: tuple[int, int] = (0, 0)
    keep: int = 0


class QueueBase:
    """The base class of all queues; see FIFOQueue.

    kind: the type of its operation.   seeds: of the graph and of the queue.   keep: elements that a shuffle keeps.
    Raises TypeError for a capacity that is not an int, ValueError for no dtypes, or another number of names.
    """

    def __init__(
        self,
        kind: str,
        capacity: int,
        dtypes: Any,
        shapes: Any,
        names: Any,
        shared_name: str | None,
        name: str,
        seeds: tuple[int, int] | None = None,
        keep: int = 0,
    ):
        listed = dtypes if isinstance(dtypes, (list, tuple)) else [dtypes]
        self._dtypes = tuple([types.as_dtype(d) for d in listed])
        if not self._dtypes:
            raise ValueError(f"Attr 'component_types' of '{kind}V2' Op passed list of length 0 less than minimum 1.")
        if capacity is not None and not isinstance(capacity, (int, np.integer)):
            raise TypeError(f"Expected int for argument 'capacity' not {capacity!r}.")
        self._shapes = self._one_for_each(shapes)
        self._names = None if names is None else tuple(names if isinstance(names, (list, tuple)) else [names])
        if self._names is not None and len(self._names) != len(self._dtypes):
            counts = f"received len(names)={len(self._names)},len(dtypes)={len(self._dtypes)}"
            raise ValueError(f"List of names must have the same length as the list of dtypes, {counts}")
        raw = None if self._shapes is None else tuple(self._shapes)
        size, seeds = -1 if capacity is None else int(capacity), seeds or (0, 0)
        self._definition = Definition(kind, size, self._dtypes, raw, seeds, keep)
        self._make(get_default_graph(), shared_name or "", name, seeds)

    def _make(self, graph: Graph, shared_name: str, name: str, seeds: tuple[int, int]) -> None:
        """Create the node that makes the queue, unless another node of the session has made it."""
        kind, capacity, dtypes, raw, _, keep = self._definition
        first = kind == "PriorityQueue"  # TensorFlow does not count the priority
        public = {
            "component_types": list(dtypes)[first:],
            "shapes": [dims.TensorShape(shape) for shape in raw or ()][first:],
            "capacity": capacity,
            "shared_name": shared_name.encode(),
        }
        if kind == "RandomShuffleQueue":
            public |= {"min_after_dequeue": keep, "seed": seeds[0], "seed2": seeds[1]}
        attrs = {**public, "_definition": self._definition, "_word": "make", "_cancel": False, "_choices": None}
        with graph.control_dependencies(None):  # one queue, however often a loop iterates
            outputs: list = [(types.resource, ())]
            self._op = graph.add(Kind.QUEUE, f"{kind}V2", attrs=attrs, outputs=outputs, name=name)
        self._container, self._key = self._op.container, shared_name or self._op.name
        attrs.update(_container=self._container, _queue=self._key)

    def _one_for_each(self, given: Any) -> list | None:
        """A shape for each component; a single shape is that of a single component."""
        if given is None:
            return None
        if isinstance(given, dims.TensorShape) or all([d is None or isinstance(d, int) for d in given]):
            given = [given]
        raw = [dims.as_raw(shape) for shape in given]
        if not all([self._allowed(shape) for shape in raw]):
            raise ValueError(f"{self._required}: {[dims.TensorShape(shape) for shape in raw]}")
        if len(raw) != len(self._dtypes):
            raise ValueError(
                "Queue shapes must have the same length as dtypes, "
                f"received len(shapes)={len(raw)}, len(dtypes)={len(self._dtypes)}"
            )
        return raw

    _required = "All shapes must be fully defined"

    def _allowed(self, shape: dims.RawShape) -> bool:
        return dims.is_full(shape)

    # Properties

    @property
    def queue_ref(self) -> Any:
        """The tensor that stands for the queue; its operation makes the queue unless another one has."""
        return self._op.outputs[0]

    @property
    def name(self) -> str:
        """The queue's name."""
        return self._op.name

    @property
    def dtypes(self) -> list[Any]:
        """The dtypes of the components."""
        return list(self._dtypes)

    @property
    def shapes(self) -> list[Any]:
        """The shapes of the components."""
        raw = self._shapes or (None,) * len(self._dtypes)
        return [dims.TensorShape(shape) for shape in raw]

    @property
    def names(self) -> list[Any] | None:
        """The names of the components."""
        return None if self._names is None else list(self._names)

    def to_flat(self) -> dict[str, Any]:
        """The queue as plain data, without a reference back to the graph."""
        return {**self.__dict__, "_op": self._op.index}

    @classmethod
    def from_flat(cls, graph: Graph, flat: dict[str, Any]) -> QueueBase:
        """Rebuild the queue in a graph from the data of `to_flat`."""
        queue = cls.__new__(cls)
        queue.__dict__.update(flat, _op=graph.operations[flat["_op"]])
        return queue

    @staticmethod
    def from_list(index: Any, queues: Sequence[QueueBase]) -> QueueBase:
        """Choose queue number `index` of a list at run time, whenever an operation on it runs.

        Raises TypeError unless the queues have the same dtypes and names, ValueError for an index that is no scalar. At
        run time, raises InvalidArgumentError for an index out of range.
        """
        if not queues or not isinstance(queues, (list, tuple)) or not all([isinstance(q, QueueBase) for q in queues]):
            raise TypeError("A list of queues expected")
        for other in queues[1:]:
            if other._dtypes != queues[0]._dtypes:
                raise TypeError("Queues do not have matching component dtypes.")
            if other._names != queues[0]._names:
                raise TypeError("Queues do not have matching component names.")
        return _ChosenQueue(convert_to_tensor(index, name="index"), list(queues))

    # Operations

    def enqueue(self, vals: Any, name: str | None = None) -> Operation:
        """The operation that adds one element; it waits while the queue is full.

        vals: a tensor, a list of them, or a dict if the components have names.
        Raises ValueError for values that do not match. At run time, raises CancelledError if the queue is closed.
        """
        with self._scope(name, "enqueue") as scope:
            tensors = self._components(vals, self._shapes)
            return self.node("enqueue", tensors, [], scope)

    def enqueue_many(self, vals: Any, name: str | None = None) -> Operation:
        """The operation that adds the rows of `vals` one after another, as soon as there is room.

        Raises ValueError for values that do not match, or that have different numbers of rows.
        """
        raw = tuple([None if s is None else (None, *s) for s in self._shapes or (None,) * len(self._dtypes)])
        with self._scope(name, "EnqueueMany") as scope:
            tensors = self._components(vals, raw, many=True)
            rows = None
            for i, tensor in enumerate(tensors):
                many = None if tensor.raw_shape is None else tensor.raw_shape[0]
                if None not in (rows, many) and rows != many:
                    raise ValueError(f"Dimensions {rows} and {many} are not compatible: component {i} of {self.name!r}")
                rows = many if rows is None else rows
            return self.node("enqueue_many", tensors, [], scope)

    def dequeue(self, name: str | None = None) -> Any:
        """Take an element: a tensor, a list, or a dict if the components have names. Waits while the queue is empty.

        At run time, raises OutOfRangeError if the queue is closed and empty.
        """
        raw = self._shapes or (None,) * len(self._dtypes)
        outputs = list(zip(self._dtypes, raw, strict=True))
        return self._returned(self.node("dequeue", [], outputs, name or self._named("Dequeue")))

    def dequeue_many(self, n: Any, name: str | None = None) -> Any:
        """Take n elements, stacked.

        At run time, raises OutOfRangeError if the queue is closed and has fewer, InvalidArgumentError if the
        components have no declared shapes.
        """
        return self._several("dequeue_many", n, name, "DequeueMany")

    def dequeue_up_to(self, n: Any, name: str | None = None) -> Any:
        """As dequeue_many, but a closed queue returns what is left, and raises OutOfRangeError only if empty."""
        return self._several("dequeue_up_to", n, name, "DequeueUpTo")

    def close(self, cancel_pending_enqueues: bool = False, name: str | None = None) -> Operation:
        """The operation that closes the queue, after waiting enqueues have completed, or after cancelling them."""
        return self.node("close", [], [], name or self._named("Close"), cancel=cancel_pending_enqueues)

    def size(self, name: str | None = None) -> Tensor:
        """The number of elements, int32."""
        return self.node("size", [], [(types.int32, ())], name or self._named("Size")).outputs[0]

    def is_closed(self, name: str | None = None) -> Tensor:
        """Whether the queue is closed, bool."""
        return self.node("is_closed", [], [(types.bool, ())], name or self._named("Is_Closed")).outputs[0]

    def _several(self, word: str, n: Any, name: str | None, called: str) -> Any:
        with self._scope(name, called) as scope:
            count = convert_to_tensor(n, types.int32, name="n")
            if count.raw_shape:
                text = f"Shape must be rank 0 but is rank {len(count.raw_shape)} for {scope.rstrip('/')!r}"
                raise ValueError(f"{text}: the number of elements")
            known = static_value(count)
            if known is not None and known < 0:
                raise ValueError(f"Input 'n' must be >= 0, but is {known} for {scope.rstrip('/')!r}")
            rows = None if known is None or word == "dequeue_up_to" else int(known)
            raw: list[Any] = self._shapes or [None] * len(self._dtypes)
            outputs = [(d, None if s is None else (rows, *s)) for d, s in zip(self._dtypes, raw, strict=True)]
            return self._returned(self.node(word, [count], outputs, scope))

    @contextmanager
    def _scope(self, name: str | None, called: str) -> Iterator[str]:
        """The scope of an operation's own constants, in the queue's graph; the operation has its name."""
        with self._op.graph.as_default() as graph, graph.name_scope(name or self._named(called)) as scope:
            yield scope

    def _components(self, vals: Any, raw: Sequence | None, many: bool = False) -> list[Tensor]:
        if isinstance(vals, dict):
            if self._names is None:
                raise ValueError("Queue must have names to enqueue a dictionary")
            if sorted(self._names) != sorted(vals):
                raise ValueError(
                    "Keys in dictionary to enqueue do not match names of Queue.  Dictionary: "
                    f"({sorted(vals)}), Queue: ({sorted(self._names)})"
                )
            vals = [vals[name] for name in self._names]
        elif self._names is not None:
            raise ValueError("You must enqueue a dictionary in a Queue with names")
        items = vals if isinstance(vals, (list, tuple)) and len(self._dtypes) == len(vals) else [vals]
        if len(items) != len(self._dtypes):
            given = len(vals) if isinstance(vals, (list, tuple)) else 1
            raise ValueError(f"The queue has {len(self._dtypes)} components, but got {given}.")
        tensors = [self._component(i, v) for i, v in enumerate(items)]
        for i, tensor in enumerate(tensors if many else ()):
            if tensor.raw_shape == ():
                raise ValueError(f"Shape () must have rank at least 1: component {i} of queue {self.name!r}")
        for i, (tensor, shape) in enumerate(zip(tensors, raw or (None,) * len(tensors), strict=True)):
            if not dims.compatible(tensor.raw_shape, shape):
                raise ValueError(
                    f"Shapes {dims.text(tensor.raw_shape)} and {dims.text(shape)} are incompatible: component {i} of "
                    f"queue {self.name!r}"
                )
        return tensors

    def _component(self, number: int, value: Any) -> Tensor:
        """A value as a tensor of the component's dtype. Raises ValueError or TypeError, naming the component."""
        try:
            return convert_to_tensor(value, self._dtypes[number], name=f"component_{number}")
        except (TypeError, ValueError) as error:
            raise type(error)(f"component_{number}: {error}") from None

    def _named(self, word: str) -> str:
        return f"{self.name.rpartition('/')[2]}_{word}"

    def _returned(self, op: Operation) -> Any:
        if self._names is not None:
            return dict(zip(self._names, op.outputs, strict=True))
        return op.outputs[0] if len(op.outputs) == 1 else list(op.outputs)

    def handle(self) -> tuple[list[Tensor], dict[str, Any]]:
        """The inputs and attributes that identify the queue, for the nodes of this queue and of readers."""
        key, container, definition = self._key, self._container, self._definition
        made_by = {"_made_by": self._op.name, HANDLES: 1}
        attrs = {"_queue": key, "_container": container, "_definition": definition, "_choices": None, **made_by}
        return [self.queue_ref], attrs

    def node(self, word: str, inputs: Sequence[Tensor], outputs: list, name: str, cancel: bool = False) -> Operation:
        """An operation on the queue: its kind, its inputs, and the (dtype, shape) of its outputs.

        word: what it does, such as "enqueue".   cancel: whether closing also cancels.
        """
        graph = self._op.graph
        given, attrs = self.handle()
        attrs = {**attrs, "_word": word, "_cancel": cancel}
        kind = "Queue" + "".join([part.capitalize() for part in word.split("_")]) + "V2"
        with graph.as_default():
            return graph.add(Kind.QUEUE, kind, inputs=(*given, *inputs), attrs=attrs, outputs=outputs, name=name)


class _ChosenQueue(QueueBase):
    """One of several queues, chosen at run time by the operation's first input after the handle."""

    def __init__(self, index: Tensor, queues: list[QueueBase]):
        first = queues[0]
        if index.raw_shape:
            raise ValueError(f"Shape must be rank 0 but is rank {len(index.raw_shape)}: the index of a queue, {index}")
        self._index, self._dtypes, self._names = index, first._dtypes, first._names
        raw = [q._shapes or (None,) * len(first._dtypes) for q in queues]
        alike = [functools.reduce(dims.common, column) for column in zip(*raw, strict=True)]
        self._shapes = None if all([s is None for s in alike]) else alike
        self._op = index.graph.add(Kind.NOOP, "GatherV2", outputs=[(types.resource, ())], name="GatherV2")
        self._container, self._key, self._definition = first._container, first._key, first._definition
        self._choices = tuple([(q._container, q._key, q._definition) for q in queues])

    def to_flat(self) -> dict[str, Any]:
        return {**super().to_flat(), "_index": (self._index.op.index, self._index.index)}

    @classmethod
    def from_flat(cls, graph: Graph, flat: dict[str, Any]) -> QueueBase:
        queue: Any = super().from_flat(graph, flat)
        op, number = flat["_index"]
        queue._index = graph.operations[op].outputs[number]
        return queue

    def handle(self) -> tuple[list[Tensor], dict[str, Any]]:
        return [self.queue_ref, self._index], {**super().handle()[1], "_choices": self._choices, "_made_by": None}


class FIFOQueue(QueueBase):
    """A queue whose elements come out in the order in which they went in.

    capacity: the largest number of elements.   dtypes, shapes, names: of an element's components. Without shapes any
    value fits, but elements can only be taken one by one.   shared_name: queues with the same name are one queue of the
    session. Raises ValueError unless there is a fully defined shape for each dtype.

        queue = tf.FIFOQueue(10, tf.float32, shapes=[])
        put, take = queue.enqueue(1.0), queue.dequeue()
    """

    def __init__(self, capacity: int, dtypes: Any, shapes=None, names=None, shared_name=None, name: str = "fifo_queue"):
        with get_default_graph().device("CPU"):
            super().__init__("FIFOQueue", capacity, dtypes, shapes, names, shared_name, name)


class RandomShuffleQueue(QueueBase):
    """A queue whose elements come out in random order; `min_after_dequeue` elements always stay, for good mixing."""

    def __init__(
        self,
        capacity: int,
        min_after_dequeue: int,
        dtypes: Any,
        shapes=None,
        names=None,
        seed: int | None = None,
        shared_name=None,
        name: str = "random_shuffle_queue",
    ):
        seeds, keep = stream_seeds(seed), int(min_after_dequeue)
        if seeds is not None and seed is None and shared_name is not None:  # each program's operations count otherwise
            seeds = (seeds[0], int(hashlib.md5(f"{seeds[0]}{shared_name}".encode()).hexdigest()[:8], 16) & 0x7FFF_FFFF)
        super().__init__("RandomShuffleQueue", capacity, dtypes, shapes, names, shared_name, name, seeds, keep)


class PaddingFIFOQueue(QueueBase):
    """A FIFOQueue whose elements may differ in the unknown dimensions of `shapes`; `dequeue_many` pads with zeros.

    Raises ValueError unless there is a shape of known rank for each dtype.
    """

    _required = "All shapes must have a defined rank"

    def __init__(
        self, capacity: int, dtypes: Any, shapes: Any, names=None, shared_name=None, name: str = "padding_fifo_queue"
    ):
        alone = isinstance(shapes, dims.TensorShape) or not isinstance(shapes, Sequence) or not shapes
        if alone or any([shape is None or isinstance(shape, int) for shape in shapes]):
            raise ValueError("When providing partial shapes, a list of shapes must be provided.")
        count = len(dtypes) if isinstance(dtypes, (list, tuple)) else 1
        if len(shapes) != count:
            text = f"but received {count} dtypes and {len(shapes)} shapes."
            raise ValueError(f"Shapes must be provided for all components, {text}")
        super().__init__("PaddingFIFOQueue", capacity, dtypes, shapes, names, shared_name, name)

    def _allowed(self, shape: dims.RawShape) -> bool:
        return shape is not None


class PriorityQueue(QueueBase):
    """A queue that returns the element with the smallest priority: its first component, an int64 before the `types`.

    names: of all components, the priority's first.
    """

    def __init__(
        self, capacity: int, types: Any, shapes=None, names=None, shared_name=None, name: str = "priority_queue"
    ):
        listed = list(types) if isinstance(types, (list, tuple)) else [types]
        if shapes is not None:
            given = isinstance(shapes, dims.TensorShape) or all([d is None or isinstance(d, int) for d in shapes])
            shapes = [(), *([shapes] if given and listed else shapes)]
        super().__init__("PriorityQueue", capacity, ["int64", *listed], shapes, names, shared_name, name)
