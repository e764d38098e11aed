"""No run is much slower than the same calls in a plain Python loop, whatever the graph and the grain.

Chain, map, tree and stencil of pure-Python functions of 1 us to 1 ms, some 20 ms of work in all. The loop makes the
same calls with the same arguments, and keeps as many values as wait to be read. Goals: a replay takes at most 1.05 of
the loop's time, a first run at most 1.3 (Ray is up, its workers have been used, and other functions were tried; this
one was never seen).

A row is about a grain: how many numbers a function must add to take that long is measured first.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable
from time import perf_counter

from benchmarks.common import interleaved, row, start_ray

WORK = 0.02
WARM = 70
"""Runs before replays are measured: after some 50 the ways to run it have competed for the second time."""
FIRST = 7
"""First runs, each of a new graph."""


def busy(n: int) -> Callable:
    """A function of any arguments that adds `n` numbers: a new one each time, so that nobody has seen it."""

    def work(*_):
        total = 0
        for k in range(n):
            total += k
        return total

    return work


def numbers_for(seconds: float) -> int:
    """How many numbers a function of `busy` adds in this time."""
    n = 1000
    for _ in range(4):
        n = max(1, round(n * seconds / interleaved({n: busy(n)}, rounds=max(50, int(0.05 / seconds)))[n]))
    return n


def chain(node: Callable, count: int):
    """Each waits for the one before."""
    x = node(0)
    for _ in range(count - 1):
        x = node(x)
    return x


def tree(node: Callable, count: int):
    """Pairs are joined until one is left."""
    level = [node(k) for k in range((count + 1) // 2)]
    while len(level) > 1:
        level = [node(*level[i : i + 2]) for i in range(0, len(level), 2)]
    return level[0]


def wide(node: Callable, count: int):
    """All are independent."""
    return tree(node, 3) if count < 3 else node(*[node(k) for k in range(count - 1)])


def stencil(node: Callable, count: int):
    """Rows of eight, each node waits for its neighbours in the row before; one node waits for the last row."""
    row = [node(k) for k in range(8)]
    for _ in range((count + 6) // 8 - 1):
        row = [node(*row[max(0, i - 1) : i + 2]) for i in range(8)]
    return node(*row)


HELD = {chain: lambda count: 1, wide: lambda count: count, tree: lambda count: count // 2, stencil: lambda count: 16}
"""How many values wait to be read at a time. The loop keeps as many: what is kept makes Python's allocator slower."""


def calls_of(shape: Callable, function: Callable, count: int) -> list[tuple]:
    """The arguments of each call of the function in a graph, one after another."""
    calls: list[tuple] = []

    def node(*arguments):
        calls.append(arguments)
        return function(*arguments)

    shape(node, count)
    return calls


def first_run(shape: Callable, n: int, count: int) -> float:
    """The seconds of the first run of such a graph, of a function that nobody has seen."""
    import weftwork as tf

    with tf.Graph().as_default(), tf.Session() as session:
        fetch = shape(tf.op(busy(n)), count)
        start = perf_counter()
        session.run(fetch)
        return perf_counter() - start


def main() -> None:
    """Print two rows for each shape and grain: a replay and the first run."""
    import weftwork as tf

    start_ray()
    with tf.Graph().as_default(), tf.Session() as session:
        session.run([tf.op(busy(10**6))(k) for k in range(8)])
    first_run(chain, 1, 1000)
    for grain, once in (("1 us", 1e-6), ("10 us", 1e-5), ("100 us", 1e-4), ("1 ms", 1e-3)):
        n = numbers_for(once)
        for shape in (chain, wide, tree, stencil):
            function = busy(n)
            with tf.Graph().as_default():
                fetch = shape(tf.op(function), max(20, int(WORK / once)))
                session = tf.Session()

            calls = calls_of(shape, function, max(20, int(WORK / once)))

            held = HELD[shape](len(calls))

            def loop(function=function, calls=calls, held=held):
                values = deque(maxlen=held)
                for arguments in calls:
                    values.append(function(*arguments))

            session.run(fetch)
            run = session.make_callable(fetch)
            took = interleaved({"ours": run, "peer": loop}, rounds=9, warm=WARM)
            name = f"{shape.__name__} of {len(calls)} functions of {grain}"
            row(f"{name}, replay", took["ours"], took["peer"], 1.05, "Python loop", "ms", 1e3)
            firsts, loops = [], []
            for _ in range(FIRST):
                loops.append(interleaved({"peer": loop}, rounds=3, warm=2)["peer"])
                firsts.append(first_run(shape, n, len(calls)))
            peer = statistics.median(loops)
            row(f"{name}, first run", statistics.median(firsts), peer, 1.3, "Python loop", "ms", 1e3)
            session.close()


if __name__ == "__main__":
    main()
