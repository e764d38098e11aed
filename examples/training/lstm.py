"""A recurrent network reads images of digits row by row. It classifies more than 0.93 of the test images correctly."""

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

import weftwork as tf
from examples.datasets import TRAINED, digits

HIDDEN, BATCH = 64, 64


def build() -> SimpleNamespace:
    """The graph: an LSTM over the eight rows, and a layer on its last output."""
    x = tf.placeholder(tf.float32, [None, 64], name="x")
    y = tf.placeholder(tf.int64, [None], name="y")
    rows = tf.unstack(tf.reshape(x, [-1, 8, 8]), 8, 1)
    cell = tf.nn.rnn_cell.BasicLSTMCell(HIDDEN, forget_bias=1.0)
    outputs, _ = tf.nn.static_rnn(cell, rows, dtype=tf.float32)
    w = tf.Variable(tf.random_normal([HIDDEN, 10], stddev=0.1), name="w")
    b = tf.Variable(tf.zeros([10]), name="b")
    logits = tf.matmul(outputs[-1], w) + b
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
    optimizer = tf.train.AdamOptimizer(0.01)
    gradients, variables = zip(*optimizer.compute_gradients(loss), strict=True)
    gradients, _ = tf.clip_by_global_norm(gradients, 5.0)
    train = optimizer.apply_gradients(zip(gradients, variables, strict=True))
    accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), y), tf.float32))
    return SimpleNamespace(x=x, y=y, loss=loss, train=train, accuracy=accuracy)


def feeds(model: SimpleNamespace, steps: int) -> Iterator[dict[tf.Tensor, np.ndarray]]:
    """A feed for each step: a batch of images."""
    images, labels = digits()
    rng = np.random.RandomState(1)
    for _ in range(steps):
        rows = rng.randint(0, TRAINED, BATCH)
        yield {model.x: images[rows], model.y: labels[rows]}


def main(steps: int = 250) -> float:
    """Train, and return the accuracy on the test images."""
    tf.set_random_seed(1)
    model = build()
    images, labels = digits()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for step, feed in enumerate(feeds(model, steps)):
            _, loss = session.run([model.train, model.loss], feed)
            if step % 50 == 0:
                print(f"step {step}: loss {loss:.4f}")
        accuracy = session.run(model.accuracy, {model.x: images[TRAINED:], model.y: labels[TRAINED:]})
    print(f"accuracy {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    main()
