"""Captured state: a run uses the state of the moment at which it began, in every place."""

from __future__ import annotations

import atexit
import builtins
import contextvars
import dataclasses
import decimal
import functools
import heapq
import io
import itertools
import logging
import operator
import os
import pathlib
import random
import socket
import sys
import threading
import time
import types
import warnings
import weakref
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from scipy import special

import weftwork as tf
from tests.meaning.places import PLACES, op_in, session_in, values
from weftwork.graph.python.captured import Captured
from weftwork.graph.python.captured_kinds import is_per_process

LEVEL = 2
TABLE = {"n": 2}
WORD: contextvars.ContextVar = contextvars.ContextVar("word", default="none")


class Config:
    level = 2


class Counter:
    """Counts its calls."""

    def __init__(self):
        self.n = 0

    def step(self):
        self.n += 1
        return self.n

    def seen(self):
        return self.n


class Tally:
    """Counts in its class, by each of the ways that a method has."""

    n, rows = 0, []

    def by_type(self):
        type(self).n += 1
        return self.n

    def by_class(self):
        self.__class__.n += 1
        return self.n

    def in_list(self):
        self.rows.append(1)
        return len(self.rows)

    @classmethod
    def of_class(cls):
        cls.n += 1
        return cls.n

    @property
    def total(self):
        self.n += 1
        return self.n

    @functools.cached_property
    def first(self):
        return LEVEL

    def level(self):
        return LEVEL

    def quiet(self):
        self.mine = 1
        return self.mine


class Only:
    """There is one object of it."""

    it: object = None

    def __new__(cls):
        cls.it = cls.it or super().__new__(cls)
        return cls.it


COUNTER, TALLY, LOCK = Counter(), Tally(), threading.Lock()


def read_level():
    return LEVEL


def through_helper():
    return read_level() * 10


def read_class():
    return Config.level


def read_table():
    return TABLE["n"]


def read_later():
    return appears_later  # type: ignore[name-defined]  # noqa: F821


def bind(level):
    global LEVEL
    LEVEL = level


@pytest.fixture(autouse=True)
def _as_before():
    yield
    globals().update(LEVEL=2, read_level=_READ_LEVEL)
    globals().pop("appears_later", None)
    Config.level, TABLE["n"], Tally.n, Tally.rows = 2, 2, 0, []


_READ_LEVEL = read_level


def changed_half_way(change):
    """For `between`: the change comes before the third run."""
    return lambda run: change() if run == 2 else None


@pytest.mark.parametrize("place", PLACES)
def test_a_name_that_is_bound_anew_is_seen(place):
    """A global, one behind a helper, an attribute of a class, an item of a dict, a helper, a closure's cell."""
    box = [2]
    level = 2

    def cell():
        return level

    def item():
        return box[0]

    def change():
        nonlocal level
        bind(3)
        Config.level, TABLE["n"], box[0], level = 3, 3, 3, 3

    functions = [read_level, through_helper, read_class, read_table, cell, item, lambda: Config.level + LEVEL]
    with tf.Graph().as_default():
        nodes = [op_in(place, function)() for function in functions]
        with session_in(place) as session:
            before = [session.run(nodes) for _ in range(3)]
            change()
            after = [session.run(nodes) for _ in range(3)]
            globals()["read_level"] = lambda: 9
            helped = session.run(nodes[1])
    assert before == [[2, 20, 2, 2, 2, 2, 4]] * 3
    assert after == [[3, 30, 3, 3, 3, 3, 6]] * 3
    assert helped == 90


@pytest.mark.parametrize("place", PLACES)
def test_a_name_that_was_missing_is_seen_once_it_is_there(place):
    """As in a plain program: NameError at first, then the value."""
    with tf.Graph().as_default(), pytest.MonkeyPatch.context() as patch:
        node = op_in(place, read_later)()
        with session_in(place) as session:
            with pytest.raises(tf.errors.OpError, match="appears_later"):
                session.run(node)
            patch.setattr(sys.modules[__name__], "appears_later", 5, raising=False)
            assert [session.run(node) for _ in range(3)] == [5] * 3


@functools.singledispatch
def generic(value):
    return "any"


class Asked:
    @functools.singledispatchmethod
    def kind(self, value):
        return "any"


