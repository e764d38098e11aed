"""Plans: whatever the places, each node is in one segment, and segments run one by one are the run."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import weftwork as tf
from weftwork.graph.operation import WRITES
from weftwork.scheduler.compile.lowering import lower
from weftwork.scheduler.compile.needs import Need, settle_needs
from weftwork.scheduler.plan.cost import Costs
from weftwork.scheduler.plan.grouping import after_locks, depth_first
from weftwork.scheduler.plan.placement import Estimate, Place, place
from weftwork.scheduler.plan.plan import check_plan, make_plan, make_slot_plan
from weftwork.scheduler.plan.policy import REMOTE_BYTES, WORTH_A_TASK
from weftwork.scheduler.plan.schedule import Contracted, ranks, schedule
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.segments.threads import run_in_threads
from weftwork.scheduler.state.mirror import Cells, Mirror

PLACES = [Place.CALLER, Place.ACTOR, Place.TASK]


@tf.op
def note(*values):
    """A function that may do anything."""
    return sum(int(v) for v in values)


@tf.op(outputs=2, dtype=tf.int64)
def split(x):
    """A function of two outputs."""
    return int(x) // 2, int(x) - int(x) // 2


def estimate_of(flow, seconds=None):
    """An estimate for a dataflow: empty, or with the given seconds."""
    estimate = Estimate(flow, {}, Costs())
    if seconds is not None:
        estimate.seconds = list(seconds)
    return estimate


def grow(draw):
    """(fetches, feeds) of a drawn graph of int64 scalars, in the default graph."""
    x = tf.placeholder(tf.int64, [], name="x")
    variables = [tf.Variable(np.int64(i), name=f"v{i}") for i in range(2)]
    values, ops = [x, *variables], []
    for _ in range(draw(st.integers(1, 16))):
        controls = draw(st.lists(st.sampled_from(ops), max_size=2)) if ops else []
        pick = st.sampled_from(values)
        with tf.control_dependencies(controls):
            kind = draw(st.integers(0, 6))
            if kind <= 2:
                made = [draw(pick) + draw(pick)]
            elif kind == 3:
                made = [tf.cast(note(draw(pick), draw(pick)), tf.int64)]
            elif kind == 4:
                made = split(draw(pick))
            elif kind == 5:
                made = [draw(st.sampled_from(variables)).assign(draw(pick))]
            else:
                made = [draw(st.sampled_from(variables)).assign_add(draw(pick))]
        values += made
        ops += [t.op for t in made]
    candidates = st.sampled_from([v for v in values[3:]] + ops)
    fetches = draw(st.lists(candidates, min_size=1, max_size=4))
    return [v._ref() if isinstance(v, tf.Variable) else v for v in fetches], x


def sources(flow):
    """A value for every source of a dataflow."""
    values = dict(flow.constants)
    numbers = [*flow.feeds.values(), *flow.pinned.values(), *flow.newest.values()]
    values.update({number: np.int64(at + 3) for at, number in enumerate(numbers)})
    return values


def run_node_by_node(flow, given=None):
    """All values of a dataflow, in the plainest way."""
    values = {**sources(flow), **(given or {})}
    for kernel, attrs, inputs, outputs in zip(flow.kernels, flow.attrs, flow.inputs, flow.outputs, strict=True):
        if kernel is not None:
            result = kernel(*[values[v] for v in inputs], **attrs)
            values.update(zip(outputs, result if len(outputs) != 1 else (result,), strict=True))
    return values


def run_by_segments(plan):
    """The values that cross between segments, by the segments' programs in the order of the plan."""
    values = sources(plan.flow)
    for segment in plan.segments:
        outputs = segment.program([values[v] for v in segment.inputs], [])
        values.update(zip(segment.outputs, outputs, strict=True))
    return values


def wanted(flow):
    """The values that a run is for."""
    return [v for v in [*flow.fetched, *flow.writes.values()] if v is not None]


QUIET = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@QUIET
@given(st.data())
def test_a_plan_of_any_places_keeps_its_invariants_and_gives_the_values_of_the_dataflow(data):
    """Every node in a place of its own, with costs that make some of them segments of their own."""
    with tf.Graph().as_default():
        fetches, x = grow(data.draw)
        flow = lower(fetches, [x])
        flow.check()
        places = [data.draw(st.sampled_from(PLACES)) for _ in flow.ops]
        costs = [data.draw(st.sampled_from([None, 0.0, 2 * WORTH_A_TASK])) for _ in flow.ops]
        plan = make_plan(flow, places, estimate_of(flow, costs))
        check_plan(plan)
        expected, got = run_node_by_node(flow), run_by_segments(plan)
        assert [got[v] for v in wanted(flow)] == [expected[v] for v in wanted(flow)]


