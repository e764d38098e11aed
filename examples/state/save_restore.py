"""Save and restore: a second session continues where the first one stopped, and reaches the same loss."""

import os
import tempfile
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

import weftwork as tf
from examples.datasets import TRAINED, digits


def build() -> SimpleNamespace:
    """The graph: a linear classifier of digits, trained with momentum, which is saved too."""
    x = tf.placeholder(tf.float32, [None, 64], name="x")
    y = tf.placeholder(tf.int64, [None], name="y")
    weights = tf.get_variable("weights", [64, 10], initializer=tf.zeros_initializer())
    biases = tf.get_variable("biases", [10], initializer=tf.zeros_initializer())
    logits = tf.matmul(x, weights) + biases
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
    train = tf.train.MomentumOptimizer(0.1, 0.9).minimize(loss)
    return SimpleNamespace(x=x, y=y, loss=loss, train=train)


def feeds(model: SimpleNamespace, steps: int) -> Iterator[dict[tf.Tensor, np.ndarray]]:
    """A feed for each step: a batch of 100 images."""
    images, labels = digits()
    rng = np.random.RandomState(1)
    for _ in range(steps):
        rows = rng.randint(0, TRAINED, 100)
        yield {model.x: images[rows], model.y: labels[rows]}


def train(session: tf.Session, model: SimpleNamespace, steps: list[dict[tf.Tensor, np.ndarray]]) -> float:
    """Make some steps of training, and return the last loss."""
    loss = 0.0
    for feed in steps:
        _, loss = session.run([model.train, model.loss], feed)
    return loss


def main(steps: int = 100) -> float:
    """Train in one session, and in two with a checkpoint between them; return the difference of the final losses."""
    model = build()
    init, saver = tf.global_variables_initializer(), tf.train.Saver()
    every = list(feeds(model, steps))
    with tf.Session() as session:
        session.run(init)
        alone = train(session, model, every)
    with tempfile.TemporaryDirectory() as folder:
        with tf.Session() as session:
            session.run(init)
            train(session, model, every[: steps // 2])
            saver.save(session, os.path.join(folder, "model"), global_step=steps // 2)
            print(f"saved {os.listdir(folder)}")
        with tf.Session() as session:
            saver.restore(session, tf.train.latest_checkpoint(folder))
            resumed = train(session, model, every[steps // 2 :])
    print(f"loss {alone:.6f} alone, {resumed:.6f} with a checkpoint between")
    return np.abs(alone - resumed)


if __name__ == "__main__":
    main()
