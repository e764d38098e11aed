"""Ray's life: Ray is started or joined when it is first needed, watched while it lives, and left as it was found.

Which Ray is used: the one that this process is already connected to (the program called `ray.init`, or this is a Ray
task or actor); else the one named by the session's target; else the one named by RAY_ADDRESS, as in a Ray job, unless
the target is "local"; else a new one on this machine.

keeper   a thread that starts Ray and lives as long as the program, because Ray's processes die with the thread that
         started them. It also watches Ray, and notices its death at once. Ray itself would notice after a minute, and
         would then end the program
life     one Ray, from start to end. References, actors and options of one life are invalid in the next
"""

from __future__ import annotations

import atexit
import functools
import gc
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any

from weftwork.actors.processes.pickling import use_reducers
from weftwork.graph.errors import UnavailableError
from weftwork.graph.python.forks import fresh, in_child
from weftwork.graph.python.ownership import add_atoms
from weftwork.scheduler.machines import room
from weftwork.scheduler.machines.core_library import end_as_interrupted, end_without_ray, sigterm_kept
from weftwork.scheduler.machines.folders import is_writable, socket_folder
from weftwork.scheduler.machines.lines import BACK_WITHIN, LOOK, lines_of
from weftwork.scheduler.machines.reaper import Reaper
from weftwork.scheduler.machines.starting import watched

FORGETTERS: list[Callable[[], None]] = []
"""Functions to call when a life ends, to drop what was cached about it."""
_STOP_CHECK_SECONDS = 0.05
"""Maximum delay in seconds until a run that waits for Ray to start notices a stop."""
_NOTICED_WITHIN = 5.0
"""Seconds within which the keeper surely notices that a process of Ray's has died."""
WAITED: list[Callable[[float, float], None]] = []
"""Callbacks for the thread that has waited for Ray to start; they get the start (`monotonic`) and the seconds."""


class Life:
    """One Ray, as seen by this process."""

    def __init__(self, module: Any, started: bool):
        self.module, self.started = module, started
        use_reducers(module.cloudpickle.CloudPickler.dispatch)  # references and handles are ordinary values
        add_atoms(module.ObjectRef, module.actor.ActorHandle)
        from ray._private import worker

        self._worker = worker.global_worker
        self._core = getattr(self._worker, "core_worker", None)
        self.node: Any = getattr(worker, "_global_node", None)
        self.is_driver = self._worker.mode == worker.SCRIPT_MODE
        self._vital = [self.node.all_processes[kind] for kind in ("raylet", "gcs_server")] if started else []
        self.raylet: Any = self._vital[0][0].process.pid if started else None
        """The process that holds the store, if it is this program's own."""
        self._reaper = Reaper(self.raylet) if started else None
        self._processes = (
            [each.process for kind in self.node.all_processes.values() for each in kind] if started else []
        )
        self.pending: dict[Any, Callable[[], None]] = {}
        """Callbacks for when a piece of work is done, or this Ray is gone."""

    @property
    def cluster(self) -> str | None:
        """The address of a Ray that is not this program's own, else None. Only such a Ray may be joined again."""
        return None if self.node is None or self.node.is_head() else self.node.gcs_address

    def is_on(self) -> bool:
        """True while this is the Ray that the process uses."""
        return self is _life and self.is_connected() and _is_up(self.module)

    def is_connected(self) -> bool:
        """True while this process is connected to it, dead or alive, and to no other Ray."""
        return getattr(self._worker, "core_worker", None) is self._core

    def is_over(self) -> bool:
        """True once it is gone. If a process has died without which it cannot live, wait until the keeper has seen it.

        Else work would be sent to the same dead Ray again.
        """
        if self.started and any([kind[0].process.poll() is not None for kind in self._vital]):
            end = time.monotonic() + _NOTICED_WITHIN
            while self.is_on() and time.monotonic() < end:
                time.sleep(_STOP_CHECK_SECONDS)
        return not self.is_on()

    def end(self) -> None:
        """Notify everybody who waits for it that it is gone."""
        while self.pending:
            with suppress(KeyError):
                self.pending.popitem()[1]()

    def clear_up(self) -> None:
        """End processes that would outlive it, and keep hold of those that are ending: Python warns of lost ones."""
        if self._reaper is not None:
            self._reaper.close()
        _ending[:] = [process for process in (*_ending, *self._processes) if process.poll() is None]


_RETRY_AFTER = 1.0
"""Seconds after which a failed start is tried once more."""
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_OBJECT_STORE_ALLOW_SLOW_STORAGE": "1",  # if shared memory is small, use the disk instead of refusing
}
"""Environment variables for a Ray that we start, unless the program sets them."""

