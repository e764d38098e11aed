"""One session in several threads: each run is its thread's, as each call would be."""

from __future__ import annotations

import contextvars
import random
import threading
from collections.abc import Callable

import numpy as np
import pytest

import weftwork as tf
from tests.meaning.places import op_in, session_in
from weftwork.graph.python.seeded import NUMPY, PYTHON, new_key, seeded

WORD: contextvars.ContextVar = contextvars.ContextVar("word", default="none")
THREADS, RUNS = 3, 8


def in_threads(work: Callable[[int, int], object]) -> list[list]:
    """What each thread's calls of `work` give: with its number, and the number of the call."""
    seen: list[list] = [[] for _ in range(THREADS)]

    def call(number: int) -> None:
        for run in range(RUNS):
            seen[number].append(work(number, run))

    threads = [threading.Thread(target=call, args=[number], daemon=True) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return seen


@pytest.mark.parametrize("place", ["caller", "thread", "resident", "dynamic", "auto"])
def test_each_run_has_the_context_of_its_thread(place):
    with tf.Graph().as_default():
        node = op_in(place, lambda: WORD.get())()
        with session_in(place) as session:

            def work(number, run):
                WORD.set((number, run))
                return session.run(node)

            assert in_threads(work) == [[(number, run) for run in range(RUNS)] for number in range(THREADS)]


def test_no_key_is_drawn_twice_while_a_function_of_another_thread_draws():
    """That thread puts the generators back to what they are after the draws of others."""
    inside, leave = threading.Event(), threading.Event()

    def draw() -> None:
        with seeded((new_key(), 0, 0), PYTHON | NUMPY):
            inside.set()
            leave.wait(60)

    before = random.getstate(), np.random.get_state()
    thread = threading.Thread(target=draw, daemon=True)
    thread.start()
    assert inside.wait(60)
    keys = [new_key(), new_key()]
    leave.set()
    thread.join(60)
    keys.append(new_key())
    python, numpy = zip(*keys, strict=True)
    assert len(set(python)) == len(set(numpy)) == 3
    random.setstate(before[0])
    np.random.set_state(before[1])
    assert [new_key() for _ in range(4)][1:] == keys  # the program's own, in turn
