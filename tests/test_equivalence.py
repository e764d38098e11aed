"""Random graphs give what the reference interpreter gives, wherever their pieces run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import weftwork as tf
from tests.reference import Reference, same
from weftwork.scheduler.compile.lowering import lower
from weftwork.scheduler.compile.needs import Home, Need
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.placement import Estimate, Place, place
from weftwork.scheduler.plan.plan import check_plan, make_plan

PLACEMENTS = ["caller", "thread", "resident", "dynamic", "actor", "task", "mixed", "auto"]


@tf.op
def halve(x):
    """An impure function, as far as anybody knows."""
    return x // 2


@tf.op(outputs=2, dtype=tf.int64)
def divide(x, by):
    """Raises ZeroDivisionError for by == 0."""
    return int(x) // int(by), int(x) % int(by)


class Builder:
    """Draws a graph of int64 scalars: constants, feeds, arithmetic, functions, variables, writes, control edges."""

    def __init__(self, draw):
        self.draw = draw
        self.feeds = [tf.placeholder(tf.int64, [], name=f"feed{i}") for i in range(2)]
        self.variables = [tf.Variable(np.int64(i + 1), name=f"v{i}") for i in range(2)]
        self.tensors = [tf.constant(np.int64(3)), *self.feeds]
        self.ops: list = []
        for _ in range(draw(st.integers(1, 14))):
            self.grow()

    def grow(self):
        """One more node, perhaps after some others."""
        controls = self.draw(st.lists(st.sampled_from(self.ops), max_size=2)) if self.ops else []
        with tf.control_dependencies(controls):
            made = self.node(self.draw(st.integers(0, 9)))
        for tensor in made:
            if tensor.dtype.base_dtype == tf.int64:
                self.tensors.append(tensor)
            self.ops.append(tensor.op)

    def value(self):
        """A tensor or a variable: an implicit read."""
        return self.draw(st.sampled_from([*self.tensors, *self.variables]))

    def node(self, kind):
        """The outputs of a node of some kind."""
        variable = self.draw(st.sampled_from(self.variables))
        if kind <= 2:
            return [self.value() + self.value()]
        if kind == 3:
            return [self.value() * 3 - self.value()]
        if kind == 4:
            return [tf.cast(halve(self.value()), tf.int64)]
        if kind == 5:
            return divide(self.value(), self.value())
        if kind == 6:
            return [tf.assign(variable, self.value())]
        if kind == 7:
            return [tf.assign_add(variable, self.value())]
        if kind == 8:
            return [tf.identity(variable)]
        return [tf.random_uniform([], maxval=100, dtype=tf.int64, seed=self.draw(st.integers(0, 3)))]


def some(values):
    """Some of the values."""
    values = list(values)
    return st.sets(st.sampled_from(values), max_size=len(values)) if values else st.just(set())


def outcome(run):
    """The values of a run, or that it failed."""
    try:
        return run()
    except (tf.errors.OpError, ZeroDivisionError, OverflowError, ValueError, TypeError) as error:
        return error


@pytest.mark.parametrize("placement", ["caller", "task", "auto"])
@settings(max_examples=16, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_random_graph_gives_what_the_reference_interpreter_gives(ray_session, placement, data):
    compare(data, "", (placement,))


@pytest.mark.parametrize("placement", ["actor", "resident", "mixed"])
@settings(max_examples=7, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_random_graph_gives_the_same_in_processes_of_the_session(ray_session, placement, data):
    """Fewer examples: each session starts processes of its own."""
    compare(data, "", (placement,))


def compare(data, target, placements):
    """Run a random graph, with costs that are made up, here and in the reference interpreter."""
    placement = data.draw(st.sampled_from(placements))
    with tf.Graph().as_default() as graph:
        graph.seed = 7
        built = Builder(data.draw)
        initialise = tf.global_variables_initializer()
        fetchable = [*built.tensors, *built.ops, *[v._ref() for v in built.variables]]
        reference = Reference()
        for kernel in {op.kernel for op in graph.get_operations() if op.kernel is not None}:
            seconds = data.draw(st.sampled_from([None, 1e-6, 1e-4, 1e-2, 1.0]))
            if seconds is not None:
                COSTS.learn(kernel, 64, seconds, 8)
        with tf.Session(target, config=tf.ConfigProto(placement=placement)) as session:
            session.run(initialise)
            reference.run([initialise])
            for _ in range(3):
                fetches = data.draw(st.lists(st.sampled_from(fetchable), min_size=1, max_size=4))
                feeds = {feed: np.int64(data.draw(st.integers(0, 5))) for feed in built.feeds}
                if data.draw(st.booleans()):  # any tensor may be fed, not only placeholders
                    feeds[data.draw(st.sampled_from(built.tensors))] = np.int64(2)
                ours = outcome(lambda: session.run(fetches, feeds))  # noqa: B023
                theirs = outcome(lambda: reference.run(fetches, feeds))  # noqa: B023
                if isinstance(theirs, Exception):
                    assert isinstance(ours, Exception), f"the reference failed with {theirs!r}, we gave {ours}"
                else:
                    assert not isinstance(ours, Exception), ours
                    assert all(same(a, b) for a, b in zip(ours, theirs, strict=True)), (ours, theirs)
                state = session.run([v._ref() for v in built.variables])
                assert all(same(a, reference.variables[v.op.name]) for a, v in zip(state, built.variables, strict=True))


NEEDS = [
    Need(resources=(("CPU", 1.0),)),
    Need(resources=(("CPU", 2.0), ("loom", 1.0))),
    Need(labels=(("zone", "west"),)),
    Need(home=Home("there")),
    Need(home=Home("there", 1)),
    Need(isolated=True),
]


@settings(max_examples=30, deadline=None)
@given(data=st.data(), placement=st.sampled_from(PLACEMENTS))
def test_every_plan_is_convex_complete_and_respects_what_its_nodes_ask_for(data, placement):
    """Random graphs, costs, sizes, needs, values that lie elsewhere, on clusters of one to three machines."""
    with tf.Graph().as_default():
        built = Builder(data.draw)
        fetches = data.draw(
            st.lists(st.sampled_from([*built.tensors, *built.ops]), min_size=1, max_size=4, unique=True)
        )
        flow = lower(fetches, built.feeds)
        flow.check()
        flow.needs = {node: data.draw(st.sampled_from(NEEDS)) for node in data.draw(some(range(len(flow.ops))))}
        estimate = Estimate(flow, {})
        estimate.seconds = [data.draw(st.sampled_from([None, 1e-6, 1e-3, 0.1])) for _ in flow.ops]
        estimate.bytes = [data.draw(st.sampled_from([8.0, 1e5, 1e7])) for _ in flow.producer]
        remote = data.draw(some([*flow.feeds.values(), *flow.pinned.values()]))
        slots, machines = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 3))
        places = place(flow, estimate, placement, remote, slots, machines)
        check_plan(make_plan(flow, places, estimate))
        assert all(places[node] is not Place.CALLER for node in flow.needs)
