"""Asynchronous training with a parameter server: Ray tasks train shared variables, each with its own data.

The problem is linear, so the right weights are known, and the trained ones come within 0.05 of them. Prints how many
steps each worker made.
"""

import numpy as np
import ray

import weftwork as tf

WORKERS, SIZE = 3, 10


def build() -> tuple[tf.Tensor, tf.Tensor, tf.Variable, tf.Variable, tf.Tensor, tf.Operation]:
    """The graph. Each process builds it; variables of the same name are shared."""
    x = tf.placeholder(tf.float32, [None, SIZE], name="x")
    y = tf.placeholder(tf.float32, [None], name="y")
    weights = tf.Variable(tf.zeros([SIZE]), name="weights")
    step = tf.train.get_or_create_global_step()
    loss = tf.reduce_mean(tf.square(tf.reduce_sum(x * weights, axis=1) - y))
    train = tf.train.GradientDescentOptimizer(0.05).minimize(loss, global_step=step)
    return x, y, weights, step, loss, train


def truth() -> np.ndarray:
    """The weights that the data is made with."""
    return np.random.RandomState(0).randn(SIZE).astype(np.float32)


@ray.remote(num_cpus=0.5)
def work(target: str, seed: int, steps: int) -> int:
    """A worker, which trains until all workers together have made enough steps."""
    rng = np.random.RandomState(seed)
    taken = 0
    with tf.Graph().as_default():
        x, y, _, _, _, train = build()
        with tf.train.MonitoredTrainingSession(
            target, is_chief=False, hooks=[tf.train.StopAtStepHook(last_step=steps)]
        ) as session:
            while not session.should_stop():
                points = rng.randn(32, SIZE).astype(np.float32)
                session.run(train, {x: points, y: points @ truth()})
                taken += 1
    return taken


def main(steps: int = 300) -> float:
    """Train, and return the largest error of a weight."""
    server = tf.train.Server.create_local_server()
    with tf.Graph().as_default():
        _, _, weights, step, _, _ = build()
        with tf.Session(server.target) as session:
            session.run(tf.global_variables_initializer())
            taken = ray.get([work.remote(server.target, seed, steps) for seed in range(WORKERS)])
            found, count = session.run([weights, step])
    tf.Session.reset(server.target)
    print(f"{count} steps; the workers made {taken}")
    return np.abs(found - truth()).max()


if __name__ == "__main__":
    main()
