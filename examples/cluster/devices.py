"""Training on several GPUs: each computes the gradients of a part of the batch, and their mean updates the weights.

On a machine without GPUs, soft placement puts the towers on the CPU. Prints the accuracy on test images, which is above
0.9.
"""

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

import weftwork as tf
from examples.datasets import TRAINED, digits

DEVICES = ["/gpu:0", "/gpu:1"]


def tower(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The loss of one part of a batch, and logits, with the variables that all towers share."""
    weights = tf.get_variable("weights", [64, 10], initializer=tf.zeros_initializer())
    biases = tf.get_variable("biases", [10], initializer=tf.zeros_initializer())
    logits = tf.matmul(x, weights) + biases
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)), logits


def average(towers: list[list[tuple[tf.Tensor, tf.Variable]]]) -> list[tuple[tf.Tensor, tf.Variable]]:
    """The mean of the towers' gradients, for each variable."""
    return [
        (tf.add_n([gradient for gradient, _ in same]) / len(towers), same[0][1]) for same in zip(*towers, strict=True)
    ]


def build() -> SimpleNamespace:
    """The graph: a tower on each device, the mean of their gradients, the update."""
    x, y = tf.placeholder(tf.float32, [None, 64], name="x"), tf.placeholder(tf.int64, [None], name="y")
    optimizer = tf.train.GradientDescentOptimizer(0.5)
    parts = len(DEVICES)
    gradients: list[list[tuple[tf.Tensor, tf.Variable]]] = []
    losses: list[tf.Tensor] = []
    with tf.variable_scope(tf.get_variable_scope()):
        for part, device in enumerate(DEVICES):
            with tf.device(device):
                loss, _ = tower(x[part::parts], y[part::parts])
                tf.get_variable_scope().reuse_variables()
                gradients.append(optimizer.compute_gradients(loss))
                losses.append(loss)
        train, loss = optimizer.apply_gradients(average(gradients)), tf.add_n(losses) / parts
        _, logits = tower(x, y)
    accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), y), tf.float32))
    return SimpleNamespace(x=x, y=y, loss=loss, train=train, accuracy=accuracy)


def feeds(model: SimpleNamespace, steps: int) -> Iterator[dict[tf.Tensor, np.ndarray]]:
    """A feed for each step: a batch of 100 images."""
    images, labels = digits()
    rng = np.random.RandomState(1)
    for _ in range(steps):
        rows = rng.randint(0, TRAINED, 100)
        yield {model.x: images[rows], model.y: labels[rows]}


def main(steps: int = 200) -> float:
    """Train, and return the accuracy on the test images."""
    model = build()
    images, labels = digits()
    with tf.Session(config=tf.ConfigProto(allow_soft_placement=True)) as session:
        print([device.name for device in session.list_devices()])
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
