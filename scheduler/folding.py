"""Which pure nodes need not run: those like another one, and those of small constants, whose outputs are constants."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.actors.program import quiet
from weftwork.graph import nest
from weftwork.graph.operation import Operation

_MOST_ELEMENTS = 65_536
"""Constants with more elements than this are neither folded nor made by folding."""


def merge_key(op: Operation, inputs: tuple[int, ...]) -> Any:
    """Equal for nodes that compute the same; None for one that cannot be compared."""
    attrs = op.attrs
    if not attrs:
        return (op.kernel, inputs, op.device)
    try:
        return (op.kernel, inputs, op.device, tuple([(name, _exact(value)) for name, value in attrs.items()]))
    except TypeError:
        return None


def _exact(value: Any) -> Any:
    """A key that tells 1 from 1.0 and True, and 0.0 from -0.0."""
    kind = type(value)
    return (kind, value) if kind in (int, bool, str, bytes) or value is None else nest.frozen(value)


def folded(op: Operation, values: list) -> list | None:
    """The outputs of a pure node of constants, frozen; None when it is not to be folded."""
    if sum([np.size(v) for v in values]) > _MOST_ELEMENTS:
        return None
    sizes = [1 if t._shape is None or None in t._shape else int(np.prod(t._shape)) for t in op.outputs]  # type: ignore[arg-type]
    if sum(sizes) > _MOST_ELEMENTS:
        return None
    try:
        with quiet():
            result = op.kernel(*values, **op.attrs)  # type: ignore[misc]
    except Exception:  # it will raise again, with its name, when it runs
        return None
    results = result if len(op.outputs) != 1 else (result,)
    for item in results:
        if isinstance(item, np.ndarray):
            if item.size > _MOST_ELEMENTS:
                return None
            item.flags.writeable = False
    return list(results)
