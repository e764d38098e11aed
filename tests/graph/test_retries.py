"""When a function that has raised is called again."""

from __future__ import annotations

import logging
import random
import time

import pytest

import weftwork as tf
from tests.meaning.places import PLACES, op_in, session_in
from tests.waiting import LONG
from weftwork.graph.interchange.native import dumps, loads


def flaky(folder, times):
    """A function that fails so many times, as a file counts."""

    def function(kind):
        path = folder / "calls"
        calls = int(path.read_text()) + 1 if path.exists() else 1
        path.write_text(str(calls))
        if calls <= times:
            raise kind(f"call {calls}")
        return calls

    return function


def test_waits_grow_up_to_the_longest():
    assert list(tf.Retry(5, delay=0.1, backoff=3.0, longest=1.0).waits()) == pytest.approx([0.1, 0.3, 0.9, 1.0, 1.0])
    assert list(tf.Retry(2).waits()) == [0.0, 0.0]
    assert list(tf.Retry(0, delay=1.0).waits()) == []


def test_jitter_makes_a_wait_longer_or_shorter_and_moves_no_generator_of_the_program():
    random.seed(1)
    state = random.getstate()
    waits = [wait for _ in range(100) for wait in tf.Retry(1, delay=1.0, jitter=0.5).waits()]
    assert 0.5 <= min(waits) < 0.8
    assert 1.2 < max(waits) <= 1.5
    assert random.getstate() == state


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"times": -1}, "an integer"),
        ({"times": 1.5}, "an integer"),
        ({"times": True}, "an integer"),
        ({"delay": -0.1}, "delay must be a number of at least 0"),
        ({"delay": float("nan")}, "delay must be"),
        ({"delay": "1"}, "delay must be"),
        ({"backoff": 0.5}, "backoff must be a number of at least 1"),
        ({"longest": float("inf")}, "longest must be"),
        ({"jitter": 1.1}, "jitter must be a number from 0 to 1"),
        ({"on": 3}, "on must be a subclass of Exception"),
        ({"on": ()}, "on must be"),
        ({"on": (OSError, KeyboardInterrupt)}, "on must be"),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_said(options, error):
    with pytest.raises((ValueError, TypeError), match=error):
        tf.Retry(**{"times": 1, **options})


@pytest.mark.parametrize("place", PLACES)
def test_a_function_is_called_again_after_the_errors_that_are_worth_it(place, graph, ray_session, tmp_path, caplog):
    retry = tf.Retry(3, delay=0.05, on=(ConnectionError, TimeoutError))
    caplog.set_level(logging.INFO, "weftwork")
    with session_in(place) as session:
        node = op_in(place, flaky(tmp_path, 2), retries=retry)(TimeoutError)
        begin = time.monotonic()
        assert session.run(node) == 3
        told = [(e.ops, e.attempt, e.text) for e in session.events() if e.kind == "retried"]
        assert told == [((node.op,), attempt, f"TimeoutError: call {attempt - 1}") for attempt in (2, 3)]
        assert time.monotonic() - begin >= 0.15
        said = [record.getMessage() for record in caplog.records if "Try" in record.getMessage()]
        assert said == [
            "function failed with TimeoutError: call 1. Try 2 of 4 follows in 0.05 s.",
            "function failed with TimeoutError: call 2. Try 3 of 4 follows in 0.1 s.",
        ]
        (tmp_path / "calls").unlink()
        with pytest.raises(tf.errors.InvalidArgumentError, match="call 1"):
            session.run(op_in(place, flaky(tmp_path, 2), retries=retry)(ValueError))


@pytest.mark.parametrize("place", ["caller", "auto", "resident", "task"])
def test_a_wait_ends_with_the_time_limit_of_the_run(place, graph, ray_session, tmp_path):
    retry = tf.Retry(3, delay=2.0 * LONG)
    with session_in(place) as session:
        warm = op_in(place, flaky(tmp_path, 0))(ValueError)
        session.run(warm)
        (tmp_path / "calls").unlink()
        begin = time.monotonic()
        with pytest.raises(tf.errors.DeadlineExceededError):
            session.run(
                op_in(place, flaky(tmp_path, 5), retries=retry)(ValueError), options=tf.RunOptions(timeout_in_ms=500)
            )
        assert time.monotonic() - begin < LONG
        assert session.run(warm) == 2


def test_a_cancelled_run_does_not_wait(graph, tmp_path):
    node = tf.op(retries=tf.Retry(3, delay=60.0))(flaky(tmp_path, 5))(ValueError)
    with tf.Session() as session:
        future = session.submit(node)
        while not (tmp_path / "calls").exists():
            time.sleep(0.01)
        assert future.cancel()
        with pytest.raises(tf.errors.CancelledError):
            future.result(30)


def test_functions_with_equal_policies_are_one_kernel_and_a_policy_goes_through_a_graph_file(graph):
    one, two = [tf.op(retries=tf.Retry(2, delay=0.1))(flaky) for _ in range(2)]
    assert one.kernel is two.kernel
    kernel = tf.op(retries=tf.Retry(2, on=(OSError, tf.errors.AbortedError)))(flaky).kernel
    again = loads(dumps({"kernel": kernel, "traits": one._traits}), functions=True)
    assert again["kernel"].retries == kernel.retries
    assert again["traits"] == one._traits
