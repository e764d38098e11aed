"""What a user sees who runs a graph once or ten times: each graph has rows for the first run, runs 2 to 10, and later.

Work is counted, not timed: a node does so many steps of a loop. The bound of a graph is what its work takes in a plain
loop, measured beside each run, times the larger of (longest path / work) and (1 / cores). Each figure is a median over
fresh graphs, each with functions of its own, which nobody has called before. Building the graph is a part of its first
run. The processes have started, but for the last rows, which are of fresh programs.

`python -m benchmarks.oneshot` prints all rows, `python -m benchmarks.oneshot tail bound` those of some `CASES`.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, sleep
from types import FunctionType
from typing import Any

import numpy as np

import weftwork as tf
from benchmarks.common import figure, of_runs, row

GRAPHS, RUNS = 5, 13
CORES = min(2, os.cpu_count() or 1)
STEPS = 2e7
"""Steps of the loop in a second, about: the bound is measured, so it need not be right."""
PHASES = {"first": slice(0, 1), "runs 2-10": slice(1, 10), "steady": slice(10, None)}


def spin(seconds: float, *_: Any) -> float:
    """Work that holds the GIL."""
    x = 1
    for _ in range(int(seconds * STEPS)):
        x = x * 5 & 1023
    return 1.0


def spin_nth(costs: Sequence[float], place: int, *_: Any) -> float:
    """`spin`, for a cost that is fed."""
    x = 1
    for _ in range(int(costs[place] * STEPS)):
        x = x * 5 & 1023
    return 1.0


def compute(array: np.ndarray) -> float:
    """Some 5 ms of NumPy over 512 KB, which release the GIL."""
    made = np.empty_like(array)
    for _ in range(9):
        np.sin(array, out=made)
    return float(made[0])


def fresh(function: Callable = spin) -> Callable:
    """A function that nobody has seen: another one of the same code."""
    return FunctionType(function.__code__, globals(), function.__name__)


@dataclass
class Graph:
    """What each node costs in seconds, and which nodes it reads."""

    costs: Sequence[float]
    reads: Sequence[Sequence[int]] = ()

    def __post_init__(self) -> None:
        self.reads = self.reads or [()] * len(self.costs)

    @property
    def share(self) -> float:
        """The part of a plain loop's time that is the bound."""
        ends: list[float] = []
        for cost, mine in zip(self.costs, self.reads, strict=True):
            ends.append(max([ends[p] for p in mine], default=0.0) + cost)
        return max(max(ends) / sum(self.costs), 1 / CORES)

    def loop(self) -> float:
        """Seconds of the work in a plain loop."""
        begin = perf_counter()
        for cost in self.costs:
            spin(cost)
        return perf_counter() - begin


def unequal(window: int, nodes: int = 300) -> Callable[[int], Graph]:
    """One function whose cost depends on its argument, 10 us to 100 ms; a node reads up to two of those before it."""

    def made(seed: int) -> Graph:
        rng = random.Random(seed)
        costs = [10 ** rng.uniform(-5, -1) for _ in range(nodes)]
        reads = [
            rng.sample(range(max(0, i - window), i), min(2, i)) if i and rng.random() < 0.8 else []
            for i in range(nodes)
        ]
        return Graph(costs, reads)

    return made


def equal(count: int, seconds: float) -> Callable[[int], Graph]:
    """Independent nodes that all cost the same."""
    return lambda seed: Graph([seconds] * count)


def rising(seed: int, nodes: int = 300) -> Graph:
    """One function over sorted inputs: independent nodes of 10 us, then longer ones, up to 30 ms."""
    rng = random.Random(seed)
    return Graph(sorted([10 ** rng.uniform(-5, -1.5) for _ in range(nodes)]))


def heavy_tail(seed: int) -> Graph:
    """500 nodes of 1 ms, and 3 of 300 ms at random places."""
    costs = [1e-3] * 500 + [0.3] * 3
    random.Random(seed).shuffle(costs)
    return Graph(costs)


def drawn_anew(graph: Graph, seed: int, run: int) -> Graph:
    """The graph as one run has it: the same reads, other costs."""
    rng = random.Random(f"{seed} {run}")
    return Graph([10 ** rng.uniform(-5, -1) for _ in graph.costs], graph.reads)


