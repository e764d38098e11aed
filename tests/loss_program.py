"""A program that loses machines of its cluster, in a process of its own: prints what it saw as JSON."""

from __future__ import annotations

import json
import os
import shutil
import tempfile

os.environ.update(
    RAY_health_check_initial_delay_ms="0",
    RAY_health_check_period_ms="200",
    RAY_health_check_timeout_ms="500",
    RAY_health_check_failure_threshold="3",
)

import numpy as np
from ray.cluster_utils import Cluster

import weftwork as tf
from tests.warm import forked_workers
from weftwork.scheduler.machines import objects

SIZE = 200_000


class Machines:
    """A head, and machines that come and go: two others at any time, one of which has the resource `spot`."""

    def __init__(self):
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
        self.spot = self.cluster.add_node(wait=False, num_cpus=1, resources={"spot": 1})  # both start beside each other
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

    def close(self):
        """All of them end, at once: nobody needs them any more."""
        import ray

        ray.shutdown()
        for node in self.cluster.list_all_nodes():
            self.cluster.remove_node(node, allow_graceful=False)


class Training:
    """Counts in a large variable that lies on the machine which will die."""

    def __init__(self, machines: Machines, config: tf.ConfigProto, extra: int = 0):
        """Three steps, a checkpoint if the session makes any, and `extra` steps after it."""
        from weftwork.scheduler.machines.devices import machines as known

        self.session = tf.Session(machines.cluster.address, graph=tf.Graph(), config=config)
        place = next(m.task for m in known() if m.id == machines.spot.node_id)
        with self.session.graph.as_default():
            with tf.device(f"/job:worker/task:{place}"):
                self.w = w = tf.Variable(np.zeros(SIZE, np.int64), name="w")
                still = tf.Variable(np.zeros(SIZE, np.int64), name="still")
            self.step = w.assign_add(tf.ones([SIZE], tf.int64)).op  # fetched, its value would come here and be safe
            written = still.assign_add(tf.ones([SIZE], tf.int64)).op
            self.kept = tf.Variable(5, name="kept")
            self.ends, self.one = [w[0], w[-1]], w[0]
            self.session.run(tf.global_variables_initializer())
            self.session.run(written)
        for _ in range(3):
            self.session.run(self.step)
        if config.checkpoint_dir:
            self.session._engine._autosave.save()
        for _ in range(extra):
            self.session.run(self.step)

    def after(self) -> dict:
        """The results of two steps after the machine is gone, and the state after them."""
        seen: dict = {"errors": []}
        with self.session as session:
            for _ in range(2):
                try:
                    session.run(self.step)
                except tf.errors.OpError as error:
                    seen["errors"].append([type(error).__name__, str(error)])
            still = session._engine.mirror.cell("still")
            if objects.is_reference(still.value):
                seen["still"] = len(objects.lie_on([still.value, *still.replicas]))
            seen["kept"] = int(session.run(self.kept))
            try:
                seen["got"] = [int(v) for v in session.run(self.ends)]
            except tf.errors.OpError as error:
                seen["got"] = type(error).__name__
                session.run(self.w.initializer)
                seen["anew"] = int(session.run(self.one))
        return seen


def main() -> dict:
    """With a replica, with a checkpoint, with nothing: sessions beside each other, which lose the same machine."""
    machines = Machines()
    folder = tempfile.mkdtemp()

    def saving(name: str) -> tf.ConfigProto:
        return tf.ConfigProto(checkpoint_dir=os.path.join(folder, name), checkpoint_every=3600)

    trainings = {
        "replicas": Training(machines, tf.ConfigProto(replicas=2)),
        "saved": Training(machines, saving("saved")),
        "rolled back": Training(machines, saving("rolled back"), extra=2),
        "nothing": Training(machines, tf.ConfigProto()),
    }
    machines.replace()
    seen = {name: training.after() for name, training in trainings.items()}
    machines.close()
    shutil.rmtree(folder)
    return seen


if __name__ == "__main__":
    with forked_workers():
        print(json.dumps(main()))
