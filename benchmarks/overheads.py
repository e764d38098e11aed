"""The price of safety: atomic runs and the mirror, and the time to recover when the variables' process has died.

The peer is the same run of the same session without locks, pinning, versions and commit: it reads the variables' values
directly, and stores new values as soon as it has them. Recovery has no peer; its figure is the time of the first run
after the actor was killed, including a new process.

Also the price of events: the peer is the same run without the code that reports them.
"""

from __future__ import annotations

import inspect
import os
import signal
import statistics
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter

import numpy as np

import weftwork as tf
from benchmarks.common import figure, interleaved, row, start_ray
from weftwork.scheduler.core import engine
from weftwork.scheduler.machines import backend
from weftwork.scheduler.run import run as run_module
from weftwork.scheduler.run.run import Run


class Bare(Run):
    """A run that reads and stores variables directly."""

    def lock(self) -> None:
        """Read the values."""
        if not self._locked:
            for number, (cell, _) in self.cells.newest.items():
                self.values[number] = cell.value
            self._locked = True

    def commit(self, replicas_of: Callable | None = None) -> None:
        """Store the values."""
        for cell, _, number in self.cells.writes:
            cell.value = self.values[number]


class Safe(Run):
    """An ordinary run."""


def runs_as(kind: type, run: Callable) -> Callable:
    """The same callable, with another class of runs."""

    def with_kind() -> None:
        engine.Run = kind
        try:
            run()
        finally:
            engine.Run = Run

    return with_kind


def updates() -> Iterator[tuple[str, Callable]]:
    """Yield runs that write: a name, and a callable."""
    with tf.Graph().as_default():
        rng = np.random.default_rng(0)
        x, y = tf.constant(rng.random((64, 64), np.float32)), tf.constant(rng.integers(0, 10, 64))
        hidden = tf.layers.dense(x, 128, activation=tf.nn.relu)
        loss = tf.losses.sparse_softmax_cross_entropy(y, tf.layers.dense(hidden, 10))
        train = tf.train.GradientDescentOptimizer(0.01).minimize(loss)
        session = tf.Session()
        session.run(tf.global_variables_initializer())
        yield "training step of a perceptron, batch 64", session.make_callable(train)
    for size, name in ((1, "one number"), (64 << 7, "64 KB"), (1 << 17, "1 MB"), (1 << 20, "8 MB")):
        with tf.Graph().as_default():
            w = tf.Variable(np.zeros(size), name="w")
            step = w.assign_add(tf.constant(np.ones(size)))
            session = tf.Session()
            session.run(w.initializer)
            yield f"update of {name}", session.make_callable(step.op)


def silent() -> type:
    """A class of runs without the check for listeners."""
    source = textwrap.dedent(inspect.getsource(Run.run_here))
    looks = source.index("if seconds >= WORTH")
    source = source[:looks].replace("seconds = monotonic() - began", "pass")
    assert "pass" in source
    names = dict(vars(run_module))
    exec(f"from __future__ import annotations\n{source}", names)
    return type("Silent", (Run,), {"run_here": names["run_here"]})


def spin(x: float) -> float:
    """A node of 100 us."""
    end = perf_counter() + 100e-6
    while perf_counter() < end:
        pass
    return x


def events() -> None:
    """Print the price of events: for a short run without listeners, for recorded segments, for traced nodes."""
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float64, [])
        session = tf.Session(config=tf.ConfigProto(placement="caller"))
        short = partial(session.make_callable(x + 1.0, [x]), 1.0)
        took = interleaved({"ours": short, "peer": runs_as(silent(), short)}, rounds=20_000, warm=500)
        row("events, nobody listens: x + 1", took["ours"], took["peer"], 1.01, "without events")
        value = x
        for _ in range(100):
            value = tf.op(spin)(value)
        nodes = partial(session.make_callable(value, [x]), 1.0)
        kinds = {"ours": nodes, "peer": runs_as(silent(), nodes), "nodes": listened(session, nodes)}
        took = interleaved(kinds, rounds=60, warm=10)
        row("events, kept: 100 nodes of 100 us", took["ours"], took["peer"], 1.01, "without events", "ms", 1e3)
        row("events, nodes traced: 100 nodes of 100 us", took["nodes"], took["peer"], 1.1, "without events", "ms", 1e3)


def listened(session: tf.Session, run: Callable) -> Callable:
    """The same callable, while somebody listens to single nodes."""
    heard: list = []

    def with_listener() -> None:
        heard.clear()
        with session.listen(heard.append, nodes=True):
            run()

    return with_listener


def main() -> None:
    """Print rows for a training step, for updates of several sizes, for events, and for recovery."""
    events()
    start_ray()
    for name, run in updates():
        took = interleaved({"ours": runs_as(Safe, run), "peer": runs_as(Bare, run)}, rounds=5000, warm=200)
        row(name, took["ours"], took["peer"], 1.05, "neither locked nor committed")
    with tf.Graph().as_default():
        w = tf.Variable(np.zeros(100_000), name="w")
        step = w.assign_add(tf.ones([100_000], tf.float64)).op
        with tf.Session(config=tf.ConfigProto(placement="actor")) as session:
            session.run(w.initializer)
            session.run(step)
            took = []
            for _ in range(7):
                link = session._engine.links.at()
                os.kill(backend.ray().get(link.actor.raw.pid.remote()), signal.SIGKILL)
                start = perf_counter()
                session.run(step)
                took.append(perf_counter() - start)
    figure("recovery after a killed variable actor", statistics.median(took) * 1e3, "ms", 5000)


if __name__ == "__main__":
    main()
