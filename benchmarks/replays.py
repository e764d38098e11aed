"""10,000 replays of a graph of 300 functions. Nothing may grow after the first 100."""

from __future__ import annotations

import gc
import os

import psutil

from benchmarks.common import figure, start_ray


def main() -> None:
    """Print the growth of memory and of the number of Python objects."""
    import weftwork as tf

    start_ray()
    node = tf.op(lambda *x: sum(x) % 1000)
    with tf.Graph().as_default():
        x = tf.placeholder(tf.object)
        level = [node(x, k) for k in range(150)]
        fetch = node(*[node(a) for a in level[:149]])
        total = tf.Variable(0)
        step = tf.assign_add(total, tf.cast(fetch, tf.int32))
        session = tf.Session()
        session.run(total.initializer)
    process = psutil.Process(os.getpid())
    for run in range(10_100):
        session.run(step, {x: run})
        if run == 100:
            gc.collect()
            memory, objects = process.memory_info().rss, len(gc.get_objects())
    gc.collect()
    figure("10,000 replays, memory grown by", (process.memory_info().rss - memory) / 2**20, "MiB", 5)
    figure("10,000 replays, Python objects grown by", len(gc.get_objects()) - objects, "objects", 100)


if __name__ == "__main__":
    main()
