"""Limits: how a run comes to its end whose function does not look whether it should.

token      in `Run.here`: the thread that calls functions of the run at this moment. It is there no longer than they are
strike     `Interrupted`, raised in that thread at its next bytecode; in the main thread by a signal, which also ends
           what waits there: a sleep, a socket, a lock. One that comes too late finds no token and does nothing
stuck      what goes on in spite of strikes for the grace time: code in C that does not come back
abandoned  a run that is over for its caller, though a thread of ours is stuck in it. What it makes is nobody's

A run with a time limit, and one in the background, is driven by a thread that is lent to it, so it can be abandoned.
It is driven by the thread that asked for it where its functions may look at that, or hold what belongs to it; then it
can be struck, no more. A run without a limit pays for nothing of this.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from itertools import repeat
from operator import itemgetter
from queue import Empty, SimpleQueue
from time import monotonic
from types import FrameType, MethodType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from weftwork.actors.processes.code import pack_code
from weftwork.actors.programs.program import Stopped
from weftwork.actors.programs.stack import frames_of_threads
from weftwork.graph.forks import fresh, in_child
from weftwork.graph.ownership import is_atom
from weftwork.graph.user_function import UserFunction
from weftwork.scheduler.compile.effects import functions_of
from weftwork.scheduler.machines import backend
from weftwork.scheduler.machines.helpers import borrow
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.run.failures import block
from weftwork.scheduler.run.shipping import carrying

_LOG = logging.getLogger("weftwork")
_FIRST, _LAST = 0.02, 2.0
"""Seconds between a cancel and the first strike: most programs stop by themselves; and between two strikes at most."""
_LOOK = 0.05
_SIGNAL: Any = getattr(signal, "SIGURG", None)
"""Ends what the main thread waits for. By default nobody hears it: one that comes late, or elsewhere, does nothing."""
_CALLERS = frozenset(
    f"weftwork.{name}"
    for name in (
        "actors.programs.program",
        "actors.programs.control",
        "graph.user_function",
        "graph.nest",
        "graph.ownership",
        "graph.seeded",
        "scheduler.run.cold_run",
        "scheduler.run.calling",
    )
)
"""Modules that call functions and hold nothing meanwhile."""
_PLAIN = (list, tuple, dict, set, frozenset, bytearray)
_THREAD = itemgetter(2)
"""The thread of an entry of `Run.here`."""

_raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in.argtypes, _raise_in.restype = [ctypes.c_ulong, ctypes.py_object], ctypes.c_int


class Interrupted(Stopped):
    """A function was told to stop."""


# Which thread drives a run


def is_bound(functions: Iterable[UserFunction], here: bool, fed: Sequence[Any]) -> bool:
    """Whether the thread that asks for a run must drive it itself.

    It must where functions may look at the thread that they run in, or hold what belongs to it.
    here: some were asked to run in the caller.
    """
    if backend.is_task():  # a thread beside a task's cannot give its CPU back
        return True
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and (here or any([function.captured.main for function in functions])):
        return True
    return not (all([_travels(function) for function in functions]) and all(map(_is_plain, fed)))


_known: WeakKeyDictionary[UserFunction, bool] = WeakKeyDictionary()


def _travels(function: UserFunction) -> bool:
    """Whether a function holds nothing of its process or its thread, a lock or a connection: then it pickles."""
    if HISTORY.stays(function):
        return False
    known = _known.get(function)
    if known is None:
        try:
            pack_code(carrying(function))
            known = True
        except Exception:
            known = False
        _known[function] = known
    return known


def _is_plain(value: Any) -> bool:
    """Whether a value belongs to no thread, as far as a look tells."""
    if is_atom(value):
        return True
    if issubclass(type(value), np.ndarray):
        return value.dtype.kind != "O" or all(map(is_atom, value.flat))
    if type(value) is dict:
        return all(map(is_atom, value.values()))
    return type(value) in _PLAIN and all(map(is_atom, value))


@contextmanager
def expiring(run: Any, seconds: float | None) -> Iterator[None]:
    """A run that this thread drives is cancelled after `seconds`."""
    timer = None
    if seconds is not None:
        timer = threading.Timer(seconds, run.expire)
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()


def within(run: Any, seconds: float | None, grace: float, work: Callable[[], list], leave: Callable[[], None]) -> list:
    """What `work` returns or raises, in a thread of ours. After `seconds` the run is cancelled.

    Once it is cancelled, it has `grace` seconds; then it is abandoned if it is stuck. leave: called then, to let go
    what the thread holds.
    """
    came: SimpleQueue = SimpleQueue()
    context = copy_context()

    def drive() -> None:
        try:
            came.put((context.run(work), None))
        except BaseException as error:  # the one who waits raises it
            came.put((None, error))

    run.wakers.append(functools.partial(came.put, None))
    borrow(1)[0].put(drive)
    try:
        outcome = _outcome(run, came, seconds, grace)
    except BaseException:  # Ctrl-C
        run.cancel()
        if _outcome(run, came, None, grace) is None:
            leave()
        raise
    finally:
        for variable, value in context.items():  # as if it had run here
            if variable.get(came) is not value:
                variable.set(value)
    if outcome is None:
        leave()
        raise run.stopped()
    result, failure = outcome
    if failure is not None:
        raise failure
    return result


def _outcome(run: Any, came: SimpleQueue, seconds: float | None, grace: float) -> tuple | None:
    """What comes of a run: its result, and its error if there is one. None: it was abandoned."""
    end = None if seconds is None else monotonic() + seconds
    while True:
        try:
            outcome = came.get(timeout=_LOOK if run.stop else None if end is None else max(0.0, end - monotonic()))
        except Empty:
            outcome = None
            if end is not None and monotonic() >= end:
                end = None
                run.expire()
        if outcome is not None:
            if run.stop and STRIKES.parts(run):  # another thread of the run is stuck
                abandon(run)
            return outcome
        if run.stop and STRIKES.is_stuck(run, grace):
            abandon(run)
            return None


def abandon(run: Any) -> None:
    """Say that functions of a run are stuck, and let no other run of them be in this process if that can be helped."""
    for inner in STRIKES.parts(run):
        found = _stuck(inner)
        names = ", ".join([function.__name__ for function in found]) or "a function"
        _LOG.warning("%s does not stop: its run is over, but its thread goes on until it returns", names)
        if all(map(_travels, found)):
            block([kernel for kernel in _kernels(inner) if not found.isdisjoint(functions_of([kernel]))])


def _kernels(run: Any) -> list:
    return list(run.flow.kernels) if run.cold is None else run.cold.functions


def _stuck(run: Any) -> set[UserFunction]:
    """The functions that a run is in, as far as can be seen: those without code of Python's leave no frame."""
    functions = [f for f in functions_of(_kernels(run)) if f is not None]
    frames = _frames()
    codes = {frame.f_code for thread in _threads(run) for frame in _outward(frames.get(thread))}
    return {f for f in functions if _code(f) in codes} or {f for f in functions if _code(f) is None}


