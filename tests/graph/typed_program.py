"""A program that pyright reads: what it says of types is asserted, and what is wrong must be found."""

# pyright: reportCallIssue=true, reportArgumentType=true, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

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


def right(session: tf.Session) -> None:
    """None of this is a mistake."""
    assert_type(load(3), tf.Tensor[list[int]])
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


def wrong() -> None:
    """Each line is one: were pyright not to find it, it would find the comment needless."""
    load("x")  # pyright: ignore[reportArgumentType]
    load()  # pyright: ignore[reportCallIssue]
    fetch(3)  # pyright: ignore[reportArgumentType]
    mean(load(3), "x")  # pyright: ignore[reportArgumentType]
    Scale().times("x")  # pyright: ignore[reportArgumentType]
    report("x")  # pyright: ignore[reportArgumentType]
