"""`session.stream`: the results of a run as they come."""

from __future__ import annotations

import asyncio
import collections
import time

import numpy as np
import pytest

import weftwork as tf


@tf.op
async def after(seconds, value=None):
    """A value that is returned later."""
    await asyncio.sleep(seconds)
    return value


def test_results_come_as_they_are_ready_and_not_in_the_order_of_the_fetches(graph):
    """The slow node waits until the loop has got the fast node's result."""
    given: list = []

    async def once_given():
        while not given:
            await asyncio.sleep(0.005)
        return "slow"

    slow, fast = tf.op(once_given)(), after(0, "fast")
    both = tf.op(lambda a, b: [a, b])(slow, fast)
    with tf.Session() as session:
        for _ in range(3):
            given.clear()
            came = []
            for key, value in session.stream({"slow": slow, "fast": fast, "nested": [fast, {"a": fast}], "both": both}):
                came.append(key)
                if key == "fast":
                    given.append(True)
                expected = {"nested": ["fast", {"a": "fast"}], "both": ["slow", "fast"]}
                assert value == expected.get(key, key)
            assert set(came[:2]) == {"fast", "nested"}
            assert set(came[2:]) == {"slow", "both"}


def test_keys_are_indexes_names_or_keys(graph):
    x = tf.placeholder(tf.float32)
    Pair = collections.namedtuple("Pair", "left right")
    step = tf.group(tf.Variable(1.0).initializer)
    with tf.Session() as session:
        for fetches, expected in (
            ([x * 2, x, x * 2], {0: 6, 1: 3, 2: 6}),
            ((x,), {0: 3}),
            (Pair(x, x + 1), {"left": 3, "right": 4}),
            (x + 1, {0: 4}),
            ({"op": step, 5: x}, {"op": None, 5: 3}),
            ([tf.constant(7)], {0: 7}),
            ([], {}),
        ):
            assert dict(session.stream(fetches, {x: 3})) == expected


@pytest.mark.parametrize("placement", ["auto", "caller", "thread", "resident", "dynamic"])
def test_results_are_those_of_run_and_the_callers_own(placement, graph):
    """Wherever nodes run; arrays may be written to, and equal ones are two."""
    work = tf.op(lambda k: np.full(3, k))
    nodes = [work(k) for k in range(6)] + [tf.constant([1.0, 2.0])] * 2
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        for _ in range(3):
            came = dict(session.stream(nodes))
            assert sorted(came) == list(range(8))
            for number, expected in enumerate(session.run(nodes)):
                assert came[number].tolist() == expected.tolist()
            came[6][0] = 9
            assert came[7][0] == 1


def test_what_has_come_is_given_before_the_error_and_nothing_is_written(graph):
    total = tf.Variable(0)
    with tf.Session() as session:
        session.run(total.initializer)
        bad = tf.op(lambda value: [][value])(after(0.2, 5))
        stream = session.stream({"sum": total.assign_add(1), "good": after(0, "there"), "bad": bad})
        assert dict([next(stream), next(stream)]) == {"sum": 1, "good": "there"}
        with pytest.raises(tf.errors.OpError, match="IndexError"):
            next(stream)
        assert session.run(total) == 0
        assert dict(session.stream([total.assign_add(1)])) == {0: 1}
        assert session.run(total) == 1


def test_async_for_lets_the_loop_go_on(graph):
    nodes = [after(0.02 * k, k) for k in range(5)]
    beats: list = []

    async def beat():
        while True:
            beats.append(1)
            await asyncio.sleep(0.005)

    async def main(session):
        heart = asyncio.create_task(beat())
        came = [part async for part in session.stream(nodes)]
        heart.cancel()
        return came

    with tf.Session() as session:
        assert sorted(asyncio.run(main(session))) == [(k, k) for k in range(5)]
    assert len(beats) > 3


def test_leaving_the_loop_or_cancelling_the_task_cancels_the_run(graph):
    """So does the end of a `with` block, and closing the loop. Nothing continues after that."""
    begun: list = []
    ended: list = []

    async def wait():
        begun.append(1)
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(1)

    async def first():
        while len(begun) == len(ended):
            await asyncio.sleep(0.01)

    nodes = [tf.op(first)(), tf.op(wait)()]  # the second one has begun when the first one is done

    async def cancelled(session):
        async def read():
            async for _ in session.stream(nodes):
                pass

        task = asyncio.create_task(read())
        while len(begun) < 3:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def left(session):
        async with session.stream(nodes) as stream:
            async for _ in stream:
                return

    async def broken_off(session):
        async for _ in session.stream(nodes):
            break
        until(5)

    def read_until(count):
        """A loop that waits for the first result, and is stopped meanwhile."""
        loop = asyncio.new_event_loop()

        def look():
            loop.stop() if len(begun) >= count else loop.call_later(0.01, look)

        task = loop.create_task(anext(session.stream([nodes[1]])))
        loop.call_soon(look)
        loop.run_forever()
        return loop, task

    def until(count):
        end = time.monotonic() + 20
        while len(ended) < count and time.monotonic() < end:
            time.sleep(0.01)
        assert len(ended) == count

    with tf.Session() as session:
        for _ in session.stream(nodes):
            break
        until(1)
        with session.stream(nodes) as stream:
            next(stream)
        until(2)
        asyncio.run(cancelled(session))
        until(3)
        asyncio.run(left(session))
        until(4)
        asyncio.run(broken_off(session))
        loop, task = read_until(6)
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()
        until(6)
        loop, task = read_until(7)
        loop.close()
        task._log_destroy_pending = False
        until(7)


def test_wrong_fetches_and_a_closed_session_are_refused_at_once(graph):
    x = tf.placeholder(tf.float32)
    with tf.Session() as session:
        with pytest.raises(TypeError, match="invalid type"):
            session.stream([None])
        with pytest.raises(ValueError, match="Cannot feed"):
            session.stream([tf.placeholder(tf.float32, [2])], {graph.operations[-1].outputs[0]: [1, 2, 3]})
        graph.finalize()
        assert dict(session.stream([x], {x: 1})) == {0: 1}
    with pytest.raises(RuntimeError, match="closed"):
        session.stream([x], {x: 1})


@pytest.mark.parametrize("placement", ["thread", "resident", "task", "dynamic", "actor"])
def test_results_come_from_every_place(graph, ray_session, placement):
    node = tf.op(lambda k: k + 1)
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        for _ in range(3):
            assert dict(session.stream([node(1), node(2)])) == {0: 2, 1: 3}
