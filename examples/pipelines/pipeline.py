"""An input pipeline: plain Python parses and smooths lines of text on all cores, while a network trains on the results.

Prints the accuracy on test images, which is above 0.9.
"""

from types import SimpleNamespace

import numpy as np

import weftwork as tf
from examples.datasets import TRAINED, digits

BATCH = 64


def parse(line: bytes) -> tuple[np.ndarray, np.int64]:
    """Features and label of a line `LABEL:PIXELS`. The features are the pixels, smoothed zero, one and two times."""
    label, _, text = line.decode().partition(":")
    image = [float(value) for value in text.split(",")]
    once = smooth(image)
    return np.array(image + once + smooth(once), np.float32), np.int64(label)


def smooth(image: list[float]) -> list[float]:
    """Replace each pixel of an 8 x 8 image by the mean of itself and its neighbours."""
    near = [range(max(0, k - 1), min(8, k + 2)) for k in range(8)]
    around = [[image[8 * r + c] for r in rows for c in columns] for rows in near for columns in near]
    return [sum(values) / len(values) for values in around]


def pipeline(lines: list[str], calls: int | None, batch: int = BATCH) -> tf.data.Dataset:
    """Batches of features and labels. calls: how many lines are parsed at the same time; None parses one by one."""

    def parsed(line: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features, label = tf.py_func(parse, [line], [tf.float32, tf.int64], stateful=False)
        features.set_shape([3 * 64])
        label.set_shape([])
        return features, label

    return tf.data.Dataset.from_tensor_slices(lines).map(parsed, num_parallel_calls=calls).batch(batch).prefetch(2)


def layer(values: tf.Tensor, inputs: int, outputs: int, name: str) -> tf.Tensor:
    """A linear layer."""
    weights = tf.Variable(tf.random_normal([inputs, outputs], stddev=inputs**-0.5), name=f"{name}/weights")
    return tf.matmul(values, weights) + tf.Variable(tf.zeros([outputs]), name=f"{name}/biases")


def build(calls: int | None = 4) -> SimpleNamespace:
    """The graph. One iterator reads the training or the test data, whichever was initialized last."""
    images, digit = digits()
    lines = [f"{label}:{','.join(map(str, image))}" for image, label in zip(images.tolist(), digit, strict=True)]
    train, test = pipeline(lines[:TRAINED], calls).repeat(), pipeline(lines[TRAINED:], calls, len(lines))
    iterator = tf.data.Iterator.from_structure(train.output_types, train.output_shapes)
    features, labels = iterator.get_next()
    logits = layer(tf.nn.relu(layer(features, 3 * 64, 128, "hidden")), 128, 10, "logits")
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
    step = tf.train.AdamOptimizer(0.01).minimize(loss)
    accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), labels), tf.float32))
    training, testing = iterator.make_initializer(train), iterator.make_initializer(test)
    return SimpleNamespace(training=training, testing=testing, loss=loss, train=step, accuracy=accuracy)


def main(steps: int = 150) -> float:
    """Train, and return the accuracy on the test images."""
    model = build()
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), model.training])
        for step in range(steps):
            _, loss = session.run([model.train, model.loss])
            if step % 50 == 0:
                print(f"step {step}: loss {loss:.4f}")
        session.run(model.testing)
        accuracy = session.run(model.accuracy)
    print(f"accuracy {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    main()