_FORKED = (
    "Ray runs in the parent of this forked process and can only be used there. Anything that needs no Ray runs here. "
    'For the rest, start a new process: multiprocessing.get_context("spawn"), or subprocess.'
)

_lock = fresh(threading.Lock())
_ending: list[Any] = []
"""Processes of Rays that are over, which had not ended when last seen."""
_life: Life | None = None
_left: Any = None
"""The last life that was given up, while its Ray is being shut down."""
_beginning: Future | None = None
_asked: SimpleQueue = SimpleQueue()
_keeper: threading.Thread | None = None
_is_starting = False
"""True during a start, when Ray already claims to be initialized."""
_is_ending = False
_is_parents = False
"""True if Ray is connected to the parent of this forked process."""
_named: str | None = None
"""The address named by a session's target; "local" for this machine's own."""


def ray() -> Any:
    """The ray module, with Ray running. Starts or joins Ray if the program has not.

    Raises UnavailableError if there is no Ray to be had.
    """
    return life().module


def come_up(stop: Sequence[Any]) -> bool:
    """Start Ray and wait for it. Returns False once `stop` fills up, while Ray goes on starting. Raises like `ray`."""
    if _life is not None and _life.is_on():
        return True
    coming = _begin()
    with _waiting():
        while not stop:
            if wait([coming], _STOP_CHECK_SECONDS).done:
                _come(coming)
                return True
    return False


def life() -> Life:
    """The current life. Ray is started if necessary. Raises like `ray`."""
    known = _life
    if known is not None and known.is_on():
        return known
    with _waiting():
        return _come(_begin())


@contextmanager
def _waiting() -> Iterator[None]:
    """Report how long this thread waits for Ray to start."""
    since = time.monotonic()
    try:
        yield
    finally:
        for tell in WAITED:
            tell(since, time.monotonic() - since)


def connect(address: str) -> None:
    """Join the Ray at `address` ("auto", "host:port", "ray://..."), unless the program is connected already.

    "local" joins nothing: a Ray of this machine's own is started when it is needed. Raises ConnectionError.
    """
    global _named
    _named = address
    if address != "local" and not is_running():
        _begin().result()


def is_named() -> bool:
    """Whether there is a Ray to join, or one is running."""
    return is_running() or _address() != "local"


def _address() -> str:
    """The address of the next Ray to use."""
    given = os.environ.get("RAY_ADDRESS") or "local"
    return given if _named in (None, "auto") and given != "local" else _named or given


def is_running() -> bool:
    """Whether Ray is initialized in this process and alive."""
    if _life is not None:
        return _life.is_on()
    if _is_parents:
        return False
    module = sys.modules.get("ray")
    return module is not None and _left is None and not _is_starting and _is_up(module)


def shutdown() -> None:
    """Stop the Ray that this module started. A Ray that was already running is left alone."""
    global _life, _left
    with _lock:
        life, _life = _life, None
        if life is None:
            return
        _left = life if life.started else None
    try:
        life.end()
        if life.started:
            _disconnect(life)
            life.clear_up()
        _forget()
    finally:
        _left = None


@in_child
def _after_fork() -> None:
    """Reset a forked child: Ray and its keeper thread belong to the parent."""
    global _life, _left, _beginning, _asked, _keeper, _is_starting, _is_parents
    module: Any = sys.modules.get("ray")
    if _is_starting or (module is not None and _is_up(module)):
        _is_parents = True
        end_without_ray()
    _life = _left = _beginning = _keeper = None
    _asked, _is_starting = SimpleQueue(), False
    _forget()


def _is_up(module: Any) -> bool:
    return getattr(module, "is_initialized", bool)()  # a module that is still being imported lacks it


def _begin() -> Future:
    """Ask the keeper to find, join or start Ray. Any number of threads may ask at once."""
    global _beginning, _keeper
    with _lock:
        if _is_parents:
            raise UnavailableError(None, None, _FORKED)
        if _is_ending:
            raise UnavailableError(None, None, "The program is ending, so Ray is not started again.")
        if _life is not None and _life.is_on():  # it came up since the caller looked
            there: Future = Future()
            there.set_result(_life)
            return there
        if _keeper is None:
            _keeper = threading.Thread(target=_keep, name="weftwork-ray", daemon=True)
            _keeper.start()
        if _beginning is None:
            _beginning = Future()
            _asked.put(_beginning)
        return _beginning


def _come(coming: Future) -> Life:
    """Wait for Ray to come up. Raises UnavailableError."""
    try:
        return coming.result()
    except (Exception, SystemExit) as error:
        raise _unavailable(error) from error


