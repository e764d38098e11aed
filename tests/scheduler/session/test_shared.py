"""Sessions that share their variables, and outlast the process that made them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import numpy as np
import pytest

import weftwork as tf
from weftwork.scheduler.machines import backend
from weftwork.scheduler.machines import host_actors as hosts

pytestmark = pytest.mark.usefixtures("ray_session")
ROOT = Path(__file__).parents[3]


@pytest.fixture
def name():
    """A name that no other session has; whatever has it afterwards is ended."""
    name = uuid.uuid4().hex
    yield name
    try:
        tf.Session.reset("", config=tf.ConfigProto(name=name))
    except tf.errors.NotFoundError:
        pass


def counter(config=None, target=""):
    """A graph of its own with a counter, and a session on it."""
    graph = tf.Graph()
    with graph.as_default():
        count = tf.Variable(np.int64(0), name="count")
        step = count.assign_add(1)
    return tf.Session(target, graph=graph, config=config), count, step


def test_sessions_of_one_name_run_on_the_same_variables(name):
    config = tf.ConfigProto(name=name)
    one, count, step = counter(config)
    two, _, other_step = counter(config)
    one.run(count.initializer)
    assert [one.run(step), two.run(other_step), one.run(count)] == [1, 2, 2]
    two.close()
    assert one.run(step) == 3
    one.close()


def test_sessions_of_one_name_share_queues(name):
    def jobs():
        graph = tf.Graph()
        with graph.as_default():
            queue = tf.FIFOQueue(2, tf.int32, shapes=[[]], name="jobs")
            put, take = queue.enqueue(7), queue.dequeue()
        return tf.Session(graph=graph, config=tf.ConfigProto(name=name)), put, take

    one, put, take = jobs()
    two, _, other_take = jobs()
    got = []
    waiting = threading.Thread(target=lambda: got.append(two.run(other_take)))
    waiting.start()
    one.run(put)
    waiting.join(30)
    assert got == [7]
    with pytest.raises(tf.errors.DeadlineExceededError):
        one.run(take, options=tf.RunOptions(timeout_in_ms=100))
    one.close()
    two.close()


def test_a_session_without_a_name_shares_nothing(name):
    one, count, _ = counter(tf.ConfigProto(name=name))
    two, other, _ = counter()
    one.run(count.initializer)
    with pytest.raises(tf.errors.FailedPreconditionError, match="Attempting to use uninitialized value count"):
        two.run(other)
    one.close()


def test_no_update_of_several_writers_is_lost(name):
    sessions = [counter(tf.ConfigProto(name=name)) for _ in range(4)]
    sessions[0][0].run(sessions[0][1].initializer)
    threads = [threading.Thread(target=lambda s=s: [s[0].run(s[2]) for _ in range(25)]) for s in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sessions[0][0].run(sessions[0][1]) == 100
    for session, *_ in sessions[::-1]:
        session.close()


def test_fetches_feeds_and_errors_are_those_of_any_session(name):
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [None], name="x")
        pair = {"sum": tf.reduce_sum(x), "both": [x * 2, tf.no_op()]}
        doomed = tf.op(name="doomed")(lambda v: 1 // 0)(x)
        with tf.Session(config=tf.ConfigProto(name=name)) as session:
            got = session.run(pair, {x: [1.0, 2.0]})
            assert got["sum"] == 3.0
            assert got["both"][0].tolist() == [2.0, 4.0]
            assert got["both"][1] is None
            with pytest.raises(tf.errors.InvalidArgumentError, match="You must feed a value for placeholder"):
                session.run(pair)
            with pytest.raises(
                tf.errors.OpError, match=r"ZeroDivisionError[\s\S]*doomed \(defined at .*test_shared.py"
            ):
                session.run(doomed, {x: [1.0]})
            later = tf.reduce_max(x)
            assert session.run(later, {x: [1.0, 5.0]}) == 5.0
            slow = tf.while_loop(lambda i: i >= 0, lambda i: i * 1, [0])
            with pytest.raises(tf.errors.DeadlineExceededError):
                session.run(slow, options=tf.RunOptions(timeout_in_ms=200))
            future = session.submit(slow)
            while not future.cancel():
                pass
            with pytest.raises(tf.errors.CancelledError):
                future.result(30)
            assert future.cancelled()
            quick = session.submit(later, {x: [1.0, 5.0]})
            assert quick.result(30) == 5.0
            assert (quick.cancel(), quick.cancelled()) == (False, False)


LOCK = threading.Lock()


def test_what_cannot_be_sent_is_named_and_changes_nothing(name):
    with tf.Graph().as_default():
        session, count, step = counter(tf.ConfigProto(name=name))
        with session.graph.as_default():
            sends = tf.op(lambda: threading.Lock(), name="sends")()
            with tf.control_dependencies([step]):
                refers = tf.op(lambda: LOCK.locked(), name="refers")()
            x = tf.placeholder(object, name="x")
            takes = tf.op(lambda value: 1)(x)
            holds = tf.op(len, name="holds")([LOCK])
        session.run(count.initializer)
        for fetches, feeds, named in (
            ([step, sends], {}, r"the value fetched from sends:0 could not be sent[\s\S]*node sends"),
            ([step, refers], {}, r"refers could not be sent[\s\S]*it refers to LOCK[\s\S]*node refers"),
            ([step, takes], {x: LOCK}, r"the value fed for x:0 could not be sent[\s\S]*node x"),
            ([step, holds], {}, r"an input of holds could not be sent[\s\S]*node holds"),
        ):
            with pytest.raises(tf.errors.InvalidArgumentError, match=named + r" \(defined at .*test_shared.py:\d+\)"):
                session.run(fetches, feeds)
            assert session.run(count) == 0
        assert session.run([step, takes], {x: 1}) == [1, 1]
        session.close()


ATTACH = """
import sys, weftwork as tf
count = tf.Variable(0, name="count", dtype=tf.int64)
step = count.assign_add(10)
with tf.Session(sys.argv[1], config=tf.ConfigProto(name=sys.argv[2], lifetime="detached")) as session:
    if sys.argv[3] == "new":
        session.run(count.initializer)
    print("VALUE", session.run(step))
