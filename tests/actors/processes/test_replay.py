"""The call of a failed node is repeated with its inputs, wherever it ran."""

from __future__ import annotations

import asyncio
import errno
import io
import pickle
import random
import sys
import threading
import traceback

import numpy as np
import pytest

import weftwork as tf
from tests.meaning.places import PLACES, op_in, session_in
from weftwork.actors.checkpoints.files import LocalFiles
from weftwork.actors.processes import replay
from weftwork.actors.programs import failed_call


@tf.op
def pair(n):
    """Make a mutable value."""
    return [n, 2.5]


def ratio(values, top):
    """Fails where the first of the values is one."""
    return int(top) / (int(values[0]) - 1)


def failed(session, fetches, feeds=None, runs=1):
    """The error of the last of some runs."""
    for _ in range(runs):
        with pytest.raises(tf.errors.OpError) as caught:
            session.run(fetches, feeds)
    return caught.value


def users_frames(error):
    """The functions in an exception's traceback, the innermost last, without those of the library and the test."""
    return [frame.name for frame in traceback.extract_tb(error.__traceback__) if frame.filename == __file__][1:]


def check_replay(error, inputs):
    """Check an error: it knows the inputs, and repeating the call fails with the user's frames."""
    assert error.inputs == inputs
    for again in (error, error, pickle.loads(pickle.dumps(error))):
        with pytest.raises(ZeroDivisionError) as caught:
            again.replay()
        assert users_frames(caught.value)[-1] == "ratio"


@pytest.mark.parametrize("place", PLACES)
def test_a_node_that_failed_is_called_again_with_its_inputs_wherever_it_ran(place, graph, ray_session):
    with session_in(place) as session:
        node = op_in(place, ratio)(pair(tf.constant(1)), tf.constant(7))
        error = failed(session, node)
    assert error.op is node.op
    check_replay(error, [[1, 2.5], 7])


async def ratio_later(values, top):
    """Like `ratio`, after a moment."""
    await asyncio.sleep(0)
    return ratio(values, top)


@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("waits", [ratio_later, tf.op(limits={"api": 1})(ratio)])
def test_a_call_that_waits_outside_all_lanes_is_called_again(graph, waits, detached):
    """detached: it runs beside a run that is shared out."""
    config = tf.ConfigProto(limits={"api": 1}, placement="dynamic" if detached else "caller")
    node = tf.op(waits)(pair(tf.constant(1)), tf.constant(7))
    with tf.Session(config=config) as session:
        check_replay(failed(session, node), [[1, 2.5], 7])


