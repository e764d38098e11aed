"""A program that has a Ray which is joined (`join`), or for which RAY_ADDRESS names one (`named`).

In the first one runs fail again and again while their tasks begin and end: what Ray makes of the cancels is seen.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import weftwork as tf
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
    return {"after": ray.is_initialized(), "cpus": int(ray.cluster_resources()["CPU"]), **found, **failing()}


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
