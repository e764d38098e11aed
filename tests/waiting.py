"""Waiting for something that another thread or process does, for tests that get no notice of it."""

from __future__ import annotations

import time

LONG = 300
"""Seconds that something may take, or would, which a test waits for or ends: a limit against hangs, and no measure.
Whole machines stand still for a minute now and then."""


def until(condition, seconds: float = LONG) -> None:
    """Return once `condition()` is true; AssertionError when that takes longer than `seconds`."""
    end, pause = time.monotonic() + seconds, 1e-4
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(pause)
        pause = min(2 * pause, 0.005)
