"""Linear regression by gradient descent: fits a line to noisy points. Slope and offset come within 0.1."""

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

import weftwork as tf

SLOPE, OFFSET = 3.0, -2.0


def build() -> SimpleNamespace:
    """The graph: predictions, their mean squared error, a step of training."""
    x = tf.placeholder(tf.float32, [None], name="x")
    y = tf.placeholder(tf.float32, [None], name="y")
    slope = tf.Variable(0.0, name="slope")
    offset = tf.Variable(0.0, name="offset")
    loss = tf.reduce_mean(tf.square(x * slope + offset - y))
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    return SimpleNamespace(x=x, y=y, slope=slope, offset=offset, loss=loss, train=train)


def feeds(model: SimpleNamespace, steps: int) -> Iterator[dict[tf.Tensor, np.ndarray]]:
    """A feed for each step: 50 points."""
    rng = np.random.RandomState(1)
    for _ in range(steps):
        x = rng.uniform(-2, 2, 50).astype(np.float32)
        yield {model.x: x, model.y: SLOPE * x + OFFSET + 0.1 * rng.randn(50)}


def main(steps: int = 100) -> float:
    """Train, and return the larger of the errors of slope and offset."""
    model = build()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for step, feed in enumerate(feeds(model, steps)):
            _, loss = session.run([model.train, model.loss], feed)
            if step % 20 == 0:
                print(f"step {step}: loss {loss:.4f}")
        slope, offset = session.run([model.slope, model.offset])
    print(f"y = {slope:.3f} x + {offset:.3f}")
    return max(abs(slope - SLOPE), abs(offset - OFFSET))


if __name__ == "__main__":
    main()
