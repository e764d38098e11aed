"""Perfetto reads our timelines, by its own program, and finds what we have put in.

Beside that `test_timeline.check_trace` checks each trace of the tests by the rules of the format, without a browser.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter

import pytest

import weftwork as tf
from tests.perfetto import MISSING, Perfetto
from tests.tracing import of_kind, traced
from weftwork.scheduler.views.timeline import timeline_of

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
TRACKS = "thread_track on track_id = thread_track.id join thread using (utid) join process using (upid)"
SLICES = f"select slice.name, pid, tid from slice join {TRACKS}"


@pytest.fixture(scope="module")
def perfetto():
    perfetto = Perfetto()
    yield perfetto
    perfetto.close()


def called(*_):
    time.sleep(0.002)
    return os.getpid()


def test_a_timeline_is_read_whole_and_without_a_complaint(perfetto, graph):
    nodes = [tf.op(called, name=f"called_{k}")() for k in range(12)]
    last = tf.op(called, name="last")(*nodes, tf.while_loop(lambda k: k < 3, lambda k: k + 1, [tf.constant(0)]))
    with tf.Session(config=tf.ConfigProto(placement="dynamic")) as session:
        _, events = traced(session, last)
    text = timeline_of(events).to_json()
    perfetto.read(text)
    assert perfetto.complaints() == []
    written = json.loads(text)["traceEvents"]
    slices = [(event["name"], event["pid"], event["tid"]) for event in written if event["ph"] == "X"]
    assert Counter(map(tuple, perfetto.rows(SLICES))) == Counter(slices)
    ran = {(event.ops[0].name, event.lane.pid, event.lane.thread) for event in of_kind(events, "node")}
    assert ran <= set(slices)
    assert perfetto.rows("select count(*) from flow") == [[len([event for event in written if event["ph"] == "s"])]]
    names = dict(perfetto.rows("select pid, name from process where pid > 0"))
    assert names.pop(os.getpid()) == "program"
    assert set(names.values()) == {"local worker"}


def test_a_timeline_of_tensorflows_is_read_without_a_complaint(perfetto, graph):
    x = tf.placeholder(tf.float32, [100], name="x")
    total = tf.reduce_sum(tf.multiply(x, x, name="m"), name="s")
    with tf.Session() as session:
        metadata = tf.RunMetadata()
        session.run(total, {x: [1.0] * 100}, tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), metadata)
    perfetto.read(tf.timeline.Timeline(metadata.step_stats).generate_chrome_trace_format(show_memory=True))
    assert perfetto.complaints() == []
    assert [name for name, *_ in perfetto.rows(f"{SLICES} order by ts")] == ["Mul", "Sum"]
    assert perfetto.rows("select max(value) from counter") == [[404.0]]


def test_it_does_complain_of_a_trace_that_breaks_the_rules(perfetto):
    both = [{"ph": "X", "name": name, "pid": 1, "tid": 1, "ts": at, "dur": 10} for name, at in (("a", 1), ("b", 6))]
    perfetto.read(json.dumps({"traceEvents": both}))
    assert perfetto.complaints() != []
