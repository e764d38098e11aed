"""LocalWorkers: processes that run a plan's slots beside the caller, chosen where the code holds the GIL."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from contextlib import suppress

import numpy as np
import psutil
import pytest

import weftwork as tf
from tests.waiting import LONG, until
from weftwork.scheduler.sharing.local_workers import LocalWorkers, local_workers


@pytest.fixture
def session(graph, ray_session):
    with tf.Session(config=tf.ConfigProto(placement="resident", cancel_grace_in_ms=200)) as opened:
        yield opened


def spread(function, count=12):
    """Calls of a function that are so many that every slot has some, each beside the others."""
    return [tf.op(function)(k) for k in range(count)]


def work(k):
    """Some milliseconds during which the GIL is held."""
    return k + sum(range(100_000)) * 0


def pid(k):
    return os.getpid()


def processes(session):
    """The process ids of the residents that a session's runs use."""
    return sorted(set(session.run(spread(pid, 40))) - {os.getpid()})


def test_pure_python_that_is_worth_it_runs_in_residents_by_itself(graph, ray_session):
    function = tf.op(work)
    rows = [function(k) for k in range(8)]
    for _ in range(6):
        rows = [function(a + b) for a, b in zip(rows, [*rows[1:], rows[0]], strict=True)]
    expected = list(range(8))
    for _ in range(6):
        expected = [a + b for a, b in zip(expected, [*expected[1:], expected[0]], strict=True)]
    with tf.Session() as session:
        end = time.monotonic() + 60
        while "resident" not in session.placements and time.monotonic() < end:
            assert session.run(rows) == expected
        assert "resident" in session.placements
        assert session.run(rows) == expected
        ways = [name for name, _, _ in session.explain(rows).ways]
    assert {"dynamic", "resident"} & set(ways)


@pytest.mark.parametrize("placement", ["resident", "dynamic"])
def test_a_resident_keeps_nothing_of_a_run(graph, ray_session, placement):
    x = tf.placeholder(tf.float64)
    who = tf.op(lambda values, k: time.sleep(0.005) or os.getpid())
    made, large = [who(x, k) for k in range(12)], 10_000_000
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        pids = set(session.run(made, {x: np.zeros(1)})) - {os.getpid()}
        assert pids

        def used():
            return sum(psutil.Process(pid).memory_full_info().uss for pid in pids)

        before = used()
        session.run(made, {x: np.zeros(large)})
        until(lambda: used() - before < 4 * large)


def test_explain_tells_who_runs_beside_whom(session):
    text = str(session.explain(spread(work)))
    assert "beside others, in the caller" in text
    assert "beside others, in process 2" in text


