"""Limits: a time limit, a cancel and the end of a session hold wherever a function runs, also in the caller.

A function in Python is struck at its next bytecode, one that waits in the main thread at once. What is in C code, and
does not come back, is left behind: the run ends all the same, and the function is not called in the caller again.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import weftwork as tf
from tests.meaning.places import PLACES, op_in, session_in
from tests.waiting import LONG, until
from weftwork.scheduler.machines import helpers

pytestmark = pytest.mark.usefixtures("ray_session")

SOON = LONG / 2
"""Seconds within which a run must have ended that was told to: it has not waited for its function, which takes `LONG`.
"""
GRACE = 200
"""Milliseconds that a run has to end once it is told to, where nothing is asked of the usual second."""


def impatient() -> tf.Session:
    """A session that does not wait long for runs which do not end."""
    return tf.Session(config=tf.ConfigProto(cancel_grace_in_ms=GRACE))


def spin(seconds: float) -> int:
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        pass
    return os.getpid()


def sleep(seconds: float) -> int:
    time.sleep(float(seconds))
    return os.getpid()


def stubborn(seconds: float) -> int:
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        try:
            time.sleep(0.01)
        except BaseException:
            if time.monotonic() > end - LONG + 1:
                raise
    return os.getpid()


def in_c(seconds: float) -> int:
    if seconds:
        ctypes.CDLL(None).poll(None, 0, int(1000 * seconds))
    return os.getpid()


def limited(session: tf.Session, node: Any, feed: dict, seconds: float = 0.3) -> float:
    """The seconds until a run was ended by its time limit."""
    start = time.monotonic()
    with pytest.raises(tf.errors.DeadlineExceededError):
        session.run(node, feed, options=tf.RunOptions(timeout_in_ms=int(1000 * seconds)))
    return time.monotonic() - start


def in_thread(work: Callable[[], Any]) -> Any:
    """The result of some work in a thread other than the main one."""
    came: list = []

    def call() -> None:
        try:
            came.append((work(), None))
        except BaseException as error:
            came.append((None, error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(LONG)
    assert came, "it does not come back"
    result, error = came[0]
    if error is not None:
        raise error
    return result


@pytest.mark.parametrize("in_main", [True, False], ids=["main", "thread"])
@pytest.mark.parametrize("function", [spin, sleep, stubborn, in_c])
def test_a_time_limit_ends_what_was_known_as_short(function, in_main):
    nap = tf.placeholder(tf.float32, [])
    node = tf.op(lambda seconds: function(float(seconds)))(nap)
    with impatient() as session:

        def work() -> float:
            for _ in range(6):
                session.run(node, {nap: 0.0})
            took = limited(session, node, {nap: LONG})
            assert session.run(node, {nap: 0.0})
            return took

        assert (work() if in_main else in_thread(work)) < SOON


@pytest.mark.parametrize("place", PLACES)
def test_a_time_limit_holds_in_every_place(ray_session, place):
    nap = tf.placeholder(tf.float32, [])
    with tf.Graph().as_default():
        nap = tf.placeholder(tf.float32, [])
        nodes = [op_in(place, sleep)(nap), op_in(place, spin)(nap)]
        with session_in(place, cancel_grace_in_ms=GRACE) as session:
            session.run(nodes, {nap: 0.0})
            assert limited(session, nodes, {nap: LONG}, 0.5) < SOON
            assert len(session.run(nodes, {nap: 0.0})) == 2


@pytest.mark.parametrize("place", PLACES)
def test_a_time_limit_holds_in_every_run(ray_session, place):
    with tf.Graph().as_default():
        nap = tf.placeholder(tf.float32, [])
        node = op_in(place, spin)(nap)
        with session_in(place, cancel_grace_in_ms=GRACE) as session:
            for run in range(45):
                if run in (0, 2, 5, 17, 44):
                    assert limited(session, node, {nap: LONG}, 0.05) < SOON
                session.run(node, {nap: 0.0}, options=tf.RunOptions(timeout_in_ms=1000 * LONG))


@pytest.mark.parametrize("function", [spin, in_c])
def test_a_future_that_is_cancelled_lets_go_of_what_is_in_the_caller(function):
    nap = tf.placeholder(tf.float32, [])
    v = tf.Variable(1)
    made = tf.op(lambda seconds: bool(function(float(seconds))))(nap)
    with tf.control_dependencies([v.assign_add(1)]):
        node = tf.identity(made)
    with impatient() as session:
        session.run(v.initializer)
        for _ in range(5):
            session.run(made, {nap: 0.0})
        future = session.submit(node, {nap: LONG})
        time.sleep(0.3)
        start = time.monotonic()
        assert future.cancel()
        with pytest.raises(tf.errors.CancelledError):
            future.result(SOON)
        session.run(v.assign_add(1))  # nobody holds it
        assert session.run(v) == 2
        assert time.monotonic() - start < SOON


@pytest.mark.parametrize("function", [spin, sleep, in_c])
@pytest.mark.parametrize("in_main", [True, False], ids=["main", "thread"])
def test_closing_a_session_ends_a_run_without_a_limit(function, in_main):
    nap = tf.placeholder(tf.float32, [])
    node = tf.op(lambda seconds: function(float(seconds)))(nap)
    session = impatient()
    for _ in range(6):
        session.run(node, {nap: 0.0})
    closed: list[float] = []

    def close() -> None:
        until(session.waiting)
        start = time.monotonic()
        session.close()
        closed.append(time.monotonic() - start)

    def run() -> None:
        with pytest.raises(tf.errors.CancelledError):
            session.run(node, {nap: LONG})

    if in_main:
        closer = threading.Thread(target=close)
        closer.start()
        run()
        closer.join()
    else:
        threading.Thread(target=run, daemon=True).start()
        close()
    assert closed[0] < SOON


def test_a_late_interrupt_never_hits_the_code_that_follows():
    nap = tf.placeholder(tf.float32, [])
    node = tf.op(lambda seconds: spin(float(seconds)))(nap)
    waiting = tf.op(lambda seconds: sleep(float(seconds)), here=True)(nap)
    ends = {"done": 0, "over": 0}
    with tf.Session() as session:
        for tensor in (node, waiting):
            for _ in range(5):
                session.run(tensor, {nap: 0.0})
            for number in range(60):
                options = tf.RunOptions(timeout_in_ms=20)
                try:
                    session.run(tensor, {nap: 0.015 + number * 0.0003}, options=options)
                    ends["done"] += 1
                except tf.errors.DeadlineExceededError:
                    ends["over"] += 1
                for _ in range(200):
                    len(str(number))  # bytecode that could be struck
        time.sleep(0.5)
    assert ends["over"]


def test_what_waits_in_the_main_thread_is_ended_at_once():
    nap = tf.placeholder(tf.float32, [])
    seen: list = []

    def wait(seconds: Any) -> bool:
        try:
            seen.append(threading.current_thread())
            return threading.Event().wait(float(seconds))
        finally:
            seen.append("left")

    node = tf.op(wait, here=True)(nap)
    with tf.Session(config=tf.ConfigProto(cancel_grace_in_ms=20_000)) as session:
        assert limited(session, node, {nap: LONG}) < SOON
    assert seen == [threading.main_thread(), "left"]


def test_handlers_of_signals_stay_the_program_s():
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    mine: list = []
    changed = signal.signal(signal.SIGURG, lambda *_: mine.append(1))
    try:
        nap = tf.placeholder(tf.float32, [])
        node = tf.op(lambda seconds: spin(float(seconds)), here=True)(nap)
        with tf.Session() as session:
            assert limited(session, node, {nap: LONG}) < SOON  # no waiting: it is struck without a signal
        assert not mine
    finally:
        signal.signal(signal.SIGURG, changed)
    with tf.Session() as session:
        session.run(tf.constant(1))
    others = {number: signal.getsignal(number) for number in signal.valid_signals() - {signal.SIGURG}}
    assert others == {number: handler for number, handler in before.items() if number != signal.SIGURG}


def test_a_function_that_did_not_return_is_not_called_in_the_caller_again():
    nap = tf.placeholder(tf.float32, [])
    node = tf.op(lambda seconds: in_c(float(seconds)))(nap)
    with impatient() as session:
        while session.run(node, {nap: 0.0}) != os.getpid():
            pass
        limited(session, node, {nap: LONG})
        assert os.getpid() not in {session.run(node, {nap: 0.0}) for _ in range(45)}
    with tf.Session() as session:  # nor in other sessions
        assert os.getpid() not in {session.run([node, tf.constant(1)], {nap: 0.0})[0] for _ in range(5)}


def test_a_function_that_holds_the_gil_is_told_of_and_not_called_in_the_caller_again(caplog):
    """Nothing can end it there: the run ends late, with the error of its limit, and later ones in time."""
    nap = tf.placeholder(tf.float32, [])

    def holds(seconds: Any) -> int:
        if seconds:
            ctypes.PyDLL(None).poll(None, 0, int(1000 * seconds))
        return os.getpid()

    node = tf.op(holds)(nap)
    with impatient() as session:
        while session.run(node, {nap: 0.0}) != os.getpid():
            pass
        limited(session, node, {nap: 2.0}, 1.0)
        assert "holds held the GIL" in caplog.text
        assert os.getpid() not in {session.run(node, {nap: 0.0}) for _ in range(45)}
        assert limited(session, node, {nap: LONG}) < SOON


@pytest.mark.parametrize("here", [False, True])
@pytest.mark.parametrize("interval", [1e-6, 10.0])
def test_a_run_that_held_the_gil_past_its_limit_has_no_result(here, interval):
    """Whichever thread gets the GIL first afterwards: the one that drives the run, or the one that ends it."""
    nap = tf.placeholder(tf.float32, [])
    node = tf.op(lambda seconds: ctypes.PyDLL(None).poll(None, 0, int(1000 * seconds)), here=here)(nap)
    before = sys.getswitchinterval()
    with tf.Session(config=tf.ConfigProto(cancel_grace_in_ms=100, placement="caller")) as session:
        session.run(node, {nap: 0.0})
        sys.setswitchinterval(interval)
        try:
            limited(session, node, {nap: 0.6})
        finally:
            sys.setswitchinterval(before)


def test_a_large_graph_that_is_called_without_a_plan_keeps_its_limit():
    nap = tf.placeholder(tf.float32, [])
    node = tf.op(lambda seconds: spin(float(seconds)))
    nodes = [node(nap) for _ in range(60)]
    with tf.Session() as session:
        session.run(nodes, {nap: 0.0})
        assert limited(session, nodes, {nap: LONG}) < SOON
        assert len(session.run(nodes, {nap: 0.0})) == 60


def test_a_run_inside_of_a_function_ends_with_the_run_around_it():
    nap = tf.placeholder(tf.float32, [])

    def outer(seconds: Any) -> int:
        with tf.Graph().as_default(), tf.Session() as inner:
            return inner.run(tf.op(lambda: spin(float(seconds)), here=True)())

    node = tf.op(outer)(nap)
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        session.run(node, {nap: 0.0})
        assert limited(session, node, {nap: LONG}, 0.5) < SOON


def test_ctrl_c_at_the_start_of_a_run_ends_it_as_well(monkeypatch):
    """It comes when a thread has just been given the run."""

    def borrow(count: int) -> list:
        class Struck:
            def put(self, job: Any) -> None:
                helpers.borrow(1)[0].put(job)
                until(lambda: seen)
                raise KeyboardInterrupt

        return [Struck()]

    seen: list = []

    def wait() -> None:
        seen.append("began")
        try:
            while time.sleep(0.01) is None:
                pass
        finally:
            seen.append("left")

    monkeypatch.setattr("weftwork.scheduler.run.limits.borrow", borrow)
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session, pytest.raises(KeyboardInterrupt):
        session.run(tf.op(wait)(), options=tf.RunOptions(timeout_in_ms=1000 * LONG))
    until(lambda: seen == ["began", "left"])


def test_a_context_variable_that_a_function_sets_stays_set_under_a_limit():
    import contextvars

    variable = contextvars.ContextVar("variable", default=0)
    node = tf.op(lambda: variable.set(variable.get() + 1) and None)()
    with tf.Session(config=tf.ConfigProto(placement="caller", operation_timeout_in_ms=1000 * LONG)) as session:
        for _ in range(3):
            session.run(node)
    assert variable.get() == 3


def test_a_run_that_was_stopped_is_held_by_nobody(ray_session):
    def wait():
        time.sleep(LONG)

    session = tf.Session(config=tf.ConfigProto(placement="caller"))
    with pytest.raises(tf.errors.DeadlineExceededError):
        session.run(tf.op(wait)(), options=tf.RunOptions(timeout_in_ms=300))
    gone = weakref.ref(session)
    gc.disable()
    try:
        session.close()
        del session
        until(lambda: gone() is None)
    finally:
        gc.enable()
