"""Dispatch: what a first run shares out, which work goes first when memory is short, and what is far behind."""

from __future__ import annotations

import logging
import os
import re
import time

import numpy as np
import pytest

import weftwork as tf
from tests.tracing import check_order, check_run, of_kind, traced
from tests.waiting import until
from weftwork.scheduler.compile.lowering import lower
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.placement import Estimate, Place
from weftwork.scheduler.plan.plan import make_plan
from weftwork.scheduler.segments.budget import Budget

MIB = 1024 * 1024


@tf.op(dtype=tf.float64, shape=[MIB // 8], num_cpus=1)
def chunk(k):
    """One MiB."""
    return np.full(MIB // 8, float(k))


@tf.op(num_cpus=1)
def total(x):
    """A small value of a large one."""
    return float(x.sum())


@tf.op(num_cpus=1)
def top(x):
    """Another one."""
    return float(x.max())


def chunks(count):
    """A plan in which each of `count` large values is read twice, all as tasks; and the fetches."""
    made = [chunk(k) for k in range(count)]
    fetches = [f(x) for x in made for f in (total, top)]
    flow = lower(fetches, [])
    plan = make_plan(flow, [Place.TASK] * len(flow.ops), Estimate(flow, {}))
    return plan, {flow.ops[s.nodes[0]]: s for s in plan.segments}, made, fetches


def test_within_the_budget_work_is_taken_in_the_order_of_the_heap(graph):
    plan, segment, made, _ = chunks(3)
    budget = Budget(plan, 100 * MIB)
    ready = sorted(segment[x.op] for x in made)
    first = ready[0]
    assert budget.choose(ready, plan.readers, idle=False) is first
    assert len(ready) == 2


def test_over_the_budget_only_work_that_frees_memory_is_taken(graph):
    plan, segment, made, fetches = chunks(3)
    readers = dict(plan.readers)
    budget = Budget(plan, 2 * MIB)
    for x in made[:2]:
        budget.made(segment[x.op].outputs[0], MIB)
    ready = [segment[made[2].op]]
    assert budget.choose(ready, readers, idle=False) is None
    assert ready == [segment[made[2].op]]
    readers[segment[made[0].op].outputs[0]] = 1  # one of its two readers is done
    last = segment[fetches[1].op]
    ready = sorted([segment[made[2].op], last])
    assert budget.choose(ready, readers, idle=False) is last


def test_when_nothing_is_on_its_way_something_is_taken_all_the_same(graph):
    plan, segment, made, _ = chunks(2)
    budget = Budget(plan, 1)
    ready = [segment[x.op] for x in made]
    assert budget.choose(ready, plan.readers, idle=True) in {segment[x.op] for x in made}


def test_values_in_flight_count_as_if_they_existed(graph):
    plan, segment, made, _ = chunks(3)
    budget = Budget(plan, 2 * MIB)
    for x in made[:2]:
        budget.started(segment[x.op])
    assert budget.choose([segment[made[2].op]], plan.readers, idle=False) is None
    budget.ended(segment[made[0].op])
    assert budget.choose([segment[made[2].op]], plan.readers, idle=False) is segment[made[2].op]


def test_what_is_dropped_makes_room(graph):
    plan, segment, made, _ = chunks(2)
    budget = Budget(plan, MIB)
    budget.made(segment[made[0].op].outputs[0], MIB)
    assert budget.choose([segment[made[1].op]], plan.readers, idle=False) is None
    budget.dropped(segment[made[0].op].outputs[0])
    assert budget.choose([segment[made[1].op]], plan.readers, idle=False) is segment[made[1].op]


def test_a_run_under_a_small_budget_gives_the_same(ray_session, graph):
    _, _, _, fetches = chunks(12)
    with tf.Session(config=tf.ConfigProto(memory_budget=3 * MIB)) as session:
        expected = [k * MIB / 8 if i == 0 else float(k) for k in range(12) for i in range(2)]
        for _ in range(2):
            assert session.run(fetches) == expected


# First runs


def test_a_first_run_that_turns_out_heavy_is_shared_out(ray_session, graph):
    def nap(k):
        time.sleep(0.003)
        return k

    asleep = tf.op(nap)
    with tf.Session() as session:
        assert session.run([asleep(k) for k in range(160)]) == list(range(160))
        ran = session.placements
        assert sum(ran.get(place, (0, 0))[1] for place in ("resident", "thread")) >= 60


# Stragglers


def sluggish(pure):
    """A function that hangs the first time that it is called with a path, and what it did then is in that file."""

    def work(path):
        if path is None:
            return "quick"
        with open(path, "a") as file:
            file.write(f"{os.getpid()}\n")
        with open(path) as file:
            if len(file.readlines()) == 1:
                time.sleep(600 if pure else 3)
        return "done"

    return tf.op(pure=pure, isolated=True)(work)


@pytest.mark.parametrize("pure", [True, False])
def test_a_copy_is_started_of_pure_work_that_is_far_behind_and_of_no_other(ray_session, graph, tmp_path, pure):
    node = sluggish(pure)
    path = tf.placeholder(tf.object, name="path")
    y = node(path)
    COSTS.learn(node.kernel, 64, 0.01, 8)
    with tf.Session() as session:
        value, events = traced(session, y, {path: str(tmp_path / "calls")})
    assert value == "done"
    check_run(events)
    check_order(events)  # the copy counts once
    assert [event.ops for event in of_kind(events, "copied")] == [(y.op,)] * pure
    assert session.stats().copied == pure
    calls = (tmp_path / "calls").read_text().split()
    assert len(calls) == (2 if pure else 1)
    if pure:
        assert len(set(calls)) == 2


# Time limits of single calls


def test_time_in_the_queue_for_a_worker_does_not_count(ray_session, graph):
    @tf.op(num_cpus=3, timeout=1.0)  # of four: the calls wait for each other
    def nap(k):
        time.sleep(0.4)
        return k

    naps = [nap(k) for k in range(5)]
    with tf.Session() as session:
        assert session.run(naps) == list(range(5))


def test_each_retry_has_the_whole_time_limit(ray_session, graph, tmp_path):
    @tf.op(timeout=1.0, retries=2)
    def nap(folder):
        time.sleep(0.5)
        tries = len(os.listdir(folder))
        open(os.path.join(folder, str(tries)), "w").close()
        if tries < 2:
            raise ValueError("not yet")
        return tries

    with tf.Session() as session:
        assert session.run(nap(str(tmp_path))) == 2


@pytest.mark.parametrize("placement", ["auto", "caller", "task"])
def test_a_time_limit_holds_inside_branches_and_loops_for_each_call(ray_session, graph, placement):
    @tf.op(dtype=tf.int32, shape=[], timeout=0.7)
    def nap(k, seconds):
        time.sleep(float(seconds))
        return np.int32(k + 1)

    seconds = tf.placeholder(tf.float32, [])
    three = tf.while_loop(lambda k: k < 3, lambda k: nap(k, seconds), [tf.constant(0)])
    with tf.Session(config=tf.ConfigProto(placement=placement, cancel_grace_in_ms=100)) as session:
        assert session.run(three, {seconds: 0.3}) == 3
        with pytest.raises(tf.errors.DeadlineExceededError, match="took longer than its time limit of 0.7 s"):
            session.run(three, {seconds: 60.0})


# Scarcity


def test_what_waits_for_a_cpu_that_somebody_holds_says_so_after_a_while(ray_session, graph, caplog, monkeypatch):
    ray = ray_session
    monkeypatch.setattr("weftwork.scheduler.segments.scarcity._WARN_AFTER", 0.5)

    class Greedy:
        def here(self):
            return True

    caplog.set_level(logging.WARNING, "weftwork")
    holder = ray.remote(num_cpus=3)(Greedy).remote()
    try:
        assert ray.get(holder.here.remote(), timeout=60)
        node = tf.op(num_cpus=2)(lambda: 5)()
        with tf.Session() as session:
            future = session.submit(node)
            until(lambda: "has been waiting to start for" in caplog.text, seconds=30)
            assert re.search("it needs 2 CPU, and [01] CPU is free. These actors are running: ", caplog.text)
            assert "Greedy (" in caplog.text
            ray.kill(holder)
            assert future.result(60) == 5
        assert caplog.text.count("has been waiting to start for") == 1
    finally:
        ray.kill(holder)
