"""64 independent pure-Python functions of 20 ms, against hand-written Ray tasks and against the ideal on all cores.

Also 40 such functions in the iterations of a `while_loop`. The ideal is the time of one function alone, divided among
the cores. The table also shows what plain processes need, one per core, because a core is slower when the others work.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import perf_counter

from benchmarks.common import interleaved, row, start_ray
from benchmarks.memory import Program, answer

TASKS = 64
ITERATIONS = 40
CORES = len(os.sched_getaffinity(0))
WARM = 20
"""Runs before anything is measured. The plans compete until then."""
_SAMPLE = 20
"""Number of calls to measure the ideal, alternating with the systems, because the machine's speed changes."""


def work(n: int, seed: int) -> int:
    """Do `n` additions in pure Python."""
    total = seed
    for k in range(n):
        total += k
    return total


def share(n: int, calls: int) -> None:
    """Run as a plain process that makes `calls` calls when it is told to."""
    answer("ready", lambda: [work(n, seed) for seed in range(calls)] and None)


def main() -> None:
    """Print our time over Ray's (goal: 1/0.95), over the ideal (goal: 1/0.9), and over that of plain processes."""
    import ray

    import weftwork as tf

    start_ray(CORES)
    n = 200_000
    start = perf_counter()
    work(n, 0)
    n = int(n * 0.020 / (perf_counter() - start))
    node, remote = tf.op(work), ray.remote(work)
    with tf.Graph().as_default():
        fetches = [node(n, seed) for seed in range(TASKS)]
        typed = tf.op(dtype=tf.int64, shape=[])(lambda k: work(n, int(k)))
        _, total = tf.while_loop(
            lambda k, _: k < ITERATIONS, lambda k, added: (k + 1, added + typed(k)), [tf.constant(0, tf.int64)] * 2
        )
        session = tf.Session()
    with ExitStack() as stack:
        plain = [stack.enter_context(Program("benchmarks.coarse", str(n), str(_SAMPLE // CORES))) for _ in range(CORES)]
        pool = stack.enter_context(ThreadPoolExecutor(CORES))
        ideals = {
            "alone": lambda: [work(n, seed) for seed in range(_SAMPLE)],
            "plain": lambda: list(pool.map(Program.run, plain)),
        }
        functions = {
            "ours": lambda: session.run(fetches),
            "peer": lambda: ray.get([remote.remote(n, seed) for seed in range(TASKS)]),
        }
        name = f"{TASKS} pure-Python functions of 20 ms"
        took = interleaved({**functions, **ideals}, rounds=9, warm=WARM)
        row(name, took["ours"], took["peer"], 1 / 0.95, "Ray tasks", "ms", 1e3)
        _print_ideals(name, TASKS, took)
        took = interleaved({"ours": lambda: session.run(total), **ideals}, rounds=9, warm=WARM)
        _print_ideals(f"{ITERATIONS} iterations of 20 ms in a while_loop", ITERATIONS, took)


def _print_ideals(name: str, calls: int, took: dict[str, float]) -> None:
    row(name, took["ours"], took["alone"] * calls / _SAMPLE / CORES, 1 / 0.9, "ideal", "ms", 1e3)
    row(name, took["ours"], took["plain"] * calls / _SAMPLE, 1 / 0.9, "plain processes", "ms", 1e3)


if __name__ == "__main__":
    share(*map(int, sys.argv[1:])) if len(sys.argv) > 1 else main()
