"""InputSpec: what a layer requires of its inputs, and the check of it."""

from __future__ import annotations

from typing import Any

from weftwork.graph import shapes
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.nest import flatten
from weftwork.graph.operation import Tensor


class InputSpec:
    """The dtype, rank and sizes that an input of a layer must have. Set `input_spec` of a layer to one, or to a list.

    ndim, max_ndim, min_ndim: of its rank.   shape: its sizes, None for any.   axes: maps axes to their sizes.
    Raises ValueError for an axis beyond the rank.
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Any = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict[int, Any] | None = None,
    ):
        raw = shapes.as_raw(shape)
        self.dtype = None if dtype is None else as_dtype(dtype).name
        self.shape = shape
        self.ndim = ndim if raw is None else len(raw)
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        most = self.ndim if self.ndim is not None else max_ndim
        if self.axes and most is not None and max(self.axes) > most - 1:
            raise ValueError(f"Axis {max(self.axes)} is greater than the maximum allowed value: {most - 1}")

    def __repr__(self) -> str:
        words = ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes")
        given = [f"{word}={getattr(self, word)}" for word in words if getattr(self, word)]
        return f"InputSpec({', '.join(given)})"

    def why_not(self, x: Tensor) -> str | None:
        """What of this an input contradicts; None if nothing."""
        raw, given = x.raw_shape, shapes.as_raw(self.shape)
        ranked = (self.ndim, self.max_ndim, self.min_ndim)
        if raw is None:
            needed = ranked != (None, None, None)
            return "its rank is undefined, but the layer requires a defined rank." if needed else None
        for word, limit, fits in (
            ("ndim", self.ndim, len(raw) == self.ndim),
            ("max_ndim", self.max_ndim, len(raw) <= (self.max_ndim or 0)),
            ("min_ndim", self.min_ndim, len(raw) >= (self.min_ndim or 0)),
        ):
            if limit is not None and not fits:
                return f"expected {word}={limit}, found ndim={len(raw)}. Full shape received: {list(raw)}"
        if self.dtype is not None and x.dtype.base_dtype.name != self.dtype:
            return f"expected dtype={self.dtype}, found dtype={x.dtype.base_dtype.name}"
        for axis, size in self.axes.items():
            size = getattr(size, "value", size)
            if size is not None and raw[axis] not in (size, None):
                had = f"input with shape {list(raw)}"
                return f"expected axis {axis} of input shape to have value {size} but received {had}"
        if not shapes.compatible(raw, given):
            return f"expected shape={self.shape}, found shape={list(raw)}"
        return None


def check_inputs(specs: Any, inputs: Any, layer: str) -> None:
    """Raise ValueError unless the inputs of a layer are as `specs` say: an InputSpec, or a list of them and None."""
    wanted, given = specs if isinstance(specs, (list, tuple)) else [specs], flatten(inputs)
    if len(wanted) != len(given):
        raise ValueError(
            f"Layer {layer} expects {len(wanted)} inputs, but it received {len(given)} input tensors. Inputs received: "
            f"{given}"
        )
    for number, (spec, x) in enumerate(zip(wanted, given, strict=True)):
        if spec is not None and (why := spec.why_not(x)) is not None:
            raise ValueError(f"Input {number} of layer {layer} is incompatible with the layer: {why}")
