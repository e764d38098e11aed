"""A program under GPU scopes on a machine with two fake GPUs, in a process of its own: prints what it saw as JSON.

With `double` as its argument the stand-in for CuPy is importable, in the workers too.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile

import numpy as np
import ray

import weftwork as tf
from tests.warm import forked_workers
from weftwork.scheduler.state import actor_link


@tf.op
def visible(x):
    """The GPUs visible to a user's function, its argument, and its process."""
    return os.environ.get("CUDA_VISIBLE_DEVICES"), type(x).__module__, os.getpid()


@tf.op
def crossings(*after):
    """How often arrays went to the device and back in this process."""
    import cupy  # pyright: ignore[reportMissingImports]

    return dict(cupy.crossed)


@tf.op
def die_once(path, x):
    """End the process at the first call."""
    if not os.path.exists(path):
        open(path, "w").close()
        os._exit(1)
    return x


def in_use(fetches) -> str:
    """The error of a second session that asks for the GPUs held by the first one."""
    actor_link._FREED_WITHIN = 0.5  # nobody is about to free one
    with tf.Session() as second:
        try:
            second.run(fetches)
            second.run(fetches)
        except tf.errors.ResourceExhaustedError as error:
            return str(error)
    return "both sessions hold both"


def users(alone: bool) -> dict:
    """Functions of the user's, which need no CuPy. `alone`: without a second session."""
    seen: dict = {}
    x = tf.constant(np.arange(4.0))
    with tf.device("/gpu:0"):
        first, again = visible(x), visible(x)
    with tf.device("/device:GPU:1"):
        other = visible(x)
    asked = tf.op(num_gpus=2)(lambda: os.environ.get("CUDA_VISIBLE_DEVICES"))()
    with tf.Session() as session:
        runs = [session.run([first, again, other]) for _ in range(2)]
        seen["first"], seen["other"] = runs[0][0][0], runs[0][2][0]
        seen["processes"] = len({run[i][2] for run in runs for i in range(3)})
        seen["given"] = runs[0][0][1]
        seen["placements"] = session.placements
        seen["explained"] = str(session.explain([first]))
        seen["asked"] = session.run(asked)
        session.run(first)
        if not alone:
            seen["in use"] = in_use([first, other])
    with tf.Graph().as_default(), tf.device("/gpu:2"), tf.Session() as session:
        try:
            session.run(visible(np.arange(4.0)))
        except tf.errors.InvalidArgumentError as error:
            seen["lacking"] = str(error)
    return seen


def library(path: str) -> dict:
    """The library's nodes, and variables."""
    seen: dict = {}
    x = tf.placeholder(tf.float64, [3])
    with tf.device("/gpu:0"):
        w = tf.Variable(np.full(200_000, 2.0), name="w")
        y = tf.reduce_sum(x * 2.0) + 1.0
        singular = tf.svd(tf.reshape(tf.tile(x, [3]), [3, 3]), compute_uv=False)
        more = w.assign_add(tf.ones([200_000], tf.float64))
        stays = tf.tanh(x)
        counted = crossings(stays)
    on_host = tf.op(pure=True)(lambda a: type(a).__module__)(stays)
    with tf.device("/gpu:0"):
        after = tf.reduce_sum(die_once(path, stays) + stays)
    with tf.Session() as session:
        feed = {x: [1.0, 2.0, 3.0]}
        session.run(w.initializer)
        seen["y"] = float(session.run(y, feed))
        seen["svd"] = session.run(singular, feed).tolist()
        for _ in range(3):
            session.run(more)
        seen["w"] = session.run(w)[:2].tolist()
        seen["host"] = session.run(on_host, feed)
        seen["crossed"] = session.run(counted, feed)
        seen["after"] = float(session.run(after, feed))
        seen["placements"] = session.placements
    return seen


def main(double: bool) -> dict:
    """Run all of it."""
    ray.init(address="local", num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False)
    seen: dict = {}
    with tf.Graph().as_default():
        seen["users"] = users(alone=double)
    if double:
        with tf.Graph().as_default():
            with tempfile.TemporaryDirectory() as folder:
                seen["library"] = library(os.path.join(folder, "died"))
    else:
        with tf.Graph().as_default():
            with tf.device("/gpu:0"):
                y = tf.sqrt(tf.placeholder_with_default(4.0, []))
            with tf.Session() as session:
                try:
                    session.run(y)
                except tf.errors.InvalidArgumentError as error:
                    seen["without"] = str(error)
            with tf.Session(config=tf.ConfigProto(allow_soft_placement=True)) as session:
                seen["soft"] = float(session.run(y))
    ray.shutdown()
    return seen


if __name__ == "__main__":
    with forked_workers():
        print(json.dumps(main(sys.argv[1] == "double")))
