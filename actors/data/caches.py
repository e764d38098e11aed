"""Stages that cache elements, in memory or in a file."""

from __future__ import annotations

import os
from typing import Any

from weftwork.actors.checkpoints.encoding import decode, encode
from weftwork.actors.data.stage import END, Pipeline, Stage, from_plain, stage, to_plain
from weftwork.graph.data.description import Description
from weftwork.graph.errors import InvalidArgumentError, OpError, from_exception


@stage("Cache")
def cached(given: Description, pipeline: Pipeline) -> Stage:
    """Make the stage of `cache`."""
    return (FileCache if given.values[0] else Cache)(given, pipeline)


class Cache(Stage):
    """Caches elements in memory until the iterator is initialized again."""

    saved = ("at", "elements", "whole")

    def prepare(self) -> None:
        self.elements: list = []
        self.whole = False

    def begin(self) -> None:
        self.at = 0
        if not self.whole:
            self.elements.clear()

    def next(self) -> Any:
        if self.whole:
            if self.at >= len(self.elements):
                return END
            self.at += 1
            return list(self.elements[self.at - 1])
        element = self.source.next()
        if element is END:
            self.whole = True
        else:
            self.elements.append(list(element))
        self.at = len(self.elements)
        return element


class FileCache(Stage):
    """Caches elements in `PREFIX.data`. The file appears once it is complete."""

    saved = ("at",)

    def prepare(self) -> None:
        self.path = os.fsdecode(self.given.values[0]) + ".data"
        self.file: Any = None
        self.reads = False
        self.pipeline.on_close(self._shut)

    def begin(self) -> None:
        self._shut()
        self.at = 0
        self.file = None

    def close(self) -> None:
        self._shut()
        super().close()

    def _shut(self) -> None:
        """Close the file, and delete it if it is incomplete."""
        if self.file is not None and not self.file.closed:
            self.file.close()
            if not self.reads:
                os.unlink(self._partial)

    @property
    def _partial(self) -> str:
        return f"{self.path}.{os.getpid()}"

    def next(self) -> Any:
        try:
            if self.file is None:
                self._open()
            return self._read() if self.reads else self._written()
        except OSError as error:
            raise from_exception(error)(None, None, f"{self.path}: {error}") from error

    def _open(self) -> None:
        self.reads = os.path.exists(self.path)
        self.file = open(self.path if self.reads else self._partial, "rb" if self.reads else "wb")

    def _read(self) -> Any:
        head = b"" if self.file.closed else self.file.read(8)
        if len(head) < 8:
            self.file.close()
            return END
        self.at += 1
        return from_plain(decode(self.file.read(int.from_bytes(head, "little")), "object", None))

    def _written(self) -> Any:
        element = self.source.next()
        if element is END:
            if not self.file.closed:
                self.file.close()
                os.replace(self._partial, self.path)
            return END
        self.at += 1
        try:
            data = encode(to_plain(element), "object")
        except (TypeError, OpError) as error:
            raise InvalidArgumentError(None, None, f"An element cannot be cached in a file: {error}") from error
        self.file.write(len(data).to_bytes(8, "little"))
        self.file.write(data)
        return element

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        at, self.at = self.at, 0
        if self.file is None:
            self._open()
        if self.reads:
            for _ in range(at):
                self._read()
