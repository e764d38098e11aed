"""Stages: each makes the elements of one dataset. A pipeline is a tree of stages for one iteration.

element    a list of values, one for each component; its arrays are read-only, because several may hold them
END        what `next` returns after the last element, from then on
Failed     stands for one element that raised an error, so that the elements after it are not lost

A stage is used by one thread at a time. A stage that works ahead has a thread of its own, and only that thread uses its
sources. `next` raises the error of a single element; the following call continues with the next element.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import Any, NamedTuple, TypeVar

import numpy as np

from weftwork.graph.data.description import Description
from weftwork.graph.errors import CancelledError, InvalidArgumentError, OpError, UnimplementedError, from_exception
from weftwork.graph.graph import Graph
from weftwork.graph.ops.composite import SparseTensorValue


class _End:
    def __repr__(self) -> str:
        return "END"


END: Any = _End()


class Failed(NamedTuple):
    """The error of one element. call: the failed call, if it is known."""

    kind: type[OpError]
    message: str
    call: Any = None

    def raised(self) -> OpError:
        """Rebuild the error."""
        error = self.kind(None, None, self.message)
        error.call = self.call
        return error


def read_only(value: Any) -> Any:
    """Make a freshly computed value read-only, so that several may hold it."""
    if type(value) is np.ndarray:
        if not value.ndim:
            return value[()]
        value.flags.writeable = False
    return value


def tensors_of(element: Sequence[Any]) -> list:
    """The tensor values of an element. A sparse component has three."""
    if SparseTensorValue not in map(type, element):
        return list(element)
    made: list = []
    for value in element:
        if type(value) is SparseTensorValue:
            made += value
        else:
            made.append(value)
    return made


def element_of(values: Iterable[Any], parts: Sequence[int]) -> list:
    """Build an element from tensor values. parts: the number of tensors in each component."""
    if len(parts) == sum(parts):
        return [read_only(value) for value in values]
    left = iter(values)
    made: list = []
    for count in parts:
        mine = [read_only(next(left)) for _ in range(count)]
        made.append(SparseTensorValue(*mine) if count > 1 else mine[0])
    return made


class Functions:
    """Calls the functions of datasets. The session's engine implements it."""

    def call(self, graph: Graph, function: int, captured: tuple, values: list) -> list:
        """The outputs of one call. Raises the error of the node that failed."""
        raise NotImplementedError

    def call_many(self, graph: Graph, function: int, captured: tuple, values: list[list], most: int) -> list:
        """Call a function for each of `values`, at most `most` at a time. Returns parts as `in_columns` makes them."""
        raise NotImplementedError

    def value_of(self, graph: Graph, operation: int, output: int) -> Any:
        """The value of a tensor, computed in a run of its own."""
        raise NotImplementedError

    def cores(self) -> int:
        """The number of calls that this machine can run at once."""
        raise NotImplementedError


class Pipeline:
    """The stages of one iteration.

    closed: True once nobody needs further elements, so threads end and waiting consumers give up.
    """

    def __init__(self, description: Description, graph: Graph, functions: Functions):
        self.graph, self.functions = graph, functions
        self.closed = False
        self._wakers: list[weakref.WeakMethod] = []
        self.root = self.stage(description)

    def stage(self, description: Description) -> Stage:
        """Make the stage for a description."""
        return STAGES[description.kind](description, self)

    def on_close(self, wake: Callable[[], None]) -> None:
        """Call a bound method when the pipeline is closed. It is held weakly."""
        self._wakers = [wake_ref for wake_ref in self._wakers if wake_ref() is not None]
        self._wakers.append(weakref.WeakMethod(wake))

    def close(self) -> None:
        """End all threads."""
        self.closed = True
        for wake_ref in self._wakers:
            wake = wake_ref()
            if wake is not None:
                wake()

    def check_open(self) -> None:
        """Raise CancelledError if the pipeline is closed."""
        if self.closed:
            raise CancelledError(None, None, "The iterator was initialized again, or its session was closed.")


def check_count(word: str, value: int, *also: int) -> None:
    """Raise InvalidArgumentError if an argument is neither positive nor one of `also`."""
    if value < 1 and value not in also:
        raise InvalidArgumentError(None, None, f"{word} must be greater than zero.")