@pytest.mark.parametrize("place", ["caller", "resident", "task"])
def test_inputs_that_an_earlier_node_of_the_segment_made_are_known_too(place, graph, ray_session):
    made = tf.op(random.random)()
    fails = tf.op(lambda x: 1 // int(x))(made)
    with session_in(place) as session:
        error = failed(session, fails, runs=3)
    (value,) = error.inputs
    assert 0 <= value < 1
    with pytest.raises(ZeroDivisionError):
        error.replay()
    assert error.inputs == [value]


@pytest.mark.parametrize("kept", [64 << 20, 1_000_000])
def test_a_large_input_stays_in_the_object_store_and_counts_like_any_other(kept, graph, ray_session, monkeypatch):
    monkeypatch.setattr(failed_call, "KEPT", kept)
    large = tf.op(lambda: np.ones(200_000))()
    node = tf.op(lambda values: 1 // (int(values[0]) - 1))(large)
    with tf.Session(config=tf.ConfigProto(placement="task")) as session:
        error = failed(session, [node, tf.reduce_sum(tf.cast(large, tf.float64))], runs=2)
    if kept == 1_000_000:
        with pytest.raises(RuntimeError, match="they take 2 MB, and 1 MB are kept at most"):
            _ = error.inputs
        return
    (value,) = error.inputs
    assert value.shape == (200_000,)
    with pytest.raises(ZeroDivisionError):
        error.replay()


def test_neither_the_call_nor_its_replay_changes_the_inputs(graph):
    @tf.op
    def takes_out(values):
        return 1 // (int(values.pop(0)) - 1)

    with tf.Session(config=tf.ConfigProto(placement="dynamic")) as session:
        error = failed(session, takes_out(pair(tf.constant(1))))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            error.replay()
        assert error.inputs == [[1, 2.5]]


def test_a_compiled_program_knows_what_its_step_took(graph):
    p = tf.placeholder(tf.int64, [])
    node = tf.op(ratio)(pair(p), p * 7 + 0)
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        for _ in range(50):
            session.run(node, {p: 3})
        check_replay(failed(session, node, {p: 1}), [[1, 2.5], 7])


def test_a_run_without_a_plan_knows_what_its_node_took(graph):
    nodes = [tf.op(ratio)(pair(n), 7.0) for n in range(2, 40)]
    p = tf.placeholder(tf.int64, [])
    with tf.Session() as session:
        session.run(nodes)
        fails = tf.op(ratio)(pair(p), tf.add_n([tf.constant(1.0), tf.constant(2.0)]))
        error = failed(session, [*nodes, fails], {p: 1})
        check_replay(error, [[1, 2.5], 3.0])


@pytest.mark.parametrize("iterations", [0, 5])
@pytest.mark.parametrize("place", ["caller", "task", "auto"])
def test_inside_a_loop_the_innermost_call_is_the_one_that_failed(place, iterations, graph, ray_session):
    def body(i):
        return i + tf.op(lambda n: 7 // (iterations - int(n)), dtype=tf.int32, shape=[])(i) * 0 + 1

    loop = tf.while_loop(lambda i: i < 10, body, [tf.constant(0)])
    with session_in(place) as session:
        error = failed(session, loop)
    assert error.inputs == [iterations]
    with pytest.raises(ZeroDivisionError):
        error.replay()


def test_the_function_of_a_dataset_is_called_again(graph):
    data = tf.data.Dataset.range(3).map(lambda n: tf.py_func(lambda n: 1 // (1 - int(n)), [n], tf.int64))
    with tf.Session() as session:
        following = data.make_one_shot_iterator().get_next()
        assert session.run(following) == 1
        error = failed(session, following)
    assert error.inputs == [1]
    with pytest.raises(ZeroDivisionError):
        error.replay()


def test_an_error_of_a_shared_session_knows_the_call(graph, ray_session):
    node = tf.op(ratio)(pair(tf.constant(1)), tf.constant(7))
    with tf.Session(config=tf.ConfigProto(name="replayed")) as session:
        check_replay(failed(session, node), [[1, 2.5], 7])


def test_a_function_draws_again_what_it_drew(graph):
    def draws(n):
        raise ValueError(random.random())

    random.seed(3)
    with tf.Session() as session:
        error = failed(session, tf.op(draws)(1))
    drawn = error.__cause__.args
    for _ in range(2):
        with pytest.raises(ValueError, match=".") as caught:
            error.replay()
        assert caught.value.args == drawn


def test_a_replay_is_one_call_and_gives_what_it_gives_where_it_does_not_fail(graph):
    calls = []

    @tf.op(retries=2, here=True)
    def flaky(n):
        calls.append(n)
        if len(calls) <= 4:
            raise OSError("not yet")
        return n + 1

    with tf.Session() as session:
        error = failed(session, flaky(1))
    assert len(calls) == 3
    with pytest.raises(OSError, match="not yet"):
        error.replay()
    assert (error.replay(), len(calls)) == (2, 5)


def test_a_node_of_the_library_is_called_again(graph):
    p = tf.placeholder(tf.float32)
    node = tf.matmul(p, p)
    with tf.Session() as session:
        error = failed(session, node, {p: np.zeros((2, 3))})
    assert [value.shape for value in error.inputs] == [(2, 3), (2, 3)]
    with pytest.raises(ValueError, match="mismatch"):
        error.replay()


def test_the_inputs_of_a_call_that_ended_its_process_or_took_too_long_are_known(graph, ray_session):
    slow = tf.op(timeout=0.2)(lambda n: threading.Event().wait(n * 1.0))
    ends = tf.op(lambda n: __import__("os").kill(__import__("os").getpid(), n))
    with tf.Session() as session:
        assert failed(session, slow(60)).inputs == []
        assert failed(session, slow(tf.constant(60))).inputs == [60]
        assert failed(session, ends(tf.constant(9))).inputs == [9]


def test_inputs_that_take_too_much_are_not_kept_and_the_error_says_so(graph, monkeypatch):
    monkeypatch.setattr(failed_call, "KEPT", 1000)
    node = tf.op(lambda a: a.nothing)(tf.ones([100], tf.float64) * 2)
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        assert len(failed(session, node).inputs) == 1
        monkeypatch.setattr(failed_call, "KEPT", 700)
        error = failed(session, node)
    for ask in (lambda: error.inputs, error.replay, lambda: error.save("/nowhere")):
        with pytest.raises(RuntimeError, match=r"inputs of .* were not kept: they take .* MB"):
            ask()
    with pytest.raises(RuntimeError, match="not kept"):
        _ = pickle.loads(pickle.dumps(error)).inputs


def test_an_error_that_no_call_made_says_so(graph):
    with tf.Session() as session:
        error = failed(session, tf.Variable(1))
    with pytest.raises(RuntimeError, match="This error does not come from a call"):
        error.replay()


def test_an_error_pickles_though_its_inputs_do_not(graph):
    node = tf.op(lambda lock: lock.nothing)(tf.op(threading.Lock)())
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        error = failed(session, node)
    assert len(error.inputs) == 1
    again = pickle.loads(pickle.dumps(error))
    with pytest.raises(RuntimeError, match="do not pickle"):
        again.replay()
    with pytest.raises(TypeError, match="cannot be pickled"):
        error.save("/nowhere")


def test_the_debugger_starts_in_the_users_frame(graph, monkeypatch, capsys):
    def inner(values):
        top = 42
        return np.linalg.inv(values) * top

    with tf.Session() as session:
        error = failed(session, tf.op(inner)(tf.constant([[1.0, 2.0, 3.0]])))
    monkeypatch.setattr(sys, "stdin", io.StringIO("p top + 1\nq\n"))
    with pytest.raises(np.linalg.LinAlgError):
        error.replay(debug=True)
    assert "43" in capsys.readouterr().out


def test_a_saved_call_is_loaded_and_made_anywhere(graph, tmp_path):
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        error = failed(session, tf.op(ratio)(pair(tf.constant(1)), tf.constant(7)))
    error.save(tmp_path / "call")
    bundle = replay.load(tmp_path / "call")
    assert bundle.where == error.op.defined_at
    assert "ZeroDivisionError" in bundle.said
    call = bundle.call()
    assert call.inputs() == [[1, 2.5], 7]
    with pytest.raises(ZeroDivisionError):
        replay.call_again(call)


def test_a_call_that_cannot_be_saved_leaves_the_file_that_was_there(graph, tmp_path, monkeypatch):
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        error = failed(session, tf.op(ratio)(pair(tf.constant(1)), tf.constant(7)))
    with pytest.raises(tf.errors.NotFoundError, match=r"nowhere/call; No such file"):
        error.save(tmp_path / "nowhere" / "call")
    with pytest.raises(tf.errors.ResourceExhaustedError, match="/dev/full"):
        error.save("/dev/full")
    error.save(tmp_path / "call")
    before = (tmp_path / "call").read_bytes()

    def write(self, writer, data):
        writer.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LocalFiles, "write", write)
    with pytest.raises(tf.errors.ResourceExhaustedError, match="call; No space left on device"):
        error.save(tmp_path / "call")
    assert (tmp_path / "call").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["call"]


@pytest.mark.parametrize("content", [b"", b"something", replay._FIRST_LINE + b"cut"])
def test_a_file_that_is_no_saved_call_is_refused(content, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=str(tmp_path)):
        replay.load(tmp_path / "file")
