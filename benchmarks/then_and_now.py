"""Compares an earlier checkout with this one: small programs, of which each runs one sample, in turn.

`python -m benchmarks.then_and_now ../earlier` starts processes for either checkout and each program below, and lets
them work alternately, for 30 samples each. It prints each row's medians, and the median of the quotients now / then.
The two samples of a quotient lie less than a second apart, so it does not matter that the speed of a shared machine
changes from minute to minute. Further arguments choose programs: `... ../earlier 30 "x + 1" queue`.

Graphs are new in each sample, and their functions were never called: the rows are the first run, the second one, and
eight more. Replays are of a graph that has run 80 times. Two samples of each process do not count, because they import
modules.

The programs use what both checkouts have in common. One that fails then, because something was not there yet, is named.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from types import FunctionType
from typing import Any

import numpy as np

import weftwork as tf

HERE = Path(__file__).parent.parent
_WORSE = 1.05
"""From this multiple on, a row is marked."""
_TOGETHER = 10
"""Samples of one process. Two processes of the same code differ by up to a tenth, all their lives."""
_FINE, _MANY = 2000, 300
"""Numbers of nodes: of fine ones, and of others."""
_US = 10
"""Rounds of `_spin` in about a microsecond."""

Sample = Callable[[], dict[str, float]]
"""Runs once, and returns seconds by row."""


def _spin(rounds: int, *_read: Any) -> int:
    x = 1
    for _ in range(rounds):
        x = x * 5 & 1023
    return x


def _fresh(function: FunctionType = _spin) -> Any:
    """An op of a function that nobody has called yet."""
    return tf.op(FunctionType(function.__code__, globals(), function.__name__))


@contextmanager
def _timed(rows: dict[str, float], name: str) -> Iterator[None]:
    start = perf_counter()
    yield
    rows[name] = perf_counter() - start


def _runs(rows: dict[str, float], session: Any, fetches: Any, more: int = 8) -> None:
    """The first run, the second one, and some more."""
    with _timed(rows, "first run"):
        session.run(fetches)
    with _timed(rows, "second run"):
        session.run(fetches)
    with _timed(rows, f"{more} more"):
        for _ in range(more):
            session.run(fetches)


# First runs: graphs of functions that nobody has called yet


def _independent(work: Any, rounds: int, count: int) -> list:
    return [work(rounds, k) for k in range(count)]


def _chain(work: Any, rounds: int, count: int) -> Any:
    made = work(rounds)
    for _ in range(count - 1):
        made = work(rounds, made)
    return made


def _tree(work: Any, rounds: int, count: int) -> Any:
    level = [work(rounds, k) for k in range(count // 2)]
    while len(level) > 1:
        level = [work(rounds, *level[k : k + 2]) for k in range(0, len(level), 2)]
    return level[0]


def _stencil(work: Any, rounds: int, count: int, width: int = 10) -> list:
    row = [work(rounds, k) for k in range(width)]
    for _ in range(count // width - 1):
        row = [work(rounds, *row[max(0, k - 1) : k + 2]) for k in range(width)]
    return row


def graphs(shape: Callable[..., Any], rounds: int, count: int, warm: bool = True) -> Sample:
    """Graphs that are built, run ten times, and thrown away.   warm: local workers are up before."""
    if warm:
        with tf.Graph().as_default(), tf.Session() as session:
            some = _independent(_fresh(), 2000 * _US, 100)
            for _ in range(3):
                session.run(some)

    def sample() -> dict[str, float]:
        gc.collect()
        rows: dict[str, float] = {}
        with tf.Graph().as_default():
            with _timed(rows, "building"):
                fetches = shape(_fresh(), rounds, count)
            with tf.Session() as session:
                _runs(rows, session, fetches)
        return rows

    return sample


def unequal() -> Sample:
    """One function whose cost depends on its argument: 10 us to 10 ms."""
    rounds = [int(_US * 10 ** (1 + 3 * ((7 * k) % _MANY) / _MANY)) for k in range(_MANY)]

    def shape(work: Any, _: int, __: int) -> list:
        return [work(each) for each in rounds]

    return graphs(shape, 0, 0)


def library() -> Sample:
    """Operations on arrays of 1000 floats, run from the beginning each time."""
    values = np.linspace(0.0, 1.0, 1000)

    def shape(*_: Any) -> Any:
        made = tf.constant(values)
        for k in range(_MANY // 3):
            made = tf.tanh(made * 1.01 + float(k))
        return tf.reduce_sum(made)

    return graphs(shape, 0, 0, warm=False)


# Replays: graphs that exist already


def replayed(build: Callable[[], tuple[Any, Any]], times: int) -> Sample:
    """Replays of a graph.   build: makes what is run, and what is fed."""
    with tf.Graph().as_default():
        run, fed = build()
        session = tf.Session()
        session.run(tf.global_variables_initializer())
    for _ in range(80):
        session.run(run, fed)

    def sample() -> dict[str, float]:
        rows: dict[str, float] = {}
        with _timed(rows, f"{times} replays"):
            for _ in range(times):
                session.run(run, fed)
        return rows

    return sample


def _add() -> tuple:
    x = tf.placeholder(tf.float32, [])
    return x + 1.0, {x: 1.0}


def _read() -> tuple:
    return tf.Variable(1.0), None


def _count() -> tuple:
    return tf.assign_add(tf.Variable(0.0), 1.0), None


def _array() -> tuple:
    x = tf.placeholder(tf.float32, [100])
    return tf.reduce_sum(tf.tanh(x * 2.0)), {x: np.ones(100, np.float32)}


def _function() -> tuple:
    x = tf.placeholder(tf.int32, [])
    return tf.op(_spin)(x), {x: 10}


def _many() -> tuple:
    return _independent(tf.op(_spin), _US, _FINE), None


def _loop() -> tuple:
    return tf.while_loop(lambda i: i < 1000, lambda i: i + 1, [tf.constant(0)]), None


def _cond() -> tuple:
    x = tf.placeholder(tf.float32, [])
    return tf.cond(x > 0.0, lambda: x * 2.0, lambda: x - 1.0), {x: 1.0}


def _queue() -> tuple:
    queue = tf.FIFOQueue(10, [tf.float32], [[]])
    put = queue.enqueue([1.0])
    with tf.control_dependencies([put]):
        return queue.dequeue(), None


def _training(batch: int, width: int) -> Callable[[], tuple]:
    def build() -> tuple:
        draw = np.random.RandomState(0)
        x, y = tf.placeholder(tf.float32, [batch, 20]), tf.placeholder(tf.float32, [batch, 1])
        weights = [tf.Variable(draw.normal(size=s).astype("f") / 10) for s in ((20, width), (width,), (width, 1), (1,))]
        hidden = tf.nn.relu(tf.matmul(x, weights[0]) + weights[1])
        loss = tf.reduce_mean(tf.square(tf.matmul(hidden, weights[2]) + weights[3] - y))
        step = tf.train.AdamOptimizer(0.001).minimize(loss)
        fed = {x: draw.normal(size=(batch, 20)).astype("f"), y: draw.normal(size=(batch, 1)).astype("f")}
        return [step, loss], fed

    return build


def _halves(count: int, size: int) -> Callable[[], tuple]:
    def build() -> tuple:
        x = tf.placeholder(tf.float64, [size])
        return tf.add_n([tf.reduce_sum(tf.sqrt(x + float(k))) for k in range(count)]), {x: np.ones(size)}

    return build


def _python(count: int, rounds: int) -> Callable[[], tuple]:
    return lambda: (_independent(tf.op(_spin), rounds, count), None)


def sessions() -> Sample:
    """Sessions that are made, run once and closed."""
    with tf.Graph().as_default() as graph:
        made = tf.constant(1.0) + 2.0

    def sample() -> dict[str, float]:
        rows: dict[str, float] = {}
        with _timed(rows, "20 sessions"):
            for _ in range(20):
                with tf.Session(graph=graph) as session:
                    session.run(made)
        return rows

    return sample


PROGRAMS: dict[str, Callable[[], Sample]] = {
    "independent, 1 us": lambda: graphs(_independent, _US, _FINE),
    "chain, 1 us": lambda: graphs(_chain, _US, _FINE),
    "tree, 1 us": lambda: graphs(_tree, _US, _FINE),
    "stencil, 1 us": lambda: graphs(_stencil, _US, _FINE),
    "independent, 10 us": lambda: graphs(_independent, 10 * _US, _FINE),
    "chain, 10 us": lambda: graphs(_chain, 10 * _US, _FINE),
    "stencil, 10 us": lambda: graphs(_stencil, 10 * _US, _FINE),
    "independent, 1 ms": lambda: graphs(_independent, 1000 * _US, _MANY),
    "64 of 20 ms": lambda: graphs(_independent, 20_000 * _US, 64),
    "20 of 1 us": lambda: graphs(_independent, _US, 20),
    "unequal": unequal,
    "library": library,
    "x + 1": lambda: replayed(_add, 200),
    "read a variable": lambda: replayed(_read, 200),
    "count": lambda: replayed(_count, 200),
    "feed an array": lambda: replayed(_array, 200),
    "one function": lambda: replayed(_function, 200),
    "2,000 functions": lambda: replayed(_many, 10),
    "while_loop": lambda: replayed(_loop, 3),
    "cond": lambda: replayed(_cond, 100),
    "queue": lambda: replayed(_queue, 100),
    "training, small": lambda: replayed(_training(16, 10), 50),
    "training, large": lambda: replayed(_training(256, 256), 10),
    "large arrays": lambda: replayed(_halves(16, 500_000), 2),
    "1 ms, replayed": lambda: replayed(_python(_MANY, 1000 * _US), 1),
    "sessions": sessions,
}


# Both checkouts in turn


class _Side:
    """A process that runs samples of a program with the code of one checkout."""

    def __init__(self, root: Path, program: str):
        environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, "--samples", program]
        self._process = subprocess.Popen(
            command, cwd=root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def sample(self) -> dict[str, float] | None:
        """Seconds by row, or None if the program has failed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(flush=True, file=self._process.stdin)
        except BrokenPipeError:
            return None
        line = next((line for line in self._process.stdout if line.startswith("{")), None)
        return None if line is None else json.loads(line)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def main(then: str, rounds: int = 30, *programs: str) -> None:
    """Print the rows. then: the folder of the earlier checkout."""
    roots = Path(then).resolve(), HERE
    for unknown in [program for program in programs if program not in PROGRAMS]:
        sys.exit(f"There is no program {unknown!r}; there are {', '.join(map(repr, PROGRAMS))}.")
    for program in programs or PROGRAMS:
        pairs: list[tuple[dict, dict]] = []
        while len(pairs) < rounds and (more := _pairs(program, roots, min(_TOGETHER, rounds - len(pairs)))):
            pairs += more
        for name in pairs[0][1] if pairs else ():
            _print(f"{program}: {name}", [(before[name], after[name]) for before, after in pairs])


