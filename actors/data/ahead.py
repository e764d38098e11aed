"""Stages that run ahead of who asks: a thread makes elements while others are at work."""

from __future__ import annotations

import threading
from collections import deque
from contextvars import copy_context
from time import perf_counter
from typing import Any

from weftwork.actors.data.stage import END, Failed, Pipeline, Stage, failure, gathered, spread, stage
from weftwork.actors.programs.program import size_of
from weftwork.graph.data.description import Description

_SOME = 2
"""Elements that wait where their number is left to us."""


class Ahead(Stage):
    """The elements of another stage, made by a thread. limit: how many wait at most."""

    kept = ("waiting",)

    def __init__(self, inner: Stage):
        self.pipeline, self.sources = inner.pipeline, [inner]
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._halted = False
        self.waiting: deque = deque()
        inner.pipeline.on_close(self._wake)

    @property
    def limit(self) -> int:
        """How many elements may wait."""
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

    def next(self) -> Any:
        (item,) = self.several(1)
        if isinstance(item, Failed):
            raise item.raised()
        return item

    def several(self, most: int) -> list:
        with self._change:
            while not self.waiting:
                self.pipeline.check_open()
                self._begin_thread()
                self._change.wait()
            taken = [self.waiting.popleft() for _ in range(min(most, len(self.waiting)))]
            if taken[-1] is END:
                self.waiting.append(END)  # from now on
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
        """Wait until the thread has ended: it finishes the element that it makes."""
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
    """Up to so many elements."""

    def __init__(self, inner: Stage, limit: int):
        super().__init__(inner)
        self._limit = limit

    @property
    def limit(self) -> int:
        return self._limit


@stage("Prefetch")
def prefetched(given: Description, pipeline: Pipeline) -> Stage:
    """The stage of `prefetch`."""
    inner, size = pipeline.stage(given.sources[0]), int(given.values[0])
    return inner if not size else Buffer(inner, _SOME if size < 0 else size)


# Many calls at a time

_LEAST, _MOST = 0.1, 0.5
"""Seconds that the calls of a chunk take together: shorter, and handing them out costs too much; longer, and who waits
for an element waits for too many."""
_ELEMENTS, _BYTES = 1024, 8 << 20
"""Of a chunk at most, as far as its elements are as large as the last ones."""


class Chunks(Stage):
    """A function of elements, of which many are called at a time: as many as make a chunk that is worth it."""

    kept = ("made", "ended")

    def __init__(self, given: Description, pipeline: Pipeline):
        self.given, self.pipeline = given, pipeline
        asked = int(given.values[0])
        self.most = pipeline.functions.cores() if asked < 1 else asked
        self.size = self.most
        self.sources = [Supply(pipeline.stage(given.sources[0]), self)]
        self.begin()

    def begin(self) -> None:
        self.made: Any = deque()
        self.ended = False

    def next(self) -> Any:
        (item,) = self.several(1)
        if isinstance(item, Failed):
            raise item.raised()
        return item

    def several(self, most: int) -> list:
        while not self.made and not self.ended:
            self._fill()
        taken = [self.made.popleft() for _ in range(min(most, len(self.made)))]
        return taken or [END]

    def _fill(self) -> None:
        items = self.source.several(self.size)
        if items[-1] is END:
            self.ended = True
            items.pop()
        elements = [item for item in items if not isinstance(item, Failed)]
        results = iter(self._called(elements) if elements else ())
        self.made.extend([item if isinstance(item, Failed) else next(results) for item in items])

    def _called(self, elements: list) -> list:
        given, pipeline = self.given, self.pipeline
        assert given.function is not None
        values = [spread(element) for element in elements]
        start = perf_counter()
        try:
            made = pipeline.functions.call_many(pipeline.graph, given.function, given.captured, values, self.most)
        except Exception as error:
            made = [failure(error, pipeline)] * len(elements)
        seconds = perf_counter() - start
        large = _BYTES // (1 + size_of(elements[-1]))
        if seconds < _LEAST and len(elements) == self.size:
            self.size = max(self.most, min(2 * self.size, _ELEMENTS, large))
        elif seconds > _MOST:
            self.size = max(self.most, self.size // 2)
        parts = given.option("parts")
        return [item if isinstance(item, Failed) or item is END else gathered(item, parts) for item in made]

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.made = deque(self.made)


class Supply(Ahead):
    """What chunks are made of, read ahead while one is at work."""

    def __init__(self, inner: Stage, chunks: Chunks):
        super().__init__(inner)
        self._chunks = chunks

    @property
    def limit(self) -> int:
        return self._chunks.size


class Mapped(Ahead):
    """Chunks that are made ahead: one waits while the next one is made."""

    @property
    def limit(self) -> int:
        return self.source.size  # type: ignore[attr-defined]


@stage("ParallelMap")
def parallel_map(given: Description, pipeline: Pipeline) -> Stage:
    """The stage of `map` with parallel calls; what it reads from runs ahead too."""
    return Mapped(Chunks(given, pipeline))
