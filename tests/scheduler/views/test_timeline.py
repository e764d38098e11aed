"""Timelines: their JSON keeps the rules of the trace event format, and they show what the events say."""

from __future__ import annotations

import json
import os
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

import weftwork as tf
from tests.tracing import traced
from tests.waiting import until
from weftwork.scheduler.events.event import Event, Lane
from weftwork.scheduler.request.config import DeviceStepStats, NodeExecStats, StepStats
from weftwork.scheduler.views.account import Account
from weftwork.scheduler.views.timeline import timeline_of

NEEDED = {
    "X": {"dur", "args"},
    "M": {"args"},
    "b": {"id", "cat"},
    "e": {"id", "cat"},
    "s": {"id", "cat"},
    "f": {"id", "cat", "bp"},
    "i": {"s"},
    "C": {"args"},
}
"""For each kind of trace event, the fields that it must have besides name, process and thread."""
TRACED = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)


def check_trace(text: str) -> list[dict]:
    """The events of a trace, whose JSON keeps the format's rules."""
    trace = json.loads(text)
    events = trace["traceEvents"]
    for event in events:
        assert event["ph"] in NEEDED, event
        assert NEEDED[event["ph"]] <= set(event), event
        assert isinstance(event["name"], str)
        assert type(event["pid"]) is int
        assert type(event["tid"]) is int
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "process_sort_index", "thread_name")
        else:
            assert event["ts"] >= 0
            assert event.get("dur", 0) >= 0
    for first, last in (("s", "f"), ("b", "e")):
        begun = {event["id"]: event for event in events if event["ph"] == first}
        ended = {event["id"]: event for event in events if event["ph"] == last}
        assert begun.keys() == ended.keys()
        assert len(begun) == len([event for event in events if event["ph"] == first])
        assert all(begun[number]["ts"] <= ended[number]["ts"] for number in begun)
        assert all(begun[number]["name"] == ended[number]["name"] for number in begun)
    slices: dict[tuple, list[dict]] = {}
    for event in events:
        if event["ph"] == "X":
            slices.setdefault((event["pid"], event["tid"]), []).append(event)
    for event in events:  # an arrow begins and ends in a slice
        if event["ph"] in "sf":
            track = slices.get((event["pid"], event["tid"]), [])
            assert any(one["ts"] <= event["ts"] <= one["ts"] + one["dur"] for one in track), event
    for track in slices.values():
        check_nested(track)
    named = {(event["pid"], event["name"]) for event in events if event["ph"] == "M"}
    assert all((event["pid"], "process_name") in named for event in events)
    return events


def check_nested(track: list[dict]) -> None:
    """Slices of a track lie one after another, or inside each other: to the nanosecond, else viewers drop some."""
    open_: list[float] = []
    for one in track:
        while open_ and open_[-1] <= one["ts"] + 1e-3:
            open_.pop()
        end = one["ts"] + one["dur"]
        assert not open_ or end <= open_[-1] + 1e-3, one
        open_.append(end)


def called():
    time.sleep(0.003)
    return os.getpid()


@pytest.mark.parametrize("placement", ["thread", "resident", "dynamic", "task"])
def test_a_sessions_timeline_has_the_processes_that_worked_and_arrows_between_them(
    graph, ray_session, tmp_path, placement
):
    nodes = [tf.op(called, name=f"called_{k}")() for k in range(6)]
    last = tf.op(lambda *pids: sorted(set(pids)), name="last")(*nodes)
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        session.run(last)
        pids, events = traced(session, last)
        session.timeline(tmp_path / "run.json", run=events[0].run)
    shown = check_trace((tmp_path / "run.json").read_text())
    slices = [event for event in shown if event["ph"] == "X" and event["cat"] == "node"]
    assert Counter(event["name"] for event in slices) == Counter([*[n.op.name for n in nodes], "last"])
    assert {event["pid"] for event in slices if event["name"] != "last"} == set(pids)
    runs = [event for event in shown if event["ph"] == "X" and event["cat"] == "run"]
    assert [event["pid"] for event in runs] == [os.getpid()]
    arrows = {event["name"] for event in shown if event["ph"] == "s"}
    where = {event["name"]: (event["pid"], event["tid"]) for event in slices}
    crossing = {node.op.name for node in nodes if where[node.op.name] != where["last"]}
    assert crossing <= arrows
    assert "sent" in arrows
    processes = {event["pid"] for event in slices}  # threads of this process may have run all of it
    assert ("back" in arrows) is (processes != {os.getpid()})
    assert all(event["args"]["defined at"].count("test_timeline.py") for event in slices)
    account = Account(events)
    assert sum(account.shares.values()) == pytest.approx(account.seconds)
    assert sorted(op.name for piece in account.pieces for op in piece.ops) == sorted(
        [n.op.name for n in [*nodes, last]]
    )
    assert 0.003 <= account.shares["work"] < account.seconds
    assert 0.003 <= account.chain < account.seconds