def _pairs(program: str, roots: Sequence[Path], count: int) -> list[tuple[dict, dict]]:
    """Samples of two new processes, in turn: seconds by row, then and now."""
    sides = [_Side(root, program) for root in roots]
    try:
        if None in (warm := [side.sample() for side in sides for _ in range(2)]):
            print(f"{program} | fails {'now' if warm[0] else 'then'}", flush=True)
            return []
        pairs = []
        for number in range(count):
            took = {side: sides[side].sample() for side in ((0, 1) if number % 2 else (1, 0))}
            pairs.append((took[0] or {}, took[1] or {}))
        return pairs
    finally:
        for side in sides:
            side.close()


def _print(name: str, pairs: Iterable[tuple[float, float]]) -> None:
    before, after = (1000 * statistics.median(side) for side in zip(*pairs, strict=True))
    quotient = statistics.median([now / then for then, now in pairs])
    mark = " WORSE" if quotient > _WORSE else ""
    print(f"{name} | {before:.4g} ms, now {after:.4g} ms | {quotient:.2f}{mark}", flush=True)


def _serve(program: str) -> None:
    """Run a sample for each line of the input."""
    sample = PROGRAMS[program]()
    for _ in sys.stdin:
        print(json.dumps(sample()), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--samples":
        _serve(sys.argv[2])
    else:
        main(sys.argv[1], int((sys.argv[2:3] or ["30"])[0]), *sys.argv[3:])
