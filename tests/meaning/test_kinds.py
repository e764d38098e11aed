"""Kinds of objects that hold state, or functions, in ways of their own: they mean the same in every place."""

from __future__ import annotations

import abc
import enum
import functools
import io
import multiprocessing
import operator
import os
import queue
import sys
from typing import Any

import numpy as np
import pytest

import weftwork as tf
from tests.meaning.places import PLACES, op_in, session_in, values
from weftwork.graph.python.captured import Captured

SHARING = [place for place in PLACES if place not in ("isolated", "actor")]
"""Places in which what a function writes lasts."""


class Level(enum.Enum):
    """Its members count."""

    LOW, HIGH = 1, 2

    def __init__(self, number):
        self.hits = 0

    def hit(self):
        self.hits += 1
        return self.hits


class Notebook:
    """Writes to its class by way of what `functools` makes of its methods."""

    log: list = []

    def note(self, tag, text):
        self.log.append((tag, text))
        return len(self.log)

    noted = functools.partialmethod(note, "tag")

    @functools.singledispatchmethod
    def kind(self, value):
        return "other"

    @kind.register
    def _(self, value: str):
        self.log.append(value)
        return len(self.log)


class Shape(abc.ABC):  # noqa: B024
    """Others may be registered."""


class Round:
    pass


NOTEBOOK, BUFFER, CALLS = Notebook(), io.BytesIO(), [0]


def counting(value):
    CALLS[0] += 1
    return -value


@pytest.fixture(autouse=True)
def _as_before():
    yield
    Level.LOW.hits, CALLS[0] = 0, 0
    Notebook.log.clear()


@pytest.mark.parametrize("place", SHARING)
def test_a_member_of_an_enumeration_is_one_object_that_functions_change(place):
    """As a global, and as an argument."""
    with tf.Graph().as_default():
        nodes = [
            op_in(place, lambda: Level.LOW.hit())(),
            op_in(place, lambda level: level.hit())(Level.LOW),
            op_in(place, lambda: Level.LOW.hits)(),
        ]
        with session_in(place) as session:
            assert [session.run(nodes) for _ in range(3)] == [[2 * run + k for k in (1, 2, 2)] for run in range(3)]
    assert Level.LOW.hits == 6


@pytest.mark.parametrize("place", SHARING)
def test_what_the_program_sets_in_a_member_is_seen(place):
    def change(run):
        Level.LOW.hits = run

    assert values(place, lambda: Level.LOW.hits, runs=3, between=change) == [0, 1, 2]


class Quiet(enum.Enum):
    """No code writes to its members."""

    ONE = 1


@pytest.mark.parametrize("place", SHARING)
def test_what_the_program_sets_in_a_member_later_is_seen(ray_session, place):
    """An attribute that it did not have in the first run."""

    def change(run):
        if run:
            setattr(Quiet.ONE, f"late in {place}", run)

    seen = values(place, lambda: getattr(Quiet.ONE, f"late in {place}", None), runs=4, between=change)
    assert seen == [None, 1, 2, 3]


def callables():
    """Callables that write, each in a way of its own, and that do not."""
    return [
        (NOTEBOOK.noted, True),
        (lambda: NOTEBOOK.noted("text"), True),
        (lambda: NOTEBOOK.kind("text"), True),
        (operator.methodcaller("sort", key=counting), True),
        (functools.partial(max, key=counting), True),
        (operator.methodcaller("upper"), False),
        (lambda: Level.LOW.hit(), True),
        (lambda: Level.LOW.name, True),  # one of its methods writes to the members
        (lambda: list(enum.Flag), False),
    ]


@pytest.mark.parametrize(("function", "writes"), callables())
def test_code_tells_what_such_a_callable_writes(function, writes):
    assert bool(Captured(function).writes) is writes


@pytest.mark.parametrize("place", SHARING)
def test_what_a_bound_method_of_a_buffer_writes_is_written_in_the_program(place):
    """No code shows that it writes: the first call does."""
    buffer = io.BytesIO()
    with tf.Graph().as_default():
        nodes = [op_in(place, buffer.write)(b"ab"), op_in(place, lambda: len(buffer.getvalue()))()]
        with session_in(place) as session:
            assert [session.run(nodes) for _ in range(3)] == [[2, 2], [2, 4], [2, 6]]


@pytest.mark.parametrize("place", PLACES)
def test_classes_that_are_registered_with_an_abstract_class_count(place):
    """One of a module, and a local one."""

    class Local(abc.ABC):  # noqa: B024
        pass

    class Other(abc.ABC):  # noqa: B024
        pass

    def change(run):
        if run == 1:
            Local.register(Round)
            Other.register(Round)

    if place == "isolated":
        assert values(place, lambda: issubclass(Round, Local), runs=3, between=change) == [False, True, True]
        return
    seen = values(place, lambda: (issubclass(Round, Local), isinstance(Round(), Other)), runs=3, between=change)
    assert seen == [(False, False), (True, True), (True, True)]