def _code(function: UserFunction) -> Any:
    found = function.function
    return getattr(found.__func__ if type(found) is MethodType else found, "__code__", None)


def _outward(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _threads(run: Any) -> set[int]:
    """The threads that call functions of a run at this moment."""
    return {entry[2] for entry in list(run.here.values()) if entry[2]}


# Strikes


class Strikes:
    """The runs that were told to stop and have not yet. A thread strikes them, later and later, until they have."""

    def __init__(self):
        self._since: dict[Any, float] = {}
        self._lock = fresh(threading.Lock())
        self._new = threading.Event()
        self._started = False

    def begin(self, run: Any) -> None:
        """A run was told to stop; called once."""
        with self._lock:
            self._since[run] = monotonic()
            started, self._started = self._started, True
        if not started:
            threading.Thread(target=self._strike, name="weftwork-limits", daemon=True).start()
        self._new.set()

    def parts(self, run: Any) -> list:
        """Those that are a run, or part of it, and that call functions in this process."""
        with self._lock:
            found = list(self._since)
        return [other for other in found if _root(other) is run and _threads(other)]

    def is_stuck(self, run: Any, grace: float) -> bool:
        """Whether a function of a run goes on, though the run was told to stop so many seconds ago."""
        now = monotonic()
        return any([now - self._since.get(part, now) >= grace for part in self.parts(run)])

    def _strike(self) -> None:
        while True:
            self._new.wait()
            self._new.clear()
            pause = _FIRST
            while self._since:
                if self._new.wait(pause):
                    self._new.clear()
                    pause = _FIRST
                    continue
                self._strike_all()
                pause = min(_LAST, 2 * pause)

    def _strike_all(self) -> None:
        for run in list(self._since):
            if _threads(run):
                _strike(run)
            elif _root(run) not in run.mirror.running:
                with self._lock:
                    self._since.pop(run, None)

    def of_thread(self, thread: int) -> bool:
        """Whether a run that was told to stop calls a function in a thread at this moment."""
        return any([thread in _threads(run) for run in list(self._since)])

    def forget(self) -> None:
        """This process was forked off: the runs are its parent's, and so is the thread."""
        self._since.clear()
        self._new = threading.Event()
        self._started = False


STRIKES = Strikes()
"""Those of this process."""
in_child(STRIKES.forget)


def _root(run: Any) -> Any:
    while run.outer is not None:
        run = run.outer
    return run


def _frames() -> dict[int, FrameType]:
    """What the other threads do. This one's own frame would hold the others for as long as it is held itself."""
    frames = frames_of_threads()
    frames.pop(threading.get_ident(), None)
    return frames


def _strike(run: Any) -> None:
    frames = _frames()
    for thread in _threads(run):
        frame = frames.get(thread)
        if _is_in_function(frame):
            if thread == threading.main_thread().ident and _hears():
                signal.pthread_kill(thread, _SIGNAL)
            else:
                _raise_once(run, thread)
        else:
            _cancel_inside(run, frame)


def _raise_once(run: Any, thread: int) -> None:
    """Raise Interrupted in a thread if its token is there. This is one step: no bytecode, so no other thread, between.

    So it comes before the token has gone, at the latest when it goes: inside the run.
    """
    found = filter(thread.__eq__, map(_THREAD, run.here.values()))
    try:
        any(map(_raise_in, found, repeat(Interrupted)))
    except RuntimeError:  # another thread's token has come or gone meanwhile: next time
        pass


def _is_in_function(frame: FrameType | None) -> bool:
    """Whether a thread is in a function, and not in what the library does around it."""
    for outer in _outward(frame):
        module = outer.f_globals.get("__name__") or ""
        if module.startswith("weftwork."):
            return module in _CALLERS
    return False


def _cancel_inside(run: Any, frame: FrameType | None) -> None:
    """A function of the run has begun runs of its own: they end first."""
    for outer in _outward(frame):
        if outer.f_code.co_name == "_attempt" and outer.f_globals.get("__name__") == "weftwork.scheduler.run.engine":
            inner = outer.f_locals.get("run")
            if inner is not None and inner is not _root(run):
                inner.cancel()
            return


# The main thread


def listen() -> None:
    """Let the main thread hear strikes, from now on: called by who makes a session. Nothing in any other thread.

    A handler of the program's own stays: then what waits in the main thread waits to its end.
    """
    if _SIGNAL is None or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(_SIGNAL) is signal.SIG_DFL:
        signal.signal(_SIGNAL, _struck)


def _hears() -> bool:
    return _SIGNAL is not None and signal.getsignal(_SIGNAL) is _struck


def _struck(number: int, frame: FrameType | None) -> None:
    if STRIKES.of_thread(threading.get_ident()) and _is_in_function(frame):
        raise Interrupted
