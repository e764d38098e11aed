"""Data-parallel training: each tower takes a part of the batch, and the scheduler runs the towers on different cores.

The network reads images of digits. A step takes some 60 ms on one core. Set OMP_NUM_THREADS=1, so that NumPy leaves the
cores to the towers. Prints the accuracy on test images, which is above 0.9.
"""

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

import weftwork as tf
from examples.datasets import TRAINED, digits

SIZES = [64, 512, 512, 512, 10]
BATCH = 2048


def logits_of(x: tf.Tensor) -> tf.Tensor:
    """The network, with the variables that all towers share."""
    for number, (inside, outside) in enumerate(zip(SIZES, SIZES[1:], strict=False)):
        with tf.variable_scope(f"layer{number}"):
            scale = tf.random_normal_initializer(stddev=(2 / inside) ** 0.5)
            w = tf.get_variable("w", [inside, outside], initializer=scale)
            b = tf.get_variable("b", [outside], initializer=tf.zeros_initializer())
            x = tf.matmul(x, w) + b
            if outside != SIZES[-1]:
                x = tf.nn.relu(x)
    return x


def build(towers: int = 2) -> SimpleNamespace:
    """The graph: the towers, the mean of their gradients, the update."""
    x = tf.placeholder(tf.float32, [BATCH, 64], name="x")
    y = tf.placeholder(tf.int64, [BATCH], name="y")
    optimizer = tf.train.GradientDescentOptimizer(0.05)
    part = BATCH // towers
    gradients: list[list[tuple[tf.Tensor, tf.Variable]]] = []
    losses: list[tf.Tensor] = []
    for tower in range(towers):
        with tf.variable_scope("model", reuse=tower > 0), tf.name_scope(f"tower{tower}"):
            rows = slice(tower * part, (tower + 1) * part)
            entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y[rows], logits=logits_of(x[rows]))
            losses.append(tf.reduce_mean(entropy))
            gradients.append(optimizer.compute_gradients(losses[-1]))
    means = [(tf.add_n([g for g, _ in same]) / towers, same[0][1]) for same in zip(*gradients, strict=True)]
    train = optimizer.apply_gradients(means)
    images = tf.placeholder(tf.float32, [None, 64], name="images")
    with tf.variable_scope("model", reuse=True):
        digit = tf.argmax(logits_of(images), 1)
    return SimpleNamespace(x=x, y=y, images=images, digit=digit, loss=tf.add_n(losses) / towers, train=train)


def feeds(model: SimpleNamespace, steps: int) -> Iterator[dict[tf.Tensor, np.ndarray]]:
    """A feed for each step: a batch of images."""
    images, labels = digits()
    rng = np.random.RandomState(1)
    for _ in range(steps):
        rows = rng.randint(0, TRAINED, BATCH)
        yield {model.x: images[rows], model.y: labels[rows]}


def main(steps: int = 30, towers: int = 2) -> float:
    """Train, and return the accuracy on the test images."""
    tf.set_random_seed(1)
    model = build(towers)
    images, labels = digits()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for step, feed in enumerate(feeds(model, steps)):
            _, loss = session.run([model.train, model.loss], feed)
            if step % 10 == 0:
                print(f"step {step}: loss {loss:.4f}")
        accuracy = (session.run(model.digit, {model.images: images[TRAINED:]}) == labels[TRAINED:]).mean()
    print(f"accuracy {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    main()
