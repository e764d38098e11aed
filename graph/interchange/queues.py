"""Queues in TensorFlow's form: a node makes the queue, and its output is the first input of the queue's operations."""

from __future__ import annotations

from typing import Any

from weftwork.graph import dtypes
from weftwork.graph import shapes as dims
from weftwork.graph.build import convert_to_tensor, static_value
from weftwork.graph.interchange.given import Given, reads
from weftwork.graph.interchange.nodes import Inexpressible, Part
from weftwork.graph.interchange.writing import Node, writes
from weftwork.graph.operation import HANDLES, Operation, Tensor
from weftwork.graph.ops.queues import QueueBase
from weftwork.graph.stacks import get_default_graph

_MAKERS = {
    "FIFOQueueV2": ("component_types", "shapes", "capacity", "shared_name"),
    "PaddingFIFOQueueV2": ("component_types", "shapes", "capacity", "shared_name"),
    "PriorityQueueV2": ("component_types", "shapes", "capacity", "shared_name"),
    "RandomShuffleQueueV2": (
        "component_types", "shapes", "capacity", "shared_name", "min_after_dequeue", "seed", "seed2",
    ),
}  # fmt: skip
_WORDS = {
    "QueueEnqueueV2": "enqueue",
    "QueueEnqueueManyV2": "enqueue_many",
    "QueueDequeueV2": "dequeue",
    "QueueDequeueManyV2": "dequeue_many",
    "QueueDequeueUpToV2": "dequeue_up_to",
    "QueueCloseV2": "close",
    "QueueSizeV2": "size",
    "QueueIsClosedV2": "is_closed",
}


# Writing


@writes(*_MAKERS)
def _write_queue(node: Node) -> tuple[list[Part], dict[str, Any]]:
    attrs = {name: node.attrs[name] for name in _MAKERS[node.type]}
    return [], {**attrs, "container": node.op.container.encode()}


@writes(*_WORDS)
def _write_on_queue(node: Node) -> tuple[list[Part], dict[str, Any]]:
    maker = node.attrs.get("_made_by")
    if maker is None or node.op.section is not None:
        raise Inexpressible
    node.op.graph.get_operation_by_name(maker)  # raises LookupError if it is missing
    attrs: dict[str, Any] = {}
    if "Dequeue" in node.type:
        attrs = {"component_types": list(node.attrs["_definition"].dtypes)}
    if node.type == "QueueCloseV2":
        attrs = {"cancel_pending_enqueues": node.attrs["_cancel"]}
    return [Part(maker, dtypes.resource), *node.inputs()[node.attrs.get(HANDLES, 0) :]], attrs


# Reading


class _Read(QueueBase):
    """A queue in an imported graph."""

    def __init__(self, op: Operation):
        self._op, attrs = op, op.attrs
        self._definition, self._container, self._key = attrs["_definition"], attrs["_container"], attrs["_queue"]
        self._dtypes, self._names = self._definition.dtypes, None
        self._shapes = None if self._definition.shapes is None else list(self._definition.shapes)


@reads(*_MAKERS)
def _read_queue(given: Given) -> Tensor:
    kind, kinds = given.type.removesuffix("V2"), list(given["component_types"])
    raw: Any = [dims.as_raw(shape) for shape in given["shapes"]] or None
    if kind == "PriorityQueue":
        kinds, raw = [dtypes.int64, *kinds], [(), *(raw or ())]
    seeds = (given["seed"], given["seed2"]) if "seed" in given.attrs else None
    queue = _Made(kind, given["capacity"], kinds, raw, given, seeds)
    return queue.queue_ref


class _Made(QueueBase):
    """The queue made by an imported node."""

    def __init__(self, kind: str, capacity: int, kinds: list, raw: Any, given: Given, seeds: Any):
        self._padded = kind == "PaddingFIFOQueue"
        keep = given.attrs.get("min_after_dequeue", 0)
        shared, container = (given.attrs.get(name) or "" for name in ("shared_name", "container"))
        with get_default_graph().container(_text(container)):
            super().__init__(kind, capacity, kinds, raw, None, _text(shared), given.name, seeds, keep)

    def _allowed(self, shape: dims.RawShape) -> bool:
        return shape is not None if self._padded else dims.is_full(shape)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else value


@reads(*_WORDS)
def _read_on_queue(given: Given) -> Any:
    maker = given.inputs[0].op
    if "_definition" not in maker.attrs:
        raise ValueError(f"{maker.name} does not make a queue")
    queue, word, inputs = _Read(maker), _WORDS[given.type], given.inputs[1:]
    result = queue.node(word, inputs, _outputs(queue, word, inputs), given.name, _cancels(given))
    return list(result.outputs) or result


def _cancels(given: Given) -> bool:
    return bool(given.attrs.get("cancel_pending_enqueues"))


def _outputs(queue: QueueBase, word: str, inputs: list[Tensor]) -> list:
    if word in ("enqueue", "enqueue_many", "close"):
        return []
    if word in ("size", "is_closed"):
        return [(dtypes.int32 if word == "size" else dtypes.bool, ())]
    raw: Any = queue.shapes
    shapes = [dims.as_raw(shape) for shape in raw]
    if word != "dequeue":
        count = static_value(convert_to_tensor(inputs[0]))
        rows = None if count is None or word == "dequeue_up_to" else int(count)
        shapes = [None if shape is None else (rows, *shape) for shape in shapes]
    return list(zip(queue.dtypes, shapes, strict=True))