@pytest.mark.parametrize("place", PLACES)
def test_what_is_changed_in_a_function_is_seen(place):
    """Code, defaults, attributes, as tools that load a module again do; what a generic function dispatches to."""

    def helper(x=0):
        return x, helper.level  # type: ignore[attr-defined]

    def change(run):
        helper.__defaults__, helper.level = (run,), run  # type: ignore[attr-defined]
        if run == 2:
            helper.__code__ = (lambda x=0: (x, "new")).__code__.replace(co_freevars=helper.__code__.co_freevars)
        generic.register(int, lambda value: run)
        Asked.kind.register(int, lambda self, value: run)

    seen = values(place, lambda: (helper(), generic(1), Asked().kind(1)), runs=4, between=change)
    assert seen == [((0, 0), 0, 0), ((1, 1), 1, 1), ((2, "new"), 2, 2), ((3, "new"), 3, 3)]


@pytest.mark.parametrize("place", PLACES)
def test_names_that_no_module_of_the_program_has_are_seen(place):
    """One among Python's builtins, one of a namespace without a module, one of Python's own module, patched before."""
    space = {"level": 0}
    exec("def read(): return level, added, time.time()", space)
    space["time"] = time

    def change(run):
        space["level"] = run
        patch.setattr(builtins, "added", run, raising=False)
        patch.setattr(time, "time", lambda: run)

    with pytest.MonkeyPatch.context() as patch:
        assert values(place, space["read"], runs=4, between=change) == [(run,) * 3 for run in range(4)]


@pytest.mark.parametrize("place", PLACES)
def test_an_attribute_of_a_large_object_that_is_bound_anew_is_seen(ray_session, place):
    """Its contents are taken as constant."""
    large = Config()
    large.rows = np.zeros(20_000)  # type: ignore[attr-defined]

    def change(run):
        large.level = run

    assert values(place, lambda: large.level, runs=4, between=change) == [0, 1, 2, 3]


@pytest.mark.parametrize("place", PLACES)
def test_what_comes_as_an_argument_uses_the_state_of_the_program_too(place):
    """A function, an object with methods: a constant, a feed, another node's value."""
    with tf.Graph().as_default():
        fed, given = tf.placeholder(tf.object), op_in(place, lambda: Tally())()
        call, ask = op_in(place, lambda function: function()), op_in(place, lambda tally: tally.level())
        nodes = [call(read_level), call([read_level][0]), call(fed), ask(TALLY), ask(given)]
        with session_in(place) as session:
            for level in range(4):
                bind(level)
                assert session.run(nodes, {fed: read_level}) == [level] * 5
                assert session.run(nodes, {fed: TALLY.level}) == [level] * 5


@pytest.mark.parametrize("place", PLACES)
def test_an_attribute_of_a_module_is_that_of_the_program(place):
    """Modules of the program, also made by hand; and what was bound anew in Python's own."""
    settings = types.ModuleType("settings")
    settings.level = 1

    def change(run):
        settings.level = run
        if run == 2:
            patch.setattr(os.path, "sep", "!")

    with pytest.MonkeyPatch.context() as patch:
        seen = values(place, lambda: (settings.level, os.path.sep), runs=4, between=change)
    assert seen == [(0, os.sep), (1, os.sep), (2, "!"), (3, "!")]


@pytest.mark.parametrize("place", PLACES)
def test_a_context_variable_has_the_value_of_the_program(place):
    """One of a module, and one that a function has captured."""
    mine = contextvars.ContextVar("mine")

    def change(run):
        WORD.set(f"word {run}")
        mine.set(run)

    def run():
        return values(place, lambda: (WORD.get(), mine.get()), runs=4, between=change)

    assert contextvars.copy_context().run(run) == [(f"word {k}", k) for k in range(4)]


@pytest.mark.parametrize("place", [place for place in PLACES if place != "isolated"])
def test_a_function_that_writes_state_runs_in_the_program_in_order(place):
    """Each call counts: an item, a cell, an attribute, a method's, a default, an iterator, what only a call shows."""
    box, cell, numbers, heap = [0], 0, itertools.count(1), [0]

    def item():
        box[0] += 1
        return box[0]

    def nonlocal_():
        nonlocal cell
        cell += 1
        return cell

    def default(seen=[]):  # noqa: B006
        seen.append(1)
        return len(seen)

    def attribute():
        Config.level += 1
        return Config.level - 2

    def change(held):
        held.append(1)

    def hidden():
        change(heap)
        return len(heap) - 1

    counter = Counter()
    variable = contextvars.ContextVar("count", default=0)

    def in_variable():
        variable.set(variable.get() + 1)
        return variable.get()

    functions = [item, nonlocal_, default, attribute, counter.step, lambda: next(numbers), hidden, in_variable]
    runs = 45 if place == "auto" else 4
    with tf.Graph().as_default():
        nodes = [op_in(place, function)() for function in functions]
        with session_in(place) as session:
            seen = [session.run(nodes) for _ in range(runs)]
    assert seen == [[k] * len(functions) for k in range(1, runs + 1)]