@QUIET
@given(st.data())
def test_forced_places_are_planned_as_they_are(data):
    """The places that a session's `placement` forces."""
    with tf.Graph().as_default():
        fetches, x = grow(data.draw)
        flow = lower(fetches, [x])
        estimate = estimate_of(flow)
        for forced in ("caller", "actor", "task", "mixed"):
            places = place(flow, estimate, forced, set(), 4)
            if forced != "mixed":
                assert {p.value for p in places} <= {forced}
            check_plan(make_plan(flow, places, estimate))
        check_plan(make_plan(flow, place(flow, estimate, "auto", set(), 4), estimate))


# What segments there are


@pytest.fixture
def x(graph):
    """A placeholder."""
    return tf.placeholder(tf.int64, [], name="x")


def planned(fetches, fed, places=None, costs=None):
    """The checked plan of some fetches."""
    flow = lower(fetches, fed)
    settle_needs(flow, tf.ConfigProto())
    places = [Place.CALLER] * len(flow.ops) if places is None else places
    plan = make_plan(flow, places, estimate_of(flow, costs))
    check_plan(plan)
    return plan


def test_nodes_in_the_caller_form_one_segment(x):
    plan = planned([tf.square(x + 1), x - 5], [x])
    assert [segment.place for segment in plan.segments] == [Place.CALLER]
    assert plan.local
    assert plan.segments[0].waits == 0


def test_updates_wait_for_the_locks_and_what_does_not_need_them_runs_before(x):
    w = tf.Variable(np.int64(0))
    before = tf.square(x)
    update = w.assign_add(before)
    after = update * 2
    plan = planned([after], [x])
    assert [segment.locked for segment in plan.segments] == [False, True]
    free, locked = ([plan.flow.ops[n] for n in segment.nodes] for segment in plan.segments)
    assert free == [before.op]
    assert locked == [update.op, after.op]
    assert after_locks(plan.flow) == {1, 2}


def test_an_assignment_needs_no_lock_before_the_commit(x):
    w = tf.Variable(np.int64(0))
    plan = planned([w.assign(x + 1)], [x])
    assert [segment.locked for segment in plan.segments] == [False]


def test_a_path_that_leaves_a_place_comes_back_to_another_segment(x):
    a = x + 1
    b = a * 2
    c = b + a
    plan = planned([c], [x], [Place.CALLER, Place.TASK, Place.CALLER])
    assert [segment.nodes for segment in plan.segments] == [[0], [1], [2]]
    assert [segment.waits for segment in plan.segments] == [0, 1, 2]
    assert not plan.local


def test_long_independent_nodes_are_tasks_of_their_own_and_chains_are_one(x):
    branches = [tf.square(tf.square(x + i)) for i in range(1, 4)]
    flow = lower(branches, [x])
    count = len(flow.ops)
    plan = planned(branches, [x], [Place.TASK] * count, [10 * WORTH_A_TASK] * count)
    assert sorted(len(segment.nodes) for segment in plan.segments) == [3, 3, 3]
    assert {segment.waits for segment in plan.segments} == {0}


def test_many_small_nodes_of_tasks_are_few_segments(x):
    fetches = [x + i for i in range(1, 50)]
    flow = lower(fetches, [x])
    plan = planned(fetches, [x], [Place.TASK] * len(flow.ops), [1e-6] * len(flow.ops))
    assert all(segment.place is Place.TASK for segment in plan.segments)


def test_the_longest_way_to_the_end_comes_first(x):
    short, long = tf.square(x), tf.negative(x)
    end = tf.square(tf.square(long))
    both = short + end
    costs = [0.01, 0.01, 0.2, 0.2, 0.01]
    plan = planned([both], [x], [Place.TASK] * 5, costs)
    start = {plan.flow.ops[segment.nodes[0]]: segment for segment in plan.segments}
    assert start[long.op] < start[short.op]
    assert start[long.op].priority > start[short.op].priority


def test_a_value_is_dropped_after_as_many_segments_as_read_it(x):
    a = x + 1
    fetches = [a * 2, a * 3]
    plan = planned(fetches, [x], [Place.CALLER, Place.TASK, Place.TASK], [0, 1, 1])
    (value,) = plan.flow.outputs[0]
    assert plan.readers[value] == 2


def test_large_or_possibly_large_outputs_are_separate_return_values(graph):
    x = tf.placeholder(tf.float32, [])
    small = tf.fill([10], x)
    large = tf.fill([REMOTE_BYTES], x)
    unknown = note(x)
    flow = lower([small, large, unknown], [x])
    plan = planned([small, large, unknown], [x], [Place.TASK] * len(flow.ops))
    apart = {segment.outputs[i] for segment in plan.segments for i in segment.separate}
    assert flow.fetched[0] not in apart
    assert flow.fetched[1:] == sorted(apart)


