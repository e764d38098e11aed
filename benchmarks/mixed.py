"""Mixed grains: a random graph of user functions whose costs are log-uniform from 1 us to 100 ms, in layers.

Half of the functions release the GIL, half are pure Python; each node is a function of its own, for the history knows
functions, not their arguments. The bound is that of list scheduling: no schedule is shorter than the work shared out
among the cores, nor than the longest path, with each function's time measured alone. Ours is replayed; Ray runs one
task per node; Dask its threads, and one process a core.
"""

from __future__ import annotations

import os
import random
import statistics
from collections.abc import Callable, Sequence
from time import perf_counter

from benchmarks import kernel
from benchmarks.common import interleaved, row, start_ray

LAYERS, WIDTH, SEED = 21, 8, 5
LEAST, MOST = 1e-6, 0.1
"""Seconds."""
CORES = len(os.sched_getaffinity(0))
WARM, ROUNDS = 24, 9

Node = tuple[str, float, tuple[int, ...]]
"""The kernel's name, the seconds aimed at, the numbers of the nodes that it reads."""


def random_graph(layers: int, width: int, seed: int) -> list[Node]:
    """Nodes in layers; each reads one to three of the two layers before, so its readers have higher numbers."""
    rng = random.Random(seed)
    nodes: list[Node] = []
    for number in range(layers * width):
        first = number - number % width
        before = range(max(0, first - 2 * width), first)
        reads = rng.sample(before, rng.randint(1, 3)) if before else []
        aim = LEAST * (MOST / LEAST) ** rng.random()
        nodes.append((rng.choice(("hashed", "counted")), aim, tuple(sorted(reads))))
    return nodes


def ends(nodes: Sequence[Node]) -> list[int]:
    """The nodes that nobody reads."""
    read = {other for _, _, reads in nodes for other in reads}
    return [number for number in range(len(nodes)) if number not in read]


def longest_path(nodes: Sequence[Node], seconds: Sequence[float]) -> float:
    """The seconds of the longest path."""
    done: list[float] = []
    for (_, _, reads), own in zip(nodes, seconds, strict=True):
        done.append(own + max([done[other] for other in reads], default=0.0))
    return max(done)


def lower_bound(nodes: Sequence[Node], seconds: Sequence[float], cores: int) -> float:
    """Seconds that no schedule for so many cores can beat."""
    return max(sum(seconds) / cores, longest_path(nodes, seconds))


def user_function(name: str, rounds: int) -> Callable:
    """A function of its own that calls a kernel."""
    work = getattr(kernel, name)

    def function(*inputs):
        return work(rounds, *inputs)

    return function


def functions_of(nodes: Sequence[Node]) -> list[Callable]:
    """The nodes' functions, of about the seconds aimed at on this machine."""
    speed = {}
    for name in ("hashed", "counted"):
        work = getattr(kernel, name)
        speed[name] = 100_000 / interleaved({name: lambda work=work: work(100_000)}, rounds=9, warm=2)[name]
    return [user_function(name, max(1, int(aim * speed[name]))) for name, aim, _ in nodes]


def alone(nodes: Sequence[Node], functions: Sequence[Callable]) -> list[float]:
    """The seconds of each function, called one after another."""
    seconds = []
    for (_, _, reads), function in zip(nodes, functions, strict=True):
        start = perf_counter()
        function(*reads)
        seconds.append(perf_counter() - start)
    return seconds


def weftwork_run(nodes: Sequence[Node], functions: Sequence[Callable]) -> Callable:
    """Ours."""
    import weftwork as tf

    with tf.Graph().as_default():
        made: list = []
        for (_, _, reads), function in zip(nodes, functions, strict=True):
            made.append(tf.op(function)(*[made[other] for other in reads]))
        session = tf.Session()
    fetches = [made[end] for end in ends(nodes)]
    return lambda: session.run(fetches)


def ray_run(nodes: Sequence[Node], functions: Sequence[Callable]) -> Callable:
    """One Ray task per node."""
    import ray

    remote = [ray.remote(function) for function in functions]

    def run():
        made: list = []
        for (_, _, reads), task in zip(nodes, remote, strict=True):
            made.append(task.remote(*[made[other] for other in reads]))
        return ray.get([made[end] for end in ends(nodes)])

    return run


def dask_run(nodes: Sequence[Node], functions: Sequence[Callable], get: Callable) -> Callable:
    """Dask, with one of its schedulers."""
    graph = {
        f"node-{number}": (function, *[f"node-{other}" for other in reads])
        for number, ((_, _, reads), function) in enumerate(zip(nodes, functions, strict=True))
    }
    keys = [f"node-{end}" for end in ends(nodes)]
    return lambda: list(get(graph, keys))


def main() -> None:
    """Print our time over the bound, over Ray's and over that of either Dask."""
    import dask.threaded
    from distributed import Client, LocalCluster

    nodes = random_graph(LAYERS, WIDTH, SEED)
    functions = functions_of(nodes)
    start_ray(CORES)
    with (
        LocalCluster(n_workers=CORES, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        runs = {
            "ours": weftwork_run(nodes, functions),
            "one Ray task per node": ray_run(nodes, functions),
            "Dask threads": dask_run(nodes, functions, lambda g, k: dask.threaded.get(g, k, num_workers=CORES)),
            "Dask distributed": dask_run(nodes, functions, client.get),
        }
        results = [run() for run in runs.values()]
        assert all(result == results[0] for result in results), "the systems do not agree"
        for _ in range(WARM):
            runs["ours"]()
        calls: list[list[float]] = []
        took = interleaved({**runs, "alone": lambda: calls.append(alone(nodes, functions))}, ROUNDS, warm=1)
    bound = lower_bound(nodes, [statistics.median(seconds) for seconds in zip(*calls, strict=True)], CORES)
    name = f"mixed: {len(nodes)} functions of 1 us to 100 ms"
    row(name, took["ours"], bound, 1.1, "list-scheduling bound", "ms", 1e3)
    for peer in ("one Ray task per node", "Dask threads", "Dask distributed"):
        row(name, took["ours"], took[peer], 1.0, peer, "ms", 1e3)


if __name__ == "__main__":
    main()
