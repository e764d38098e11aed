"""Event files: summaries and graphs on disk, in the format that TensorBoard reads.

event      a time and a step, with a summary, a graph, or something else that happened
record     an event in a file, with its length and checksums, as written by TensorBoard's own writer
A file is named `events.out.tfevents.SECONDS.HOST.PROCESS.NUMBER`. TensorBoard shows all files of a directory as one
run. Events are flushed every `flush_secs` seconds, every `max_queue` events, and by `flush`.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any

from weftwork.graph.files.records import tf_record_iterator
from weftwork.graph.graph import Graph
from weftwork.graph.interchange.graph_util import write_graph
from weftwork.graph.protos import protos
from weftwork.graph.stacks import get_default_graph
from weftwork.scheduler.request.config import RunMetadata
from weftwork.scheduler.saving.meta_graph import export_meta_graph

_numbers = itertools.count()


class FileWriter:
    """Writes summaries and graphs to an event file in `logdir`, which is created if necessary.

    graph: written at once.   max_queue: number of events between flushes.   flush_secs: seconds between flushes.
    Several threads may use it. As a context manager, it closes itself. Raises ImportError if TensorBoard is not
    installed.
    filename_suffix: at the end of the file's name.
    """

    def __init__(
        self,
        logdir: Any,
        graph: Graph | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        graph_def: Any = None,
        filename_suffix: str | None = None,
        session: Any = None,
    ):
        self._logdir = os.fspath(logdir)
        self._max_queue, self._flush_secs = max_queue, flush_secs
        self._suffix = filename_suffix or ""
        self._lock = threading.Lock()
        self._described: set[str] = set()
        self._run_tags: set[str] = set()
        self._records: Any = None
        self._waiting, self._flushed = 0, time.monotonic()
        self._open()
        graph = graph if graph is not None else getattr(session, "graph", None)
        if graph is not None or graph_def is not None:
            self.add_graph(graph, graph_def=graph_def)
        if graph is not None:
            self.add_meta_graph(export_meta_graph(graph=graph))

    def _open(self) -> None:
        event = protos("event").Event(wall_time=time.time(), file_version="brain.Event:2")
        from tensorboard.summary.writer.record_writer import RecordWriter

        os.makedirs(self._logdir, exist_ok=True)
        place = f"{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        path = os.path.join(self._logdir, f"events.out.tfevents.{place}{self._suffix}")
        self._records = RecordWriter(open(path, "wb"))
        self._write(event)
        self._flush()

    def get_logdir(self) -> str:
        """The directory of the event file."""
        return self._logdir

    def add_summary(self, summary: Any, global_step: Any = None) -> None:
        """Write a summary: the bytes from a summary node, or a `Summary`."""
        if isinstance(summary, bytes):
            summary = protos("summary").Summary.FromString(summary)
        for value in summary.value:
            # The description of a tag is written once.
            if value.HasField("metadata"):
                if value.tag in self._described:
                    value.ClearField("metadata")
                else:
                    self._described.add(value.tag)
        self._add(protos("event").Event(summary=summary), global_step)

    def add_graph(self, graph: Any, global_step: Any = None, graph_def: Any = None) -> None:
        """Write a graph for TensorBoard's graph tab: a Graph, or a GraphDef of TensorBoard's.

        Raises TypeError for anything else.
        """
        if graph is not None and graph_def is not None:
            raise ValueError("Please pass only graph, or graph_def (deprecated), but not both.")
        given = graph if graph is not None else graph_def
        definition: Any = given.as_graph_def(add_shapes=True) if isinstance(given, Graph) else given
        if not isinstance(definition, protos("graph").GraphDef):
            raise TypeError("The passed graph must be an instance of `Graph` or the deprecated `GraphDef`")
        self._add(protos("event").Event(graph_def=definition.SerializeToString()), global_step)

    def add_meta_graph(self, meta_graph_def: Any, global_step: Any = None) -> None:
        """Write a MetaGraphDef. Raises TypeError for anything else.

        meta_graph_def: a MetaGraphDef message.
        """
        kind = protos("meta_graph").MetaGraphDef
        if not isinstance(meta_graph_def, kind):
            raise TypeError(f"meta_graph_def must be type MetaGraphDef, saw type: {type(meta_graph_def)}")
        self._add(protos("event").Event(meta_graph_def=meta_graph_def.SerializeToString()), global_step)

    def add_session_log(self, session_log: Any, global_step: Any = None) -> None:
        """Write a `SessionLog`: that a session started, wrote a checkpoint, or stopped.

        session_log: a SessionLog message.
        """
        self._add(protos("event").Event(session_log=session_log), global_step)

    def add_run_metadata(self, run_metadata: Any, tag: str, global_step: Any = None) -> None:
        """Write a RunMetadata (ours or TensorFlow's) for TensorBoard's graph tab.

        Raises ValueError for a tag that this writer has used before.
        """
        if tag in self._run_tags:
            raise ValueError("The provided tag was already used for this event type")
        self._run_tags.add(tag)
        data = metadata_proto(run_metadata).SerializeToString()
        tagged = protos("event").TaggedRunMetadata(tag=tag, run_metadata=data)
        self._add(protos("event").Event(tagged_run_metadata=tagged), global_step)

    def add_event(self, event: Any) -> None:
        """Write an `Event` as it is. After `close` only a warning is given.

        event: an Event message.
        """
        with self._lock:
            if self._records is None:
                warnings.warn(
                    "Attempting to use a closed FileWriter. The operation will be a noop unless the FileWriter is "
                    "explicitly reopened.",
                    stacklevel=3,
                )
                return
            self._write(event)
            if self._waiting > self._max_queue or time.monotonic() - self._flushed > self._flush_secs:
                self._flush()

    def _add(self, event: Any, step: Any) -> None:
        event.wall_time = time.time()
        if step is not None:
            event.step = int(step)
        self.add_event(event)

    def _write(self, event: Any) -> None:
        self._records.write(event.SerializeToString())
        self._waiting += 1

    def _flush(self) -> None:
        self._records.flush()
        self._waiting, self._flushed = 0, time.monotonic()

    def flush(self) -> None:
        """Flush all events to the operating system."""
        with self._lock:
            if self._records is not None:
                self._flush()

    def close(self) -> None:
        """Flush and close the file."""
        with self._lock:
            if self._records is not None:
                self._records.close()
                self._records = None

    def reopen(self) -> None:
        """Open another file after `close`; otherwise do nothing."""
        with self._lock:
            if self._records is None:
                self._described.clear()
                self._open()

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def summary_iterator(path: Any) -> Iterator[Any]:
    """Yield the Events of an event file. Raises DataLossError if the file is not one."""
    for record in tf_record_iterator(path):
        yield protos("event").Event.FromString(record)


def metadata_proto(metadata: Any) -> Any:
    """Convert a RunMetadata to TensorBoard's protocol buffer."""
    if not isinstance(metadata, RunMetadata):
        return metadata
    from google.protobuf import json_format

    return json_format.ParseDict(metadata.to_plain(), protos("config").RunMetadata())


class FileWriterCache:
    """Shares one FileWriter per directory."""

    _writers: dict[str, FileWriter] = {}
    _lock = threading.Lock()

    @classmethod
    def get(cls, logdir: Any) -> FileWriter:
        """The writer for `logdir`, created with the default graph if necessary."""
        with cls._lock:
            key = os.fspath(logdir)
            if key not in cls._writers:
                cls._writers[key] = FileWriter(key, graph=get_default_graph())
            return cls._writers[key]

    @classmethod
    def clear(cls) -> None:
        """Close and forget all writers."""
        with cls._lock:
            for writer in cls._writers.values():
                writer.close()
            cls._writers.clear()


# Graphs


def write_graph_text(folder: Any, graph: Graph) -> None:
    """Write the graph, with its shapes, to `graph.pbtxt` of a folder, if TensorBoard is installed."""
    if importlib.util.find_spec("tensorboard") is not None:
        write_graph(graph.as_graph_def(add_shapes=True), folder, "graph.pbtxt")
