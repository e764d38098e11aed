"""The arguments of `padded_batch`, checked against the structure of the elements."""

from __future__ import annotations

from typing import Any

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import convert_to_tensor, static_value
from weftwork.graph.data import structure as structures
from weftwork.graph.data.structure import Leaf, flatten
from weftwork.graph.operation import Tensor


def padded_to(structure: Any, given: Any) -> list[tuple]:
    """The shapes to pad to. Raises ValueError if a rank is unknown."""
    raw = structures.shapes_for(structure, _static(given))
    if None in raw:
        raise ValueError("A padded shape must have a known rank")
    return raw  # type: ignore[return-value]


def _static(given: Any) -> Any:
    """Replace tensors among shapes by lists of their known values."""
    if isinstance(given, Tensor):
        known = static_value(given)
        if known is None:
            raise ValueError(f"A padded shape must be known when the graph is built, not {given!r}")
        return [int(d) for d in known]
    if isinstance(given, dict):
        return {key: _static(item) for key, item in given.items()}
    if isinstance(given, tuple) and not hasattr(given, "_fields"):
        return tuple([_static(item) for item in given])
    return given


def check_padded(shape: tuple, given: shapes.RawShape) -> None:
    """Raise ValueError for a shape that is smaller than the known part of the elements' shape."""
    if given is None:
        return
    fits = len(shape) == len(given) and all(
        [p is None or g is None or p >= g for p, g in zip(shape, given, strict=True)]
    )
    if not fits:
        raise ValueError(
            f"The padded shape {shapes.text(shape)} is not compatible with the corresponding input component shape "
            f"{shapes.text(given)}."
        )


def paddings(structure: Any, given: Any) -> list[Tensor]:
    """The padding value of each component. Raises TypeError for another dtype, ValueError unless it is a scalar."""
    leaves = flatten(structure)
    if given is None:
        values: list[Any] = [None] * len(leaves)
    elif structures.is_nested(structure):
        structures.check_alike(structure, given)
        values = flatten(given)
    else:
        values = [given]
    result = []
    for leaf, value in zip(leaves, values, strict=True):
        if value is None:
            value = b"" if leaf.dtype is dtypes.string else leaf.dtype.numpy.type(0)
        tensor = (
            value if isinstance(value, Tensor) else convert_to_tensor(_converted(value, leaf), name="padding_value")
        )
        if tensor.raw_shape not in ((), None):
            raise ValueError(f"Padding value should be a scalar, but is not: {tensor}")
        if tensor.dtype.base_dtype is not leaf.dtype:
            raise TypeError(f"Padding value tensor ({tensor}) does not match output type: {leaf.dtype.name}")
        result.append(tensor)
    return result


def _converted(value: Any, leaf: Leaf) -> Any:
    """Convert a Python number to the component's dtype."""
    plain = isinstance(value, (int, float)) and not isinstance(value, bool) and leaf.dtype.numpy.kind in "iufc"
    return leaf.dtype.numpy.type(value) if plain and not (isinstance(value, float) and leaf.dtype.is_integer) else value
