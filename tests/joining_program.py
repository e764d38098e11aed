"""A program that starts Ray with its first node that needs a worker (`start`), that has a Ray which is joined (`join`),
or for which RAY_ADDRESS names one (`named`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import weftwork as tf


def start() -> dict:
    """Whether Ray is there before and after a node needs it."""
    v = tf.Variable(1)
    with tf.Session() as session:
        session.run(v.initializer)
        assert session.run(v + 1) == 2
        before = "ray" in sys.modules
        assert session.run(tf.op(isolated=True)(abs)(-3)) == 3
        import ray

        return {"before": before, "after": ray.is_initialized(), "device": session.list_devices()[0].name}


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
    return {"after": ray.is_initialized(), "cpus": int(ray.cluster_resources()["CPU"]), **found}


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
    print(json.dumps({"start": start, "join": join, "named": named}[sys.argv[1]]()))