def test_a_timeline_of_segments_is_there_though_nobody_listened(graph, tmp_path):
    nap = tf.op(lambda: time.sleep(0.003), name="nap")()
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        for _ in range(2):
            session.run(nap)
        session.timeline(str(tmp_path / "all.json"))
        with pytest.raises(tf.errors.NotFoundError):
            session.timeline(tmp_path / "no" / "folder.json")
    shown = check_trace((tmp_path / "all.json").read_text())
    assert [event["name"] for event in shown if event["ph"] == "X" and event["cat"] == "segment"] == ["nap", "nap"]


def test_a_wait_in_a_queue_lies_beside_the_lanes(graph, ray_session, tmp_path):
    queue = tf.FIFOQueue(10, [tf.int32], shapes=[[]])
    taken, put = queue.dequeue(), queue.enqueue(7)
    with tf.Session() as session:
        waits = session.submit(taken)
        until(session.waiting)
        time.sleep(0.02)
        session.run(put)
        assert waits.result() == 7
        session.timeline(tmp_path / "queue.json")
    shown = check_trace((tmp_path / "queue.json").read_text())
    assert taken.op.name in [event["name"] for event in shown if event["ph"] == "b"]


def test_processes_of_two_machines_with_one_number_are_two():
    lanes = [Lane("task", machine, 7, 7) for machine in ("10.0.0.1", "10.0.0.2")]
    node = tf.Graph().as_default()
    with node as graph:
        op = tf.constant(1.0).op
    assert graph is op.graph
    shown = check_trace(timeline_of([Event("segment", 1, 10.0, 1.0, lane, (op,)) for lane in lanes]).to_json())
    assert len({event["pid"] for event in shown if event["ph"] == "X"}) == 2
    names = [event["args"]["name"] for event in shown if event["name"] == "process_name"]
    assert names == ["task on 10.0.0.1", "task on 10.0.0.2"]


@given(st.lists(st.tuples(st.floats(0, 20e-6), st.floats(0, 200e-6)), min_size=1, max_size=30))
def test_slices_that_overlap_by_little_are_cut_so_that_viewers_show_them(spans):
    """Clocks of two processes differ by some microseconds; times since the epoch are exact to a quarter of one."""
    with tf.Graph().as_default():
        op = tf.constant(1.0).op
    lane, now, events = Lane("resident", "", 7, 7), 1.8e9, []
    for early, seconds in spans:
        events += [
            Event("segment", 1, now - early, seconds, lane, (op, op)),
            Event("node", 1, now, seconds, lane, (op,)),
        ]
        now += seconds
    shown = [event for event in check_trace(timeline_of(events).to_json()) if event["ph"] == "X"]
    assert len(shown) == len(events)
    by_start = sorted(events, key=lambda event: (event.start, -event.seconds))
    assert all(one["dur"] >= 1e6 * (event.seconds - 40e-6) for one, event in zip(shown, by_start, strict=True))


# TensorFlow 1's