def test_an_error_names_the_node_and_the_session_goes_on(session):
    def divide(k):
        return 12 // (int(k) - 7)

    made = [tf.op(divide, name=f"divide{k}")(k) for k in range(12)]
    for _ in range(3):
        with pytest.raises(
            tf.errors.OpError, match=r"(?s)ZeroDivisionError.*divide7.*test_local_workers.py"
        ) as failure:
            session.run(made)
        assert failure.value.op.name == "divide7"
        assert isinstance(failure.value.__cause__, ZeroDivisionError)
    assert session.run(made[:7]) == [12 // (k - 7) for k in range(7)]


def test_large_values_cross_in_both_directions_at_once(session):
    """More than a socket holds, sent by all to all before anybody reads."""

    def make(k):
        return np.full(300_000, float(k))

    def add(*arrays):
        return sum(arrays)

    made = spread(make)
    sums = [tf.op(add)(*made[k:], *made[:k]) for k in range(12)]
    for _ in range(3):
        for each in session.run(sums):
            np.testing.assert_array_equal(each, np.full(300_000, 66.0))


def test_updates_are_made_once_and_at_the_end(session):
    v = tf.Variable(np.int64(1), name="v")
    terms = [tf.op(work, dtype=tf.int64, shape=[])(k) for k in range(12)]
    grown = v.assign_add(tf.add_n(terms))
    read = tf.op(work, dtype=tf.int64, shape=[])(v)
    session.run(v.initializer)
    for step in range(1, 6):
        before, after = session.run([read, grown])
        assert (before, after) == (1 + 66 * (step - 1), 1 + 66 * step)
    assert session.run(v) == 331

    def fail(k):
        raise RuntimeError("no")

    with tf.control_dependencies([grown]):
        broken = [tf.op(fail)(k) for k in range(3)]
    with pytest.raises(tf.errors.OpError):
        session.run(broken)
    assert session.run(v) == 331


def test_threads_may_run_at_the_same_time(session):
    x = tf.placeholder(tf.int64, [])
    made = [tf.op(work)(x + k) for k in range(12)]
    errors = []

    def repeat(number):
        try:
            for _ in range(5):
                assert session.run(made, {x: number}) == [number + k for k in range(12)]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=repeat, args=(100 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_a_resident_that_dies_costs_a_run_an_attempt(session, tmp_path):
    """Killed while it works, and killed while nobody works."""
    first, second = processes(session)[:2]
    v = tf.Variable(np.int64(0), name="v")
    once = str(tmp_path / "once")

    def die(k):
        if os.getpid() == int(k):
            with open(once, "a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        return 1

    session.run(v.initializer)
    target = tf.placeholder(tf.int64, [])
    made = [tf.op(die, dtype=tf.int64, shape=[])(target) for _ in range(12)]
    with tf.control_dependencies(made):
        grown = v.assign_add(1)
    assert session.run(grown, {target: first}) == 1
    assert os.path.getsize(once) == 1
    survivors = processes(session)
    assert first not in survivors
    assert second in survivors
    os.kill(second, signal.SIGKILL)
    assert session.run(grown, {target: 0}) == 2
    assert second not in processes(session)


def kill_all():
    """End the local workers of this program, also those that are just starting."""
    for process in psutil.Process().children():
        with suppress(psutil.Error):
            if "actors.processes.local_worker" in " ".join(process.cmdline()):
                process.kill()


def test_a_run_goes_on_though_workers_die_while_they_start(graph, ray_session, monkeypatch):
    """Nodes in which none has died run in the caller meanwhile; one whose lane's worker has died ends in its thread."""
    naps = spread(lambda k: time.sleep(0.3) or k, 6)
    monkeypatch.setattr("weftwork.scheduler.sharing.workers._UP_WITHIN", LONG)  # it was waited for
    with tf.Session(config=tf.ConfigProto(placement="dynamic")) as session:
        session.run(spread(work))
        killers = [threading.Timer(0.1 + 0.15 * k, kill_all) for k in range(2)]  # a third death would be an error
        for killer in killers:
            killer.start()
        began = time.monotonic()
        assert session.run(naps) == list(range(6))
        for killer in killers:
            killer.join()
        assert session.run(spread(work)) == list(range(12))
        assert time.monotonic() - began < LONG


@pytest.mark.parametrize("how", ["timeout", "cancel"])
def test_functions_that_do_not_return_are_ended_and_the_session_goes_on(session, tmp_path, how):
    x = tf.placeholder(tf.int64, [])
    here = os.getpid()

    def hang(k):
        while k and os.getpid() != here:
            (tmp_path / str(os.getpid())).touch()
            time.sleep(0.01)
        return 1

    made = [tf.op(hang)(x) for _ in range(12)]
    assert session.run(made, {x: 0}) == [1] * 12
    if how == "timeout":
        with pytest.raises(tf.errors.DeadlineExceededError):
            session.run(made, {x: 1}, options=tf.RunOptions(timeout_in_ms=500))
    else:
        future = session.submit(made, {x: 1})
        until(lambda: list(tmp_path.iterdir()))
        until(lambda: any(w.place == "resident" and w.seconds > 0 for w in session.waiting()))
        future.cancel()
        with pytest.raises(tf.errors.CancelledError):
            future.result()
    assert session.run(made, {x: 0}) == [1] * 12


def test_a_resident_that_does_not_read_cannot_hold_the_caller(session):
    """It sleeps while the caller wants to send it more than the socket holds: the time limit counts all the same."""
    here = os.getpid()

    def make(k):
        return np.zeros(1_000_000)

    def rest(k):
        while k and os.getpid() != here:
            time.sleep(0.01)
        return k

    x = tf.placeholder(tf.int64, [])
    resting = [tf.op(rest)(x) for _ in range(12)]
    sums = [tf.op(lambda a, b: a.sum() + b)(made, last) for made, last in zip(spread(make), resting, strict=True)]
    sums += [tf.op(lambda *arrays: len(arrays))(*spread(make)) for _ in range(6)]
    assert session.run(sums, {x: 0}) == [0.0] * 12 + [12] * 6
    with pytest.raises(tf.errors.DeadlineExceededError):
        session.run(sums, {x: 1}, options=tf.RunOptions(timeout_in_ms=700))
    assert session.run(sums, {x: 0}) == [0.0] * 12 + [12] * 6


def test_between_two_nodes_a_run_stops_without_a_process_being_ended(session):
    before = processes(session)

    def rest(k):
        time.sleep(0.02)
        return k

    chain = []
    for _ in range(3):
        value = tf.constant(0)
        for _ in range(40):
            value = tf.op(rest)(value)
        chain.append(value)
    with pytest.raises(tf.errors.DeadlineExceededError):
        session.run(chain, options=tf.RunOptions(timeout_in_ms=300))
    assert processes(session) == before


def test_what_does_not_pickle_runs_in_the_caller(graph, ray_session):
    """A plan that workers cannot run is given up, where it was forced too."""

    def lock(k):
        return threading.Lock()

    def held(*locks):
        return len(locks)

    count = tf.op(held)(*spread(lock))
    config = tf.ConfigProto(placement="resident")
    with tf.Session(config=config) as session:
        for _ in range(2):
            assert session.run(count) == 12
        assert session.run(spread(work, 9)) == list(range(9))


def test_sessions_share_them_one_after_another_and_at_the_same_time(graph, ray_session):
    config = tf.ConfigProto(placement="resident")
    with tf.Session(config=config) as first, tf.Session(config=config) as second:
        pids = processes(first)
        assert len(pids) == 2
        assert processes(second) == pids
        futures = [session.submit(spread(work)) for session in (first, second) for _ in range(3)]
        assert [future.result() for future in futures] == [list(range(12))] * 6
    with tf.Session(config=config) as third:
        assert processes(third) == pids
    folder = local_workers()._folder
    assert os.stat(folder).st_mode & 0o077 == 0


def test_none_is_started_where_there_is_no_cpu_for_any():
    before = {child.pid for child in psutil.Process().children()}
    assert not LocalWorkers().borrow_some(0, [])
    assert {child.pid for child in psutil.Process().children()} <= before


def test_one_whose_start_nobody_took_in_is_started_anew_and_the_others_are_not_given_up(ray_session):
    team = local_workers()
    until(lambda: team.borrow(2, 1))
    team._up.discard(1)
    team._since -= 120
    team.give_back()
    until(lambda: team.borrow(2, 1), 30)
    team.give_back()
    assert not team.failed


async def waits(k):
    await asyncio.sleep(0.001)
    return 10 * k


APART = {"a CPU": tf.op(num_cpus=1)(work), "its own process": tf.op(isolated=True)(work), "waits": tf.op(waits)}
"""Functions whose nodes run beside the slots of a plan."""


@pytest.mark.parametrize("name", APART)
def test_a_node_that_runs_apart_leaves_the_others_their_slots(session, name):
    apart, before, after = APART[name], spread(work), []
    middle = [apart(node) for node in before[:3]]
    for node, other in zip(middle, before[3:], strict=False):
        after.append(tf.op(lambda a, b: (a, b, os.getpid()))(node, other))
    with tf.control_dependencies([apart(7)]):
        last = tf.op(lambda: "last")()
    expected = [10 * k if name == "waits" else k for k in range(3)]
    for _ in range(3):
        made, found, pids, text = session.run([middle, after, spread(pid, 40), last])
        assert made == expected
        assert [row[:2] for row in found] == list(zip(expected, range(3, 6), strict=True))
        assert {row[2] for row in found} == {os.getpid()}
        assert len(set(pids)) > 1
        assert text == "last"
    assert "resident" in session.placements


@pytest.mark.parametrize("name", APART)
def test_an_error_of_a_node_that_runs_apart_ends_the_run_and_names_it(session, name):
    async def fails(k):
        raise KeyError(k)

    option = {"a CPU": {"num_cpus": 1}, "its own process": {"isolated": True}, "waits": {}}[name]
    function = fails if name == "waits" else lambda k: {}[k]
    bad = tf.op(**option, name="bad_one")(function)(5)
    with pytest.raises(tf.errors.UnknownError, match="bad_one"):
        session.run([*spread(work), bad])
    assert session.run(spread(work)) == list(range(12))


def test_a_run_that_is_too_late_leaves_no_node_running_apart(session, tmp_path):
    def lasts(k):
        (tmp_path / "began").write_text("")
        time.sleep(60)

    late = tf.op(isolated=True)(lasts)(1)
    with pytest.raises(tf.errors.DeadlineExceededError, match="Timed out"):
        session.run([*spread(work), late], options=tf.RunOptions(timeout_in_ms=3000))
    assert session.run(spread(work)) == list(range(12))
    assert (tmp_path / "began").exists()


@tf.op
def even(k):
    return k + sum(range(10_000)) * 0


@tf.op(num_cpus=1)
def even_on_a_cpu(k):
    return k + sum(range(10_000)) * 0


def test_a_graph_with_one_node_that_asks_for_a_cpu_may_have_a_static_plan(graph, ray_session, tmp_path):
    names = [f"{__name__}:{name}" for name in ("even", "even_on_a_cpu")]
    known = {"class": 0, "seconds": 1e-3, "bytes": 28, "calls": 100, "spread": 0.0}
    path = tmp_path / "costs.json"
    path.write_text(json.dumps({"weftwork_costs": 1, "records": [{"function": name, **known} for name in names]}))
    tf.load_costs(str(path))
    rows = [*[even(k) for k in range(200)], even_on_a_cpu(200)]
    with tf.Session() as session:
        assert "resident" in [name for name, _, _ in session.explain(rows).ways]
        for _ in range(5):
            assert session.run(rows) == list(range(201))
        alone = [even_on_a_cpu(k) for k in range(8)]
        assert "resident" not in [name for name, _, _ in session.explain(alone).ways]
        assert session.run(alone) == list(range(8))


def test_what_only_nodes_beside_its_maker_read_is_not_sent_to_the_program(graph):
    """It may be large. Nor need it pickle."""
    made = tf.op(lambda: (os.getpid(), threading.Lock()))()
    seen = tf.op(lambda made: (made[0], os.getpid()))(made)
    unread = tf.op(lambda: threading.Lock())()
    with tf.Session(config=tf.ConfigProto(placement="dynamic")) as session:
        (maker, reader), _ = session.run([seen, unread.op])  # an unseen function follows the one that it reads from
        assert maker == reader != os.getpid()
        assert session.placements["resident"][1] == 3
        (maker, lock), _ = session.run([made, seen])
        assert (maker, type(lock)) == (os.getpid(), type(threading.Lock()))


def test_a_run_that_waits_for_a_worker_says_for_which_nodes(graph):
    team = local_workers()
    node = tf.op(lambda k: k, name="waits")(1)
    with tf.Session(config=tf.ConfigProto(placement="dynamic")) as session:
        assert team.borrow(2, LONG)  # as another run may
        try:
            with pytest.raises(tf.errors.DeadlineExceededError, match=r"still waiting for waits \(defined at"):
                session.run(node, options=tf.RunOptions(timeout_in_ms=50))
        finally:
            team.give_back()
