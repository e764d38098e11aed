"""A program whose object store, and the disk behind it, are full for large values: prints what it saw as JSON."""

from __future__ import annotations

import json
import os

os.environ["RAY_local_fs_capacity_threshold"] = "0.0001"  # the disk counts as full for whatever overflows the store

import numpy as np

import weftwork as tf
from tests.warm import forked_workers

SIZE = 50_000
TOO_MANY = 16 << 20
"""Elements of a value that is larger than the store."""


@tf.op(dtype=tf.float64, isolated=True)
def make(n):
    """Something large, in a worker."""
    return np.ones(n)


@tf.op(isolated=True)
def total(x):
    """Something small of something large."""
    return float(x.sum())


class Holder:
    """A large variable that lies with Ray, a small one that counts, and runs that are too large."""

    def __init__(self, placement: str):
        with tf.Graph().as_default() as graph:
            self.n = tf.placeholder(tf.int64, [])
            self.fed = tf.placeholder(tf.float64, [None])
            w = tf.Variable(np.zeros(SIZE), name="w", validate_shape=False)
            count = tf.Variable(np.int64(0), name="count")
            more = count.assign_add(1)
            self.first = tf.assign(w, make(SIZE), validate_shape=False).op
            self.step = tf.group(w.assign_add(tf.ones([SIZE], tf.float64)), more)
            made, assigned = make(self.n, name="fetched"), make(self.n, name="assigned")
            grown = tf.assign(w, tf.tile(w, [self.n]), validate_shape=False, name="grown").op
            few, many = {self.n: TOO_MANY}, {self.n: TOO_MANY // SIZE}
            self.runs = {
                "fed": ([total(self.fed, name="total"), more], {self.fed: np.ones(TOO_MANY)}),
                "fetched": ([made, more], few),
                "assigned": ([tf.assign(w, assigned, validate_shape=False).op, more], few),
                "grown": ([grown, more], many),
            }
            self.state = [w[-1], tf.size(w), count]
            initialise = tf.global_variables_initializer()
        self.session = tf.Session(graph=graph, config=tf.ConfigProto(placement=placement))
        self.session.run(initialise)

    def values(self) -> list:
        """The values of the variables."""
        return [float(v) for v in self.session.run(self.state)]

    def meet(self, name: str) -> dict:
        """Run what is too large: the state before it, the error, the state after it, and after one more step."""
        seen: dict = {"error": None}
        self.session.run(self.first)
        self.session.run(self.step)
        seen["before"] = self.values()
        fetches, feed = self.runs[name]
        try:
            self.session.run(fetches, feed)
        except tf.errors.OpError as error:
            seen["error"] = [type(error).__name__, error.message]
        seen["after"] = self.values()
        self.session.run(self.step)
        seen["next"] = self.values()
        return seen


def main() -> dict:
    """With every placement, every way to be too large."""
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        object_store_memory=80 << 20,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
    )
    seen = {}
    for placement in ("auto", "actor", "task"):
        holder = Holder(placement)
        with holder.session:
            names = [name for name in holder.runs if name != "grown" or placement != "auto"]  # the caller has room
            seen[placement] = {name: holder.meet(name) for name in names}
    ray.shutdown()
    return seen


if __name__ == "__main__":
    with forked_workers():
        print(json.dumps(main()))
