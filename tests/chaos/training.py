"""A training loop with a known answer: integers, so that equality is exact."""

from __future__ import annotations

import numpy as np

import weftwork as tf

SIZE = 40_000
"""Elements of the large variable: more than what travels by value."""


@tf.op(dtype=tf.int64, shape=[SIZE], isolated=True)
def gradient(step, w):
    """A value that depends on the state, computed in a worker."""
    return np.full(SIZE, step * 3 + w[0] % 7)


PARTS = 8


@tf.op(dtype=tf.int64, shape=[SIZE // PARTS])
def part_of_gradient(step, w, part):
    """The same, a part of it, wherever the session runs it."""
    return gradient.function(step, w)[part * (SIZE // PARTS) :][: SIZE // PARTS]


class Training:
    """Two variables that change together in every step, one large and one small, and the model of both.

    in_parts: the gradient is made by several nodes that may run beside each other, anywhere.
    """

    def __init__(self, session_config=None, target: str = "", in_parts: bool = False):
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.step = tf.placeholder(tf.int64, [], name="step")
            self.w = tf.Variable(np.zeros(SIZE, np.int64), name="w")
            self.count = tf.Variable(np.int64(0), name="count")
            if in_parts:
                change = tf.concat([part_of_gradient(self.step, self.w, k) for k in range(PARTS)], 0)
            else:
                change = gradient(self.step, self.w)
            self.train = tf.group(self.w.assign_add(change), self.count.assign_add(self.step))
            self.check = [self.w[0], self.w[-1], tf.reduce_max(self.w) - tf.reduce_min(self.w), self.count]
            initialise = tf.global_variables_initializer()
        self.session = tf.Session(target, graph=self.graph, config=session_config)
        self.model_w = self.model_count = 0
        self.failed = 0
        self._do(initialise)

    def run(self, step: int) -> None:
        """Make one step. A step that fails cleanly has changed nothing, and is repeated."""
        self._do(self.train, {self.step: step}, self.verify)
        self.model_w += step * 3 + self.model_w % 7
        self.model_count += step

    def _do(self, fetches, feeds=None, between=lambda: None):
        while True:
            try:
                return self.session.run(fetches, feeds)
            except (tf.errors.UnavailableError, tf.errors.AbortedError):
                self.failed += 1
                between()

    def verify(self) -> None:
        """Assert that the session equals the model, in every element of both variables."""
        first, last, spread, count = self._do(self.check)
        assert (first, last, spread, count) == (self.model_w, self.model_w, 0, self.model_count)
