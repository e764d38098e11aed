"""First runs of small graphs: functions that surely return soon are called here, and no process starts for them."""

from __future__ import annotations

import decimal
import subprocess
import sys

import numpy as np
import pytest

import weftwork as tf


def looped(x):
    for _ in range(3):
        x = x + 1
    return x


def opened(x):
    return open(x)


BRIEF = {
    "numbers": lambda: tf.op(lambda a, b: a * b + 1)(2, 3),
    "text": lambda: tf.op(lambda text: text.upper().split()[:1])("a b"),
    "arrays": lambda: tf.op(lambda a: np.sqrt(a).sum())(np.ones(100)),
    "several functions": lambda: tf.op(lambda a: [a, a])(tf.op(lambda a: -a)(1)),
    "beside operations of the library": lambda: tf.op(lambda a: a + 1)(tf.constant(2.0) * 3.0),
    "a variable": lambda: tf.op(lambda a: a + 1)(tf.Variable(1.0, name="v")),
}
OTHERS = {
    "a loop": lambda: tf.op(looped)(1),
    "an object": lambda: tf.op(lambda a: a + 1)(decimal.Decimal(1)),
    "a large array": lambda: tf.op(lambda a: a.sum())(np.zeros(1_000_000)),
    "an unknown function": lambda: tf.op(lambda text: text.format(1))("{}"),
    "what an unknown function makes": lambda: tf.op(lambda a: a + 1)(tf.op(lambda text: text.format(1) and 1)("{}")),
}


def places_of_first_run(node):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        explained = {segment.place for segment in session.explain(node).segments}
        events = []
        with session.listen(events.append):
            session.run(node)
    return {event.lane.place for event in events if event.kind == "segment"}, explained


@pytest.mark.parametrize("what", BRIEF)
def test_brief_functions_are_called_here_at_once(what, ray_session, graph):
    places, explained = places_of_first_run(BRIEF[what]())
    assert places <= {"caller"}
    assert "dynamic" not in explained


@pytest.mark.parametrize("what", OTHERS)
def test_others_are_tried_in_a_worker(what, ray_session, graph):
    places, explained = places_of_first_run(OTHERS[what]())
    assert "resident" in places
    assert "dynamic" in explained


def test_many_nodes_of_a_function_are_no_small_graph(ray_session, graph):
    """They would take long together, one after another."""
    total = tf.Variable(0)
    node = tf.op(lambda a: a + 1)
    places, _ = places_of_first_run(tf.add_n([node(total) for _ in range(30)]))
    assert "resident" in places


PROGRAM = """
import psutil
import weftwork as tf
doubled = tf.op(lambda x: 2 * x)(21)
with tf.Session() as session:
    print(session.run(doubled), len(psutil.Process().children(recursive=True)))
"""


def test_a_program_of_brief_functions_starts_no_process():
    said = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=True)
    assert said.stdout.split() == ["42", "0"]
