"""Surroundings: what a function sees without naming it (folder, environment, locale ...), the same in every process.

The program looks at its surroundings when a run leaves the caller, which takes some 5 us, and packs them only if they
have changed. A worker gets them with the next request and keeps them. Before each run it undoes what earlier runs
changed.
"""

from __future__ import annotations

import decimal
import gc
import hashlib
import locale
import logging
import os
import platform
import socket
import sys
import tempfile
import time
import warnings
from contextlib import suppress
from importlib import import_module
from importlib.machinery import ModuleSpec
from typing import Any, NamedTuple

import cloudpickle
import numpy as np

from weftwork.actors.programs.float_errors import program_errors
from weftwork.actors.programs.lru import Lru

_MAX_KNOWN = 16
"""Maximum number of surroundings that a process remembers."""
_OWN_PREFIXES = ("RAY_", "RAYLET_", "__RAY")
_OWN_SUFFIX = "_VISIBLE_DEVICES"
"""Environment variables with these prefixes, or this suffix, come from Ray and belong to each process."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""These too, unless the program has set them: concurrent processes run one thread each."""
_LEVELS_SEEN: Any = -1
"""A key in the root logger's cache of levels. Python clears the cache whenever a level is set."""


class Surroundings(NamedTuple):
    """What surrounds the functions of a run.

    machine: where the program runs.   folder: the working directory, "" if it was deleted; None leaves a process where
    it is.   environment: as bytes.
    path: `sys.path`.   recursion: the recursion limit.   filters: of warnings.   context: of decimal numbers.
    errors, printing: NumPy's settings.   levels: of loggers, by name.   named: the names of levels.
    main: file and name of the main module, with which child processes of functions begin.
    arguments: `sys.argv`.   digits: the limit for integers in text.   speech: the locale.
    patience: the default timeout of sockets in seconds.   temporary: the folder for temporary files, if set.
    umask: None if it cannot be read.   collects: whether the garbage collector is on.   thresholds: when it collects.
    turn: the switch interval of threads in seconds.
    starting: the start method that the program has chosen for `multiprocessing`, None for Python's default.
    """

    machine: str
    folder: str | None
    environment: dict
    path: list[str]
    recursion: int
    filters: list
    context: tuple
    errors: dict
    printing: dict
    levels: dict[str, int]
    named: dict[int, str]
    main: tuple[str | None, str | None]
    arguments: list[str]
    digits: int
    speech: str
    patience: float | None
    temporary: str | None
    umask: int | None
    collects: bool
    thresholds: tuple[int, int, int]
    turn: float
    starting: str | None


_digits: Any = getattr(sys, "get_int_max_str_digits", int)
_set_digits: Any = getattr(sys, "set_int_max_str_digits", int)
"""They exist from Python 3.10.7 on."""
_environment: Any = getattr(os.environ, "_data", None)
_STARTED_WITH = dict(os.environ)
"""The environment when this module was imported."""


def _machine() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return f"{platform.node()} {file.read().strip()}"
    except OSError:
        return platform.node()


_MACHINE = _machine()


def look() -> Surroundings:
    """The surroundings of the calling thread now."""
    try:
        folder = os.getcwd()
    except OSError:
        folder = ""
    environment = dict(os.environ) if _environment is None else _environment.copy()
    context = decimal.getcontext()
    number = (context.prec, context.rounding, context.Emin, context.Emax, context.capitals, context.clamp)
    return Surroundings(
        _MACHINE,
        folder,
        environment,
        sys.path[:],
        sys.getrecursionlimit(),
        list(warnings.filters),
        (*number, context.traps.copy()),
        program_errors(),
        dict(np.get_printoptions()),
        _levels(),
        dict(getattr(logging, "_levelToName", {})),
        _main(),
        sys.argv[:],
        _digits(),
        locale.setlocale(locale.LC_ALL),
        socket.getdefaulttimeout(),
        tempfile.tempdir,
        _umask(),
        gc.isenabled(),
        gc.get_threshold(),
        sys.getswitchinterval(),
        _starting(),
    )


_mask: int | None = None
"""The last umask that was seen, None before the first look."""


