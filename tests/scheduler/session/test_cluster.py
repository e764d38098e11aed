"""Clusters: the servers of several tasks, what they share, and what each has for itself."""

import json
import socket
import subprocess
import sys
import threading

import pytest

import weftwork as tf
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("ray_session")


def addresses(**jobs):
    """Free ports for so many tasks of each job."""
    taken = {job: [socket.socket() for _ in range(count)] for job, count in jobs.items()}
    for sockets in taken.values():
        for each in sockets:
            each.bind(("", 0))
    found = {job: [f"localhost:{each.getsockname()[1]}" for each in sockets] for job, sockets in taken.items()}
    for sockets in taken.values():
        for each in sockets:
            each.close()
    return found


@pytest.fixture(scope="module")
def workers():
    """The targets of two workers, whose state a "ps" keeps."""
    spec = tf.train.ClusterSpec(addresses(worker=2, ps=1))
    servers = [tf.train.Server(spec, "worker", 0), tf.train.Server(spec, "worker", 1), tf.train.Server(spec, "ps", 0)]
    yield [server.target for server in servers[:2]]
    tf.Session.reset(servers[0].target)


@pytest.fixture
def sessions(workers, graph):
    with tf.Session(workers[0]) as one, tf.Session(workers[1]) as other:
        yield one, other


def test_variables_of_a_named_task_are_shared_and_others_are_each_worker_s_own(sessions):
    one, other = sessions
    with tf.device("/job:ps/task:0"):
        common = tf.Variable(1.0, name="common")
    own = tf.Variable(5.0, name="own")
    with tf.device("/job:worker/task:1"):
        there = tf.Variable(8.0, name="there")
    one.run([common.initializer, own.initializer, there.initializer])
    assert other.run(common.assign_add(2.0)) == 3.0
    assert one.run([common, own, there]) == [3.0, 5.0, 8.0]
    assert other.run(there) == 8.0
    with pytest.raises(tf.errors.FailedPreconditionError, match="uninitialized value own") as failure:
        other.run(own)
    assert failure.value.op is own.op
    assert other.run(tf.report_uninitialized_variables()).tolist() == [b"own"]


def test_queues_lie_where_their_devices_say(sessions):
    one, other = sessions
    with tf.device("/job:worker/task:1"):
        there = tf.FIFOQueue(2, tf.int32, name="there")
    own = tf.FIFOQueue(2, tf.int32, name="own")
    one.run([there.enqueue(7), own.enqueue(8)])
    assert other.run([there.size(), own.size()]) == [1, 0]
    assert other.run(there.dequeue()) == 7


def test_the_tasks_are_the_devices_and_others_are_placed_softly_or_refused(workers, sessions):
    one, _ = sessions
    names = [f"/job:{task}/device:CPU:0" for task in ("ps/replica:0/task:0", "worker/replica:0/task:0")]
    assert [device.name for device in one.list_devices()][:2] == names
    with tf.device("/job:worker/task:1/cpu:0"):
        x = tf.constant(1.0)
    assert one.run(x) == 1.0
    with tf.device("/job:worker/task:7"):
        y = tf.constant(2.0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="available devices are .*/job:ps/replica:0/task:0"):
        one.run(y)
    with tf.Session(workers[0], config=tf.ConfigProto(allow_soft_placement=True)) as soft:
        assert soft.run([x, y]) == [1.0, 2.0]


def test_a_partial_run_of_a_server_s_session_computes_each_thing_once(sessions):
    one, _ = sessions
    a, b = tf.placeholder(tf.float32, []), tf.placeholder(tf.float32, [])
    count = tf.Variable(0.0)
    one.run(count.initializer)
    with tf.control_dependencies([count.assign_add(1.0)]):
        first = tf.identity(a)
    second = first * b
    handle = one.partial_run_setup([first, second], [a, b])
    assert one.partial_run(handle, first, {a: 5}) == 5.0
    assert one.partial_run(handle, second, {b: 2}) == 10.0
    assert one.run(count) == 1.0


