"""Large captured objects that a function changes by way of C code, a view or a container: it is one object."""

from __future__ import annotations

import array
import operator
import struct
from collections import Counter, OrderedDict
from typing import Any

import numpy as np
import pandas as pd
import pytest

import weftwork as tf
from tests.meaning.places import op_in, session_in, values
from weftwork.graph.python.captured import Captured
from weftwork.graph.python.frames import is_lazy

SHARING = ["caller", "thread", "resident", "dynamic", "task", "auto"]
"""Places in which what a function writes lasts."""
BUFFER, FRAME, ROWS, WINDOW = bytearray(200_000), pd.DataFrame({"a": np.zeros(20_000)}), [0], memoryview(bytearray(9))
WORDS = array.array("i", [0] * 50_000)


def packs():
    struct.pack_into("I", BUFFER, 0, 1)


def packs_an_array():
    struct.pack_into("I", WORDS, 0, 1)


def writes_to_a_slice():
    view = memoryview(BUFFER)[10:]
    view[0] = 1


def writes_to_a_cast():
    memoryview(BUFFER).cast("I")[10:][0] = 1


def writes_to_a_slice_of_a_view():
    WINDOW[2:][0] = 1


def writes_to_a_slice_of_an_array():
    np.frombuffer(BUFFER, dtype=np.uint8)[10:][0] = 1


def reads_into(file):
    file.readinto(BUFFER)


def receives_into(file):
    file.recv_into(memoryview(BUFFER)[10:])


def by_a_dict():
    frame = {"x": FRAME}["x"]
    frame.iat[0, 0] += 1


def by_a_dict_of_two():
    {"x": ROWS, "y": 1}["x"].append(1)


def copies():
    part = BUFFER[10:]
    part[0] = 1
    bytearray(memoryview(BUFFER)[2:])[0] = 1
    {"x": np.zeros(2)}["x"][0] = 1


@pytest.mark.parametrize(
    "function",
    [
        *(packs, packs_an_array, writes_to_a_slice, writes_to_a_cast, writes_to_a_slice_of_a_view),
        *(writes_to_a_slice_of_an_array, reads_into, receives_into, by_a_dict, by_a_dict_of_two),
    ],
)
def test_code_tells_that_it_changes_what_it_refers_to(function):
    assert Captured(function).writes


def test_code_tells_that_it_changes_copies_only():
    assert not Captured(copies).writes


class Box:
    """Holds something."""

    def __init__(self, held):
        self.held = held


def bump(held):
    held[0] = (held[0] + 1) % 200
    return held[0]


def turn(held):
    operator.methodcaller("move_to_end", next(iter(held)))(held)
    return next(iter(held))


def swap(held):
    least = min(held)
    held.remove(least)
    held.add(least + 50_000)
    return min(held)


def bump_frame(held):
    held.iat[0, 0] += 1
    return int(held.iat[0, 0])


KINDS: dict[str, tuple[Any, Any]] = {
    "bytearray": (lambda: bytearray(200_000), bump),
    "array": (lambda: array.array("i", [0] * 50_000), bump),
    "ndarray": (lambda: np.zeros(20_000, dtype=np.int64), bump),
    "ordered": (lambda: OrderedDict.fromkeys(range(1, 30_000)), turn),
    "counter": (lambda: Counter(dict.fromkeys(range(30_000), 0)), bump),
    "set": (lambda: set(range(1, 30_000)), swap),
    "frame": (lambda: pd.DataFrame({"a": np.zeros(20_000)}), bump_frame),
}


@pytest.mark.parametrize("place", SHARING)
@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_no_code_shows_is_detected(ray_session, kind, within, place):
    """Also in an attribute of an object."""
    if kind == "frame" and not is_lazy(pd.DataFrame):
        pytest.skip("pandas does not copy on write")
    make, change = KINDS[kind]
    held = Box(make()) if within else make()

    def step():
        own: dict = {}
        own["it"] = held
        return change(own["it"].held if within else own["it"])

    first = 2 if kind in ("ordered", "set") else 1
    assert [int(value) for value in values(place, step, runs=5)] == [first + run for run in range(5)]


@pytest.mark.parametrize("place", ["dynamic", "auto"])
def test_from_then_on_such_functions_run_in_their_order(place):
    rows = np.zeros(20_000)

    def step():
        own: dict = {}
        own["it"] = rows
        own["it"][0] += 1
        return float(rows[0])

    with tf.Graph().as_default():
        nodes = [op_in(place, step)() for _ in range(6)]
        with session_in(place) as session:
            session.run(nodes)
            assert [session.run(nodes) for _ in range(2)] == [[float(6 * n + k) for k in range(1, 7)] for n in (1, 2)]


@pytest.mark.parametrize("place", ["resident", "dynamic", "task"])
def test_a_large_frame_can_be_read_copied_and_returned(ray_session, place):
    frame = pd.DataFrame({"a": np.zeros(20_000), "b": np.ones(20_000)})

    def use():
        own, more = frame.copy(), frame * 2
        own.iat[0, 0], more["c"] = 5, 1
        return own.iat[0, 0], frame.iat[0, 0], more["b"].sum(), frame.sort_values("b").iat[0, 1]

    assert values(place, use, runs=3) == [(5, 0, 40_000, 1)] * 3
    for seen in values(place, lambda: frame, runs=3):
        seen.iat[0, 0] = 7
        assert seen.iat[0, 0] == 7
    assert frame.iat[0, 0] == 0