def _umask() -> int | None:
    """The umask, in 0.2 us instead of the 10 us that reading it takes; None if it cannot be read.

    `os.umask` only tells the umask by setting it. We set the one that we know, so that nothing changes, and nobody
    notices. If another one is found, the program has just set it, and we put it back at once.
    """
    global _mask
    if _mask is None:
        _mask = _read_umask()
        return _mask
    found = os.umask(_mask)
    if found != _mask:
        os.umask(found)
        _mask = found
    return found


def _read_umask() -> int | None:
    with suppress(OSError, ValueError), open("/proc/self/status", "rb") as file:
        return int(next(line for line in file if line.startswith(b"Umask:")).split()[1], 8)
    return None


def _starting() -> str | None:
    loaded = sys.modules.get("multiprocessing")  # its import takes as long as all of ours in a worker
    return None if loaded is None else loaded.get_start_method(allow_none=True)


def _main() -> tuple[str | None, str | None]:
    space = vars(sys.modules["__main__"])
    spec = space.get("__spec__")
    return space.get("__file__"), spec and spec.name


def _set_main(file: str | None, name: str | None) -> None:
    space = vars(sys.modules["__main__"])
    space["__spec__"] = name and ModuleSpec(name, None)
    if file is not None:
        space["__file__"] = file
    else:
        space.pop("__file__", None)


def _has_level(logger: Any) -> bool:
    return isinstance(logger, logging.Logger) and logger.level != logging.NOTSET


_known_levels: dict[str, int] = {}


def _levels() -> dict[str, int]:
    """The levels of loggers that have one. Searched again only after a level was set."""
    global _known_levels
    root = logging.root
    cache: Any = getattr(root, "_cache", None)
    if cache is None or _LEVELS_SEEN not in cache:
        if cache is not None:
            cache[_LEVELS_SEEN] = True
        named: list[tuple[str, Any]] = list(root.manager.loggerDict.items())
        levels = {name: logger.level for name, logger in named if _has_level(logger)}
        _known_levels = {**levels, "": root.level, "disabled": root.manager.disable}
    return _known_levels


class Around(NamedTuple):
    """Packed surroundings: their name, which is a hash, and their pickled form."""

    name: str
    text: bytes


class Look:
    """Packs the program's surroundings, and remembers the last result."""

    def __init__(self):
        self._last: tuple[Surroundings, Around] | None = None

    def now(self) -> Around:
        """The packed surroundings of the calling thread."""
        found, last = look(), self._last
        if last is not None and last[0] == found:
            return last[1]
        changed = {
            os.fsdecode(name): os.fsdecode(value)
            for name, value in found.environment.items()
            if _STARTED_WITH.get(os.fsdecode(name)) != os.fsdecode(value)
        }
        text = cloudpickle.dumps((found, changed), protocol=5)
        around = Around(hashlib.sha1(text, usedforsecurity=False).hexdigest(), text)
        self._last = (found, around)
        return around


LOOK = Look()


class Unknown(Exception):
    """This process does not have the surroundings that a request names."""


