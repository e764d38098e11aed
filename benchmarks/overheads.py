"""What safety costs: a run's atomicity and mirror, and the time to go on after the variables' process has died.

The peer of an update is a run that computes the same new values and commits nothing: what is between them are locks,
versions, commit and mirror. Updates are a training step of a perceptron (batch 64, four variables), and the addition of
an array, which is next to nothing else. Recovery has no peer: it is the time of the first run after the actor was
killed, a new process included.
"""

from __future__ import annotations

import os
import signal
import statistics
from collections.abc import Callable
from time import perf_counter

import numpy as np

from benchmarks.common import figure, interleaved, row, start_ray


def perceptron() -> tuple[Callable, Callable]:
    """A training step of 64 images by gradient descent, and the same without its assignments."""
    import weftwork as tf

    rng = np.random.default_rng(0)
    with tf.Graph().as_default():
        x = tf.constant(rng.random((64, 64), np.float32))
        y = tf.constant(rng.integers(0, 10, 64))
        hidden = tf.layers.dense(x, 128, activation=tf.nn.relu)
        loss = tf.losses.sparse_softmax_cross_entropy(y, tf.layers.dense(hidden, 10))
        optimizer = tf.train.GradientDescentOptimizer(0.01)
        pairs = optimizer.compute_gradients(loss)
        train = optimizer.apply_gradients(pairs)
        computed = tf.group(*[variable - 0.01 * gradient for gradient, variable in pairs])
        session = tf.Session()
        session.run(tf.global_variables_initializer())
        return session.make_callable(train), session.make_callable(computed)


def main() -> None:
    """Print a row for updates of some sizes, and one for recovery."""
    import weftwork as tf
    from weftwork.scheduler import backend

    start_ray()
    step, computing = perceptron()
    took = interleaved({"ours": step, "peer": computing}, rounds=1000, warm=100)
    row("training step of a perceptron", took["ours"], took["peer"], 1.05, "the same values, not committed")
    for size, name in ((64, "64 KB"), (1024, "1 MB"), (8192, "8 MB")):
        with tf.Graph().as_default():
            w = tf.Variable(np.zeros(size * 128), name="w")
            delta = np.ones(size * 128)
            step = w.assign_add(tf.constant(delta))
            session = tf.Session()
            session.run(w.initializer)
            run = session.make_callable(step.op)
            reading = session.make_callable(tf.add(w, delta).op)
            took = interleaved({"ours": run, "peer": reading}, rounds=300, warm=50)
            peer = "a run that adds the same and commits nothing"
            row(f"atomic update of {name}", took["ours"], took["peer"], 1.05, peer)
            session.close()
    with tf.Graph().as_default():
        w = tf.Variable(np.zeros(100_000), name="w")
        step = w.assign_add(tf.ones([100_000], tf.float64)).op
        with tf.Session(config=tf.ConfigProto(placement="actor")) as session:
            session.run(w.initializer)
            session.run(step)
            took = []
            for _ in range(7):
                link = session._engine.links.at()
                os.kill(backend.ray().get(link.actor.describe.remote())["pid"], signal.SIGKILL)
                start = perf_counter()
                session.run(step)
                took.append(perf_counter() - start)
    figure("recovery after a killed variable actor", statistics.median(took) * 1e3, "ms", 5000)


if __name__ == "__main__":
    main()
