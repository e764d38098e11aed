"""A program that has a Ray which is joined (`join`), or for which RAY_ADDRESS names one (`named`).

In the first one runs fail again and again while their tasks begin and end: what Ray makes of the cancels is seen.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

os.environ["RAY_task_events_report_interval_ms"] = "50"  # Ray reads it when it is imported; other tests want none

import numpy as np

import weftwork as tf
from tests.waiting import until
from tests.warm import forked_workers
from weftwork.scheduler.plan.cost import COSTS

RUNS = 600


def fail(_):
    """Goes wrong in the caller at once."""
    raise ValueError("no")


def failing() -> dict:
    """How many of the runs failed, and what one gives that does not."""
    failed = 0
    with tf.Graph().as_default(), tf.Session() as session:
        broken = tf.op(fail)(0)
        COSTS.learn(broken.op.kernel, 64, 1e-6, 8)
        tasks = [tf.op(isolated=True)(abs)(-k) for k in range(8)]
        for _ in range(RUNS):
            try:
                session.run([*tasks, broken])
            except tf.errors.InvalidArgumentError:
                failed += 1
        return {"failed": failed, "works": session.run(tasks)}


def named_in_ray() -> dict:
    """By which names Ray knows the work of a session, that of one that did not ask for it too."""
    from ray._private.state import state

    weights = tf.Variable(np.zeros(100_000), name="weights")
    with tf.name_scope("files"):
        ones = tf.op(num_cpus=1, dtype=tf.float64, shape=[100_000], name="ones")(np.ones)(100_000)
    update = weights.assign_add(ones, name="update")

    def shown() -> list[str]:
        return sorted([event["name"] for event in state.chrome_tracing_dump() or () if event.get("cat") == "weftwork"])

    for named in (False, True):
        with tf.Session(config=tf.ConfigProto(names_in_ray=named)) as session:
            session.run(weights.initializer)
            for _ in range(2):
                session.run(update)
            if named:
                until(lambda: len(shown()) == 4)  # processes tell from time to time
    listed = [event.task_info.name for event in state._get_all_task_events()]  # what `ray list tasks` shows
    return {"timeline": shown(), "listed": sorted(filter(None, listed))}


def join() -> dict:
    """Whether a Ray that was there stays after the session that joined it."""
    import ray

    ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False)
    with tf.Session("auto") as session:
        session.run(tf.op(isolated=True)(abs)(-3))
    address = ray.get_runtime_context().gcs_address
    named = {
        kind: subprocess.run(
            [sys.executable, "-m", "tests.joining_program", "named"],
            env={**os.environ, "RAY_ADDRESS": where},
            stdout=subprocess.PIPE,
            text=True,
            timeout=100,
        ).stdout
        for kind, where in {"named": address, "nowhere": "127.0.0.1:1"}.items()
    }
    found = {kind: json.loads(text.splitlines()[-1])["cpus"] for kind, text in named.items()}
    there = {"after": ray.is_initialized(), "cpus": int(ray.cluster_resources()["CPU"])}
    return {**there, **found, **failing(), **named_in_ray()}


def named() -> dict:
    """How many CPUs the Ray has that a session without a target uses; the error where there is none."""
    try:
        with tf.Session() as session:
            session.run(tf.op(isolated=True)(abs)(-3))
    except tf.errors.UnavailableError as error:
        return {"cpus": str(error).split(":")[0]}
    import ray

    return {"cpus": int(ray.cluster_resources()["CPU"])}


if __name__ == "__main__":
    if sys.argv[1] == "named":
        print(json.dumps(named()))
    else:
        with forked_workers():
            print(json.dumps(join()))
