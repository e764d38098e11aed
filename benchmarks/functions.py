"""A traced function of three small nodes, against TensorFlow 2's `tf.function`, and coroutines that wait.

three nodes: tanh(x * 2 + 1) of three numbers, float32. The goals: half of TensorFlow's time, and 15 us.
"""

from __future__ import annotations

import numpy as np

from benchmarks.common import figure, interleaved, row

NUMBERS = np.float32([0.1, 0.2, 0.3])


def main() -> None:
    """Print the rows."""
    import tensorflow as tf2

    import weftwork as wf

    ours = wf.function(lambda x: wf.tanh(x * 2.0 + 1.0))
    theirs = tf2.function(lambda x: tf2.tanh(x * 2.0 + 1.0))
    constant = tf2.constant(NUMBERS)
    calls = {
        "ours": lambda: ours(NUMBERS),
        "peer": lambda: theirs(constant).numpy(),
        "peer, fed an array": lambda: theirs(NUMBERS).numpy(),
    }
    took = interleaved(calls, rounds=2000, warm=200)
    row("a traced function of three nodes", took["ours"], took["peer"], 0.5, "tf.function")
    row("the same, both fed an array", took["ours"], took["peer, fed an array"], 0.5, "tf.function")
    figure("a traced function of three nodes", 1e6 * took["ours"], "us", 15)


if __name__ == "__main__":
    main()
