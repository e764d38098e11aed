"""Nearest neighbours: the digit on an image is that on the most similar known one. It gets more than 0.95 right."""

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

import weftwork as tf
from examples.datasets import TRAINED, digits

TESTED = 100


def build() -> SimpleNamespace:
    """The graph: the number of the known image with the smallest sum of differences to one image."""
    known = tf.placeholder(tf.float32, [None, 64], name="known")
    image = tf.placeholder(tf.float32, [64], name="image")
    distances = tf.reduce_sum(tf.abs(known - image), axis=1)
    return SimpleNamespace(known=known, image=image, nearest=tf.argmin(distances, 0))


def feeds(model: SimpleNamespace, count: int = TESTED) -> Iterator[dict[tf.Tensor, np.ndarray]]:
    """A feed for each image to be told."""
    images, _ = digits()
    for image in images[TRAINED : TRAINED + count]:
        yield {model.known: images[:TRAINED], model.image: image}


def main(count: int = TESTED) -> float:
    """Tell the digits on some images, and return how many are right."""
    model = build()
    _, labels = digits()
    with tf.Session() as session:
        told = [labels[session.run(model.nearest, feed)] for feed in feeds(model, count)]
    accuracy = float(np.mean(np.equal(told, labels[TRAINED : TRAINED + count])))
    print(f"accuracy {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    main()
