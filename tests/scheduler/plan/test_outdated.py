"""What had to run in the caller, one after another, no longer does once the reason is gone."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

import weftwork as tf
from tests.waiting import until

MANY = 300
"""Calls in a run that begins without a plan."""
CALLS: list[int] = []


def following(frame: Any, event: str, argument: Any) -> None:
    """A profiler that notes nothing."""


def noted(x: int) -> int:
    CALLS.append(x)
    return x


def kept(x: int) -> int:
    return x


class Helper:
    """What the function calls now."""

    used: Callable[[int], int] = kept


def where(k: int) -> int:
    Helper.used(k)
    end = time.perf_counter() + 0.0005  # worth a plan, if there are many
    while time.perf_counter() < end:
        pass
    return os.getpid()


def profiled(session: tf.Session, fetches: Any) -> set[int]:
    sys.setprofile(following)
    try:
        return set(session.run(fetches))
    finally:
        sys.setprofile(None)


def writing(session: tf.Session, fetches: Any) -> set[int]:
    Helper.used = noted
    try:
        return set(session.run(fetches))
    finally:
        Helper.used = kept


@pytest.mark.parametrize("bound", [profiled, writing])
@pytest.mark.parametrize("calls", [4, MANY])
def test_functions_leave_the_caller_again(ray_session, graph, bound, calls):
    function = tf.op(where)
    fetches = [function(k) for k in range(calls)]
    with tf.Session(config=tf.ConfigProto(placement="task") if calls == 4 else None) as session:
        for _ in range(2):
            assert bound(session, fetches) == {os.getpid()}
        until(lambda: set(session.run(fetches)) != {os.getpid()})  # workers may still be starting
