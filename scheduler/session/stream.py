"""ResultStream: the results of a run as they become available, for a loop.

part      one result: an item of the fetched list, or an entry of the fetched dict
tell      a node added to the run's dataflow for each fetched value; it passes the value on as soon as it is there
channel   receives the values from a run's tell nodes. It is fed, so the same compiled run serves all streams
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
from weftwork.graph.python.ownership import add_atoms, copied
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.request.fetches import Fetches, owned, parse_fetches
from weftwork.scheduler.segments.awaiting import LOOP
from weftwork.scheduler.session.future import RunFuture

K = TypeVar("K")
T = TypeVar("T")


class Channel:
    """Receives the values of one run. Its listener is called when a value has come, or the run is over."""

    def __init__(self):
        self.came: deque[tuple[int, Any]] = deque()
        self.listener: Callable[[], None] = _no_listener

    def put(self, place: int, value: Any) -> None:
        """Receive a fetched value."""
        self.came.append((place, value))
        self.listener()


def _no_listener() -> None:
    pass


add_atoms(Channel)


def tell(channel: Channel, *value: Any, place: int) -> tuple:
    """The kernel of a tell node."""
    channel.put(place, *value)
    return ()


HISTORY.let_stay(tell)


def channel_of(graph: Graph) -> Tensor:
    """A placeholder for a run's channel. It is in no graph."""
    op = _unlisted_operation(graph, "channel", "Placeholder", Kind.PLACEHOLDER, None, [(dtypes.object, ())])
    return op.outputs[0]


def add_tell_nodes(graph: Graph, channel: Tensor) -> Callable[[Dataflow], None]:
    """A function that adds tell nodes for the fetched values to a dataflow."""
    op = _unlisted_operation(graph, "tell", "Tell", Kind.FUNCTION, tell, [])

    def add(flow: Dataflow) -> None:
        for place, number in enumerate(flow.fetched):
            if number is not None:
                flow.ops.append(op)
                flow.inputs.append((flow.feeds[channel], number))
                flow.outputs.append(())
                flow.kernels.append(tell)
                flow.attrs.append({"place": place})

    return add


class _Unlisted(Operation):
    """An operation that no graph lists."""

    @property
    def listed(self) -> Operation:
        """Itself."""
        return self


def _unlisted_operation(graph: Graph, name: str, type: str, kind: Kind, kernel: Any, outputs: list) -> Operation:
    source = graph.operations[-1].source
    return _Unlisted(graph, graph.version, name, type, kind, kernel, (), {}, outputs, (), LIBRARY, source)


class Parts:
    """The parts of a stream: for each, its key, the elements that it needs, and the function that builds its result."""

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
        """The number of values that each part still waits for."""
        self.takers: list[list[int]] = [[] for _ in numbers]
        """For each value, the parts that need it."""
        for part, needs in enumerate(self._needs):
            for number in set(needs):
                self.takers[number].append(part)

    def __len__(self) -> int:
        return len(self.keys)

    def result(self, part: int, values: Mapping[int, Any], copy: bool) -> tuple[Any, Any]:
        """The key and result of a part. copy: copy values that others have, or will get, too."""
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
    """The results of a run as they become available: (key, value) pairs. Made by `Session.stream`.

    Use it in `for key, value in stream` or `async for key, value in stream`. Leaving the loop early cancels the run; so
    do `close`, the end of a `with` block, and the end of the task. If the run fails, the loop first yields the results
    that are available, and then raises the error.
    """

    def __init__(self, parts: Parts, channel: Channel, copy: bool, future: RunFuture):
        """copy: copy values that others see.   future: of the run; its result is the list of all values."""
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
        loop, came, cancel = asyncio.get_running_loop(), asyncio.Event(), self._future.cancel

        def tell_loop() -> None:  # without a reference to the stream, which cancels the run when it is dropped
            try:
                loop.call_soon_threadsafe(came.set)
            except RuntimeError:  # the loop is closed, so nobody will take a result
                cancel()

        self._channel.listener = tell_loop
        unwatch = LOOP.watch(loop, cancel)
        try:
            while (item := self._next()) is None:
                await came.wait()
                came.clear()
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            unwatch()
        if item is _END:
            raise StopAsyncIteration
        return item

    def _next(self) -> Any:
        """The next pair, _END, or None if nothing has come. Raises the run's error after the last available result."""
        over = self._future.done()  # check first, so that values that come before the end are seen
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
        """Note a value. A run that begins again may deliver it a second time, which is ignored."""
        if place not in self._values:
            self._values[place] = value
            for part in self._parts.takers[place]:
                self._missing[part] -= 1
                if not self._missing[part]:
                    self._ready.append(part)

    # Ending

    def close(self) -> None:
        """Cancel the run unless it is over. A cancelled run changes nothing."""
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