def test_a_plan_knows_how_large_variables_are(graph):
    read, added = tf.Variable(tf.zeros([1000]), name="read"), tf.Variable(tf.zeros([500]), name="added")
    flow = lower([read + 1.0, added.assign_add(tf.ones([500]))], [])
    sizes = Estimate(flow, {}).bytes
    assert sizes[flow.pinned["read"]] == 4000
    assert sizes[flow.newest["added"]] == 2000


def test_a_node_with_needs_is_a_segment_with_these_needs(ray_session, graph):
    special = tf.op(num_cpus=2, timeout=3)(lambda: 1)()
    plan = planned([special], [], [Place.TASK])
    assert plan.segments[0].need == Need((("CPU", 2),), timeout=3)
    assert planned([tf.op(lambda: 1)()], [], [Place.TASK]).segments[0].need is None


def test_a_plan_of_nothing_has_no_segments(x):
    plan = planned([x], [x])
    assert plan.segments == []
    assert plan.local


def test_a_plan_of_a_long_chain_needs_no_recursion(x):
    y = x
    for _ in range(3000):
        y = y + 1
    places = [Place.CALLER if i % 100 else Place.TASK for i in range(3000)]
    plan = planned([y], [x], places)
    assert len(plan.segments) == 60


def test_check_plan_finds_what_is_wrong(x):
    def fresh():
        w = tf.Variable(np.int64(0))
        return planned([w.assign_add(tf.square(x)) * 2], [x])

    plan = fresh()
    plan.segments.reverse()
    with pytest.raises(AssertionError, match="reads what is not there yet"):
        check_plan(plan)
    plan = fresh()
    plan.segments[0].nodes.append(plan.segments[1].nodes[0])
    with pytest.raises(AssertionError, match="every node is in one segment"):
        check_plan(plan)
    plan = fresh()
    plan.segments[1].locked = False
    with pytest.raises(AssertionError, match="a free segment has a node that needs locks"):
        check_plan(plan)


# Places


def test_what_asks_for_a_worker_goes_to_one_wherever_the_rest_is_forced(ray_session, x):
    made = [tf.op(isolated=True)(lambda: 1)(), tf.op(num_cpus=1)(lambda: 1)(), tf.op(timeout=1)(lambda: 1)()]
    flow = lower([*made, x + 1], [x])
    settle_needs(flow, tf.ConfigProto())
    for forced in ("auto", "caller", "actor", "mixed"):
        places = place(flow, estimate_of(flow), forced, set(), 4)
        assert places[:3] == [Place.TASK] * 3
    assert place(flow, estimate_of(flow), "caller", set(), 4)[3] is Place.CALLER


def test_a_function_that_was_never_seen_is_tried_in_a_worker_and_a_cheap_one_runs_here(x):
    flow = lower([note(x), x + 1], [x])
    assert place(flow, estimate_of(flow), "auto", set(), 4) == [Place.TASK, Place.CALLER]
    assert place(flow, estimate_of(flow, [1e-6, 1e-6]), "auto", set(), 4) == [Place.CALLER] * 2


def test_long_nodes_become_tasks_only_where_something_can_run_beside_them(x):
    chain = lower([tf.square(tf.square(x))], [x])
    branches = lower([tf.square(x), tf.negative(x)], [x])
    long = [10 * WORTH_A_TASK] * 2
    assert place(chain, estimate_of(chain, long), "auto", set(), 4) == [Place.CALLER] * 2
    assert place(branches, estimate_of(branches, long), "auto", set(), 4) == [Place.TASK] * 2
    assert place(branches, estimate_of(branches, long), "auto", set(), 1) == [Place.CALLER] * 2


def test_a_write_goes_to_the_actor_when_its_old_value_lies_there(graph):
    w = tf.Variable(np.zeros([1000, 1000]))
    x = tf.placeholder(tf.float64, [1000, 1000])
    flow = lower([w.assign_add(x * 2).op], [x])
    assert [op.kind in WRITES for op in flow.ops] == [False, True]
    estimate = estimate_of(flow, [0, 0])
    assert place(flow, estimate, "auto", set(), 4) == [Place.CALLER] * 2
    assert place(flow, estimate, "auto", set(flow.newest.values()), 4) == [Place.CALLER, Place.ACTOR]
    assert place(flow, estimate, "auto", set(flow.feeds.values()), 4) == [Place.ACTOR] * 2


# Many slots