def runs_of(
    graph: Graph,
    own_functions: bool = False,
    bound_node: bool = False,
    placement: str = "auto",
    before: Callable[[int], None] = lambda run: None,
) -> tuple[list[float], float]:
    """The seconds of each run of a fresh graph, built in the first one, and those of a plain loop.

    before: called with the number of each run, before it begins.
    """
    function = fresh()
    work, bound = tf.op(function), tf.op(num_cpus=1)(function)
    begin = perf_counter()
    with tf.Graph().as_default():
        out: list[Any] = []
        for number, (cost, mine) in enumerate(zip(graph.costs, graph.reads, strict=True)):
            one = tf.op(fresh()) if own_functions else bound if bound_node and number == 0 else work
            out.append(one(cost, *[out[p] for p in mine]))
        built = perf_counter() - begin
        took = []
        with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
            for run in range(RUNS):
                before(run)
                begin = perf_counter()
                session.run(out)
                took.append(perf_counter() - begin)
    took[0] += built
    return took, graph.loop()


def runs_of_fed(graph: Graph, seed: int) -> list[float]:
    """How long each run takes over its bound, where each is fed other costs: there is nothing to learn."""
    begin = perf_counter()
    with tf.Graph().as_default():
        costs, work = tf.placeholder(tf.object), tf.op(fresh(spin_nth))
        out: list[Any] = []
        for number, mine in enumerate(graph.reads):
            out.append(work(costs, number, *[out[p] for p in mine]))
        built, ratios = perf_counter() - begin, []
        with tf.Session() as session:
            for run in range(RUNS):
                drawn = drawn_anew(graph, seed, run)
                begin = perf_counter()
                session.run(out, {costs: drawn.costs})
                took = perf_counter() - begin + (built if run == 0 else 0.0)
                ratios.append(took / (drawn.loop() * drawn.share))
    return ratios


def print_phases(
    name: str,
    ours: Sequence[Sequence[float]],
    peers: Sequence[Sequence[float]] | None,
    goals: Sequence[float],
    of: str = "bound",
) -> None:
    """Three rows: for each phase the median over graphs of what its runs take (`of_runs`), of ours and of the peer's.

    Ours are ratios already where there are no peers.
    """
    for (phase, which), goal in zip(PHASES.items(), goals, strict=True):
        mine = statistics.median([of_runs(took, which) for took in ours])
        if peers is None:
            row(f"{name}: {phase}", mine, 1.0, goal, of, unit="", scale=1.0)
            continue
        theirs = statistics.median([of_runs(took, which) for took in peers])
        row(f"{name}: {phase}", mine, theirs, goal, of, "ms", 1e3)


def over_bound(name: str, graph_of: Callable[[int], Graph], goals: Sequence[float], **options: Any) -> None:
    """Rows of a kind of graph over its bound."""
    ratios = []
    for seed in range(GRAPHS):
        graph = graph_of(seed)
        took, loop = runs_of(graph, **options)
        ratios.append([each / (loop * graph.share) for each in took])
    print_phases(name, ratios, None, goals)


# The peers


def with_ray(graph: Graph) -> float:
    """Seconds of the graph with a Ray task for each node."""
    import ray

    remote = ray.remote(fresh())
    begin = perf_counter()
    out: list = []
    for cost, mine in zip(graph.costs, graph.reads, strict=True):
        out.append(remote.remote(cost, *[out[p] for p in mine]))
    ray.get(out)
    return perf_counter() - begin


def with_dask(graph: Graph, client: Any) -> float:
    """Seconds of the graph on Dask's processes."""
    function = fresh()
    begin = perf_counter()
    named = {f"n{k}": (function, c, *[f"n{p}" for p in graph.reads[k]]) for k, c in enumerate(graph.costs)}
    client.get(named, list(named))
    return perf_counter() - begin