@pytest.mark.parametrize("way", ["by_type", "by_class", "in_list", "of_class"])
@pytest.mark.parametrize("place", [place for place in PLACES if place != "isolated"])
def test_what_an_argument_s_method_writes_is_written_in_the_program(place, way):
    """For a constant, a feed, another node's value, and an object made by the function."""
    with tf.Graph().as_default():
        fed = tf.placeholder(tf.object)
        direct = {
            "by_type": lambda tally: tally.by_type(),
            "by_class": lambda tally: tally.by_class(),
            "in_list": lambda tally: tally.in_list(),
            "of_class": lambda tally: tally.of_class(),
        }[way]
        hit, make = op_in(place, direct), op_in(place, lambda: Tally())()
        nodes = [hit(Tally()), hit(fed), hit(make), op_in(place, lambda: direct(Tally()))()]
        with session_in(place) as session:
            seen = [session.run(nodes, {fed: TALLY}) for _ in range(4)]
    assert seen == [[4 * run + k for k in range(1, 5)] for run in range(4)]


@pytest.mark.parametrize("place", [place for place in PLACES if place not in ("isolated", "actor")])
def test_what_the_code_does_not_show_is_seen_after_the_call(place):
    """A name bound by way of its module, a large array or list that another function changes."""
    rows, items = np.zeros(20_000), [0] * 20_000
    patch = pytest.MonkeyPatch()
    patch.setattr(sys.modules[__name__], "hidden_count", 0, raising=False)

    def by_name():
        globals()["hidden_count"] += 1
        return hidden_count  # type: ignore[name-defined]  # noqa: F821

    def by_module():
        setattr(sys.modules[__name__], "LEVEL", LEVEL + 1)  # noqa: B010
        return LEVEL - 2

    def large_array():
        np.add(rows, 1, out=rows)
        return int(rows[7])

    def large_list():
        heapq.heappush(items, 1)
        return len(items) - 20_000

    with tf.Graph().as_default():
        nodes = [op_in(place, function)() for function in (by_name, by_module, large_array, large_list)]
        with session_in(place) as session:
            seen = [session.run(nodes) for _ in range(4)]
    patch.undo()
    assert seen == [[run] * 4 for run in (1, 2, 3, 4)]


@pytest.mark.parametrize("place", ["resident", "dynamic"])
def test_several_of_which_only_calls_show_that_they_write_do_so_once_each(place):
    """A run that begins again repeats nothing that was done in the program."""

    def pushing():
        heap: list[int] = []

        def push(heap):
            heapq.heappush(heap, 1)

        def step():
            push(heap)
            return len(heap)

        return step

    with tf.Graph().as_default():
        nodes = [op_in(place, pushing())() for _ in range(8)]
        with session_in(place) as session:
            assert [session.run(nodes) for _ in range(2)] == [[1] * 8, [2] * 8]


@pytest.mark.parametrize("place", [place for place in PLACES if place != "isolated"])
def test_what_one_function_writes_others_of_the_run_see_in_creation_order(place):
    """write, read, write, read: as the same calls in a plain program."""
    state = {"n": 0}

    def write(_):
        state["n"] += 1

    def read(_):
        return state["n"]

    with tf.Graph().as_default():
        nodes = [op_in(place, function)(k) for k, function in enumerate([read, write, read, write, read] * 8)]
        with session_in(place) as session:
            for run in range(4):
                got = session.run(nodes)
                assert got[::5] == [16 * run + 2 * k for k in range(8)]
                assert got[4::5] == [16 * run + 2 * k + 2 for k in range(8)]


def test_what_an_isolated_function_writes_is_lost_with_its_call(ray_session):
    """Each call finds the state of the moment at which the run began."""
    box = [0]

    def step(_):
        box[0] += 1
        return box[0]

    with tf.Graph().as_default():
        nodes = [tf.op(isolated=True)(step)(k) for k in range(3)]
        with tf.Session() as session:
            assert [session.run(nodes) for _ in range(3)] == [[1] * 3] * 3
            box[0] = 5
            assert session.run(nodes) == [6] * 3


