"""Frames and tables: nodes share what they read of one, and what a node writes is its own."""

from __future__ import annotations

import gc

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import weftwork as tf

pytestmark = pytest.mark.usefixtures("ray_session", "graph")

LONG, COLUMNS, READERS = 1_000_000, "abcd", 16
"""32 MB: all its readers' copies would not fit into the tests' store."""
PLACES = {"here": {"here": True}, "a local worker": {"isolated": True}, "a task": {"num_cpus": 1}}


def frame(rows=LONG):
    return pd.DataFrame({name: np.arange(rows, dtype=np.float64) for name in COLUMNS})


def table(rows=LONG):
    return pa.table({name: np.arange(rows, dtype=np.float64) for name in COLUMNS})


VALUES = {
    "a pandas frame": frame,
    "an Arrow table": table,
    "Arrow tables in a dict": lambda: {"one": table(LONG // 2), "two": [table(LONG // 2), 7]},
}


def arrays(value):
    """The columns of frames and tables, also inside of others."""
    if isinstance(value, pd.DataFrame):
        return [value[name].to_numpy() for name in COLUMNS]
    if isinstance(value, pa.Table):
        return [value[name].chunk(0).to_numpy() for name in COLUMNS]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [array for part in parts for array in arrays(part)]


def private_bytes(value, factor):
    """The bytes of the columns that lie in memory of this process alone, and a sum for which all of them are read."""
    with open("/proc/self/maps", encoding="ascii") as file:
        areas = [line.split()[:2] for line in file]
    shared = [[int(end, 16) for end in area.split("-")] for area, access in areas if access.endswith("s")]
    private = 0
    for array in arrays(value):
        at = array.__array_interface__["data"][0]
        if not any([start <= at < end for start, end in shared]):
            private += array.nbytes
    return private, factor * sum([float(array.sum()) for array in arrays(value)])


@pytest.mark.parametrize("what", VALUES)
def test_a_frame_that_many_tasks_read_lies_in_the_store_once(what):
    value, x = VALUES[what](), tf.placeholder(tf.object)
    read = tf.op(num_cpus=1)(private_bytes)
    with tf.Session() as session:
        found = session.run([read(x, factor) for factor in range(READERS)], {x: value})
    whole = private_bytes(value, 1)[1]
    assert [private for private, _ in found] == [0] * READERS
    assert [total for _, total in found] == [factor * whole for factor in range(READERS)]


def test_nodes_of_the_program_read_the_data_that_were_fed():
    value, x = frame(1000), tf.placeholder(tf.object)
    look = tf.op(here=True)(lambda given: [array.ctypes.data for array in arrays(given)])
    with tf.Session() as session:
        for found in session.run([look(x), look(x)], {x: value}):
            assert found == [array.ctypes.data for array in arrays(value)]


def written(given):
    """A frame that shares data with the one that came, which is there no more when they are written to."""
    given = given.rename(columns={"a": "A"})
    given.loc[0, "A"] = -1.0
    given["b"] += 1.0
    column = given["c"]
    del given
    column.iloc[0] = 7.0
    return column


def written_behind(given):
    """Writes to what pandas itself shares."""
    given["a"].array[0] = -1.0
    return given["a"]


def unlocked(given):
    """Writes to an array that pandas has made read-only."""
    column = given["a"].to_numpy()
    column.setflags(write=True)
    column[0] = -1.0
    return given["a"]


def widened(given):
    """A new frame of old columns."""
    return given.assign(e=given["a"] + 1.0)


def chained(given):
    """A part of the frame, which the next function writes to."""
    del given["b"]
    return given["c"]


def marked(column):
    column.iloc[0] = 3.0
    return column


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("function", [written, written_behind, unlocked, widened])
def test_what_a_function_writes_into_a_frame_is_its_own(function, place):
    value, x = frame(50_000), tf.placeholder(tf.object)
    made, alone = tf.op(**PLACES[place])(frame)(50_000), tf.op(**PLACES[place])(function)
    expected = function(frame(50_000))
    with tf.Session() as session:
        for got in session.run([alone(x), alone(x), alone(made)], {x: value}):
            assert got.equals(expected)
            got.iloc[1:3] = 5.0  # what was fetched is the caller's
    assert value.equals(frame(50_000))


@pytest.mark.parametrize("place", PLACES)
def test_a_part_of_a_frame_can_be_written_to_by_who_takes_it(place):
    value, x = frame(50_000), tf.placeholder(tf.object)
    part = tf.op(**PLACES[place])(chained)(x)
    boxed = tf.op(**PLACES[place])(lambda frames: marked(frames["f"]["a"]))
    with tf.Session() as session:
        for _ in range(2):
            got = session.run([tf.op(**PLACES[place])(marked)(part), boxed({"f": x})], {x: value})
            assert [column.iloc[0] for column in got] == [3.0, 3.0]
    assert value.equals(frame(50_000))


def test_a_variable_may_be_a_frame_that_lies_in_the_store():
    made = tf.op(num_cpus=1)(frame)(50_000)
    held = tf.Variable(made, dtype=tf.object)
    first = tf.op(num_cpus=1)(lambda given: marked(given["a"]))
    with tf.Session() as session:
        session.run(held.initializer)
        for _ in range(2):
            assert session.run(first(held)).iloc[0] == 3.0
        got = session.run(held)
        got.loc[0, "a"] = 9.0
        assert session.run(held).equals(frame(50_000))


KEPT = []


def keeping(given):
    KEPT.append(given)
    return len(given)


@pytest.mark.parametrize("what", ["a pandas frame", "an Arrow table"])
def test_the_program_reads_what_a_task_has_made_in_the_store(what):
    made = tf.op(num_cpus=1)(VALUES[what])()
    with tf.Session() as session:
        for _ in range(2):
            assert session.run(tf.op(here=True)(private_bytes)(made, 1.0)) == (0, 4 * sum(range(LONG)))


def test_what_a_task_has_made_can_be_written_to_in_the_program():
    made = tf.op(num_cpus=1)(frame)(50_000)
    same, column = tf.op(here=True)(lambda given: given)(made), tf.op(here=True)(lambda given: given["a"])(made)
    chosen = tf.cond(tf.placeholder_with_default(True, []), lambda: tf.identity(made), lambda: made)
    every = [made, same, column, tf.identity(made), chosen]
    with tf.Session() as session:
        for fetches in (*[[each] for each in every], every):
            for _ in range(2):
                values = session.run(fetches)
                gc.collect()  # nobody else holds what they share data with
                for got in values:
                    got.loc[(0, "a") if isinstance(got, pd.DataFrame) else 0] = 9.0
        assert session.run(tf.op(here=True)(keeping)(made)) == 50_000
        kept = KEPT.pop()
        gc.collect()
        kept.loc[0, "a"] = 9.0
        assert session.run(made).equals(frame(50_000))
    assert kept.loc[0, "a"] == 9.0


def test_a_function_may_keep_the_frame_that_it_returns():
    kept = []

    def keep():
        kept.append(frame(10))
        return kept[0]

    got, again = tf.Session().run([made := tf.op(here=True)(keep)(), tf.op(here=True)(written)(made)])
    got.loc[0, "a"] = 9.0
    assert (kept[0].loc[0, "a"], got.loc[0, "c"], again.iloc[0]) == (0.0, 0.0, 7.0)


@pytest.mark.parametrize("function", [written_behind, unlocked])
@pytest.mark.parametrize("placement", ["auto", "caller", "thread", "resident", "dynamic"])
def test_what_the_last_taker_writes_behind_a_frame_no_earlier_one_sees(placement, function):
    """Not who returned the frame to the fetches, nor who made it and keeps it."""
    made = [tf.op(lambda k: frame(10) + k)(k) for k in range(30)]
    same, behind, alone = tf.op(lambda given: given), tf.op(function), []

    def keeps(k):
        alone.append(frame(10))
        return alone[-1]

    kept = [tf.op(here=True)(keeps)(k) for k in range(3)]
    fetches = [[same(one) for one in made], [behind(one) for one in made], [behind(one) for one in kept]]
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        for _ in range(5):
            seen, written, _ = session.run(fetches)
            assert [one.loc[0, "a"] for one in seen] == list(range(30))
            assert [column.iloc[0] for column in written] == [-1.0] * 30
            assert [one.loc[0, "a"] for one in alone] == [0.0] * len(alone)


def test_a_frame_whose_class_is_the_programs_own_is_copied_at_once():
    class Own(pd.DataFrame):
        pass

    value, x = Own(frame(10)), tf.placeholder(tf.object)
    look = tf.op(here=True)(lambda given: given["a"].to_numpy().ctypes.data)
    at, _ = tf.Session().run([look(x), x], {x: value})
    assert at != value["a"].to_numpy().ctypes.data
