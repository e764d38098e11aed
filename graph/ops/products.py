"""Products of tensors: matmul, tensordot, einsum, cross, and the trace."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from weftwork.graph import shapes
from weftwork.graph.arguments import of_kind
from weftwork.graph.build import apply, convert_to_tensor, convert_together
from weftwork.graph.kernels import elementwise as kernels
from weftwork.graph.known import promoted, whole_numbers
from weftwork.graph.operation import Tensor
from weftwork.graph.seams import seams


def matmul(
    a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, adjoint_a: bool = False,
    adjoint_b: bool = False, a_is_sparse: bool = False, b_is_sparse: bool = False, name: str | None = None,
) -> Tensor:  # fmt: skip
    """The matrix product: [..., m, k], [..., k, n] -> [..., m, n]; the leading axes broadcast.

    transpose, adjoint: applied to the last two axes first.   a_is_sparse, b_is_sparse: ignored.
    Raises ValueError if the shapes do not match, or for a vector: `a @ b` and np.matmul accept vectors, as in NumPy.
    """
    if (transpose_a and adjoint_a) or (transpose_b and adjoint_b):
        side = "a" if transpose_a and adjoint_a else "b"
        raise ValueError(f"Only one of transpose_{side} and adjoint_{side} can be True.")
    x, y = convert_together([a, b])
    for word, tensor in (("a", x), ("b", y)):
        of_kind(tensor, word, "biufc")
        if tensor.raw_shape is not None and len(tensor.raw_shape) < 2:
            raise ValueError(f"Shape must be rank 2 but is rank {len(tensor.raw_shape)} for 'MatMul': {tensor}")
    flags = {"transpose_a": transpose_a, "transpose_b": transpose_b, "adjoint_a": adjoint_a, "adjoint_b": adjoint_b}
    flags = {key: True for key, value in flags.items() if value}
    unknown = x.raw_shape is None or y.raw_shape is None
    return _matmul(kernels.matmul if flags or unknown else np.matmul, x, y, flags, name)


def _numpy_matmul(a: Any, b: Any) -> Tensor:
    """np.matmul: a vector is a row on the left, and a column on the right."""
    x, y = convert_together([a, b])
    return _matmul(np.matmul, x, y, {}, "matmul")


def _matmul(kernel: Any, x: Tensor, y: Tensor, flags: dict, name: str | None) -> Tensor:
    shape = _matmul_shape(
        x, y, "transpose_a" in flags or "adjoint_a" in flags, "transpose_b" in flags or "adjoint_b" in flags
    )
    batch = shape is not None and len(shape) > 2
    return apply(
        kernel, [x, y], flags,
        type="BatchMatMulV2" if batch else "MatMul", name=name or "MatMul", dtype=promoted([x, y]), shape=shape,
    )  # fmt: skip


def _matmul_shape(a: Tensor, b: Tensor, turn_a: bool, turn_b: bool) -> shapes.RawShape:
    left, right = a.raw_shape, b.raw_shape
    for shape, turned in ((left, turn_a), (right, turn_b)):
        if shape is not None and len(shape) < (2 if turned else 1):
            raise ValueError(f"Shape must be rank 2 but is rank {len(shape)} for 'MatMul'.")
    if left is None or right is None:
        return None
    row, column = len(left) == 1, len(right) == 1
    left = (1, *left) if row else (*left[:-2], left[-1], left[-2]) if turn_a else left
    right = (*right, 1) if column else (*right[:-2], right[-1], right[-2]) if turn_b else right
    if None not in (left[-1], right[-2]) and left[-1] != right[-2]:
        raise ValueError(
            f"Dimensions must be equal, but are {left[-1]} and {right[-2]} for 'MatMul' (op: 'MatMul') with input "
            f"shapes: {shapes.bracket_text(a.raw_shape)}, {shapes.bracket_text(b.raw_shape)}."
        )
    batch = shapes.broadcast(left[:-2], right[:-2])
    assert batch is not None
    return (*batch, *(() if row else left[-2:-1]), *(() if column else right[-1:]))


def tensordot(a: Any, b: Any, axes: Any, name: str | None = None) -> Tensor:
    """The sum of products over pairs of axes.

    axes: n contracts the last n axes of a with the first n of b; or [axes of a, axes of b].
    Raises ValueError if their numbers or the dimensions differ.
    """
    x, y = convert_together([a, b])
    of_kind(x, "a", "biufc")
    of_kind(y, "b", "biufc")
    pairs = whole_numbers(axes)
    if pairs is None:
        raise ValueError("tensordot needs its axes when the graph is built, not as a tensor.")
    if isinstance(pairs, int):
        if pairs < 0:
            raise ValueError("'axes' must be at least 0.")
        for tensor in (x, y):
            if tensor.raw_shape is not None and pairs > len(tensor.raw_shape):
                raise ValueError(f"'axes' must not be larger than the number of dimensions of tensor {tensor}.")
        return apply(
            np.tensordot, [x, y], {"axes": pairs}, type="Tensordot", name=name, dtype=promoted([x, y]),
            shape=_dotted(x.raw_shape, y.raw_shape, range(-pairs, 0), range(pairs)),
        )  # fmt: skip
    if len(pairs) != 2:
        raise ValueError("'axes' must be an integer or have length 2.")
    left, right = (part if isinstance(part, tuple) else (part,) for part in pairs)
    if len(left) != len(right):
        raise ValueError(f"Different number of contraction axes 'a' and 'b', {len(left)} != {len(right)}.")
    return apply(
        np.tensordot, [x, y], {"axes": (left, right)}, type="Tensordot", name=name, dtype=promoted([x, y]),
        shape=_dotted(x.raw_shape, y.raw_shape, left, right),
    )  # fmt: skip


def _dotted(a: shapes.RawShape, b: shapes.RawShape, left: Any, right: Any) -> shapes.RawShape:
    if a is None or b is None:
        return None
    for i, j in zip(left, right, strict=True):
        if not (-len(a) <= i < len(a) and -len(b) <= j < len(b)):
            raise ValueError(f"Invalid axes {tuple(left)}, {tuple(right)} for {shapes.text(a)}, {shapes.text(b)}.")
        if None not in (a[i], b[j]) and a[i] != b[j]:
            raise ValueError(f"Dimensions must be equal, but are {a[i]} and {b[j]} for 'Tensordot'.")
    kept_a = [dim for i, dim in enumerate(a) if i not in {k % len(a) for k in left}]
    kept_b = [dim for j, dim in enumerate(b) if j not in {k % len(b) for k in right}]
    return (*kept_a, *kept_b)


def einsum(equation: str, *inputs: Any, name: str | None = None, **kwargs: Any) -> Tensor:
    """Sums of products, e.g. einsum("ij,jk->ik", a, b). Without an arrow, the result has the labels that occur once.

    Raises ValueError for an invalid equation, or if the shapes do not match.
    """
    if kwargs:
        raise TypeError("invalid keyword arguments for this function: " + ", ".join(sorted(kwargs)))
    equation = equation.replace(" ", "")
    if not re.fullmatch(r"[a-zA-Z.]*(,[a-zA-Z.]*)*(->[a-zA-Z.]*)?", equation):
        raise ValueError(f"Indices have incorrect format: {equation}")
    terms, arrow, result = equation.partition("->")
    if len(terms.split(",")) != len(inputs):
        raise ValueError(f'Got {len(inputs)} arguments for equation "{equation}", expecting {len(terms.split(","))}')
    tensors = convert_together(list(inputs))
    for tensor in tensors:
        of_kind(tensor, "inputs", "biufc")
    if not arrow:
        single_labels = sorted([c for c in set(terms) - {",", "."} if terms.count(c) == 1])
        result = ("..." if "..." in terms else "") + "".join(single_labels)
    shape = _summed_shape(equation, terms.split(","), result, tensors)
    attrs = {"equation": f"{terms}->{result}"}
    kernel = kernels.einsum if all([shapes.is_full(t.raw_shape) for t in tensors]) else kernels.checked_einsum
    return apply(kernel, tensors, attrs, type="Einsum", name=name or "einsum", dtype=promoted(tensors), shape=shape)


def _summed_shape(equation: str, terms: list[str], result: str, tensors: list[Tensor]) -> shapes.RawShape:
    sizes: dict[str, int | None] = dict.fromkeys("".join(terms).replace(".", ""))
    dots: shapes.RawShape = ()
    for term, tensor in zip(terms, tensors, strict=True):
        before, ellipsis, after = term.partition("...")
        if tensor.raw_shape is None:
            dots = None if ellipsis else dots
            continue
        extra = len(tensor.raw_shape) - len(before + after)
        if extra < 0 or (extra and not ellipsis):
            raise ValueError(f"Unexpected number of dimensions of {tensor} in '{term}' of '{equation}'")
        end = len(before) + extra
        if ellipsis:
            dots = shapes.broadcast(dots, tensor.raw_shape[len(before) : end])
        for label, dim in zip(before + after, tensor.raw_shape[: len(before)] + tensor.raw_shape[end:], strict=True):
            if None not in (dim, sizes[label]) and dim != sizes[label]:
                raise ValueError(
                    f"Dimensions must be equal, but are {sizes[label]} and {dim} for '{label}' of '{equation}'"
                )
            sizes[label] = dim if sizes[label] is None else sizes[label]
    unknown = set(result) - set(sizes) - {"."}
    if unknown:
        raise ValueError(f"Unknown label(s) {sorted(unknown)} in the result of '{equation}'")
    before, ellipsis, after = result.partition("...")
    if ellipsis and dots is None:
        return None
    return (*[sizes[c] for c in before], *((dots or ()) if ellipsis else ()), *[sizes[c] for c in after])


def cross(a: Any, b: Any, name: str | None = None) -> Tensor:
    """The cross product of vectors with three elements: [..., 3], [..., 3] -> [..., 3].

    Raises ValueError for vectors of another length, and for different shapes; at run time InvalidArgumentError.
    """
    x, y = convert_together([a, b])
    for word, tensor in (("a", x), ("b", y)):
        of_kind(tensor, word, "iufc")
        if tensor.raw_shape is not None and tensor.raw_shape[-1:] not in ((3,), (None,)):
            raise ValueError(f"Cross-products are only defined for 3-element vectors: {shapes.text(tensor.raw_shape)}")
    shape = shapes.merge(x.raw_shape, y.raw_shape)
    return apply(kernels.cross, [x, y], type="Cross", name=name, dtype=promoted([x, y]), shape=shape)


def trace(x: Any, name: str | None = None) -> Tensor:
    """The sum of the main diagonal of matrices: [..., m, n] -> [...], in x's dtype.

    Raises ValueError for a rank below 2.
    """
    x = convert_to_tensor(x, name="x")
    of_kind(x, "x", "biufc")
    if x.raw_shape is not None and len(x.raw_shape) < 2:
        raise ValueError(f"Shape must be at least rank 2 but is rank {len(x.raw_shape)} for 'Trace'.")
    attrs = {"axis1": -2, "axis2": -1, "dtype": x.dtype.numpy}
    shape = None if x.raw_shape is None else x.raw_shape[:-2]
    return apply(np.trace, [x], attrs, type="Trace", name=name or "Trace", dtype=x.dtype.base_dtype, shape=shape)


seams.matmul = _numpy_matmul
