"""Runs that are shared out among local workers while they go on."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import signal
import time

import numpy as np
import pytest

import weftwork as tf
from tests.waiting import LONG, until
from weftwork.actors.processes.batches import FLOWS
from weftwork.scheduler.machines.backend import ValueLost
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.policy import GIL_HOLDS
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.sharing.local_workers import local_workers


@pytest.fixture
def session(graph, ray_session):
    """A session whose runs are all shared out."""
    with tf.Session(config=tf.ConfigProto(placement="dynamic")) as opened:
        yield opened


@tf.op
def slow(k):
    """A function that is worth a message."""
    time.sleep(0.002)
    return k


def test_what_has_no_kernel_may_be_in_a_row_of_any_length(session):
    first = slow(1)
    last = first.op
    for _ in range(3000):
        with tf.control_dependencies([last]):
            last = tf.no_op()
    with tf.control_dependencies([last]):
        assert session.run([first, slow(2)]) == [1, 2]


def test_workers_keep_the_rows_of_the_kinds_of_run_that_came_last_and_are_sent_the_others_again(session):
    nodes = [slow(k) for k in range(FLOWS + 4)]
    for _ in range(2):
        assert [session.run([node])[0] for node in nodes] == list(range(FLOWS + 4))


def test_one_node_that_asks_for_a_cpu_does_not_keep_the_others_in_the_caller(session):
    bound = tf.op(num_cpus=1)(slow.function)(1)
    assert session.run([bound, *[slow(k) for k in range(12)]]) == [1, *range(12)]
    assert session.placements["task"][1] == 1
    assert {"resident", "thread"} & session.placements.keys()


def test_one_core_goes_to_the_caller_or_to_a_thread_but_is_not_offered_to_both(graph, ray_session):
    """Each was called in turn, and left its node to the other one, without end."""
    short, new = tf.op(lambda k: k + 1), tf.op(lambda: 0)
    for _ in range(10):
        COSTS.learn(short.kernel, 64, 8e-5, 64)
        HISTORY.tell_gil(short.kernel, True)
    HISTORY.tell_gil(new.kernel, False)
    nodes = [short(k) for k in range(100)]
    fetches = [*nodes, new(), tf.op(lambda k: -k, here=True)(nodes[-1])]
    config = tf.ConfigProto(placement="dynamic", inter_op_parallelism_threads=1)
    assert local_workers().borrow(2, LONG)
    local_workers().give_back()
    with tf.Session(config=config) as session:
        options = tf.RunOptions(timeout_in_ms=int(1000 * LONG))
        assert session.run(fetches, options=options) == [*range(1, 101), 0, -100]


def test_what_takes_large_values_is_not_put_off_until_all_of_them_were_made(graph, ray_session):
    """It goes where they are made, though threads would suit it, too. The lowest number at a time is one per core."""

    def make(k):
        for _ in range(100_000):
            pass
        return time.monotonic()

    def take(made):
        time.sleep(0.002)
        return made, time.monotonic()

    made, taken = tf.op(make), tf.op(take)
    for function, seconds, holds in ((made, 0.004, True), (taken, 0.002, False)):
        for _ in range(10):
            COSTS.learn(function.kernel, 64, seconds, 64)
        HISTORY.tell_gil(function.kernel, holds)
    assert local_workers().borrow(2, LONG)
    local_workers().give_back()
    config = tf.ConfigProto(placement="dynamic", inter_op_parallelism_threads=2)
    with tf.Session(config=config) as session:
        spans = session.run([taken(made(k)) for k in range(60)])
        assert "resident" in session.placements
        assert "thread" not in session.placements
    assert max([len([1 for begin, end in spans if begin <= when < end]) for when, _ in spans]) < 30


def say(k):
    """A call that holds the GIL, and logs."""
    for _ in range(100_000):
        pass
    logging.getLogger("said").warning("%d", k)
    return k


def test_what_takes_longer_to_copy_than_to_compute_is_not_sent_to_workers(graph):
    arrays = [np.full(250_000, float(k)) for k in range(40)]

    @tf.op
    def negative(x):
        return -x

    with tf.Session(config=tf.ConfigProto(placement="dynamic")) as session:
        made = session.run([negative(x) for x in arrays])
        _, there = session.placements.get("resident", (0, 0))
    assert all(map(np.array_equal, made, [-x for x in arrays]))
    assert there < len(arrays) / 2


def test_in_the_graph_of_a_door_what_a_node_says_comes_before_its_result(graph, ray_session):
    heard: list = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(int(record.getMessage()))  # type: ignore[method-assign]
    said = tf.op(say)
    for _ in range(10):
        COSTS.learn(said.kernel, 64, 0.004, 64)
    HISTORY.tell_gil(said.kernel, True)
    came = tf.op(lambda k: k in heard, here=True)
    nodes = [came(said(k)) for k in range(20)]
    graph.once = True
    assert local_workers().borrow(2, LONG)
    local_workers().give_back()
    logging.getLogger("said").addHandler(handler)
    try:
        with tf.Session(config=tf.ConfigProto(placement="dynamic", inter_op_parallelism_threads=2)) as session:
            assert all(session.run(nodes))
            assert session.placements["resident"][1]
    finally:
        logging.getLogger("said").removeHandler(handler)
    assert sorted(heard) == list(range(20))


# Functions that release the GIL


def nap(k):
    """Long enough that a worker sees that the GIL is free meanwhile."""
    time.sleep(0.01)
    return k


def threaded(session):
    """How many nodes have run in threads."""
    return session.placements.get("thread", (0, 0))[1]


def run_till_threaded(session, nodes):
    """Run nodes till threads take some. A busy machine hides for a while that their function releases the GIL."""
    until(lambda: session.run(nodes) and threaded(session))


def test_a_function_that_releases_the_gil_runs_in_threads_once_that_was_seen(session):
    nodes = [tf.op(nap)(k) for k in range(20)]
    assert session.run(nodes) == list(range(20))
    run_till_threaded(session, nodes)


def test_an_error_in_a_thread_names_its_node_and_ends_the_run(session):
    def broken(k):
        nap(k)
        return 1 // k

    step = tf.op(broken)
    run_till_threaded(session, [step(k, name="fine") for k in range(1, 9)])
    with pytest.raises(tf.errors.OpError, match=r"(?s)ZeroDivisionError.*node wrong.*test_sharing") as e:
        session.run([*[step(k) for k in range(1, 5)], step(0, name="wrong")])
    assert isinstance(e.value.__cause__, ZeroDivisionError)
    assert session.run(step(1)) == 1


def hashed(k):
    """Releases the GIL for some 50 us, so that threads take several of its nodes at once."""
    hashlib.sha256(bytes(100_000)).digest()
    return 1 // k


def many_in_threads(session, numbers):
    """A run of many short nodes, after another one has shown what they cost."""
    step = tf.op(hashed)
    session.run([step(k) for k in range(1, 400)])
    return [step(k, name=f"number_{k}") for k in numbers]


def test_of_nodes_that_a_thread_takes_at_once_the_one_that_fails_is_named(session):
    nodes = many_in_threads(session, [*range(1, 200), 0, *range(200, 400)])
    for _ in range(3):
        with pytest.raises(tf.errors.OpError, match=r"(?s)ZeroDivisionError.*node number_0.*test_sharing"):
            session.run(nodes)
        assert session.run(nodes[:3]) == [1, 0, 0]


def test_nodes_that_a_thread_takes_at_once_all_run_and_count(session):
    nodes = many_in_threads(session, range(1, 400))
    for _ in range(3):
        before = sum([count for _, count in session.placements.values()])
        assert session.run(nodes) == [1 // k for k in range(1, 400)]
        assert sum([count for _, count in session.placements.values()]) == before + 399


def test_a_turn_that_takes_longer_than_foreseen_gives_nodes_back(session):
    step = tf.op(lambda k, seconds: time.sleep(seconds) or hashed(k + 1))
    session.run([step(k, 0.0) for k in range(400)])
    nodes = [step(k, 2e-3 if k % 7 == 3 else 0.0) for k in range(400)]
    for _ in range(3):
        before = sum([count for _, count in session.placements.values()])
        assert session.run(nodes) == [1, *[0] * 399]
        assert sum([count for _, count in session.placements.values()]) == before + 400


def test_a_chain_in_threads_hands_its_values_on(session):
    step = tf.op(lambda total, k: nap(k) + total)
    run_till_threaded(session, [step(0, k) for k in range(8)])
    rows, before = [], threaded(session)
    for start in range(3):
        total = step(start, 0)
        for k in range(5):
            total = step(total, k)
        rows.append(total)
    assert session.run(rows) == [10, 11, 12]
    until(lambda: session.run(rows) == [10, 11, 12] and threaded(session) > before)


def test_functions_that_draw_or_need_the_main_thread_run_in_no_other_thread(session):
    def draws(k):
        nap(k)
        return random.random() < 2

    def sets_a_handler(k):
        nap(k)
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)
        return k

    for function in (draws, sets_a_handler):
        step = tf.op(function)
        for _ in range(2):
            assert len(session.run([step(k) for k in range(8)])) == 8
    assert not threaded(session)


def test_a_cancelled_run_waits_for_its_threads(session):
    step = tf.op(nap)
    session.run([step(k) for k in range(8)])
    nodes = [step(k) for k in range(400)]
    future = session.submit(nodes)
    time.sleep(0.2)
    future.cancel()
    with pytest.raises(tf.errors.CancelledError):
        future.result(30)
    assert session.run(nodes[:4]) == [0, 1, 2, 3]


def test_a_value_that_is_lost_while_a_batch_is_put_together_lets_the_run_begin_again(session, monkeypatch):
    """Its functions travel as before: nothing is kept in the caller for it."""
    function = tf.op(lambda k: k + 1)
    local, lost = Run.local, []

    def loses_one(run, number):
        if not lost and run.flow.kernels and number in run.flow.feeds.values():
            lost.append(number)
            raise ValueLost("its machine has gone")
        return local(run, number)

    monkeypatch.setattr(Run, "local", loses_one)
    x = tf.placeholder(object, [])
    assert session.run([function(x) for _ in range(4)], {x: 1}) == [2] * 4
    assert lost
    assert not HISTORY.stays(function.kernel)


def test_what_a_worker_may_have_died_of_does_not_run_in_the_program(session, tmp_path):
    """Even if it turns out to be short, and to release the GIL, after that."""
    mark = str(tmp_path / "mark")

    def dies_once(k):
        if k == 3 and not os.path.exists(mark):
            open(mark, "x").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return k, os.getpid(), time.time()

    function, died = tf.op(outputs=3)(dies_once), []
    nodes = [function(k) for k in range(200)]

    def more_is_known(event):
        if event.kind == "lost":
            HISTORY.tell_gil(function.kernel, False)
            for _ in range(10):
                COSTS.learn(function.kernel, 64, 1e-6, 64)
            died.append(time.time())

    with session.listen(more_is_known):
        made = session.run(nodes)
    assert [k for k, *_ in made] == list(range(200))
    assert len(died) == 1
    assert os.getpid() not in [process for _, process, when in made if when > died[0]]
    assert [process for _, process, when in made if when > died[0]], "the one that died, at least"


def test_no_run_waits_for_a_worker_to_import_what_it_can_do_without(session, tmp_path, monkeypatch):
    """The imports of the workers end after the run. They are used from then on."""
    (tmp_path / "large_module.py").write_text(
        f"""
import os, time
while os.getpid() != {os.getpid()} and not os.path.exists({str(tmp_path / "go")!r}):
    time.sleep(0.001)
def where(k):
    end = time.perf_counter() + 0.002
    while time.perf_counter() < end:
        pass
    return k, os.getpid()
"""
    )
    monkeypatch.syspath_prepend(tmp_path)
    from large_module import where  # type: ignore[import-not-found]

    assert local_workers().borrow(3, LONG)
    local_workers().give_back()
    step = tf.op(outputs=2)(where)
    step.kernel.threadsafe = True  # as doors say of their functions
    for _ in range(GIL_HOLDS):
        HISTORY.tell_gil(step.kernel, True)
    nodes = [step(k) for k in range(40)]
    for _ in range(3):
        made = session.run(nodes, options=tf.RunOptions(timeout_in_ms=60_000))
        assert made == [[k, os.getpid()] for k in range(40)]
    (tmp_path / "go").touch()
    until(lambda: {process for _, process in session.run(nodes)} - {os.getpid()})
    made = session.run([slow(k) for k in range(40)])
    assert made == list(range(40))
