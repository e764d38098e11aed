"""The example programs, with only the import changed, against TensorFlow 1: equal losses, and the time of a step.

Both libraries start with the same weights and get the same 100 feeds. Losses may differ by 1e-4 of their size. Goal for
small programs: TensorFlow's time of a step. nearest_neighbours has no loss, so its predictions must be equal. Also a
`while_loop` that counts to 100,000, with the goal of half of TensorFlow's time.

Programs of real size, whose losses may differ by 1e-3 after 30 steps: convolutional nets on 28 x 28 images, batch 64;
and an embedding of 20,000 x 64 trained by Adam. Goal: twice TensorFlow's time of a step. TensorFlow multiplies with the
widest instructions of the CPU. If OPENBLAS_CORETYPE keeps NumPy's BLAS from using them, the goal is out of reach.

Also the training in `examples/pipelines/pipeline.py`, whose input pipeline parses lines in Python. Goal on two cores: a
step takes 1 / 1.8 of its time on one core, and of TF1's time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from itertools import cycle
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.common import figure, interleaved, row

EXAMPLES = Path(__file__).parent.parent / "examples"
PROGRAMS = {
    "linear_regression": 1.0,
    "logistic_regression": 1.0,
    "kmeans": 1.0,
    "perceptron": 1.0,
    "autoencoder": 1.0,
    "word2vec": 1.0,
    "gan": 1.0,
    "convolution": 2.0,
    "lstm": 2.0,
    "save_restore": 1.0,
    "data_parallel": 2.0,
}
"""The goal for the ratio of step times."""
WHOLE = {"save_restore": 1e-4, "devices": 1e-4, "actor_learner": 0.0}
"""Programs that are run as a whole, and by how much their results may differ."""
STEPS, SAME = 100, 1e-4
COUNT = 100_000
NETS = {"3x3, 16 and 32": (3, 16, 32), "3x3, 32 and 64": (3, 32, 64), "5x5, 32 and 64": (5, 32, 64)}
"""Filter size, and the number of filters in each of the two layers."""
IMAGES, TABLE, LOOKED_UP = 64, (20_000, 64), 256
FED, CORES = 30, 2
"""Number of pipeline steps that are timed together, and of concurrent parser calls."""


def tensorflow() -> Any:
    """TensorFlow 1's interface. Keras 3 hides the LSTM cell, which still exists."""
    import tensorflow.compat.v1 as tf1
    from tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl import BasicLSTMCell

    tf1.disable_v2_behavior()
    tf1.nn.rnn_cell = SimpleNamespace(BasicLSTMCell=BasicLSTMCell)
    return tf1


def loaded(name: str, tf: Any) -> ModuleType:
    """Load an example as a module that uses one of the libraries."""
    module = ModuleType(name)
    module.__dict__["tf"] = tf
    source = next(EXAMPLES.rglob(f"{name}.py")).read_text(encoding="utf-8")
    assert source.count("import weftwork as tf\n") == 1
    exec(compile(source.replace("import weftwork as tf\n", ""), f"{name}.py", "exec"), module.__dict__)
    return module


class Program:
    """An example, built with one of the libraries, in a session."""

    def __init__(self, name: str, tf: Any):
        module = loaded(name, tf)
        with tf.Graph().as_default():
            tf.set_random_seed(1)
            self.model = module.build()
            self.variables = {v.op.name: v for v in tf.global_variables()}
            self.session = tf.Session()
            self.session.run(tf.global_variables_initializer())
        self.feeds = list(module.feeds(self.model, STEPS))
        self._next = cycle(self.feeds)

    def losses(self) -> list[float]:
        """The losses of all training steps."""
        return [float(self.session.run([self.model.train, self.model.loss], feed)[1]) for feed in self.feeds]

    def step(self) -> None:
        """Make one step."""
        self.session.run(self.model.train, next(self._next))


def compare(name: str, goal: float, ours: Any, theirs: Any) -> None:
    """Print the rows of a program."""
    mine, peer = Program(name, ours), Program(name, theirs)
    values = mine.session.run(mine.variables)
    for key, variable in peer.variables.items():
        variable.load(values[key], peer.session)
    here, there = np.array(mine.losses()), np.array(peer.losses())
    difference = float((np.abs(here - there) / np.maximum(np.abs(there), 1e-3)).max())
    figure(f"{name}: difference of losses, {STEPS} steps", difference, "of their size", SAME)
    took = interleaved({"ours": mine.step, "peer": peer.step}, rounds=200, warm=50)
    row(f"{name}: a step", took["ours"], took["peer"], goal, "TF1 session")


def compare_predictions(name: str, goal: float, ours: Any, theirs: Any) -> None:
    """Print the rows of a program that is not trained."""
    both = {"ours": Program(name, ours), "peer": Program(name, theirs)}
    here, there = ([int(p.session.run(p.model.nearest, feed)) for feed in p.feeds] for p in both.values())
    figure(f"{name}: different predictions", sum(a != b for a, b in zip(here, there, strict=True)), f"of {STEPS}", 0)
    steps = {key: lambda p=p, feed=p.feeds[0]: p.session.run(p.model.nearest, feed) for key, p in both.items()}
    took = interleaved(steps, rounds=200, warm=50)
    row(f"{name}: an image", took["ours"], took["peer"], goal, "TF1 session")


