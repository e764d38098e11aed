"""Loops whose iterations overlap give what the loops give, however many run at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weftwork as tf
from weftwork.actors.programs.program import Stopped
from weftwork.scheduler.compile.sections import body_of, compiled, section_flows
from weftwork.scheduler.compile.unrolling import ahead
from weftwork.scheduler.segments.overlap import OverlappedLoop, OverlappedSweep


@tf.op(dtype=tf.int64, shape=[])
def heavy(*values):
    """A function that is worth running beside others."""
    return np.int64(sum(map(int, values)))


class Planned:
    """What runs a section, and notes how large it was; plain once nothing is gained by several at a time."""

    def __init__(self, section, plain=False):
        self.run, self.plain, self.nodes = body_of(section), plain, len(section.flow.ops)

    def __call__(self, stop, values):
        return self.run(stop, values)


def loop_of(some, plain=False, limit=None):
    """A loop over a counter and two others, as it is and overlapped, and the values that it takes."""
    with tf.Graph().as_default():
        n = tf.placeholder(tf.int64, [])
        made = tf.while_loop(
            lambda i, a, b: i < n,
            lambda i, a, b: (i + 1, a + heavy(i, b), b - heavy(i)),
            [np.int64(0), np.int64(1), np.int64(2)],
            maximum_iterations=limit,
        )
        test, step = section_flows(made[0].op)
        loop = compiled(made[0].op).kernel
        overlapped = OverlappedLoop(loop, step, ahead(test, step, 3), some, lambda flow: Planned(flow, plain))
        order = compiled(made[0].op).order
    inputs = [made[0].op.inputs[what] if word == "input" else None for word, what in order]
    return loop, overlapped, inputs, n


def values_of(inputs, n, times):
    """The inputs of a loop: constants as they are, `n` as `times`."""
    given = []
    for tensor in inputs:
        given.append(np.int64(times) if tensor is n else tensor.op.attrs["value"])
    return given


@settings(max_examples=25)
@given(st.integers(1, 5), st.integers(0, 12), st.one_of(st.none(), st.integers(0, 9)), st.booleans())
def test_a_loop_gives_the_same_however_many_iterations_run_at_a_time(some, times, limit, plain):
    loop, overlapped, inputs, n = loop_of(some, plain, limit)
    values = values_of(inputs, n, times)
    assert overlapped([], *values) == loop([], *values)


def test_a_loop_that_is_stopped_begins_no_further_iterations():
    _, overlapped, inputs, n = loop_of(2)
    with pytest.raises(Stopped):
        overlapped(["cancelled"], *values_of(inputs, n, 5))


def test_sections_of_a_size_are_made_once():
    made = []
    _, overlapped, inputs, n = loop_of(2)
    planned = overlapped._sections._planned
    overlapped._sections._planned = lambda flow: made.append(flow) or planned(flow)
    for times in (5, 5, 4):
        overlapped([], *values_of(inputs, n, times))
    assert len(made) == 2  # of two iterations, and of one that is left over


@pytest.mark.parametrize("some", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [1, 4, 6])
def test_a_scan_gives_the_same_however_many_elements_run_at_a_time(some, count):
    with tf.Graph().as_default():
        xs = tf.placeholder(tf.int64, [None])
        op = tf.scan(lambda total, x: total + heavy(x), xs, initializer=np.int64(0)).op
        (step,) = section_flows(op)
        sweep = compiled(op).kernel
    overlapped = OverlappedSweep(sweep, step, some, Planned)
    values = [np.int64(0), np.arange(count)]
    _, expected = sweep([], *values)
    _, collected = overlapped([], *values)
    assert expected.tolist() == collected.tolist() == np.cumsum(np.arange(count)).tolist()
