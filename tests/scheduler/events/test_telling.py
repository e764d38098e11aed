"""What runs tell while they go on: of each way to run, what really happened, where, and when."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from functools import partial

import numpy as np
import pytest

import weftwork as tf
from tests.scheduler.views.test_timeline import check_trace
from tests.tracing import CLOSE, check_order, check_run, lanes, of_kind, traced
from tests.waiting import LONG, until
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.policy import GIL_HOLDS
from weftwork.scheduler.sharing.local_workers import local_workers
from weftwork.scheduler.views.timeline import timeline_of


def placed(placement, **options):
    return tf.Session(config=tf.ConfigProto(placement=placement, **options))


def where(seconds=0.0):
    """The process and the thread that a function is called in."""
    if seconds:
        time.sleep(seconds)
    return os.getpid(), threading.get_native_id()


def is_first(mark):
    """True for the first who asks, in any process."""
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def pids_of(events):
    return {event.ops[0].name: (event.lane.pid, event.lane.thread) for event in of_kind(events, "node")}


# Which way a run goes


@pytest.mark.parametrize("placement", ["caller", "thread", "resident", "dynamic", "task", "actor", "mixed"])
def test_a_nodes_lane_is_the_process_and_the_thread_that_it_was_really_called_in(graph, ray_session, placement):
    nodes = [tf.op(where, name=f"where_{k}")(0.002) for k in range(8)]
    last = tf.op(lambda *all_: where(), name="last")(*nodes)
    with placed(placement) as session:
        session.run([*nodes, last])
        for _ in range(2):
            values, events = traced(session, [*nodes, last])
            check_run(events)
            check_order(events)
            assert pids_of(events) == {node.op.name: value for node, value in zip([*nodes, last], values, strict=True)}
    places = {event.lane.place for event in of_kind(events, "segment")}
    known = {
        "thread": {"caller", "thread"},
        "resident": {"caller", "resident"},
        "dynamic": {"caller", "resident", "thread"},
    }
    assert places <= known.get(placement, {"caller", "actor", "task"})
    assert placement == "caller" or places - {"caller"}


def test_work_that_left_the_caller_tells_when_and_how_it_came_back(graph, ray_session):
    work = partial(sum, range(200_000))
    function = tf.op(lambda k: np.ones(200_000) * k * (work() > 0), name="large")
    large, other = [
        function(tf.placeholder_with_default(k, []), name=name) for k, name in ((2.0, "large"), (3.0, "other"))
    ]
    for _ in range(GIL_HOLDS):
        HISTORY.tell_gil(function.kernel, True)  # else threads might take it
    assert local_workers().borrow(2, LONG)  # else the caller might begin without them
    local_workers().give_back()
    for placement in ("task", "dynamic"):
        with placed(placement) as session:
            session.run([large, other])
            _, events = traced(session, [large, other])  # the caller itself would run one alone
        (segment,) = [event for event in of_kind(events, "segment") if event.ops[0].name == "large"]
        assert 0 < segment.ready <= segment.sent < segment.start <= segment.end < segment.back
        assert segment.bytes_out >= 1_600_000
        assert segment.packing > 0
        assert segment.attempt == 1


def test_a_traced_run_is_the_run_that_would_have_been_run(graph):
    """Once a way is chosen, a run that tells of its nodes goes it, too."""
    nodes = [tf.op(where, name=f"where_{k}")(0.004) for k in range(8)]
    with tf.Session() as session:
        for _ in range(12):
            plain = session.run(nodes)
        metadata = tf.RunMetadata()
        values = session.run(nodes, options=tf.RunOptions(trace_level=3), run_metadata=metadata)
        told = {n.node_name: n.thread_id for d in metadata.step_stats.dev_stats for n in d.node_stats}
        assert told == {node.op.name: value[1] for node, value in zip(nodes, values, strict=True)}
        before = [session.run(nodes) for _ in range(2)]
    assert {len({pid for pid, _ in run}) > 1 for run in (plain, values)} == {len({pid for pid, _ in before[0]}) > 1}


def test_nodes_that_ran_beside_others_in_threads_teach_nothing(graph):
    function = tf.op(lambda: time.sleep(0.002), name="naps")
    nodes = [function() for _ in range(9)]
    with placed("thread") as session:
        for _ in range(3):
            session.run(nodes)
        kernel = nodes[0].op.kernel
        record = COSTS.find(kernel, 0)
        known = None if record is None else record.calls
        _, events = traced(session, nodes)
        assert len(of_kind(events, "node")) == 9
        record = COSTS.find(kernel, 0)
        assert (None if record is None else record.calls) == known


def test_a_large_graph_that_runs_once_tells_of_its_nodes(graph):
    """It has no plan: its nodes are called one after another."""
    x = value = tf.placeholder(tf.float32, [])
    for _ in range(60):
        value = tf.add(value, 1.0)
    with tf.Session() as session:
        result, events = traced(session, value, {x: 0.0})
        assert result == 60.0
        check_run(events)
        check_order(events)
        assert len(of_kind(events, "node")) == 60
        (planned,) = of_kind(events, "planned")
        assert planned.plan is None
        assert len(planned.ops) == 60
        metadata = tf.RunMetadata()
        options = tf.RunOptions(trace_level=3, output_partition_graphs=True)
        session.run(value, {x: 0.0}, options, metadata)
        costed = tf.ConfigProto(graph_options=tf.GraphOptions(build_cost_model=1))
        with tf.Session(config=costed) as other:
            other.run(value, {x: 0.0}, run_metadata=(costs := tf.RunMetadata()))
    assert len(costs.cost_graph.node) == 60
    assert all(node.output_info[0].size == 4 for node in costs.cost_graph.node)
    assert [node.is_final for node in costs.cost_graph.node] == [False] * 59 + [True]
    assert sum(len(device.node_stats) for device in metadata.step_stats.dev_stats) == 60
    assert len([node for node in metadata.partition_graphs[0].node if node.op == "Add"]) == 60


def test_a_first_run_that_is_shared_out_tells_of_all_its_parts(graph):
    nodes = [tf.op(where, name=f"part_{k}")(0.01 + k * 1e-5) for k in range(30)]
    with tf.Session() as session:
        values, events = traced(session, nodes)
    check_run(events)
    assert pids_of(events) == {node.op.name: value for node, value in zip(nodes, values, strict=True)}


def test_branches_and_loops_that_run_by_themselves_tell_as_parts_of_the_run(graph):
    @tf.op(dtype=tf.float64, shape=[])
    def slow(x):
        time.sleep(0.01)
        return x + 1

    x = tf.placeholder(tf.float64, [])
    both = tf.while_loop(lambda k, t: k < 3, lambda k, t: (k + 1, slow(t) + slow(t * 2)), [tf.constant(0), x])[1]
    with tf.Session() as session:
        for _ in range(3):
            session.run(both, {x: 1.0})
        _, events = traced(session, both, {x: 1.0})
    assert len({event.run for event in events}) == 1
    for slices in lanes(events, "node").values():
        assert all(one.end <= other.start + 1e-4 for one, other in zip(slices, slices[1:], strict=False))


# What is rare


@pytest.mark.parametrize("placement", ["dynamic", "task"])
def test_a_killed_worker_shows_as_lost_and_its_node_runs_again(graph, ray_session, tmp_path, placement, caplog):
    mine, mark = os.getpid(), tmp_path / "died"

    def dies_once():
        if os.getpid() != mine and is_first(mark):
            os.kill(os.getpid(), signal.SIGKILL)
        return where()

    node = tf.op(dies_once, isolated=placement == "task")()
    with placed(placement) as session, caplog.at_level(logging.INFO, "weftwork"):
        value, events = traced(session, node)
    assert mark.exists()
    check_run(events)
    assert [record for record in caplog.records if "dies_once" in record.getMessage()]
    (lost,) = of_kind(events, "lost")
    assert lost.ops == (node.op,)
    assert lost.text
    (ran,) = of_kind(events, "node")
    assert (ran.lane.pid, ran.lane.thread) == value
    assert ran.attempt == 2
    assert lost.lane.pid != ran.lane.pid
    check_trace(timeline_of(events).to_json())


@pytest.mark.parametrize("placement", ["caller", "thread", "resident", "dynamic", "task", "auto"])
def test_a_call_that_is_made_again_is_told_with_its_node(graph, ray_session, tmp_path, placement):
    """Also once its program is compiled; "auto" begins without a plan."""

    def fails_once(k, run):
        mark = tmp_path / f"{run}-{k}"
        if k == 3 and not mark.exists():
            mark.touch()
            raise ValueError("not yet")
        return k

    run = tf.placeholder(tf.int32, [])
    nodes = [tf.op(fails_once, name=f"try_{k}", retries=2)(k, run) for k in range(22)]
    with placed(placement) as session:
        for number in range(4):
            heard = []
            with session.listen(heard.append):
                assert session.run(nodes, {run: number}) == list(range(22))
            (retried,) = of_kind(heard, "retried")
            assert retried.ops == (nodes[3].op,)
            assert retried.attempt == 2
            assert retried.text == "ValueError: not yet"


def test_a_killed_resident_shows_and_the_run_begins_again(graph, tmp_path):
    mine, mark = os.getpid(), tmp_path / "died"

    def dies_once(k):
        if os.getpid() != mine and is_first(mark):
            os.kill(os.getpid(), signal.SIGKILL)
        return k

    nodes = [tf.op(dies_once, name=f"mortal_{k}")(k) for k in range(9)]
    with placed("resident") as session:
        values, events = traced(session, nodes)
    assert values == list(range(9))
    assert mark.exists()
    lost, repaired = of_kind(events, "lost")[0], of_kind(events, "repaired")[0]  # on a slow machine, others follow
    assert lost.lane.place == "resident"
    assert lost.lane.pid not in (0, mine)
    assert lost.start <= repaired.start
    assert "begins again" in repaired.text
    assert [event.kind for event in events].count("ended") == 1


def test_a_function_that_other_processes_cannot_run_stays_and_says_why(graph):
    node = tf.op(lambda: threading.Lock(), name="makes_a_lock")()
    with placed("dynamic") as session:
        value, events = traced(session, node)
    assert not value.locked()
    (stayed,) = of_kind(events, "stayed")
    assert stayed.ops == (node.op,)
    assert "lock" in stayed.text


def test_large_values_that_go_to_disk_are_told(graph, ray_session):
    @tf.op(isolated=True)
    def large(k):
        return np.full(4_000_000, k, np.float64)

    @tf.op(isolated=True)
    def first_of(x):
        return float(x[0])

    parts = [large(float(k)) for k in range(6)]  # 192 MB, and the store has 150
    with tf.control_dependencies([part.op for part in parts]):
        firsts = [first_of(part) for part in parts]
    with tf.Session(config=tf.ConfigProto(memory_budget=1 << 40)) as session:
        assert session.run(firsts) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
        (spilled,) = of_kind(session.events(), "spilled")
    assert spilled.bytes_out >= 32_000_000


def test_a_wait_in_a_queue_is_told_and_takes_no_lane(graph, ray_session):
    queue = tf.FIFOQueue(10, [tf.int32], shapes=[[]])
    taken, put = queue.dequeue(), queue.enqueue(7)
    with tf.Session() as session:
        heard = []
        with session.listen(heard.append):
            waits = session.submit(taken)
            until(session.waiting)
            time.sleep(0.05)
            session.run(put)
            assert waits.result() == 7
    (wait,) = [e for e in heard if e.kind == "segment" and e.lane.place == "queue" and e.ops[0] is taken.op]
    assert wait.seconds >= 0.04
    assert {e.run: e.ops for e in heard if e.kind == "began"}[wait.run] == (taken.op,), "the run of the wait"


def test_a_wait_for_a_variable_and_its_commit_are_told(graph):
    v = tf.Variable(0.0, name="v")
    began, go_on = threading.Event(), threading.Event()
    first = v.assign_add(1.0)
    with tf.control_dependencies([first]):
        long = tf.op(lambda: began.set() or go_on.wait(LONG), here=True)()
    with placed("caller") as session:
        session.run(v.initializer)
        heard = []
        with session.listen(heard.append):
            running = session.submit([first, long])
            assert began.wait(LONG)
            later = session.submit(first)
            until(lambda: session._engine.mirror.cell("v").freed)  # it waits
            time.sleep(0.02)
            go_on.set()
            running.result()
            later.result()
    (locked,) = of_kind(heard, "locked")
    assert locked.text == "v"
    assert 0.01 < locked.seconds < LONG
    assert [event.text for event in of_kind(heard, "committed")] == ["v", "v"]
    waiter = locked.run
    assert [e.kind for e in heard if e.run == waiter][-2:] == ["committed", "ended"]


def test_a_run_that_fails_says_so_at_its_end_also_when_nobody_listens(graph):
    bad = tf.op(lambda: 1 / 0, name="bad")()
    with placed("caller") as session:
        with pytest.raises(tf.errors.OpError):
            session.run(bad)
        began, *_, ended = session.events()
    assert (began.kind, ended.kind) == ("began", "ended")
    assert "ZeroDivisionError" in ended.text


# Who listens


@pytest.mark.parametrize("placement", ["resident", "dynamic", "thread"])
def test_a_call_that_waits_beside_a_plan_is_told_once(graph, placement):
    async def wait():
        return 1

    nodes = [tf.op(where, name="work")(0.002), tf.op(wait)(), tf.op(limits={"api": 1})(lambda: 2)()]
    with placed(placement, limits={"api": 1}) as session:
        for _ in range(2):
            events = traced(session, nodes)[1]
            check_run(events)
            assert sorted(event.ops[0].name for event in of_kind(events, "node")) == sorted(n.op.name for n in nodes)
        assert sum(session.stats().nodes.values()) == 2 * len(nodes)


@pytest.mark.parametrize("placement", ["caller", "thread", "dynamic"])
def test_what_computes_nothing_is_not_told(graph, tmp_path, placement):
    nodes = [tf.op(where, name=f"where_{k}")(0.002) for k in range(4)]
    variable = tf.Variable(np.zeros(2), name="variable")
    saver = tf.train.Saver()
    heard = []
    with placed(placement) as session:
        session.run(variable.initializer)
        path = saver.save(session, f"{tmp_path}/values")
        with session.listen(heard.append, nodes=True):
            assert len(list(session.stream(nodes))) == 4
            streamed, _ = heard.copy(), heard.clear()
            saver.restore(session, path)
    for events in (streamed, heard):  # the stream passes on each value, and a group restores all variables
        check_run(events)
        planned = of_kind(events, "planned")[0].ops
        assert set(planned) == {event.ops[0] for event in of_kind(events, "node")}
    assert sorted(event.ops[0].name for event in of_kind(streamed, "node")) == [n.op.name for n in nodes]


def test_what_takes_more_than_a_millisecond_is_kept_though_nobody_listens(graph):
    seconds = tf.placeholder(tf.float32, [], name="seconds")
    short = tf.add(seconds, 1.0, name="short")
    nap = tf.op(lambda s: time.sleep(float(s)), name="nap")(seconds)
    with placed("caller") as session:
        for _ in range(20):
            session.run([short, nap], {seconds: 0.0})
        before = session.events()
        assert all(event.seconds >= 0.001 for event in (*of_kind(before, "segment"), *of_kind(before, "ended")))
        session.run([short, nap], {seconds: 0.01})
        kept = session.events()[len(before) :]
    assert [event.kind for event in kept] == ["began", "segment", "ended"]
    assert kept[1].seconds >= 0.01
    assert {op.name for op in kept[1].ops} == {"short", "nap"}
    assert kept[0].text == "short:0, nap:0"


def test_events_of_one_run_are_found_by_its_number(graph):
    nap = tf.op(lambda: time.sleep(0.002), name="nap")()
    with placed("caller") as session:
        for _ in range(3):
            session.run(nap)
        runs = list(dict.fromkeys([event.run for event in session.events()]))
        assert len(runs) == 3
        assert {event.run for event in session.events(runs[1])} == {runs[1]}


def test_a_listener_that_raises_does_not_hurt_the_run(graph, caplog):
    y = tf.op(lambda: 2.0)()
    heard = []

    def fails(event):
        raise RuntimeError("no")

    with placed("caller") as session, caplog.at_level(logging.ERROR, "weftwork"):
        with session.listen(fails, nodes=True), session.listen(heard.append):
            assert [session.run(y) for _ in range(3)] == [2.0, 2.0, 2.0]
    assert len([record for record in caplog.records if "failed and was removed" in record.message]) == 1
    assert len(of_kind(heard, "ended")) == 3


def test_a_listener_may_run_something_itself(graph):
    y, other = tf.op(lambda: 2.0)(), tf.op(lambda: 3.0)()
    seen = []

    def listener(event):
        if len(seen) < 4:
            seen.append(event.kind)
            seen.append(session.run(other))

    with placed("caller") as session:
        with session.listen(listener):
            assert session.run(y) == 2.0
        with pytest.raises(tf.errors.OpError), session.listen(listener):
            session.run(tf.op(lambda: 1 / 0)())
    assert 3.0 in seen


def test_a_listener_to_all_sessions_hears_this_one(graph):
    y = tf.op(lambda: 2.0)()
    heard = []
    with placed("caller") as session:
        with tf.listen(heard.append):
            session.run(y)
        session.run(y)
    assert [event.kind for event in heard] == ["began", "compiled", "planned", "segment", "ended"]
    with pytest.raises(TypeError, match="must be callable"):
        tf.listen("no function")


def test_a_run_in_which_nothing_runs_has_a_begin_and_an_end(graph):
    with placed("caller") as session:
        _, events = traced(session, tf.constant(1.0))
    assert [event.kind for event in events] == ["began", "compiled", "ended"]


def test_a_plan_says_which_way_was_chosen_and_why(graph):
    nodes = [tf.op(where, name=f"where_{k}")(0.003) for k in range(6)]
    with tf.Session() as session:
        for _ in range(3):
            _, events = traced(session, nodes)
    (planned,) = of_kind(events, "planned")
    assert planned.plan.flow.ops
    assert set(planned.ops) == {node.op for node in nodes}
    assert "ways" in planned.text or "nothing else" in planned.text


def test_a_shared_session_hears_of_its_own_runs_with_its_own_operations(ray_session, tmp_path):
    def made():
        graph = tf.Graph()
        with graph.as_default():
            node = tf.op(where, name="node")(0.002)
        return graph, node, tf.Session(graph=graph, config=tf.ConfigProto(name="events of a shared session"))

    (graph, node, one), (_, other_node, two) = made(), made()
    told = str(tmp_path / "told")
    with one, two:
        before = time.time()
        value, events = traced(one, node)
        after = time.time()
        quiet, early = [], []
        with one.listen(quiet.append):
            two.run(other_node)
        assert quiet == []
        with graph.as_default():
            long = tf.op(lambda: until(lambda: os.path.exists(told)))()
        with one.listen(early.append):
            running = one.submit(long)
            until(lambda: early)  # the host tells while the run goes on
            assert not running.done()
            open(told, "w").close()
            running.result()
        kinds = [event.kind for event in early if event.kind != "started"]  # which is told if loading takes long
        assert kinds == ["began", "planned", "segment", "ended"]
        check_run(events)
        (ran,) = of_kind(events, "node")
        assert ran.ops == (node.op,)
        assert (ran.lane.pid, ran.lane.thread) == value
        assert ran.lane.pid != os.getpid()
        assert before - CLOSE <= events[0].start == events[-1].start, "it begins when this session asks"
        assert min([event.start for event in of_kind(events, "planned")]) < events[-1].end <= after + CLOSE
        bad = tf.op(lambda: 1 / 0, name="bad")
        with graph.as_default():
            failing = bad()
        with pytest.raises(tf.errors.OpError):
            one.run(failing)
        assert "ZeroDivisionError" in one.events()[-1].text
