"""Queries about tensors (their type, static value, order), assertions about them, and older spellings."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weftwork.graph import dtypes, nest, shapes
from weftwork.graph.build import apply, as_tensor, convert_to_tensor
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.function import py_func
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.assertions import Assert, whole_number
from weftwork.graph.ops.composite import IndexedSlices, SparseTensor
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.flow import group, no_op
from weftwork.graph.ops.functional import map_fn
from weftwork.graph.ops.sparse_ops import convert_to_tensor_or_sparse_tensor
from weftwork.graph.scopes import name_scope

# Types


def is_tensor(x: Any) -> bool:
    """True for a tensor, or an object that stands for one: a variable, a SparseTensor, IndexedSlices."""
    return isinstance(x, (SparseTensor, IndexedSlices)) or as_tensor(x) is not None


def is_symbolic_tensor(tensor: Any) -> bool:
    """True for a tensor: every tensor belongs to a graph."""
    return is_tensor(tensor)


def is_numeric_tensor(tensor: Any) -> bool:
    """True for a tensor of numbers."""
    return isinstance(tensor, Tensor) and tensor.dtype.base_dtype.numpy.kind in "iufc"


def get_static_value(tensor: Any, partial: bool = False) -> Any:
    """A tensor's value as a NumPy array, if it is known before anything runs; else None. Other values are returned.

    Known are constants, and shapes, ranges, casts, filled and joined tensors and comparisons of what is known.
    partial: for stacked scalars, return an array with None for those that are not known.
    """
    known = as_tensor(tensor)
    if known is None:
        return tensor
    op = known.op
    if op.kind is Kind.CONSTANT:
        return op.attrs["value"]
    if op.kind is not Kind.PURE or op.type not in _FOLDED:
        return None
    inputs = [get_static_value(part) for part in op.inputs]
    if partial and op.type == "Pack" and all([part.raw_shape == () for part in op.inputs]):
        return np.array(inputs, object)
    return None if any([value is None for value in inputs]) else op.kernel(*inputs, **op.attrs)  # type: ignore[misc]


_FOLDED = frozenset({"Shape", "Size", "Rank", "Range", "Cast", "ConcatV2", "Pack", "Fill", "Equal", "NotEqual"})
"""Operations whose result `get_static_value` computes, as TensorFlow does."""


def dimension_value(dimension: Any) -> Any:
    """The value of a Dimension; an int is returned as it is."""
    return dimension.value if isinstance(dimension, shapes.Dimension) else dimension


def dimension_at_index(shape: shapes.TensorShape, index: int) -> shapes.Dimension:
    """Dimension number `index` of a shape; an unknown one if the rank is unknown."""
    dims = shape.dims
    return shapes.Dimension(None) if dims is None else dims[index]


def convert_to_tensor_or_indexed_slices(value: Any, dtype: Any = None, name: str | None = None) -> Any:
    """IndexedSlices unchanged, anything else as a tensor. Raises ValueError if slices have another dtype."""
    if not isinstance(value, IndexedSlices):
        return convert_to_tensor_or_sparse_tensor(value, dtype, name)
    if dtype is not None and value.dtype.base_dtype is not as_dtype(dtype).base_dtype:
        wanted, given = as_dtype(dtype).name, value.dtype.name
        raise ValueError(f"Tensor conversion requested dtype {wanted} for Tensor with dtype {given}: {value}")
    return value


# Checks


def is_non_decreasing(x: Any, name: str | None = None) -> Tensor:
    """True if each element, in row-major order, is at least as large as the previous one."""
    with name_scope(name, "is_non_decreasing", [x]):
        flat = array_ops.reshape(_numeric(x), [-1])
        return math_ops.reduce_all(math_ops.less_equal(flat[:-1], flat[1:]))


def is_strictly_increasing(x: Any, name: str | None = None) -> Tensor:
    """True if each element, in row-major order, is larger than the previous one."""
    with name_scope(name, "is_strictly_increasing", [x]):
        flat = array_ops.reshape(_numeric(x), [-1])
        return math_ops.reduce_all(math_ops.less(flat[:-1], flat[1:]))


def _numeric(x: Any) -> Tensor:
    tensor = convert_to_tensor(x)
    if not is_numeric_tensor(tensor):
        raise TypeError(f"Expected x to be numeric, instead found: {tensor}")
    return tensor


def assert_scalar(tensor: Any, name: str | None = None, message: str | None = None) -> Tensor:
    """Return the tensor. Raises ValueError unless it is known to be a scalar."""
    x = convert_to_tensor(tensor)
    if x.raw_shape != ():
        raise ValueError(f"{message or ''}Expected scalar shape, saw shape: {shapes.text(x.raw_shape)}. It is of {x}.")
    return x


def assert_rank_in(
    x: Any, ranks: Sequence[int], data: Any = None, summarize: int | None = None, message: str | None = None,
    name: str | None = None,
) -> Operation:  # fmt: skip
    """Assert that x has one of these ranks. Raises ValueError at once if its rank is known to be another."""
    with name_scope(name, "assert_rank_in", [x]) as scope:
        x = convert_to_tensor(x)
        for rank in ranks:
            whole_number(rank)
        if x.raw_shape is not None:
            if len(x.raw_shape) not in tuple(ranks):
                raise ValueError(
                    f"{message or ''}.  Tensor {x.name} must have rank in {tuple(ranks)}.  Received rank "
                    f"{len(x.raw_shape)}, shape {shapes.bracket_text(x.raw_shape)}"
                )
            return no_op(name=scope)
        details = data if data is not None else [message or "", f"Tensor {x.name} must have rank in {tuple(ranks)}"]
        fits = math_ops.reduce_any(math_ops.equal(array_ops.rank(x), np.array(tuple(ranks), np.int32)))
        return Assert(fits, details, summarize)


def assert_shapes(shapes: Any, data: Any = None, summarize: int | None = None, message: str | None = None,
                  name: str | None = None) -> Operation:  # fmt: skip
    """Assert that tensors have the given shapes, where each symbol stands for one size.

    shapes: a dict, or a list of pairs, from tensors to shapes of ints, symbols (any hashable) and None. A bare symbol
    or number stands for a shape with one axis. Raises ValueError at once if the shapes are known not to match.
    """
    pairs = list(shapes.items()) if isinstance(shapes, dict) else list(shapes)
    checks, sizes = [], {}
    with name_scope(name, "assert_shapes"):
        for x, wanted in pairs:
            tensor = convert_to_tensor(x)
            dims = list(wanted) if isinstance(wanted, (tuple, list)) else [wanted]
            checks.append(assert_rank_in(tensor, [len(dims)], message=message))
            known = tensor.raw_shape
            for axis, dim in enumerate(dims):
                if dim is None or dim == ".":
                    continue
                size = array_ops.shape(tensor)[axis] if known is None or known[axis] is None else known[axis]
                other = dim if isinstance(dim, int) else sizes.setdefault(dim, size)
                if isinstance(size, int) and isinstance(other, int):
                    if size != other:
                        raise ValueError(
                            f"{message or ''}Specified by tensor {tensor.name} dimension {axis}: {size} is not {other}"
                        )
                elif other is not size:
                    text = f"Specified by tensor {tensor.name} dimension {axis}"
                    checks.append(Assert(math_ops.equal(size, other), [message or text, size, other], summarize))
        return group(*checks)


def assert_proper_iterable(values: Any) -> None:
    """Raise TypeError unless `values` is an iterable of values, rather than a tensor, an array, or text."""
    if is_tensor(values) or isinstance(values, (np.ndarray, str, bytes)):
        raise TypeError(f"Expected argument 'values' to be a 'proper' iterable.  Found: {type(values)}")
    if not hasattr(values, "__iter__"):
        raise TypeError(f"Expected argument 'values' to be iterable.  Found: {type(values)}")


def assert_same_float_dtype(tensors: Any = None, dtype: Any = None) -> Any:
    """The common floating-point dtype of all tensors and `dtype`; float32 if none is given. Raises ValueError."""
    found = None if dtype is None else as_dtype(dtype)
    for tensor in tensors or ():
        if tensor is None:
            continue
        own_dtype = tensor.dtype.base_dtype
        if found is not None and own_dtype is not found:
            raise ValueError(f"Tensor {tensor} has type {own_dtype.name}, but the others have {found.name}.")
        found = own_dtype
    if found is None:
        return dtypes.float32
    if not found.is_floating:
        raise ValueError(f"Expected floating point type, got {found.name}.")
    return found


# Older spellings, and functions kept for compatibility


def to_complex64(x: Any, name: str = "ToComplex64") -> Tensor:
    """`cast` to complex64."""
    return cast(x, dtypes.complex64, name=name)


def to_complex128(x: Any, name: str = "ToComplex128") -> Tensor:
    """`cast` to complex128."""
    return cast(x, dtypes.complex128, name=name)


def timestamp(name: str | None = None) -> Tensor:
    """Seconds since 1970 at run time, float64."""
    now = py_func(_now, [], dtypes.float64, stateful=True, name=name or "Timestamp")
    now.set_shape([])
    return now


def _now() -> Any:
    return np.float64(time.time())


def numpy_function(func: Callable[..., Any], inp: Sequence[Any], Tout: Any, name: str | None = None) -> Any:
    """`py_func` under its newer name."""
    return py_func(func, inp, Tout, stateful=True, name=name)


def vectorized_map(fn: Callable[..., Any], elems: Any, fallback_to_while_loop: bool = True) -> Any:
    """`map_fn`, but the dtypes of the result need not be specified.

    fallback_to_while_loop: accepted as in TensorFlow, without effect.
    """
    flat = [convert_to_tensor(item) for item in nest.flatten(elems)]
    seen: list[Any] = []

    def one(item: Any) -> Any:
        result = fn(item)
        seen.append(result)
        return result

    # Only the dtypes of this call's results are needed.
    first = [t[0] for t in flat]
    filled = iter(first)
    one(_packed_like(elems, filled) if isinstance(elems, (list, tuple, dict)) else first[0])
    kinds = [convert_to_tensor(item).dtype.base_dtype for item in nest.flatten(seen[0])]
    types = _packed_like(seen[0], iter(kinds)) if isinstance(seen[0], (list, tuple, dict)) else kinds[0]
    return map_fn(fn, elems, dtype=types)


def _packed_like(structure: Any, items: Any) -> Any:
    if isinstance(structure, dict):
        return {key: _packed_like(structure[key], items) for key in sorted(structure)}
    if isinstance(structure, (list, tuple)):
        return type(structure)([_packed_like(item, items) for item in structure])
    return next(items)


def grad_pass_through(f: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function of one tensor so that its derivative is 1.

    f: a function of tensors.
    """

    def passed(*args: Any, **kwargs: Any) -> Any:
        x = convert_to_tensor(args[0])
        y = f(*args, **kwargs)
        return apply(_second, [x, y], type="PassThrough", dtype=y.dtype.base_dtype, shape=y.raw_shape)

    return passed


def _second(x: Any, y: Any) -> Any:
    return y


def recompute_grad(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function unchanged. A run frees values early anyway, and keeps those that derivatives need.

    f: a function.
    """
    return f
