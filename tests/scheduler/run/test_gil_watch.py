"""Which functions are called alone, so that it shows if they hold the GIL."""

from __future__ import annotations

import pytest

import weftwork as tf
from weftwork.scheduler.compile.lowering import lower
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.run.frontier import Frontier
from weftwork.scheduler.run.gil_watch import GilWatch

UNCLEAR = {"free": 0.06, "seconds": 0.1, "busy": 0.05}
"""A call that had no core for half of its time, while the GIL was free."""
HELD = {"free": 0.0, "seconds": 0.1, "busy": 0.1}


@pytest.mark.parametrize(("call", "verdict"), [(UNCLEAR, None), (HELD, True)])
def test_a_suspect_is_called_alone_until_it_is_known_however_long_others_beside_it_took(call, verdict):
    function = tf.op(lambda: None)
    with tf.Graph().as_default():
        flow = lower([function()], [])
    watch = GilWatch(flow, Frontier(flow, [None]))
    watch.learn(0, **call, alone=False)
    for _ in range(3):
        watch.learn(0, **call, alone=False)
        assert watch.suspects(0)
    watch.learn(0, **call, alone=True)
    watch.learn(0, **call, alone=True)
    assert watch.suspects(0)
    watch.learn(0, **call, alone=True)
    assert not watch.suspects(0)
    assert HISTORY.holds_gil(function.kernel) is verdict
