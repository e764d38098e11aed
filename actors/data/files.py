"""Stages that read files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from weftwork.actors.data.stage import END, Stage, stage
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.files.records import records_from, unpacked
from weftwork.graph.files.system import as_path, file_errors, open_to_read

_CHUNK = 1 << 18


class File(Stage):
    """Yields the items of one file. The first two given values are its path and its compression."""

    saved = ("at",)

    def prepare(self) -> None:
        self.path, self.compression = as_path(bytes(self.given.values[0])), bytes(self.given.values[1]).decode()
        self._file: Any = None
        self.pipeline.on_close(self.close)

    def begin(self) -> None:
        self.close()
        self.at = 0
        self._items: Iterator[bytes] | None = None

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def next(self) -> Any:
        if self._items is None:
            self._file = unpacked(open_to_read(self.path), self.compression)
            self._items = self.items(self._file)
        item = None
        try:
            with file_errors(self.path):
                item = next(self._items, END)
        finally:
            if item is None or item is END:  # a generator that raised is exhausted too
                self.close()
        if item is END:
            return END
        self.at += 1
        return [item]

    def items(self, file: Any) -> Iterator[bytes]:
        """Yield the items of an open file."""
        raise NotImplementedError

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        at = self.at
        self.begin()
        while self.at < at and self.next() is not END:
            pass


@stage("TextLine")
class Lines(File):
    """Yields lines, without line breaks."""

    def items(self, file: Any) -> Iterator[bytes]:
        rest = b""
        while data := file.read(_CHUNK):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield line.replace(b"\r", b"")
        if rest:
            yield rest.replace(b"\r", b"")


@stage("TFRecord")
class Records(File):
    """Yields the records of a TFRecord file."""

    def items(self, file: Any) -> Iterator[bytes]:
        return (record for _, record in records_from(file, self.path))


@stage("FixedLength")
class FixedRecords(File):
    """Yields records of a fixed length."""

    def prepare(self) -> None:
        super().prepare()
        self.size, self.header, self.footer = [int(value) for value in self.given.values[2:5]]
        if self.size < 1:
            raise InvalidArgumentError(None, None, "`record_bytes` must be > 0")
        for word, value in (("header_bytes", self.header), ("footer_bytes", self.footer)):
            if value < 0:
                raise InvalidArgumentError(None, None, f"`{word}` must be >= 0")

    def items(self, file: Any) -> Iterator[bytes]:
        file.read(self.header)
        held = b""
        while data := file.read(_CHUNK):
            held += data
            whole = max(0, len(held) - self.footer) // self.size * self.size
            for at in range(0, whole, self.size):
                yield held[at : at + self.size]
            held = held[whole:]
        if len(held) != self.footer:
            text = (
                f"Excluding the header ({self.header} bytes) and footer ({self.footer} bytes), input file "
                f'"{self.path}" has a body that is not an exact multiple of the record length ({self.size} bytes).'
            )
            raise InvalidArgumentError(None, None, text)
