"""What functions print, log and warn of in another process appears in the program, once.

In a worker process, `RECORDER` records output during a call. It is sent with the reply, and `replay` repeats it in the
program: on its own `sys.stdout`, through its log handlers and its warning filters.

event     (kind, content, step): text for "out" and "err", a packed record for "log", a packed warning for "warn". Other
          kinds are not output but reports to the run: "retried".   step: of the running program, None if unknown
"""

from __future__ import annotations

import io
import logging
import os
import pickle
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any

from weftwork.actors.programs.numbers import raised
from weftwork.actors.programs.stack import under_way
from weftwork.graph.python.forks import fresh

Event = tuple[str, Any, int | None]
_MAX_CHARACTERS = 1 << 20
"""Maximum number of characters in one event of a child's output; longer output is split into several events."""


class _Stream(io.TextIOBase):
    """A replacement for `sys.stdout` or `sys.stderr`."""

    encoding, errors = "utf-8", "replace"  # type: ignore[assignment]

    def __init__(self, recorder: Recorder, kind: str, number: int):
        self._recorder, self._kind, self._number = recorder, kind, number
        self.buffer = _Bytes(self)
        self.name = f"<std{kind}>"
        self.mode = "w"

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if not self._recorder.take(self._kind, text):
            self._recorder.pass_on(self._kind, self._number, text)
        return len(text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return False

    def flush(self) -> None:
        return


class _Bytes(io.RawIOBase):
    """The `buffer` of a stream."""

    def __init__(self, stream: _Stream):
        self._stream = stream

    def write(self, data: Any) -> int:
        self._stream.write(bytes(data).decode("utf-8", "replace"))
        return len(data)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()


class Recorder:
    """Records output of this process while it listens."""

    def __init__(self):
        self.pid = self._begun = 0
        self.runners: Collection[CodeType] = frozenset()
        """What runs programs in this process."""
        self.dumps: Callable[[Any], bytes] = pickle.dumps
        """The pickler of records and warnings. Workers set the one of messages, so that classes keep their identity."""
        self._said: list[Event] | None = None
        self._files: list[tuple[str, int, int]] = []
        self._lock = fresh(threading.Lock())

    @contextmanager
    def listening(self) -> Iterator[list[Event]]:
        """Record output of all threads while the block runs, in the list that is yielded.

        `gather` completes the list.
        """
        if self.pid != os.getpid():
            self._install()
        self._take_written(keep=False)
        said: list[Event] = []
        self._said = said
        try:
            yield said
        finally:
            self._said = None

    def pass_on(self, kind: str, number: int, text: str) -> None:
        """Write unrecorded output to its original target; in a forked child, to the child's own descriptor."""
        here = [before for name, _, before in self._files if name == kind and self.pid == os.getpid()]
        with _stream_errors_ignored():
            os.write(here[0] if here else number, text.encode("utf-8", "replace"))

    def gather(self) -> None:
        """Add output that bypassed Python's streams."""
        self._take_written(keep=True)

    def take(self, kind: str, content: Any) -> bool:
        """Record an event. Returns False if nobody listens."""
        said = self._said
        if said is None or os.getpid() != self.pid:
            return False
        step, runner = under_way(sys._getframe(1), self.runners)
        with self._lock:
            if runner is None and said:  # a thread started by a function, or output written past Python
                step = said[-1][2]
            last = said[-1] if said else ("", "", None)
            if kind in ("out", "err") and (last[0], last[2]) == (kind, step) and len(last[1]) < _MAX_CHARACTERS:
                said[-1] = (kind, last[1] + content, step)
            else:
                said.append((kind, content, step))
        return True

    def _install(self) -> None:
        """Replace the process's output streams, log handling and warnings, once.

        A call that is cut short, because a first run is cancelled, is followed by another one, which does the rest.
        """
        pid = os.getpid()
        files = {kind: file for kind, file, _ in self._files} if self._begun == pid else {}
        self._begun = pid
        for kind, number in (("out", 1), ("err", 2)):
            name = f"std{kind}"
            original = getattr(sys, name)
            setattr(sys, name, _Stream(self, kind, number))
            with _stream_errors_ignored():
                original.flush()
                if kind not in files:
                    before, files[kind] = raised(os.dup(number)), raised(_file())
                    self._files.append((kind, files[kind], before))
                os.dup2(files[kind], number)
        _log_to(self)
        _warn_to(self)
        self.pid = pid

    def _take_written(self, keep: bool) -> None:
        """Collect output of children and C code. If nobody listened when it came, it goes to the process's log."""
        for kind, file, before in self._files:
            if size := os.fstat(file).st_size:
                data = os.pread(file, size, 0)
                os.ftruncate(file, 0)
                os.lseek(file, 0, os.SEEK_SET)
                if not keep or not self.take(kind, data.decode("utf-8", "replace")):
                    os.write(before, data)


@contextmanager
def _stream_errors_ignored() -> Iterator[None]:
    """Ignore errors of a process that has no such stream."""
    try:
        yield
    except (OSError, AttributeError, ValueError):
        return


def _file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("weftwork-output")
    file, path = tempfile.mkstemp()
    os.unlink(path)
    return file


def _log_to(recorder: Recorder) -> None:
    """Replace `Logger.callHandlers`. Handlers that a function adds itself are still called."""
    usual = logging.Logger.callHandlers
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    original = {id(h) for logger in loggers if isinstance(logger, logging.Logger) for h in logger.handlers}

    def call(logger: logging.Logger, record: logging.LogRecord) -> None:
        if logger.name.partition(".")[0] == "ray" or not recorder.take("log", _packed(record)):
            usual(logger, record)
            return
        at: logging.Logger | None = logger
        while at is not None:
            for handler in at.handlers:
                if id(handler) not in original and record.levelno >= handler.level:
                    handler.handle(record)
            at = at.parent if at.propagate else None

    logging.Logger.callHandlers = call  # type: ignore[method-assign]


def _packed(record: logging.LogRecord) -> bytes:
    """A record's attributes, pickled. The message becomes text if the arguments do not pickle."""
    fields = dict(record.__dict__)
    if record.exc_info:
        fields["exc_text"] = record.exc_text or logging.Formatter().formatException(record.exc_info)  # type: ignore[arg-type]
        fields["exc_info"] = _without_frames(record.exc_info)
    try:
        return RECORDER.dumps(fields)
    except Exception:
        plain = {name: value for name, value in fields.items() if isinstance(value, (str, int, float, type(None)))}
        return pickle.dumps({**plain, "msg": record.getMessage(), "args": None}, protocol=5)


def _without_frames(info: Any) -> Any:
    """What a record says about an exception, for another process: None if the exception cannot be sent."""
    kind, error, _ = info
    try:
        RECORDER.dumps((kind, error))
    except Exception:
        return None
    return kind, error, None


_PAST_THE_STACK = {"sys": "sys", "<sys>": "sys"}
"""The module of a warning whose `stacklevel` is larger than the stack, by its file's name."""


def _warn_to(recorder: Recorder) -> None:
    usual = warnings.showwarning

    def show(message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None) -> None:
        if file is not None or not recorder.take("warn", _warning(message, category, filename, lineno)):
            usual(message, category, filename, lineno, file, line)

    warnings.showwarning = show


def _warning(message: Any, category: Any, filename: str, lineno: int) -> bytes:
    """A warning and the name of the module that it comes from, pickled."""
    frame: Any = sys._getframe(1)
    while frame is not None and not (frame.f_code.co_filename == filename and frame.f_lineno == lineno):
        frame = frame.f_back
    module = _PAST_THE_STACK.get(filename) if frame is None else frame.f_globals.get("__name__")
    try:
        return RECORDER.dumps((message, category, filename, lineno, module))
    except Exception:
        return pickle.dumps((str(message), UserWarning, filename, lineno, module), protocol=5)


RECORDER = Recorder()


# In the program


def replay(events: list[Event]) -> None:
    """Repeat recorded output in the program."""
    for kind, content, _ in events:
        if kind == "log":
            record = logging.makeLogRecord(pickle.loads(content))
            record.levelname = logging.getLevelName(record.levelno)
            logger = logging.getLogger(record.name if record.name != "root" else None)
            if logger.isEnabledFor(record.levelno):
                logger.handle(record)
        elif kind == "warn":
            message, category, filename, lineno, module = pickle.loads(content)
            if module:
                warnings.warn_explicit(message, category, filename, lineno, module, _registry(module))
            else:  # with a registry for None, nothing would be shown
                warnings.warn_explicit(message, category, filename, lineno)
        elif kind in ("out", "err"):
            stream = sys.stdout if kind == "out" else sys.stderr
            if stream is not None:
                stream.write(content)


_registries: dict[str, dict] = {}


def _registry(module: str) -> dict:
    """The registry in which Python notes the warnings of a module that were shown."""
    known = sys.modules.get(module)
    if known is None:
        return _registries.setdefault(module, {})
    return vars(known).setdefault("__warningregistry__", {})
