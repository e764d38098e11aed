"""NumPy's functions make nodes when called on Tensors: `np.add(t, 1)` by NEP 13, `np.linalg.svd(t)` by NEP 18.

To predict what NumPy will return, we ask NumPy: while the graph is built, the function is called once on small arrays
of ones. That gives the number of outputs and their dtypes, and their shapes if the inputs' shapes are known.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph import dtypes, nest, shapes
from weftwork.graph.build import apply, as_tensor, elementwise
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.operation import Tensor
from weftwork.graph.seams import seams

_DATA_DEPENDENT = frozenset(
    "unique unique_all unique_counts unique_inverse unique_values nonzero argwhere flatnonzero where extract compress "
    "delete insert trim_zeros bincount setdiff1d union1d intersect1d setxor1d repeat lstsq roots interp "
    "histogram_bin_edges histogram choose select".split()
)
_REAL_OR_COMPLEX = frozenset("eig eigvals roots real_if_close".split())
"""Functions whose dtype depends on the data; so do those of `np.emath`."""
_MAX_SAMPLE_SIZE = 4096
"""The largest number of elements of a sample array that is used to find the shape of a result."""


def array_ufunc(ufunc: np.ufunc, method: str, inputs: tuple, kwargs: dict) -> Any:
    """The node of a ufunc called on tensors. `out=` is refused: nothing can be written into a tensor."""
    if kwargs.pop("out", None) is not None:
        raise TypeError(f"np.{ufunc.__name__} cannot write into a Tensor: a graph's values are never changed in place.")
    if method == "__call__" and not kwargs:
        if ufunc is np.matmul:
            return seams.matmul(*inputs)
        if ufunc.signature is None:
            return elementwise(ufunc, *inputs)
    function = ufunc if method == "__call__" else _UfuncMethod(ufunc, method)
    return array_function(function, inputs, kwargs)


class _UfuncMethod:
    """`np.add.reduce` etc., by name, so that it can be pickled."""

    def __init__(self, ufunc: np.ufunc, method: str):
        self.ufunc, self.method = ufunc, method
        self.__name__ = f"{ufunc.__name__}_{method.strip('_')}"

    def __call__(self, *args, **kwargs):
        return getattr(self.ufunc, self.method)(*args, **kwargs)

    def __eq__(self, other):
        return isinstance(other, _UfuncMethod) and (self.ufunc, self.method) == (other.ufunc, other.method)

    def __hash__(self):
        return hash((self.ufunc, self.method))


def call_numpy(*values: Any, function: Callable, template: Any, several: bool) -> Any:
    """The kernel of a NumPy function whose arguments are nested structures."""
    args, kwargs = nest.fill(template, values, nest.unchanged)
    result = function(*args, **kwargs)
    if not several:
        return result
    return result[0] if len(result) == 1 else tuple(result)  # every kernel returns a single output as it is


def array_function(function: Callable, args: tuple, kwargs: dict) -> Any:
    """The node of a NumPy function of tensors: a Tensor, or several in the function's own kind of tuple."""
    if "out" in kwargs and kwargs["out"] is not None:
        raise TypeError(f"{function.__name__} cannot write into a Tensor: a graph's values are never changed in place.")
    tensors: list[Tensor] = []
    template = nest.lift_call(args, kwargs, tensors, as_tensor)
    outputs, pack = _ask(function, template, tensors)
    attrs = {"function": function, "template": template, "several": pack is not None}
    result = apply(call_numpy, tensors, attrs, type=function.__name__, name=_node_name(function), outputs=outputs)
    return result[0] if pack is None else pack(result)


def _node_name(function: Callable) -> str:
    return function.__name__.strip("_") or "numpy"


def _ask(function: Callable, template: Any, tensors: list[Tensor]) -> tuple[list, Callable | None]:
    """(dtype, shape) of each output and a function that packs several; an object of unknown shape if NumPy fails."""
    known = all(shapes.is_full(t.raw_shape) and math.prod(t.raw_shape or ()) <= _MAX_SAMPLE_SIZE for t in tensors)  # type: ignore[arg-type]
    certain = known and function.__name__ not in _DATA_DEPENDENT
    if any(t.raw_shape is None or t.dtype.numpy.kind not in "biufc" for t in tensors):
        return [(dtypes.object, None)], None
    loose = function.__name__ in _REAL_OR_COMPLEX or "scimath" in (function.__module__ or "")
    samples = [_sample(t, known) for t in tensors]
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            result = call_numpy(*samples, function=function, template=template, several=False)
    except Exception:  # the real value may be valid where the sample was not: unknown until it runs
        return [(dtypes.object, None)], None
    if isinstance(result, (np.ndarray, np.generic)):
        return [_spec(result, certain, loose)], None
    if isinstance(result, (tuple, list)) and all(isinstance(item, (np.ndarray, np.generic)) for item in result):
        kind = type(result)
        pack = kind if kind in (tuple, list) else lambda made: kind(*made)
        return [_spec(item, certain, loose) for item in result], pack
    return [(dtypes.object, None)], None


def _sample(tensor: Tensor, known: bool) -> Any:
    shape = tensor.raw_shape if known else tuple([2 if dim is None else min(dim, 2) for dim in tensor.raw_shape or ()])
    assert shape is not None
    if len(shape) >= 2 and shape[-1] == shape[-2]:  # some functions need an invertible matrix
        return np.broadcast_to(np.eye(shape[-1], dtype=tensor.dtype.numpy), shape).copy()  # type: ignore[arg-type]
    return np.ones(shape, tensor.dtype.numpy)[()]  # type: ignore[arg-type]


def _spec(value: Any, certain: bool, loose: bool) -> tuple:
    dtype = as_dtype(value.dtype) if value.dtype.kind in "biufc" and not loose else dtypes.object
    return (dtype, value.shape if certain else None)


seams.array_ufunc, seams.array_function = array_ufunc, array_function
