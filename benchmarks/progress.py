"""The accuracy of the seconds left that `progress=True` shows, on the graph of `mixed` and on steps of digits.

error    the difference between the predicted length (seconds so far plus seconds left) and the run's actual length, as
         a fraction of the latter

The largest error of the samples from a quarter of the run on counts; they are taken ten times as often as a bar does. A
sample without an estimate is off by the whole run. A step has so many images that it takes some tenths of a second.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

import weftwork as tf
from benchmarks.common import figure
from benchmarks.mixed import LAYERS, SEED, WARM, WIDTH, functions_of, random_graph, speeds, weftwork_run
from examples.datasets import TRAINED, digits
from examples.training.digits import SHARDS, build
from weftwork.scheduler.views import progress
from weftwork.scheduler.views.progress import Look, Meter

ROUNDS, SIZE = 13, 40_000
"""Runs that are watched. Images of a shard."""
EVERY = 0.02
"""Seconds between two looks."""
FROM, GOAL = 0.25, 20.0
"""Part of the run from which the error counts. Hundredths."""


@contextmanager
def watched() -> Iterator[list[Look]]:
    """The looks at the runs inside, the last one of each at its end."""
    looks: list[Look] = []
    every, look = progress._EVERY, Meter.look

    def noting(meter: Meter, runs=()) -> Look:
        looks.append(look(meter, runs))
        return looks[-1]

    progress._EVERY, Meter.look = EVERY, noting  # type: ignore[method-assign]
    try:
        with tf.progress():
            yield looks
    finally:
        progress._EVERY, Meter.look = every, look  # type: ignore[method-assign]


def worst(run: Callable) -> float:
    """The largest error in a run, in hundredths."""
    late: list[Look] = []
    while not late:  # on a busy machine, a short run may end before a look
        with watched() as looks:
            run()
        took = looks[-1].seconds
        late = [look for look in looks[:-1] if look.seconds >= FROM * took]
    return 100 * max([1.0 if one.left is None else abs(one.seconds + one.left - took) / took for one in late])


def mixed() -> Callable:
    """A run of the graph of `mixed`."""
    nodes = random_graph(LAYERS, WIDTH, SEED)
    return weftwork_run(nodes, functions_of(nodes, speeds()))


def digits_step() -> Callable:
    """A step of the digits example: four tasks of Ray's, and the update of the weights."""
    images, labels = digits()
    with tf.Graph().as_default():
        session, net = tf.Session(), build(SIZE)
        session.run(tf.global_variables_initializer())
    rows = np.random.default_rng(1).integers(0, TRAINED, SIZE * SHARDS)
    feed = {net["images"]: images[rows], net["labels"]: labels[rows]}
    return lambda: session.run([net["loss"], net["step"]], feed)


def main() -> None:
    """Print a row for each program: the median over its runs of their largest errors."""
    for name, program in (("mixed", mixed), ("a step of digits", digits_step)):
        run = program()
        for _ in range(WARM):
            run()
        errors = [worst(run) for _ in range(ROUNDS)]
        what = f"progress of {name}: largest error of the seconds left from a quarter on"
        figure(f"{what}, median of {ROUNDS} runs", statistics.median(errors), "%", GOAL)
        figure(f"{what}, of all {ROUNDS} runs", max(errors), "%", GOAL)


if __name__ == "__main__":
    main()
