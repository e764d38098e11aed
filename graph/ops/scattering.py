"""Copies of a tensor in which some elements are replaced."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from weftwork.graph import shapes
from weftwork.graph.arguments import of_kind
from weftwork.graph.build import apply, convert_to_tensor, convert_together
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.kernels import spaces as kernels
from weftwork.graph.kernels.indices import rows_inside
from weftwork.graph.known import promoted
from weftwork.graph.operation import Tensor


def _scatter(public: str, ufunc: np.ufunc | None, kind: str, doc: str) -> Callable[..., Tensor]:
    def scatter(tensor, indices, updates, name=None):
        x, new = convert_together([tensor, updates])
        rows = convert_to_tensor(indices)
        of_kind(rows, "indices", "iu")
        if promoted([x, new]) is not x.dtype.base_dtype:
            raise TypeError(
                f"Input 'updates' of '{kind}' Op has type {new.dtype.name}, which {x.dtype.name} cannot hold."
            )
        attrs = {"ufunc": ufunc}
        return apply(
            tensor_scattered, [x, rows, new], attrs, type=kind, name=name, dtype=x.dtype.base_dtype, shape=x.raw_shape
        )

    scatter.__name__ = scatter.__qualname__ = public
    scatter.__doc__ = (
        f"A copy of a tensor with `updates` {doc} at `indices`, whose last axis indexes into its first axes.\n\n"
        "Raises TypeError for updates that the tensor's dtype cannot hold. An index out of range raises\n"
        "InvalidArgumentError at run time."
    )
    return scatter


def tensor_scattered(x, indices, updates, ufunc):
    """The kernel of tensor_scatter_update and its variants."""
    index = rows_inside(indices, x.shape)
    wanted = np.shape(indices)[:-1] + x.shape[len(index) :]
    if np.shape(updates) != wanted:
        raise InvalidArgumentError(
            None, None, f"Must have updates.shape = {shapes.bracket_text(wanted)} for these indices, got "
            f"{shapes.bracket_text(np.shape(updates))}",
        )  # fmt: skip
    return kernels.tensor_scatter(x, index or (...,), updates, ufunc)


tensor_scatter_update = _scatter("tensor_scatter_update", None, "TensorScatterUpdate", "stored")


tensor_scatter_add = _scatter("tensor_scatter_add", np.add, "TensorScatterAdd", "added")


tensor_scatter_sub = _scatter("tensor_scatter_sub", np.subtract, "TensorScatterSub", "subtracted")


tensor_scatter_max = _scatter("tensor_scatter_max", np.maximum, "TensorScatterMax", "stored where they are larger")


tensor_scatter_min = _scatter("tensor_scatter_min", np.minimum, "TensorScatterMin", "stored where they are smaller")
