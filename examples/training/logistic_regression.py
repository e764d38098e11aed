"""Logistic regression: a linear classifier of handwritten digits. More than 0.93 of the test images are right."""

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

import weftwork as tf
from examples.datasets import TRAINED, digits


def build() -> SimpleNamespace:
    """The graph."""
    x = tf.placeholder(tf.float32, [None, 64], name="x")
    y = tf.placeholder(tf.int64, [None], name="y")
    weights = tf.Variable(tf.zeros([64, 10]), name="weights")
    biases = tf.Variable(tf.zeros([10]), name="biases")
    logits = tf.matmul(x, weights) + biases
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
    train = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
    accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), y), tf.float32))
    return SimpleNamespace(x=x, y=y, loss=loss, train=train, accuracy=accuracy)


def feeds(model: SimpleNamespace, steps: int) -> Iterator[dict[tf.Tensor, np.ndarray]]:
    """A feed for each step: a batch of 100 images."""
    images, labels = digits()
    rng = np.random.RandomState(1)
    for _ in range(steps):
        rows = rng.randint(0, TRAINED, 100)
        yield {model.x: images[rows], model.y: labels[rows]}


def main(steps: int = 500) -> float:
    """Train, and return the accuracy on the test images."""
    model = build()
    images, labels = digits()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for step, feed in enumerate(feeds(model, steps)):
            _, loss = session.run([model.train, model.loss], feed)
            if step % 100 == 0:
                print(f"step {step}: loss {loss:.4f}")
        accuracy = session.run(model.accuracy, {model.x: images[TRAINED:], model.y: labels[TRAINED:]})
    print(f"accuracy {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    main()
