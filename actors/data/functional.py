"""Stages that call a function for each element."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.actors.data.ahead import Buffer
from weftwork.actors.data.stage import END, Stage, check_count, element_of, from_plain, stage, to_plain
from weftwork.graph.data.description import AUTOTUNE, Description
from weftwork.graph.errors import InvalidArgumentError, OpError, UnimplementedError


@stage("Map")
class Map(Stage):
    """Calls a function for each element, when the element is asked for."""

    def next(self) -> Any:
        element = self.source.next()
        return END if element is END else self.call(element)


@stage("Filter")
class Filter(Stage):
    """Keeps the elements for which a function returns True."""

    def next(self) -> Any:
        while True:
            element = self.source.next()
            if element is END or bool(self.call(element)[0]):
                return element


@stage("FlatMap")
class FlatMap(Stage):
    """Yields the elements of the dataset that a function returns, for one element after another."""

    inner: Stage | None = None
    element: list | None = None

    def begin(self) -> None:
        if self.inner is not None:
            self.inner.close()
        self.inner = self.element = None

    def next(self) -> Any:
        while True:
            if self.inner is None:
                element = self.source.next()
                if element is END:
                    return END
                self.element, self.inner = element, opened(self, element)
            item = self.inner.next()
            if item is not END:
                return item
            self.inner = None

    def state(self) -> dict[str, Any]:
        inner = None if self.inner is None else {"element": to_plain(self.element), "state": self.inner.state()}
        return {**super().state(), "inner": inner}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.inner = None
        if state["inner"] is not None:
            self.element = from_plain(state["inner"]["element"])
            self.inner = opened(self, self.element)
            self.inner.restore(state["inner"]["state"])


def opened(owner: Stage, element: Any) -> Stage:
    """Open the dataset that the function returns for an element."""
    (description,) = owner.call(element)
    assert isinstance(description, Description)
    return owner.pipeline.stage(description)


@stage("Interleave")
class Interleave(Stage):
    """Yields elements of several datasets in turn. A function makes one dataset for each element."""

    def prepare(self) -> None:
        cycle, self.block, self.calls = [int(value) for value in self.given.values]
        check_count("cycle_length", cycle, AUTOTUNE)
        check_count("block_length", self.block)
        check_count("num_parallel_calls", self.calls, AUTOTUNE, 0)  # 0: none are given
        self.cycle = self.pipeline.functions.cores() if cycle == AUTOTUNE else cycle

    open: list[tuple[list, Stage] | None]

    def begin(self) -> None:
        for slot in getattr(self, "open", ()):
            if slot is not None:
                slot[1].close()
        self.open = [None] * self.cycle
        self.at = self.given_of = 0
        self.ended = False

    def next(self) -> Any:
        while True:
            if self.open[self.at] is None and not self.ended:
                element = self.source.next()
                if element is END:
                    self.ended = True
                else:
                    self.open[self.at] = (element, self._opened(element))
            current = self.open[self.at]
            if current is not None:
                item = current[1].next()
                if item is not END:
                    self.given_of += 1
                    if self.given_of >= self.block:
                        self._go_on()
                    return item
                self.open[self.at] = None
                self._go_on()
            elif all([slot is None for slot in self.open]):
                return END
            else:
                self._go_on()

    def _go_on(self) -> None:
        self.at, self.given_of = (self.at + 1) % self.cycle, 0

    def _opened(self, element: list) -> Stage:
        stage = opened(self, element)
        return Buffer(stage, 2 * self.block) if self.calls else stage

    saved = ("at", "given_of", "ended")

    def state(self) -> dict[str, Any]:
        held = [None if p is None else {"element": to_plain(p[0]), "state": p[1].state()} for p in self.open]
        return {**super().state(), "open": held}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.open = [None] * self.cycle
        for slot, known in enumerate(state["open"]):
            if known is not None:
                element = from_plain(known["element"])
                inner = self._opened(element)
                inner.restore(known["state"])
                self.open[slot] = (element, inner)


@stage("IgnoreErrors")
class IgnoreErrors(Stage):
    """Skips elements that failed."""

    def next(self) -> Any:
        while True:
            try:
                return self.source.next()
            except OpError:
                self.pipeline.check_open()


@stage("TakeWhile")
class TakeWhile(Stage):
    """Yields elements until a function returns False."""

    saved = ("ended",)
    ended = False

    def next(self) -> Any:
        element = END if self.ended else self.source.next()
        self.ended = element is END or not bool(self.call(element)[0])
        return END if self.ended else element


@stage("Scan")
class Scan(Stage):
    """Calls a function of a state and an element, and carries the state to the next call."""

    saved = ("held",)

    def begin(self) -> None:
        parts = self.given.option("parts")[: self.given.option("state")]
        self.held = element_of(self.given.values, parts)

    def next(self) -> Any:
        element = self.source.next()
        if element is END:
            return END
        made = self.call([*self.held, *element])
        count = self.given.option("state")
        self.held = made[:count]
        return made[count:]


@stage("GroupByWindow")
class GroupByWindow(Stage):
    """Groups elements by key into windows, and yields the elements of the dataset that a function makes of each window.

    Its source yields (key, window size of that key, *components of the element).
    """

    inner: Stage | None = None

    def begin(self) -> None:
        if self.inner is not None:
            self.inner.close()
        self.inner = None
        self.groups: dict[int, list] = {}
        self.ended = False

    def next(self) -> Any:
        while True:
            if self.inner is not None:
                item = self.inner.next()
                if item is not END:
                    return item
                self.inner = None
            elif self.ended:
                if not self.groups:
                    return END
                self._open(next(iter(self.groups)))
            else:
                self._take()

    def _take(self) -> None:
        item = self.source.next()
        if item is END:
            self.ended = True
            return
        key, size, *element = item
        if size < 1:
            raise InvalidArgumentError(None, None, f"Window size must be greater than zero, but got {size}.")
        group = self.groups.setdefault(int(key), [])
        group.append(element)
        if len(group) >= size:
            self._open(int(key))

    def _open(self, key: int) -> None:
        window = Description("Elements", values=tuple(self.groups.pop(key)))
        self.inner = opened(self, [np.int64(key), window])

    def state(self) -> dict[str, Any]:
        raise UnimplementedError(None, None, "The state of an iterator over groups of elements cannot be saved.")


@stage("Choose")
class Choose(Stage):
    """Lets the first source name the source of each element, until all others have ended."""

    saved = ("left",)

    def begin(self) -> None:
        self.left = list(range(len(self.sources) - 1))

    def next(self) -> Any:
        choices, *others = self.sources
        while self.left and (choice := choices.next()) is not END:
            number = int(choice[0])
            if not 0 <= number < len(others):
                text = f"Selector index out of range: {number} >= {len(others)}"
                raise InvalidArgumentError(None, None, text)
            element = others[number].next()
            if element is not END:
                return element
            if number in self.left:
                self.left.remove(number)
        return END


@stage("Sample")
class Sample(Stage):
    """Draws each element from one of several sources, by their weights."""

    saved = ("left", "drawn")

    def prepare(self) -> None:
        self.seed = self.given.option("seed")

    def begin(self) -> None:
        self.left = [number for number, weight in enumerate(self.given.option("weights")) if weight > 0]
        self.drawn = 0
        self._random = np.random.default_rng(self.seed)

    def next(self) -> Any:
        weights = np.array(self.given.option("weights"))
        while self.left:
            ends = np.cumsum(weights[self.left])
            self.drawn += 1
            at = int(np.searchsorted(ends, self._random.random() * ends[-1], "right"))
            element = self.sources[self.left[min(at, len(self.left) - 1)]].next()
            if element is not END:
                return element
            del self.left[min(at, len(self.left) - 1)]
        return END

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self._random.random(self.drawn)
