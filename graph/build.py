"""How nodes are made: convert values to tensors, infer dtypes and shapes, add an operation to the graph.

Every public function that builds a graph ends in `apply`, `apply_random` or `elementwise`, and these in `Graph.add`.
Python scalars and lists are weak next to typed tensors, as in NumPy (NEP 50).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.conversions import CONVERSIONS, registered
from weftwork.graph.divisions import DIVISIONS, divide_small
from weftwork.graph.dtypes import DType, as_dtype
from weftwork.graph.graph import Graph
from weftwork.graph.meeting import (
    ARRAYS,
    PYTHON,
    beside,
    dtypes_of_arrays,
    leaves,
    of_numbers,
    promoted_dtype,
    weak_dtype,
    weak_result,
)
from weftwork.graph.operation import _NO_ATTRS, Kind, Operation, Tensor
from weftwork.graph.python.ownership import ATOMS, copied
from weftwork.graph.seams import seams
from weftwork.graph.seeds import stream_seeds
from weftwork.graph.stacks import get_default_graph, local
from weftwork.graph.ufuncs import OPERATORS, type_and_name, ufunc_dtypes
from weftwork.graph.values import dtype_of, filled, freeze, to_value

STANDING: list[tuple[type, Callable[[Any], Tensor]]] = []
"""Classes whose objects stand for a tensor everywhere, each with the function that returns the tensor."""


def as_tensor(value: Any) -> Tensor | None:
    """The tensor that `value` is or stands for (a variable stands for its read), or None.

    Decided by the class alone: an attribute lookup on an arbitrary object may return anything.
    """
    kind = type(value)
    if kind in ATOMS:
        return None
    if issubclass(kind, Tensor):
        return value
    for standing, convert in STANDING:
        if issubclass(kind, standing):
            return convert(value)
    return None


def graph_of(values: Iterable[Any]) -> Graph:
    """The graph of the first tensor, operation or variable among `values`, else the default graph.

    Raises ValueError when they belong to different graphs.
    """
    first = None
    for value in values:
        element = value if isinstance(value, (Tensor, Operation)) else as_tensor(value)
        if element is None:
            continue
        if first is None:
            first = element
        elif element.graph is not first.graph:
            raise ValueError(f"{element} must be from the same graph as {first}.")
    return get_default_graph() if first is None else first.graph


# Constants


def constant(
    value: Any, dtype: Any = None, shape: Any = None, name: str | None = "Const", verify_shape: bool = False
) -> Tensor:
    """A node with a fixed value.

    Python floats are float32 and ints int32 (int64 when they need it), as in TensorFlow 1; arrays keep their dtype.
    shape: reshape the value to it, or repeat its last element to fill it; verify_shape: raise TypeError instead.
    Raises TypeError or ValueError when the value does not fit the dtype or shape.
    """
    dtype = None if dtype is None else as_dtype(dtype).base_dtype
    array = to_value(value, dtype)
    if shape is not None:
        array = filled(array, shapes.as_raw(shape), verify_shape)
    return _constant(array, dtype or dtype_of(array, value), name or "Const")


def _constant(value: Any, dtype: DType, name: str, graph: Graph | None = None) -> Tensor:
    value = freeze(value) if isinstance(value, np.ndarray) and dtype is not dtypes.object else copied(value)
    if isinstance(value, np.ndarray) or (isinstance(value, np.generic) and dtype is not dtypes.object):
        shape = value.shape
    else:
        shape = None if dtype is dtypes.object else np.shape(value)
    if graph is None:
        graph = get_default_graph()
    return graph.add(Kind.CONSTANT, "Const", attrs={"value": value}, outputs=[(dtype, shape)], name=name).outputs[0]


def static_value(tensor: Any) -> Any:
    """The value of a constant, or of a node whose value is known while the graph is built; else None."""
    tensor = as_tensor(tensor)
    if tensor is not None and tensor.op.kind is Kind.CONSTANT:
        return tensor.op.attrs["value"]
    return None


# Conversion


def convert_to_tensor(
    value: Any, dtype: Any = None, name: str | None = None, preferred_dtype: Any = None, dtype_hint: Any = None
) -> Tensor:
    """`value` as a Tensor: itself, a variable's read, or a constant.

    A list that holds tensors is stacked. Raises ValueError if a tensor has another dtype than requested, TypeError if
    `value` cannot be converted.
    preferred_dtype, dtype_hint: the dtype to try first where `dtype` is None.
    """
    dtype = None if dtype is None else as_dtype(dtype).base_dtype
    tensor = as_tensor(value)
    if tensor is None and CONVERSIONS:
        tensor = registered(value, dtype, name)
    if tensor is not None:
        if dtype is not None and tensor.dtype.base_dtype is not dtype:
            if tensor is not value:
                raise ValueError(
                    f"Incompatible type conversion requested to type '{dtype.name}' for variable of type "
                    f"'{tensor.dtype.name}': {value!r}"
                )
            raise ValueError(
                f"Tensor conversion requested dtype {dtype.name} for Tensor with dtype {tensor.dtype.name}: {tensor!r}"
            )
        return tensor
    if isinstance(value, Operation):
        wanted = f"(target dtype={dtype!r}, name={name!r})"
        raise TypeError(f"Can't convert Operation '{value.name}' to Tensor {wanted}: an operation may have any outputs")
    if isinstance(value, (list, tuple)) and _holds_tensor(value):
        return _packed(value, dtype, name or "packed")
    if isinstance(value, (shapes.TensorShape, shapes.Dimension)):
        name = name or "shape_as_tensor"
        if dtype not in (None, dtypes.int32, dtypes.int64):
            raise TypeError(f"Cannot convert a {type(value).__name__} to dtype {dtype.name}: {value}")  # type: ignore[union-attr]
        if not shapes.is_full(shapes.as_raw(value)):
            raise ValueError(f"Cannot convert a partially known {type(value).__name__} to a Tensor: {value}")
        value = value.as_list() if isinstance(value, shapes.TensorShape) else int(value)
    hint = preferred_dtype if preferred_dtype is not None else dtype_hint
    if dtype is None and hint is not None:
        try:
            return constant(value, hint, name=name)
        except (TypeError, ValueError):
            pass
    return constant(value, dtype, name=name)


def _packed(value: Sequence[Any], dtype: DType | None, name: str) -> Tensor:
    """A list that holds tensors, stacked. Its parts are called NAME/0, NAME/1 ... where they have to be made."""
    if dtype is None:
        dtype = promoted_dtype([t.dtype.base_dtype for t in map(as_tensor, leaves(value)) if t is not None])
    with get_default_graph().name_scope(name) as scope:
        return seams.stack([_part(item, dtype, str(i)) for i, item in enumerate(value)], name=scope)


def _part(item: Any, dtype: DType | None, name: str) -> Tensor:
    """A part of a list that holds tensors. Tensors are cast to its dtype; Python numbers take it if they fit."""
    tensor = as_tensor(item)
    if tensor is not None:
        return tensor if dtype in (None, tensor.dtype.base_dtype) else seams.cast(tensor, dtype)
    if local.tracing is None:
        item = beside(item, dtype)
    if isinstance(item, (list, tuple)) and _holds_tensor(item):
        return _packed(item, dtype, name)
    return convert_to_tensor(item, name=name) if dtype is None else _weak(item, dtype, get_default_graph(), name)


def _holds_tensor(value: Any) -> bool:
    parts, seen = [value], {id(value)}
    for part in parts:
        if as_tensor(part) is not None:
            return True
        if isinstance(part, (list, tuple)):
            new = [item for item in part if type(item) not in ATOMS and id(item) not in seen]
            seen.update(map(id, new))
            parts.extend(new)
    return False


def operands(type: str, name: str | None, **given: Any) -> tuple[str, list[Tensor]]:
    """A node's name, and its inputs as tensors, `given` by their names.

    Constants made for them are called NODE/INPUT, as in TensorFlow.
    """
    tensors = [as_tensor(value) for value in given.values()]
    present = [tensor for tensor in tensors if tensor is not None]
    if len(present) == len(tensors):
        return name or type, present
    graph = graph_of(present)
    full = graph.named(name or type)
    with graph.as_default():
        return full, [
            convert_to_tensor(value, name=graph.reserve(full + word) + "/") if tensor is None else tensor
            for tensor, (word, value) in zip(tensors, given.items(), strict=True)
        ]


_NUMBERS = frozenset({int, float, bool, complex})
_PLAIN = _NUMBERS | {np.ndarray}
"""Types for which no conversion can be registered, which nearly all operands have."""
_OPERANDS = ("x", "y")
"""What TensorFlow calls the inputs of elementwise operations."""


def convert_together(values: Sequence[Any], dtype: Any = None, folder: str = "") -> list[Tensor]:
    """Convert values that are inputs of one node: Python scalars and lists take the dtype of the typed ones.

    A scalar that does not fit this dtype promotes it, as in NumPy: an int32 tensor with 1.5 gives float64.
    NumPy's values take the dtype of the tensors (`beside`), but for a traced function, which means what NumPy does.
    An object of a registered type is a tensor first, so numbers take its dtype.
    folder: the node's full name with a slash. New constants are named FOLDERx and FOLDERy, as in TensorFlow.
    """
    tensors = [as_tensor(value) for value in values]
    present = [tensor for tensor in tensors if tensor is not None]
    if present and present[0].op.graph.weak:
        tensors = _with_typed_dtype(tensors, values)
        present = [tensor for tensor in tensors if tensor is not None]
    if len(present) == len(tensors):
        return present
    names = [f"{folder}{word}/" for word in _OPERANDS] if folder and len(values) <= len(_OPERANDS) else repeat("Const")
    if not present and dtype is None and CONVERSIONS and not _PLAIN.issuperset(map(type, values)):
        pairs = zip(values, names, strict=False)
        converted = [None if type(value) in _PLAIN else registered(value, None, name) for value, name in pairs]
        if any([tensor is not None for tensor in converted]):
            both = zip(converted, values, strict=True)
            return convert_together([v if t is None else t for t, v in both], folder=folder)
    if dtype is None:
        typed = [t.dtype.base_dtype for t in present]
        if typed and local.tracing is None:
            dtype = promoted_dtype(typed)
            values = [beside(value, dtype) for value in values]
        typed += dtypes_of_arrays(values)
        dtype = promoted_dtype(typed) if typed else of_numbers(values)
    graph = graph_of(present)
    return [_weak(v, dtype, graph, n) if t is None else t for t, v, n in zip(tensors, values, names, strict=False)]


def _with_typed_dtype(tensors: list[Tensor | None], values: Sequence[Any]) -> list[Tensor | None]:
    """Give the tensors that stand for Python numbers the dtype of the typed tensors."""
    weak = [t is not None and t in t.op.graph.weak for t in tensors]
    typed = [t.dtype.base_dtype for t, is_weak in zip(tensors, weak, strict=True) if t is not None and not is_weak]
    typed_dtype = promoted_dtype(typed + dtypes_of_arrays(values)) if any(weak) else None
    if typed_dtype is None or typed_dtype.numpy.kind not in "biufc":
        return tensors
    return [_strong(t, typed_dtype) if w else t for t, w in zip(tensors, weak, strict=True)]  # type: ignore[arg-type]


def _strong(tensor: Tensor, typed_dtype: DType) -> Tensor:
    dtype, _ = weak_dtype(typed_dtype, PYTHON[tensor.dtype.numpy.kind])
    return seams.cast(tensor, dtype)


def _weak(value: Any, dtype: DType | None, graph: Graph, name: str) -> Tensor:
    kind = type(value)
    # By far the most common case, which needs no name scope.
    if kind in _NUMBERS and dtype is not None and dtype is not dtypes.object:
        if dtype.numpy.kind in "biufc":
            dtype = weak_result(dtype, kind, value)
        value = value if dtype is dtypes.string else dtype.numpy.type(value)
        return _constant(value, dtype, name, graph)
    with graph.as_default():
        if dtype is None or isinstance(value, ARRAYS):
            return convert_to_tensor(value, name=name)
        try:
            return convert_to_tensor(value, dtype, name=name)
        except TypeError:
            if dtype is dtypes.object or isinstance(value, (str, bytes)):
                raise
            return convert_to_tensor(value, name=name)


def apply(
    kernel: Callable,
    inputs: Iterable[Tensor],
    attrs: Mapping[str, Any] | None = None,
    *,
    type: str,
    name: str | None = None,
    dtype: Any = None,
    shape: shapes.RawShape = None,
    outputs: list[tuple[Any, shapes.RawShape]] | None = None,
) -> Any:
    """A pure node of library code: `kernel(*values, **attrs)` returns its value, or a tuple for several outputs.

    dtype, shape: of the single output.   outputs: (dtype, raw shape) of each output, instead.
    Returns a Tensor, or a list of them if `outputs` is given.
    """
    return _node(Kind.PURE, kernel, inputs, attrs, type, name, dtype, shape, outputs)


def apply_random(
    kernel: Callable,
    inputs: Iterable[Tensor],
    attrs: Mapping[str, Any] | None = None,
    *,
    seed: int | None,
    type: str,
    name: str | None = None,
    dtype: Any,
    shape: shapes.RawShape = None,
) -> Tensor:
    """A random node: `kernel(generator, *values, **attrs)`. Each session keeps a random stream for it.

    The stream's key comes from the graph's seed and the op's, as in TensorFlow 1 (`stream_seeds`).
    """
    inputs = tuple(inputs)
    graph = graph_of(inputs)
    key = stream_seeds(seed, graph)
    attrs = {**(attrs or {}), "_seed": key}
    return _node(Kind.RANDOM, kernel, inputs, attrs, type, name, dtype, shape, None, graph)


def _node(kind, kernel, inputs, attrs, type, name, dtype, shape, outputs, graph=None) -> Any:
    inputs = tuple(inputs)
    if graph is None:
        graph = inputs[0].op.graph if inputs else get_default_graph()
    if outputs is None:
        specs = [(dtype if isinstance(dtype, DType) else as_dtype(dtype), shape)]
    else:
        specs = [(d if isinstance(d, DType) else as_dtype(d), s) for d, s in outputs]
    op = graph.add(
        kind, type, kernel=kernel, inputs=inputs, attrs=_NO_ATTRS if attrs is None else attrs, outputs=specs, name=name
    )
    return op.outputs[0] if outputs is None else list(op.outputs)


def elementwise(
    ufunc: np.ufunc, *args: Any, type: str | None = None, name: str | None = None, checked: bool = False
) -> Any:
    """A node from a NumPy or SciPy ufunc of tensors, arrays and Python scalars.

    The ufunc determines the dtype, broadcasting the shape. Raises ValueError if the shapes do not broadcast.
    checked: divisions of integers are TensorFlow's. By zero, they raise InvalidArgumentError at run time.
    """
    present = [tensor for tensor in map(as_tensor, args) if tensor is not None]
    default = type_and_name(ufunc, present[0].dtype.base_dtype if present else None)
    kind = type or default[0]
    name = name or type or default[1]
    if len(present) == len(args):
        tensors = convert_together(args)
    else:
        name = graph_of(present).named(name)
        tensors = convert_together(args, folder=name)
    found = ufunc_dtypes if ufunc.ntypes > 1 else ufunc_dtypes.__wrapped__  # one of the user's own is not kept
    result = found(ufunc, tuple([t.dtype.base_dtype for t in tensors]), name)
    shape: shapes.RawShape = ()
    if ufunc.signature is not None:
        shape = None
    elif len(tensors) == 2 and tensors[0].raw_shape == tensors[1].raw_shape:
        shape = tensors[0].raw_shape
    else:
        for tensor in tensors:
            shape = shapes.broadcast(shape, tensor.raw_shape)
    kernel = DIVISIONS.get(ufunc) if checked and result[0].is_integer else None
    if checked and ufunc is np.divide and local.tracing is None:
        if all([t.dtype.is_integer and t.dtype.size <= 2 for t in tensors]):
            kernel, result = divide_small, (dtypes.float32,)
    if kernel is None:
        kernel = OPERATORS.get(ufunc, ufunc)
    if ufunc.nout > 1:
        return apply(kernel, tensors, type=kind, name=name, outputs=[(d, shape) for d in result])
    output = apply(kernel, tensors, type=kind, name=name, dtype=result[0], shape=shape)
    if output.op.graph.weak and result[0].numpy.kind in PYTHON:
        _keep_weak(output, args)
    return output


def _keep_weak(made: Tensor, args: Sequence[Any]) -> None:
    """A result computed from Python numbers alone stands for a Python number, too."""
    weak = made.op.graph.weak
    if all([type(arg) in _NUMBERS or as_tensor(arg) in weak for arg in args]):
        weak.add(made)


def placeholder(dtype: Any, shape: Any = None, name: str | None = None) -> Tensor:
    """A tensor that must be fed. Running a node that depends on it without a feed raises InvalidArgumentError.

    dtype: of the fed values; `object` takes any Python object.   shape: every fed value must be compatible with it.

        x = tf.placeholder(tf.float32, [None, 3])  # any number of rows of three
        session.run(x * 2, {x: [[1, 2, 3]]})  # [[2., 4., 6.]]
    """
    spec = (as_dtype(dtype).base_dtype, shapes.as_raw(shape))
    return get_default_graph().add(Kind.PLACEHOLDER, "Placeholder", outputs=[spec], name=name).outputs[0]


def placeholder_with_default(input: Any, shape: Any = None, name: str | None = None) -> Tensor:
    """A tensor that may be fed, and equals `input` otherwise. Raises ValueError if the shape does not fit `input`."""
    with get_default_graph().name_scope(name or "PlaceholderWithDefault") as scope:
        tensor = convert_to_tensor(input, name="input")
    raw = shapes.as_raw(shape)
    if not shapes.compatible(raw, tensor.raw_shape):
        why = shapes.difference(raw, tensor.raw_shape)
        raise ValueError(f"{tensor} does not fit the placeholder's shape {shapes.text(raw)}. {why}")
    kind = tensor.dtype.base_dtype
    return apply(pass_through, [tensor], type="PlaceholderWithDefault", name=scope, dtype=kind, shape=raw)


def pass_through(value: Any) -> Any:
    """The kernel of a node that passes its input on."""
    return value


as_it_is = pass_through  # the name in graphs that older versions wrote


def divide(ufunc: np.ufunc, x: Any, y: Any) -> Any:
    """The node for the operators `/`, `//`, `%` and `divmod`."""
    return elementwise(ufunc, x, y, checked=True)


seams.graph_of, seams.divide = graph_of, divide