@contextmanager
def dask_cluster() -> Iterator[Any]:
    """Dask distributed: a process for each core."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=CORES, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as one:
        one.submit(spin, 0.01).result()
        yield one


def against_peers(window: int = 40) -> None:
    """The first run against the better of Ray and Dask distributed, both of which have run such a graph before."""
    mine, ray, dask = [], [], []
    with_ray(unequal(window)(-1))
    with dask_cluster() as client:
        with_dask(unequal(window)(-1), client)
        for seed in range(GRAPHS):
            graph = unequal(window)(seed)
            ray.append(with_ray(graph))
            dask.append(with_dask(graph, client))
    for seed in range(GRAPHS):
        mine.append(runs_of(unequal(window)(seed))[0][0])
    better = min((statistics.median(ray), "a Ray task a node"), (statistics.median(dask), "Dask distributed"))
    name = f"300 nodes, cost by argument, window {window}: first"
    row(name, statistics.median(mine), better[0], 0.9, better[1], "ms", 1e3)


def even(count: int, seconds: float) -> None:
    """Equal nodes against the ideal, and against `ProcessPoolExecutor.map` with its best chunk size."""
    name = f"{count:,} x {seconds * 1e3:g} ms"
    over_bound(name, equal(count, seconds), (1.2, 1.1, 1.07))
    with ProcessPoolExecutor(CORES) as pool:
        list(pool.map(spin, [0.01] * 8))

        def mapped(chunk: int) -> float:
            begin = perf_counter()
            list(pool.map(spin, [seconds] * count, chunksize=chunk))
            return perf_counter() - begin

        sizes = sorted({max(1, count // (CORES * parts)) for parts in (1, 2, 4, 8, 16, 64)})
        best = min(sizes, key=mapped)
        theirs, ours = [], []
        for _ in range(GRAPHS):
            theirs.append(mapped(best))
            ours.append(runs_of(equal(count, seconds)(0))[0][0])
    of = f"ProcessPoolExecutor.map, {best} a chunk"
    row(f"{name}: first", statistics.median(ours), statistics.median(theirs), 1.0, of, "ms", 1e3)


def chunks(count: int = 64) -> None:
    """NumPy over chunks of 512 KB, which releases the GIL, against Dask's threads."""
    import dask.threaded

    arrays = [np.random.default_rng(k).random(65536) for k in range(count)]

    def ours() -> list[float]:
        begin, took = perf_counter(), []
        with tf.Graph().as_default():
            node = tf.op(fresh(compute))
            out = [node(array) for array in arrays]
            built = perf_counter() - begin
            with tf.Session() as session:
                took = [_seconds(lambda: session.run(out)) for _ in range(RUNS)]
        return [took[0] + built, *took[1:]]

    def theirs() -> list[float]:
        function = fresh(compute)
        graph = {f"n{k}": (function, array) for k, array in enumerate(arrays)}
        return [_seconds(lambda: dask.threaded.get(graph, list(graph), num_workers=CORES)) for _ in range(RUNS)]

    theirs()
    both = [(ours(), theirs()) for _ in range(GRAPHS)]
    name = f"{count} x 5 ms of NumPy that release the GIL"
    print_phases(name, [a for a, _ in both], [b for _, b in both], (1.0, 1.0, 1.0), "Dask threads")


def one_bound() -> None:
    """200 nodes of 100 us of which one asks for a CPU, against the same without it and one Ray task more."""
    import ray

    @ray.remote(num_cpus=1)
    def nothing() -> None:
        pass

    ours, theirs = [], []
    for _ in range(GRAPHS):
        task = statistics.median([_seconds(lambda: ray.get(nothing.remote())) for _ in range(5)])
        theirs.append([each + task for each in runs_of(equal(200, 100e-6)(0))[0]])
        ours.append(runs_of(equal(200, 100e-6)(0), bound_node=True)[0])
    print_phases("200 x 0.1 ms, one of which asks for a CPU", ours, theirs, (1.1, 1.1, 1.05), "without, and a task")


@contextmanager
def stranger(is_busy: bool) -> Iterator[None]:
    """Another program that keeps one core busy."""
    if not is_busy:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as program:
        try:
            yield
        finally:
            program.kill()


def cores_taken() -> None:
    """Another program is busy on one core from the fifth run on; the peers share out by a plan, or as they go."""
    took: dict[str, list[list[float]]] = {"auto": [], "dynamic": [], "resident": []}
    for seed in range(GRAPHS):
        for placement, runs in took.items():
            programs: list[Any] = []

            def before(run: int, programs: list = programs) -> None:
                if run == 4:
                    programs.append(stranger(True))
                    programs[0].__enter__()

            try:
                runs.append(runs_of(unequal(40, 100)(seed), placement=placement, before=before)[0])
            finally:
                programs[0].__exit__(None, None, None)
    for phase, which in {"runs 5-10": slice(4, 10), "steady": slice(10, None)}.items():
        median = {name: statistics.median([of_runs(each, which) for each in runs]) for name, runs in took.items()}
        better = min((median["dynamic"], "dynamic"), (median["resident"], "static"))
        row(f"a core is taken away from run 5 on: {phase}", median["auto"], better[0], 1.1, better[1], "ms", 1e3)


