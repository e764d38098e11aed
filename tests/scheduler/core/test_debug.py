"""ConfigProto(debug=True): everything runs in the thread that asks for it, so breakpoints work."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback

import pytest

import weftwork as tf


@pytest.fixture
def session(graph):
    with tf.Session(config=tf.ConfigProto(debug=True, operation_timeout_in_ms=50)) as session:
        yield session


def where():
    """The process and the thread that it is called in."""
    return os.getpid(), threading.get_ident()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"isolated": True},
        {"timeout": 0.001},
        {"num_gpus": 8},
        {"resources": {"nothing": 1}},
        {"label_selector": {"place": "nowhere"}},
    ],
)
def test_everything_runs_here_whatever_it_asks_for(options, session):
    with tf.device("/gpu:7"):
        node = tf.op(**options)(where)()
    for _ in range(5):
        assert session.run(node) == where()


def test_nodes_run_one_after_another_in_the_order_of_creation(session):
    seen = []

    def note(n, *after):
        seen.append(n)
        return n

    nodes = [tf.op(note)(n) for n in range(30)]
    after = [tf.op(note)(n + 30, node) for n, node in enumerate(nodes)]
    session.run([*after, *nodes])
    assert seen == list(range(60))


def test_branches_and_loops_run_here_too(session):
    seen = []

    def body(n):
        seen.append(where())
        return n + 1

    loop = tf.while_loop(lambda n: n < 5, lambda n: tf.op(dtype=tf.int32, shape=[])(body)(n), [0])
    branch = tf.cond(tf.constant(True), lambda: tf.op(isolated=True)(where)(), lambda: tf.op(where)())
    assert session.run([loop, branch]) == [5, where()]
    assert seen == [where()] * 5


def test_no_time_limit_holds_while_somebody_looks_around(session):
    slow = tf.op(timeout=0.01)(lambda: time.sleep(0.2))()
    assert session.run(slow, options=tf.RunOptions(timeout_in_ms=20)) is None


def test_a_breakpoint_is_reached_in_the_thread_that_called_run(session, monkeypatch):
    reached = []
    monkeypatch.setattr(sys, "breakpointhook", lambda: reached.append((where(), sys._getframe(1).f_locals["n"])))

    def looks(n):
        breakpoint()
        return n

    assert session.run(tf.op(looks)(tf.constant(3))) == 3
    assert reached == [(where(), 3)]


def test_the_cause_of_an_error_has_the_frames_of_the_function(session):
    def inner(n):
        raise KeyError(n)

    def outer(n):
        inner(n)

    with pytest.raises(tf.errors.UnknownError) as caught:
        session.run(tf.op(isolated=True)(outer)(tf.constant(3)))
    cause = caught.value.__cause__
    assert [frame.name for frame in traceback.extract_tb(cause.__traceback__)][-2:] == ["outer", "inner"]


def test_a_session_that_runs_elsewhere_cannot_be_debugged(graph):
    with pytest.raises(ValueError, match="named session"):
        tf.Session(config=tf.ConfigProto(debug=True, name="elsewhere"))
    with pytest.raises(ValueError, match="server"):
        tf.Session("grpc://localhost:1", config=tf.ConfigProto(debug=True))
    with tf.Session(config=tf.ConfigProto(debug=True, name="mine", isolate_session_state=True)) as session:
        assert session.run(tf.op(where)()) == where()
