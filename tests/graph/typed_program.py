"""A program that pyright reads: what it says of types is asserted, and what is wrong must be found."""

# pyright: reportCallIssue=true, reportArgumentType=true, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import Any

from typing_extensions import assert_type

import weftwork as tf


@tf.op
def load(day: int) -> list[int]:
    return [day]


@tf.op
async def fetch(url: str) -> bytes:
    return url.encode()


@tf.op(retries=1)
def mean(rows: list[int], scale: float = 1.0) -> float:
    return scale * sum(rows) / len(rows)


@tf.op(outputs=2)
def split(text: str) -> tuple[str, str]:
    return text[:1], text[1:]


class Scale:
    @tf.op
    def times(self, x: int) -> str:
        return str(x)

    @tf.function
    def twice(self, x: float) -> float:
        return 2 * x


@tf.function
def report(day: int, scale: float = 1.0) -> float:
    assert_type(mean(load(day), scale), tf.Tensor[float])
    return mean(load(day))


three = tf.op(lambda: 3, name="three", retries=1)
pair = tf.op(lambda text: (text, text), outputs=2)


def right(session: tf.Session) -> None:
    """None of this is a mistake."""
    assert_type(load(3), tf.Tensor[list[int]])
    assert_type(three(), tf.Tensor[int])
    assert_type(pair("a"), list[tf.Tensor[Any]])
    assert_type(fetch("a"), tf.Tensor[bytes])
    assert_type(mean(load(3), scale=2), tf.Tensor[float])
    assert_type(Scale().times(4), tf.Tensor[str])
    assert_type(session.run(load(3)), list[int])
    assert_type(tf.run(fetch("a")), bytes)
    assert_type(report(3), float)
    assert_type(Scale().twice(3.0), float)
    first, second = split("text")
    load(3, name="node")
    session.run([load(3), {"a": first}], {second: "x"})
    tf.reduce_sum(load(3))
    mean(first + 1, second)
    assert tf.constant(1).op is not None
    assert report.trace_count == 0


def runs(session: tf.Session, day: tf.Tensor[int], name: tf.Tensor[str], step: tf.Operation) -> None:
    """A run gives the structure that was fetched, with values in it."""
    assert_type(session.run(step), None)
    assert_type(session.run([day, day]), list[int])
    assert_type(session.run((day, name)), tuple[int, str])
    assert_type(session.run((day, name, day)), tuple[int, str, int])
    assert_type(session.run({"a": day, "b": day}), dict[str, int])
    assert_type(session.run(day, {day: 3}, progress=True), int)
    assert_type(session.run(day, options=tf.RunOptions(), run_metadata=tf.RunMetadata(), copy=False), int)
    assert_type(session.submit(day).result(), int)
    assert_type(session.submit([name]).result(1.0), list[str])
    assert_type(tf.run([day]), list[int])
    assert_type(tf.run({1: name}), dict[int, str])
    assert_type([value for _, value in session.stream([name])], list[str])
    for key, value in session.stream({"a": day}):
        assert_type(key, str)
        assert_type(value, int)


async def waits(session: tf.Session, day: tf.Tensor[int]) -> None:
    assert_type(await session.run_async(day), int)
    assert_type(await session.run_async([day]), list[int])
    async for key, value in session.stream([day]):
        assert_type((key, value), tuple[int, int])


def maps() -> None:
    assert_type(list(tf.map(load, range(3))), list[list[int]])
    assert_type(list(tf.map(lambda day: str(day + 1), [1, 2])), list[str])
    assert_type(list(tf.map(fetch, ["a"])), list[bytes])
    assert_type(list(tf.map(coroutine, ["a"], window=2)), list[int])


def executes() -> None:
    with tf.Executor() as executor:
        assert_type(executor.submit(len, "a").result(), int)
        assert_type(list(executor.map(len, ["a"])), list[int])


async def coroutine(url: str) -> int:
    return len(url)


def graphs(session: tf.Session, x: tf.Tensor, day: tf.Tensor[int], name: tf.Tensor[str]) -> None:
    """What the library makes: tensors, whose values NumPy decides."""
    assert_type(tf.placeholder(tf.float32, [None], name="fed"), tf.Tensor)
    assert_type(tf.constant([1, 2]), tf.Tensor)
    assert_type(x + 1, tf.Tensor)
    assert_type(tf.contrib.layers.fully_connected(x, 3), tf.Tensor)
    assert_type(tf.cond(x > 0, lambda: x, lambda: x * 2), tf.Tensor)
    assert_type(tf.cond(x > 0, lambda: day, lambda: name), tf.Tensor[int | str])
    assert_type(tf.while_loop(lambda i: i < 3, lambda i: i + 1, [x]), tf.Tensor)
    assert_type(tf.while_loop(lambda i, s: i < 3, lambda i, s: (i + 1, s * 2), (x, x)), tuple[tf.Tensor, tf.Tensor])
    count = tf.Variable(0, name="count")
    assert_type(count, tf.Variable)
    assert_type(count.read_value(), tf.Tensor)
    assert_type(session.run(count), Any)
    assert_type(session.run([count]), list[Any])
    assert_type(count + 1, tf.Tensor)
    load(count)


def wrong() -> None:
    """Each line is one: were pyright not to find it, it would find the comment needless."""
    load("x")  # pyright: ignore[reportArgumentType]
    load()  # pyright: ignore[reportCallIssue]
    fetch(3)  # pyright: ignore[reportArgumentType]
    mean(load(3), "x")  # pyright: ignore[reportArgumentType]
    Scale().times("x")  # pyright: ignore[reportArgumentType]
    report("x")  # pyright: ignore[reportArgumentType]
    tf.contrib.layers.flatten()  # pyright: ignore[reportCallIssue]
    list(tf.map(load, ["x"]))  # pyright: ignore[reportCallIssue, reportArgumentType]
    tf.run(load(3), progres=True)  # pyright: ignore[reportCallIssue]
