"""Small programs as people write them, of some 10 to 200 ms: the first run, the second one, and runs 3 to 10.

Most functions are called some twenty times only, a program has several of them, and what they pass on is arrays,
frames, text and lists. The peers are the same calls in a plain Python loop, and Dask's threads. The first run includes
the building of the graph, for Dask too, and its functions were never called before. The loop builds nothing. Ray
and the workers have started. Medians of `ROUNDS` rounds, in turn.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import zlib
from collections.abc import Callable, Sequence
from time import perf_counter
from types import FunctionType
from typing import Any

import numpy as np

from benchmarks.common import row, start_ray

ROUNDS, RUNS = 5, 10
FIRST, SECOND, LATER = 1.3, 1.3, 1.0
"""Goals, against the plain loop."""
_RANDOM = random.Random(1)
Lift = Callable[[Callable], Callable]


def words(lift: Lift) -> list:
    """Count the words of 60 texts, and add the counts up in a chain."""

    def count(text: str) -> dict:
        found: dict[str, int] = {}
        for word in text.split():
            found[word] = found.get(word, 0) + 1
        return found

    def add(one: dict, two: dict) -> dict:
        return {word: one.get(word, 0) + two.get(word, 0) for word in one | two}

    count_node, add_node = lift(count), lift(add)
    total, *others = [count_node(text) for text in TEXTS]
    for each in others:
        total = add_node(total, each)
    return [total]


def frames(lift: Lift) -> list:
    """Filter a frame in 20 ways, take means of groups, and put them together."""
    import pandas

    part = lift(lambda frame, k: frame[frame.key % 20 == k])
    means = lift(lambda frame: frame.groupby("key").value.mean())
    together = lift(lambda *series: pandas.concat(series))
    frame = pandas.DataFrame({"key": KEYS, "value": VALUES})
    return [together(*[means(part(frame, k)) for k in range(20)])]


def images(lift: Lift) -> list:
    """Blur 40 images of 512 KB, normalize them, and take their histograms."""
    blur = lift(lambda x: (x + np.roll(x, 1, 0) + np.roll(x, -1, 0) + np.roll(x, 1, 1) + np.roll(x, -1, 1)) / 5)
    normal = lift(lambda x: (x - x.mean()) / x.std())
    histogram = lift(lambda x: np.histogram(x, bins=32)[0])
    return [histogram(normal(blur(image))) for image in IMAGES]


def ridge(lift: Lift) -> list:
    """Fit the same 2 MB of data with 20 parameters, and take the best score."""
    fit = lift(lambda x, y, a: np.linalg.solve(x.T @ x + a * np.eye(x.shape[1]), x.T @ y))
    score = lift(lambda w, x, y: float(((x @ w - y) ** 2).mean()))
    best = lift(lambda *scores: min(scores))
    return [best(*[score(fit(X, Y, 10.0**k), X, Y) for k in range(-10, 10)])]


def arrays(lift: Lift) -> list:
    """Make 30 arrays of 1.6 MB, take two steps with each, and reduce them to a number."""
    made = lift(lambda k: np.full(200_000, float(k)))
    one, two = lift(lambda x: np.sqrt(x) + 1), lift(lambda x: np.cumsum(x))
    last = lift(lambda *each: sum([x[-1] for x in each]))
    return [last(*[two(one(made(k))) for k in range(30)])]


def documents(lift: Lift) -> list:
    """Parse 200 documents, and take the mean of a number from each."""
    parse, feature = lift(lambda text: json.loads(text)), lift(lambda read: sum(read["x"]) / len(read["x"]))
    mean = lift(lambda *numbers: sum(numbers) / len(numbers))
    return [mean(*[feature(parse(text)) for text in DOCUMENTS])]


def walks(lift: Lift) -> list:
    """A hundred random walks of some 2 ms."""

    def walk(seed: int) -> float:
        draw, at = random.Random(seed), 0.0
        for _ in range(3000):
            at += draw.gauss(0, 1)
        return at

    node = lift(walk)
    return [node(seed) for seed in range(100)]


def packing(lift: Lift) -> list:
    """Compress 40 x 200 KB."""
    node = lift(lambda data: len(zlib.compress(data, 6)))
    return [node(data) for data in PACKED]


def sorting(lift: Lift) -> list:
    """Sort 30 lists of 20,000 numbers, and add some of them up."""
    ordered, added = lift(lambda numbers: sorted(numbers, key=lambda n: -n)), lift(lambda numbers: sum(numbers[:1000]))
    return [added(ordered(numbers)) for numbers in LISTS]


def heat(lift: Lift) -> list:
    """Rows of eight cells of 64,000 numbers, each of which waits for its neighbours in the row before."""
    step = lift(lambda x, *others: np.sqrt(x * x + 1.0))
    cells = [step(CELL) for _ in range(8)]
    for _ in range(25):
        cells = [step(cells[k], *cells[max(0, k - 1) : k + 2]) for k in range(8)]
    return cells


PROGRAMS = {f.__name__: f for f in (words, frames, images, ridge, arrays, documents, walks, packing, sorting, heat)}
TEXTS = [" ".join(_RANDOM.choices(("alpha", "beta", "gamma", "delta"), k=2000)) for _ in range(60)]
KEYS, VALUES = np.arange(100_000) * 7 % 50, np.arange(100_000) / 3
IMAGES = [np.random.default_rng(k).random((256, 256)) for k in range(40)]
X, Y = np.random.default_rng(1).random((5000, 50)), np.random.default_rng(2).random(5000)
DOCUMENTS = [json.dumps({"x": [_RANDOM.random() for _ in range(300)]}) for _ in range(200)]
PACKED = [_RANDOM.randbytes(200_000) for _ in range(40)]
LISTS = [[_RANDOM.random() for _ in range(20_000)] for _ in range(30)]
CELL = np.arange(65_536.0)


def never_called(function: Any) -> Callable:
    """A function that does the same, and of which nothing is known."""
    copied = FunctionType(function.__code__, function.__globals__, function.__name__, None, function.__closure__)
    copied.__module__ = function.__module__
    return copied


def ours(program: Callable[[Lift], list]) -> list[float]:
    """The seconds of ten runs in a new session, the first one with the building of the graph."""
    import weftwork as tf

    took = []
    begin = perf_counter()
    with tf.Graph().as_default():
        fetches = program(lambda function: tf.op(never_called(function)))
        with tf.Session() as session:
            for _ in range(RUNS):
                session.run(fetches)
                took.append(perf_counter() - begin)
                begin = perf_counter()
    return took


def dask_threads(program: Callable[[Lift], list]) -> list[float]:
    """The same with Dask's threads."""
    import dask

    took = []
    begin = perf_counter()
    delayed: Any = program(lambda function: dask.delayed(never_called(function)))
    for _ in range(RUNS):
        dask.compute(*delayed, scheduler="threads")
        took.append(perf_counter() - begin)
        begin = perf_counter()
    return took


