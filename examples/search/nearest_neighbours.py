"""Nearest neighbour: an image shows the same digit as the most similar known image. Prints an accuracy above 0.95."""

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

import weftwork as tf
from examples.datasets import TRAINED, digits

TESTED = 100


def build() -> SimpleNamespace:
    """The graph: the index of the known image that is closest to another one, by the sum of absolute differences."""
    known = tf.placeholder(tf.float32, [None, 64], name="known")
    image = tf.placeholder(tf.float32, [64], name="image")
    distances = tf.reduce_sum(tf.abs(known - image), axis=1)
    return SimpleNamespace(known=known, image=image, nearest=tf.argmin(distances, 0))


def feeds(model: SimpleNamespace, count: int = TESTED) -> Iterator[dict[tf.Tensor, np.ndarray]]:
    """A feed for each image to classify."""
    images, _ = digits()
    for image in images[TRAINED : TRAINED + count]:
        yield {model.known: images[:TRAINED], model.image: image}


def main(count: int = TESTED) -> float:
    """Classify some images, and return the accuracy."""
    model = build()
    _, labels = digits()
    with tf.Session() as session:
        found = [labels[session.run(model.nearest, feed)] for feed in feeds(model, count)]
    accuracy = float(np.mean(np.equal(found, labels[TRAINED : TRAINED + count])))
    print(f"accuracy {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    main()
