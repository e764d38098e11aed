"""State that modules hold: what the program has put there is there in every place, and there is one of it."""

from __future__ import annotations

import atexit
import ctypes
import importlib
import os
import queue
import signal
import socket
import sqlite3
import sys
import threading
import time
from collections import defaultdict
from functools import partial
from types import ModuleType

import numpy as np
import pytest

import weftwork as tf
from tests.meaning.places import PLACES, op_in, session_in, values
from weftwork.graph.python.captured import Captured
from weftwork.graph.python.captured_kinds import MAIN_ONLY
from weftwork.graph.python.made_at_import import is_made_at_import

MODULE = """
import numpy as np
from numpy import pi
TABLE, ROWS, LATER, filled = {}, np.zeros(20_000), None, {}
for key in range(20_000):
    filled[key] = key
def load():
    global LATER
    LATER = np.ones(20_000)
    TABLE.update({key: key for key in range(20_000)})
def look():
    return len(TABLE), float(ROWS.sum()), float(LATER.sum())
def bind(value):
    global ROWS
    ROWS = np.full(20_000, value)
"""
TASKS: queue.Queue = queue.Queue()
PAIR: tuple = ("rows", [])
DATABASE = sqlite3.connect(":memory:", check_same_thread=False)
HERE, THERE = socket.socketpair()
for each in (DATABASE, HERE, THERE):
    atexit.register(each.close)
LOCKS, LIBRARY = defaultdict(threading.Lock, one=threading.Lock()), ctypes.CDLL(None)


class Single(type):
    """Its classes have one object each."""

    objects: dict = {}

    def __call__(cls, *args):
        if cls not in cls.objects:
            cls.objects[cls] = super().__call__(*args)
        return cls.objects[cls]


class Settings(metaclass=Single):
    level = 0


class Kept:
    """Keeps rows under a lock."""

    def __init__(self):
        self.lock, self.rows = threading.Lock(), []


KEPT = Kept()


def look_at_itself():
    return look_at_itself.level, getattr(look_at_itself, "later", None)  # type: ignore[attr-defined]


def look_at_another():
    return look_at_itself.level, look_at_itself.new  # type: ignore[attr-defined]


@pytest.fixture
def module(tmp_path, monkeypatch):
    name = f"loaded_{time.monotonic_ns()}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return importlib.import_module(name)


@pytest.mark.parametrize("place", PLACES)
def test_what_a_module_holds_is_what_the_program_has_put_there(ray_session, place, module):
    """Large data that a function of the module loads, or that the program sets, before the first run and later."""
    module.load()
    assert values(place, module.look, runs=3) == [(20_000, 0.0, 20_000.0)] * 3
    module.LATER = np.zeros(30_000)
    seen = values(place, module.look, runs=5, between=module.bind)
    assert seen == [(20_000, 20_000.0 * run, 0.0) for run in range(5)]


IMPORTS = {
    "replaced_often": "import replaced_often as it",
    "replaced_inside.inner": "from replaced_inside import inner as it",
}


@pytest.mark.parametrize("name", IMPORTS)
@pytest.mark.parametrize("place", ["caller", "thread", "resident", "dynamic", "task", "isolated"])
def test_a_module_that_code_imports_itself_is_the_programs_each_time(ray_session, place, name, tmp_path, monkeypatch):
    """Other processes may still have a file of the same name that the program has long replaced."""
    code, (package, _, inner) = (
        f"def look():\n    {IMPORTS[name]}\n    return it.LEVEL, it.grown()",
        name.partition("."),
    )
    for attempt in range(3):
        folder, space = tmp_path / str(attempt), {"__name__": __name__}
        (folder / package if inner else folder).mkdir(parents=True)
        file = folder.joinpath(*name.split(".")).with_suffix(".py")
        file.write_text(f"LEVEL = 1\ndef grown():\n    return {attempt}")
        exec(code, space)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(folder))
            module = importlib.import_module(name)
            seen = values(place, space["look"], runs=3, between=partial(setattr, module, "LEVEL"))
            for each in {name, package}:
                del sys.modules[each]
        assert seen == [(run, attempt) for run in range(3)]


