"""Which functions are called alone, so that it shows if they hold the GIL."""

from __future__ import annotations

import pytest

import weftwork as tf
from weftwork.actors.processes.ticker import Reading
from weftwork.scheduler.compile.lowering import lower
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.policy import CROWD_RUNS, WATCH_CALLS, WATCH_REST, WATCH_ROUND
from weftwork.scheduler.sharing import gil_watch
from weftwork.scheduler.sharing.frontier import Frontier
from weftwork.scheduler.sharing.gil_watch import GilWatch

SECONDS = 0.1
UNCLEAR = Reading(free=0.03, ran=0.01, busy=0.04, queued=0.0)
"""A call that has neither computed nor waited for most of its time."""
HELD = Reading(free=0.0, ran=0.0, busy=0.1, queued=0.0)


@pytest.mark.parametrize(("read", "verdict"), [(UNCLEAR, None), (HELD, True)])
def test_a_suspect_is_called_alone_until_it_is_known_however_long_others_beside_it_took(read, verdict):
    function = tf.op(lambda: None)
    with tf.Graph().as_default():
        flow = lower([function()], [])
    watch = GilWatch(flow, Frontier(flow, [None]))
    watch.learn(0, SECONDS, read, alone=False)
    for _ in range(3):
        watch.learn(0, SECONDS, read, alone=False)
        assert watch.suspects(0)
    watch.learn(0, SECONDS, read, alone=True)
    watch.learn(0, SECONDS, read, alone=True)
    assert watch.suspects(0)
    watch.learn(0, SECONDS, read, alone=True)
    assert not watch.suspects(0)
    assert HISTORY.holds_gil(function.kernel) is verdict


WAITS = Reading(free=0.01, ran=0.0, busy=0.05, queued=0.0)
"""A call that waits half of its time for the GIL."""
SLEEPS = Reading(free=0.05, ran=0.0, busy=0.05, queued=0.0)
"""One that waits as long for something else."""
QUEUED = Reading(free=0.01, ran=0.0, busy=0.05, queued=0.05)
"""One that waits for a core."""


@pytest.mark.parametrize(("read", "holds"), [(WAITS, True), (SLEEPS, False), (QUEUED, False), (HELD, False)])
@pytest.mark.parametrize("others", [0, 1])
def test_a_function_whose_calls_wait_for_each_other_counts_as_one_that_holds_the_gil(read, holds, others):
    """It is not known who keeps its calls waiting if there is a second function."""
    functions = [tf.op(lambda: None) for _ in range(1 + others)]
    with tf.Graph().as_default():
        flow = lower([function() for function in functions], [])
    HISTORY.tell_gil(functions[0].kernel, False)
    watch = GilWatch(flow, Frontier(flow, [None] * len(functions)))
    node = flow.kernels.index(functions[0].kernel)
    with watch.watching(True):
        changed = [watch.take(node, SECONDS, read, wanted=True, alone=False) for _ in range(3)]
    crowding = holds and not others
    assert changed == [False, crowding, False]
    assert HISTORY.holds_gil(functions[0].kernel) is crowding
    HISTORY.tell_gil(functions[0].kernel, False)  # as a worker sees it, where nothing runs beside it
    assert HISTORY.holds_gil(functions[0].kernel) is crowding


@pytest.mark.parametrize(("runs", "holds"), [(CROWD_RUNS, False), (CROWD_RUNS - 1, True)])
def test_calls_that_are_never_beside_each_other_are_not_watched_for_ever(runs, holds):
    function = tf.op(lambda: None)
    with tf.Graph().as_default():
        flow = lower([function()], [])
    HISTORY.tell_gil(function.kernel, False)
    for number in range(runs + 1):
        watch = GilWatch(flow, Frontier(flow, [None]))
        with watch.watching(True):
            for _ in range(3):
                watch.take(0, SECONDS, WAITS, wanted=True, alone=number < runs)
    assert HISTORY.holds_gil(function.kernel) is holds


def test_short_calls_that_tell_nothing_are_watched_in_rounds(monkeypatch):
    now = 0.0
    monkeypatch.setattr(gil_watch, "monotonic", lambda: now)
    functions = [tf.op(lambda: None) for _ in range(2)]
    with tf.Graph().as_default():
        flow = lower([function() for function in functions], [])
    watch = GilWatch(flow, Frontier(flow, [None, None]))
    kernel = flow.kernels[0]
    short = Reading(free=3e-6, ran=0.0, busy=4e-6, queued=0.0)
    with watch.watching(True):
        for _ in range(WATCH_CALLS - 1):
            assert not watch.take(0, 1e-5, short, watch.wants(0), alone=True)
        now += 1.1 * WATCH_ROUND
        assert watch.wants(0) == 1  # there were few calls
        watch.take(0, 1e-5, short, wanted=1, alone=True)
        assert watch.wants(0) == 0
        now += 0.9 * WATCH_REST
        assert watch.wants(0) == 0
        now += 0.2 * WATCH_REST
        assert watch.wants(0) == 2
        for wanted in (0, 1):  # calls of the rest, and of the round before it
            for _ in range(9):
                assert not watch.take(0, SECONDS, HELD, wanted, alone=True)
        assert HISTORY.holds_gil(kernel) is None
        assert any([watch.take(0, SECONDS, HELD, 2, alone=True) for _ in range(9)])
    assert watch.wants(0) == 0
    assert HISTORY.holds_gil(kernel) is True


@pytest.mark.parametrize("others", [0, 1])
def test_nothing_is_watched_once_all_is_known(monkeypatch, others):
    users: list[int] = []
    monkeypatch.setattr(gil_watch.TICKER, "start", lambda: users.append(1))
    monkeypatch.setattr(gil_watch.TICKER, "stop", lambda: users.append(-1))
    functions = [tf.op(lambda: None) for _ in range(1 + others)]
    with tf.Graph().as_default():
        flow = lower([function() for function in functions], [])
    watch = GilWatch(flow, Frontier(flow, [None] * len(functions)))
    with watch.watching(True):
        for node in range(len(functions)):
            assert sum(users) == 1
            for _ in range(9):
                watch.take(node, SECONDS, HELD, watch.wants(node), alone=True)
        assert sum(users) == 0
    assert sum(users) == 0
    assert all(HISTORY.holds_gil(function.kernel) for function in functions)