def test_a_function_that_asks_for_what_is_registered_from_outside_stays_in_the_program():
    """Others only know what the module of the abstract class registers itself."""
    captured = Captured(lambda value: isinstance(value, Shape))
    assert not captured.writes
    Shape.register(Round)
    assert captured.look() == 1
    assert captured.writes


@pytest.mark.parametrize("place", SHARING)
def test_code_without_a_module_is_the_program_s(place):
    """It runs in a bare dict, by `exec`."""
    space: dict[str, Any] = {}
    text = "class Box:\n    n = 0\n    def hit(self):\n        Box.n += 1\n        return Box.n, LEVEL\n"
    exec(f"LEVEL = 2\n{text}def hit():\n    return Box().hit()\ndef made():\n    return Box()\n", space)

    def change(run):
        space["LEVEL"] = run

    assert values(place, space["hit"], runs=3, between=change) == [(run + 1, run) for run in range(3)]
    assert {type(value) for value in values(place, space["made"], runs=3)} == {space["Box"]}


@pytest.mark.parametrize("place", ["resident", "dynamic", "task"])
def test_a_connection_is_not_sent(place):
    """Pickled, it would be another file, which would be closed with it."""
    here, there = multiprocessing.Pipe()
    with here, there, tf.Graph().as_default():
        nodes = [op_in(place, lambda: here.send("a"))(), op_in(place, lambda: there.recv())()]
        with session_in(place) as session:
            assert [session.run(nodes) for _ in range(3)] == [[None, "a"]] * 3


@pytest.mark.parametrize("place", ["resident", "dynamic"])
def test_the_number_of_an_open_file_means_that_file(place):
    """Whatever takes the number: none of a worker's own files has a low one."""
    reading, writing = os.pipe()

    def write():
        with open(writing, "wb", closefd=False) as file:
            return file.write(b"ab")

    def read():
        with open(reading, "rb", closefd=False, buffering=0) as file:
            return file.read(2)

    try:
        with tf.Graph().as_default():
            nodes = [op_in(place, write)(), op_in(place, read)()]
            with session_in(place) as session:
                assert [session.run(nodes) for _ in range(3)] == [[2, b"ab"]] * 3
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("place", ["resident", "dynamic", "task"])
def test_what_the_program_has_put_into_sys_is_found(place, monkeypatch):
    monkeypatch.setattr(sys, "weft_settings", 3, raising=False)
    assert values(place, lambda: sys.weft_settings, runs=2) == [3, 3]  # type: ignore[attr-defined]


class Loads:
    """Cannot be loaded in the process that it was sent to."""

    def __init__(self, home):
        self.home = home

    def __setstate__(self, state):
        raise RuntimeError("not here")


@pytest.mark.parametrize("place", ["task", "resident", "dynamic"])
def test_a_result_that_does_not_load_in_the_program_is_made_there(place):
    assert [value.home for value in values(place, lambda: Loads(os.getpid()), runs=2)] == [os.getpid()] * 2


class Incomparable:
    """A callable that cannot be compared, or hashed."""

    def __call__(self, value):
        return value + 1

    def __eq__(self, other):
        raise RuntimeError("asked how it compares")

    def __hash__(self):
        raise RuntimeError("asked for its hash")


@pytest.mark.parametrize("place", ["caller", "resident"])
def test_a_callable_is_never_asked_how_it_compares(place):
    """Also in the runs in which plans are compiled."""
    assert values(place, Incomparable(), 1, runs=45) == [2] * 45


@pytest.mark.parametrize("place", SHARING)
def test_a_queue_is_one_object_wherever_it_stands(place):
    """As a constant, captured, and as a result: like a lock it cannot be copied."""
    line: queue.Queue = queue.Queue()
    with tf.Graph().as_default():
        nodes = [
            op_in(place, lambda it: it.put(1))(line),
            op_in(place, lambda: line.qsize())(),
            op_in(place, lambda it: it[0].qsize())([line]),
            op_in(place, lambda: line)(),
        ]
        with session_in(place) as session:
            seen = [session.run(nodes)[1:] for _ in range(3)]
    assert seen == [[run, run, line] for run in (1, 2, 3)]


@pytest.mark.parametrize("place", SHARING)
def test_what_several_names_reach_is_one(place):
    """A list and a container of it, an array and a view of it, a buffer: written by one name, read by another."""
    rows, array, data = [0], np.zeros(4), bytearray(4)
    table, view, window = {"rows": rows}, array[2:], memoryview(data)

    def write():
        table["rows"][0] += 1
        view[0] += 1
        window[0] += 1

    with tf.Graph().as_default():
        nodes = [op_in(place, write)(), op_in(place, lambda: (rows[0], array[2], data[0]))()]
        with session_in(place) as session:
            assert [session.run(nodes)[1] for _ in range(3)] == [(1, 1, 1), (2, 2, 2), (3, 3, 3)]
