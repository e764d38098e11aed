"""Values of several tensors: sparse tensors and slices of a larger tensor. They are fetched and fed as one."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from weftwork.graph import shapes
from weftwork.graph.build import convert_to_tensor
from weftwork.graph.dtypes import int64
from weftwork.graph.operation import Operation, Tensor

SparseTensorValue = namedtuple("SparseTensorValue", ["indices", "values", "dense_shape"])
IndexedSlicesValue = namedtuple("IndexedSlicesValue", ["values", "indices", "dense_shape"])


class SparseTensor:
    """The non-zero `values` [n] of a tensor of `dense_shape` [rank], at `indices` [n, rank], int64."""

    def __init__(self, indices: Any, values: Any, dense_shape: Any):
        self._indices = convert_to_tensor(indices, int64, name="indices")
        self._values = convert_to_tensor(values, name="values")
        self._dense_shape = convert_to_tensor(dense_shape, int64, name="shape")

    @property
    def indices(self) -> Tensor:
        """Where the values stand."""
        return self._indices

    @property
    def values(self) -> Tensor:
        """The values that are not zero."""
        return self._values

    @property
    def dense_shape(self) -> Tensor:
        """The shape of the whole."""
        return self._dense_shape

    @property
    def op(self) -> Operation:
        """The operation that makes the values."""
        return self._values.op

    @property
    def graph(self):
        """The graph of its parts."""
        return self._values.graph

    @property
    def dtype(self):
        """The dtype of the values."""
        return self._values.dtype

    @property
    def shape(self) -> shapes.TensorShape:
        """The dense shape, as far as it is known before anything runs."""
        from weftwork.graph.build import static_value

        known = static_value(self._dense_shape)
        return shapes.TensorShape(None if known is None else [int(d) for d in known])

    def get_shape(self) -> shapes.TensorShape:
        """The same as `shape`."""
        return self.shape

    def eval(self, feed_dict: Any = None, session: Any = None) -> SparseTensorValue:
        """The value, computed in `session` or the default session."""
        indices, values, shape = (t.eval(feed_dict, session) for t in (self.indices, self.values, self.dense_shape))
        return SparseTensorValue(indices, values, shape)

    def __repr__(self) -> str:
        return f"SparseTensor(indices={self._indices}, values={self._values}, dense_shape={self._dense_shape})"


class IndexedSlices:
    """The rows `values` of a larger tensor, at `indices`; `dense_shape` is that of the whole, or None."""

    def __init__(self, values: Tensor, indices: Tensor, dense_shape: Tensor | None = None):
        self._values, self._indices, self._dense_shape = values, indices, dense_shape

    @property
    def values(self) -> Tensor:
        """The rows."""
        return self._values

    @property
    def indices(self) -> Tensor:
        """Which rows they are."""
        return self._indices

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

    @property
    def op(self) -> Operation:
        """The operation that makes the rows."""
        return self._values.op

    @property
    def graph(self):
        """The graph of its parts."""
        return self._values.graph

    @property
    def dtype(self):
        """The dtype of the rows."""
        return self._values.dtype

    def __repr__(self) -> str:
        return f"IndexedSlices(indices={self._indices}, values={self._values}, dense_shape={self._dense_shape})"
