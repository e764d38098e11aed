"""Undoes what Ray does to the whole process: its signal handler, a forked child's end, the status after Ctrl-C."""

from __future__ import annotations

import atexit
import ctypes
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def end_without_ray() -> None:
    """Skip Ray's cleanup in a forked child, which would wait for threads that do not exist here, or crash."""
    worker, state = sys.modules.get("ray._private.worker"), sys.modules.get("ray._private.state")
    if worker is not None and state is not None:
        atexit.unregister(worker.shutdown)
        for holder in filter(None, (worker.global_worker, getattr(worker, "_global_node", None), state.state)):
            for thing in vars(holder).values():
                if type(thing).__module__ == "ray._raylet":
                    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))  # so that it is never destroyed
    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):  # runs after Python's cleanup and before C++'s
        libc.on_exit(ctypes.cast(libc._exit, ctypes.c_void_p), None)


def end_as_interrupted() -> None:
    """If a KeyboardInterrupt has ended the program, let it end by SIGINT, as it would without Ray.

    Python forgets that when text is run as code, as Ray's shutdown does: it imports modules that define dataclasses.
    """
    trace = getattr(sys, "last_traceback", None)
    if getattr(sys, "last_type", None) is KeyboardInterrupt and trace is not None and trace.tb_frame.f_back is None:
        with suppress(KeyboardInterrupt):
            exec("raise KeyboardInterrupt")


@contextmanager
def sigterm_kept() -> Iterator[None]:
    """Keep the program's SIGTERM handler. Ray's core replaces it by one that prints a stack trace."""
    libc, kept = ctypes.CDLL(None), ctypes.create_string_buffer(1024)
    has_signals = hasattr(libc, "sigaction") and libc.sigaction(signal.SIGTERM, None, kept) == 0
    try:
        yield
    finally:
        if has_signals:
            libc.sigaction(signal.SIGTERM, kept, None)