def nothing_to_share() -> None:
    """A chain of 200 functions of 100 us that is shared out nevertheless, against the same in the caller."""
    chain = Graph([100e-6] * 200, [(), *[(k,) for k in range(199)]])
    ours, theirs = [], []
    for _ in range(GRAPHS):
        theirs.append(runs_of(chain, placement="caller")[0])
        ours.append(runs_of(chain)[0])
    print_phases("a chain of 200 x 0.1 ms", ours, theirs, (1.02, 1.02, 1.02), "in the caller")


def fresh_programs() -> None:
    """Programs in which nothing has started, Ray neither; medians of five.

    Seconds from `import weftwork` to the first result of a new function, of a number or of 16 MB; and how much longer
    than their median the longest of runs 2 to 12 takes.
    """
    for what, feed in (("", "1"), (" of 16 MB", "np.zeros(2_000_000)")):
        code = (
            "import time; begin = time.perf_counter(); import numpy as np, weftwork as tf\n"
            "x = tf.placeholder(tf.object); y = tf.op(lambda x: x + 1)(x)\n"
            f"with tf.Session() as session: session.run(y, {{x: {feed}}})\n"
            "print(time.perf_counter() - begin, flush=True)"
        )
        figure(f"fresh program to its first result{what}", _printed_by(code), "s", 0.6)
    code = (
        "from time import perf_counter; import weftwork as tf; from benchmarks.oneshot import spin; took = []\n"
        "nodes = [tf.op(spin)(0.3e-3, k) for k in range(3000)]; session = tf.Session()\n"
        "for _ in range(12): took.append(-perf_counter()); session.run(nodes); took[-1] += perf_counter()\n"
        "print(max(took[1:]) / sorted(took[1:])[5], flush=True)"
    )
    row("fresh program, 3,000 x 0.3 ms: longest of runs 2-12", _printed_by(code), 1.0, 2.0, "median", "", 1.0)


def _printed_by(code: str) -> float:
    """What a fresh program prints, the median of five."""
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(5)]
    return statistics.median([float(each.stdout) for each in runs])


def fed_anew() -> None:
    """The graph of window 40, its costs drawn anew and fed at each run."""
    ratios = [runs_of_fed(unequal(40)(seed), seed) for seed in range(GRAPHS)]
    print_phases("the same, costs drawn anew at every run", ratios, None, (1.25, 1.2, 1.2))


def _seconds(function: Callable) -> float:
    begin = perf_counter()
    function()
    return perf_counter() - begin


CASES: dict[str, Callable[[], None]] = {
    **{
        f"window{w}": lambda w=w: over_bound(f"300 nodes, cost by argument, window {w}", unequal(w), (1.25, 1.15, 1.08))
        for w in (40, 6, 3)
    },
    "peers": against_peers,
    "fed": fed_anew,
    "own": lambda: over_bound(
        "the same, a function of its own for each", unequal(40), (1.25, 1.1, 1.05), own_functions=True
    ),
    "rising": lambda: over_bound("300 nodes, sorted by cost", rising, (1.25, 1.15, 1.08)),
    "coarse": lambda: even(64, 20e-3),
    "medium": lambda: even(1000, 2e-3),
    "fine": lambda: even(10_000, 0.2e-3),
    "tail": lambda: over_bound("500 x 1 ms and 3 x 300 ms", heavy_tail, (1.15, 1.1, 1.05)),
    "chunks": chunks,
    "bound": one_bound,
    "taken": cores_taken,
    "chain": nothing_to_share,
    "import": fresh_programs,
}


def main(names: Sequence[str]) -> None:
    """Print the rows of some cases, or of all."""
    with tf.Graph().as_default(), tf.Session() as session:  # the processes start, Ray's too
        session.run([tf.op(sleep)(0.3) for _ in range(4)])
        session.run(tf.op(num_cpus=1)(sleep)(0.1))
    for name in names or CASES:
        CASES[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
