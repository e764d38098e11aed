"""Models that Weftwork and TensorFlow both build: `tf` is either of them."""

from __future__ import annotations

from typing import Any

import numpy as np

FEED = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)


def build(tf: Any) -> tuple:
    """(input, output, training step) of a small classifier."""
    x = tf.placeholder(tf.float32, [None, 4], name="x")
    w = tf.get_variable("w", [4, 3], initializer=tf.random_normal_initializer(seed=1))
    b = tf.get_variable("b", [3], initializer=tf.zeros_initializer())
    hidden = tf.nn.relu(tf.nn.bias_add(tf.matmul(x, w), b))
    y = tf.nn.softmax(hidden, name="y")
    loss = tf.reduce_mean(tf.square(y - tf.one_hot([0, 1, 2], 3)))
    return x, y, tf.train.AdamOptimizer(0.1).minimize(loss)


def flows(tf: Any) -> Any:
    """Branches and loops, in each other, and operations on shapes and indices."""
    x = tf.placeholder(tf.float32, [3, 4], name="x")
    rows = tf.concat([tf.transpose(x[1:, ::2]), tf.reshape(x[0], [2, 2])], 1)
    picked = tf.gather(tf.pad(rows, [[1, 0], [0, 0]]), [2, 0], axis=0)
    turned = tf.cond(
        tf.reduce_sum(x[0]) > 0, lambda: picked * 2, lambda: tf.cond(x[1, 1] > 5, lambda: rows, lambda: -rows)
    )

    def step(i: Any, total: Any) -> tuple:
        inner = tf.while_loop(lambda j, t: j < i, lambda j, t: (j + 1, t + turned), [0, total])[1]
        return i + 1, tf.cond(i > 1, lambda: inner * 0.5, lambda: inner + 1.0)

    total = tf.while_loop(lambda i, t: i < 4, step, [0, turned])[1]
    spread = tf.reduce_logsumexp(total, 1, keepdims=True) + tf.cast(tf.argmax(total, 1), tf.float32)
    return tf.identity(spread, name="flows")
