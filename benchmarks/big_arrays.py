"""Sum of 16 branches over a 400 MB array (a variable or a feed), against hand-written Ray: one `put` and 16 tasks.

Each branch reads the whole array, either in a user's function or in library operations that make an array of the same
size. Each system is a process of its own, so that its memory can be measured; runs are timed alternately while the
other system idles. Ray's variable is put once, its feed in each run. The peak is that of replays: it excludes what the
first run needs temporarily, but includes what that leaves behind.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable
from contextlib import ExitStack

import numpy as np

from benchmarks.common import repeat, row, start_ray
from benchmarks.memory import CORES, Program, answer, peak_of, timed

LENGTH, BRANCHES = 50_000_000, 16
SETTLING, ROUNDS, LOOKS = 16, 5, 2
"""Number of warm-up runs, of timed runs, and of runs in which memory is measured."""


def array() -> np.ndarray:
    """400 MB of numbers."""
    return np.arange(LENGTH, dtype=np.float64) % 1000.0


def branch(values: np.ndarray, factor: int) -> float:
    """A user's function that makes nothing large."""
    return factor * float(np.dot(values, values))


def scaled(values: np.ndarray, factor: int) -> float:
    """The same computation as the library's branch."""
    return float(np.sum(values * factor))


def join(*parts: float) -> float:
    """Add the branches up."""
    return float(sum(parts))


def ours(source: str, kind: str) -> None:
    """Run Weftwork. `source` is a variable or a feed, `kind` is the kind of branch."""
    import weftwork as tf

    start_ray(CORES)
    with tf.Graph().as_default():
        if source == "variable":
            held = tf.Variable(tf.op(array, dtype=tf.float64, shape=[LENGTH])())
        else:
            held = tf.placeholder(tf.float64, [LENGTH])
        if kind == "functions":
            node = tf.op(branch)
            parts = [node(held, factor) for factor in range(1, BRANCHES + 1)]
        else:
            parts = [tf.reduce_sum(held * float(factor)) for factor in range(1, BRANCHES + 1)]
        total = tf.op(join)(*parts)
        session = tf.Session()
        session.run(tf.global_variables_initializer())
    feed = None if source == "variable" else {held: array()}
    answer("ready", lambda: timed(lambda: session.run(total, feed)))


def peer(source: str, kind: str) -> None:
    """Run hand-written Ray."""
    import ray

    start_ray(CORES)
    values = array()
    task = ray.remote(branch if kind == "functions" else scaled)

    def run(reference) -> float:
        return join(*ray.get([task.remote(reference, factor) for factor in range(1, BRANCHES + 1)]))

    if source == "variable":
        kept = ray.put(values)
        del values
        answer("ready", lambda: timed(lambda: run(kept)))
    else:
        answer("ready", lambda: timed(lambda: run(ray.put(values))))


def compare(source: str, kind: str) -> None:
    """Print the ratios of time and of memory for one kind of graph."""
    against("benchmarks.big_arrays", f"{BRANCHES} branches ({kind}) over a 400 MB {source}", source, kind)


def against(module: str, name: str, *arguments: str, settling: int = SETTLING) -> None:
    """Print the ratios of time, and of the peak memory of the process trees, of our program of a module and Ray's.

    The programs get "ours" or "peer", and the arguments.   settling: runs before anything is timed.
    """
    with ExitStack() as stack:
        programs = [stack.enter_context(Program(module, system, *arguments)) for system in ("ours", "peer")]
        results = [program.run()[1] for program in programs]
        assert np.allclose(results, results[0], rtol=1e-9), f"the systems do not agree: {results}"
        repeat(programs[0].run, settling)
        took = [[program.run()[0] for program in programs] for _ in range(ROUNDS)]
        peaks = []
        for program in programs:
            with peak_of(program.pid) as peak:
                repeat(program.run, LOOKS)
            peaks.append(peak[0])
    mine, theirs = (statistics.median(times) for times in zip(*took, strict=True))
    row(f"{name}, time", mine, theirs, 1.1, "Ray, one put", "ms", 1e3)
    row(f"{name}, peak memory", peaks[0], peaks[1], 1.2, "Ray, one put", "MB", 1e-6)


def main(sources: Iterable[str] = ("variable", "feed"), kinds: Iterable[str] = ("functions", "operations")) -> None:
    """Print two rows for each source and kind."""
    for source in sources:
        for kind in kinds:
            compare(source, kind)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        {"ours": ours, "peer": peer}[sys.argv[1]](*sys.argv[2:])
    else:
        main()
