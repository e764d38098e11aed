"""ResultStream: the results of a run as they come, for a loop.

part      what stands for one result: an item of the fetched list, an entry of the fetched dict
tell      a node that is added to a run's dataflow for each fetched value: it hands the value on when it is there
channel   what a run's tells put values into; it is fed, so that a kind of run is compiled once for all streams
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from weftwork.graph import dtypes
from weftwork.graph.graph import Graph
from weftwork.graph.operation import LIBRARY, Kind, Operation, Tensor
from weftwork.graph.ownership import add_atoms, copied
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.request.fetches import Fetches, owned, parse_fetches
from weftwork.scheduler.session.future import RunFuture

K = TypeVar("K")
T = TypeVar("T")


class Channel:
    """Takes the values of one run. A listener is called when something has come, or when the run is over."""

    def __init__(self):
        self.came: deque[tuple[int, Any]] = deque()
        self.listener: Callable[[], None] = _nobody

    def put(self, place: int, value: Any) -> None:
        """A fetched value is there."""
        self.came.append((place, value))
        self.listener()


def _nobody() -> None:
    pass


add_atoms(Channel)


def tell(channel: Channel, *value: Any, place: int) -> tuple:
    """The kernel of a node that hands a value on."""
    channel.put(place, *value)
    return ()


HISTORY.let_stay(tell)


def channel_of(graph: Graph) -> Tensor:
    """The placeholder for a run's channel. It is in no graph."""
    op = _beside(graph, "channel", "Placeholder", Kind.PLACEHOLDER, None, [(dtypes.object, ())])
    return op.outputs[0]


def tells(graph: Graph, channel: Tensor) -> Callable[[Dataflow], None]:
    """What adds to a dataflow the nodes that hand on its fetched values."""
    op = _beside(graph, "tell", "Tell", Kind.FUNCTION, tell, [])

    def add(flow: Dataflow) -> None:
        for place, number in enumerate(flow.fetched):
            if number is not None:
                flow.ops.append(op)
                flow.inputs.append((flow.feeds[channel], number))
                flow.outputs.append(())
                flow.kernels.append(tell)
                flow.attrs.append({"place": place})

    return add


def _beside(graph: Graph, name: str, type: str, kind: Kind, kernel: Any, outputs: list) -> Operation:
    source = graph.operations[-1].source
    return Operation(graph, graph.version, name, type, kind, kernel, (), {}, outputs, (), LIBRARY, source)


class Parts:
    """The parts of what was fetched: of each its key, the elements that it needs, and what builds its result."""

    def __init__(self, graph: Graph, fetches: Any):
        numbers: dict[Any, int] = {}
        self.keys: list[Any] = []
        self._needs: list[list[int]] = []
        self._builds: list[Callable] = []
        for key, fetch in _items(fetches):
            parsed = parse_fetches(graph, fetch)
            self.keys.append(key)
            self._needs.append([numbers.setdefault(element, len(numbers)) for element in parsed.elements])
            self._builds.append(parsed.build)
        self.fetches = Fetches(tuple(numbers), list)
        self._uses = Counter([number for needs in self._needs for number in needs])
        self.missing = [len(set(needs)) for needs in self._needs]
        """How many values each part waits for."""
        self.takers: list[list[int]] = [[] for _ in numbers]
        """The parts that take each value."""
        for part, needs in enumerate(self._needs):
            for number in set(needs):
                self.takers[number].append(part)

    def __len__(self) -> int:
        return len(self.keys)

    def result(self, part: int, values: Mapping[int, Any], copy: bool) -> tuple[Any, Any]:
        """The key and the result of a part. copy: what others have, or get, too is copied."""
        mine = {number: values[number] for number in self._needs[part]}
        if copy:
            mine.update({n: copied(value) for n, value in mine.items() if self._uses[n] > 1})
        made = dict(zip(mine, owned(list(mine.values()), copy, [True] * len(mine)), strict=True))
        return self.keys[part], self._builds[part]([made[number] for number in self._needs[part]])


def _items(fetches: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(fetches, Mapping):
        yield from fetches.items()
    elif isinstance(fetches, tuple) and hasattr(fetches, "_fields"):
        yield from fetches._asdict().items()  # type: ignore[attr-defined]
    elif isinstance(fetches, (list, tuple)):
        yield from enumerate(fetches)
    else:
        yield 0, fetches


class ResultStream(Generic[K, T]):
    """The results of a run as they come: pairs of a key and a value. Made by `Session.stream`.

    `for key, value in stream` and `async for key, value in stream`; a loop that is left early cancels the run, and so
    does `close`, the end of a `with` block, or the end of the task. When the run fails, what has come is given first,
    and then the error is raised.
    """

    def __init__(self, parts: Parts, channel: Channel, copy: bool, future: RunFuture):
        """copy: values that others see are copied.   future: of the run, whose result is the list of all values."""
        self._parts, self._channel, self._copy, self._future = parts, channel, copy, future
        self._missing = list(parts.missing)
        self._values: dict[int, Any] = {}
        self._ready = deque([part for part, missing in enumerate(parts.missing) if not missing])
        future.add_done_callback(lambda _: channel.listener())

    # Iteration

    def __iter__(self) -> ResultStream[K, T]:
        return self

    def __next__(self) -> tuple[K, T]:
        came = threading.Event()
        self._channel.listener = came.set
        while (item := self._next()) is None:
            came.wait()
            came.clear()
        if item is _END:
            raise StopIteration
        return item

    def __aiter__(self) -> ResultStream[K, T]:
        return self

    async def __anext__(self) -> tuple[K, T]:
        loop, came = asyncio.get_running_loop(), asyncio.Event()

        def tell_loop() -> None:
            try:
                loop.call_soon_threadsafe(came.set)
            except RuntimeError:  # the loop is closed: nobody will take a result
                self.close()

        self._channel.listener = tell_loop
        try:
            while (item := self._next()) is None:
                await came.wait()
                came.clear()
        except asyncio.CancelledError:
            self.close()
            raise
        if item is _END:
            raise StopAsyncIteration
        return item

    def _next(self) -> Any:
        """The next pair, _END, or None where nothing has come. Raises the run's error once all that came was given."""
        over = self._future.done()  # looked at first: what comes before the end is seen
        while self._channel.came:
            self._take(*self._channel.came.popleft())
        lacking = len(self._values) < len(self._parts.takers)
        if over and lacking and not self._future.cancelled() and self._future.exception() is None:
            for place, value in enumerate(self._future.result()):
                self._take(place, value)
        if self._ready:
            return self._parts.result(self._ready.popleft(), self._values, self._copy)
        if over:
            self._future.result()
            return _END
        return None

    def _take(self, place: int, value: Any) -> None:
        """A value is there, for the first time unless the run began again."""
        if place not in self._values:
            self._values[place] = value
            for part in self._parts.takers[place]:
                self._missing[part] -= 1
                if not self._missing[part]:
                    self._ready.append(part)

    # The end

    def close(self) -> None:
        """Cancel the run, unless it is over: then it changes nothing."""
        self._future.cancel()

    def __enter__(self) -> ResultStream[K, T]:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    async def __aenter__(self) -> ResultStream[K, T]:
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.close()

    def __del__(self):
        if not self._future.done():
            self._future.cancel()


_END = object()