def test_a_traced_runs_stats_become_a_timeline_as_in_tensorflow(graph):
    x = tf.placeholder(tf.float32, [100], name="x")
    total = tf.reduce_sum(tf.multiply(x, x, name="m"), name="s")
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        metadata = tf.RunMetadata()
        session.run(total, {x: [1.0] * 100}, TRACED, metadata)
    (device,) = metadata.step_stats.dev_stats
    (first, last) = device.node_stats
    assert (first.timeline_label, last.timeline_label) == ("m = Mul(x, x)", "s = Sum(m)")
    assert first.scheduled_micros > 1e15
    assert dict(device.thread_names) == {first.thread_id: "caller"}
    timeline = tf.timeline.Timeline(metadata.step_stats)
    shown = check_trace(timeline.generate_chrome_trace_format())
    slices = {event["args"]["name"]: event for event in shown if event["ph"] == "X"}
    assert set(slices) == {"m", "s"}
    assert slices["s"]["args"]["input0"] == "m"
    assert slices["m"]["name"] == "Mul"
    assert slices["m"]["tid"] == first.thread_id
    assert not [event for event in shown if event["ph"] in "sf"]  # nothing crosses
    with_memory = check_trace(timeline.generate_chrome_trace_format(show_memory=True))
    assert max(event["args"]["bytes"] for event in with_memory if event["ph"] == "C") == 404
    analysis = timeline.analyze_step_stats()
    assert analysis.allocator_maximums["cpu"].num_bytes == 404
    assert analysis.allocator_maximums["cpu"].tensors == {"m", "s"}


def test_arrows_show_what_crosses_from_lane_to_lane(graph):
    nodes = [tf.op(called, name=f"called_{k}")() for k in range(6)]
    last = tf.op(lambda *pids: len(pids), name="last")(*nodes)
    with tf.Session(config=tf.ConfigProto(placement="thread")) as session:
        metadata = tf.RunMetadata()
        session.run(last, options=TRACED, run_metadata=metadata)
    timeline = tf.timeline.Timeline(metadata.step_stats)
    shown = check_trace(timeline.generate_chrome_trace_format())
    lane = {event["args"]["name"]: event["tid"] for event in shown if event["ph"] == "X"}
    crossing = {node.op.name for node in nodes if lane[node.op.name] != lane["last"]}
    assert crossing
    assert {event["name"] for event in shown if event["ph"] == "s"} == crossing
    plain = check_trace(timeline.generate_chrome_trace_format(show_dataflow=False))
    assert not [event for event in plain if event["ph"] in "sf"]


def test_overlapping_nodes_of_one_thread_get_lanes_of_their_own():
    stats = StepStats()
    device = stats.dev_stats.add(device="/device:CPU:0")
    for name, start, took in (("a", 100, 50), ("b", 120, 50), ("c", 155, 5)):
        device.node_stats.append(
            NodeExecStats(
                node_name=name,
                all_start_micros=start,
                op_end_rel_micros=took,
                all_end_rel_micros=took,
                timeline_label=f"{name} = Add()",
                thread_id=3,
            )
        )
    assert isinstance(device, DeviceStepStats)
    shown = check_trace(tf.timeline.Timeline(stats).generate_chrome_trace_format())
    lane = {event["args"]["name"]: event["tid"] for event in shown if event["ph"] == "X"}
    assert lane["a"] == lane["c"] == 3
    assert lane["b"] != 3


def test_a_label_of_another_form_is_shown_by_the_nodes_name():
    stats = StepStats()
    device = stats.dev_stats.add(device="/device:GPU:0")
    device.node_stats.append(NodeExecStats(node_name="edge", all_start_micros=1, all_end_rel_micros=1))
    shown = check_trace(tf.timeline.Timeline(stats).generate_chrome_trace_format())
    assert [event["name"] for event in shown if event["ph"] == "X"] == ["edge"]


def test_tensorboard_reads_a_runs_metadata(graph, tmp_path):
    pytest.importorskip("tensorboard", reason="event files need it")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    x = tf.placeholder(tf.float32, [], name="x")
    y = tf.add(x, 1.0, name="y")
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        metadata = tf.RunMetadata()
        session.run(y, {x: 1.0}, TRACED, metadata)
    with tf.summary.FileWriter(str(tmp_path), graph) as writer:
        writer.add_run_metadata(metadata, "first", 1)
        with pytest.raises(ValueError, match="already used"):
            writer.add_run_metadata(metadata, "first", 2)
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    (device,) = read.RunMetadata("first").step_stats.dev_stats
    assert [node.node_name for node in device.node_stats] == ["y"]
    assert dict(device.thread_names) == {device.node_stats[0].thread_id: "caller"}
