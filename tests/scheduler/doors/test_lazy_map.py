"""`weftwork.map`: a function over more than fits into memory."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time

import pytest

import weftwork as tf
from tests.waiting import LONG


def square(x):
    """x squared."""
    if x == 7:
        try:
            return {}[x]
        except KeyError:
            raise ValueError("not with 7")  # noqa: B904
    return x * x


async def later(x):
    """Like `square`, after a moment."""
    await asyncio.sleep(0.001 * (x % 3))
    return square(x)


WAYS = [square, later, tf.op(square), tf.op(later), tf.op(retries=1)(square)]
IDS = ["function", "coroutine", "op", "coroutine op", "op with options"]


def counted(taken):
    """An endless source that records what was taken from it."""
    for number in itertools.count(8):
        taken.append(number)
        yield number


@pytest.mark.parametrize("function", WAYS, ids=IDS)
def test_results_come_in_order_and_no_more_is_taken_than_the_window(function):
    """From an endless source too; an error is raised in its place, as it was."""
    taken: list = []
    results = iter(tf.map(function, counted(taken), window=5))
    assert [next(results) for _ in range(20)] == [n * n for n in range(8, 28)]
    assert len(taken) <= 25
    results.close()
    results = iter(tf.map(function, range(5, 12)))
    assert [next(results), next(results)] == [25, 36]
    with pytest.raises(ValueError, match="not with 7") as raised:
        next(results)
    assert type(raised.value.__context__) is KeyError


@pytest.mark.parametrize("function", [square, later], ids=IDS[:2])
def test_async_for_takes_async_sources_too(function):
    async def source():
        for number in range(6):
            await asyncio.sleep(0)
            yield number

    async def main():
        mapped = tf.map(function, source(), window=2)
        return [r async for r in mapped], [r async for r in tf.map(function, range(3))]

    assert asyncio.run(main()) == ([0, 1, 4, 9, 16, 25], [0, 1, 4])
    with pytest.raises(TypeError, match="needs `async for`"):
        list(tf.map(function, source()))


def test_an_error_of_the_items_comes_after_the_results_of_those_before_it():
    def source():
        yield from (1, 2, 3)
        raise OSError("no more lines")

    async def later_source():
        for item in source():
            yield item

    async def main():
        async for result in tf.map(square, later_source(), window=2):
            came.append(result)

    came: list = []
    for read in (lambda: came.extend(tf.map(square, source(), window=9)), lambda: asyncio.run(main())):
        came.clear()
        with pytest.raises(OSError, match="no more lines"):
            read()
        assert came == [1, 4, 9]


@pytest.mark.parametrize("function", [square, later], ids=IDS[:2])
def test_a_source_may_wait_for_the_results(function):
    """With async for. In a plain loop, results are at least not held back until a slow source has filled the window."""

    async def source(results):
        yield 2
        while (item := await results.get()) < 100:
            yield item

    async def main():
        results: asyncio.Queue = asyncio.Queue()
        came = []
        async for result in tf.map(function, source(results), window=50):
            came.append(result)
            results.put_nowait(result)
        return came

    assert asyncio.run(asyncio.wait_for(main(), LONG)) == [4, 16, 256]
    slowly = itertools.chain.from_iterable([k] for k in range(8, 1000) if not time.sleep(0.002))
    results = iter(tf.map(function, slowly, window=990))
    assert next(results) == 64
    assert next(slowly) < 999
    results.close()


def stops(_):
    """Raises StopIteration."""
    next(iter(()))


@pytest.mark.parametrize("function", [stops, tf.op(stops), tf.op(retries=1)(stops)], ids=[IDS[0], IDS[2], IDS[4]])
def test_a_stop_iteration_of_the_function_does_not_end_the_loop(function):
    """As in a generator (PEP 479)."""

    async def main():
        return [result async for result in tf.map(function, [1])]

    for read in (lambda: list(tf.map(function, [1])), lambda: asyncio.run(asyncio.wait_for(main(), LONG))):
        with pytest.raises(RuntimeError, match="StopIteration") as raised:
            read()
        assert isinstance(raised.value.__cause__, StopIteration)


def test_coroutines_wait_beside_each_other_and_who_leaves_ends_them():
    begun, ended = threading.Event(), threading.Event()
    waiting, most = 0, 0

    async def wait(seconds):
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        try:
            if seconds > 1:
                begun.set()
            await asyncio.sleep(seconds)
        finally:
            waiting -= 1
            if seconds > 1:
                ended.set()
        return seconds

    assert list(tf.map(wait, [0.05] * 100)) == [0.05] * 100
    assert most > 8
    for result in tf.map(wait, [0, LONG, LONG], window=2):
        assert result == 0
        assert begun.wait(LONG)
        break
    assert ended.wait(LONG)


def test_wrong_arguments_are_refused_at_once():
    for window in (0, -1, 2.5, True):
        with pytest.raises((TypeError, ValueError), match="window must be"):
            tf.map(square, [], window=window)
    with pytest.raises(TypeError, match="takes an iterable, not 3"):
        tf.map(square, 3)
    with pytest.raises(TypeError, match="takes a function"):
        tf.map(3, [])
    with pytest.raises(ValueError, match="has limits, which a session sets"):
        tf.map(tf.op(limits={"api": 1})(later), [])
