"""The whole system in two seconds, without Ray: run this file first when something is broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import weftwork as tf


@pytest.fixture
def session(graph):
    with tf.Session(config=tf.ConfigProto(placement="caller")) as opened:
        yield opened


def test_a_graph_is_built_fed_and_run(session):
    x = tf.placeholder(tf.float32, [None])
    y = tf.reduce_sum(np.sqrt(x) + 1.0)
    assert session.run(y, {x: [1.0, 4.0]}) == 5.0


def test_variables_are_initialised_read_and_written_at_once(session):
    w = tf.Variable([1.0, 2.0])
    session.run(tf.global_variables_initializer())
    assert session.run([w.assign_add([1.0, 1.0]), w.read_value()])[0].tolist() == [2.0, 3.0]
    with pytest.raises(tf.errors.OpError, match="test_tiny.py"), tf.control_dependencies([w.assign([9.0, 9.0])]):
        session.run(tf.op(lambda: 1 / 0)())
    assert session.run(w).tolist() == [2.0, 3.0]


def test_a_step_of_training_follows_the_gradient(session):
    w = tf.Variable(3.0)
    step = tf.train.GradientDescentOptimizer(0.5).minimize(tf.square(w))
    session.run(tf.global_variables_initializer())
    session.run(step)
    assert session.run(w) == 0.0


def test_branches_loops_and_maps(session):
    n = tf.placeholder(tf.int32, [])
    fact = tf.while_loop(lambda k, p: k > 0, lambda k, p: (k - 1, p * k), [n, tf.constant(1)])[1]
    assert session.run(fact, {n: 5}) == 120
    assert session.run(tf.cond(n > 2, lambda: n * 10, lambda: n), {n: 3}) == 30
    assert session.run(tf.map_fn(lambda k: k * k, tf.range(4))).tolist() == [0, 1, 4, 9]


def test_queues_partial_runs_and_callables(session):
    queue = tf.FIFOQueue(3, tf.int32, shapes=[[]])
    session.run(queue.enqueue_many([[1, 2, 3]]))
    assert session.run([queue.dequeue() for _ in range(3)]) == [1, 2, 3]
    a, b = tf.placeholder(tf.int32, []), tf.placeholder(tf.int32, [])
    first, second = a + 1, (a + 1) * b
    handle = session.partial_run_setup([first, second], [a, b])
    assert session.partial_run(handle, first, {a: 2}) == 3
    assert session.partial_run(handle, second, {b: 5}) == 15
    assert session.make_callable(a + b, [a, b])(2, 3) == 5


def test_a_session_runs_any_python_function_and_says_where(session):
    words = tf.op(lambda text: text.split())("to and fro")
    assert session.run(words) == ["to", "and", "fro"]
    assert set(session.placements) == {"caller"}


def test_a_large_array_that_a_function_made_is_handed_out_as_it_is(session):
    """Whether somebody else holds it is told by its reference count, which each Python counts in its own way."""
    made, keep = [], []

    def fresh():
        array = np.ones(100_000)
        made.append(array.ctypes.data)
        return array

    def held():
        keep.append(np.ones(100_000))
        return keep[-1]

    first, second = session.run([tf.op(fresh)(), tf.op(held)()])
    assert (first.ctypes.data, first.flags.writeable) == (made[0], True)
    assert second.ctypes.data != keep[0].ctypes.data


def test_none_of_it_needs_ray_and_what_is_slow_to_import():
    code = (
        "import asyncio, sys, weftwork as tf\n"
        "async def later(x):\n"
        "    await asyncio.sleep(0.01)\n"
        "    return x\n"
        "waits = [tf.op(later)(n) for n in range(100)]\n"
        "with tf.Session() as s: assert s.run(tf.op(lambda x: x + 1)(1)) == 2 and s.run(waits)[99] == 99\n"
        "x = tf.placeholder(tf.float32, [None])\n"
        "with tf.Session() as s: assert s.run(x + 1, {x: [1.0]}) == [2.0]\n"
        "assert {'ray', 'numpy.ma'}.isdisjoint(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent, timeout=60)
