"""Readers as state machines: no threads, no blocking. A read that needs a file name waits for the reader's queue.

request   a waiting read; requests are served in order of arrival
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

from weftwork.actors.queues.queue import Attempt, Queue
from weftwork.graph.errors import CancelledError, InvalidArgumentError, OpError, UnimplementedError
from weftwork.graph.files.readers import Records
from weftwork.graph.files.records import records_from, unpacked
from weftwork.graph.files.system import as_path, file_errors, open_to_read, read_whole
from weftwork.graph.kernels.text import shown
from weftwork.graph.protos import messages

Record = tuple[bytes, bytes]


@cache
def _wire() -> Any:
    """The message in which TensorFlow keeps a reader's state."""
    fields = {"work_started": "1 int64", "work_finished": "2 int64", "num_records_produced": "3 int64"}
    return messages("weftwork.reader", {"ReaderBaseState": {**fields, "current_work": "4 bytes"}})["ReaderBaseState"]


class Request:
    """A read. on_done: called once, with the node's outputs or an error.   got: the records served so far."""

    __slots__ = ("got", "queue", "on_done", "vectors", "wanted")

    def __init__(self, queue: Queue, wanted: int, vectors: bool, on_done: Callable[[Any], None]):
        self.queue, self.wanted, self.vectors, self.on_done = queue, wanted, vectors, on_done
        self.got: list[Record] = []


class Reader:
    """A reader: its open file, and the requests that wait for records."""

    def __init__(self, records: Records):
        self._records = records
        self._requests: deque[Request] = deque()
        self._awaited_name: Attempt | None = None
        self._serving = False
        self.reset()

    def reset(self) -> None:
        """Start over with the next file name."""
        self.produced = self.completed = 0
        self._back: deque[Record] = deque()
        self._file: Iterator[Record] | None = None

    def state(self) -> bytes:
        """The state as a string. Raises UnimplementedError unless it is that of an IdentityReader."""
        if self._records.kind != "IdentityReader":
            raise UnimplementedError(None, None, "Reader SerializeState")
        count = self.produced
        return _wire()(work_started=count, work_finished=count, num_records_produced=count).SerializeToString()

    def restore(self, name: str, state: bytes) -> None:
        """Set the state. Raises InvalidArgumentError if it is none, UnimplementedError as `state` does."""
        if self._records.kind != "IdentityReader":
            raise UnimplementedError(None, None, "Reader RestoreState")
        try:
            read = _wire().FromString(state)
        except Exception as error:  # protobuf's DecodeError, which is imported with it
            if type(error).__name__ != "DecodeError":
                raise
            text = f"Could not parse state for {self._records.kind} '{name}': {shown(state)}"
            raise InvalidArgumentError(None, None, text) from error
        self.reset()
        self.produced = self.completed = read.num_records_produced

    def start(self, request: Request) -> None:
        """Queue a read. It may be served before this returns."""
        self._requests.append(request)
        self._pump()

    def cancel(self, request: Request) -> None:
        """Cancel a read. The records that it took go back, even if the read was done and its result unused."""
        if request in self._requests:
            if request is self._requests[0] and self._awaited_name is not None:
                asked, self._awaited_name = self._awaited_name, None
                asked.on_done = _ignore
                request.queue.cancel(asked)
            self._requests.remove(request)
            request.on_done(CancelledError(None, None, "Read operation was cancelled"))
        self._back.extendleft(reversed(request.got))
        self.produced -= len(request.got)
        request.got = []
        self._pump()

    def close(self) -> None:
        """Cancel all waiting reads."""
        for request in list(self._requests):
            self.cancel(request)
        self.reset()

    def _pump(self) -> None:
        """Serve reads until one needs a file name that is not there yet."""
        if self._serving:  # the queue had a file name at once and called back
            return
        self._serving = True
        while self._requests and self._awaited_name is None:
            request = self._requests[0]
            try:
                served = self._serve(request)
            except OpError as error:
                self._file = None
                self._requests.popleft()
                request.on_done(error)
                continue
            if served:
                self._requests.popleft()
                self.produced += len(request.got)
                request.on_done(_outputs(request))
            else:
                self._ask(request)
        self._serving = False

    def _serve(self, request: Request) -> bool:
        """Serve a request from the open file. Returns False if there is nothing left and a file name is needed."""
        while len(request.got) < request.wanted:
            record = self._back.popleft() if self._back else next(self._file, None) if self._file else None
            if record is None:
                break
            request.got.append(record)
        if len(request.got) < request.wanted and self._file is not None:
            self._file = None
            self.completed += 1
        return bool(request.got)

    def _ask(self, request: Request) -> None:
        """Ask the queue for a file name."""
        self._awaited_name = Attempt("dequeue", self._got_name, wanted=1)
        request.queue.start(self._awaited_name)

    def _got_name(self, result: Any) -> None:
        self._awaited_name = None
        if isinstance(result, Exception):
            self._requests.popleft().on_done(result)
        else:
            self._file = _file(self._records, result[0][0])
        self._pump()


def _ignore(result: Any) -> None:
    return None


def _outputs(request: Request) -> list:
    if not request.vectors:
        return list(request.got[0])
    columns = []
    for column in zip(*request.got, strict=True):
        array = np.empty(len(column), object)
        array[:] = column
        columns.append(array)
    return columns


# The records of a file


def _file(records: Records, name: bytes) -> Iterator[Record]:
    return _KINDS[records.kind](name, records)


def _whole(name: bytes, records: Records) -> Iterator[Record]:
    yield name, read_whole(name)


def _identity(name: bytes, records: Records) -> Iterator[Record]:
    yield name, name


def _lines(name: bytes, records: Records) -> Iterator[Record]:
    (skipped,) = records.numbers
    with open_to_read(name) as file, file_errors(as_path(name)):
        for number, line in enumerate(file, 1):
            if number > skipped:
                yield b"%s:%d" % (name, number), line.rstrip(b"\n").replace(b"\r", b"")


def _tf_records(name: bytes, records: Records) -> Iterator[Record]:
    with open_to_read(name) as file, file_errors(as_path(name)):
        for at, record in records_from(unpacked(file, records.compression), as_path(name)):
            yield b"%s:%d" % (name, at), record


def _fixed(name: bytes, records: Records) -> Iterator[Record]:
    size, header, footer, hop = records.numbers
    hop, number = hop or size, 0
    with open_to_read(name) as packed, file_errors(as_path(name)):
        file = unpacked(packed, records.compression)
        file.read(header)
        window = file.read(size + footer)
        while len(window) == size + footer:
            yield b"%s:%d" % (name, number), window[:size]
            window, number = (window + file.read(hop))[hop:], number + 1


_KINDS: dict[str, Callable[[bytes, Records], Iterator[Record]]] = {
    "TextLineReader": _lines,
    "WholeFileReader": _whole,
    "IdentityReader": _identity,
    "TFRecordReader": _tf_records,
    "FixedLengthRecordReader": _fixed,
}
