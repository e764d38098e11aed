"""Traces that are gone: what they held is free, and their nodes leave the graph."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import numpy as np
import pytest

import weftwork as wf
from tests.waiting import until
from weftwork.graph.python import codes


class Scaler:
    """An object with a traced method."""

    def __init__(self, by):
        self.by = by

    @wf.function
    def times(self, x):
        """x, scaled."""
        return x * self.by


def nodes_and_alive(*refs):
    """How many nodes the program's graph has, and whether any of some objects is alive."""
    wf.function(lambda: wf.constant(1))()  # the next trace lets go of those that are gone
    gc.collect()
    wf.function(lambda: wf.constant(1))()
    return len(wf.get_session().graph.get_operations()), any([ref() is not None for ref in refs])


@pytest.mark.parametrize("gone", ["function", "method", "trace", "branch"])
def test_what_a_trace_that_is_gone_held_is_free_and_its_nodes_leave_the_graph(gone):
    """Its function or its object is gone, or it was traced anew because something has changed."""

    class Held(list):
        """A value of the trace's."""

    def once():
        held = Held([1])
        scale = [1.0]
        double = wf.op(lambda x: 2 * x if held else x)

        @wf.function
        def f(x):
            if gone == "branch":
                return wf.cond(x > 0, lambda: double(x), lambda: double(-x))
            return double(x) * scale[0]

        assert f(3) == 6
        if gone == "trace":
            scale[0] = 2.0
            assert f(3) == 12
        if gone == "method":
            scaler = Scaler(4)
            assert scaler.times(3) == 12
        return weakref.ref(held), weakref.ref(f)

    once()
    before, _ = nodes_and_alive()
    refs = [ref for _ in range(5) for ref in once()]
    until(lambda: not nodes_and_alive(*refs)[1])
    assert nodes_and_alive()[0] <= before + 5


def test_the_graph_does_not_keep_the_code_of_a_trace_that_is_gone(graph):
    def once():
        space = {"wf": wf}
        exec("f = wf.function(lambda x: x + 1)", space)
        assert space["f"](3) == 4
        return weakref.ref(space["f"].function.__code__)

    ref = once()
    codes._facts.clear()  # what is known of the latest few thousand
    until(lambda: not nodes_and_alive(ref)[1])


def test_variables_and_what_others_use_outlive_the_trace_that_made_them(graph):
    kept = {}

    def once():
        @wf.function
        def f(x):
            if "total" not in kept:
                kept["total"] = wf.shared(x * 0 + 5)
                kept["layer"] = wf.get_variable("kept_by_others", [], wf.float64, wf.constant_initializer(2.0))
            return kept["total"].add(x) * kept["layer"]

        return f(1)

    assert once() == 12
    nodes_and_alive()
    assert kept["total"].get() == 6
    assert wf.run(kept["layer"]) == 2.0
    assert once() == 14
    graph = wf.get_session().graph
    copied = cloudpickle.loads(cloudpickle.dumps(graph))
    assert [op.name for op in copied.get_operations()] == [op.name for op in graph.get_operations()]
    assert copied.version == graph.version


def test_a_trace_lives_as_long_as_somebody_holds_it_and_says_so_afterwards():
    trace = wf.function(lambda x: x + 1).trace(np.float64(1))
    result, inputs = trace.outputs[0], trace.inputs
    nodes_and_alive()
    assert wf.get_session().run(result, {inputs[0]: 4}) == 5
    del trace
    nodes_and_alive()
    with pytest.raises(ValueError, match=r"trace that has been dropped.*Ask the function for its trace again"):
        wf.get_session().run(result * 2, {inputs[0]: 4})


def test_traces_are_dropped_while_others_run():
    """Threads define functions, call them once and drop them, while one function goes on."""
    step = wf.function(lambda x: wf.op(lambda y: y + 1)(x) * 2)

    def many(number):
        return [wf.function(lambda x, k=k: x + k + step(x))(number) for k in range(20)]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(many, range(4))) == [[n + k + 2 * (n + 1) for k in range(20)] for n in range(4)]
