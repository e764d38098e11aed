"""A program on three machines of one cluster, in a process of its own: prints what it saw as JSON."""

from __future__ import annotations

import json
import os
import time

import numpy as np
from ray.cluster_utils import Cluster

import weftwork as tf


def machine() -> str:
    """The machine that this process works on."""
    import ray

    return ray.get_runtime_context().get_node_id()


@tf.op(num_cpus=1)
def whereabouts(branch):
    """A branch that takes a while, and says where it ran."""
    time.sleep(0.5)
    return machine()


def main() -> dict:
    """Run on a head with two CPUs and two machines with a resource and fake GPUs."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    cluster.add_node(num_cpus=2, num_gpus=2, resources={"loom": 1})
    cluster.add_node(num_cpus=2, num_gpus=1)
    cluster.wait_for_nodes()
    seen: dict = {}
    with tf.Graph().as_default():
        branches = [whereabouts(k) for k in range(6)]
        on_loom = tf.op(resources={"loom": 1})(machine)()
        on_gpu = tf.op(num_gpus=1)(lambda: os.environ.get("CUDA_VISIBLE_DEVICES"))()
        with tf.resources(custom={"loom": 1}):
            scoped = tf.constant(np.arange(4.0)) * 2
        greedy = tf.op(num_gpus=3)(machine)()
        weights = tf.Variable(np.ones(100_000), name="weights")
        update = weights.assign_add(tf.op(num_cpus=1, dtype=tf.float64, shape=[100_000])(np.ones)(100_000))
        with tf.Session(cluster.address) as session:
            seen["machines"] = len(set(session.run(branches)))
            seen["loom"] = session.run(on_loom)
            seen["gpu"] = session.run(on_gpu)
            seen["scoped"] = session.run(scoped).tolist()
            try:
                session.run(greedy)
            except tf.errors.InvalidArgumentError as error:
                seen["greedy"] = str(error)
            session.run(weights.initializer)
            for _ in range(3):
                session.run(update)
            seen["weights"] = session.run(weights)[:2].tolist()
            seen["devices"] = [device.name for device in session.list_devices()]
            seen["placements"] = session.placements
    import ray

    seen["loom machine"] = next(n["NodeID"] for n in ray.nodes() if n["Resources"].get("loom"))
    ray.shutdown()
    cluster.shutdown()
    return seen


if __name__ == "__main__":
    print(json.dumps(main()))
