"""The places in which a function may run, so that each rule is tested in all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import weftwork as tf

PLACES = ["caller", "thread", "task", "resident", "dynamic", "actor", "auto", "isolated"]
"""Values of `ConfigProto(placement=...)`, and "isolated" for functions that never run in the caller's process."""
WITH_RAY = {"task", "actor", "auto", "isolated"}
"""Places that may be processes of Ray's. A test with such a `place` takes `ray_session`; with another one only if it
names it as an argument, because what it does there needs Ray."""
RUNS = {"auto": 45}
"""Runs after which each way was tried: where the place is given, four show as much."""


@contextmanager
def session_in(place: str, **options: Any) -> Iterator[tf.Session]:
    """A session whose nodes run in one place. options: others of its `ConfigProto`."""
    placement = "auto" if place == "isolated" else place
    with tf.Session(config=tf.ConfigProto(placement=placement, **options)) as session:
        yield session


def op_in(place: str, function: Callable, **options: Any) -> Any:
    """A function as a node for a place."""
    return tf.op(isolated=place == "isolated", **options)(function)


def values(place: str, function: Callable, *args: Any, runs: int | None = None, between: Any = None) -> list:
    """The results of several runs of one call of a function. between: called with the run's number before each run."""
    seen = []
    with tf.Graph().as_default():
        node = op_in(place, function)(*args)
        with session_in(place) as session:
            for run in range(runs or RUNS.get(place, 4)):
                if between is not None:
                    between(run)
                seen.append(session.run(node))
    return seen