def loop(program: Callable[[Lift], list]) -> list[float]:
    """The same calls one after another."""
    took = []
    for _ in range(3):
        begin = perf_counter()
        program(lambda function: function)
        took.append(perf_counter() - begin)
    return [statistics.median(took)] * RUNS


def main(names: Sequence[str]) -> None:
    """Print three rows against the loop for each program, and three against Dask's threads."""
    import weftwork as tf

    start_ray()
    with tf.Graph().as_default(), tf.Session() as session:
        session.run([tf.op(never_called(busy))(10**6) for _ in range(8)])
    for name in names:
        took: dict[Callable, list[list[float]]] = {loop: [], ours: [], dask_threads: []}
        for _ in range(ROUNDS):
            for how, rounds in took.items():
                rounds.append(how(PROGRAMS[name]))
        typical = {how: [statistics.median(runs) for runs in zip(*rounds, strict=True)] for how, rounds in took.items()}
        for phase, which, goal in (
            ("first", slice(0, 1), FIRST),
            ("second", slice(1, 2), SECOND),
            ("runs 3-10", slice(2, RUNS), LATER),
        ):
            mine, plain, dask = [statistics.mean(typical[how][which]) for how in (ours, loop, dask_threads)]
            row(f"{name}: {phase}", mine, plain, goal, "plain loop", "ms", 1e3)
            row(f"{name}: {phase}", mine, dask, 1.0, "Dask threads", "ms", 1e3)


def busy(n: int) -> int:
    """Add numbers."""
    return sum(k for k in range(n))


if __name__ == "__main__":
    main(sys.argv[1:] or list(PROGRAMS))