def _unavailable(error: Any) -> UnavailableError:
    where = _address()
    if where == "local":
        return UnavailableError(None, None, f"Ray could not be started on this machine: {error}")
    hint = 'Session("local") starts a Ray of this machine\'s own instead.'
    return UnavailableError(None, None, f"The Ray at {where!r} cannot be joined: {error} {hint}")


def _keep() -> None:
    """The keeper thread: start Ray when it is asked for, and watch it until it ends."""
    global _life, _beginning
    while True:
        future = _asked.get()
        try:
            life = _found_or_started()
        except BaseException as error:
            with _lock:
                _beginning = None
            future.set_exception(error)
            continue
        with _lock:
            _life, _beginning = life, None
        future.set_result(life)
        del future
        died = _watch(life)
        if died:
            _give_up(life)
        elif _life is life:
            _lose(life)


def _found_or_started() -> Life:
    global _is_starting
    import ray as imported

    module: Any = imported
    _forget()
    _leave_starting_to_us()
    _end_with_program()
    if module.is_initialized():
        return Life(module, started=False)
    address = _address()
    _is_starting = True
    try:
        with sigterm_kept():
            if address != "local":
                check(address)
                module.init(address=address, logging_level="ERROR")
                return Life(module, started=False)
            try:
                _start(module)
            except Exception:  # the program may just be shutting its own Ray down, which takes a second
                with suppress(Exception):
                    module.shutdown()
                time.sleep(_RETRY_AFTER)
                _start(module)
    except BaseException:
        with suppress(Exception):
            module.shutdown()  # do not leave a half-started Ray behind
        raise
    finally:
        _is_starting = False
    return Life(module, started=True)


def _start(module: Any) -> None:
    for name in _SETTINGS:
        os.environ.setdefault(name, _SETTINGS[name])
    folder = socket_folder()
    with watched():
        module.init(
            address="local",
            include_dashboard=False,
            log_to_driver=True,
            logging_level="ERROR",
            _temp_dir=os.path.join(folder, "ray"),
            _plasma_directory=None if is_writable(room.FOLDER) or not os.path.exists(room.FOLDER) else folder,
        )
    if gc.isenabled():  # Ray's 40,000 objects would make a run soon wait for a full collection, which takes 50 ms
        gc.collect()


def check(address: str) -> None:
    """Raise ConnectionError if nobody answers. Ray itself would try for two minutes."""
    from ray._private import services

    scheme, _, rest = address.rpartition("://")
    if scheme not in ("", "ray"):
        return
    where = rest if scheme else services.canonicalize_bootstrap_address(address)
    host, _, port = (where or "").partition("/")[0].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), BACK_WITHIN).close()
    except (OSError, ValueError) as error:
        raise ConnectionError(f"no answer from {where}: {error}.") from None


def _leave_starting_to_us() -> None:
    """Forbid Ray's API to start or join a Ray by itself."""
    from ray._private import auto_init_hook

    auto_init_hook.enable_auto_connect = False


def _forget() -> None:
    """Drop everything that was cached about the last Ray."""
    for forget in FORGETTERS:
        forget()


# Watching


def _watch(life: Life) -> bool:
    """Watch a Ray until it is over. Returns True if it died, False if it was shut down."""
    lines = lines_of(life)
    try:
        while life.is_on():
            if lines:
                for line in select.select(lines, [], [], LOOK)[0]:
                    if not line.holds():
                        return life.is_on()
            else:
                threading.Event().wait(LOOK)
    finally:
        for line in lines:
            line.close()
    return False


def _lose(life: Life) -> None:
    """End a life: wake everybody who waits for it. The next use of Ray starts or joins another."""
    global _life
    with _lock:
        if _life is life:
            _life = None
    life.end()
    life.clear_up()
    _forget()


def _give_up(life: Life) -> None:
    """Shut down what is left of a dead Ray in this process, before it can end the program."""
    global _left, _named
    _left = life
    try:
        _named = _named or life.cluster
        _lose(life)
        with suppress(Exception):
            _disconnect(life)
    finally:
        _left = None


def _disconnect(life: Life) -> None:
    """Shut a Ray down, unless the program has done so and uses another one by now."""
    if life.is_connected():
        life.module.shutdown()


@functools.cache
def _end_with_program() -> None:
    """Register our exit handler, so that it runs before the one that Ray registered at import."""
    atexit.register(_end)


def _end() -> None:
    global _is_ending
    with _lock:
        _is_ending = True
    shutdown()
    end_as_interrupted()