"""


def attached(name, word):
    """What another process gets, which attaches to a name."""
    address = backend.ray().get_runtime_context().gcs_address
    done = subprocess.run(
        [sys.executable, "-c", ATTACH, address, name, word],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return int(re.search(r"VALUE (\d+)", done.stdout)[1])


def test_a_detached_session_outlives_its_process_and_others_attach(name):
    assert attached(name, "new") == 10
    assert attached(name, "again") == 20
    session, count, step = counter(tf.ConfigProto(name=name, lifetime="detached"))
    assert [session.run(count), session.run(step)] == [20, 21]
    session.close()
    assert attached(name, "again") == 31


def test_a_ray_task_attaches_by_name(name):
    session, count, _ = counter(tf.ConfigProto(name=name))
    session.run(count.initializer)

    def work():
        import weftwork as tf

        with tf.Graph().as_default():
            count = tf.Variable(0, name="count", dtype=tf.int64)
            with tf.Session(config=tf.ConfigProto(name=name)) as session:
                return session.run(count.assign_add(5))

    assert backend.ray().get([backend.ray().remote(num_cpus=0)(work).remote() for _ in range(2)]) in ([5, 10], [10, 5])
    assert session.run(count) == 10
    session.close()


def test_a_host_that_died_is_told_and_a_checkpoint_brings_its_variables_back(name, tmp_path):
    config = tf.ConfigProto(name=name, checkpoint_dir=str(tmp_path), checkpoint_every=0.05)
    session, count, step = counter(config)
    session.run(count.initializer)
    folder = str(tmp_path)
    while tf.train.latest_checkpoint(folder) is None or tf.train.load_variable(folder, "count") == 0:
        session.run(step)
    host = session._engine.host
    pid = hosts.ask(host, "pid")
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(tf.errors.UnavailableError, match="The process of the shared session is gone"):
        session.run(step)
    session.close()
    session, count, step = counter(config)
    assert session.run(count) >= 1
    session.close()


def test_a_server_s_target_names_it():
    server = tf.train.Server.create_local_server()
    assert re.fullmatch(r"grpc://localhost:\d+", server.target)
    one, count, step = counter(target=server.target)
    two, _, other = counter(target=server.target)
    one.run(count.initializer)
    one.run(step)
    one.close()
    assert two.run(other) == 2
    private, lonely, _ = counter(tf.ConfigProto(isolate_session_state=True), server.target)
    with pytest.raises(tf.errors.FailedPreconditionError):
        private.run(lonely)
    tf.Session.reset(server.target)
    with pytest.raises(tf.errors.AbortedError, match="was reset"):
        two.run(other)
    three, count, _ = counter(target=server.target)
    with pytest.raises(tf.errors.FailedPreconditionError):
        three.run(count)


def test_a_reset_may_spare_containers():
    server = tf.train.Server.create_local_server()
    with tf.Graph().as_default() as graph:
        with tf.container("kept"):
            kept = tf.Variable(1, name="kept")
        with tf.container("gone"):
            gone = tf.Variable(2, name="gone")
        with tf.Session(server.target, graph=graph) as session:
            session.run(tf.global_variables_initializer())
        tf.Session.reset(server.target, ["gone"])
        with tf.Session(server.target, graph=graph) as session:
            assert session.run(kept) == 1
            with pytest.raises(tf.errors.FailedPreconditionError):
                session.run(gone)


def test_what_is_not_there_is_told():
    with pytest.raises(tf.errors.NotFoundError, match="There is no server at grpc://localhost:1 "):
        tf.Session("grpc://localhost:1")
    with pytest.raises(tf.errors.NotFoundError, match="no shared session or server"):
        tf.Session.reset("grpc://localhost:1")


def test_cluster_specs():
    spec = tf.train.ClusterSpec({"ps": ["a:1"], "worker": {1: "b:2", 3: "c:3"}})
    assert spec.jobs == ["ps", "worker"]
    assert spec.num_tasks("worker") == 2
    assert spec.job_tasks("worker") == [None, "b:2", None, "c:3"]
    assert spec.task_address("ps", 0) == "a:1"
    assert spec.as_dict() == {"ps": ["a:1"], "worker": {1: "b:2", 3: "c:3"}}
    assert repr(spec) == str(spec) == "ClusterSpec({'ps': ['a:1'], 'worker': {1: 'b:2', 3: 'c:3'}})"
    assert spec == tf.train.ClusterSpec(spec.as_dict())
    assert spec != tf.train.ClusterSpec({"ps": ["a:1"]})
    assert spec == tf.train.ClusterSpec(spec.as_cluster_def())
    assert spec == {"ps": {0: "a:1"}, "worker": {1: "b:2", 3: "c:3"}}
    assert tf.train.ClusterSpec({"empty": []}).as_dict() == {"empty": {}}
    for wrong in ({"worker": 3}, [1], {"worker": [1]}, {1: ["a"]}):
        with pytest.raises(TypeError):
            tf.train.ClusterSpec(wrong)
    with pytest.raises(ValueError, match="No such job"):
        spec.num_tasks("chief")
    with pytest.raises(ValueError, match="Must specify an explicit `job_name`"):
        tf.train.Server(spec)
    with pytest.raises(ValueError, match="Must specify an explicit `task_index`"):
        tf.train.Server(spec, job_name="worker")
    with pytest.raises(tf.errors.InvalidArgumentError, match="port"):
        tf.train.Server({"local": ["localhost"]})


# What it tells about itself is what its host does


def traced(session, fetches, feeds=None, **options):
    """The value of a run, and its metadata."""
    metadata = tf.RunMetadata()
    return session.run(fetches, feeds, tf.RunOptions(**options), metadata), metadata


def test_a_run_of_a_shared_session_is_traced(name):
    session, count, step = counter(tf.ConfigProto(name=name))
    session.run(count.initializer)
    value, metadata = traced(session, step, trace_level=tf.RunOptions.FULL_TRACE, output_partition_graphs=True)
    assert value == 1
    nodes = [node.node_name for device in metadata.step_stats.dev_stats for node in device.node_stats]
    assert nodes == [step.op.name]
    (part,) = metadata.partition_graphs
    assert step.op.name in [node.name for node in part.node]
    session.close()


def test_placements_of_a_shared_session_are_those_of_its_own_runs(name):
    (one, count, step), (two, _, other) = [counter(tf.ConfigProto(name=name)) for _ in range(2)]
    one.run(count.initializer)
    for _ in range(3):
        one.run(step)
    assert two.placements == {}
    two.run(other)
    assert two.placements == {"caller": (1, 1)}
    assert one.placements == {"caller": (4, 4)}
    two.close()
    one.close()


def test_a_shared_session_explains_the_plan_of_its_host(name):
    session, count, step = counter(tf.ConfigProto(name=name))
    session.run(count.initializer)
    for _ in range(2):
        session.run(step)
    plan = session.explain(step)
    assert plan.runs == 2
    assert plan.segments[0].measured is not None
    with session.graph.as_default():
        unfed = tf.placeholder(tf.float32, [], name="unfed") * 2
    with pytest.raises(tf.errors.InvalidArgumentError, match="You must feed a value for placeholder tensor 'unfed'"):
        session.explain(unfed)
    session.close()


def test_a_shared_session_says_what_its_own_runs_wait_for(name):
    def queue_of_jobs():
        graph = tf.Graph()
        with graph.as_default():
            queue = tf.FIFOQueue(2, tf.int32, shapes=[[]], name="jobs")
            put, take = queue.enqueue(7), queue.dequeue(name="take")
        return tf.Session(graph=graph, config=tf.ConfigProto(name=name)), put, take

    (one, _, take), (two, put, _) = queue_of_jobs(), queue_of_jobs()
    future = one.submit(take)
    while not one.waiting():
        assert not future.done()
    (item,) = one.waiting()
    assert item.place == "queue"
    assert "take (defined at" in item.nodes[0]
    assert two.waiting() == []
    two.run(put)
    assert future.result(30) == 7
    assert one.waiting() == []
    two.close()
    one.close()
