"""Limits: how to end a run whose function does not check whether it should stop.

token      an entry of `Run.here`: a thread that is calling a function of the run. It is removed as soon as the call
ends
strike     raising `Interrupted` in that thread, at its next bytecode. In the main thread a signal does it, which also
           interrupts a sleep, a socket or a lock. A strike that comes too late finds no token and does nothing
stuck      said of a call that survives strikes for the grace time: C code that does not return
abandoned  said of a run that is over for its caller, although a thread of ours is stuck in it. Its results are dropped

A run with a time limit, or in the background, is driven by a thread lent to it, so it can be abandoned. If its
functions may depend on the calling thread, or hold objects that belong to it, that thread drives the run, and the run
can only be struck. A run without a limit pays nothing for this.
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
from weftwork.actors.programs.exchange import NAP
from weftwork.actors.programs.program import Stopped
from weftwork.actors.programs.stack import frames_of_threads
from weftwork.graph.python.forks import fresh, in_child
from weftwork.graph.python.ownership import is_atom
from weftwork.graph.user_function import UserFunction
from weftwork.scheduler.compile.effects import functions_of
from weftwork.scheduler.compile.emit import carrying
from weftwork.scheduler.machines import backend
from weftwork.scheduler.machines.helpers import borrow
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.placement import Place
from weftwork.scheduler.run.failures import block

_LOG = logging.getLogger("weftwork")
_FIRST, _LAST = 0.02, 2.0
"""Seconds from a cancel to the first strike, because most programs stop by themselves, and most seconds between two
strikes."""
_LOOK = 0.05
_SIGNAL: Any = getattr(signal, "SIGURG", None)
"""The signal that interrupts the main thread. It is ignored by default, so one that comes late, or elsewhere, does
nothing."""
_CALLERS = frozenset(
    f"weftwork.{name}"
    for name in (
        "actors.programs.program",
        "actors.programs.control",
        "graph.user_function",
        "graph.nest",
        "graph.python.ownership",
        "scheduler.core.cold_run",
        "scheduler.segments.calling",
    )
)
"""Modules that call functions without holding a lock or another resource meanwhile."""
_HERE = frozenset([Place.CALLER.value, Place.THREAD.value])
_PLAIN = (list, tuple, dict, set, frozenset, bytearray)
_THREAD = itemgetter(2)
"""The thread of an entry of `Run.here`."""

_raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in.argtypes, _raise_in.restype = [ctypes.c_ulong, ctypes.py_object], ctypes.c_int


class Interrupted(Stopped):
    """Raised in a function that must stop."""


# Which thread drives a run


def is_bound(functions: Iterable[UserFunction], here: bool, fed: Sequence[Any]) -> bool:
    """Whether the thread that asks for a run must also drive it.

    It must if functions may depend on the thread that they run in, or hold objects that belong to it.
    here: some functions were asked to run in the caller.
    """
    if backend.is_task():  # only a task's own thread can release its CPU
        return True
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and (here or any([function.captured.main for function in functions])):
        return True
    return not (all([_travels(function) for function in functions]) and all(map(_is_plain, fed)))


_known: WeakKeyDictionary[UserFunction, bool] = WeakKeyDictionary()


def _travels(function: UserFunction) -> bool:
    """Whether a function refers to no lock, connection or the like of its process or thread: then it pickles."""
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
    """Whether a value clearly belongs to no thread."""
    if is_atom(value):
        return True
    if issubclass(type(value), np.ndarray):
        return value.dtype.kind != "O" or all(map(is_atom, value.flat))
    if type(value) is dict:
        return all(map(is_atom, value.values()))
    return type(value) in _PLAIN and all(map(is_atom, value))


@contextmanager
def expiring(run: Any, seconds: float | None, grace: float) -> Iterator[None]:
    """Cancel a run that this thread drives after `seconds`.   grace: seconds that its end may be late."""
    if seconds is None:
        yield
        return
    end = monotonic() + seconds
    timer = threading.Timer(seconds, _expire, [run, end, grace])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if not run.stop and monotonic() > end + grace:  # a function held the GIL until now, which the timer needs too
        _expire(run, end, grace)


def within(run: Any, seconds: float | None, grace: float, work: Callable[[], list], leave: Callable[[], None]) -> list:
    """Call `work` in a thread of ours, and return or raise its outcome. After `seconds` the run is cancelled.

    A cancelled run has `grace` seconds to end; if it is stuck then, it is abandoned.   leave: called in that case, to
    release what the thread holds.
    """
    came: SimpleQueue = SimpleQueue()
    context = copy_context()
    run.asked_in = threading.get_ident()

    def drive() -> None:
        try:
            came.put((context.run(work), None))
        except BaseException as error:  # the waiting thread raises it
            came.put((None, error))

    run.wakers.append(functools.partial(came.put, None))
    helper = borrow(1)[0]
    end = None if seconds is None else monotonic() + seconds  # before a function can hold the GIL
    try:
        helper.put(drive)
        outcome = _outcome(run, came, end, grace)
    except BaseException:  # Ctrl-C
        run.cancel()
        if _outcome(run, came, None, grace) is None:
            leave()
        raise
    finally:
        for variable, value in context.items():  # so that context variables are as if it had run here
            if variable.get(came) is not value:
                variable.set(value)
    if outcome is None:
        leave()
        raise run.stopped()
    result, failure = outcome
    if failure is not None:
        raise failure
    return result


def _outcome(run: Any, came: SimpleQueue, end: float | None, grace: float) -> tuple | None:
    """The outcome of a run: its result and its error, if any. None if it was abandoned.   end: of its time limit."""
    while True:
        try:
            left = NAP if end is None else max(0.0, min(NAP, end - monotonic()))
            outcome = came.get(timeout=_LOOK if run.stop else left)
        except Empty:
            outcome = None
            if end is not None and monotonic() >= end:
                _expire(run, end, grace)
                end = None
        if outcome is not None:
            if end is not None and monotonic() > end + grace:
                _expire(run, end, grace)
            if run.stop and STRIKES.parts(run):  # another thread of the run is stuck
                abandon(run)
            return outcome
        if run.stop and STRIKES.is_stuck(run, grace):
            abandon(run)
            return None


def _expire(run: Any, end: float, grace: float) -> None:
    """Cancel a run whose time is over. If that is late, then because a function here held the GIL until just now."""
    late = monotonic() - end
    if late > grace and (run.cold or _threads(run) or not _HERE.isdisjoint(run.ran)):
        _keep_out(run, f"held the GIL, so that the run could not end in time: it took {late:.1f} s longer")
    run.expire()


def abandon(run: Any) -> None:
    """Log that functions of a run are stuck, and keep them out of this process from now on, if possible."""
    for inner in STRIKES.parts(run):
        _keep_out(inner, "did not stop. The run has ended, but a thread is busy until the function returns")


def _keep_out(run: Any, why: str) -> None:
    """Log which functions a run is in, and never call them in this process again, if they can be called in others."""
    found = _stuck(run)
    _LOG.warning("%s %s", ", ".join([function.__name__ for function in found]) or "a function", why)
    if all(map(_travels, found)):
        block([kernel for kernel in _kernels(run) if not found.isdisjoint(functions_of([kernel]))])


def _kernels(run: Any) -> list:
    return list(run.flow.kernels) if run.cold is None else run.cold.functions


def _stuck(run: Any) -> set[UserFunction]:
    """The functions that a run is in, as far as visible: functions without Python code leave no frame.

    If it has left them just now, they are any.
    """
    functions = [f for f in functions_of(_kernels(run)) if f is not None]
    if not _threads(run):
        return set(functions)
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


def is_around(run: Any, inner: Any) -> bool:
    """Whether a function of a run has asked for another run, which this thread is about to drive, and waits for it."""
    return (_root(inner).asked_in or threading.get_ident()) in _threads(run)


def _threads(run: Any) -> set[int]:
    """The threads that are calling functions of a run."""
    return {entry[2] for entry in list(run.here.values()) if entry[2]}


# Strikes


class Strikes:
    """The runs that were asked to stop but have not ended. A thread strikes them at growing intervals until they do."""

    def __init__(self):
        self._since: dict[Any, float] = {}
        self._lock = fresh(threading.Lock())
        self._new = threading.Event()
        self._started = False

    def begin(self, run: Any) -> None:
        """Begin to strike a run that was asked to stop; called once."""
        with self._lock:
            self._since[run] = monotonic()
            started, self._started = self._started, True
        if not started:
            threading.Thread(target=self._strike, name="weftwork-limits", daemon=True).start()
        self._new.set()

    def parts(self, run: Any) -> list:
        """The run and the inner runs of it that call functions in this process."""
        with self._lock:
            found = list(self._since)
        return [other for other in found if _root(other) is run and _threads(other)]

    def is_stuck(self, run: Any, grace: float) -> bool:
        """Whether a function of a run still runs `grace` seconds after the run was asked to stop."""
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
        """Whether a run that was asked to stop is calling a function in a thread."""
        return any([thread in _threads(run) for run in list(self._since)])

    def forget(self) -> None:
        """After a fork, in the child: forget the parent's runs and thread."""
        self._since.clear()
        self._new = threading.Event()
        self._started = False