class Place:
    """The surroundings of a worker process."""

    def __init__(self):
        self._known: Lru[str, tuple] = Lru(_MAX_KNOWN)
        self._own_path = sys.path[:]
        self._threads = {name: os.environ[name] for name in _THREADS if name in os.environ}
        self.keep_own()

    def keep_own(self) -> None:
        """Take the variables that Ray has set as this process's own. It sets others for each task: its GPUs."""
        self._mine = {k: v for k, v in os.environ.items() if k.startswith(_OWN_PREFIXES) or k.endswith(_OWN_SUFFIX)}
        self._mine_data = {os.fsencode(k): os.fsencode(v) for k, v in self._mine.items()}

    def enter(self, name: str, text: bytes | None) -> None:
        """Apply the surroundings `name`. text: their pickled form, None if they were sent before. Raises Unknown."""
        if not name:
            return
        known = self._known.find(name)
        if known is None:
            if text is None:
                raise Unknown(name)
            known = self._known.keep(name, self._prepared(*cloudpickle.loads(text)))
        self._apply(*known)

    def _prepared(self, wanted: Surroundings, changed: dict) -> tuple:
        """Adapt surroundings to this process. On another machine, folder and path apply as far as they exist."""
        beside = [entry for entry in self._own_path if entry and entry not in wanted.path]
        here = wanted.machine == _MACHINE
        environment = {os.fsdecode(k): os.fsdecode(v) for k, v in wanted.environment.items()} if here else None
        if environment is None:
            environment = {**os.environ, **changed}
        environment = {
            k: v for k, v in environment.items() if not (k.startswith(_OWN_PREFIXES) or k.endswith(_OWN_SUFFIX))
        }
        environment = {**self._threads, **environment}
        data = {os.fsencode(k): os.fsencode(v) for k, v in environment.items()}
        filters = [(_loud(action), *rest) for action, *rest in wanted.filters]
        is_there = os.path.isdir(wanted.folder) if wanted.folder else here
        folder = wanted.folder if is_there else None
        wanted = wanted._replace(path=[*wanted.path, *beside], environment=data, filters=filters, folder=folder)
        if not here:
            wanted = wanted._replace(main=_main(), temporary=tempfile.tempdir)
        return wanted, environment

    def _apply(self, wanted: Surroundings, environment: dict) -> None:
        now = look()
        wanted = wanted._replace(environment={**wanted.environment, **self._mine_data})
        if wanted.folder is not None and now.folder != wanted.folder:
            _enter(wanted.folder)
        if now.environment != wanted.environment:
            environment = {**environment, **self._mine}
            for name in set(os.environ) - environment.keys():
                del os.environ[name]
            for name, value in environment.items():
                if os.environ.get(name) != value:
                    os.environ[name] = value
            time.tzset()
        if now.path != wanted.path:
            sys.path[:] = wanted.path
        if now.recursion != wanted.recursion:
            _set_recursion(wanted.recursion)
        if now.filters != wanted.filters:
            warnings.resetwarnings()  # also forgets which warnings were shown
            warnings.filters.extend(wanted.filters)  # type: ignore[attr-defined]
        if now.context != wanted.context:
            *numbers, traps = wanted.context
            trapped = [signal for signal, is_trapped in traps.items() if is_trapped]
            decimal.setcontext(decimal.Context(*numbers, flags=[], traps=trapped))
        if now.errors != wanted.errors:
            np.seterr(**wanted.errors)
        if now.printing != wanted.printing:
            np.set_printoptions(**wanted.printing)
        if now.levels != wanted.levels:
            _set_levels(now.levels, wanted.levels)
        if now.named != wanted.named:
            for level, text in wanted.named.items():
                logging.addLevelName(level, text)
        if now.main != wanted.main:
            _set_main(*wanted.main)
        if now.arguments != wanted.arguments:
            sys.argv[:] = wanted.arguments
        if now.digits != wanted.digits:
            _set_digits(wanted.digits)
        if now.patience != wanted.patience:
            socket.setdefaulttimeout(wanted.patience)
        if now.temporary != wanted.temporary:
            tempfile.tempdir = wanted.temporary
        if wanted.umask is not None and now.umask != wanted.umask:
            os.umask(wanted.umask)
        if now.collects != wanted.collects:
            (gc.enable if wanted.collects else gc.disable)()
        if now.thresholds != wanted.thresholds:
            gc.set_threshold(*wanted.thresholds)
        if now.turn != wanted.turn:
            sys.setswitchinterval(wanted.turn + 0.5e-6)  # it is cut to whole microseconds
        if now.starting != wanted.starting:
            import_module("multiprocessing").set_start_method(wanted.starting, force=True)
        if now.speech != wanted.speech:
            with suppress(locale.Error):  # another machine may lack the locale
                locale.setlocale(locale.LC_ALL, wanted.speech)


def _loud(action: str) -> str:
    """Let every warning through that may be shown: the program itself decides how often it shows one."""
    return action if action in ("error", "ignore") else "always"


def _enter(folder: str) -> None:
    """Make a folder the current one; "" stands for one that was deleted."""
    if folder:
        os.chdir(folder)
        return
    gone = tempfile.mkdtemp()
    os.chdir(gone)
    os.rmdir(gone)


def _set_recursion(limit: int) -> None:
    try:
        sys.setrecursionlimit(limit)
    except RecursionError:  # the stack is deeper than that already
        return


def _set_levels(now: dict[str, int], wanted: dict[str, int]) -> None:
    for name in now.keys() | wanted.keys():
        level = wanted.get(name, 0)
        if name == "disabled":
            logging.disable(level)
        elif now.get(name, 0) != level:
            logging.getLogger(name or None).setLevel(level)


PLACE = Place()
