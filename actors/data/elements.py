"""A function of many elements, as one kernel: what the parts of a dataset's parallel `map` run.

column    the values of one output for all elements: one array where they are alike, which travels as one
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weftwork.actors.data.stage import Failed
from weftwork.actors.programs.control import Body, Control
from weftwork.actors.programs.program import Stopped
from weftwork.graph.errors import OpError
from weftwork.graph.ownership import add_atoms


class Chunk:
    """Some elements, each a list of values: nobody looks at how large each of them is."""

    __slots__ = ("elements",)

    def __init__(self, elements: list[list]):
        self.elements = elements

    def __reduce__(self):
        return Chunk, (self.elements,)


add_atoms(Chunk)


class EachElement(Control):
    """kernel(stop, chunk, *rest): the results of a body for each of some elements, as `in_columns` puts them.

    The body takes an element's values, then what is the same for all. `Failed` stands for the results of a call that
    raised an error.
    """

    __name__ = "each_element"

    def __init__(self, body: Body):
        self.body = body

    def __call__(self, stop: list, chunk: Chunk, *rest: Any) -> list:
        made: list = []
        first = True
        for element in chunk.elements:
            if stop:
                raise Stopped
            try:
                made.append(self.body(stop, [*element, *rest]))
            except OpError as error:  # of one call the inputs may go with it, of thousands they may not
                made.append(Failed(type(error), error.message, error.call if first else None))
                first = False
        return in_columns(made)


def in_columns(made: list) -> list:
    """Results as columns, and what failed by its place."""
    failed = {at: item for at, item in enumerate(made) if isinstance(item, Failed)}
    rows = [item for item in made if not isinstance(item, Failed)] if failed else made
    return [len(made), failed, [_column(values) for values in zip(*rows, strict=True)]]


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
    """The results again, one list for each element, or its Failed."""
    count, failed, columns = packed
    rows = iter([list(row) for row in zip(*map(_values, columns), strict=True)])
    if not columns:
        rows = iter([[] for _ in range(count - len(failed))])
    return [failed[at] if at in failed else next(rows) for at in range(count)]


def _values(column: Any) -> Any:
    """The values of a column, none of which keeps the others."""
    return [row.copy() for row in column] if isinstance(column, np.ndarray) and column.ndim > 1 else column
