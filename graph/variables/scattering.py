"""Methods of variables that write or read single rows or elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weftwork.graph.operation import Tensor
from weftwork.graph.ops.composite import IndexedSlices
from weftwork.graph.ops.indexing import gather, gather_nd
from weftwork.graph.variables import writes as state_ops


class Scattering:
    """Methods for some rows of a variable, whose reference is `_variable`."""

    __slots__ = ()

    _variable: Tensor

    def _scattered(self, scatter: Callable, sparse_delta: Any, name: str | None) -> Tensor:
        if not isinstance(sparse_delta, IndexedSlices):
            raise TypeError(f"sparse_delta is not IndexedSlices: {sparse_delta}")
        return scatter(self._variable, sparse_delta.indices, sparse_delta.values, name=name)

    def scatter_add(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
        """Add IndexedSlices to the variable."""
        return self._scattered(state_ops.scatter_add, sparse_delta, name)

    def scatter_sub(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
        """Subtract IndexedSlices from the variable."""
        return self._scattered(state_ops.scatter_sub, sparse_delta, name)

    def scatter_update(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
        """Replace rows by those of IndexedSlices."""
        return self._scattered(state_ops.scatter_update, sparse_delta, name)

    def scatter_max(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
        """Take the maximum with the rows of IndexedSlices."""
        return self._scattered(state_ops.scatter_max, sparse_delta, name)

    def scatter_min(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
        """Take the minimum with the rows of IndexedSlices."""
        return self._scattered(state_ops.scatter_min, sparse_delta, name)

    def scatter_mul(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
        """Multiply by the rows of IndexedSlices."""
        return self._scattered(state_ops.scatter_mul, sparse_delta, name)

    def scatter_div(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
        """Divide by the rows of IndexedSlices."""
        return self._scattered(state_ops.scatter_div, sparse_delta, name)

    def scatter_nd_add(self, indices: Any, updates: Any, name: str | None = None) -> Tensor:
        """See `weftwork.scatter_nd_add`."""
        return state_ops.scatter_nd_add(self._variable, indices, updates, name=name)

    def scatter_nd_sub(self, indices: Any, updates: Any, name: str | None = None) -> Tensor:
        """See `weftwork.scatter_nd_sub`."""
        return state_ops.scatter_nd_sub(self._variable, indices, updates, name=name)

    def scatter_nd_update(self, indices: Any, updates: Any, name: str | None = None) -> Tensor:
        """See `weftwork.scatter_nd_update`."""
        return state_ops.scatter_nd_update(self._variable, indices, updates, name=name)

    def batch_scatter_update(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
        """See `weftwork.batch_scatter_update`."""
        return self._scattered(state_ops.batch_scatter_update, sparse_delta, name)

    def sparse_read(self, indices: Any, name: str | None = None) -> Tensor:
        """The rows at some indices; see `weftwork.gather`."""
        return gather(self, indices, name=name)

    def gather_nd(self, indices: Any, name: str | None = None) -> Tensor:
        """See `weftwork.gather_nd`."""
        return gather_nd(self, indices, name=name)
