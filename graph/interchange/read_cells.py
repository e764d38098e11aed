"""Readers of TensorFlow's operations on TensorArrays. The handle and the flow of an array are one tensor here."""

from __future__ import annotations

from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.interchange.given import Given, reads
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.tensor_array import TensorArray


def _array(given: Given, dtype: Any, element_shape: Any = None) -> TensorArray:
    """The array at the moment of the last input, its flow."""
    flow = given.inputs[-1]
    return TensorArray(dtype, handle=flow, flow=flow, infer_shape=False, element_shape=element_shape)


@reads("TensorArrayV3")
def _made(given: Given) -> list[Tensor]:
    name, shape, grows = given["tensor_array_name"] or None, given["element_shape"], given["dynamic_size"]
    size = given.inputs[0]
    array = TensorArray(given["dtype"], size, grows, tensor_array_name=name, element_shape=shape, name=given.name)
    return [array.flow, array.flow]


@reads("TensorArrayWriteV3")
def _write(given: Given) -> Tensor:
    _, index, value, _ = given.inputs
    return _array(given, value.dtype).write(index, value, given.name).flow


@reads("TensorArrayScatterV3")
def _scatter(given: Given) -> Tensor:
    _, indices, value, _ = given.inputs
    return _array(given, value.dtype).scatter(indices, value, given.name).flow


@reads("TensorArraySplitV3")
def _split(given: Given) -> Tensor:
    _, value, lengths, _ = given.inputs
    return _array(given, value.dtype).split(value, lengths, given.name).flow


@reads("TensorArrayReadV3")
def _read(given: Given) -> Tensor:
    return _array(given, given["dtype"]).read(given.inputs[1], given.name)


@reads("TensorArrayGatherV3")
def _gather(given: Given) -> Tensor:
    return _array(given, given["dtype"], given["element_shape"]).gather(given.inputs[1], given.name)


@reads("TensorArrayConcatV3")
def _concat(given: Given) -> list[Tensor]:
    array = _array(given, given["dtype"])
    return [array.concat(given.name), array.lengths()]


@reads("TensorArraySizeV3")
def _size(given: Given) -> Tensor:
    return _array(given, dtypes.float32).size(given.name)


@reads("TensorArrayCloseV3")
def _close(given: Given) -> Any:
    return _array(given, dtypes.float32).close(given.name)
