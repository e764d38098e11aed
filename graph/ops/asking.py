"""What a program asks of tensors: what they are, what is known of them, whether they ascend; and older spellings."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weftwork.graph import dtypes, nest, shapes
from weftwork.graph.build import apply, as_tensor, convert_to_tensor, graph_of, static_value
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.function import py_func
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.assertions import Assert
from weftwork.graph.ops.composite import IndexedSlices, SparseTensor
from weftwork.graph.ops.control_flow import case
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.flow import group, no_op
from weftwork.graph.ops.functional import map_fn
from weftwork.graph.ops.sparse_ops import convert_to_tensor_or_sparse_tensor
from weftwork.graph.scopes import name_scope

# What a value is


def is_tensor(x: Any) -> bool:
    """Whether it is a tensor, or stands for one: a variable, a SparseTensor, IndexedSlices."""
    return isinstance(x, (SparseTensor, IndexedSlices)) or as_tensor(x) is not None


def is_symbolic_tensor(tensor: Any) -> bool:
    """Whether it is a tensor of a graph: all are."""
    return is_tensor(tensor)


def is_numeric_tensor(tensor: Any) -> bool:
    """Whether it is a tensor of numbers."""
    return isinstance(tensor, Tensor) and tensor.dtype.base_dtype.numpy.kind in "iufc"


def get_static_value(tensor: Any, partial: bool = False) -> Any:
    """The value of a constant, as NumPy's, as far as it is known before anything runs; else None."""
    return static_value(tensor)


def dimension_value(dimension: Any) -> Any:
    """The number of a Dimension, or the number itself."""
    return dimension.value if isinstance(dimension, shapes.Dimension) else dimension


def dimension_at_index(shape: shapes.TensorShape, index: int) -> shapes.Dimension:
    """Number `index` of a shape's dimensions; an unknown one of an unknown shape."""
    dims = shape.dims
    return shapes.Dimension(None) if dims is None else dims[index]


def convert_to_tensor_or_indexed_slices(value: Any, dtype: Any = None, name: str | None = None) -> Any:
    """IndexedSlices as they are, anything else as a tensor."""
    return value if isinstance(value, IndexedSlices) else convert_to_tensor_or_sparse_tensor(value, dtype, name)


# Whether it is so


def is_non_decreasing(x: Any, name: str | None = None) -> Tensor:
    """Whether each element, in row-major order, is at least the one before it."""
    with name_scope(name, "is_non_decreasing", [x]):
        flat = array_ops.reshape(convert_to_tensor(x), [-1])
        return math_ops.reduce_all(math_ops.less_equal(flat[:-1], flat[1:]))


def is_strictly_increasing(x: Any, name: str | None = None) -> Tensor:
    """Whether each element, in row-major order, is more than the one before it."""
    with name_scope(name, "is_strictly_increasing", [x]):
        flat = array_ops.reshape(convert_to_tensor(x), [-1])
        return math_ops.reduce_all(math_ops.less(flat[:-1], flat[1:]))


def assert_scalar(tensor: Any, name: str | None = None, message: str | None = None) -> Tensor:
    """The tensor. Raises ValueError unless it is known to be a scalar."""
    x = convert_to_tensor(tensor)
    if x.raw_shape != ():
        raise ValueError(f"{message or ''}Expected scalar shape for {x.name}, saw shape: {shapes.text(x.raw_shape)}.")
    return x


def assert_rank_in(
    x: Any, ranks: Sequence[int], data: Any = None, summarize: int | None = None, message: str | None = None,
    name: str | None = None,
) -> Operation:  # fmt: skip
    """Assert that the rank of x is one of some. ValueError at once where it is known to be another."""
    with name_scope(name, "assert_rank_in", [x]) as scope:
        x = convert_to_tensor(x)
        if x.raw_shape is not None:
            if len(x.raw_shape) not in tuple(ranks):
                raise ValueError(
                    f"{message or ''}.  Tensor {x.name} must have rank in {tuple(ranks)}.  Received rank "
                    f"{len(x.raw_shape)}, shape {shapes.bracket_text(x.raw_shape)}"
                )
            return no_op(name=scope)
        said = data if data is not None else [message or "", f"Tensor {x.name} must have rank in {tuple(ranks)}"]
        fits = math_ops.reduce_any(math_ops.equal(array_ops.rank(x), np.array(tuple(ranks), np.int32)))
        return Assert(fits, said, summarize, name=scope)