@pytest.mark.parametrize("place", ["caller", "thread", "resident", "dynamic", "task", "isolated"])
def test_names_from_which_a_package_computes_others_are_the_programs(ray_session, place, tmp_path, monkeypatch):
    """A package's `__getattr__`, and what its modules import from it where they need it."""
    name, text = (
        f"computing_{time.monotonic_ns()}",
        "def look():\n    from . import LEVEL\n    from .deep import DEPTH\n",
    )
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("LEVEL = 7\ndef __getattr__(name):\n    return name, LEVEL\n")
    (folder / "deep.py").write_text("DEPTH = 8")
    (folder / "inner.py").write_text(f"{text}    return LEVEL, DEPTH\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    package, inner = importlib.import_module(name), importlib.import_module(f"{name}.inner")
    deep = importlib.import_module(f"{name}.deep")

    def change(run):
        package.LEVEL, deep.DEPTH = run, -run

    assert values(place, lambda: package.computed, runs=3, between=change) == [("computed", run) for run in range(3)]
    assert values(place, inner.look, runs=3, between=change) == [(run, -run) for run in range(3)]


def test_code_tells_which_large_data_an_import_makes(module):
    """Only that need not be sent, however large it is."""
    made = {name: is_made_at_import(module, name) for name in ("TABLE", "ROWS", "LATER", "filled", "pi", "missing")}
    assert made == dict(TABLE=False, ROWS=False, LATER=False, filled=True, pi=True, missing=False)


@pytest.mark.parametrize("place", PLACES)
def test_attributes_of_functions_are_those_of_the_program(ray_session, place):
    """Read by the function itself and by others; one that was missing."""

    def change(run):
        look_at_itself.level = look_at_itself.new = run
        if run == 2:
            look_at_itself.later = [run]

    vars(look_at_itself).pop("later", None)
    expected = [(0, None), (1, None), (2, [2]), (3, [2])]
    assert values(place, look_at_itself, runs=4, between=change) == expected
    assert values(place, look_at_another, runs=4, between=change) == [(run, run) for run in range(4)]


LATEST = -1


@pytest.mark.parametrize("place", ["caller", "thread", "resident", "dynamic", "task", "isolated"])
def test_a_module_that_code_imports_by_a_text_is_the_programs(ray_session, place, monkeypatch):
    """A text in the code, one that it refers to, and one that only a call knows, which `isolated` cannot."""
    made, captured, this = ModuleType("made_by_hand"), "made_by_hand", importlib.import_module(__name__)
    made.rows = [0]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_by_hand", made)

    def change(run):
        made.rows.append(run)
        monkeypatch.setattr(this, "LATEST", run)

    def by_text():
        return importlib.import_module("made_by_hand").rows[-1], __import__(captured).rows[-1]

    def by_argument(name):
        return importlib.import_module(name.lower()).LATEST

    assert values(place, by_text, runs=3, between=change) == [(run, run) for run in range(3)]
    if place != "isolated":
        assert values(place, by_argument, __name__, runs=3, between=change) == [0, 1, 2]


class Growing:
    """Gets attributes that nobody has named before."""


@pytest.mark.parametrize("place", PLACES)
def test_names_that_code_has_only_as_text_are_seen(ray_session, place):
    """An attribute asked for with `getattr`, in a class and a module; in a module's dict; a method of a dict."""
    table: dict = {}
    this = importlib.import_module(__name__)

    def change(run):
        table["run"] = run
        for holder in (Growing, this):
            setattr(holder, "grown", run)  # noqa: B010

    def ask():
        assert vars(this).get("grown") == this.__dict__.get("grown")
        return getattr(Growing, "grown", None), vars(this).get("grown")

    assert values(place, ask, runs=3) == [(None, None)] * 3
    assert values(place, table.get, "run", runs=4, between=change) == [0, 1, 2, 3]
    assert values(place, ask, runs=4, between=change) == [(run, run) for run in range(4)]
    for holder in (Growing, this):
        delattr(holder, "grown")


@pytest.mark.parametrize("place", [place for place in PLACES if place != "isolated"])
def test_what_a_metaclass_holds_is_state(ray_session, place):
    """Singletons: there is one in the program, and functions see and change that one."""

    def step():
        Settings().level += 1
        return Settings().level, Settings() is Settings()

    def change(run):
        Settings().level = 10 * run

    assert values(place, step, runs=4, between=change) == [(10 * run + 1, True) for run in range(4)]
    assert values(place, lambda: Settings().level, runs=4, between=change) == [10 * run for run in range(4)]


@pytest.mark.parametrize("place", [place for place in PLACES if place != "isolated"])
def test_of_what_cannot_be_pickled_in_a_module_there_is_one(ray_session, place):
    """A queue, a database in memory, a socket, an object with a lock; also of a list in a tuple that is changed."""
    PAIR[1].clear()
    DATABASE.executescript("drop table if exists t; create table t(x)")

    def insert():
        DATABASE.execute("insert into t values (1)")

    def append():
        PAIR[1].append(1)
        return len(PAIR[1])

    functions = [
        append,
        lambda: TASKS.put(1),
        lambda: TASKS.get(block=False),
        insert,
        lambda: DATABASE.execute("select count(*) from t").fetchone()[0],
        lambda: HERE.send(b"a"),
        lambda: THERE.recv(1),
        lambda: len(KEPT.rows),
    ]
    runs = 12 if place == "auto" else 4
    seen = []
    KEPT.rows.clear()
    with tf.Graph().as_default():
        nodes = [op_in(place, function)() for function in functions]
        with session_in(place) as session:
            for _ in range(runs):
                seen.append(session.run(nodes))
                KEPT.rows.append(1)
    assert seen == [[run + 1, None, 1, None, run + 1, 1, b"a", run] for run in range(runs)]


def test_what_each_process_has_for_itself_keeps_no_function_in_the_program():
    """Locks and C libraries of a module."""

    def locked():
        with LOCKS["one"]:
            return LIBRARY.abs(-1)

    assert not Captured(locked).writes
    assert Captured(lambda: KEPT.rows).writes


def test_a_function_that_sends_itself_a_signal_needs_the_handler_of_the_program():
    """While the program has none of its own, the function may run, and end, in another process."""
    captured = Captured(lambda: os.kill(os.getpid(), signal.SIGUSR1))
    assert not captured.writes
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        captured.look()
        assert (MAIN_ONLY, "process") in captured.writes
    finally:
        signal.signal(signal.SIGUSR1, before)
