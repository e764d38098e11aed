"""A classifier of handwritten digits whose training is spread over Ray tasks.

Each step cuts its batch into shards, whose gradients are computed by Ray tasks at the same time. All weights are
updated together, in one atomic run. Prints the accuracy, and what ran where.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import sys

import numpy as np
from scipy.special import softmax
from tqdm import tqdm

import weftwork as tf
from examples.datasets import TRAINED, digits

HIDDEN = 512
SHARDS = 4  # per step; each asks for a CPU, so it becomes a Ray task on a machine that has one


@tf.op(outputs=5, dtype=tf.float32, num_cpus=1)
def shard_gradient(images: np.ndarray, labels: np.ndarray, *weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """The mean cross-entropy of one shard, and its gradients. The one by the logits is (softmax - one hot) / n."""
    w1, b1, w2, b2 = weights
    hidden = np.maximum(images @ w1 + b1, 0)
    chances = softmax(hidden @ w2 + b2, axis=1)
    rows = np.arange(len(labels))
    loss = -np.log(chances[rows, labels] + 1e-9).mean()
    chances[rows, labels] -= 1
    slope = chances / len(labels)
    back = (slope @ w2.T) * (hidden > 0)
    return loss, images.T @ back, back.sum(axis=0), hidden.T @ slope, slope.sum(axis=0)


def build(size: int) -> dict[str, tf.Tensor | tf.Operation]:
    """The graph: a training step on SHARDS times `size` images, its loss, and the accuracy."""
    tf.set_random_seed(1)
    images = tf.placeholder(tf.float32, [None, 64], name="images")
    labels = tf.placeholder(tf.int64, [None], name="labels")
    weights = [
        tf.Variable(tf.random_normal([64, HIDDEN], stddev=0.1), name="w1"),
        tf.Variable(tf.zeros([HIDDEN]), name="b1"),
        tf.Variable(tf.random_normal([HIDDEN, 10], stddev=0.1), name="w2"),
        tf.Variable(tf.zeros([10]), name="b2"),
    ]
    parts = [slice(k * size, (k + 1) * size) for k in range(SHARDS)]
    shards = [shard_gradient(images[part], labels[part], *weights) for part in parts]
    means = [tf.add_n(same) / SHARDS for same in zip(*shards, strict=True)]
    step = tf.group(*[w.assign_sub(0.5 * g) for w, g in zip(weights, means[1:], strict=True)], name="step")
    hidden = tf.nn.relu(tf.matmul(images, weights[0]) + weights[1])
    logits = tf.matmul(hidden, weights[2]) + weights[3]
    accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), labels), tf.float32))
    return {"images": images, "labels": labels, "step": step, "loss": means[0], "accuracy": accuracy}


def main(steps: int = 150, size: int = 256) -> float:
    """Train, and return the accuracy on the test images."""
    images, labels = digits()
    with tf.Graph().as_default(), tf.Session() as session:
        net = build(size)
        session.run(tf.global_variables_initializer())
        rng = np.random.default_rng(1)
        progress = tqdm(range(steps), desc="training (Ray starts first)", unit="step", mininterval=1)
        for _ in progress:
            rows = rng.integers(0, TRAINED, size * SHARDS)
            feed = {net["images"]: images[rows], net["labels"]: labels[rows]}
            loss, _ = session.run([net["loss"], net["step"]], feed)
            progress.set_postfix(loss=f"{loss:.3f}", refresh=False)
        feed = {net["images"]: images[TRAINED:], net["labels"]: labels[TRAINED:]}
        accuracy = float(session.run(net["accuracy"], feed))
        print(f"accuracy on {len(labels) - TRAINED} digits that it has never seen: {accuracy:.3f}")
        for place, (segments, nodes) in session.placements.items():
            print(f"{place:6} ran {nodes} nodes in {segments} segments")
    return accuracy


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
