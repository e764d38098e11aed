"""Mixed grains: a random layered graph of user functions whose costs are log-uniform from 1 us to 100 ms.

Half of the functions release the GIL, the others are pure Python. Every node has a function of its own, because the
cost history knows functions, not arguments. The bound is that of list scheduling: no schedule is shorter than the total
work divided by the cores, or than the longest path, with each function measured alone. Ours is replayed; Ray runs one
task per node; Dask runs threads, or one process per core. Each system is a process of its own, so that no other's
threads hold its GIL; runs are timed alternately, while the others are suspended. A second bound uses function times
measured while all cores work, because a core is slower then.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import perf_counter

from benchmarks import kernel
from benchmarks.common import interleaved, row, start_ray
from benchmarks.memory import Program, answer, timed

LAYERS, WIDTH, SEED = 21, 8, 5
LEAST, MOST = 1e-6, 0.1
"""Seconds."""
CORES = len(os.sched_getaffinity(0))
WARM, ROUNDS = 24, 13

Node = tuple[str, float, tuple[int, ...]]
"""Name of the kernel, target seconds, numbers of the nodes that it reads."""


def random_graph(layers: int, width: int, seed: int) -> list[Node]:
    """Nodes in layers. Each reads one to three nodes of the two layers before, so inputs have lower numbers."""
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
    """The nodes that no other node reads."""
    read = {other for _, _, reads in nodes for other in reads}
    return [number for number in range(len(nodes)) if number not in read]


def longest_path(nodes: Sequence[Node], seconds: Sequence[float]) -> float:
    """The length of the longest path in seconds."""
    done: list[float] = []
    for (_, _, reads), own in zip(nodes, seconds, strict=True):
        done.append(own + max([done[other] for other in reads], default=0.0))
    return max(done)


def lower_bound(nodes: Sequence[Node], seconds: Sequence[float], cores: int) -> float:
    """A lower bound, in seconds, for any schedule on this many cores."""
    return max(sum(seconds) / cores, longest_path(nodes, seconds))


def user_function(name: str, rounds: int) -> Callable:
    """A new function that calls a kernel."""
    work = getattr(kernel, name)

    def function(*inputs):
        return work(rounds, *inputs)

    return function


def speeds() -> dict[str, float]:
    """Rounds per second of each kernel on this machine."""
    works = {name: getattr(kernel, name) for name in ("hashed", "counted")}
    took = interleaved({name: lambda work=work: work(100_000) for name, work in works.items()}, rounds=9, warm=2)
    return {name: 100_000 / seconds for name, seconds in took.items()}


def functions_of(nodes: Sequence[Node], speed: Mapping[str, float]) -> list[Callable]:
    """The nodes' functions, which take about their target times."""
    return [user_function(name, max(1, int(aim * speed[name]))) for name, aim, _ in nodes]


def alone(nodes: Sequence[Node], functions: Sequence[Callable]) -> list[float]:
    """The time of each function in seconds, called one after another."""
    seconds = []
    for (_, _, reads), function in zip(nodes, functions, strict=True):
        start = perf_counter()
        function(*reads)
        seconds.append(perf_counter() - start)
    return seconds


def weftwork_run(nodes: Sequence[Node], functions: Sequence[Callable]) -> Callable:
    """Run Weftwork."""
    import weftwork as tf

    start_ray(CORES)
    with tf.Graph().as_default():
        made: list = []
        for (_, _, reads), function in zip(nodes, functions, strict=True):
            made.append(tf.op(function)(*[made[other] for other in reads]))
        session = tf.Session()
    fetches = [made[end] for end in ends(nodes)]
    return lambda: session.run(fetches)


def ray_run(nodes: Sequence[Node], functions: Sequence[Callable]) -> Callable:
    """Run one Ray task per node."""
    import ray

    start_ray(CORES)
    remote = [ray.remote(function) for function in functions]

    def run():
        made: list = []
        for (_, _, reads), task in zip(nodes, remote, strict=True):
            made.append(task.remote(*[made[other] for other in reads]))
        return ray.get([made[end] for end in ends(nodes)])

    return run


def dask_run(nodes: Sequence[Node], functions: Sequence[Callable], get: Callable) -> Callable:
    """Run Dask with one of its schedulers."""
    graph = {
        f"node-{number}": (function, *[f"node-{other}" for other in reads])
        for number, ((_, _, reads), function) in enumerate(zip(nodes, functions, strict=True))
    }
    keys = [f"node-{end}" for end in ends(nodes)]
    return lambda: list(get(graph, keys))


def perform(system: str, speed: Mapping[str, float]) -> None:
    """Run as one of the systems, answering with seconds and results; as `alone`, with the time of each function."""
    import dask.threaded
    from distributed import Client, LocalCluster

    nodes = random_graph(LAYERS, WIDTH, SEED)
    functions = functions_of(nodes, speed)
    if system.startswith("alone"):
        answer("ready", lambda: alone(nodes, functions))
    elif system == "Dask distributed":
        with (
            LocalCluster(n_workers=CORES, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            run = dask_run(nodes, functions, client.get)
            answer("ready", lambda: timed(run))
    elif system == "Dask threads":
        run = dask_run(nodes, functions, lambda g, k: dask.threaded.get(g, k, num_workers=CORES))
        answer("ready", lambda: timed(run))
    else:
        run = weftwork_run(nodes, functions) if system == "ours" else ray_run(nodes, functions)
        answer("ready", lambda: timed(run))


PEERS = ("one Ray task per node", "Dask threads", "Dask distributed")


def main() -> None:
    """Print our time over the bounds, over Ray's, and over that of either Dask."""
    nodes = random_graph(LAYERS, WIDTH, SEED)
    speed = json.dumps(speeds())
    with ExitStack() as stack:
        programs, beside = (
            {
                system: stack.enter_context(Program("benchmarks.mixed", system, speed, stands_still=True))
                for system in systems
            }
            for systems in (("ours", "alone", *PEERS), [f"alone {core}" for core in range(CORES)])
        )
        pool = stack.enter_context(ThreadPoolExecutor(CORES))
        results = [programs[system].run()[1] for system in ("ours", *PEERS)]
        assert all(result == results[0] for result in results), "the systems do not agree"
        for _ in range(WARM):
            programs["ours"].run()
        calls: list[list[float]] = []
        busy: list[list[float]] = []
        seconds: dict[str, list[float]] = {system: [] for system in ("ours", *PEERS)}
        for number in range(ROUNDS):
            for system, program in list(programs.items())[:: -1 if number % 2 else 1]:
                told = program.run()
                calls.append(told) if system == "alone" else seconds[system].append(told[0])
            busy += pool.map(Program.run, beside.values())
    took = {system: statistics.median(times) for system, times in seconds.items()}
    bound, busy_bound = (
        lower_bound(nodes, [statistics.median(each) for each in zip(*runs, strict=True)], CORES)
        for runs in (calls, busy)
    )
    name = f"mixed: {len(nodes)} functions of 1 us to 100 ms"
    row(name, took["ours"], bound, 1.1, "list-scheduling bound", "ms", 1e3)
    row(name, took["ours"], busy_bound, 1.1, "the same, of functions while all cores work", "ms", 1e3)
    for peer in PEERS:
        row(name, took["ours"], took[peer], 1.0, peer, "ms", 1e3)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        perform(sys.argv[1], json.loads(sys.argv[2]))
    else:
        main()