class Stage:
    """Makes elements.

    saved: the names of the attributes that, with the sources, make up its position. At the beginning each is what the
    class says, unless the stage has a `begin` of its own.
    """

    saved: tuple[str, ...] = ()

    def __init__(self, given: Description, pipeline: Pipeline):
        self.given, self.pipeline = given, pipeline
        self.prepare()
        self.sources = [pipeline.stage(source) for source in given.sources]
        self.begin()

    @property
    def source(self) -> Stage:
        """The first source."""
        return self.sources[0]

    def prepare(self) -> None:
        """Read the given values, once. Raises InvalidArgumentError if they are invalid."""

    def begin(self) -> None:
        """Go to the beginning."""
        for name in self.saved:
            setattr(self, name, copy(getattr(type(self), name)))

    def restart(self) -> None:
        """Go back to the beginning, sources included."""
        for source in self.sources:
            source.restart()
        self.begin()

    def next(self) -> Any:
        """The next element, or END."""
        raise NotImplementedError

    def several(self, most: int) -> list:
        """At least one and at most `most` next elements, as many as are available at once. END comes last.

        An element that failed is represented by a `Failed`; no error is raised.
        """
        return [made_or_failed(self)]

    def close(self) -> None:
        """Release resources; no further element is needed."""
        for source in self.sources:
            source.close()

    @property
    def ready(self) -> bool:
        """True if `next` would not wait."""
        return False

    # Saving

    def state(self) -> dict[str, Any]:
        """The position, as to_plain data. Raises UnimplementedError if it cannot be saved."""
        own = {name: to_plain(getattr(self, name)) for name in self.saved}
        return {"own": own, "sources": [source.state() for source in self.sources]}

    def restore(self, state: dict[str, Any]) -> None:
        """Go to a saved position."""
        for source, position in zip(self.sources, state["sources"], strict=True):
            source.restore(position)
        for name, value in state["own"].items():
            setattr(self, name, from_plain(value))

    # Functions

    def call(self, element: list) -> list:
        """Call the stage's function for an element."""
        given = self.given
        assert given.function is not None
        values = self.pipeline.functions.call(self.pipeline.graph, given.function, given.captured, tensors_of(element))
        return element_of(values, given.option("parts"))


class Batchwise(Stage):
    """A stage that makes several elements as easily as one. It implements `several` instead of `next`."""

    def next(self) -> Any:
        (item,) = self.several(1)
        if isinstance(item, Failed):
            raise item.raised()
        return item


def made_or_failed(source: Stage) -> Any:
    """A stage's next element, or its `Failed`."""
    try:
        return source.next()
    except Exception as error:
        return failure(error, source.pipeline)


def failure(error: Exception, pipeline: Pipeline) -> Any:
    """The `Failed` of an error, or END if the pipeline is closed."""
    if pipeline.closed:
        return END
    message = error.message if isinstance(error, OpError) else f"{type(error).__name__}: {error}"
    return Failed(from_exception(error), message, error.call if isinstance(error, OpError) else None)


Made = TypeVar("Made", bound=Callable[[Description, Pipeline], Stage])
STAGES: dict[str, Callable[[Description, Pipeline], Stage]] = {}
"""Maps each kind of description to what makes its stage: a class or a function."""


def stage(kind: str) -> Callable[[Made], Made]:
    """A decorator that registers a stage for a kind of description."""

    def register(make: Made) -> Made:
        STAGES[kind] = make
        return make

    return register


# Elements as to_plain data


def to_plain(value: Any) -> Any:
    """Convert a value of a stage's state to to_plain data."""
    if isinstance(value, SparseTensorValue):
        return {"sparse": [to_plain(part) for part in value]}
    if isinstance(value, Failed):
        return {"failed": [value.kind.__name__, value.message]}
    if value is END:
        return {"end": True}
    if isinstance(value, Description) and value.kind == "Elements":
        return {"elements": to_plain(value.values)}
    if isinstance(value, Description):
        raise UnimplementedError(None, None, "The state of an iterator that holds parts of datasets cannot be saved.")
    if isinstance(value, dict):
        return {"dict": [[key, to_plain(item)] for key, item in value.items()]}
    if isinstance(value, (list, tuple, deque)):
        return [to_plain(item) for item in value]
    return value


def from_plain(value: Any) -> Any:
    """Convert to_plain data back to a value of a stage's state."""
    if isinstance(value, list):
        return [from_plain(item) for item in value]
    if not isinstance(value, dict):
        return read_only(value)
    ((word, content),) = value.items()
    if word == "sparse":
        return SparseTensorValue(*[from_plain(part) for part in content])
    if word == "failed":
        return Failed(_error(content[0]), content[1])
    if word == "elements":
        return Description("Elements", values=tuple(from_plain(content)))
    return END if word == "end" else {key: from_plain(item) for key, item in content}


def _error(name: str) -> type[OpError]:
    return next((kind for kind in OpError.__subclasses__() if kind.__name__ == name), OpError)
