"""The history of single nodes and functions, and when it is reliable."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf
from weftwork.scheduler.plan.history import HISTORY, History, NodeCost
from weftwork.scheduler.plan.policy import GIL_HOLDS


@pytest.fixture
def node(graph):
    return tf.op(abs)(1).op


@pytest.mark.parametrize(
    ("seconds", "stable"),
    [
        ([1.0], False),  # too few to tell
        ([1.0] * 2, True),
        ([1.0, 1.1, 0.95, 1.05], True),
        ([1.0, 3.0, 1.0, 3.0, 1.0], False),
        ([1.0, 5.0, *[1.0] * 12], True),  # one that was off long ago
        ([0.0, 0.0, 0.0], True),
    ],
)
def test_a_node_is_stable_once_it_has_taken_about_as_long_a_few_times(node, seconds, stable):
    history = History()
    for each in seconds:
        history.learn(node, 0, each)
    assert history.is_stable(node) is stable


def test_the_first_calls_count_alike_and_later_ones_follow_a_change():
    cost = NodeCost(3.0, 0)
    cost.add(1.0)
    assert cost.seconds == 2.0
    for _ in range(20):
        cost.add(10.0)
    assert cost.seconds == pytest.approx(10.0, rel=0.01)
    assert cost.calls == 22


def test_nothing_is_known_of_a_node_before_it_ran(node):
    history = History()
    assert (history.of(node), history.is_stable(node), history.has_nodes) == (None, False, False)
    history.learn(node, 0, 1.0)
    assert history.has_nodes
    assert history.of(node).seconds == 1.0
    assert history.of(node, 0) is not None
    assert history.of(node, 10**6) is None


def test_a_function_that_must_stay_is_told_once_and_stays():
    history, kernel = History(), tf.op(lambda: 1).kernel
    assert not history.stays(kernel)
    assert [history.let_stay(kernel), history.let_stay(kernel)] == [True, False]
    assert history.stays(kernel)
    assert not history.stays(tf.op(lambda: 1).kernel)


def test_a_function_keeps_the_gil_once_that_was_seen_three_times_and_never_the_contrary():
    """What else is busy on the machine makes it seem so; nothing makes the contrary seem so."""
    history, kernel = History(), tf.op(lambda: 1).kernel
    known = []
    for holds in (True, True, True, False, True, True, True):
        known.append(history.holds_gil(kernel))
        history.tell_gil(kernel, holds)
    assert known == [None, None, None, True, False, False, False]
    assert history.holds_gil(kernel) is False
    assert history.holds_gil(3) is None  # nothing refers to it weakly


def test_what_only_the_code_of_a_function_shows_is_forgotten_once_it_gets_large_arrays():
    history = History()
    shown, seen = [tf.op(lambda x: x + 1).kernel for _ in range(2)]
    history.let_hold(shown)
    for _ in range(GIL_HOLDS):
        history.tell_gil(seen, True)
    history.doubt([shown, seen])
    assert [history.holds_gil(kernel) for kernel in (shown, seen)] == [None, True]
    history.let_hold(shown)
    history.tell_gil(shown, False)
    history.let_hold(shown)
    assert history.holds_gil(shown) is False


@pytest.mark.parametrize(("value", "holds"), [(2, True), ([1] * 100_000, True), (np.ones(10_000), None)])
def test_a_function_of_scalars_may_release_the_gil_for_arrays(ray_session, graph, value, holds):
    added = tf.op(lambda x, k: [x, k] and x)
    fed = tf.placeholder(tf.object)
    with tf.Session() as session:
        session.run([added(k, k) for k in range(30)])
        assert HISTORY.holds_gil(added.kernel) is True
        session.run([added(fed, k) for k in range(3)], {fed: value})
    assert HISTORY.holds_gil(added.kernel) is holds