def test_closing_a_server_s_session_cancels_what_waits_in_it(workers, graph):
    taken = tf.FIFOQueue(1, tf.int32).dequeue()
    session, ended = tf.Session(workers[0]), []

    def wait():
        try:
            session.run(taken)
        except tf.errors.CancelledError as error:
            ended.append(error.message)

    threading.Thread(target=wait, daemon=True).start()
    until(lambda: session.waiting())
    session.close()
    until(lambda: ended)
    assert ended == ["Step was cancelled by an explicit call to `Session::Close()`."]


def test_a_session_waits_for_the_keeper_as_long_as_it_may(graph):
    spec = tf.train.ClusterSpec(addresses(ps=1, worker=1))
    worker = tf.train.Server(spec, "worker", 0)
    hurried = tf.ConfigProto(operation_timeout_in_ms=300)
    with pytest.raises(tf.errors.DeadlineExceededError, match="/job:ps/replica:0/task:0 did not answer"):
        tf.Session(worker.target, config=hurried)
    with pytest.raises(tf.errors.DeadlineExceededError):
        tf.Session.reset("grpc://localhost:1", config=hurried)
    made = []
    threading.Thread(target=lambda: made.append(tf.Session(worker.target)), daemon=True).start()
    ps = tf.train.Server(spec, "ps", 0)
    until(lambda: made)
    assert made[0].list_devices()[0].name.startswith("/job:ps")
    made[0].close()
    assert ps.server_def.job_name == "ps"


def test_a_session_with_a_cluster_of_its_own_has_its_devices_and_its_variables(graph):
    spec = tf.train.ClusterSpec({"worker": ["a:1", "b:2"]})
    with tf.device("/job:worker/task:1"):
        v = tf.Variable(3.0)
    with tf.Session(config=tf.ConfigProto(cluster_def=spec.as_cluster_def())) as session:
        session.run(v.initializer)
        assert session.run(v) == 3.0
        assert [device.name[:29] for device in session.list_devices()] == [
            "/job:worker/replica:0/task:0/",
            "/job:worker/replica:0/task:1/",
        ]


def test_a_server_says_what_it_serves():
    config = tf.ConfigProto(gpu_options=tf.GPUOptions(per_process_gpu_memory_fraction=0.25))
    server = tf.train.Server.create_local_server(config=config, start=False)
    told = server.server_def
    assert (told.job_name, told.task_index, told.protocol) == ("local", 0, "grpc")
    assert [(job.name, dict(job.tasks)) for job in told.cluster.job] == [("local", {0: "localhost:0"})]
    assert told.default_session_config.gpu_options.per_process_gpu_memory_fraction == 0.25
    again = tf.train.Server(told, start=False)
    assert again.server_def == told
    with pytest.raises(tf.errors.InvalidArgumentError, match="was not defined"):
        tf.train.Server({"local": ["localhost:0"]}, job_name="local", task_index=3)
    with pytest.raises(tf.errors.UnknownError, match="Could not start"):
        tf.train.Server({"local": [again.target.removeprefix("grpc://")]})


def test_workers_in_other_processes_train_one_model(graph):
    jobs = addresses(ps=1, worker=2)
    command = [sys.executable, "-m", "tests.tasks_program"]
    workers = [
        subprocess.Popen([*command, str(index), json.dumps(jobs)], stdout=subprocess.PIPE, text=True)
        for index in (1, 0)
    ]
    ps = tf.train.Server(tf.train.ClusterSpec(jobs), "ps", 0)
    seen = [json.loads(worker.communicate(timeout=100)[0].splitlines()[-1]) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert [told["mine"] for told in seen] == [1.0, 0.0]
    assert all(told["last"] >= 20 for told in seen)
    assert sum(told["runs"] for told in seen) >= 20
    with tf.Session(ps.target) as session:
        assert session.run(tf.train.get_or_create_global_step()) >= 20


def test_what_a_server_cannot_be_is_told_when_it_is_made():
    with pytest.raises(TypeError, match="Could not convert `server_or_cluster_def`"):
        tf.train.Server(3)
    with pytest.raises(tf.errors.NotFoundError, match="No server factory registered"):
        tf.train.Server({"local": ["localhost:0"]}, protocol="carrier-pigeon")
    for address in ("localhost", "localhost:99999999"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="Could not parse port"):
            tf.train.Server({"local": [address]})