def test_each_node_goes_to_the_slot_that_is_free_first_or_to_one_that_has_its_inputs():
    rng = random.Random(3)
    costs = [rng.choice([1.0, 2.0, 5.0]) for _ in range(200)]
    before = [tuple(rng.sample(range(k), min(k, rng.randrange(3)))) for k in range(200)]
    after = [[n for n in range(200) if k in before[n]] for k in range(200)]
    foreseen = schedule(costs, before, ranks(costs, after), 20, 0.5)
    free = [0.0] * 20
    for node in foreseen.order:
        ends = {p: foreseen.start[p] + costs[p] for p in before[node]}

        def start(slot, ends=ends):
            return max([free[slot], *[end + 0.5 * (foreseen.slot[p] != slot) for p, end in ends.items()]])

        tried = {free.index(min(free)), *[foreseen.slot[p] for p in ends]}
        assert foreseen.start[node] == min(map(start, tried)) == start(foreseen.slot[node])
        free[foreseen.slot[node]] = foreseen.start[node] + costs[node]


# Plans for threads


@QUIET
@given(st.data())
def test_programs_of_any_schedule_exchange_their_values_and_none_waits_for_ever(data):
    """Random costs on one to three slots, control edges and updates included."""
    with tf.Graph().as_default():
        fetches, x = grow(data.draw)
        flow = lower(fetches, [x])
        costs = [data.draw(st.sampled_from([0.0, 1e-6, 1e-4, 1e-2])) for _ in flow.ops]
        slots = data.draw(st.integers(1, 3))
        before, after = flow.neighbours()
        hop = data.draw(st.sampled_from([0.0, 1e-5]))
        foreseen = schedule(costs, before, ranks(costs, after), slots, hop)
        plan = make_slot_plan(flow, foreseen, estimate_of(flow, costs), Place.THREAD)
        check_plan(plan)
        mirror = Mirror()
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            values = {name: session.run(name + ":0") for name in {*flow.pinned, *flow.newest}}
        mirror.put({mirror.cell(name): (value, 1) for name, value in values.items()})
        fed = {v: values[name] for name, v in [*flow.pinned.items(), *flow.newest.items()]}
        for compiled in (False, True):
            run = Run(flow, Cells(mirror, flow), None, None)
            run.begin([np.int64(3)])
            if compiled:
                for segment in plan.segments:
                    segment.program.compile()
            if plan.segments:
                run_in_threads(run, plan, measure=not compiled)
            got = run.fetched()
            run.end()
            expected = run_node_by_node(flow, {**fed, flow.feeds[x]: np.int64(3)})
            assert got == [None if v is None else expected[v] for v in flow.fetched]


def test_what_is_large_is_used_soon_after_it_was_made(graph):
    made = [tf.fill([2_000_000], tf.cast(tf.placeholder_with_default(float(k), []), tf.float64)) for k in range(8)]
    end = tf.add_n([tf.reduce_sum(tf.sqrt(x)) for x in made])
    plan = planned([end], [])
    names = [plan.flow.ops[node].type for segment in plan.segments for node in segment.nodes]
    fills = [at for at, name in enumerate(names) if name == "Fill"]
    sums = [at for at, name in enumerate(names) if name == "Sum"]
    assert all(fill < total for fill, total in zip(fills, sums, strict=True))
    assert all(total < fill for total, fill in zip(sums, fills[1:], strict=False))


@QUIET
@given(st.data())
def test_depth_first_order_keeps_every_dependency(data):
    with tf.Graph().as_default():
        fetches, x = grow(data.draw)
        flow = lower(fetches, [x])
        estimate = estimate_of(flow)
        estimate.bytes = [1e9] * len(estimate.bytes)
        nodes = list(range(len(flow.ops)))
        order = depth_first(flow, nodes, estimate)
        assert sorted(order) == nodes
        at = {node: i for i, node in enumerate(order)}
        for node, inputs in enumerate(flow.inputs):
            before = [flow.producer[v] for v in inputs if flow.producer[v] >= 0] + list(flow.after.get(node, ()))
            assert all(at[other] < at[node] for other in before)


def test_a_chain_is_scheduled_as_one(x):
    heads = [tf.square(x + k) for k in range(4)]
    tails = [tf.negative(tf.square(h)) for h in heads]
    flow = lower([tf.add_n(tails)], [x])
    costs = [1e-3] * len(flow.ops)
    found = Contracted.of(costs, *flow.neighbours(), [False] * len(flow.ops))
    assert sorted(map(len, found.chains)) == [1, 4, 4, 4, 4]
    foreseen = found.expanded(schedule(found.seconds, found.before, ranks(found.seconds, found.after), 2, 0.0), costs)
    assert foreseen.makespan == pytest.approx(9e-3)
    check_plan(make_slot_plan(flow, foreseen, estimate_of(flow, costs), Place.THREAD))


def test_where_no_machine_has_a_cpu_nothing_is_tried_in_a_task(x):
    """It would wait for ever; the caller is always there."""
    flow = lower([note(x)], [x])
    assert place(flow, estimate_of(flow), "auto", set(), 4) == [Place.TASK]
    assert place(flow, estimate_of(flow), "auto", set(), 0) == [Place.CALLER]
