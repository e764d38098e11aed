"""k-means: finds the centres of five clouds of points. Each comes within 0.2 of a true one."""

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

import weftwork as tf

CENTRES = np.array([[0, 0], [4, 0], [0, 4], [4, 4], [2, 8]], np.float32)


def data() -> tuple[np.ndarray, np.ndarray]:
    """1,000 points around the centres, and one point of each cloud, where the search begins."""
    rng = np.random.RandomState(2)
    points = CENTRES[np.arange(1000) % len(CENTRES)] + 0.5 * rng.randn(1000, 2)
    return points.astype(np.float32), points[: len(CENTRES)].astype(np.float32)


def build() -> SimpleNamespace:
    """The graph: a step moves each centroid to the mean of the points that are nearest to it."""
    points = tf.placeholder(tf.float32, [None, 2], name="points")
    centroids = tf.Variable(data()[1], name="centroids")
    squares = tf.reduce_sum(tf.square(tf.expand_dims(points, 1) - tf.expand_dims(centroids, 0)), axis=2)
    nearest = tf.argmin(squares, 1)
    count = len(CENTRES)
    sums = tf.unsorted_segment_sum(points, nearest, count)
    sizes = tf.unsorted_segment_sum(tf.ones_like(points), nearest, count)
    loss = tf.reduce_mean(tf.reduce_min(squares, axis=1))
    with tf.control_dependencies([loss]):
        train = tf.assign(centroids, sums / tf.maximum(sizes, 1.0))
    return SimpleNamespace(points=points, centroids=centroids, loss=loss, train=train)


def feeds(model: SimpleNamespace, steps: int) -> Iterator[dict[tf.Tensor, np.ndarray]]:
    """A feed for each step: all points."""
    for _ in range(steps):
        yield {model.points: data()[0]}


def main(steps: int = 20) -> float:
    """Search, and return how far the worst centroid is from a true centre."""
    model = build()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        found = CENTRES
        for step, feed in enumerate(feeds(model, steps)):
            loss, found = session.run([model.loss, model.train], feed)
            if step % 5 == 0:
                print(f"step {step}: mean square {loss:.4f}")
    distances = np.linalg.norm(found[:, None] - CENTRES[None], axis=2)
    print(found)
    return float(distances.min(axis=0).max())


if __name__ == "__main__":
    main()
