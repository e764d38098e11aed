"""Ray's life: it is started or joined when something first needs it, watched while it lives, left as it was found.

Which Ray: the one that this process is connected to (a program that called `ray.init`, a Ray task, an actor); else the
one that the session's target named; else the one that RAY_ADDRESS names, as in a Ray job, unless the target is "local";
else one of this machine's own.

keeper   the thread that starts Ray, and lives as long as the program: Ray's processes die with the thread that started
         them. It also watches Ray, so that a Ray that died is noticed at once, and not after Ray's own minute, at whose
         end Ray ends the program
life     one Ray: what was known of it (actors, references, options) does not hold in the next
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import select
import signal
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
from weftwork.graph.forks import fresh, in_child
from weftwork.graph.ownership import add_atoms
from weftwork.scheduler.machines.folders import is_writable, socket_folder
from weftwork.scheduler.machines.lines import BACK_WITHIN, LOOK, lines_of
from weftwork.scheduler.machines.reaper import Reaper

FORGETTERS: list[Callable[[], None]] = []
"""Called when what was known of the last Ray does not hold any more."""
_STOPS_WITHIN = 0.05
"""Seconds within which a run that waits for Ray to start learns that it is to stop."""


class Life:
    """One Ray, as this process sees it."""

    def __init__(self, module: Any, started: bool):
        self.module, self.started = module, started
        use_reducers(module.cloudpickle.CloudPickler.dispatch)  # references and handles are values like others
        add_atoms(module.ObjectRef, module.actor.ActorHandle)
        from ray._private import worker

        self._worker = worker.global_worker
        self._core = getattr(self._worker, "core_worker", None)
        self.node: Any = getattr(worker, "_global_node", None)
        self.is_driver = self._worker.mode == worker.SCRIPT_MODE
        self._reaper = Reaper(self.node.all_processes["raylet"][0].process.pid) if started else None
        self.pending: dict[Any, Callable[[], None]] = {}
        """What is called when a piece of work is done, or when this Ray is gone."""

    @property
    def cluster(self) -> str | None:
        """Its address, where it is not this program's own: what goes on with another one would go on elsewhere."""
        return None if self.node is None or self.node.is_head() else self.node.gcs_address

    def is_on(self) -> bool:
        """True while this very Ray is the one that the process uses."""
        return self is _life and getattr(self._worker, "core_worker", None) is self._core and _is_up(self.module)

    def end(self) -> None:
        """It is gone: let all know who wait for it."""
        while self.pending:
            with suppress(KeyError):
                self.pending.popitem()[1]()

    def clear_up(self) -> None:
        """End what would outlive it."""
        if self._reaper is not None:
            self._reaper.close()


_AGAIN_AFTER = 1.0
"""Seconds after which a start that failed is tried once more."""
_SHARED_MEMORY = "/dev/shm"
"""Where Ray keeps its store, if that can be written to."""
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_OBJECT_STORE_ALLOW_SLOW_STORAGE": "1",  # where shared memory is small the store is on disk: Ray would refuse
}
"""Of a Ray that is started here, where the program has not set them."""

_FORKED = (
    "Ray runs in the process that this one was forked off, and can be used there alone. What needs no Ray runs here; "
    'for the rest start this process anew: multiprocessing.get_context("spawn"), or subprocess.'
)

_lock = fresh(threading.Lock())
_life: Life | None = None
_left: Any = None
"""The last life that was given up, while Ray takes it down."""
_beginning: Future | None = None
_asked: SimpleQueue = SimpleQueue()
_keeper: threading.Thread | None = None
_is_starting = False
"""Ray says that it is there before it is."""
_is_ending = False
_is_parents = False
"""Ray is connected to the process that this one was forked off."""
_named: str | None = None
"""The address that a session has named: "local" for this machine's own."""


def ray() -> Any:
    """The ray module, with Ray running: initialised by the program, or by this call.

    Raises UnavailableError when there is no Ray to be had.
    """
    return life().module


def come_up(stop: Sequence[Any]) -> bool:
    """Let Ray run. False when `stop` fills up first: Ray comes up all the same. Raises as `ray`."""
    if _life is not None and _life.is_on():
        return True
    coming = _begin()
    while not stop:
        if wait([coming], _STOPS_WITHIN).done:
            _come(coming)
            return True
    return False


def life() -> Life:
    """The life of the Ray that runs, which is started if there is none. Raises as `ray`."""
    known = _life
    return known if known is not None and known.is_on() else _come(_begin())


def connect(address: str) -> None:
    """Join the Ray at `address` ("auto", "host:port", "ray://..."), unless the program is connected already.

    "local" joins nothing: a Ray of this machine's own is started when something needs one. Raises ConnectionError.
    """
    global _named
    _named = address
    if address != "local" and not is_running():
        _begin().result()


def is_named() -> bool:
    """True when there is a Ray to be joined, or one runs here."""
    return is_running() or _address() != "local"


def _address() -> str:
    """Where the next Ray is to be found."""
    given = os.environ.get("RAY_ADDRESS") or "local"
    return given if _named in (None, "auto") and given != "local" else _named or given


def is_running() -> bool:
    """True when Ray is initialised in this process, and lives."""
    if _life is not None:
        return _life.is_on()
    if _is_parents:
        return False
    module = sys.modules.get("ray")
    return module is not None and _left is None and not _is_starting and _is_up(module)


