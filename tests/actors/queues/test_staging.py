"""Staging areas: what one run puts in, a later one takes out, in order or by key."""

from __future__ import annotations

import pytest

import weftwork as tf
from tests.waiting import LONG

staging = tf.contrib.staging


@pytest.fixture
def session(graph):
    with tf.Session() as session:
        yield session


def test_a_run_uses_what_the_run_before_has_put(session):
    area = staging.StagingArea([tf.float32], shapes=[[]], capacity=2)
    x = tf.placeholder(tf.float32, [])
    put, (taken,), (second,) = area.put([2 * x]), area.get(), area.peek(1)
    size, clear = area.size(), area.clear()
    assert [put.name, put.type] == ["StagingArea_put", "Stage"]
    assert [taken.op.name, taken.op.type] == ["StagingArea_get", "Unstage"]
    session.run(put, {x: -1.0})
    assert [session.run([put, taken], {x: i})[1] for i in range(3)] == [-2.0, 0.0, 2.0]
    session.run(put, {x: 7.0})
    assert session.run([size, second]) == [2, 14.0]
    waiting = session.submit(put, {x: 9.0})  # there is room for two
    assert session.run(taken) == 4.0
    waiting.result(LONG)
    assert [session.run(taken), session.run(taken)] == [14.0, 18.0]
    session.run(put, {x: 1.0})
    session.run(clear)
    assert session.run(size) == 0


def test_a_get_that_is_given_up_takes_nothing_and_holds_up_nobody(session):
    area = staging.MapStagingArea([tf.int32])
    put, (_, (late,)), (_, (soon,)) = area.put(5, [tf.constant(50)], [0]), area.get(4), area.get(5)
    with pytest.raises(tf.errors.DeadlineExceededError):
        session.run(late, options=tf.RunOptions(timeout_in_ms=50))
    waiting = session.submit(soon)
    session.run(put)
    assert waiting.result(LONG) == 50


def test_components_come_and_go_by_key(session):
    area = staging.MapStagingArea([tf.float32, tf.float32], names=["a", "b"], ordered=True)
    key, x = tf.placeholder(tf.int64, []), tf.placeholder(tf.float32, [])
    first, second = area.put(key, {"a": x}), area.put(key, {"b": x})
    whole, part, (any_key, any_values) = area.peek(key), area.get(key, ["b"])[1], area.get()
    sizes = [area.size(), area.incomplete_size()]
    session.run(first, {key: 3, x: 1.0})
    assert session.run(sizes) == [0, 1]
    with pytest.raises(tf.errors.InvalidArgumentError, match="index '0' for key '3' was already initialized"):
        session.run(first, {key: 3, x: 1.0})
    session.run(second, {key: 3, x: 2.0})
    assert session.run([sizes, whole], {key: 3}) == [[1, 0], {"a": 1.0, "b": 2.0}]
    assert session.run(part, {key: 3}) == {"b": 2.0}
    with pytest.raises(tf.errors.InvalidArgumentError, match="index '1' for key '3' has already been removed"):
        session.run(part, {key: 3})
    assert session.run(area.get(3, [0])[1]) == {"a": 1.0}
    for number in (5, 2, 9):
        session.run(area.put(number, {"a": x, "b": x}), {x: number})
    assert [session.run([any_key, any_values])[0] for _ in range(2)] == [2, 5]
    session.run(area.clear())
    assert session.run(sizes) == [0, 0]
    assert (any_key.op.type, first.type) == ("OrderedMapUnstageNoKey", "OrderedMapStage")


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: staging.StagingArea([tf.int32], names=["a", "b"]), ValueError, "names must be the same length as"),
        (lambda: staging.StagingArea([tf.int32], shared_name=3), ValueError, "shared_name must be a string"),
        (lambda: staging.StagingArea([tf.int32]).put({"a": 1}), ValueError, "must have names to enqueue a dictionary"),
        (lambda: staging.StagingArea([tf.int32]).put([1, 2]), ValueError, "Unexpected number of inputs '2' vs '1'"),
        (lambda: staging.StagingArea([tf.int32]).put(tf.constant(1.0)), ValueError, "Datatypes do not match"),
        (lambda: staging.StagingArea([tf.int32], [[2]]).put(1), ValueError, "incompatible"),
        (lambda: staging.MapStagingArea([tf.int32]).put(1, [1]), ValueError, "Indices must be supplied"),
        (lambda: staging.MapStagingArea([tf.int32]).get(1, ["a"]), ValueError, "was not created with names"),
        (lambda: staging.MapStagingArea([tf.int32]).get(1, []), ValueError, "Empty indices"),
        (lambda: staging.MapStagingArea([tf.int32]).get(1, 0), TypeError, "Invalid indices type"),
    ],
)
def test_what_does_not_fit_is_refused_when_the_node_is_made(graph, build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_more_than_the_memory_limit_is_refused(session):
    area = staging.StagingArea([tf.uint8], memory_limit=100)
    with pytest.raises(tf.errors.ResourceExhaustedError, match="size of '200' bytes .* memory limit of '100'"):
        session.run(area.put([tf.zeros([200], tf.uint8)]))
