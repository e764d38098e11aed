"""Stages that work ahead: a thread makes elements before they are asked for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextvars import copy_context
from itertools import chain
from time import perf_counter
from typing import Any

from weftwork.actors.data.elements import in_columns, in_rows
from weftwork.actors.data.stage import (
    END,
    Batchwise,
    Failed,
    Pipeline,
    Stage,
    check_count,
    element_of,
    failure,
    stage,
    tensors_of,
)
from weftwork.actors.programs.sizes import size_of
from weftwork.graph.data.description import AUTOTUNE, Description
from weftwork.graph.errors import InvalidArgumentError

_DEFAULT_SIZE = 2
"""Buffer size if the program leaves it to us."""


class Ahead(Batchwise):
    """Makes the elements of another stage in a thread. At most `limit` of them wait."""

    saved = ("waiting",)

    def __init__(self, inner: Stage):
        self.pipeline, self.sources = inner.pipeline, [inner]
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._halted = False
        self.waiting: deque = deque()
        inner.pipeline.on_close(self._wake)

    @property
    def limit(self) -> int:
        """The maximum number of elements that wait."""
        raise NotImplementedError

    def restart(self) -> None:
        self._halt()
        self.waiting.clear()
        self.source.restart()

    @property
    def ready(self) -> bool:
        return bool(self.waiting)

    def close(self) -> None:
        self._halted = True
        self._wake()
        super().close()

    def several(self, most: int) -> list:
        with self._change:
            while not self.waiting:
                self.pipeline.check_open()
                self._begin_thread()
                self._change.wait()
            taken = [self.waiting.popleft() for _ in range(min(most, len(self.waiting)))]
            if taken[-1] is END:
                self.waiting.append(END)  # every later call gets END too
            self._begin_thread()
            self._change.notify_all()
        return taken

    # The thread

    def _begin_thread(self) -> None:
        ended = bool(self.waiting) and self.waiting[-1] is END
        if self._thread is None and not ended and not self.pipeline.closed:
            run = copy_context().run
            self._thread = threading.Thread(target=run, args=(self._work,), name="weftwork-dataset", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        items: list = [None]
        while items[-1] is not END:
            with self._change:
                while len(self.waiting) >= self.limit and not (self._halted or self.pipeline.closed):
                    self._change.wait()
                if self._halted or self.pipeline.closed:
                    return
                room = self.limit - len(self.waiting)
            try:
                items = self.source.several(room)
            except Exception as error:
                items = [failure(error, self.pipeline)]
            with self._change:
                self.waiting.extend(items)
                if items[-1] is END:
                    self._thread = None
                self._change.notify_all()

    def _wake(self) -> None:
        with self._change:
            self._change.notify_all()

    def _halt(self) -> None:
        """Stop the thread, once it has finished the element that it is making."""
        with self._change:
            thread, self._halted = self._thread, True
            self._change.notify_all()
        if thread is not None:
            thread.join()
        self._thread, self._halted = None, False

    def state(self) -> dict[str, Any]:
        self._halt()
        return super().state()

    def restore(self, state: dict[str, Any]) -> None:
        self._halt()
        super().restore(state)
        self.waiting = deque(self.waiting)


class Buffer(Ahead):
    """A buffer of fixed size."""

    def __init__(self, inner: Stage, limit: int):
        super().__init__(inner)
        self._limit = limit

    @property
    def limit(self) -> int:
        return self._limit


@stage("Prefetch")
def prefetched(given: Description, pipeline: Pipeline) -> Stage:
    """Make the stage of `prefetch`."""
    inner, size = pipeline.stage(given.sources[0]), int(given.values[0])
    if size < -1:
        text = "buffer_size must be >= 0 or set buffer_size to be -1 for auto-tuning"
        raise InvalidArgumentError(None, None, text)
    return inner if not size else Buffer(inner, _DEFAULT_SIZE if size < 0 else size)


# Many calls at once

_MIN_SECONDS, _MAX_SECONDS = 0.2, 1.0
"""Target duration of a chunk's calls, in seconds. Shorter chunks cost too much to hand out; longer ones make the first
element wait for too many others."""
_MAX_ELEMENTS, _MAX_BYTES = 4096, 8 << 20
"""Maximum size of a chunk, estimated from the size of the previous elements and results."""


class Chunks(Stage):
    """Calls a function for many elements at once, in chunks that are large enough to be worth handing out.

    Each element describes one chunk: [parts as `in_columns` makes them, the source's `Failed` by position, number of
    elements].
    """

    saved = ("ended",)
    ended = False

    def __init__(self, given: Description, pipeline: Pipeline):
        self.given, self.pipeline = given, pipeline
        asked = int(given.values[0])
        check_count("num_parallel_calls", asked, AUTOTUNE)
        self.most = pipeline.functions.cores() if asked == AUTOTUNE else asked
        self.size = self.most
        self.sources = [ChunkSource(pipeline.stage(given.sources[0]), self)]

    def next(self) -> Any:
        items = [END] if self.ended else self.source.several(self.size)
        if items[-1] is END:
            self.ended = True
            items.pop()
        if not items:
            return END
        failed = {at: item for at, item in enumerate(items) if isinstance(item, Failed)}
        elements = [item for item in items if not isinstance(item, Failed)] if failed else items
        return [self._call_all(elements) if elements else [], failed, len(items)]

    def _call_all(self, elements: list) -> list:
        given, pipeline = self.given, self.pipeline
        assert given.function is not None
        values = [tensors_of(element) for element in elements]
        start = perf_counter()
        try:
            parts = pipeline.functions.call_many(pipeline.graph, given.function, given.captured, values, self.most)
        except Exception as error:
            if pipeline.closed:
                raise
            return [in_columns([failure(error, pipeline)] * len(elements))]
        seconds, (count, _, columns) = perf_counter() - start, parts[0]
        large = _MAX_BYTES // (1 + max(size_of(elements[-1]), sum(map(size_of, columns)) // count))
        if seconds < _MIN_SECONDS and len(elements) == self.size:
            self.size *= 2
        elif seconds > _MAX_SECONDS:
            self.size //= 2
        self.size = max(self.most, min(self.size, _MAX_ELEMENTS, large))
        return parts


class ChunkSource(Ahead):
    """The input of `Chunks`, read ahead while a chunk is being computed."""

    def __init__(self, inner: Stage, chunks: Chunks):
        super().__init__(inner)
        self._chunks = chunks

    @property
    def limit(self) -> int:
        return self._chunks.size


class Mapped(Batchwise):
    """Yields the results of chunks one by one.

    They are unpacked by the consumer's thread, while the next chunk runs.
    """

    saved = ("made",)
    made: deque = deque()

    def __init__(self, chunks: Stage, parts: tuple[int, ...]):
        self.pipeline, self.sources, self._parts = chunks.pipeline, [chunks], parts
        self.begin()

    def several(self, most: int) -> list:
        while not self.made:
            (item,) = self.source.several(1)
            if item is END or isinstance(item, Failed):
                return [item]
            self.made.extend(self._rows(*item))
        return [self.made.popleft() for _ in range(min(most, len(self.made)))]

    @property
    def ready(self) -> bool:
        return bool(self.made)

    def _rows(self, parts: list, failed: dict[int, Failed], count: int) -> Iterator[Any]:
        rows = chain.from_iterable(map(in_rows, parts))
        for at in range(count):
            row = failed[at] if at in failed else next(rows)
            yield row if isinstance(row, Failed) else element_of(row, self._parts)

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.made = deque(self.made)


@stage("ParallelMap")
def parallel_map(given: Description, pipeline: Pipeline) -> Stage:
    """Make the stage of `map` with parallel calls. While one chunk is consumed, one is computed and another is read."""
    return Mapped(Buffer(Chunks(given, pipeline), 1), given.option("parts"))
