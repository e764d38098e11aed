"""A small convolutional network for handwritten digits. It classifies more than 0.95 of the test images correctly."""

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

import weftwork as tf
from examples.datasets import TRAINED, digits

BATCH = 50


def weights(name: str, shape: list[int]) -> tf.Variable:
    """A variable of small random numbers."""
    return tf.Variable(tf.truncated_normal(shape, stddev=0.1), name=name)


def build() -> SimpleNamespace:
    """The graph: two convolutions, each with pooling, and a layer for the ten digits."""
    x = tf.placeholder(tf.float32, [None, 64], name="x")
    y = tf.placeholder(tf.int64, [None], name="y")
    keep = tf.placeholder(tf.float32, [None, 128], name="keep")
    images = tf.reshape(x, [-1, 8, 8, 1])
    first = tf.nn.conv2d(images, weights("w1", [3, 3, 1, 16]), strides=[1, 1, 1, 1], padding="SAME")
    first = tf.nn.relu(first + tf.Variable(tf.constant(0.1, shape=[16]), name="b1"))
    pooled = tf.nn.max_pool(first, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")
    second = tf.nn.conv2d(pooled, weights("w2", [3, 3, 16, 32]), strides=[1, 1, 1, 1], padding="SAME")
    second = tf.nn.relu(second + tf.Variable(tf.constant(0.1, shape=[32]), name="b2"))
    pooled = tf.nn.max_pool(second, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")
    flat = tf.reshape(pooled, [-1, 128]) * keep
    logits = tf.matmul(flat, weights("w3", [128, 10])) + tf.Variable(tf.constant(0.1, shape=[10]), name="b3")
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
    train = tf.train.MomentumOptimizer(0.05, 0.9).minimize(loss)
    accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), y), tf.float32))
    return SimpleNamespace(x=x, y=y, keep=keep, loss=loss, train=train, accuracy=accuracy)


def feeds(model: SimpleNamespace, steps: int) -> Iterator[dict[tf.Tensor, np.ndarray]]:
    """A feed for each step: a batch of images, and a mask that drops 1/4 of the features and scales up the others."""
    images, labels = digits()
    rng = np.random.RandomState(1)
    for _ in range(steps):
        rows = rng.randint(0, TRAINED, BATCH)
        kept = (rng.uniform(size=[BATCH, 128]) < 0.75) / 0.75
        yield {model.x: images[rows], model.y: labels[rows], model.keep: kept}


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
        test = {model.x: images[TRAINED:], model.y: labels[TRAINED:], model.keep: np.ones([len(images) - TRAINED, 128])}
        accuracy = session.run(model.accuracy, test)
    print(f"accuracy {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    main()
