"""What cannot be sent to or from the process of a shared session: the error names the node, and other runs go on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

from weftwork.actors.processes import pickling
from weftwork.actors.processes.messages import check_pickles
from weftwork.graph.graph import Graph
from weftwork.graph.operation import LIBRARY, Kind
from weftwork.graph.seams import seams
from weftwork.scheduler.run.failures import node_error
from weftwork.scheduler.run.unsendable import why_stuck

_HOST = "the process of the shared session"


def check_values(elements: Sequence[Any], values: Sequence[Any], word: str) -> None:
    """Raise InvalidArgumentError for the first value that cannot be pickled.   word: how the value got to its node."""
    for element, value in zip(elements, values, strict=False):  # runs for a dataset's elements name none, and stay here
        try:
            check_pickles(value)
        except Exception as error:
            text = f"the value {word} {element.name} could not be sent between the program and {_HOST}: {error}"
            raise node_error(element.op, TypeError(text)) from error


class SendableGraph:
    """Pickles as a graph in which nodes that cannot be sent raise an error, if they run; all others are as they are."""

    def __init__(self, graph: Graph):
        self._flat = flat = seams.flatten_graph(graph)
        flat["rows"] = [None if row is None else _sendable(row) for row in flat["rows"]]
        flat["collections"] = {
            name: [item for item in items if _error_of(item) is None] for name, items in flat["collections"].items()
        }

    def __reduce__(self):
        return Graph, (), self._flat


def _sendable(row: tuple) -> tuple:
    name, type_, _, kernel, inputs, attrs, outputs, controls, _, *rest = row
    error = _error_of((kernel, attrs))
    if error is None:
        return row
    text = why_stuck(name, kernel, attrs, error, _HOST) or f"{name} could not be sent to {_HOST}: {error}"
    return name, type_, Kind.PURE, partial(_refuse, text), inputs, {}, outputs, controls, LIBRARY, *rest


def _error_of(value: Any) -> Exception | None:
    """What pickling code raises, or None."""
    try:
        pickling.dumps(value, lambda buffer: None, is_code=True)
    except Exception as error:
        return error
    return None


def _refuse(text: str, *values: Any) -> NoReturn:
    """The kernel of a node that could not be sent."""
    raise TypeError(text)
