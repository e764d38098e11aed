"""Loops as flat dataflows: which variables can be known ahead, and that some iterations are these iterations."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf
from weftwork.scheduler.compile.sections import body_of, section_flows
from weftwork.scheduler.compile.unrolling import ahead, body_ahead, unrolled


@tf.op(dtype=tf.int64, shape=[])
def heavy(*values):
    """A function that nobody would compute ahead."""
    return sum(map(int, values))


@tf.op(dtype=tf.int64, shape=[], pure=True)
def steady(value):
    """A function that changes nothing."""
    return value


def flows_of(test, step, start):
    """The sections of a loop: its condition's and its body's."""
    made = tf.while_loop(test, step, [np.int64(value) for value in start])
    return section_flows(made[0].op)


def positions(test, step, start=(0, 1)):
    condition, body = flows_of(test, step, start)
    return ahead(condition, body, len(start))


def test_a_counter_is_known_ahead_of_what_is_heavy(graph):
    assert positions(lambda i, x: i < 5, lambda i, x: (i + 1, heavy(x))) == (0,)


def test_values_that_the_counter_depends_on_are_ahead_too(graph):
    assert positions(lambda i, j, x: i < 5, lambda i, j, x: (i + j, j * 2, heavy(x)), (0, 1, 1)) == (0, 1)


@pytest.mark.parametrize(
    ("test", "step"),
    [
        (lambda i, x: x < 5, lambda i, x: (i + 1, heavy(x))),  # the condition is about what is heavy
        (lambda i, x: i < 5, lambda i, x: (i + heavy(x), x + 1)),  # what it is about depends on it
        (lambda i, x: heavy(i) < 5, lambda i, x: (i + 1, heavy(x))),  # it is heavy itself
        (lambda i, x: steady(i) < 5, lambda i, x: (i + 1, heavy(x))),  # or a user's, which may be
        (lambda i, x: i + x < 5, lambda i, x: (i + 1, x + i)),  # all would be ahead, and nothing left
    ],
)
def test_a_loop_whose_end_is_not_known_ahead_gains_nothing(graph, test, step):
    assert positions(test, step) is None


def test_a_counter_under_a_device_or_behind_an_effect_is_not_computed_ahead(graph):
    def after_an_effect(i, x):
        with tf.control_dependencies([heavy(i)]):
            return i + 1, heavy(x)

    assert positions(lambda i, x: i < 5, after_an_effect) is None


def run(flow):
    """A section as a function of its values."""
    body = body_of(flow)
    return lambda values: body([], list(values))


def stepped(step, times, values, carried):
    """The carried values after some iterations, one by one."""
    for _ in range(times):
        values = [*run(step)(values)[:carried], *values[carried:]]
    return values


@pytest.mark.parametrize("times", [1, 2, 5])
def test_some_iterations_as_one_section_give_what_they_give_one_by_one(graph, times):
    y = tf.placeholder(tf.int64, [])
    _, step = flows_of(lambda i, a, b: i < 9, lambda i, a, b: (i + 1, b + heavy(a, i), a - y), (0, 1, 2))
    counter = (0,)
    many = unrolled(step, times, counter, {p: p for p in range(3)})
    many.section.flow.check()
    start = [np.int64(v) for v in (3, 5, 7)] + [np.int64(2)] * (len(step.inputs) - 3)
    own, ahead_of = [], list(start)
    for _ in range(times):
        own.append(ahead_of[0])
        ahead_of[0] = body_ahead(step, counter)([], ahead_of)[0]
    outputs = run(many.section)([*[start[p] for p in many.given], *own])
    expected = stepped(step, times, start, 3)
    assert many.carried == (1, 2)
    assert outputs == [expected[p] for p in many.carried]


def test_what_is_wanted_of_each_iteration_is_there_in_its_order(graph):
    _, step = flows_of(lambda i, a: i < 9, lambda i, a: (i + 1, a + heavy(i)), (0, 1))
    many = unrolled(step, 3, (0,), {0: 0, 1: 1}, kept=[1])
    values = [{0: 0, 1: 1}.get(p, 0) for p in many.given]
    assert run(many.section)([*values, 0, 1, 2]) == [4, 1, 2, 4]


def test_only_what_the_outputs_need_and_what_has_effects_is_repeated(graph):
    seen = tf.op(lambda i: None)

    def step(i, a):
        seen(i)
        tf.square(a)
        return i + 1, a + 1

    _, body = flows_of(lambda i, a: i < 9, step, (0, 1))
    many = unrolled(body, 2, (0,), {0: 0, 1: 1})
    assert [op.type for op in many.section.flow.ops].count("Square") == 0
    assert len([k for k in many.section.flow.kernels if k is seen.kernel]) in (0, 2)
