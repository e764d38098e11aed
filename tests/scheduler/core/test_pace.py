"""Whether the rest of a cold run is wide enough for several lanes."""

from __future__ import annotations

import pytest

import weftwork as tf
from weftwork.scheduler.core import pace
from weftwork.scheduler.core.pace import Width, is_wide
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.policy import GIL_HOLDS, LONGEST_WATCH, MEETING, THREAD_MEETING

DEEP, WIDE = 50, 8


def step(*values):
    """The function of the nodes."""
    return 0


def chains(node):
    """Nodes that read one other node each."""
    row = [node(k) for k in range(WIDE)]
    for _ in range(DEEP - 1):
        row = [node(each) for each in row]


def stencil(node):
    """Nodes that read their neighbours in the row before."""
    row = [node(k) for k in range(WIDE)]
    for _ in range(DEEP - 1):
        row = [node(*row[max(0, k - 1) : k + 2]) for k in range(WIDE)]


def one_chain(node):
    """Nodes that wait for each other, of which each reads the one before twice."""
    value = node(0)
    for _ in range(DEEP * WIDE - 1):
        value = node(value, value)


def nodes_of(shape):
    """The nodes of a new graph, and the function that they call."""
    function = tf.op(lambda *values: step(*values))
    with tf.Graph().as_default() as graph:
        shape(function)
    return graph.get_operations(), function.kernel


@pytest.mark.parametrize(("shape", "meeting", "wide"), [
    (chains, 100.0, True),
    (stencil, 1.0, True),
    (stencil, 5.0, False),  # 400 nodes take less time than half of them, and 49 meetings of 5 nodes each
    (one_chain, 0.0, False),
])  # fmt: skip
def test_where_lanes_have_to_wait_for_each_other_nodes_must_be_longer(shape, meeting, wide):
    nodes, _ = nodes_of(shape)
    assert is_wide(nodes, 0, (), meeting) is wide
    assert is_wide(nodes, len(nodes) - 1, (), meeting) is False
    assert is_wide(nodes, 0, set(nodes[:-1]), meeting) is False


def width_of(shape):
    nodes, kernel = nodes_of(shape)
    return Width(nodes, set(), {kernel: len(nodes)}), kernel


def test_where_only_threads_would_gain_calls_are_watched_for_a_while(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(pace, "perf_counter", lambda: now[0])
    seconds = (MEETING + THREAD_MEETING) / 5  # too short for processes
    width, kernel = width_of(stencil)
    assert not width.is_enough(0, seconds)
    assert width.is_open
    HISTORY.tell_gil(kernel, False)
    assert width.is_enough(1, seconds)
    width, kernel = width_of(stencil)
    assert not width.is_enough(0, seconds)
    for _ in range(GIL_HOLDS):
        assert width.is_open
        HISTORY.tell_gil(kernel, True)
    assert not width.is_enough(1, seconds)
    assert not width.is_open
    width, kernel = width_of(stencil)
    assert not width.is_enough(0, seconds)
    now[0] += 2 * LONGEST_WATCH
    assert not width.is_enough(1, seconds)
    assert not width.is_open, "nobody could tell"
    assert not width.is_enough(1, 1.5 * seconds)
    assert width.is_enough(1, 10 * seconds), "nodes have become longer"


def test_new_functions_that_may_release_the_gil_by_their_code_are_watched_first(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(pace, "perf_counter", lambda: now[0])
    width, kernel = width_of(chains)
    assert not width.is_enough(0, 1e-3)
    assert width.is_open
    now[0] += 2 * LONGEST_WATCH
    assert width.is_enough(1, 1e-3), "nobody could tell"
    width, kernel = width_of(chains)
    assert not width.is_enough(0, 1e-3)
    HISTORY.let_hold(kernel)
    assert width.is_enough(1, 1e-3)
    HISTORY.let_hold(kernel)
    assert HISTORY.holds_gil(kernel)


def test_what_takes_long_to_copy_is_for_threads_alone():
    width, kernel = width_of(chains)
    kernel.code = None  # nothing is known of it
    assert width.is_enough(0, 1e-3)
    COSTS.learn(kernel, 200_000, 1e-3, 200_000)
    width.is_open = False
    assert not width.is_enough(0, 1e-3)
    assert width.is_open
    HISTORY.tell_gil(kernel, False)
    assert width.is_enough(0, 1e-3)
    COSTS.learn(kernel, 4_000_000, 1e-3, 4_000_000)
    COSTS.learn(kernel, 4_000_000, 1e-3, 4_000_000)
    assert not width.is_enough(1, 1e-3), "memory that is new takes time in threads, too"