def writers():
    """Functions, and whether they write captured state."""
    box, cell, lock = [0], 0, threading.Lock()
    boxes, array = [box], np.zeros(3)
    generator = np.random.default_rng(1)

    def local(x):
        made = {}
        made["x"] = x
        rows = [TABLE["n"]]
        rows.append(x)
        return made, rows

    def alias():
        table = TABLE
        table["n"] = 1

    def loop():
        for row in [box]:
            row.append(1)

    def of_items():
        for row in TABLE.values():
            row.append(1)

    def bound():
        nonlocal cell
        cell = 1

    def environment():
        os.environ["WEFT"] = "1"

    def imported():
        import sys

        sys.path.append("x")

    def attribute():
        attribute.calls = 1  # type: ignore[attr-defined]

    def helper():
        bind(1)

    def shadow(box):
        box[0] = 1

    def queued():
        heapq.heappush(box, 1)

    def by_setattr():
        setattr(COUNTER, "n", 1)  # noqa: B010

    def in_environment():
        os.environ.pop("WEFT", None)

    def precise():
        decimal.getcontext().prec = 5

    def quiet():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")

    def counted():
        return TALLY.total + TALLY.first

    def viewed():
        view = array[1:]
        view += 1

    def sliced():
        rows = box[:]
        rows.append(1)
        rows += [2]
        return np.add(array, 1)

    return [
        (local, False),
        (queued, True),
        (by_setattr, True),
        (in_environment, True),
        (precise, True),
        (counted, True),  # by a property
        (viewed, True),
        (sliced, False),
        (lambda: np.add(array, 1, out=array), True),
        (lambda: vars(COUNTER).update(n=1), True),
        (lambda: getattr(box, "append")(1), True),  # noqa: B009
        (lambda: any(row.append(1) for row in boxes), True),
        (lambda: {k: row.append(1) for k, row in enumerate([1])}, False),
        (lambda: Only().n, True),  # by `__new__`
        (lambda: decimal.getcontext().prec, False),
        (lambda: logging.getLogger("weft").setLevel(1), True),
        (lambda: logging.getLogger("weft").warning("w"), False),
        (lambda: warnings.simplefilter("ignore"), True),
        (quiet, False),
        (lambda: atexit.register(local), True),
        (lambda: eval("LEVEL"), True),
        (lambda number: os.read(number, 1), True),  # of a file that the program has opened
        (lambda path: os.path.getsize(path) + len(open(path).read()), False),
        (lambda: lock.locked(), True),  # there is one of it
        (lambda: LOCK.locked(), False),  # of a module that others import: each has its own
        (alias, True),
        (loop, True),  # of a list of its own: a call shows it
        (of_items, True),
        (bound, True),
        (environment, True),
        (imported, True),
        (attribute, True),
        (helper, True),
        (shadow, False),
        (lambda: np.append([1], TABLE["n"]), False),
        (lambda: COUNTER.seen(), False),
        (lambda: COUNTER.step(), True),
        (lambda: [box.append(k) for k in range(2)], True),
        (lambda: TABLE.setdefault("rows", []).append(1), True),
        (lambda: TABLE.get("n"), False),
        (lambda: os.chdir("/"), True),
        (lambda: generator.normal(), True),
        (functools.partial(alias), True),
        (COUNTER.step, True),
        (Counter, False),
        (lambda: Tally().by_type(), True),
        (lambda: Tally().level(), True),  # the class has methods that write: one may be called
        (TALLY.in_list, True),
        (Tally.of_class, True),
        (lambda tally: tally.by_type(), False),  # what comes as an argument is not known yet
        (lambda: sorted([3, 1]).sort(), False),
        (lambda x: TABLE == x or TABLE != x or box <= x or box is x, False),
    ]


@pytest.mark.parametrize(("function", "writes"), writers())
def test_code_tells_whether_it_writes_captured_state(function, writes):
    """Found without a call, by what the code does to names and objects that are not its own."""
    assert bool(Captured(function).writes) is writes


def resampled(frame):
    return frame.groupby("key").sample(1)


@pytest.mark.parametrize(
    ("function", "draws"),
    [
        (lambda: random.random(), True),
        (lambda: np.random.rand(), True),
        (lambda x: np.sum(x), False),
        (read_level, False),
        (functools.partial(random.choice, [1]), True),
        (lambda rows: pd.concat(rows).groupby("key").mean(), False),
        (lambda rows: pd.concat(rows).sample(3), True),
        (lambda rows: resampled(pd.concat(rows)), True),
        (lambda rows: pd.concat(rows).agg("sample"), True),
        (lambda rows: pd.concat(rows).agg("mean"), False),
        (lambda rows: operator.methodcaller("sample", 1)(pd.concat(rows)), True),
        (lambda rows: pd.concat(rows).groupby("key").apply("sample"), True),
        (lambda a: special.expit(a), True),  # an installed package may draw
    ],
)
def test_code_tells_whether_it_may_draw(function, draws):
    """Only such functions pay for a seed."""
    assert bool(Captured(function).draws) is draws


