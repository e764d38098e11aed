"""Functions of which calls beside each other show that they gain little from threads."""

from __future__ import annotations

import pytest

import weftwork as tf
from weftwork.actors.processes.ticker import TICKER, Reading
from weftwork.scheduler.compile.lowering import lower
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.policy import CROWD_RUNS
from weftwork.scheduler.sharing.frontier import Frontier
from weftwork.scheduler.sharing.gil_watch import GilWatch

SECONDS = 0.1
HELD = Reading(free=0.0, locked=0.1, looked=0.0, ran=0.0, slept=0.0, busy=0.1, queued=0.0)


WAITS = HELD._replace(free=0.01, busy=0.05)
"""A call that waits half of its time for the GIL."""
SLEEPS = HELD._replace(free=0.05, busy=0.05)
"""One that waits as long for something else."""
QUEUED = HELD._replace(free=0.01, busy=0.05, queued=0.05)
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


def test_of_several_functions_that_release_the_gil_each_is_judged_by_its_own_calls():
    functions = [tf.op(lambda: None) for _ in range(2)]
    with tf.Graph().as_default():
        flow = lower([function() for function in functions], [])
    for function in functions:
        HISTORY.tell_gil(function.kernel, False)
    watch = GilWatch(flow, Frontier(flow, [1e-3] * 2))
    with watch.watching(False):
        for node in range(2):
            assert not watch.wants(node)
            changed = [watch.take(node, SECONDS, (WAITS, HELD)[node], wanted=False, alone=False) for _ in range(3)]
            assert changed == [False, node == 0, False]
    assert [HISTORY.holds_gil(function.kernel) for function in functions] == [True, False]


def crowd_of(reads):
    """Whether a function counts as one that holds the GIL after these readings of calls beside each other."""
    function = tf.op(lambda: None)
    with tf.Graph().as_default():
        flow = lower([function()], [])
    HISTORY.tell_gil(function.kernel, False)
    watch = GilWatch(flow, Frontier(flow, [None]))
    with watch.watching(True):
        for read in reads:
            watch.take(0, SECONDS, read, wanted=True, alone=False)
            watch.seconds_alone(0, SECONDS, read, helped=True)
    return HISTORY.holds_gil(function.kernel)


def test_what_a_function_waits_for_that_has_computed_all_through_a_call_is_the_gil():
    """A thread takes a while to wake up, and nobody has the GIL meanwhile."""
    assert not crowd_of([SLEEPS] * 3)
    assert crowd_of([HELD, SLEEPS, SLEEPS, SLEEPS]) is False, "they wait for too little in all"
    assert crowd_of([HELD._replace(queued=0.04, busy=0.05), *[SLEEPS] * 3]) is True


def test_calls_for_which_there_were_no_cores_tell_nothing():
    assert crowd_of([QUEUED] * 5) is False
    assert crowd_of([*[QUEUED] * 5, WAITS, WAITS, WAITS]) is True


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


@pytest.mark.parametrize("others", [0, 1])
def test_nothing_is_watched_once_all_is_known(monkeypatch, others):
    users: list[int] = []
    monkeypatch.setattr(TICKER, "start", lambda: users.append(1))
    monkeypatch.setattr(TICKER, "stop", lambda: users.append(-1))
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
