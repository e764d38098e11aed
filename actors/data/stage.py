"""Stages: what makes the elements of a dataset, one after another. A pipeline is a tree of stages, for one iteration.

element    a list of values, one for each component; arrays in it are read-only, for several may hold them
END        what `next` gives instead of an element when there is none any more, and from then on
Failed     the error of one element, where several were made at a time: those after it are not lost

A stage is used by one thread at a time. Stages that run ahead have a thread of their own, which is the only one that
uses what they read from. `next` raises what goes wrong with one element, and goes on with the following one.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from weftwork.graph.data.description import Description
from weftwork.graph.errors import CancelledError, OpError, UnimplementedError, from_exception
from weftwork.graph.graph import Graph
from weftwork.graph.ops.composite import SparseTensorValue


class _End:
    def __repr__(self) -> str:
        return "END"


END: Any = _End()


class Failed(NamedTuple):
    """What went wrong with an element. call: the call that failed, if it is known."""

    kind: type[OpError]
    message: str
    call: Any = None

    def raised(self) -> OpError:
        """The error."""
        error = self.kind(None, None, self.message)
        error.call = self.call
        return error


def settled(value: Any) -> Any:
    """A value that was just made, as one that several may hold."""
    if type(value) is np.ndarray:
        if not value.ndim:
            return value[()]
        value.flags.writeable = False
    return value


def spread(element: Sequence[Any]) -> list:
    """The values of an element's tensors: three of a sparse one."""
    if SparseTensorValue not in map(type, element):
        return list(element)
    made: list = []
    for value in element:
        if type(value) is SparseTensorValue:
            made += value
        else:
            made.append(value)
    return made


def gathered(values: Iterable[Any], parts: Sequence[int]) -> list:
    """The element of its tensors' values. parts: how many each component has."""
    if len(parts) == sum(parts):
        return [settled(value) for value in values]
    left = iter(values)
    made: list = []
    for count in parts:
        mine = [settled(next(left)) for _ in range(count)]
        made.append(SparseTensorValue(*mine) if count > 1 else mine[0])
    return made


class Functions:
    """What calls the functions of datasets: the engine of a session."""

    def call(self, graph: Graph, function: int, captured: tuple, values: list) -> list:
        """The outputs of one call. Raises the error of the node that failed."""
        raise NotImplementedError

    def call_many(self, graph: Graph, function: int, captured: tuple, values: list[list], most: int) -> list:
        """The outputs of a call for each of `values`, at most so many at a time: parts as `in_columns` makes them."""
        raise NotImplementedError

    def value_of(self, graph: Graph, operation: int, output: int) -> Any:
        """The value of a tensor, in a run of its own."""
        raise NotImplementedError

    def cores(self) -> int:
        """How many calls the machine can make at the same time."""
        raise NotImplementedError


class Pipeline:
    """The stages of one iteration.

    closed: nobody will ask any more: threads are to end, and who waits gives up.
    """

    def __init__(self, description: Description, graph: Graph, functions: Functions):
        self.graph, self.functions = graph, functions
        self.closed = False
        self._wakers: list[weakref.WeakMethod] = []
        self.root = self.stage(description)

    def stage(self, description: Description) -> Stage:
        """A new stage for a description."""
        return STAGES[description.kind](description, self)

    def on_close(self, wake: Callable[[], None]) -> None:
        """Let a method be called when the pipeline is closed."""
        self._wakers = [known for known in self._wakers if known() is not None]
        self._wakers.append(weakref.WeakMethod(wake))

    def close(self) -> None:
        """End all threads."""
        self.closed = True
        for known in self._wakers:
            wake = known()
            if wake is not None:
                wake()

    def check_open(self) -> None:
        """Raise CancelledError once it is closed."""
        if self.closed:
            raise CancelledError(None, None, "The iterator was set to another beginning, or its session was closed.")


