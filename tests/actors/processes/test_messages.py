"""Messages between a session and its workers."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

TABLE = np.arange(200_000)


@pytest.mark.parametrize("placement", ["task", "actor"])
def test_a_function_that_carries_much_data_is_sent_once_beside_its_requests(ray_session, graph, placement):
    table = TABLE.copy()
    node = tf.op(lambda k: int(table[k]))
    fed = tf.placeholder(tf.object)
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        run = session.make_callable([node(fed), node(7)], [fed])
        assert [run(k) for k in (1, 199_999, 5)] == [[1, 7], [199_999, 7], [5, 7]]


@pytest.mark.parametrize("placement", ["task", "actor", "mixed"])
def test_large_and_small_inputs_arrive_in_their_places(ray_session, graph, placement):
    node = tf.op(lambda *parts: [np.shape(p) if isinstance(p, np.ndarray) else p for p in parts])
    large, small = tf.placeholder(tf.float64, [None]), tf.placeholder(tf.object)
    kept = tf.Variable(np.ones(50_000))
    fetch = node(small, large, "static", kept, large, small)
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        session.run(kept.initializer)
        for _ in range(2):
            got = session.run(fetch, {large: np.zeros(100_000), small: ("a", 1)})
            assert got == [("a", 1), (100_000,), "static", (50_000,), (100_000,), ("a", 1)]
