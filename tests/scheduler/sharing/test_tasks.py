"""Runs that are shared out among Ray tasks while they go on, as on a cluster of several machines."""

from __future__ import annotations

import os
import signal
import threading
import time
from itertools import pairwise

import numpy as np
import pytest

import weftwork as tf
from tests.waiting import LONG, until
from weftwork.actors.processes.code import pack_code
from weftwork.scheduler.machines import inventory, objects
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.policy import SHORTEST_TASK
from weftwork.scheduler.sharing.lane import of_tasks


@pytest.fixture
def session(graph, ray_session, monkeypatch):
    """A session whose runs are all shared out among tasks: one machine's Ray is taken for that of several."""
    monkeypatch.setattr(inventory, "machine_count", lambda: 2)
    with tf.Session(config=tf.ConfigProto(placement="dynamic", cancel_grace_in_ms=2000)) as opened:
        yield opened


def in_tasks(session):
    """How many nodes have run in tasks."""
    return session.placements.get("task", (0, 0))[1]


def test_functions_that_were_never_called_run_in_tasks(session):
    square = tf.op(lambda x: (x * x, os.getpid()))
    made = session.run([square(k) for k in range(8)])
    assert [value for value, _ in made] == [k * k for k in range(8)]
    assert os.getpid() not in {pid for _, pid in made}
    assert in_tasks(session) == 8


def test_short_nodes_share_a_task_and_what_follows_goes_along(session):
    step = tf.op(lambda x: x + 1)
    for _ in range(50):
        COSTS.learn(step.kernel, 0, SHORTEST_TASK / 4, 8)
    chains = []
    for k in range(20):
        chains.append(step(step(step(k))))
    assert session.run(chains) == [k + 3 for k in range(20)]
    segments, nodes = session.placements["task"]
    assert nodes == 60
    assert segments <= 20


def test_large_values_stay_in_the_store_and_what_reads_them_follows(session):
    """The caller fetches what is asked for, not what a task reads; a library node goes to the value."""
    make = tf.op(lambda k: np.full(300_000, float(k)), dtype=tf.float64)
    total = tf.reduce_sum(make(2))
    last = tf.op(lambda x: float(x[-1]))(make(3))
    assert session.run([total, last]) == [600_000.0, 3.0]
    assert in_tasks(session) == 4


def test_functions_that_release_the_gil_run_in_tasks_too(session):
    """They would run in threads, but one machine's threads are not enough for many machines."""
    step = tf.op(lambda k: (k, os.getpid()))
    HISTORY.tell_gil(step.kernel, False)
    for _ in range(50):
        COSTS.learn(step.kernel, 0, 0.05, 64)
    made = session.run([step(k) for k in range(8)])
    assert [k for k, _ in made] == list(range(8))
    assert os.getpid() not in {pid for _, pid in made}


def test_nodes_with_needs_and_nodes_for_the_caller_run_beside_them(session):
    seen = []
    here = tf.op(lambda x: seen.append(x) or os.getpid(), here=True)
    bound = tf.op(num_cpus=1)(lambda k: k + 100)
    work = [tf.op(lambda k: k + 1)(k) for k in range(4)]
    *values, pid, asked = session.run([*work, here(work[0]), bound(work[1])])
    assert values == [1, 2, 3, 4]
    assert (pid, asked, seen) == (os.getpid(), 102, [1])


