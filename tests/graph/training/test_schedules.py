"""Learning rates that change with the step: each against its formula, over all steps."""

from __future__ import annotations

import math

import numpy as np
import pytest

import weftwork as tf

RATE, STEPS, FACTOR = 0.8, 7, 0.9


def polynomial(n):
    return (RATE - 0.1) * (1 - min(n, STEPS) / STEPS) ** 2 + 0.1


def cycling(n):
    whole = STEPS * (math.ceil(n / STEPS) if n else 1)
    return (RATE - 0.1) * (1 - n / whole) ** 0.5 + 0.1


SCHEDULES = {
    "exponential": (
        lambda n: tf.train.exponential_decay(RATE, n, STEPS, FACTOR),
        lambda n: RATE * FACTOR ** (n / STEPS),
    ),
    "exponential stairs": (
        lambda n: tf.train.exponential_decay(RATE, n, STEPS, FACTOR, staircase=True),
        lambda n: RATE * FACTOR ** (n // STEPS),
    ),
    "natural": (
        lambda n: tf.train.natural_exp_decay(RATE, n, STEPS, FACTOR),
        lambda n: RATE * math.exp(-FACTOR * n / STEPS),
    ),
    "natural stairs": (
        lambda n: tf.train.natural_exp_decay(RATE, n, STEPS, FACTOR, staircase=True),
        lambda n: RATE * math.exp(-FACTOR * (n // STEPS)),
    ),
    "inverse": (
        lambda n: tf.train.inverse_time_decay(RATE, n, STEPS, FACTOR),
        lambda n: RATE / (1 + FACTOR * n / STEPS),
    ),
    "inverse stairs": (
        lambda n: tf.train.inverse_time_decay(RATE, n, STEPS, FACTOR, staircase=True),
        lambda n: RATE / (1 + FACTOR * (n // STEPS)),
    ),
    "polynomial": (lambda n: tf.train.polynomial_decay(RATE, n, STEPS, 0.1, power=2.0), polynomial),
    "polynomial cycle": (lambda n: tf.train.polynomial_decay(RATE, n, STEPS, 0.1, power=0.5, cycle=True), cycling),
    "cosine": (
        lambda n: tf.train.cosine_decay(RATE, n, STEPS, alpha=0.25),
        lambda n: RATE * (0.75 * 0.5 * (1 + math.cos(math.pi * min(n, STEPS) / STEPS)) + 0.25),
    ),
    "piecewise": (
        lambda n: tf.train.piecewise_constant(n, [3, 10], [1.0, 0.5, 0.25]),
        lambda n: 1.0 if n <= 3 else 0.5 if n <= 10 else 0.25,
    ),
    "piecewise without boundaries": (lambda n: tf.train.piecewise_constant(n, [], [0.5]), lambda n: 0.5),
}


@pytest.mark.parametrize("dtype", [tf.int64, tf.int32])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_follows_its_formula(graph, name, dtype):
    build, formula = SCHEDULES[name]
    step = tf.placeholder(dtype, [])
    rate = build(step)
    assert rate.dtype == tf.float32
    with tf.Session() as session:
        found = [session.run(rate, {step: n}) for n in range(25)]
    np.testing.assert_allclose(found, [formula(n) for n in range(25)], rtol=1e-5, atol=1e-6)


def test_a_rate_keeps_its_dtype(graph):
    rate = tf.train.exponential_decay(tf.constant(0.5, tf.float64), tf.constant(3), 3, 0.5)
    with tf.Session() as session:
        assert session.run(rate) == 0.25
    assert rate.dtype == tf.float64


def test_the_rate_of_a_run_is_that_of_the_step_before_it(graph):
    step = tf.train.create_global_step()
    rate = tf.train.exponential_decay(1.0, step, 1, 0.5)
    w = tf.Variable(0.0)
    train = tf.train.GradientDescentOptimizer(rate).apply_gradients([(tf.constant(-1.0), w)], step)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            session.run(train)
        assert session.run(w) == 1.75


def test_mistakes_are_refused(graph):
    for function in (tf.train.exponential_decay, tf.train.natural_exp_decay, tf.train.inverse_time_decay):
        with pytest.raises(ValueError, match=f"global_step is required for {function.__name__}."):
            function(0.1, None, 1, 0.5)
    with pytest.raises(ValueError, match="global_step is required for polynomial_decay."):
        tf.train.polynomial_decay(0.1, None, 1)
    with pytest.raises(ValueError, match="global_step is required for cosine_decay."):
        tf.train.cosine_decay(0.1, None, 1)
    with pytest.raises(ValueError, match="1 less than the length of values"):
        tf.train.piecewise_constant(tf.constant(1), [1], [0.1])
    with pytest.raises(ValueError, match="must have the same dtype as x"):
        tf.train.piecewise_constant(tf.constant(1), [1.5], [0.1, 0.2])
    with pytest.raises(ValueError, match="Values must have elements all with the same dtype"):
        tf.train.piecewise_constant(tf.constant(1), [1], [0.1, 2])


def test_a_schedules_result_has_its_name(graph):
    step = tf.constant(1)
    assert tf.train.exponential_decay(0.1, step, 10, 0.5).op.name == "ExponentialDecay"
    assert tf.train.natural_exp_decay(0.1, step, 10, 0.5).op.name == "ExponentialDecay_1"
    assert tf.train.polynomial_decay(0.1, step, 10, name="mine").op.name == "mine"
    assert tf.train.linear_cosine_decay(0.1, step, 10).op.name == "LinearCosineDecay"
    with pytest.raises(ValueError, match=r"same dtype \(<dtype: 'float32'> vs <dtype: 'int32'>\)"):
        tf.train.piecewise_constant(step, [1], [1.0, 2])