class Stage:
    """What makes elements. `kept` are the attributes that say how far it has come, beside its sources."""

    kept: tuple[str, ...] = ()

    def __init__(self, given: Description, pipeline: Pipeline):
        self.given, self.pipeline = given, pipeline
        self.prepare()
        self.sources = [pipeline.stage(source) for source in given.sources]
        self.begin()

    @property
    def source(self) -> Stage:
        """What it reads from."""
        return self.sources[0]

    def prepare(self) -> None:
        """Look at what was given, once. Raises InvalidArgumentError."""

    def begin(self) -> None:
        """Be at the beginning."""

    def restart(self) -> None:
        """Go back to the beginning, with all that it reads from."""
        for source in self.sources:
            source.restart()
        self.begin()

    def next(self) -> Any:
        """The next element, or END."""
        raise NotImplementedError

    def several(self, most: int) -> list:
        """The next elements, one at least and `most` at most, as many as there are at once; END is the last one.

        Instead of raising an error it gives a Failed in the element's place.
        """
        return [made_or_failed(self)]

    def close(self) -> None:
        """Nobody will ask any more."""
        for source in self.sources:
            source.close()

    @property
    def ready(self) -> bool:
        """True when `next` does not wait."""
        return False

    # Saving

    def state(self) -> dict[str, Any]:
        """How far it has come, as plain data. Raises UnimplementedError where that cannot be said."""
        own = {name: plain(getattr(self, name)) for name in self.kept}
        return {"own": own, "sources": [source.state() for source in self.sources]}

    def restore(self, state: dict[str, Any]) -> None:
        """Be where `state` was."""
        for source, known in zip(self.sources, state["sources"], strict=True):
            source.restore(known)
        for name, value in state["own"].items():
            setattr(self, name, revived(value))

    # Functions

    def call(self, element: list) -> list:
        """The results of its function."""
        given = self.given
        assert given.function is not None
        values = self.pipeline.functions.call(self.pipeline.graph, given.function, given.captured, spread(element))
        return gathered(values, given.option("parts"))


class Batchwise(Stage):
    """A stage that makes several elements as easily as one: `several` says all."""

    def next(self) -> Any:
        (item,) = self.several(1)
        if isinstance(item, Failed):
            raise item.raised()
        return item


def made_or_failed(source: Stage) -> Any:
    """A stage's next element, or what stands for the error of it."""
    try:
        return source.next()
    except Exception as error:
        return failure(error, source.pipeline)


def failure(error: Exception, pipeline: Pipeline) -> Any:
    """What stands for an element that could not be made; END where nobody asks any more."""
    if pipeline.closed:
        return END
    message = error.message if isinstance(error, OpError) else f"{type(error).__name__}: {error}"
    return Failed(from_exception(error), message, getattr(error, "call", None))


Made = TypeVar("Made", bound=Callable[[Description, Pipeline], Stage])
STAGES: dict[str, Callable[[Description, Pipeline], Stage]] = {}
"""What makes the stage of each kind of description: its class, or a function."""


def stage(kind: str) -> Callable[[Made], Made]:
    """A decorator: the class makes the elements of descriptions of this kind."""

    def known(made: Made) -> Made:
        STAGES[kind] = made
        return made

    return known


# Elements as plain data


def plain(value: Any) -> Any:
    """A value of a stage's state as plain data."""
    if isinstance(value, SparseTensorValue):
        return {"sparse": [plain(part) for part in value]}
    if isinstance(value, Failed):
        return {"failed": [value.kind.__name__, value.message]}
    if value is END:
        return {"end": True}
    if isinstance(value, Description) and value.kind == "Elements":
        return {"elements": plain(value.values)}
    if isinstance(value, Description):
        raise UnimplementedError(None, None, "The state of an iterator that holds parts of datasets cannot be saved.")
    if isinstance(value, dict):
        return {"dict": [[key, plain(item)] for key, item in value.items()]}
    if isinstance(value, (list, tuple, deque)):
        return [plain(item) for item in value]
    return value


def revived(value: Any) -> Any:
    """The value that `plain` made this of."""
    if isinstance(value, list):
        return [revived(item) for item in value]
    if not isinstance(value, dict):
        return settled(value)
    ((word, content),) = value.items()
    if word == "sparse":
        return SparseTensorValue(*[revived(part) for part in content])
    if word == "failed":
        return Failed(_error(content[0]), content[1])
    if word == "elements":
        return Description("Elements", values=tuple(revived(content)))
    return END if word == "end" else {key: revived(item) for key, item in content}


def _error(name: str) -> type[OpError]:
    return next((kind for kind in OpError.__subclasses__() if kind.__name__ == name), OpError)
