"""What any run tells agrees with its graph, with what its functions saw, and with what is made of it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import weftwork as tf
from tests.scheduler.events.test_telling import is_first, pids_of, placed, where
from tests.scheduler.views.test_timeline import check_trace
from tests.tracing import CLOSE, check_order, check_run, of_kind, traced
from weftwork.scheduler.views.account import Account
from weftwork.scheduler.views.page import report
from weftwork.scheduler.views.timeline import timeline_of


def check_views(events):
    """The timeline shows each node once, in its lane. The account has each once, and shares that are the whole run."""
    nodes = of_kind(events, "node")
    ran = Counter([(event.ops[0].name, event.lane.pid, event.lane.thread or event.lane.place) for event in nodes])
    shown = [event for event in check_trace(timeline_of(events).to_json()) if event.get("cat") == "node"]
    assert (
        Counter([(e["name"], e["pid"], e["tid"] if e["ph"] == "X" else "loop") for e in shown if e["ph"] in "Xb"])
        == ran
    )
    account = Account(events)
    assert sum(account.shares.values()) == pytest.approx(account.seconds)
    assert Counter([op.name for piece in account.pieces for op in piece.ops]) == Counter([name for name, *_ in ran])
    assert account.chain <= account.seconds + CLOSE
    assert report([account])


@settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_events_agree_with_the_graph_for_any_graph_and_placement(data):
    placement = data.draw(st.sampled_from(["caller", "thread", "resident", "dynamic"]))
    with tf.Graph().as_default():
        nodes = []
        for number in range(data.draw(st.integers(1, 12))):
            inputs = data.draw(st.lists(st.sampled_from(nodes), max_size=3)) if nodes else []
            spends = data.draw(st.sampled_from([0.0, 0.0005, 0.003]))
            how = data.draw(st.sampled_from([{}, {}, {"limits": {"api": 1}}, None]))
            nodes.append(made(number, spends, how)(*inputs))
        with placed(placement, limits={"api": 1}) as session:
            for _ in range(3):
                values, events = traced(session, nodes)
                check_run(events)
                check_order(events)
                ran = {n.op.name: v for n, v in zip(nodes, values, strict=True)}
                seen = pids_of([event for event in events if event.lane.place != "loop"])
                assert seen == {name: ran[name] for name in seen}
                assert {event.ops[0].name for event in of_kind(events, "node")} == ran.keys()
                check_views(events)


def made(number, spends, how):
    """A function that says where it runs, with options; or one that waits outside all lanes."""

    async def wait(*_):
        await asyncio.sleep(spends)

    function = wait if how is None else lambda *_: where(spends)
    return tf.op(function, name=f"node_{number}", **(how or {}))


def test_each_of_several_kills_shows_as_lost_with_the_node_under_which_it_came(graph, tmp_path):
    mine = os.getpid()

    def dies_once(k):
        mark = tmp_path / f"{k}"
        if k % 4 == 0 and os.getpid() != mine and is_first(mark):
            mark.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.005)
        return k

    nodes = [tf.op(dies_once, name=f"mortal_{k}")(k) for k in range(12)]
    with placed("dynamic") as session:
        values, events = traced(session, nodes)
    assert values == list(range(12))
    check_run(events)
    check_views(events)
    killed = {nodes[int(mark.name)].op: int(mark.read_text()) for mark in tmp_path.iterdir()}
    lost, ran = of_kind(events, "lost"), {event.ops[0]: event for event in of_kind(events, "node")}
    assert len(killed) > 0
    assert {event.lane.pid for event in lost} == set(killed.values())
    for op, pid in killed.items():
        (event,) = [event for event in lost if event.lane.pid == pid]
        assert op in event.ops
        assert event.start <= ran[op].start
        assert ran[op].lane.pid != pid
        assert ran[op].attempt > 1 or op is not event.ops[0]  # of a lost batch, the first one counts as begun
