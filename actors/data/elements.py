"""The kernel that calls a function for many elements: a dataset's parallel `map` runs several of these at once.

column    one output's values for all elements; a single array if they are alike, so it is sent as one
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weftwork.actors.data.stage import Failed
from weftwork.actors.programs.bodies import Body, Control
from weftwork.actors.programs.program import Stopped
from weftwork.graph.errors import OpError
from weftwork.graph.python.ownership import add_atoms


class Chunk:
    """Some elements, each a list of values. Its class is an atom, so nobody measures the single values."""

    __slots__ = ("elements",)

    def __init__(self, elements: list[list]):
        self.elements = elements

    def __reduce__(self):
        return Chunk, (self.elements,)


add_atoms(Chunk)


class EachElement(Control):
    """kernel(stop, chunk, *rest): call a body for each element of a chunk; returns the results as `in_columns` packs
    them.

    The body takes an element's values, followed by `rest`, which is the same for all. A call that raises an error is
    represented by a `Failed`.
    """

    __name__ = "each_element"

    def __init__(self, body: Body):
        self.body = body

    def __call__(self, stop: list, chunk: Chunk, *rest: Any) -> list:
        results: list = []
        first = True
        for element in chunk.elements:
            if stop:
                raise Stopped
            try:
                results.append(self.body(stop, [*element, *rest]))
            except OpError as error:  # keep the inputs of one failed call, not of thousands
                results.append(Failed(type(error), error.message, error.call if first else None))
                first = False
        return in_columns(results)


def in_columns(results: list) -> list:
    """Pack results into [count, Failed by position, columns]."""
    failed = {at: item for at, item in enumerate(results) if isinstance(item, Failed)}
    rows = [item for item in results if not isinstance(item, Failed)] if failed else results
    return [len(results), failed, [_column(values) for values in zip(*rows, strict=True)]]


def _column(values: Sequence) -> Any:
    first = values[0]
    if not isinstance(first, (np.ndarray, np.generic)) or first.dtype.hasobject:
        return list(values)
    like = (type(first), first.dtype, first.shape)
    for value in values:
        if not isinstance(value, (np.ndarray, np.generic)) or (type(value), value.dtype, value.shape) != like:
            return list(values)
    return np.stack(values) if first.ndim else np.array(values, first.dtype)


def in_rows(packed: list) -> list:
    """Unpack results: for each element its list of outputs, or its `Failed`."""
    count, failed, columns = packed
    rows = iter([list(row) for row in zip(*map(_values, columns), strict=True)])
    if not columns:
        rows = iter([[] for _ in range(count - len(failed))])
    return [failed[at] if at in failed else next(rows) for at in range(count)]


def _values(column: Any) -> Any:
    """The values of a column, copied so that none keeps the whole column alive."""
    return [row.copy() for row in column] if isinstance(column, np.ndarray) and column.ndim > 1 else column