def compare_whole(name: str, goal: float, ours: Any, theirs: Any) -> None:
    """Print the row of a program that is run from start to end: its result with either library."""
    reached = []
    for tf in (ours, theirs):
        with tf.Graph().as_default(), redirect_stdout(StringIO()):
            reached.append(float(loaded(name, tf).main()))
    figure(f"{name}: reaches {reached[0]:.4g}, TF1 {reached[1]:.4g}", abs(reached[0] - reached[1]), "apart", goal)


def net(tf: Any, taps: int, first: int, second: int) -> tuple[Any, Any, dict]:
    """(train, loss, feed) of two convolutions with pooling and two dense layers, on images of 28 x 28."""
    rng = np.random.RandomState(0)

    def weights(*shape: int) -> Any:
        return tf.Variable(rng.normal(size=shape, scale=0.05).astype(np.float32))

    images, labels = tf.placeholder(tf.float32, [None, 28, 28, 1]), tf.placeholder(tf.int64, [None])
    made = images
    for depth, out in ((1, first), (first, second)):
        made = tf.nn.conv2d(made, weights(taps, taps, depth, out), strides=[1, 1, 1, 1], padding="SAME")
        made = tf.nn.relu(tf.nn.bias_add(made, weights(out)))
        made = tf.nn.max_pool(made, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")
    flat = tf.reshape(made, [-1, 49 * second])
    hidden = tf.nn.relu(tf.matmul(flat, weights(49 * second, 128)) + weights(128))
    logits = tf.matmul(hidden, weights(128, 10)) + weights(10)
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
    feed = {images: rng.uniform(size=[IMAGES, 28, 28, 1]).astype(np.float32), labels: rng.randint(0, 10, IMAGES)}
    return tf.train.MomentumOptimizer(0.01, 0.9).minimize(loss), loss, feed


def embedding(tf: Any) -> tuple[Any, Any, dict]:
    """(train, loss, feed) of a table of which some rows are looked up."""
    rng = np.random.RandomState(0)
    table = tf.Variable(rng.normal(size=TABLE).astype(np.float32))
    rows = tf.placeholder(tf.int32, [None])
    loss = tf.reduce_mean(tf.square(tf.nn.embedding_lookup(table, rows)))
    return tf.train.AdamOptimizer(1e-3).minimize(loss), loss, {rows: rng.randint(0, TABLE[0], LOOKED_UP)}


def compare_large(name: str, build: Callable, ours: Any, theirs: Any) -> None:
    """Print the rows of a program of real size."""
    steps, losses = {}, []
    for key, tf in (("ours", ours), ("peer", theirs)):
        with tf.Graph().as_default():
            train, loss, feed = build(tf)
            session = tf.Session()
            session.run(tf.global_variables_initializer())
        losses.append([float(session.run([train, loss], feed)[1]) for _ in range(30)][-1])
        steps[key] = functools.partial(session.run, train, feed)
    figure(f"{name}: difference of losses, 30 steps", abs(losses[0] / losses[1] - 1), "of their size", 1e-3)
    took = interleaved(steps, rounds=60, warm=50)
    row(f"{name}: a step", took["ours"], took["peer"], 2.0, "TF1 session", "ms", 1e3)


def counting(tf: Any) -> Any:
    """A loop in the graph that counts, as a function."""
    with tf.Graph().as_default():
        end = tf.while_loop(lambda i: i < COUNT, lambda i: i + 1, [0])
        session = tf.Session()
        assert session.run(end) == COUNT
    return lambda: session.run(end)


class Fed:
    """The training in `examples/pipelines/pipeline.py`, with one of the libraries. calls: concurrent parser calls."""

    def __init__(self, tf: Any, calls: int | None):
        module = loaded("pipeline", tf)
        with tf.Graph().as_default():
            tf.set_random_seed(1)
            self.model = module.build(calls)
            self.session = tf.Session()
            self.session.run([tf.global_variables_initializer(), self.model.training])

    def steps(self) -> None:
        """Make as many steps as use up the prefetched batches."""
        for _ in range(FED):
            self.session.run(self.model.train)


def compare_pipelines(ours: Any, theirs: Any) -> None:
    """Print the rows of the input pipeline. Each system is timed alone, because it also works between its steps."""
    took = {}
    for name, tf, calls in (("ours", ours, CORES), ("one core", ours, None), ("tf.data", theirs, CORES)):
        fed = Fed(tf, calls)
        took[name] = interleaved({name: fed.steps}, rounds=7, warm=2)[name] / FED
        fed.session.close()
    for peer in ("one core", "tf.data"):
        row("pipeline of Python parsing: a step", took["ours"], took[peer], 1 / 1.8, peer, "ms", 1e3)


def main() -> None:
    """Print a row for each program, one for the loop, and two for the input pipeline."""

    import weftwork

    theirs = tensorflow()
    for name, goal in PROGRAMS.items():
        compare(name, goal, weftwork, theirs)
    for name, goal in WHOLE.items():
        compare_whole(name, goal, weftwork, theirs)
    compare_predictions("nearest_neighbours", 1.0, weftwork, theirs)
    for name, sizes in NETS.items():
        compare_large(f"CNN (28x28, batch 64), {name}", lambda tf, sizes=sizes: net(tf, *sizes), weftwork, theirs)
    compare_large("Adam embedding (20,000 x 64)", embedding, weftwork, theirs)
    took = interleaved({"ours": counting(weftwork), "peer": counting(theirs)}, rounds=5, warm=1)
    row(f"while_loop that counts to {COUNT:,}", took["ours"], took["peer"], 0.5, "TF1 session", "ms", 1e3)
    compare_pipelines(weftwork, theirs)


if __name__ == "__main__":
    main()
