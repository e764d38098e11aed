"""The value of a tensor without a session: walk to what it needs, call each kernel once, in creation order.

Every value on the way is checked against the dtype and shape that the graph says, and is read-only when it is handed
on, so a kernel that writes to its inputs fails. Kernels and attributes must pickle and hash.
"""

from __future__ import annotations

import pickle
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np

from weftwork.graph import shapes
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.values import to_value

_streams: weakref.WeakKeyDictionary[Operation, np.random.Generator] = weakref.WeakKeyDictionary()
_travelled: weakref.WeakSet[Operation] = weakref.WeakSet()
"""Operations whose kernels and attributes were pickled: derivatives by differences evaluate each many times."""


def evaluate(tensor: Tensor | list | tuple, feeds: Mapping[Tensor, Any] | None = None) -> Any:
    """The value of a tensor (or of each of a list), where `feeds` gives the values of placeholders."""
    wanted = [tensor] if isinstance(tensor, Tensor) else list(tensor)
    values: dict[Tensor, Any] = {}
    for fed, value in (feeds or {}).items():
        values[fed] = _checked(fed, to_value(value, None if isinstance(value, np.ndarray) else fed.dtype))
    with np.errstate(all="ignore"):
        for op in _needed(wanted, values):
            for output, value in zip(op.outputs, _run(op, [values[t] for t in op.inputs]), strict=True):
                values.setdefault(output, _checked(output, value))
    results = [_copied(values[t]) for t in wanted]
    return results[0] if isinstance(tensor, Tensor) else results


def _needed(wanted: list[Tensor], known: Mapping[Tensor, Any]) -> list[Operation]:
    ops: set[Operation] = set()
    stack = [t for t in wanted if t not in known]
    while stack:
        op = stack.pop().op
        if op not in ops:
            ops.add(op)
            stack += [t for t in op.inputs if t not in known]
    return sorted(ops, key=lambda op: op.index)


def _run(op: Operation, inputs: list) -> tuple:
    attrs = {key: value for key, value in op.attrs.items() if key != "_seed"}
    if op.kind is Kind.CONSTANT:
        return (op.attrs["value"],)
    if op.kind is Kind.RANDOM:
        seed = op.attrs["_seed"]
        inputs = [_streams.setdefault(op, np.random.default_rng(seed)), *inputs]
    elif op.kind is not Kind.PURE and op.kind is not Kind.FUNCTION:
        raise ValueError(f"{op} needs a session (or a feed): it is a {op.kind.value}.")
    if op.kind is Kind.PURE and op not in _travelled:
        hash((op.kernel, frozenset(attrs.items())))  # equal nodes are merged
        assert pickle.loads(pickle.dumps((op.kernel, attrs))) == (op.kernel, attrs)  # nodes travel
        _travelled.add(op)
    result = op.kernel(*inputs, **attrs)  # type: ignore[misc]
    return result if len(op.outputs) != 1 else (result,)


def _checked(tensor: Tensor, value: Any) -> Any:
    if tensor.dtype.numpy.kind != "O":
        assert isinstance(value, (np.ndarray, np.generic)), f"{tensor} is a {type(value).__name__}, {value!r}"
        assert value.dtype == tensor.dtype.numpy, f"{tensor} has dtype {value.dtype}"
        assert shapes.compatible(tensor.raw_shape, value.shape), f"{tensor} has shape {value.shape}"
    if isinstance(value, np.ndarray):
        value = value.view()
        value.flags.writeable = False
    return value


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value
