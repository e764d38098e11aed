"""A traced function of three small nodes, against TensorFlow 2's `tf.function`; and coroutines that wait.

three nodes: tanh(x * 2 + 1) of three float32 numbers. Goals: half of TensorFlow's time, and 15 us. Blocks of 100 calls
are timed in turn: a single call right after one of TensorFlow's finds the caches full of other data, and takes three
times as long.
waits: a hundred nodes that are coroutines and sleep for 200 ms. Goal: 250 ms.
"""

from __future__ import annotations

import asyncio
import statistics
from functools import partial
from time import perf_counter

import numpy as np

from benchmarks.common import figure, interleaved, repeat, row

NUMBERS = np.float32([0.1, 0.2, 0.3])
BLOCK = 100


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
    blocks = {name: partial(repeat, call, BLOCK) for name, call in calls.items()}
    took = {name: seconds / BLOCK for name, seconds in interleaved(blocks, rounds=50, warm=5).items()}
    row("a traced function of three nodes", took["ours"], took["peer"], 0.5, "tf.function")
    row("the same, both fed an array", took["ours"], took["peer, fed an array"], 0.5, "tf.function")
    figure("a traced function of three nodes", 1e6 * took["ours"], "us", 15)
    waits(wf)


def waits(wf) -> None:
    """Print the rows for coroutines: the first run, and later ones."""

    @wf.op
    async def wait(number):
        await asyncio.sleep(0.2)
        return number

    nodes = [wait(number) for number in range(100)]
    with wf.Session() as session:
        took = []
        for _ in range(6):
            start = perf_counter()
            session.run(nodes)
            took.append(perf_counter() - start)
    figure("100 waits of 200 ms, the first run", 1e3 * took[0], "ms", 250)
    figure("100 waits of 200 ms", 1e3 * statistics.median(took[1:]), "ms", 250)


if __name__ == "__main__":
    main()
