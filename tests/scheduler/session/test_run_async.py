"""`await session.run_async(...)`: a run as a coroutine sees it."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

import weftwork as tf
from tests.waiting import LONG, until


def test_coroutines_get_what_run_gives_while_the_loop_goes_on(graph):
    x = tf.placeholder(tf.int32)
    y = {"square": x * x, "more": [x + 1]}

    async def main(session):
        return await asyncio.gather(*[session.run_async(y, {x: n}) for n in range(20)])

    with tf.Session() as session:
        assert asyncio.run(main(session)) == [{"square": n * n, "more": [n + 1]} for n in range(20)]


def test_other_tasks_run_meanwhile(graph):
    wait = tf.op(time.sleep)(0.5)
    beats = []

    async def beat():
        while True:
            beats.append(time.monotonic())
            await asyncio.sleep(0.01)

    async def main(session):
        heart = asyncio.create_task(beat())
        await session.run_async(wait)
        heart.cancel()

    with tf.Session() as session:
        asyncio.run(main(session))
    assert len(beats) > 5


def test_errors_are_those_of_run(graph):
    x = tf.placeholder(tf.int32)
    broken = tf.op(lambda value: [][value])(x)

    async def main(session, feeds):
        await session.run_async(broken, feeds)

    with tf.Session() as session:
        with pytest.raises(tf.errors.OpError) as raised:
            asyncio.run(main(session, {x: 3}))
        assert isinstance(raised.value.__cause__, IndexError)
        with pytest.raises(TypeError):
            asyncio.run(main(session, [3]))
    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(main(session, {x: 3}))


def test_a_cancelled_task_cancels_its_run_which_changes_nothing(graph):
    counter = tf.Variable(0)
    with tf.control_dependencies([tf.assign_add(counter, 1)]):
        hang = tf.op(time.sleep)(2 * LONG)

    async def main(session):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(session.run_async(hang), 0.3)
        return await session.run_async(counter)

    with tf.Session(config=tf.ConfigProto(cancel_grace_in_ms=100)) as session:
        session.run(counter.initializer)
        start = time.monotonic()
        assert asyncio.run(main(session)) == 0
        assert time.monotonic() - start < LONG


def test_a_session_that_closes_cancels_who_waits(graph):
    hang = tf.op(time.sleep)(2 * LONG)

    async def main(session):
        waiting = asyncio.create_task(session.run_async(hang))
        while not session.waiting():
            await asyncio.sleep(0.01)
        await asyncio.to_thread(session.close)
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main(tf.Session(config=tf.ConfigProto(cancel_grace_in_ms=100))))


def test_a_loop_that_ends_takes_its_runs_with_it(graph):
    counter = tf.Variable(0)
    with tf.control_dependencies([tf.op(time.sleep)(2 * LONG)]):
        late = tf.assign_add(counter, 1)

    async def main(session):
        asyncio.create_task(session.run_async(late))
        await asyncio.sleep(0.2)

    with tf.Session(config=tf.ConfigProto(cancel_grace_in_ms=100)) as session:
        session.run(counter.initializer)
        asyncio.run(main(session))
        until(lambda: not session.waiting())  # its function is ended after the grace time
        assert session.run(counter) == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("given_up", [True, False], ids=["given up", "kept"])
def test_a_loop_that_is_closed_under_a_run_ends_it(graph, caplog, given_up):
    """Whether or not the program gives up the coroutine, too. Nothing is logged, and nothing goes on."""
    counter = tf.Variable(0)
    begun, ended = threading.Event(), threading.Event()

    def wait():
        begun.set()
        try:
            for _ in range(100 * LONG):  # in steps: what cannot be ended in a thread is warned of
                time.sleep(0.01)
        finally:
            ended.set()

    with tf.control_dependencies([tf.op(wait, here=True)()]):
        late = tf.assign_add(counter, 1)
    with tf.Session(config=tf.ConfigProto(cancel_grace_in_ms=100)) as session:
        session.run(counter.initializer)
        loop = asyncio.new_event_loop()
        waiting = session.run_async(late)
        task = loop.create_task(waiting)
        threading.Thread(target=lambda: (begun.wait(LONG), loop.call_soon_threadsafe(loop.stop))).start()
        loop.run_forever()
        loop.close()
        task._log_destroy_pending = False  # what this test is about
        if given_up:
            del task
            waiting.close()
        assert ended.wait(LONG)
        until(lambda: not session.waiting())
        assert session.run(counter) == 0
    assert caplog.records == []


def test_threads_that_waited_for_many_runs_at_once_end_with_them(graph):
    @tf.op
    async def wait(x):
        await asyncio.sleep(0.2)
        return x

    x = tf.placeholder(tf.int32)
    y = wait(x)

    async def main(session):
        return await asyncio.gather(*[session.run_async(y, {x: n}) for n in range(100)])

    before = threading.active_count()
    with tf.Session() as session:
        assert asyncio.run(main(session)) == list(range(100))
    until(lambda: threading.active_count() <= before + 40, 20)
