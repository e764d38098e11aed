"""Data-parallel training on all cores against training on one core: `examples/training/data_parallel.py`.

synchronous: a step with one tower per core, each with a part of the batch, against one tower on one core. (Without that
limit the scheduler may spread even a single tower over two cores, because the gradients of weights and inputs are
independent. The row also shows the time of that.)
asynchronous: one thread per core trains on one session, with a whole batch per step, against one thread: the time for
the same number of steps, each of which is an update.
NumPy itself uses one thread. Goal: 1.7 times as fast on two cores. The bound is how many of the same products two
independent processes compute in that time.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import cycle
from time import perf_counter

from benchmarks.common import interleaved, row

CORES = len(os.sched_getaffinity(0))
GOAL = 1 / 1.7
STEPS = 40


def stepping(towers: int, placement: str) -> Callable:
    """A training step as a function. Placed in the "caller", it uses one core."""
    import weftwork as tf
    from examples.training.data_parallel import build, feeds

    with tf.Graph().as_default():
        model = build(towers)
        session = tf.Session(config=tf.ConfigProto(placement=placement))
        session.run(tf.global_variables_initializer())
    every = cycle(list(feeds(model, 10)))
    return lambda: session.run(model.train, next(every))


def training(threads: int) -> Callable:
    """A function that makes `STEPS` steps with several threads on one session."""
    run = stepping(1, "caller")

    def work(steps: int) -> None:
        for _ in range(steps):
            run()

    def all_of_them() -> None:
        workers = [threading.Thread(target=work, args=(STEPS // threads,)) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    return all_of_them


def products(seconds: float = 3.0) -> int:
    """The number of products of a layer's size that one process computes."""
    import numpy as np

    a, b = np.ones((1024, 512), np.float32), np.ones((512, 512), np.float32)
    count, end = 0, perf_counter() + seconds
    while perf_counter() < end:
        np.matmul(a, b)
        count += 1
    return count


def machine_speed_up() -> float:
    """How much more one process per core computes, in total, than a single process."""
    alone, together = [], []
    for _ in range(3):
        for times, count in ((alone, 1), (together, CORES)):
            started = [
                subprocess.Popen([sys.executable, "-m", "benchmarks.data_parallel", "products"], stdout=subprocess.PIPE)
                for _ in range(count)
            ]
            times.append(sum([int(process.communicate()[0]) for process in started]))
    return statistics.median(together) / statistics.median(alone)


def main() -> None:
    """Print the rows."""
    bound = machine_speed_up()
    runs = {"ours": stepping(CORES, "auto"), "peer": stepping(1, "caller"), "spread": stepping(1, "auto")}
    took = interleaved(runs, rounds=60, warm=40)
    spread = f"{took['spread'] * 1e3:.4g} ms where the scheduler may spread it"
    peer = f"one tower on one core; {spread}; {CORES} processes gain {bound:.2f}"
    row(f"a step with {CORES} towers", took["ours"], took["peer"], GOAL, peer, "ms", 1e3)
    took = interleaved({"ours": training(CORES), "peer": training(1)}, rounds=5, warm=2)
    row(f"{STEPS} steps by {CORES} threads", took["ours"], took["peer"], GOAL, "one thread", "ms", 1e3)


if __name__ == "__main__":
    if sys.argv[1:] == ["products"]:
        print(products())
    else:
        main()
