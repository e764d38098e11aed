"""Threads that share the blocks of a kernel."""

from __future__ import annotations

import multiprocessing
import threading

import numpy as np
import pytest

import weftwork as tf
from weftwork.graph.kernels import derivatives, nn, team


@pytest.fixture(autouse=True)
def _restored():
    yield
    team.limit(None)


def meeting(count):
    """(work that only `count` threads at a time can do, the numbers that were done, who did them)."""
    together = threading.Barrier(count, timeout=30)
    done, who = [], set()

    def work(numbers):
        for number in numbers:
            together.wait()
            done.append(number)
            who.add(threading.get_ident())

    return work, done, who


def test_each_block_is_done_once_by_as_many_threads_as_there_may_be():
    team.limit(3)
    work, done, who = meeting(3)
    team.share_out(work, 12)
    assert sorted(done) == list(range(12))
    assert len(who) == 3
    assert threading.get_ident() in who


def test_little_work_and_a_limit_of_one_stay_in_the_thread():
    for count, steps in ((4, team.WORTH - 1), (1, team.WORTH)):
        team.limit(count)
        work, done, who = meeting(1)
        team.share_out(work, 5, steps)
        assert done == [0, 1, 2, 3, 4]
        assert who == {threading.get_ident()}


def test_a_kernel_beside_another_one_works_alone():
    team.limit(2)
    seen = []

    def outer(numbers):
        for _ in numbers:
            work, done, who = meeting(1)
            team.share_out(work, 4)
            seen.append((done, who == {threading.get_ident()}))

    team.share_out(outer, 2)
    assert seen == [([0, 1, 2, 3], True)] * 2


def test_what_a_thread_raises_is_raised_and_the_team_works_on():
    team.limit(2)
    here = threading.get_ident()
    together = threading.Barrier(2, timeout=30)

    def work(numbers):
        for _ in numbers:
            together.wait()
            if threading.get_ident() != here:
                raise ZeroDivisionError("in a helper")

    with pytest.raises(ZeroDivisionError, match="in a helper"):
        team.share_out(work, 2)
    work, done, _ = meeting(2)
    team.share_out(work, 4)
    assert sorted(done) == [0, 1, 2, 3]


def test_helpers_treat_float_errors_as_the_calling_thread_does():
    team.limit(2)
    together = threading.Barrier(2, timeout=30)

    def work(numbers):
        for _ in numbers:
            together.wait()
            assert np.geterr()["divide"] == "ignore"

    with np.errstate(divide="ignore"):
        team.share_out(work, 4)


def _work_in_a_child(answers):
    work, done, who = meeting(2)
    team.limit(2)
    team.share_out(work, 4)
    answers.put((sorted(done), len(who)))


def test_a_forked_child_has_helpers_of_its_own():
    team.limit(2)
    team.share_out(meeting(2)[0], 2)
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=_work_in_a_child, args=(answers,))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert answers.get() == ([0, 1, 2, 3], 2)


def test_a_session_may_say_how_many_threads_a_kernel_has():
    with tf.Session(config=tf.ConfigProto(intra_op_parallelism_threads=3)):
        assert team.threads() == 3
    with tf.Session():
        assert team.threads() == 3


def test_blas_has_one_thread_while_functions_run_beside_each_other():
    """NumPy's, and SciPy's own."""
    import scipy.linalg  # noqa: F401  # which loads it

    with team.single_blas():
        libraries = list(team._blas._loaded.values())
    before = [each._get() for each in libraries]
    assert len(before) == 2
    threads = tf.op(lambda k: [each._get() for each in team._blas._loaded.values()])
    with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(placement="thread")) as session:
        seen = session.run([threads(k) for k in range(12)])
        assert session.placements["caller"][0] == 3  # threads
    assert seen == [[1, 1]] * 12
    assert [each._get() for each in libraries] == before


@pytest.mark.parametrize("shape", [(64, 28, 28, 16), (1, 1 << 20), (1 << 20,), (3, 700, 251)])
def test_elementwise_kernels_give_the_same_on_any_number_of_threads(shape):
    rng = np.random.RandomState(0)
    x, grad = (rng.normal(size=shape).astype(np.float32) for _ in range(2))
    bias = rng.normal(size=shape[-1:]).astype(np.float32)
    for count in (1, 3):
        team.limit(count)
        assert np.array_equal(nn.relu(x), np.maximum(x, 0))
        assert np.array_equal(nn.relu(x.T), np.maximum(x.T, 0))
        assert np.array_equal(nn.add_bias(x, bias), x + bias)
        assert np.array_equal(derivatives.relu_grad(grad, x), np.where(x > 0, grad, 0))
