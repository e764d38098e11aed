"""Readers: nodes that take file names from a queue and return the contents of the files, record by record.

A reader belongs to the session, like a queue: two sessions of one graph have two. Files are opened and read where the
session's queues live, so a run that waits for a file name occupies neither a thread nor a worker.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from weftwork.graph import dtypes
from weftwork.graph.build import convert_to_tensor
from weftwork.graph.files.records import TFRecordOptions
from weftwork.graph.operation import HANDLES, Kind, Operation, Tensor
from weftwork.graph.ops.queues import QueueBase
from weftwork.graph.stacks import get_default_graph


class Records(NamedTuple):
    """How a reader splits a file: the kind of records, and its parameters (see the readers)."""

    kind: str
    numbers: tuple[int, ...] = ()
    compression: str = ""


class ReaderBase:
    """The base class of all readers; see TextLineReader.

    records: what reads a file's records.
    """

    def __init__(self, records: Records, name: str | None):
        graph = get_default_graph()
        with graph.control_dependencies(None):
            attrs = {"_records": records, "_word": "make"}
            self._op = graph.add(
                Kind.QUEUE, f"{records.kind}V2", attrs=attrs, outputs=[(dtypes.resource, ())], name=name
            )
        attrs["_reader"] = (self._op.container, self._op.name)
        self._op.attrs = attrs
        self._records = records

    @property
    def reader_ref(self) -> Tensor:
        """The tensor that stands for the reader."""
        return self._op.outputs[0]

    @property
    def supports_serialize(self) -> bool:
        """Whether its state can be serialized: that of an IdentityReader, which has no file."""
        return self._records.kind == "IdentityReader"

    def read(self, queue: QueueBase, name: str | None = None) -> tuple[Tensor, Tensor]:
        """(key, value) of the next record, two strings. Takes a file name from the queue if needed.

        At run time, raises OutOfRangeError once the queue is closed and empty and the last file is finished,
        NotFoundError if a file does not exist.
        """
        key, value = self._read("read", queue, [], (), name)
        return key, value

    def read_up_to(self, queue: QueueBase, num_records: Any, name: str | None = None) -> tuple[Tensor, Tensor]:
        """(keys, values) of the next records of one file, two vectors: `num_records`, or fewer at its end."""
        number = convert_to_tensor(num_records, dtypes.int64, name="num_records")
        keys, values = self._read("read_up_to", queue, [number], (None,), name)
        return keys, values

    def num_records_produced(self, name: str | None = None) -> Tensor:
        """The number of records returned so far, int64."""
        return self._count("num_records_produced", name)

    def num_work_units_completed(self, name: str | None = None) -> Tensor:
        """The number of files finished so far, int64."""
        return self._count("num_work_units_completed", name)

    def reset(self, name: str | None = None) -> Operation:
        """The operation that makes the reader start over with the next file name."""
        return self._node("reset", [], [], name)

    def serialize_state(self, name: str | None = None) -> Tensor:
        """The state as a string. At run time, raises UnimplementedError unless `supports_serialize`."""
        return self._node("serialize_state", [], [(dtypes.string, ())], name).outputs[0]

    def restore_state(self, state: Any, name: str | None = None) -> Operation:
        """The operation that sets the state to one that `serialize_state` gave.

        state: a string. At run time, raises InvalidArgumentError for another one, UnimplementedError unless
            `supports_serialize`.
        """
        given = convert_to_tensor(state, dtypes.string, name="state")
        return self._node("restore_state", [given], [], name)

    def _count(self, word: str, name: str | None) -> Tensor:
        return self._node(word, [], [(dtypes.int64, ())], name).outputs[0]

    def _read(self, word: str, queue: QueueBase, inputs: list, shape: tuple, name: str | None) -> tuple[Tensor, ...]:
        if not isinstance(queue, QueueBase):
            raise TypeError(f"A reader takes its file names from a queue, not from {queue!r}.")
        if [dtype.base_dtype for dtype in queue.dtypes] != [dtypes.string]:
            raise TypeError(f"A queue of file names has one component, of strings: {queue.name!r} has {queue.dtypes}.")
        place, attrs = queue.handle()
        outputs: list = [(dtypes.string, shape)] * 2
        return tuple(self._node(word, [*place, *inputs], outputs, name, attrs).outputs)

    def _node(self, word: str, inputs: list, outputs: list, name: str | None, queue: Any = None) -> Operation:
        graph = self._op.graph
        attrs = {"_reader": (self._op.container, self._op.name), "_records": self._records, "_word": word}
        kind = "Reader" + "".join([part.capitalize() for part in word.split("_")]) + "V2"
        with graph.as_default():
            queue = queue or {}
            attrs = {**attrs, **queue, HANDLES: 1 + queue.get(HANDLES, 0)}
            taken = (self.reader_ref, *inputs)
            return graph.add(Kind.QUEUE, kind, inputs=taken, attrs=attrs, outputs=outputs, name=name)


class TextLineReader(ReaderBase):
    """Returns the lines of text files, without line ends. Keys are `FILE:LINE`.

    skip_header_lines: the number of lines to skip at the beginning of each file.
    """

    def __init__(self, skip_header_lines: int | None = None, name: str | None = None):
        super().__init__(Records("TextLineReader", (int(skip_header_lines or 0),)), name)


class WholeFileReader(ReaderBase):
    """Returns whole files. Keys are the file names."""

    def __init__(self, name: str | None = None):
        super().__init__(Records("WholeFileReader"), name)


class IdentityReader(ReaderBase):
    """Returns each string from the queue as both key and value."""

    def __init__(self, name: str | None = None):
        super().__init__(Records("IdentityReader"), name)


class TFRecordReader(ReaderBase):
    """Returns the records of files written by `tf.python_io.TFRecordWriter`. Keys are `FILE:BYTE`.

    options: the same as for `tf.python_io.tf_record_iterator`.
    """

    def __init__(self, name: str | None = None, options: Any = None):
        super().__init__(Records("TFRecordReader", (), TFRecordOptions.get_compression_type_string(options)), name)


class FixedLengthRecordReader(ReaderBase):
    """Returns records of `record_bytes` bytes. Keys are `FILE:NUMBER`.

    An incomplete record at the end of a file is skipped.
    header_bytes, footer_bytes: to skip at the beginning and the end of each file.   hop_bytes: from the beginning of
    one record to that of the next, `record_bytes` by default.   encoding: "ZLIB", "GZIP" or none.
    Raises ValueError for invalid numbers.
    """

    def __init__(
        self,
        record_bytes: int,
        header_bytes: int | None = None,
        footer_bytes: int | None = None,
        hop_bytes: int | None = None,
        name: str | None = None,
        encoding: str | None = None,
    ):
        numbers = (int(record_bytes), int(header_bytes or 0), int(footer_bytes or 0), int(hop_bytes or 0))
        if numbers[0] <= 0 or min(numbers) < 0:
            words = "record_bytes must be > 0, header_bytes, footer_bytes and hop_bytes >= 0"
            raise ValueError(f"{words}, but they are {numbers}.")
        compression = TFRecordOptions.get_compression_type_string(encoding)
        super().__init__(Records("FixedLengthRecordReader", numbers, compression), name)
