"""Stages that select or reorder elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.actors.data.stage import END, Batchwise, Stage, stage
from weftwork.graph.errors import InvalidArgumentError


@stage("Zip")
class Zip(Stage):
    """Combines the elements of several sources component by component."""

    saved = ("ended",)

    def begin(self) -> None:
        self.ended = not self.sources

    def next(self) -> Any:
        if self.ended:
            return END
        made: list = []
        for source in self.sources:
            element = source.next()
            if element is END:
                self.ended = True
                return END
            made += element
        return made


@stage("Concatenate")
class Concatenate(Stage):
    """Yields the elements of each source in turn."""

    saved = ("at",)
    at = 0

    def next(self) -> Any:
        while self.at < len(self.sources):
            element = self.sources[self.at].next()
            if element is not END:
                return element
            self.at += 1
        return END


@stage("Repeat")
class Repeat(Batchwise):
    """Repeats its source. A source without elements ends the repetition."""

    saved = ("times", "some", "count")

    def prepare(self) -> None:
        self.count = int(self.given.values[0])

    def begin(self) -> None:
        self.times, self.some = 0, False

    def several(self, most: int) -> list:
        self.pipeline.check_open()  # an endless repetition may be skipped over forever
        while self.count < 0 or self.times < self.count:
            items = self.source.several(most)
            ended = items[-1] is END
            if ended:
                items.pop()
            self.some = self.some or bool(items)
            if ended and not self._again():
                self.count = self.times
            if items:
                return items
        return [END]

    def _again(self) -> bool:
        """Start the source again. Returns False if the repetition is over."""
        some, self.some = self.some, False
        self.times += 1
        if not some or self.times == self.count:
            return False
        self.source.restart()
        return True


@stage("Take")
class Take(Stage):
    """Yields the first elements."""

    saved = ("taken",)
    taken = 0

    def next(self) -> Any:
        count = int(self.given.values[0])
        if 0 <= count <= self.taken:
            return END
        element = self.source.next()
        self.taken += element is not END
        return element


@stage("Skip")
class Skip(Stage):
    """Drops the first elements."""

    saved = ("skipped",)
    skipped = 0

    def next(self) -> Any:
        count = int(self.given.values[0])
        while count < 0 or self.skipped < count:
            if self.source.next() is END:
                return END
            self.skipped += 1
        return self.source.next()


@stage("Shard")
class Shard(Stage):
    """Yields every n-th element."""

    saved = ("at",)
    at = 0

    def prepare(self) -> None:
        self.many, self.index = [int(value) for value in self.given.values]
        if self.many < 1:
            text = f"Number of shards must be greater than zero (currently num_shards = {self.many})."
            raise InvalidArgumentError(None, None, text)
        if not 0 <= self.index < self.many:
            text = f"Index must be between 0 and {self.many - 1} (currently index = {self.index})."
            raise InvalidArgumentError(None, None, text)

    def next(self) -> Any:
        while True:
            element = self.source.next()
            if element is END:
                return END
            self.at += 1
            if (self.at - 1) % self.many == self.index:
                return element


@stage("Shuffle")
class Shuffle(Stage):
    """Draws elements at random from a buffer.

    Each iteration uses a random stream of its own, or the same one if `reshuffle_each_iteration` is False.
    """

    saved = ("waiting", "ended", "round", "drawn")

    def prepare(self) -> None:
        self.size = int(self.given.values[0])
        if self.size < 1:
            raise InvalidArgumentError(None, None, "buffer_size must be greater than zero.")
        seed = self.given.option("seed")
        self.seed = np.random.SeedSequence().entropy if seed is None else [int(s) & 0xFFFFFFFFFFFFFFFF for s in seed]
        self.round = -1

    def begin(self) -> None:
        self.waiting: list = []
        self.ended = False
        self.round += 1
        self.drawn = 0
        self._random = self._generator()

    def _generator(self) -> np.random.Generator:
        part = self.round if self.given.option("again") else 0
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(part,)))

    def next(self) -> Any:
        while not self.ended and len(self.waiting) < self.size:
            element = self.source.next()
            self.ended = element is END
            if not self.ended:
                self.waiting.append(element)
        if not self.waiting:
            return END
        at = int(self._random.random() * len(self.waiting))
        self.drawn += 1
        self.waiting[at], self.waiting[-1] = self.waiting[-1], self.waiting[at]
        return self.waiting.pop()

    def state(self) -> dict[str, Any]:
        state = super().state()
        state["seed"] = self.seed
        return state

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.seed = state["seed"]
        self._random = self._generator()
        self._random.random(self.drawn)
