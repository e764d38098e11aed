"""An autoencoder: squeezes images of digits into 16 numbers and back. The mean square error falls below 0.03."""

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

import weftwork as tf
from examples.datasets import TRAINED, digits

CODE = 16


def build() -> SimpleNamespace:
    """The graph: an encoder and a decoder, with a hidden layer each."""
    x = tf.placeholder(tf.float32, [None, 64], name="x")
    layer, sizes = x, [64, 48, CODE, 48, 64]
    for number, (inside, outside) in enumerate(zip(sizes, sizes[1:], strict=False)):
        w = tf.Variable(tf.random_normal([inside, outside], stddev=0.2), name=f"w{number}")
        b = tf.Variable(tf.zeros([outside]), name=f"b{number}")
        layer = tf.nn.sigmoid(tf.matmul(layer, w) + b)
    loss = tf.reduce_mean(tf.pow(x - layer, 2))
    train = tf.train.RMSPropOptimizer(0.005).minimize(loss)
    return SimpleNamespace(x=x, loss=loss, train=train)


def feeds(model: SimpleNamespace, steps: int) -> Iterator[dict[tf.Tensor, np.ndarray]]:
    """A feed for each step: a batch of 100 images."""
    images, _ = digits()
    rng = np.random.RandomState(1)
    for _ in range(steps):
        yield {model.x: images[rng.randint(0, TRAINED, 100)]}


def main(steps: int = 1000) -> float:
    """Train, and return the error on the test images."""
    tf.set_random_seed(1)
    model = build()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for step, feed in enumerate(feeds(model, steps)):
            _, loss = session.run([model.train, model.loss], feed)
            if step % 200 == 0:
                print(f"step {step}: loss {loss:.4f}")
        error = session.run(model.loss, {model.x: digits()[0][TRAINED:]})
    print(f"error {error:.4f}")
    return error


if __name__ == "__main__":
    main()
