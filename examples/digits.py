"""A classifier of handwritten digits, trained with data-parallel shards.

Each step cuts its batch into shards. The shards' gradients are independent branches, so they run at the same
time as Ray tasks; the weights live in the session's actor; the update of all weights is one atomic run.
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import weftwork as tf

HIDDEN = 512
SHARDS = 4
"""The shards of a step: each asks for a CPU, so each is a Ray task, on whatever machine has one."""


def layers(images, weights):
    """The hidden layer and the logits, float32 [n, HIDDEN] and [n, 10]."""
    w1, b1, w2, b2 = weights
    hidden = np.maximum(images @ w1 + b1, 0)
    return hidden, hidden @ w2 + b2


@tf.op(outputs=5, dtype=tf.float32, num_cpus=1)
def shard_gradient(images, labels, *weights):
    """The mean cross-entropy of one shard, and its gradients.

    dL/dlogits = (softmax - one hot) / n; the rest is the chain rule.
    """
    hidden, logits = layers(images, weights)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances = shifted / shifted.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = -np.log(chances[rows, labels] + 1e-9).mean()
    slope = chances.copy()
    slope[rows, labels] -= 1
    slope /= len(labels)
    back = (slope @ weights[2].T) * (hidden > 0)
    return loss, images.T @ back, back.sum(axis=0), hidden.T @ slope, slope.sum(axis=0)


def build(size: int) -> dict:
    """The graph: variables, one training step on SHARDS times `size` images, the accuracy."""
    tf.set_random_seed(1)
    images = tf.placeholder(tf.float32, [None, 64], name="images")
    labels = tf.placeholder(tf.int64, [None], name="labels")
    weights = [
        tf.Variable(tf.random_normal([64, HIDDEN], stddev=0.1), name="w1"),
        tf.Variable(tf.zeros([HIDDEN]), name="b1"),
        tf.Variable(tf.random_normal([HIDDEN, 10], stddev=0.1), name="w2"),
        tf.Variable(tf.zeros([10]), name="b2"),
    ]
    shards = [
        shard_gradient(images[k * size : (k + 1) * size], labels[k * size : (k + 1) * size], *weights)
        for k in range(SHARDS)
    ]
    means = [tf.add_n(parts) / SHARDS for parts in zip(*shards, strict=True)]
    step = tf.group(*[w.assign_sub(0.5 * g) for w, g in zip(weights, means[1:], strict=True)], name="step")
    hidden = tf.nn.relu(tf.matmul(images, weights[0]) + weights[1])
    logits = tf.matmul(hidden, weights[2]) + weights[3]
    accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), labels), tf.float32))
    return {"images": images, "labels": labels, "step": step, "loss": means[0], "accuracy": accuracy}


def main(steps: int = 150, size: int = 256) -> float:
    """Train, print, and return the accuracy on digits that were held back."""
    pixels, targets = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(targets))
    images, labels = (pixels[order] / 16).astype(np.float32), targets[order].astype(np.int64)
    train, test = slice(0, 1400), slice(1400, None)
    with tf.Graph().as_default(), tf.Session() as session:
        net = build(size)
        session.run(tf.global_variables_initializer())
        rng = np.random.default_rng(1)
        progress = tqdm(range(steps), desc="training", unit="step", mininterval=1)
        for _ in progress:
            rows = rng.integers(0, 1400, size * SHARDS)
            feed = {net["images"]: images[train][rows], net["labels"]: labels[train][rows]}
            loss, _ = session.run([net["loss"], net["step"]], feed)
            progress.set_postfix(loss=f"{loss:.3f}", refresh=False)
        feed = {net["images"]: images[test], net["labels"]: labels[test]}
        accuracy = float(session.run(net["accuracy"], feed))
        print(f"accuracy on {len(labels[test])} digits that it never saw: {accuracy:.3f}")
        ran = [f"{place} {nodes} nodes in {pieces} pieces" for place, (pieces, nodes) in session.placements.items()]
        print(f"what ran where: {', '.join(ran)}")
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=150)
    main(parser.parse_args().steps)