@pytest.mark.parametrize(("function", "writes"), [(lambda t: t.by_type(), True), (lambda t: t.quiet(), False)])
def test_of_an_argument_s_class_only_the_methods_count_that_are_called(function, writes):
    """A class with a counting method keeps only those functions in the program that call it."""
    assert bool(Captured(function, given=[Tally]).writes) is writes


@dataclasses.dataclass
class Reading:
    level: int = 0


def test_a_dataclass_as_an_argument_keeps_no_function_in_the_program():
    """What a class says of its fields is not state, though it cannot be pickled."""
    assert not Captured(lambda reading: reading.level, given=[Reading]).writes


def test_a_look_sees_changes_and_nothing_else():
    """The version stands still while nothing changes."""
    box = [1]
    captured = Captured(lambda: (LEVEL, box, Config.level))
    assert captured.look() == captured.look() == 0
    bind(7)
    assert captured.look() == captured.look() == 1
    box.append(2)
    assert captured.look() == captured.look() == 2
    Config.level = 8
    assert captured.look() == 3


def local_object(**attributes):
    """An object of a class that pickle does not find."""

    class Local:
        def __init__(self):
            vars(self).update(attributes)

    return Local()


@pytest.mark.parametrize("held", [[1], threading.Lock()])
def test_a_look_sees_changes_in_objects_that_do_not_pickle(held):
    """Of local classes, and with a lock in them: what does not pickle stands for itself."""
    thing = local_object(n=0, inner=local_object(rows=[0]), held=held)
    captured = Captured(lambda: thing)
    assert captured.look() == captured.look() == 0
    thing.inner.rows.append(1)
    assert captured.look() == captured.look() == 1
    thing.__dict__ = {**vars(thing), "n": 1}
    assert captured.look() == 2
    thing.__class__ = type(local_object())
    assert captured.look() == captured.look() == 3


@pytest.mark.parametrize("place", [place for place in PLACES if place not in ("isolated", "actor")])
def test_what_depends_on_each_other_by_what_cannot_travel_runs_in_creation_order(place):
    """A socket's two ends, a lock, a file's lines: captured, and as arguments."""
    here, there = socket.socketpair()
    lock, lines = threading.Lock(), io.TextIOWrapper(io.BytesIO(b"1\n2\n3\n" * 4), write_through=True)
    with here, there, tf.Graph().as_default():
        nodes = [
            op_in(place, lambda: here.send(b"a"))(),
            op_in(place, lambda: there.recv(1))(),
            op_in(place, lambda: lock.acquire(blocking=False))(),
            op_in(place, lambda: lines.readline())(),
            op_in(place, lambda file: file.readline())(lines),
            op_in(place, lambda: (lock.locked(), lock.release(), lock.locked()))(),
            op_in(place, lambda: lines.readline())(),
        ]
        with session_in(place) as session:
            seen = [session.run(nodes) for _ in range(4)]
    assert seen == [[1, b"a", True, "1\n", "2\n", (True, None, False), "3\n"]] * 4


@pytest.mark.parametrize("place", [place for place in PLACES if place != "isolated"])
def test_what_the_program_has_patched_is_used(place):
    """A function of Python's, a method of a class of Python's, a module that may not be imported."""

    def ask():
        try:
            import colorsys
        except ImportError:
            colorsys = None  # type: ignore[assignment]
        return os.listdir("/"), pathlib.Path("/").exists(), colorsys is None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "listdir", mock.Mock(return_value=["patched"]))
        patch.setattr(pathlib.Path, "exists", lambda self: "patched")
        patch.setitem(sys.modules, "colorsys", None)
        assert values(place, ask, runs=3) == [(["patched"], "patched", True)] * 3


def test_objects_replaced_by_rebinding_are_not_kept():
    """A look remembers no array that the program has dropped."""
    rows = np.zeros(10**6)
    known = weakref.ref(rows)
    captured = Captured(lambda: rows)
    rows = None
    assert known() is None
    assert captured.look() == 1


def test_a_read_only_view_belongs_to_each_process_and_a_writable_one_is_state():
    assert is_per_process(memoryview(b"abc"))
    assert is_per_process([memoryview(b"abc")])
    assert not is_per_process(memoryview(bytearray(3)))
