"""Values made of several tensors: sparse tensors and slices of a larger tensor.

Each is fetched and fed as one value.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections import namedtuple
from collections.abc import Callable
from typing import Any, TypeVar

from weftwork.graph import shapes
from weftwork.graph.build import apply, as_tensor, convert_to_tensor, static_value
from weftwork.graph.conversions import register_tensor_conversion_function
from weftwork.graph.dtypes import int64
from weftwork.graph.kernels.derivatives import rows_in
from weftwork.graph.known import entries
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.scopes import name_scope
from weftwork.graph.seams import seams
from weftwork.graph.stacks import session_for

SparseTensorValue = namedtuple("SparseTensorValue", ["indices", "values", "dense_shape"])
SparseTensorValue.__doc__ = "The value of a SparseTensor: what a run returns for one, and what you can feed for one."
IndexedSlicesValue = namedtuple("IndexedSlicesValue", ["values", "indices", "dense_shape"])
IndexedSlicesValue.__doc__ = "The value of IndexedSlices: what a run returns for them, and what you can feed for them."


class _Composite:
    """The common part of SparseTensor and IndexedSlices."""

    _values: Tensor
    _indices: Tensor
    _dense_shape: Tensor | None

    @property
    def indices(self) -> Tensor:
        """The positions of the values."""
        return self._indices

    @property
    def values(self) -> Tensor:
        """The values at the indices."""
        return self._values

    @property
    def op(self) -> Operation:
        """The operation that computes the values."""
        return self._values.op

    @property
    def graph(self):
        """The graph that contains it."""
        return self._values.graph

    @property
    def dtype(self):
        """The dtype of the values."""
        return self._values.dtype

    @property
    def shape(self) -> shapes.TensorShape:
        """The shape of the whole, as far as it is known before anything runs."""
        if self._dense_shape is None:
            return shapes.TensorShape(None)
        known = entries(self._dense_shape)
        return shapes.TensorShape(None if known is None else [None if dim is None or dim < 0 else dim for dim in known])

    def consumers(self) -> list[Operation]:
        """The operations that use one of its parts, each once."""
        parts = [self._values, self._indices, self._dense_shape]
        return list(dict.fromkeys([op for part in parts if part is not None for op in part.consumers()]))

    def __repr__(self) -> str:
        shape = "" if self._dense_shape is None else f", dense_shape={self._dense_shape}"
        return f"{type(self).__name__}(indices={self._indices}, values={self._values}{shape})"


def _converted(indices: Any, values: Any, dense_shape: Any) -> tuple[Tensor, Tensor, Tensor]:
    return (
        convert_to_tensor(indices, int64, name="indices"),
        convert_to_tensor(values, name="values"),
        convert_to_tensor(dense_shape, int64, name="dense_shape"),
    )


class SparseTensor(_Composite):
    """The non-zero `values` [n] of a tensor of `dense_shape` [rank], at `indices` [n, rank], int64.

    Raises ValueError if these shapes are known not to match.
    """

    def __init__(self, indices: Any, values: Any, dense_shape: Any):
        given = [value for value in (indices, values, dense_shape) if as_tensor(value) is not None]
        if len(given) == 3:
            self._indices, self._values, self._dense_shape = _converted(indices, values, dense_shape)
        else:
            with name_scope(None, "SparseTensor", given):
                self._indices, self._values, self._dense_shape = _converted(indices, values, dense_shape)
        count, rank = self._indices.shape.with_rank(2).dims
        count.merge_with(self._values.shape.with_rank(1).dims[0])
        rank.merge_with(self._dense_shape.shape.with_rank(1).dims[0])

    @classmethod
    def from_value(cls, sparse_tensor_value: Any) -> SparseTensor:
        """A SparseTensor unchanged, or a SparseTensorValue as a constant one. Raises TypeError for anything else.

        sparse_tensor_value: a SparseTensorValue or a SparseTensor.
        """
        if isinstance(sparse_tensor_value, cls):
            return sparse_tensor_value
        if not isinstance(sparse_tensor_value, SparseTensorValue):
            raise TypeError(f"Neither a SparseTensor nor SparseTensorValue: {sparse_tensor_value!r}.")
        return cls(*sparse_tensor_value)

    @property
    def dense_shape(self) -> Tensor:
        """The shape of the whole."""
        assert self._dense_shape is not None
        return self._dense_shape

    def get_shape(self) -> shapes.TensorShape:
        """The same as `shape`."""
        return self.shape

    __array_ufunc__ = None
    """A tensor leaves its operators to this class."""

    def __mul__(self, other: Any) -> SparseTensor:
        return seams.cwise("multiply", self, other)

    __rmul__ = __mul__

    def __div__(self, other: Any) -> SparseTensor:
        return seams.cwise("div", self, other)

    def __truediv__(self, other: Any) -> SparseTensor:
        return seams.cwise("truediv", self, other)

    def eval(self, feed_dict: Any = None, session: Any = None) -> SparseTensorValue:
        """The value, computed in `session` or the default session."""
        session = session_for(self.graph, session, "evaluate tensor", "eval")
        return SparseTensorValue(*session.run([self._indices, self._values, self._dense_shape], feed_dict))


Function = TypeVar("Function", bound=Callable[..., Any])


def over_values(function: Function) -> Function:
    """Decorator for a function of a tensor that leaves zeros zero: of a SparseTensor, it returns a SparseTensor.

    function: of a tensor, which is its first argument.
    """

    @functools.wraps(function)
    def taken(x: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(x, (SparseTensor, SparseTensorValue)):
            return function(x, *args, **kwargs)
        x = SparseTensor.from_value(x)
        return SparseTensor(x.indices, function(x.values, *args, **kwargs), x.dense_shape)

    return taken  # type: ignore[return-value]


class IndexedSlices(_Composite):
    """Some rows of a larger tensor: the `values` at `indices`; `dense_shape` is the larger shape, or None."""

    def __init__(self, values: Tensor, indices: Tensor, dense_shape: Tensor | None = None):
        self._values, self._indices, self._dense_shape = values, indices, dense_shape

    @property
    def dense_shape(self) -> Tensor | None:
        """The shape of the whole, or None."""
        return self._dense_shape

    @property
    def name(self) -> str:
        """The name of the rows' tensor."""
        return self._values.name

    @property
    def device(self) -> str:
        """The device of the rows' tensor."""
        return self._values.device

    def __neg__(self) -> IndexedSlices:
        return IndexedSlices(-self._values, self._indices, self._dense_shape)


