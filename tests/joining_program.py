"""A program that starts Ray with its first node that needs a worker (`start`), or has a Ray that is joined (`join`)."""

from __future__ import annotations

import json
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
    return {"after": ray.is_initialized(), "cpus": int(ray.cluster_resources()["CPU"])}


if __name__ == "__main__":
    print(json.dumps({"start": start, "join": join}[sys.argv[1]]()))
