"""The example programs, unchanged but for the import, against TensorFlow 1: the same losses, and the time of a step.

Both libraries begin with the same weights and get the same 100 feeds; the losses may differ by 1e-4 of their size. Goal
for the small programs: TensorFlow's time of a step. nearest_neighbours has no loss: its predictions must be equal. Also
a `while_loop` that counts to 100,000: half of TensorFlow's time.
"""

from __future__ import annotations

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
"""The goal for the ratio of the times of a step."""
WHOLE = {"save_restore": 1e-4, "devices": 1e-4, "actor_learner": 0.0}
"""Programs that are run as a whole: by how much what they reach may differ."""
STEPS, SAME = 100, 1e-4
COUNT = 100_000


def tensorflow() -> Any:
    """TensorFlow 1's interface; Keras 3 hides the cell of the LSTM, which is still there."""
    import tensorflow.compat.v1 as tf1
    from tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl import BasicLSTMCell

    tf1.disable_v2_behavior()
    tf1.nn.rnn_cell = SimpleNamespace(BasicLSTMCell=BasicLSTMCell)
    return tf1


def loaded(name: str, tf: Any) -> ModuleType:
    """An example as a module that uses one of the libraries."""
    module = ModuleType(name)
    module.__dict__["tf"] = tf
    source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
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
        """The losses of the steps of training."""
        return [float(self.session.run([self.model.train, self.model.loss], feed)[1]) for feed in self.feeds]

    def step(self) -> None:
        """One step."""
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
    """Print the row of a program that is run from its beginning to its end: what it reaches with either library."""
    reached = []
    for tf in (ours, theirs):
        with tf.Graph().as_default(), redirect_stdout(StringIO()):
            reached.append(float(loaded(name, tf).main()))
    figure(f"{name}: reaches {reached[0]:.4g}, TF1 {reached[1]:.4g}", abs(reached[0] - reached[1]), "apart", goal)


def counting(tf: Any) -> Any:
    """A loop that counts in the graph, as a function."""
    with tf.Graph().as_default():
        end = tf.while_loop(lambda i: i < COUNT, lambda i: i + 1, [0])
        session = tf.Session()
        assert session.run(end) == COUNT
    return lambda: session.run(end)


def main() -> None:
    """Print a row for each program, and one for the loop."""
    import weftwork

    theirs = tensorflow()
    for name, goal in PROGRAMS.items():
        compare(name, goal, weftwork, theirs)
    for name, goal in WHOLE.items():
        compare_whole(name, goal, weftwork, theirs)
    compare_predictions("nearest_neighbours", 1.0, weftwork, theirs)
    took = interleaved({"ours": counting(weftwork), "peer": counting(theirs)}, rounds=5, warm=1)
    row(f"while_loop that counts to {COUNT:,}", took["ours"], took["peer"], 0.5, "TF1 session", "ms", 1e3)


if __name__ == "__main__":
    main()