STRIKES = Strikes()
"""The strikes of this process."""
in_child(STRIKES.forget)


def _root(run: Any) -> Any:
    while run.outer is not None:
        run = run.outer
    return run


def _frames() -> dict[int, FrameType]:
    """The frames of the other threads. This thread's own frame is left out, because it would keep the others alive."""
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
    """Raise Interrupted in a thread if its token is there. This is atomic: no bytecode, so no other thread, in between.

    So it arrives at the latest when the token is removed, inside the run.
    """
    found = filter(thread.__eq__, map(_THREAD, run.here.values()))
    try:
        any(map(_raise_in, found, repeat(Interrupted)))
    except RuntimeError:  # another token was added or removed meanwhile: try again later
        pass


def _is_in_function(frame: FrameType | None) -> bool:
    """Whether a thread is in a user function, and not in library code around it."""
    for outer in _outward(frame):
        module = outer.f_globals.get("__name__") or ""
        if module.startswith("weftwork."):
            return module in _CALLERS
    return False


def _cancel_inside(run: Any, frame: FrameType | None) -> None:
    """Cancel the runs that a function of the run has started, which must end first."""
    for outer in _outward(frame):
        if outer.f_code.co_name == "_attempt" and outer.f_globals.get("__name__") == "weftwork.scheduler.core.engine":
            inner = outer.f_locals.get("run")
            if inner is not None and inner is not _root(run):
                inner.cancel()
            return


# The main thread


def listen() -> None:
    """Let strikes reach the main thread from now on. Called when a session is made; does nothing in other threads.

    If the program has its own handler, it stays, and waiting in the main thread is not interrupted.
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
