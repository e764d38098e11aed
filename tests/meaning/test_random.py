"""Random numbers: seeded, a second program gives the same, wherever functions run; else no two calls give the same."""

from __future__ import annotations

import functools
import random

import numpy as np
import pytest

import weftwork as tf
from tests.meaning.places import PLACES, op_in, session_in


def draw(k):
    return k, random.random(), float(np.random.rand()), float(np.random.randn())


def through_helper(k):
    return draw(k)[1:]


def drawn(place, runs=3, seed=None):
    """Random numbers drawn by functions in a session, and by the program afterwards."""
    if seed is not None:
        random.seed(seed)
        np.random.seed(seed)
    with tf.Graph().as_default():
        tf.set_random_seed(1)
        nodes = [op_in(place, draw)(k) for k in range(3)]
        nodes += [op_in(place, through_helper)(1), op_in(place, functools.partial(random.sample, range(10**6)))(3)]
        nodes.append(tf.random_uniform([]))
        with session_in(place) as session:
            seen = [session.run(nodes) for _ in range(runs)]
    return seen, random.random(), np.random.randn()


@pytest.fixture(scope="module")
def expected():
    return drawn("caller", 6, seed=5)


@pytest.mark.parametrize("place", PLACES)
def test_seeded_programs_draw_the_same_wherever_functions_run(place, expected):
    """Also what the program itself draws afterwards."""
    assert drawn(place, 6, seed=5) == expected


@pytest.mark.parametrize("place", PLACES)
def test_seeded_again_the_same_session_draws_the_same_again(place):
    """As in a loop: the numbers follow from the state of the program's generators when the run begins."""
    with tf.Graph().as_default():
        node = op_in(place, draw)(0)
        with session_in(place) as session:
            seen = []
            for seed in (1, 1, 2):
                random.seed(seed)
                np.random.seed(seed)
                seen.append([session.run(node) for _ in range(2)])
    assert seen[0] == seen[1] != seen[2]
    assert seen[0][0] != seen[0][1]


@pytest.mark.parametrize("place", PLACES)
def test_no_two_calls_draw_the_same(place):
    """Not two nodes of a run, not two runs, not two sessions."""
    numbers = [number for _ in range(2) for run in drawn(place)[0] for row in run[:3] for number in row[1:]]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("place", ["caller", "task", "auto"])
def test_each_iteration_of_a_loop_draws_anew(place):
    """A function in a loop's body is called many times in a run."""

    def step(k, total):
        return k + 1, tf.concat([total, [tf.py_func(lambda _: random.random(), [k], tf.float64)]], 0)

    def once():
        random.seed(3)
        with tf.Graph().as_default():
            loop = tf.while_loop(
                lambda k, _: k < 6,
                step,
                [tf.constant(0), tf.zeros([0], tf.float64)],
                shape_invariants=[tf.TensorShape([]), tf.TensorShape([None])],
            )[1]
            with session_in(place) as session:
                return [session.run(loop).tolist() for _ in range(3)]

    one = once()
    assert one == once()
    numbers = [number for run in one for number in run]
    assert len(set(numbers)) == len(numbers) == 18


def test_a_function_that_seeds_the_generators_does_so_for_its_call(ray_session):
    """The program's own generators go on as before, in the caller too."""

    def seeds():
        random.seed(1)
        np.random.seed(1)
        return random.random(), float(np.random.rand())

    random.seed(9)
    np.random.seed(9)
    with tf.Graph().as_default():
        node = tf.op(seeds)()
        with session_in("caller") as session:
            one = random.Random(1).random(), np.random.RandomState(1).rand()
            assert session.run(node) == session.run(node) == one
    after = random.random(), np.random.rand()
    random.seed(9)
    np.random.seed(9)
    for _ in range(2):
        random.getrandbits(64)
        np.random.bytes(8)
    assert after == (random.random(), np.random.rand())


@pytest.mark.parametrize("place", ["caller", "task", "resident"])
def test_a_drawing_function_that_comes_as_an_argument_draws_as_a_captured_one(place):
    """It is a method of the generator that all draw from: no copy of it."""

    def drawn():
        random.seed(3)
        np.random.seed(3)
        with tf.Graph().as_default(), session_in(place) as session:
            draw = op_in(place, lambda draw: float(draw()))
            return [session.run([draw(random.random), draw(np.random.rand)]) for _ in range(3)]

    first = drawn()
    assert first == drawn()
    assert len({number for numbers in first for number in numbers}) == 6