def shutdown() -> None:
    """Stop the Ray that this module started; one that was there before stays."""
    global _life, _left
    with _lock:
        life, _life = _life, None
        if life is None:
            return
        _left = life if life.started else None
    try:
        life.end()
        if life.started:
            life.module.shutdown()
            life.clear_up()
        _forget()
    finally:
        _left = None


@in_child
def _after_fork() -> None:
    """This process was forked off: Ray, and the thread that keeps it, are the other one's."""
    global _life, _left, _beginning, _asked, _keeper, _is_starting, _is_parents
    module: Any = sys.modules.get("ray")
    if _is_starting or (module is not None and _is_up(module)):
        _is_parents = True
        _end_without_ray()
    _life = _left = _beginning = _keeper = None
    _asked, _is_starting = SimpleQueue(), False
    _forget()


def _end_without_ray() -> None:
    """What Ray does when a process ends waits for threads that are not here, or crashes: none of it is done."""
    worker, state = sys.modules.get("ray._private.worker"), sys.modules.get("ray._private.state")
    if worker is not None and state is not None:
        atexit.unregister(worker.shutdown)
        for holder in filter(None, (worker.global_worker, getattr(worker, "_global_node", None), state.state)):
            for thing in vars(holder).values():
                if type(thing).__module__ == "ray._raylet":
                    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))  # so that nobody destroys it
    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):  # after all that Python does, and before what C++ does
        libc.on_exit(ctypes.cast(libc._exit, ctypes.c_void_p), None)


def _is_up(module: Any) -> bool:
    return getattr(module, "is_initialized", bool)()  # a module that is just being imported has none


def _begin() -> Future:
    """Let the keeper find Ray, join it or start it. Any number of threads may ask for it at once."""
    global _beginning, _keeper
    with _lock:
        if _is_parents:
            raise UnavailableError(None, None, _FORKED)
        if _is_ending:
            raise UnavailableError(None, None, "The program is ending, so Ray is not started again.")
        if _life is not None and _life.is_on():  # it has come since the caller looked: the keeper asks for nothing more
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
    """The Ray that is on its way. Raises UnavailableError."""
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
    """The keeper's life: start a Ray when one is asked for, and watch it until it ends."""
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
        with _sigterm_kept():
            if address != "local":
                check(address)
                module.init(address=address, logging_level="ERROR")
                return Life(module, started=False)
            try:
                _start(module)
            except Exception:  # a shutdown of the program's own may not have been over yet: it takes a second
                with suppress(Exception):
                    module.shutdown()
                time.sleep(_AGAIN_AFTER)
                _start(module)
    except BaseException:
        with suppress(Exception):
            module.shutdown()  # what has started goes
        raise
    finally:
        _is_starting = False
    return Life(module, started=True)


def _start(module: Any) -> None:
    for name in _SETTINGS:
        os.environ.setdefault(name, _SETTINGS[name])
    folder = socket_folder()
    module.init(
        address="local",
        include_dashboard=False,
        log_to_driver=True,
        logging_level="ERROR",
        _temp_dir=os.path.join(folder, "ray"),
        _plasma_directory=None if is_writable(_SHARED_MEMORY) or not os.path.exists(_SHARED_MEMORY) else folder,
    )


def check(address: str) -> None:
    """Raise ConnectionError where nobody answers: Ray itself would try for two minutes."""
    from ray._private import services

    scheme, _, rest = address.rpartition("://")
    if scheme not in ("", "ray"):
        return
    where = rest if scheme else services.canonicalize_bootstrap_address(address)
    host, _, port = (where or "").partition("/")[0].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), BACK_WITHIN).close()
    except (OSError, ValueError) as error:
        raise ConnectionError(f"nobody answers at {where}: {error}.") from None


def _leave_starting_to_us() -> None:
    """Ray's calls start Ray where there is none, or join whatever a file names: ours never shall."""
    from ray._private import auto_init_hook

    auto_init_hook.enable_auto_connect = False


@contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Ray's core takes SIGTERM for itself, and prints a stack trace: what the program does at it stays what it was."""
    libc, kept = ctypes.CDLL(None), ctypes.create_string_buffer(1024)
    has_signals = hasattr(libc, "sigaction") and libc.sigaction(signal.SIGTERM, None, kept) == 0
    try:
        yield
    finally:
        if has_signals:
            libc.sigaction(signal.SIGTERM, kept, None)


def _forget() -> None:
    """Another Ray: what was known of the last one does not hold."""
    for forget in FORGETTERS:
        forget()


# Watching


def _watch(life: Life) -> bool:
    """Return once a Ray is over: True where it has died, False where somebody has shut it down."""
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
    """A Ray is over: nobody waits for it any more, and the next use of Ray starts another one, or joins it again."""
    global _life
    with _lock:
        if _life is life:
            _life = None
    life.end()
    life.clear_up()
    _forget()


def _give_up(life: Life) -> None:
    """A Ray has died: what is left of it in this process is taken down, before it ends the program."""
    global _left, _named
    _left = life
    try:
        _named = _named or life.cluster
        _lose(life)
        with suppress(Exception):
            life.module.shutdown()
    finally:
        _left = None


@functools.cache
def _end_with_program() -> None:
    """When the program ends, Ray is shut down before it does so by itself: that was registered when it was imported."""
    atexit.register(_end)


def _end() -> None:
    global _is_ending
    with _lock:
        _is_ending = True
    shutdown()
