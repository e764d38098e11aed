"""A program on three machines of one cluster, in a process of its own: prints what it saw as JSON."""

from __future__ import annotations

import json
import os
import tempfile

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ray.cluster_utils import Cluster

import weftwork as tf
from examples.cluster.sweep import sweep
from tests.test_equivalence import compare
from tests.tracing import check_order, check_run, of_kind, traced
from tests.waiting import until
from tests.warm import forked_workers


def machine() -> str:
    """The machine that this process works on."""
    import ray

    return ray.get_runtime_context().get_node_id()


@tf.op
def here(x):
    """The machine that works on a value, and its sum."""
    return machine(), float(x.sum())


@tf.op(num_cpus=1)
def whereabouts(marks, branch):
    """A branch that ends once another machine has one, too, and says where it ran: the machine, and the process.

    marks: a folder.   There are more branches than a machine has CPUs.
    """
    open(os.path.join(marks, machine()), "a").close()
    until(lambda: len(os.listdir(marks)) > 1)
    return machine(), os.getpid()


def lanes_are_right(events: list, where: dict) -> str:
    """Check what a run on several machines has told: the lanes in which nodes ran are those where they were called."""
    from weftwork.scheduler.machines import inventory

    check_run(events)
    check_order(events)
    told = {e.ops[0]: (inventory.machine_at(e.lane.machine) or machine(), e.lane.pid) for e in of_kind(events, "node")}
    assert told == where, (told, where)
    return "right"


def devices(address: str, folder: str, seen: dict) -> None:
    """Device scopes, label selectors, large inputs."""
    from weftwork.scheduler.machines.devices import check_packages, machines
    from weftwork.scheduler.machines.inventory import cluster

    seen["machines in order"] = [m.id for m in machines()]
    try:
        check_packages(cluster(), ("weftwork", "no_such_package"))
    except tf.errors.FailedPreconditionError as error:
        seen["lacking"] = str(error)
    with tf.Graph().as_default():
        tasks = []
        for task in range(3):
            with tf.device(f"/job:worker/task:{task}"):
                tasks.append(tf.op(machine)())
        with tf.resources(label_selector={"zone": "west"}):
            west = tf.op(machine)()
        nowhere = tf.op(label_selector={"zone": "north"})(machine)()
        with tf.device("/job:worker/task:2/cpu:0"):
            far = tf.Variable(np.zeros(100_000), name="far")
        update = far.assign_add(tf.ones([100_000], tf.float64))
        large = tf.op(resources={"loom": 1}, num_cpus=1, dtype=tf.float64, shape=[2_000_000])(np.ones)(2_000_000)
        followed = here(large)
        seen_waiting = os.path.join(folder, "seen waiting")
        slow = tf.op(resources={"loom": 1})(lambda: (until(lambda: os.path.exists(seen_waiting)), machine())[1])()
        with tf.Session(address) as session:
            seen["tasks"] = session.run(tasks)
            seen["west"] = session.run(west)
            try:
                session.run(nowhere)
            except tf.errors.InvalidArgumentError as error:
                seen["nowhere"] = str(error)
            session.run(far.initializer)
            for _ in range(2):
                session.run(update)
            seen["far"] = session.run(far)[:2].tolist()
            seen["far explained"] = str(session.explain(update))
            seen["followed"] = [session.run([large[:1], followed])[1][0] for _ in range(3)]
            started = session.submit(slow)
            until(lambda: any([waiting.machine for waiting in session.waiting()]) or started.done())
            told = next(waiting for waiting in session.waiting() if waiting.machine)
            seen["waiting"] = [told.nodes[0], told.machine]
            open(seen_waiting, "w").close()
            started.result()
    with tf.Graph().as_default(), tf.device("/job:ps/task:7"), tf.Session(address) as session:
        try:
            session.run(tf.op(machine)())
        except tf.errors.InvalidArgumentError as error:
            seen["unknown"] = str(error)


def random_graphs(address: str) -> dict:
    """Random graphs with random costs against the reference interpreter, and random asks: how many came out right.

    Each ask runs on a machine that has what it asks for, or is refused where there is none.
    """
    import ray

    living = {node["NodeID"]: (node["Resources"], node["Labels"]) for node in ray.nodes() if node["Alive"]}
    seen = {"machines": len(living), "graphs": 0, "placed": 0, "refused": 0}

    @settings(max_examples=4, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def check(data):
        compare(data, address, ("auto", "mixed", "task", "dynamic"))
        seen["graphs"] += 1
        cpus, loom, zone = (data.draw(st.sampled_from(of)) for of in ([1, 2, 3], [0, 1], [None, "east", "west"]))
        able = {
            name
            for name, (has, labels) in living.items()
            if has.get("CPU", 0) >= cpus and has.get("loom", 0) >= loom and zone in (None, labels.get("zone"))
        }
        asks = {"resources": {"loom": 1}} if loom else {}
        labels = {"label_selector": {"zone": zone}} if zone else {}
        with tf.Graph().as_default(), tf.Session(address) as session:
            try:
                assert session.run(tf.op(num_cpus=cpus, **asks, **labels)(machine)()) in able
                seen["placed"] += 1
            except tf.errors.InvalidArgumentError:
                assert not able
                seen["refused"] += 1

    check()
    return seen


def main() -> dict:
    """Run on a head with two CPUs and two machines with a resource and fake GPUs."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    cluster.add_node(num_cpus=2, num_gpus=2, resources={"loom": 1}, labels={"zone": "east"})
    cluster.add_node(num_cpus=2, num_gpus=1, labels={"zone": "west"})
    cluster.wait_for_nodes()
    seen: dict = {}
    with tf.Graph().as_default(), tempfile.TemporaryDirectory() as marks:
        branches = [whereabouts(marks, k) for k in range(6)]
        on_loom = tf.op(resources={"loom": 1})(machine)()
        on_gpu = tf.op(num_gpus=1)(lambda: os.environ.get("CUDA_VISIBLE_DEVICES"))()
        with tf.resources(custom={"loom": 1}):
            scoped = tf.constant(np.arange(4.0)) * 2
        greedy = tf.op(num_gpus=3)(machine)()
        weights = tf.Variable(np.ones(100_000), name="weights")
        update = weights.assign_add(tf.op(num_cpus=1, dtype=tf.float64, shape=[100_000])(np.ones)(100_000))
        with tf.Session(cluster.address) as session:
            seen["swept"] = [len(found) for found in sweep(cluster.address)]
            where, events = traced(session, branches)
            seen["machines"] = len({place for place, _ in where})
            seen["traced"] = lanes_are_right(events, dict(zip([branch.op for branch in branches], where, strict=True)))
            session.timeline(os.devnull)
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
    with tempfile.TemporaryDirectory() as folder:
        devices(cluster.address, folder, seen)
    import ray

    seen["loom machine"] = next(n["NodeID"] for n in ray.nodes() if n["Resources"].get("loom"))
    seen["shapes"] = [random_graphs(cluster.address)]
    for node in list(cluster.worker_nodes):
        cluster.remove_node(node)
        seen["shapes"].append(random_graphs(cluster.address))
    ray.shutdown()
    cluster.shutdown()
    return seen


if __name__ == "__main__":
    with forked_workers():
        print(json.dumps(main()))
