"""A program that loses machines of its cluster, in a process of its own: prints what it saw as JSON."""

from __future__ import annotations

import json
import os
import sys

os.environ.update(
    RAY_health_check_initial_delay_ms="0",
    RAY_health_check_period_ms="200",
    RAY_health_check_timeout_ms="500",
    RAY_health_check_failure_threshold="3",
)

import numpy as np
from ray.cluster_utils import Cluster

import weftwork as tf

SIZE = 200_000


class Machines:
    """A head, and machines that come and go: two others at any time, one of which has the resource `spot`."""

    def __init__(self):
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
        self.spot = self.add()
        self.cluster.add_node(num_cpus=1)
        self.cluster.wait_for_nodes()

    def add(self):
        """One more machine with the resource."""
        return self.cluster.add_node(num_cpus=1, resources={"spot": 1})

    def replace(self):
        """The machine with the resource dies, another one comes."""
        self.cluster.remove_node(self.spot, allow_graceful=False)
        self.spot = self.add()
        self.cluster.wait_for_nodes()


def training(machines: Machines, config: tf.ConfigProto, extra: int = 0) -> dict:
    """Count in a large variable that lies on a machine, which dies then; `extra` steps after the last checkpoint."""
    from weftwork.scheduler.devices import machines as known

    seen: dict = {"errors": []}
    with tf.Graph().as_default(), tf.Session(machines.cluster.address, config=config) as session:
        place = next(m.task for m in known() if m.id == machines.spot.node_id)
        with tf.device(f"/job:worker/task:{place}"):
            w = tf.Variable(np.zeros(SIZE, np.int64), name="w")
        step = w.assign_add(tf.ones([SIZE], tf.int64)).op  # fetched, its value would come here and be safe
        kept = tf.Variable(5, name="kept")
        ends = [w[0], w[-1]]
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            session.run(step)
        if config.checkpoint_dir:
            session._engine._autosave.save()
        for _ in range(extra):
            session.run(step)
        machines.replace()
        for _ in range(2):
            try:
                session.run(step)
            except tf.errors.OpError as error:
                seen["errors"].append([type(error).__name__, str(error)])
        seen["kept"] = int(session.run(kept))
        try:
            seen["got"] = [int(v) for v in session.run(ends)]
        except tf.errors.OpError as error:
            seen["got"] = type(error).__name__
            session.run(w.initializer)
            seen["anew"] = int(session.run(w[0]))
    return seen


def main(folder: str) -> dict:
    """With a replica, with a checkpoint, with nothing."""
    machines = Machines()
    checkpoints = tf.ConfigProto(checkpoint_dir=folder, checkpoint_every=3600)
    seen = {
        "replicas": training(machines, tf.ConfigProto(replicas=2)),
        "saved": training(machines, checkpoints),
        "rolled back": training(machines, checkpoints, extra=2),
        "nothing": training(machines, tf.ConfigProto()),
    }
    import ray

    ray.shutdown()
    machines.cluster.shutdown()
    return seen


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
