"""Accumulators and barriers in TensorFlow's form: a node makes one, and its output is the first input of the others."""

from __future__ import annotations

from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.interchange.given import Given, reads
from weftwork.graph.interchange.nodes import Inexpressible, Part
from weftwork.graph.interchange.writing import Node, writes
from weftwork.graph.operation import HANDLES, Operation, Tensor
from weftwork.graph.ops.accumulators import Barrier, ConditionalAccumulator, SparseConditionalAccumulator
from weftwork.graph.stacks import get_default_graph

_CLASSES: dict[str, Any] = {
    "ResourceConditionalAccumulator": ConditionalAccumulator,
    "SparseConditionalAccumulator": SparseConditionalAccumulator,
    "Barrier": Barrier,
}
_GIVEN = {
    "BarrierInsertMany": "component_index",
    "BarrierTakeMany": "allow_small_batch",
    "BarrierClose": "cancel_pending_enqueues",
}
"""The attributes that hold what is not an input here."""


@writes(*_CLASSES)
def _write_maker(node: Node) -> tuple[list[Part], dict[str, Any]]:
    public = {name: value for name, value in node.attrs.items() if not name.startswith("_")}
    return [], {**public, "container": node.op.container.encode()}


@writes(*{type for made in _CLASSES.values() for type, _ in made.op_types.values()})
def _write_use(node: Node) -> tuple[list[Part], dict[str, Any]]:
    if node.op.section is not None:
        raise Inexpressible
    maker = node.op.graph.get_operation_by_name(node.attrs["_made_by"])  # raises LookupError if it is missing
    given = node.attrs["_given"]
    attrs: dict[str, Any] = {_GIVEN[node.type]: given[0]} if node.type in _GIVEN else {}
    if node.type == "SparseAccumulatorApplyGradient":
        attrs["has_known_shape"] = node.op.valued[3].raw_shape != (0,)
    return [Part(maker.name, maker.outputs[0].dtype.base_dtype), *node.inputs()[node.attrs.get(HANDLES, 0) :]], attrs


@reads(*_CLASSES)
def _read_maker(given: Given) -> Tensor:
    shared, container = (_text(given.attrs.get(name) or "") for name in ("shared_name", "container"))
    with get_default_graph().container(container):
        if given.type == "Barrier":
            made: Any = Barrier(given["component_types"], given["shapes"] or None, shared, given.name)
            return made.barrier_ref
        kind = _CLASSES[given.type]
        made = kind(given["dtype"], given["shape"], shared, given.name, _text(given["reduction_type"]))
        return made.accumulator_ref


@reads(*{type for made in _CLASSES.values() for type, _ in made.op_types.values()})
def _read_use(given: Given) -> Any:
    maker: Operation = given.inputs[0].op
    if maker.type not in _CLASSES:
        raise ValueError(f"{maker.name} makes neither an accumulator nor a barrier")
    held, inputs, name = _CLASSES[maker.type].made_by(maker), given.inputs[1:], given.name
    word = next(word for word, (type, _) in held.op_types.items() if type == given.type)
    own = [given[_GIVEN[given.type]]] if given.type in _GIVEN else []
    if word in ("apply", "insert", "set_step", "close"):
        return held._node(word, inputs, [], name, own)
    if word != "take":
        return held._node(word, [], [(dtypes.int32, ())], name).outputs[0]
    if maker.type == "Barrier":
        found = held.take_many(*inputs, *own, name=name)
        return [found.indices, found.keys, *found.values]
    taken = held.take_grad(*inputs, name=name)
    return taken if isinstance(taken, Tensor) else list(taken)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else value