def assert_shapes(shapes: Any, data: Any = None, summarize: int | None = None, message: str | None = None,
                  name: str | None = None) -> Operation:  # fmt: skip
    """Assert that tensors have shapes whose symbols mean one number each.

    shapes: a dict, or a list of pairs, from tensors to shapes, of ints, symbols (any hashable) and None; or one symbol
    or number for a scalar's shape of one axis. ValueError at once where it is known not to be so.
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
    """Raises TypeError for what is not an iterable of values: a tensor, an array, text."""
    if is_tensor(values) or isinstance(values, (np.ndarray, str, bytes)):
        raise TypeError(f"Expected argument 'values' to be a 'proper' iterable.  Found: {type(values)}")
    if not hasattr(values, "__iter__"):
        raise TypeError(f"Expected argument 'values' to be iterable.  Found: {type(values)}")


def assert_same_float_dtype(tensors: Any = None, dtype: Any = None) -> Any:
    """The floating-point dtype that all tensors, and `dtype`, have: float32 for none. Raises ValueError else."""
    found = None if dtype is None else as_dtype(dtype)
    for tensor in tensors or ():
        if tensor is None:
            continue
        mine = tensor.dtype.base_dtype
        if found is not None and mine is not found:
            raise ValueError(f"Tensor {tensor} has type {mine.name}, but the others have {found.name}.")
        found = mine
    if found is None:
        return dtypes.float32
    if not found.is_floating:
        raise ValueError(f"Expected floating point type, got {found.name}.")
    return found


# Older spellings, and what is there for a name's sake


def to_complex64(x: Any, name: str = "ToComplex64") -> Tensor:
    """`cast` to complex64."""
    return cast(x, dtypes.complex64, name=name)


def to_complex128(x: Any, name: str = "ToComplex128") -> Tensor:
    """`cast` to complex128."""
    return cast(x, dtypes.complex128, name=name)


def timestamp(name: str | None = None) -> Tensor:
    """Seconds since 1970, float64, when the node runs."""
    return py_func(_now, [], dtypes.float64, stateful=True, name=name or "Timestamp")


def _now() -> Any:
    return np.float64(time.time())


def numpy_function(func: Callable[..., Any], inp: Sequence[Any], Tout: Any, name: str | None = None) -> Any:
    """`py_func` by its newer name."""
    return py_func(func, inp, Tout, stateful=True, name=name)


def switch_case(
    branch_index: Any, branch_fns: Any, default: Callable[..., Any] | None = None, name: str = "switch_case"
) -> Any:
    """What function number `branch_index` made; the default, or the last function, for any other number.

    branch_fns: a list of functions, of (number, function) pairs, or a dict of them.
    """
    if isinstance(branch_fns, dict):
        pairs = sorted(branch_fns.items())
    elif all(callable(fn) for fn in branch_fns):
        pairs = list(enumerate(branch_fns))
    else:
        pairs = sorted(branch_fns, key=lambda pair: pair[0])
    if not pairs or not all(isinstance(number, int) and callable(fn) for number, fn in pairs):
        raise TypeError("branch_fns must be functions, or pairs of a number and a function")
    with graph_of([branch_index]).as_default(), name_scope(name, "switch_case", [branch_index]):
        index = convert_to_tensor(branch_index)
        last = pairs[-1][1] if default is None else default
        others = pairs[:-1] if default is None else pairs
        if not others:
            return last()
        return case([(math_ops.equal(index, number), fn) for number, fn in others], default=last)


def vectorized_map(fn: Callable[..., Any], elems: Any, fallback_to_while_loop: bool = True) -> Any:
    """`map_fn`, whose result's dtypes need not be said."""
    flat = [convert_to_tensor(item) for item in nest.flatten(elems)]
    seen: list[Any] = []

    def one(item: Any) -> Any:
        made = fn(item)
        seen.append(made)
        return made

    # The first call tells the dtypes; what it makes is not needed.
    first = [t[0] for t in flat]
    filled = iter(first)
    one(_like(elems, filled) if isinstance(elems, (list, tuple, dict)) else first[0])
    kinds = [convert_to_tensor(item).dtype.base_dtype for item in nest.flatten(seen[0])]
    types = _like(seen[0], iter(kinds)) if isinstance(seen[0], (list, tuple, dict)) else kinds[0]
    return map_fn(fn, elems, dtype=types)


def _like(structure: Any, items: Any) -> Any:
    if isinstance(structure, dict):
        return {key: _like(structure[key], items) for key in sorted(structure)}
    if isinstance(structure, (list, tuple)):
        return type(structure)([_like(item, items) for item in structure])
    return next(items)


def grad_pass_through(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function like f of one tensor, whose derivative is 1."""

    def passed(*args: Any, **kwargs: Any) -> Any:
        x = convert_to_tensor(args[0])
        y = f(*args, **kwargs)
        return apply(_second, [x, y], type="PassThrough", dtype=y.dtype.base_dtype, shape=y.raw_shape)

    return passed


def _second(x: Any, y: Any) -> Any:
    return y


def recompute_grad(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function as it is: a run frees what it does not need, and keeps what the derivatives need."""
    return f
