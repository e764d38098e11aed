"""Derivatives of TensorArrays: the gradient of a flow is a flow that holds the gradients of the cells."""

from __future__ import annotations

from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.build import apply
from weftwork.graph.gradients.registry import not_differentiable, rule
from weftwork.graph.kernels import cells as kernels
from weftwork.graph.operation import Operation, Tensor

not_differentiable("TensorArrayV3", "TensorArraySizeV3", "TensorArrayCloseV3")


def _flow(kernel: Any, inputs: list, kind: str) -> Tensor:
    return apply(kernel, inputs, type=kind, dtype=dtypes.variant, shape=())


def _value(kernel: Any, inputs: list, kind: str, like: Tensor) -> Tensor:
    return apply(kernel, inputs, type=kind, dtype=like.dtype.base_dtype, shape=like.raw_shape)


# Reading, whose gradient is a flow with the gradient at the same index


@rule("TensorArrayReadV3", "TensorArrayGatherV3")
def _read(op: Operation, g: Tensor):
    return [_flow(kernels.place, [op.inputs[0], op.inputs[1], g], "CellsPlace"), None]


@rule("CellsPlace")
def _place(op: Operation, g: Tensor):
    _, index, value = op.inputs
    return [None, None, _value(kernels.pick_like, [g, index, value], "CellsPick", value)]


@rule("TensorArrayStack")
def _stack(op: Operation, g: Tensor):
    return [_flow(kernels.place_all, [op.inputs[0], g], "CellsPlaceAll")]


@rule("TensorArrayConcatV3")
def _join(op: Operation, g: Tensor):
    return [_flow(kernels.place_joined, [op.inputs[0], g], "CellsPlaceJoined")]


# Writing, whose gradients are the content of a cell, and a flow without it


@rule("TensorArrayWriteV3", "TensorArrayScatterV3")
def _write(op: Operation, g: Tensor):
    _, index, value = op.inputs
    old_flow = _flow(kernels.without, [g, index], "CellsWithout")
    return [old_flow, None, lambda: _value(kernels.pick_like, [g, index, value], "CellsPick", value)]


@rule("CellsWithout")
def _without(op: Operation, g: Tensor):
    return [_flow(kernels.without, [g, op.inputs[1]], "CellsWithout"), None]


@rule("CellsPick")
def _pick(op: Operation, g: Tensor):
    return [_flow(kernels.place, [op.inputs[0], op.inputs[1], g], "CellsPlace"), None, None]


@rule("TensorArrayUnstack", "CellsPlaceAll")
def _unstack(op: Operation, g: Tensor):
    return [None, _value(kernels.pick_rows, [g, op.inputs[1]], "CellsPickRows", op.inputs[1])]


@rule("CellsPickRows")
def _pick_rows(op: Operation, g: Tensor):
    return [_flow(kernels.place_all, [op.inputs[0], g], "CellsPlaceAll"), None]


@rule("TensorArraySplitV3")
def _split(op: Operation, g: Tensor):
    value, lengths = op.inputs[1:]
    return [None, _value(kernels.pick_parts, [g, lengths, value], "CellsPickParts", value), None]
