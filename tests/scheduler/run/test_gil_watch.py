"""Which functions are called alone, so that it shows if they hold the GIL."""

from __future__ import annotations

import pytest

import weftwork as tf
from weftwork.actors.processes.ticker import Reading
from weftwork.scheduler.compile.lowering import lower
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.run.frontier import Frontier
from weftwork.scheduler.run.gil_watch import GilWatch

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
