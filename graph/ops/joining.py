"""Joining tensors along axes, and splitting them: concat, stack, unstack, split, meshgrid."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph import shapes
from weftwork.graph.build import apply, as_tensor, convert_to_tensor, convert_together
from weftwork.graph.dtypes import DType
from weftwork.graph.kernels import arrays as kernels
from weftwork.graph.known import entries, known_axis, promoted, rank_of, whole_numbers
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.flow import identity
from weftwork.graph.scopes import name_scope
from weftwork.graph.seams import seams
from weftwork.graph.shapes import RawShape


def concat(values: Any, axis: Any, name: str | None = "concat") -> Tensor:
    """Tensors joined along an existing axis.

    Raises ValueError if ranks or other dimensions differ, or if the axis is no scalar.
    """
    if isinstance(values, (list, tuple)) and not values:
        raise ValueError("List argument 'values' to 'ConcatV2' Op with length 0 shorter than minimum length 2.")
    tensors = convert_together(values if isinstance(values, (list, tuple)) else [values])
    if len(tensors) == 1:
        known_axis(axis, None, "axis")
        return identity(tensors[0], name=name)
    known = [t.raw_shape for t in tensors if t.raw_shape is not None]
    ranks = {len(s) for s in known}
    if 0 in ranks:
        raise ValueError("Can't concatenate scalars (use tf.stack instead) for 'concat'.")
    if len(ranks) > 1:
        first, other = known[0], next(s for s in known if len(s) != len(known[0]))
        raise ValueError(f"Shapes must be equal rank, but are {len(first)} and {len(other)} for 'concat'.")
    n = ranks.pop() if ranks else None
    number = known_axis(axis, n, "axis")
    dtype = promoted(tensors)
    if number is None:
        inputs = [convert_to_tensor(axis, name="axis"), *tensors]
        raw = None if n is None else (None,) * n
        return apply(kernels.concat_over, inputs, type="ConcatV2", name=name, dtype=dtype, shape=raw)
    raw = None if n is None else _concat_shape([t.raw_shape for t in tensors], number, n)
    return apply(kernels.concat, tensors, {"axis": number}, type="ConcatV2", name=name, dtype=dtype, shape=raw)


def _concat_shape(parts: list[RawShape], axis: int, n: int) -> RawShape:
    out: list[int | None] = [None] * n
    for part in parts:
        for i, dim in enumerate(part or ()):
            if i != axis and dim is not None:
                if out[i] not in (None, dim):
                    raise ValueError(
                        f"Dimension {i} in both shapes must be equal, but are {out[i]} and {dim}. Shapes are "
                        f"{' and '.join([shapes.bracket_text(p) for p in parts])}."
                    )
                out[i] = dim
    along = [None if part is None else part[axis] for part in parts]
    out[axis] = None if None in along else sum(along)  # type: ignore[arg-type]
    return tuple(out)


def stack(values: Any, axis: int = 0, name: str | None = "stack") -> Tensor:
    """Tensors of one shape joined along a new axis. Raises ValueError if shapes differ or the axis is out of range."""
    if isinstance(values, np.ndarray) or as_tensor(values) is not None:
        values = unstack(values)
    tensors = convert_together(list(values))
    if not tensors:
        return convert_to_tensor([], name=name)
    raw: RawShape = None
    for tensor in tensors:
        if not shapes.compatible(raw, tensor.raw_shape):
            raise ValueError(shapes.difference(raw, tensor.raw_shape))
        raw = shapes.merge(raw, tensor.raw_shape)
    number = known_axis(axis, None if raw is None else len(raw) + 1, "axis =")
    dtype = promoted(tensors)
    whole = None if raw is None or number is None else (*raw[:number], len(tensors), *raw[number:])
    kernel = kernels.stack_objects if dtype.numpy.kind == "O" else kernels.stack
    return apply(kernel, tensors, {"axis": number}, type="Pack", name=name, dtype=dtype, shape=whole)


def parallel_stack(values: Any, name: str | None = "parallel_stack") -> Tensor:
    """As `stack` along the first axis."""
    with name_scope(name):
        return stack(values, name="ParallelConcat")


def unstack(value: Any, num: int | None = None, axis: int = 0, name: str | None = "unstack") -> list[Tensor]:
    """The slices along an axis, which is dropped. num: their number, required if the shape is unknown.

    Raises ValueError if the number is unknown, or contradicts a known shape.
    """
    x = convert_to_tensor(value, name="value")
    number = known_axis(axis, rank_of(x), "axis =")
    known = None if x.raw_shape is None else x.raw_shape[number]  # type: ignore[index]
    if num is None:
        num = known
    if num is None:
        raise ValueError(f"Cannot infer num from shape {shapes.text(x.raw_shape)}")
    if known not in (None, num):
        raise ValueError(f"Dimension must be {num} but is {known} for 'unstack' of shape {shapes.text(x.raw_shape)}.")
    part = None if x.raw_shape is None else x.raw_shape[:number] + x.raw_shape[number + 1 :]  # type: ignore[operator]
    outputs = [(x.dtype.base_dtype, part)] * num
    return _parts(kernels.unstack, [x], {"num": num, "axis": number}, "Unpack", name, outputs)


def split(
    value: Any, num_or_size_splits: Any, axis: Any = 0, num: int | None = None, name: str | None = "split"
) -> list[Tensor]:
    """Parts along an axis: an int gives their number, a list their sizes (one may be -1, for the rest).

    num: the number of sizes, if they are a tensor of unknown length.
    num_or_size_splits: an int, or an integer vector.
    Raises ValueError if a known dimension cannot be split this way, or for a number of parts that is a tensor.
    """
    x, given = convert_to_tensor(value, name="value"), as_tensor(num_or_size_splits)
    if isinstance(num_or_size_splits, float) or (given is not None and given.raw_shape == ()):
        raise ValueError(
            "Rank-0 tensors are not supported as the num_or_size_splits argument to split. "
            f"Argument provided: {num_or_size_splits}"
        )
    number, parts = known_axis(axis, rank_of(x), "split_dim"), whole_numbers(num_or_size_splits)
    dim = None if x.raw_shape is None or number is None else x.raw_shape[number]
    if isinstance(parts, int):
        if parts < 1:
            raise ValueError(f"Attr 'num_split' of 'Split' Op passed {parts} less than minimum 1.")
        if dim is not None and dim % parts:
            raise ValueError(f"Dimension size must be evenly divisible by {parts} but is {dim} for 'split'.")
        outputs = _split_outputs(x, number, [None if dim is None else dim // parts] * parts)
        if number is None:
            inputs = [convert_to_tensor(axis), x]
            return _parts(kernels.split_over, inputs, {"num": parts}, "Split", name, outputs)
        return _parts(kernels.split, [x], {"num": parts, "axis": number}, "Split", name, outputs)
    if number is None:
        raise ValueError("split by sizes needs its axis when the graph is built, not as a tensor.")
    if parts is not None:
        sizes = _known_sizes(parts, dim)
        attrs = {"sizes": tuple(parts), "axis": number}
        outputs = _split_outputs(x, number, sizes)
        return _parts(kernels.split_sizes, [x], attrs, "SplitV", name, outputs)
    vector = convert_to_tensor(num_or_size_splits, name="size_splits")
    known = entries(vector)
    count = num if known is None else len(known)
    if count is None:
        raise ValueError(f"Cannot infer num from shape {shapes.text(vector.raw_shape)}")
    outputs = _split_outputs(x, number, [None] * count if known is None else [*known])
    return _parts(kernels.split_sizes, [x, vector], {"axis": number}, "SplitV", name, outputs)


def _known_sizes(sizes: tuple[int, ...], dim: int | None) -> list[int | None]:
    rest = [n for n in sizes if n >= 0]
    if len(sizes) - len(rest) > 1:
        raise ValueError("size_splits can only have one -1 for 'split'.")
    if dim is not None and (sum(rest) > dim if len(rest) < len(sizes) else sum(rest) != dim):
        raise ValueError(
            f"can't split axis of size {dim} into pieces of size {shapes.bracket_text(sizes)} for 'split'."
        )
    return [n if n >= 0 else None if dim is None else dim - sum(rest) for n in sizes]


def _split_outputs(x: Tensor, axis: int | None, sizes: list[int | None]) -> list[tuple[DType, RawShape]]:
    if x.raw_shape is None or axis is None:
        known = None if x.raw_shape is None else (None,) * len(x.raw_shape)
        return [(x.dtype.base_dtype, known)] * len(sizes)
    return [
        (x.dtype.base_dtype, (*x.raw_shape[:axis], None if n is None or n < 0 else n, *x.raw_shape[axis + 1 :]))
        for n in sizes
    ]


def meshgrid(*args: Any, **kwargs: Any) -> list[Tensor]:
    """Coordinate arrays of a grid over vectors, like np.meshgrid. indexing: "xy" (default) or "ij".

    Raises ValueError for another indexing, TypeError for an unknown keyword.
    """
    indexing, name = kwargs.pop("indexing", "xy"), kwargs.pop("name", "meshgrid")
    if kwargs:
        raise TypeError(f"'{next(iter(kwargs))}' is an invalid keyword argument for this function")
    if indexing not in ("xy", "ij"):
        raise ValueError("indexing parameter must be either 'xy' or 'ij'")
    tensors = [convert_to_tensor(x) for x in args]
    dims = [math.prod(t.raw_shape) if shapes.is_full(t.raw_shape) else None for t in tensors]  # type: ignore[arg-type]
    if indexing == "xy":
        dims[:2] = dims[1::-1] if len(dims) > 1 else dims[:2]
    outputs = [(t.dtype.base_dtype, tuple(dims)) for t in tensors]
    return _parts(kernels.meshgrid, tensors, {"indexing": indexing}, "Meshgrid", name, outputs)


def _parts(
    kernel: Callable, inputs: list[Tensor], attrs: dict, kind: str, name: str | None, outputs: list
) -> list[Tensor]:
    """A node that returns a list of tensors; with one output its kernel returns the value, not a tuple."""
    if len(outputs) != 1:
        return apply(kernel, inputs, attrs, type=kind, name=name, outputs=outputs)
    dtype, raw = outputs[0]
    attrs = {"function": kernel, **attrs}
    return [apply(kernels.only, inputs, attrs, type=kind, name=name, dtype=dtype, shape=raw)]


seams.stack = stack
