"""Derivatives of products of tensors: matmul, cross, einsum. The one of tensordot is autograd's."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from weftwork.graph.build import apply
from weftwork.graph.gradients.numpy_rules import numpy_rule
from weftwork.graph.gradients.registry import no_derivative, rule
from weftwork.graph.kernels import derivatives as kernels
from weftwork.graph.known import promoted
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops import math_ops as m


def product(a: Tensor, b: Tensor, **turned: bool) -> Tensor:
    """The matrix product. turned: transpose_a, transpose_b."""
    flags = {key: True for key, value in turned.items() if value}
    shape: Any = None
    if a.raw_shape is not None and b.raw_shape is not None and len(a.raw_shape) == len(b.raw_shape) == 2:
        rows = a.raw_shape[1 if "transpose_a" in flags else 0]
        columns = b.raw_shape[0 if "transpose_b" in flags else 1]
        shape = (rows, columns)
    kernel = kernels.product if flags else np.matmul
    return apply(kernel, [a, b], flags, type="MatMul", dtype=promoted([a, b]), shape=shape)


@rule("MatMul", "BatchMatMulV2")
def _matmul(op: Operation, g: Tensor):
    a, b = op.inputs
    ranks = [None if t.raw_shape is None else len(t.raw_shape) for t in (a, b)]
    if op.kernel is np.matmul and (None in ranks or 1 in ranks):
        return numpy_rule(op, g)  # a vector, or an unknown rank
    turned_a = bool(op.attrs.get("transpose_a") or op.attrs.get("adjoint_a"))
    turned_b = bool(op.attrs.get("transpose_b") or op.attrs.get("adjoint_b"))

    def left() -> Tensor:
        factor = b if op.attrs.get("adjoint_b") else m.conj(b)
        if turned_a:
            grad = product(factor, g, transpose_a=turned_b, transpose_b=True)
        else:
            grad = product(g, factor, transpose_b=not turned_b)
        return unbatched(m.conj(grad) if op.attrs.get("adjoint_a") else grad, a, b)

    def right() -> Tensor:
        factor = a if op.attrs.get("adjoint_a") else m.conj(a)
        if turned_b:
            grad = product(g, factor, transpose_a=True, transpose_b=turned_a)
        else:
            grad = product(factor, g, transpose_a=not turned_a)
        return unbatched(m.conj(grad) if op.attrs.get("adjoint_b") else grad, b, a)

    return [left, right]


def unbatched(grad: Tensor, x: Tensor, other: Tensor) -> Tensor:
    """Sum a gradient that has the broadcast batch axes of a matrix product over those that x lacks."""
    if x.raw_shape is not None and other.raw_shape is not None:
        own_batch, other_batch = x.raw_shape[:-2], other.raw_shape[:-2]
        if (own_batch == other_batch and None not in own_batch) or not other_batch:
            return grad
    return apply(kernels.sum_like, [grad, x], type="SumLike", dtype=grad.dtype.base_dtype, shape=x.raw_shape)


@rule("Cross")
def _cross(op: Operation, g: Tensor):
    a, b = op.inputs
    return [lambda: m.cross(m.conj(b), g), lambda: m.cross(g, m.conj(a))]


@rule("Einsum")
def _einsum(op: Operation, g: Tensor):
    terms, _, result = op.attrs["equation"].partition("->")
    parts = terms.split(",")
    if any([len(set(part) - {"."}) < len(part.replace(".", "")) for part in parts]):
        raise no_derivative(op, "an index occurs twice in one operand")
    plain = "." not in terms
    traced = numpy_rule(op, g)
    found = []
    for i, part in enumerate(parts):
        others = [p for k, p in enumerate(parts) if k != i]
        if plain and set(part) <= set(result).union(*others):
            equation = ",".join([result, *others]) + "->" + part
            rest = [m.conj(t) for k, t in enumerate(op.inputs) if k != i]
            found.append(functools.partial(m.einsum, equation, g, *rest))
        else:
            found.append(traced[i])
    return found
