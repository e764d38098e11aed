"""Large arrays and frames that many calls get as constant arguments: copied once, and sent once."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import weftwork as tf
from tests.meaning.places import PLACES, RUNS, op_in, session_in
from weftwork.scheduler.compile.lowering import lower
from weftwork.scheduler.sharing.lane import Lane
from weftwork.scheduler.sharing.shipping import Parcel

TABLE = np.arange(40_000.0).reshape(200, 200)
FRAME = pd.DataFrame({"a": np.arange(20_000), "b": np.arange(20_000) / 7, "c": ["text"] * 20_000})


def read(x, k):
    return float(x[k].sum())


def written(x, k):
    x[k] = -1.0
    x += k
    return float(x.sum())


def framed(frame, k):
    frame["k"] = k
    frame.loc[k, "a"] = -5
    return float(frame.a.sum() + frame.k.sum() + len(frame.c[k]))


def same(x, y, *, z):
    return x is y and y is z


def handed(x):
    return x


@pytest.mark.parametrize("place", PLACES)
def test_each_call_gets_the_value_of_the_time_when_it_was_made(graph, ray_session, place):
    table, frame = TABLE.copy(), FRAME.copy()
    nodes, wanted = [], []
    for function, value in ((read, table), (written, table), (framed, frame)):
        node = op_in(place, function)
        for k in range(6):
            nodes.append(node(value, k))
            wanted.append(function(value.copy(), k))
            if k == 3:
                (value.iloc if value is frame else value)[5, 0] = 77
    nodes += [op_in(place, same)(table, table, z=table), op_in(place, read)(tf.constant(TABLE), tf.constant(2))]
    wanted += [True, read(TABLE, 2)]
    with session_in(place) as session:
        for _ in range(RUNS.get(place, 4)):
            assert session.run(nodes) == wanted


@pytest.mark.parametrize("place", PLACES)
def test_what_a_function_hands_on_may_be_written_to_and_changes_nothing(graph, ray_session, place):
    nodes = [op_in(place, handed)(TABLE) for _ in range(3)]
    with session_in(place) as session:
        for _ in range(RUNS.get(place, 4)):
            for made in session.run(nodes):
                assert np.array_equal(made, TABLE)
                made[:] = 0
    assert TABLE[1, 1] == 201.0


def fixed(node):
    """The copy of a node's first argument."""
    return node.op.attrs["template"][0][0]


def test_calls_share_the_copy_of_what_has_not_changed(graph):
    node = tf.op(read)
    for value, change in (
        (TABLE.copy(), lambda x: x.__setitem__((0, 0), 9)),
        (np.asfortranarray(TABLE), lambda x: x.__setitem__((0, 0), 9)),
        (np.full(10_000, np.nan), lambda x: x.__setitem__(7, 0)),
        (FRAME.copy(), lambda x: x.loc.__setitem__((3, "b"), 1)),
        (FRAME.copy(), lambda x: x.insert(0, "new", 1)),
        (FRAME.a.copy(), lambda x: setattr(x, "name", "other")),
        (FRAME.copy(), lambda x: setattr(x.index, "name", "other")),
    ):
        first, second = fixed(node(value, 1)), fixed(node(value, 2))
        assert first is second
        change(value)
        third = fixed(node(value, 3))
        assert third is not first
        assert third is fixed(node(value, 4))
    assert fixed(node(TABLE.copy(), 1)) is not fixed(node(TABLE.copy(), 1))


def test_a_dataflow_and_a_worker_have_them_once(graph):
    node = tf.op(read)
    flow = lower([node(TABLE, k) for k in range(5)], [])
    (number,) = [number for number, value in flow.constants.items() if isinstance(value, np.ndarray)]
    assert [inputs[-1] for inputs in flow.inputs] == [number] * 5
    run, lane = SimpleNamespace(flow=flow, local=flow.constants.get), Lane()
    sizes = []
    for nodes in ([0, 1], [2], [0, 3]):
        parcel = Parcel(run, lane, nodes, {})
        sizes.append(sum(map(len, parcel.packed())))
        parcel.has_left()
    assert sizes[0] > TABLE.nbytes
    assert max(sizes[1:]) < 10_000
    assert lane.has(number, flow.key)
    assert not Lane().has(number, flow.key)


def test_lists_and_small_arrays_stay_as_they_are(graph):
    node, small = tf.op(read), np.arange(5.0)
    flow = lower([node([TABLE, TABLE], 1), node(small, 1), node(TABLE, [TABLE])], [])
    assert flow.constants == {}