def test_variables_are_updated_once_and_only_if_all_goes_well(session):
    total = tf.Variable(0.0, name="total")
    session.run(total.initializer)
    add = tf.assign_add(total, tf.cast(tf.op(lambda: 2.0, dtype=tf.float64, shape=())(), tf.float32))
    assert session.run(add) == 2.0
    with tf.control_dependencies([add]):
        fails = tf.op(lambda x: 1 // 0)(1)
    with pytest.raises(tf.errors.OpError, match="ZeroDivisionError"):
        session.run(fails)
    assert session.run(total) == 2.0


# What goes wrong


def test_an_error_names_its_node_and_the_others_are_stopped(session):
    wrong = tf.op(lambda x: 1 // x)(0, name="wrong")
    slow = [tf.op(lambda k: time.sleep(LONG) or k)(k) for k in range(2)]
    began = time.monotonic()
    with pytest.raises(tf.errors.OpError, match=r"(?s)ZeroDivisionError.*node wrong.*test_tasks") as e:
        session.run([wrong, *slow])
    assert isinstance(e.value.__cause__, ZeroDivisionError)
    assert time.monotonic() - began < LONG


def test_what_does_not_pickle_runs_in_the_caller_and_what_does_not_fit_there_as_well(session):
    lock = threading.Lock()
    takes = tf.op(lambda x: x + lock.locked())
    makes = tf.op(lambda x: (x, threading.Lock()))
    first = tf.op(lambda pair: pair[0])
    assert session.run([takes(1), first(makes(2)), first(makes(3))]) == [1, 2, 3]


def test_a_function_that_changes_what_it_refers_to_runs_in_the_caller(session):
    seen = {}

    def note(k):
        vars(box)["last"] = seen.setdefault(k, k)
        return len(seen)

    class Box:
        pass

    box = Box()
    assert sorted(session.run([tf.op(note)(k) for k in range(3)])) == [1, 2, 3]
    assert seen == {0: 0, 1: 1, 2: 2}


def ending(why):
    """A function that makes a task end early, for a reason, if it is `late`."""
    me, seen, verb = os.getpid(), [], "append"

    def fails(x, late):
        time.sleep(SHORTEST_TASK / 8)
        if late and os.getpid() != me:
            raise RuntimeError("only in the main thread")
        return float(np.sum(x))

    def makes_a_lock(x, late):
        time.sleep(SHORTEST_TASK / 8)
        return threading.Lock() if late else float(np.sum(x))

    def changes(x, late):
        time.sleep(SHORTEST_TASK / 8)
        if late:
            getattr(seen, verb)(x)
        return float(np.sum(x))

    return {"it fails there": fails, "its value does not pickle": makes_a_lock, "it writes": changes}[why]


@pytest.mark.parametrize("size", [1, 300_000])
@pytest.mark.parametrize("follows", [True, False])
@pytest.mark.parametrize("why", ["it fails there", "its value does not pickle", "it writes"])
def test_what_a_task_has_finished_is_kept_if_it_ends_early(session, tmp_path, why, follows, size):
    """In a first run and in a later one. The node that ends it follows the one that has an effect, or is beside it."""
    file = tmp_path / "effects"

    def effect(k):
        with open(file, "a") as opened:
            opened.write(f"{k}\n")
        time.sleep(SHORTEST_TASK / 8)
        return np.full(size, float(k))

    for lates in ([True], [False, True]):
        file.write_text("")
        makes, ends = tf.op(effect), tf.op(ending(why))
        late = tf.placeholder(tf.bool, [])
        made = [makes(k) for k in range(3)]
        last = [ends(value, late) for value in made] if follows else [ends(1.0, late)]
        for kernel in [makes.kernel, ends.kernel] * (0 if follows else 50):  # else each would be a task
            COSTS.learn(kernel, 0, SHORTEST_TASK / 8, 8 * size)
        for is_late in lates:
            values = session.run(last if follows else [*made, *last], {late: is_late})
            if not follows:
                assert [(value.size, value[-1]) for value in values[:3]] == [(size, float(k)) for k in range(3)]
            elif not is_late or why != "its value does not pickle":
                assert values == [float(k * size) for k in range(3)]
        assert sorted(file.read_text().split()) == sorted(["0", "1", "2"] * len(lates))


def test_the_code_of_a_function_is_pickled_once(session, monkeypatch):
    packed = []

    def pack(code):
        packed.append(code)
        return pack_code(code)

    monkeypatch.setattr(objects, "pack_code", pack)
    square = tf.op(lambda x: x * x)
    for start in (0, 3):
        assert session.run([square(start + k) for k in range(3)]) == [(start + k) ** 2 for k in range(3)]
    assert in_tasks(session) == 6
    assert len([code for code in packed if code[0] is square.kernel]) == 1


def test_nodes_whose_process_dies_run_again_and_those_that_kill_it_are_named(session, tmp_path):
    died = tmp_path / "died"

    def dies_once(k):
        if k == 3 and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return k

    assert session.run([tf.op(dies_once)(k) for k in range(6)]) == list(range(6))
    kill = tf.op(lambda k: os.kill(os.getpid(), signal.SIGKILL))(0, name="killer")
    with pytest.raises(tf.errors.UnavailableError, match=r"killer.* died 3 times"):
        session.run([kill, tf.op(lambda: 1)()])


def test_a_run_that_is_cancelled_or_late_ends_and_the_next_one_works(session):
    slow = tf.op(lambda k: time.sleep(LONG) or k)
    nodes = [slow(k) for k in range(3)]
    with pytest.raises(tf.errors.DeadlineExceededError, match="is still waiting for"):
        session.run(nodes, options=tf.RunOptions(timeout_in_ms=500))
    started = session.submit(nodes)
    until(lambda: session.waiting())
    started.cancel()
    with pytest.raises(tf.errors.CancelledError):
        started.result(LONG)
    assert session.run(tf.op(lambda: 5)()) == 5


def test_what_is_printed_appears_once(session, capfd):
    session.run([tf.op(lambda k: print(f"seen {k}"))(k) for k in range(4)])
    assert sorted(capfd.readouterr().out.split()) == ["0", "1", "2", "3", *["seen"] * 4]


def test_tasks_are_the_longer_the_more_lanes_one_caller_feeds():
    few, many = of_tasks(1), of_tasks(1000)
    assert few.shortest == SHORTEST_TASK
    assert many.shortest > 100 * few.shortest
    assert many.longest / many.shortest == pytest.approx(few.longest / few.shortest)


def test_a_memory_budget_holds_tasks_back(graph, ray_session, monkeypatch):
    """While there is room for none of the values, one task at a time runs."""
    monkeypatch.setattr(inventory, "machine_count", lambda: 2)
    make = tf.op(lambda k: np.full(1 << 18, float(k)), dtype=tf.float64, shape=[1 << 18])
    makers, keep = [make(k) for k in range(6)], tf.op(lambda x, _: float(x[0]))
    seen: list = []
    with tf.Session(config=tf.ConfigProto(placement="dynamic", memory_budget=1)) as session:
        with session.listen(seen.append):
            assert session.run([keep(x, k) for k in (0, 1) for x in makers]) == [float(k) for k in range(6)] * 2
    tasks = sorted([(e.sent, e.back) for e in seen if e.kind == "segment" and e.lane.place == "task"])
    assert len(tasks) > 2
    assert all([sent > back for (_, back), (sent, _) in pairwise(tasks)])
