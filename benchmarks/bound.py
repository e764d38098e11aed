"""No run takes much longer than the same calls in a plain Python loop, whatever the graph and the grain.

Chains, maps, trees and stencils of pure-Python functions of 1 us to 1 ms, about 20 ms of work in total. The loop makes
the same calls with the same arguments, and keeps the same number of values alive. Goals: a replay takes at most 1.05
times as long as the loop, a first run at most 1.3 times, and the mean of runs 2 to 10, planning included, at most 1.1
times. (In a first run Ray and its workers are warm, but the function is new.)

Rows are named after a grain; the number of additions that takes this long is measured first.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable
from time import perf_counter

from benchmarks.common import interleaved, of_runs, row, start_ray

WORK = 0.02
WARM = 70
"""Runs before replays are measured. After about 50, the plans have competed for the second time. Nodes of 1 us have no
plan yet: it would gain so little that it pays after some 270 runs."""
FIRST = 7
"""Number of first runs, each of a new graph."""


def busy(n: int) -> Callable:
    """A function of any arguments that adds `n` numbers. A new function each time, so that it has no history."""

    def work(*_):
        total = 0
        for k in range(n):
            total += k
        return total

    return work


def numbers_for(seconds: float) -> int:
    """The number of additions that take a function of `busy` this long."""
    n = 1000
    for _ in range(4):
        n = max(1, round(n * seconds / interleaved({n: busy(n)}, rounds=max(50, int(0.05 / seconds)))[n]))
    return n


def chain(node: Callable, count: int):
    """Each node waits for the one before."""
    x = node(0)
    for _ in range(count - 1):
        x = node(x)
    return x


def tree(node: Callable, count: int):
    """Nodes are joined in pairs until one is left."""
    level = [node(k) for k in range((count + 1) // 2)]
    while len(level) > 1:
        level = [node(*level[i : i + 2]) for i in range(0, len(level), 2)]
    return level[0]


def wide(node: Callable, count: int):
    """All nodes are independent."""
    return tree(node, 3) if count < 3 else node(*[node(k) for k in range(count - 1)])


def stencil(node: Callable, count: int):
    """Rows of eight; each node waits for its neighbours in the row before. A last node waits for the last row."""
    row = [node(k) for k in range(8)]
    for _ in range((count + 6) // 8 - 1):
        row = [node(*row[max(0, i - 1) : i + 2]) for i in range(8)]
    return node(*row)


HELD = {chain: lambda count: 1, wide: lambda count: count, tree: lambda count: count // 2, stencil: lambda count: 16}
"""Number of values alive at a time. The loop keeps as many, because live values slow Python's allocator down."""


def calls_of(shape: Callable, function: Callable, count: int) -> list[tuple]:
    """The arguments of each call of the function in a graph, in order."""
    calls: list[tuple] = []

    def node(*arguments):
        calls.append(arguments)
        return function(*arguments)

    shape(node, count)
    return calls


def first_runs(shape: Callable, n: int, count: int) -> list[float]:
    """The seconds of the first ten runs of such a graph, with a new function."""
    import weftwork as tf

    with tf.Graph().as_default(), tf.Session() as session:
        fetch = shape(tf.op(busy(n)), count)
        took = []
        for _ in range(10):
            start = perf_counter()
            session.run(fetch)
            took.append(perf_counter() - start)
    return took


def main() -> None:
    """Print two rows for each shape and grain: a replay and the first run."""
    import weftwork as tf

    start_ray()
    with tf.Graph().as_default(), tf.Session() as session:
        session.run([tf.op(busy(10**6))(k) for k in range(8)])
    first_runs(chain, 1, 1000)
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
            firsts, others, loops = [], [], []
            for _ in range(FIRST):
                loops.append(interleaved({"peer": loop}, rounds=3, warm=2)["peer"])
                first, *later = first_runs(shape, n, len(calls))
                firsts.append(first)
                others.append(of_runs([first, *later], slice(1, 10)))
            for phase, took, goal in (("first run", firsts, 1.3), ("runs 2-10", others, 1.1)):
                row(
                    f"{name}, {phase}",
                    statistics.median(took),
                    statistics.median(loops),
                    goal,
                    "Python loop",
                    "ms",
                    1e3,
                )
            session.close()


if __name__ == "__main__":
    main()