_MANY_ELEMENTS = 100_000_000
"""From this size on, the conversion of IndexedSlices to a tensor warns."""


def _dense(slices: IndexedSlices, dtype: Any = None, name: str | None = None, as_ref: bool = False) -> Tensor:
    """The whole tensor. Each row is the sum of the slices' rows with its index, or zeros.

    An index out of range raises InvalidArgumentError at run time.
    """
    if dtype is not None and dtype is not slices.dtype.base_dtype:
        raise ValueError(
            f"Tensor conversion requested dtype {dtype.name} for IndexedSlices with dtype {slices.dtype.name}"
        )
    if slices.dense_shape is None:
        raise ValueError(f"Tensor conversion requested for IndexedSlices without dense_shape: {slices}")
    known, row = static_value(slices.dense_shape), slices.values.raw_shape
    size = None if known is None else math.prod([int(dim) for dim in known])
    if size is None or size >= _MANY_ELEMENTS:
        how = "of unknown shape" if size is None else f"with {size} elements"
        text = f"Converting sparse IndexedSlices to a dense Tensor {how}. This may consume a large amount of memory."
        warnings.warn(text, stacklevel=4)
    inputs, attrs = [slices.values, slices.indices], {}
    if known is None:
        inputs.append(slices.dense_shape)
        shape = None if row is None else (None, *row[1:])
    else:
        shape = attrs["shape"] = tuple([int(dim) for dim in known])
    return apply(rows_in, inputs, attrs, type="DenseRows", name=name, dtype=slices.dtype.base_dtype, shape=shape)


register_tensor_conversion_function(IndexedSlices, _dense)
