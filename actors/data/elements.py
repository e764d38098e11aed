"""A function of many elements, as one kernel: what the parts of a dataset's parallel `map` run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weftwork.actors.data.stage import Failed
from weftwork.actors.programs.control import Body, Control
from weftwork.actors.programs.program import Stopped
from weftwork.graph.errors import OpError


class EachElement(Control):
    """kernel(stop, elements, *rest): the results of a body for each of some elements, or a `Failed` in their place.

    The body takes an element's values, then what is the same for all.
    """

    __name__ = "each_element"

    def __init__(self, body: Body):
        self.body = body

    def __call__(self, stop: list, elements: Sequence[Sequence], *rest: Any) -> list:
        made: list = []
        for element in elements:
            if stop:
                raise Stopped
            try:
                made.append(self.body(stop, [*element, *rest]))
            except OpError as error:
                made.append(Failed(type(error), error.message))
        return made
