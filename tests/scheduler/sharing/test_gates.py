"""Nodes that a run gets to whenever they are opened."""

from __future__ import annotations

import weftwork as tf
from weftwork.scheduler.doors.running import staying
from weftwork.scheduler.sharing.gates import Gates


def test_a_run_gets_to_nodes_behind_gates_whenever_they_are_opened():
    gates, called, opened, given = Gates(), [], [], {}

    def note(number):
        called.append((number, given.pop(number, None)))
        if len(called) < 6:
            opened.append(gates.open(lambda gate: given.update({gate + 1: len(called)})))

    with tf.Graph().as_default() as graph:
        note_op = staying(note)
        nodes = [note_op(number) for number in range(4)]
        for number in (1, 2, 3):
            gates.add([nodes[number].op], number == 1)
        graph.gates = gates
    assert not gates.open(given.update), "the run has not begun"
    with tf.Session(graph=graph) as session:
        session.run([node.op for node in nodes])
    assert (given, opened) == ({}, [True] * 5)
    assert sorted(called[:2]) == [(0, None), (1, None)]
    assert sorted(number for _, number in called[2:]) == [1, 2, 3, 4, 5]
    assert {number for number, _ in called[2:]} <= {1, 2, 3}
    assert not gates.open(given.update), "it is over"
    assert len(called) == 7


def test_nodes_that_have_not_begun_can_be_withdrawn():
    gates, called, withdrawn = Gates(), [], []

    def note(number):
        called.append(number)
        withdrawn.append(gates.withdraw())

    with tf.Graph().as_default() as graph:
        nodes = [staying(note)(number) for number in range(4)]
        for node in nodes:
            gates.add([node.op], True)
        graph.gates = gates
    with tf.Session(graph=graph) as session:
        session.run([node.op for node in nodes])
    assert len(called) == 1
    assert sorted([*called, *withdrawn[0]]) == [0, 1, 2, 3]
