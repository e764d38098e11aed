"""A session: how it is made, entered, shared by threads, and ended. What a run computes is in test_run.py."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import os
import pickle
import threading
import time
import warnings
import weakref

import numpy as np
import psutil
import pytest

import weftwork as tf
from tests.waiting import until
from weftwork.graph.errors import CancelledError, NotFoundError

CLOSED = r"Attempted to use a closed Session\."
HERE = tf.ConfigProto(placement="caller")


@tf.op
def touch_and_hang(path):
    """Says that it has begun, and never returns."""
    open(path, "w").close()
    while True:
        time.sleep(0.05)


@tf.op
def pid(after=None):
    """The process that it runs in."""
    return os.getpid()


def counter(dtype=tf.int64):
    """A variable that starts at 0, and the update that adds 1 to it."""
    variable = tf.Variable(np.asarray(0, dtype.numpy), name="counter")
    return variable, variable.assign_add(np.asarray(1, dtype.numpy))


def in_threads(*functions):
    """Run functions beside each other, and raise what one of them raised."""
    errors = []

    def guarded(function):
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


# Making one


def test_a_graph_must_be_a_graph():
    with pytest.raises(TypeError, match="graph must be a tf.Graph, but got <class 'int'>"):
        tf.Session(graph=3)


def test_a_config_must_be_a_config():
    with pytest.raises(TypeError, match="config must be a tf.ConfigProto, but got <class 'dict'>"):
        tf.Session(config={})


def test_a_target_must_be_a_string():
    with pytest.raises(TypeError, match="target must be a string, but got <class 'int'>") as caught:
        tf.Session(37)
    assert "Did you" not in str(caught.value)


def test_a_config_in_the_place_of_the_target_gets_a_hint():
    with pytest.raises(TypeError, match="target must be a string, but got <class '.*ConfigProto'>") as caught:
        tf.Session(tf.ConfigProto())
    assert 'Did you do "Session(config)" instead of "Session(config=config)"?' in str(caught.value)


@pytest.mark.parametrize("target", ["INVALID_TARGET", b"INVALID_TARGET", "host:port"])
def test_an_unknown_target_is_not_found(target):
    text = target if isinstance(target, str) else target.decode()
    with pytest.raises(NotFoundError) as caught:
        tf.Session(target)
    expected = f'No session factory registered for the given session options: {{target: "{text}" config: '
    assert expected in str(caught.value)
    assert caught.value.op is None


def test_a_session_takes_the_default_graph_of_its_construction():
    first, second = tf.Graph(), tf.Graph()
    with first.as_default():
        session = tf.Session()
    with second.as_default():
        assert session.graph is first
    assert tf.Session(graph=second).graph is second


def test_the_target_is_kept_as_bytes(graph):
    assert tf.Session().sess_str == b""
    assert tf.Session("local").sess_str == b"local"
    assert tf.Session(b"local").sess_str == b"local"


def test_the_graph_is_told_as_a_graph_def_as_far_as_it_has_grown(graph):
    with tf.Session() as session:
        a = tf.constant(1, name="a")
        with tf.control_dependencies([a]):
            tf.add(a, tf.placeholder(tf.int32, [], name="x"), name="b")
        nodes = session.graph_def.node
    assert [(node.name, node.op) for node in nodes] == [("a", "Const"), ("x", "Placeholder"), ("b", "Add")]
    assert list(nodes[2].input) == ["a", "x"]


def test_a_session_keeps_its_own_copy_of_the_config(graph):
    config = tf.ConfigProto(copy=False)
    session = tf.Session(config=config)
    big = tf.constant(np.zeros(100_000)) + tf.placeholder(tf.float64, [])
    config.copy = True
    config.placement = "task"
    assert session._config.placement == "auto"
    assert not session._config.copy
    assert session.run(big, {big.op.inputs[1]: 1.0}).sum() == 100_000


def test_nodes_added_after_a_run_are_there_for_the_next(graph):
    with tf.Session() as session:
        a = tf.constant(2.0)
        assert session.run(a * 3) == 6
        assert session.run(a * 4) == 8


def test_a_finalized_graph_still_runs(graph):
    a = tf.constant(2.0)
    variable = tf.Variable(1.0)
    graph.finalize()
    with tf.Session() as session:
        session.run(variable.initializer)
        assert session.run([a, variable]) == [2, 1]


# The context manager


def test_a_session_is_the_default_inside_its_context_and_closed_after_it():
    graph = tf.Graph()
    with tf.Session(graph=graph) as session:
        assert tf.get_default_session() is session
        assert tf.get_default_graph() is graph
        a = tf.constant(5)
        assert a.graph is graph
        assert a.eval() == 5
    assert tf.get_default_session() is None
    assert tf.get_default_graph() is not graph
    with pytest.raises(RuntimeError, match=CLOSED):
        session.run(a)


def test_a_session_cannot_be_entered_twice(graph):
    session = tf.Session()
    with session:
        with pytest.raises(RuntimeError, match=r"Session context managers are not re-entrant\. Use "):
            session.__enter__()
        assert tf.get_default_session() is session
    assert tf.get_default_session() is None


def test_as_default_may_be_entered_often_and_does_not_close(graph):
    a = tf.constant(5)
    session = tf.Session()
    for _ in range(2):
        with session.as_default() as inner, session.as_default():
            assert inner is session
            assert a.eval() == 5
    assert session.run(a) == 5


def test_as_default_leaves_the_default_graph_alone(graph):
    other = tf.Graph()
    with tf.Session(graph=other).as_default():
        assert tf.get_default_graph() is graph


def test_an_exception_leaves_the_context_and_closes_the_session(graph):
    a = tf.constant(5)
    session = tf.Session()
    with pytest.raises(ZeroDivisionError), session:
        raise ZeroDivisionError
    assert tf.get_default_session() is None
    with pytest.raises(RuntimeError, match=CLOSED):
        session.run(a)


# The stack of default sessions


def test_default_sessions_nest(graph):
    one, two = tf.Session(), tf.Session()
    with one.as_default():
        with two.as_default():
            assert tf.get_default_session() is two
        assert tf.get_default_session() is one


def test_eval_and_run_need_a_session(graph):
    tensor = tf.constant(1)
    with pytest.raises(
        ValueError, match=r"Cannot evaluate tensor using `eval\(\)`: No default session is registered\."
    ):
        tensor.eval()
    with pytest.raises(
        ValueError, match=r"Cannot execute operation using `run\(\)`: No default session is registered\."
    ):
        tensor.op.run()


def test_eval_and_run_need_a_session_of_their_graph(graph):
    tensor = tf.constant(1)
    other = tf.Session(graph=tf.Graph())
    with other.as_default():
        with pytest.raises(
            ValueError, match="Cannot use the default session to evaluate tensor: the tensor's graph is"
        ):
            tensor.eval()
        with pytest.raises(ValueError, match="Cannot use the default session to execute operation: the operation's"):
            tensor.op.run()
    with pytest.raises(ValueError, match="Cannot use the given session to evaluate tensor: the tensor's graph is"):
        tensor.eval(session=other)
    with pytest.raises(ValueError, match="Cannot use the given session to execute operation: the operation's graph"):
        tensor.op.run(session=other)


def test_eval_takes_feeds_and_a_session(graph):
    x = tf.placeholder(tf.float32)
    assert (x * 2).eval({x: 4}, tf.Session()) == 8


def test_a_new_thread_has_no_default_session(graph):
    seen = []
    with tf.Session():
        in_threads(lambda: seen.append(tf.get_default_session()))
    interactive = tf.InteractiveSession()
    in_threads(lambda: seen.append(tf.get_default_session()))
    interactive.close()
    assert seen == [None, None]


# InteractiveSession


def test_an_interactive_session_is_the_default_until_it_is_closed(graph):
    a = tf.constant(5)
    session = tf.InteractiveSession()
    assert tf.get_default_session() is session
    assert a.eval() == 5
    session.close()
    session.close()
    assert tf.get_default_session() is None
    with pytest.raises(RuntimeError, match=CLOSED):
        session.run(a)


def test_an_interactive_session_pushes_the_graph_that_it_is_given():
    graph = tf.Graph()
    session = tf.InteractiveSession(graph=graph)
    assert tf.get_default_graph() is graph
    session.close()
    assert tf.get_default_graph() is not graph


def test_interactive_sessions_are_closed_in_any_order(graph):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first, second = tf.InteractiveSession(), tf.InteractiveSession()
    first.close()
    assert tf.get_default_session() is second
    second.close()
    assert tf.get_default_session() is None


def test_a_second_live_interactive_session_warns_once(graph):
    first = tf.InteractiveSession()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        second = tf.InteractiveSession()
    first.close()
    second.close()
    (warning,) = caught
    assert str(warning.message) == (
        "An interactive session is already active. This can cause out-of-memory errors in some cases. You must "
        "explicitly call `InteractiveSession.close()` to release resources held by the other session(s)."
    )
    assert warning.filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tf.InteractiveSession().close()


# State


def test_sessions_on_one_graph_share_nothing(graph):
    variable, add = counter()
    one, two = tf.Session(), tf.Session()
    one.run(variable.initializer)
    two.run(variable.initializer)
    one.run(add)
    one.run(add)
    assert one.run(variable) == 2
    assert two.run(variable) == 0
    one.close()
    assert two.run(add) == 1


def test_variables_die_with_their_session(graph):
    variable, _ = counter()
    with tf.Session() as session:
        session.run(variable.initializer)
    with tf.Session() as session, pytest.raises(tf.errors.FailedPreconditionError) as caught:
        session.run(variable)
    assert "Attempting to use uninitialized value counter" in str(caught.value)
    assert caught.value.op is variable.op


# Ends


def test_a_closed_session_refuses_everything(graph):
    x = tf.placeholder(tf.float32)
    y = x + 1
    session = tf.Session()
    plus = session.make_callable(y, [x])
    five = session.make_callable(tf.constant(5))
    handle = session.partial_run_setup(y, [x])
    assert (plus(1), five()) == (2, 5)
    session.close()
    session.close()
    for use in (
        lambda: session.run(y, {x: 1}),
        lambda: session.run([]),
        lambda: session.run("no such thing"),
        lambda: session.submit(y, {x: 1}),
        lambda: session.make_callable(y, [x]),
        lambda: session.partial_run_setup(y, [x]),
        lambda: session.partial_run(handle, y, {x: 1}),
        session.list_devices,
        lambda: plus(1),
        five,
    ):
        with pytest.raises(RuntimeError, match=CLOSED):
            use()


def test_threads_that_use_a_session_while_it_is_closed_get_the_same_error(graph):
    """Small runs end whole or are refused: a thread in a loop sees nothing else."""
    variable, add = counter()
    session = tf.Session(config=HERE)
    session.run(variable.initializer)
    last, errors = [0] * 4, []

    def work(index):
        try:
            while True:
                last[index] = session.run(add)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: all(last))
    session.close()
    for thread in threads:
        thread.join()
    assert [type(error) for error in errors] == [RuntimeError] * 4
    assert {str(error) for error in errors} == {"Attempted to use a closed Session."}


def test_close_lets_a_run_on_its_way_finish(graph):
    entered, go = threading.Event(), threading.Event()

    def wait():
        entered.set()
        go.wait()
        return 5

    config = tf.ConfigProto(placement="caller", cancel_grace_in_ms=60_000)
    session = tf.Session(config=config)
    future = session.submit(tf.op(wait)())
    entered.wait()
    closer = threading.Thread(target=session.close)
    closer.start()
    until(lambda: session._closed)
    go.set()
    assert future.result() == 5
    closer.join()


@pytest.mark.parametrize("placement", ["auto", "task", "actor"])
def test_close_cancels_a_run_that_does_not_end(graph, ray_session, tmp_path, placement):
    path = str(tmp_path / "begun")
    session = tf.Session(config=tf.ConfigProto(placement=placement, cancel_grace_in_ms=100))
    future = session.submit(touch_and_hang(path))
    until(lambda: os.path.exists(path))
    session.close()
    with pytest.raises(CancelledError, match="Run call was cancelled"):
        future.result()


@pytest.mark.parametrize("abandon", [False, True])
def test_a_session_leaves_no_process_behind(graph, ray_session, abandon):
    """Closed or forgotten, it takes its actor along."""
    session = tf.Session(config=tf.ConfigProto(placement="actor"))
    actor = psutil.Process(session.run(pid()))
    assert actor.pid != os.getpid()
    assert actor.is_running()
    if abandon:
        gone = weakref.ref(session)
        gc.disable()
        try:
            del session  # by its last reference: the garbage collector may come by much later
            assert gone() is None
        finally:
            gc.enable()
    else:
        session.close()
    actor.wait(60)


# Devices


def test_devices_are_listed_in_their_canonical_form(graph):
    with tf.Session() as session:
        devices = session.list_devices()
    assert devices
    assert devices[0].name == "/job:localhost/replica:0/task:0/device:CPU:0"
    assert devices[0].device_type == "CPU"
    assert devices[0].memory_limit_bytes > 0
    assert all(device.incarnation != 0 for device in devices)


def test_a_machine_shows_as_many_cpus_as_the_session_was_told(graph):
    with tf.device("/cpu:2"):
        x = tf.constant(1.0)
    config = tf.ConfigProto(device_count={"CPU": 3})
    with tf.Session(config=config) as session:
        devices = session.list_devices()
        assert [device.name[-5:] for device in devices if device.device_type == "CPU"] == ["CPU:0", "CPU:1", "CPU:2"]
        assert str(devices[0]).startswith("_DeviceAttributes(/job:localhost")
        assert session.run(x) == 1.0


def test_a_device_that_is_not_there_fails_every_run_or_the_runs_that_need_it(graph):
    with tf.device("/job:nowhere/task:3"):
        there = tf.constant(1.0, name="there")
    here = tf.constant(2.0)
    text = "Cannot assign a device for operation there"
    with tf.Session() as session, pytest.raises(tf.errors.InvalidArgumentError, match=text):
        session.run(here)
    session = tf.InteractiveSession()
    assert here.eval() == 2.0
    with pytest.raises(tf.errors.InvalidArgumentError, match=text) as failure:
        there.eval()
    assert failure.value.op is there.op
    session.close()
    with tf.Session(config=tf.ConfigProto(allow_soft_placement=True)) as session:
        assert session.run([here, there]) == [2.0, 1.0]


# Runs in the background


def test_a_submitted_run_is_a_future(graph):
    x = tf.placeholder(tf.float32)
    with tf.Session() as session:
        future = session.submit({"y": x + 1, "z": [x, x.op]}, {x: 2})
        assert future.result() == {"y": 3, "z": [2, None]}
        assert future.done()
        assert not future.cancel()


def test_a_submitted_run_fails_through_its_future(graph):
    with tf.Session(config=HERE) as session:
        broken = session.submit(tf.op(lambda: [][0])())
        with pytest.raises(tf.errors.UnknownError, match="IndexError"):
            broken.result()
        assert isinstance(broken.exception(), tf.errors.UnknownError)


def test_cancelling_a_future_cancels_its_run(graph, ray_session, tmp_path):
    path = str(tmp_path / "begun")
    variable, add = counter()
    with tf.control_dependencies([add]):
        hang = touch_and_hang(path)
    with tf.Session(config=tf.ConfigProto(cancel_grace_in_ms=100)) as session:
        session.run(variable.initializer)
        future = session.submit(hang)
        until(lambda: os.path.exists(path))
        assert future.cancel()
        with pytest.raises(CancelledError, match="Run call was cancelled"):
            future.result()
        assert session.run(variable) == 0
        assert session.run(add) == 1


class Gate:
    """A run that does not end before it is told to, in this process."""

    def __init__(self):
        self.entered, self.go = threading.Event(), threading.Event()

    def node(self):
        def wait():
            self.entered.set()
            self.go.wait(60)
            return 5

        return tf.op(wait)()


BOTH_KINDS = (CancelledError, concurrent.futures.CancelledError)


def test_a_cancelled_future_is_one_of_concurrent_futures(graph):
    gate, variable = Gate(), tf.Variable(0)
    seen: list = []
    with tf.control_dependencies([gate.node()]):
        change = tf.assign_add(variable, 1)
    with tf.Session(config=HERE) as session:
        session.run(variable.initializer)
        future = session.submit(change)
        future.add_done_callback(seen.append)
        gate.entered.wait()
        assert (future.running(), future.done(), future.cancelled()) == (True, False, False)
        assert future.cancel()
        assert (future.running(), future.done(), future.cancelled()) == (False, True, True)
        assert future.cancel()
        assert seen == [future]
        future.add_done_callback(seen.append)
        assert seen == [future, future]
        assert concurrent.futures.wait([future], 60).done == {future}
        for kind in BOTH_KINDS:
            with pytest.raises(kind, match="Run call was cancelled"):
                future.result(timeout=0.01)  # its run is not over: somebody's function does not end
            assert isinstance(future.exception(timeout=0.01), kind)
        gate.go.set()
        with pytest.raises(CancelledError) as caught:
            future.result()
        assert isinstance(caught.value, concurrent.futures.CancelledError)
        assert type(pickle.loads(pickle.dumps(caught.value))) is type(caught.value)
        assert session.run(variable) == 0


def test_a_future_can_be_cancelled_before_its_run_has_begun(graph):
    variable = tf.Variable(0)
    with tf.Session(config=HERE) as session:
        session.run(variable.initializer)
        futures = [session.submit(tf.assign_add(variable, 1)) for _ in range(20)]
        cancelled = [future.cancel() for future in futures]
        assert [future.cancelled() for future in futures] == cancelled
        done = [future for future in futures if not future.cancelled()]
        assert len({int(future.result()) for future in done}) == len(done)
        for future in futures:
            if future.cancelled():
                with pytest.raises(concurrent.futures.CancelledError):
                    future.result()
        assert session.run(variable) == len(done)  # either it is cancelled or it has changed something


def test_a_run_that_is_done_or_has_failed_is_not_cancelled(graph):
    with tf.Session(config=HERE) as session:
        future, broken = session.submit(tf.constant(1) + 1), session.submit(tf.op(lambda: [][0])())
        assert future.result(60) == 2
        assert isinstance(broken.exception(60), tf.errors.UnknownError)
        for each in (future, broken):
            assert (each.cancel(), each.cancelled(), each.done(), each.running()) == (False, False, True, False)
        assert future.exception() is None


def test_a_future_that_is_not_done_in_time_raises_a_timeout_and_goes_on(graph):
    gate = Gate()
    with tf.Session(config=HERE) as session:
        future = session.submit(gate.node())
        for look in (future.result, future.exception):
            with pytest.raises(concurrent.futures.TimeoutError):
                look(timeout=0.01)
        gate.go.set()
        assert future.result(60) == 5


def test_the_end_of_its_session_cancels_a_future(graph):
    queue = tf.FIFOQueue(1, [tf.float32])
    session = tf.Session(config=tf.ConfigProto(cancel_grace_in_ms=10))
    future = session.submit(queue.dequeue())
    until(session.waiting)
    session.close()
    with pytest.raises(CancelledError):
        future.result(60)
    assert future.cancelled()


def test_a_closed_queue_fails_a_future_but_does_not_cancel_it(graph):
    queue = tf.FIFOQueue(1, [tf.float32])
    with tf.Session(config=HERE) as session:
        session.run(queue.close())
        future = session.submit(queue.enqueue(1.0))
        assert isinstance(future.exception(60), CancelledError)
        assert not future.cancelled()


def test_a_future_works_with_asyncio(graph):
    gate = Gate()

    async def both(session):
        made = await asyncio.wrap_future(session.submit(tf.constant(1) + 1))
        future = session.submit(gate.node())
        waiting = asyncio.wrap_future(future)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(0)  # asyncio passes it on between two steps
        return made, future.cancelled()

    with tf.Session(config=HERE) as session:
        found = asyncio.run(both(session))
        gate.go.set()
    assert found == (2, True)


# Threads


def test_no_update_is_lost_between_threads(graph):
    variable, add = counter()
    with tf.Session(config=HERE) as session:
        session.run(variable.initializer)
        in_threads(*[lambda: [session.run(add) for _ in range(200)]] * 8)
        assert session.run(variable) == 1600


def test_each_updater_sees_a_number_of_its_own(graph):
    variable, add = counter()
    with tf.Session(config=HERE) as session:
        session.run(variable.initializer)
        step = session.make_callable(add)
        seen: list[list] = [[] for _ in range(4)]
        in_threads(*[lambda mine=mine: mine.extend([step() for _ in range(100)]) for mine in seen])
    assert sorted(number for mine in seen for number in mine) == list(range(1, 401))
    assert all(mine == sorted(mine) for mine in seen)


def test_a_run_reads_all_variables_of_one_moment(graph):
    value = tf.placeholder(tf.int64, [])
    a, b = tf.Variable(np.int64(0)), tf.Variable(np.int64(0))
    both = tf.group(a.assign(value), b.assign(-value))
    total = a + b
    with tf.Session(config=HERE) as session:
        session.run(tf.global_variables_initializer())
        done = threading.Event()

        def write():
            for number in range(300):
                session.run(both, {value: number})
            done.set()

        def read():
            while not done.is_set():
                one, two = session.run([a, b])
                assert one == -two
                assert session.run(total) == 0

        in_threads(write, read, read)


def test_runs_go_on_while_the_graph_grows(graph):
    x = tf.placeholder(tf.float64, [])
    with tf.Session(config=HERE) as session:

        def build_and_run(base):
            with graph.as_default():
                for number in range(50):
                    assert session.run(x + float(base + number), {x: 1}) == base + number + 1

        def run(y):
            for number in range(200):
                assert session.run(y, {x: number}) == 2 * number

        in_threads(lambda: build_and_run(0), lambda: build_and_run(100), lambda y=x * 2: run(y), lambda y=x + x: run(y))
    names = [op.name for op in graph.get_operations()]
    assert len(set(names)) == len(names)


def test_a_run_that_waits_for_another_can_be_cancelled(graph):
    """A run holds its write locks while a function of its own runs: one that waits for them can still be stopped."""
    entered, go = threading.Event(), threading.Event()
    variable, add = counter()

    def wait():
        entered.set()
        go.wait()

    with tf.control_dependencies([add]):
        slow = tf.op(wait)()
    with tf.Session(config=HERE) as session:
        session.run(variable.initializer)
        first = session.submit(slow)
        entered.wait()
        with pytest.raises(tf.errors.DeadlineExceededError, match="Timed out waiting for notification"):
            session.run(add, options=tf.RunOptions(timeout_in_ms=100))
        second = session.submit(add)
        until(lambda: second._run is not None)
        assert second.cancel()
        with pytest.raises(CancelledError, match="Run call was cancelled"):
            second.result()
        go.set()
        assert first.result() is None
        assert session.run(variable) == 1
