"""Failures of runs: which error is raised, what it says, and that nothing else has changed."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import pickle
import sys
import threading
import time

import numpy as np
import pytest

import weftwork as tf
from tests.programs import Program
from weftwork.graph import errors

PLACEMENTS = ["caller", "actor", "task", "mixed", "auto"]
WORKERS = ["task", "actor"]


class OwnError(Exception):
    """An exception of a program's own, that needs two arguments."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code, self.text = code, text

    def __reduce__(self):
        return OwnError, (self.code, self.text)


class StubbornError(Exception):
    """An exception that does not pickle."""

    def __reduce__(self):
        raise TypeError("not this one")


class OddError(BaseException):
    """No Exception."""


@tf.op
def fail(error, *values):
    """Raises its first argument."""
    raise error


@tf.op
def fail_deeply(value):
    """Raises in a function that it calls."""
    return inner_function(value)


def inner_function(value):
    """The innermost frame."""
    raise KeyError(f"no {value} here")


@tf.op
def leave(status):
    """Ends its process at once."""
    os._exit(status)


@tf.op
def ask_to_leave(status):
    """Asks Python to end its process."""
    sys.exit(status)


@tf.op
def add(a, b):
    """A function that works."""
    return a + b


@tf.op
def give_lock(*values):
    """Returns a value that does not pickle."""
    return threading.Lock()


@tf.op(outputs=2)
def give(values):
    """Returns its argument as two outputs."""
    return values


@tf.op(timeout=0.2)
def hang(*values):
    """Never returns, but has a time limit."""
    while True:
        time.sleep(0.05)


@tf.op(timeout=300)
def hurry(value):
    """Returns long before its time limit."""
    return value


def line():
    """Where this was called: FILE:LINE."""
    frame = inspect.currentframe().f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


@pytest.fixture(params=PLACEMENTS)
def session(request, graph, ray_session):
    """A session in each placement; after the test it must still be usable."""
    with tf.Session(config=tf.ConfigProto(placement=request.param, cancel_grace_in_ms=200)) as session:
        yield session
        check = tf.placeholder(tf.float32, [])
        assert session.run(add(check, 1.0), {check: 2.0}) == 3


def failure(session, fetches, feeds=None, kind=tf.OpError):
    """The error of a run."""
    with pytest.raises(kind) as caught:
        session.run(fetches, feeds)
    return caught.value


# Classes and texts

EXCEPTIONS = [
    (ValueError("bad value"), errors.InvalidArgumentError, 3, "ValueError: bad value"),
    (TypeError("bad type"), errors.InvalidArgumentError, 3, "TypeError: bad type"),
    (UnicodeDecodeError("utf-8", b"x", 0, 1, "odd"), errors.InvalidArgumentError, 3, "UnicodeDecodeError: "),
    (StopIteration("end"), errors.OutOfRangeError, 11, "StopIteration: end"),
    (MemoryError("much"), errors.ResourceExhaustedError, 8, "MemoryError: much"),
    (NotImplementedError("later"), errors.UnimplementedError, 12, "NotImplementedError: later"),
    (ZeroDivisionError("zero"), errors.UnknownError, 2, "ZeroDivisionError: zero"),
    (OwnError(7, "own"), errors.UnknownError, 2, "OwnError: own"),
    (OSError(2, "no file"), errors.UnknownError, 2, "FileNotFoundError: [Errno 2] no file"),
    (errors.OutOfRangeError(None, None, "queue is empty"), errors.OutOfRangeError, 11, "queue is empty"),
    (errors.DataLossError(None, None, "gone"), errors.DataLossError, 15, "gone"),
]


@pytest.mark.parametrize("placement", ["caller", "actor", "task"])
def test_a_functions_exception_becomes_an_error_of_its_class(graph, ray_session, placement):
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        for number, (error, kind, code, text) in enumerate(EXCEPTIONS):
            node = fail(error, name=f"node{number}")
            caught = failure(session, node)
            assert type(caught) is kind
            assert caught.error_code == code
            assert caught.message.startswith(text)
            assert caught.op is node.op
            assert caught.node_def.name == f"node{number}"
            assert type(caught.__cause__) is type(error)
            assert str(caught.__cause__) == str(error)


def test_an_error_names_the_node_and_its_line(session):
    with tf.name_scope("scope"):
        node, where = fail(ValueError("bad")), line()
    caught = failure(session, tf.identity(node))
    assert str(caught) == f"ValueError: bad\n\t [[node scope/fail (defined at {where}) ]]"
    assert caught.op is node.op


def test_the_failing_node_is_named_among_many(session):
    """In programs of many nodes, interpreted and compiled."""
    x = tf.placeholder(tf.float64, [])
    value = x
    lines = {}
    for number in range(8):
        value, where = tf.py_func(reciprocal, [value - number], tf.float64, name=f"step{number}"), line()
        lines[number] = where
        value = 1.0 / value + number
    for _ in range(3):
        for number in (0, 3, 7):
            caught = failure(session, value, {x: number}, errors.UnknownError)
            assert f"[[node step{number} (defined at {lines[number]}) ]]" in str(caught)
            assert caught.op.name == f"step{number}"
    for _ in range(5):
        assert session.run(value, {x: 0.5}) == 0.5


def reciprocal(value):
    """Raises for 0."""
    if value == 0:
        raise ZeroDivisionError("nothing to divide by")
    return 1 / value


def test_library_nodes_fail_by_name_too(session):
    x, y = tf.placeholder(tf.float32, name="x"), tf.placeholder(tf.float32, name="y")
    product, where = tf.matmul(x, y, name="product"), line()
    caught = failure(session, product, {x: np.zeros([2, 3]), y: np.zeros([2, 3])}, errors.InvalidArgumentError)
    assert caught.op is product.op
    assert f"[[node product (defined at {where}) ]]" in str(caught)
    assert isinstance(caught.__cause__, ValueError)
    assert session.run(product, {x: np.ones([1, 2]), y: np.ones([2, 1])}) == 2


def test_the_cause_is_the_users_exception_with_its_traceback(session):
    caught = failure(session, fail_deeply("needle"), kind=errors.UnknownError)
    cause = caught.__cause__
    assert type(cause) is KeyError
    assert cause.args == ("no needle here",)
    if cause.__traceback__ is not None:  # it was raised in this process
        import traceback

        text = "".join(traceback.format_tb(cause.__traceback__))
    else:
        text = str(cause.__cause__)
    assert "in inner_function" in text
    assert 'raise KeyError(f"no {value} here")' in text
    assert os.path.basename(__file__) in text


@pytest.mark.parametrize("placement", WORKERS)
def test_the_traceback_of_another_process_is_readable(graph, ray_session, placement):
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        cause = failure(session, fail_deeply("needle")).__cause__
    assert isinstance(cause.__cause__, errors.RemoteTraceback)
    assert "in inner_function" in str(cause.__cause__)
    assert "KeyError: 'no needle here'" in str(cause.__cause__)


def test_errors_pickle(session):
    for node in (fail(ValueError("bad")), fail(OwnError(7, "own")), fail(StubbornError("stubborn"))):
        caught = failure(session, node)
        again = pickle.loads(pickle.dumps(caught))
        assert type(again) is type(caught)
        assert (str(again), again.message, again.error_code) == (str(caught), caught.message, caught.error_code)
        assert again.op.name == caught.op.name
    caught = failure(session, tf.placeholder(tf.float32, name="x"))
    assert str(pickle.loads(pickle.dumps(caught))) == str(caught)


def test_an_exception_that_does_not_pickle_is_told_by_its_text(session):
    caught = failure(session, fail_stubbornly(), kind=errors.UnknownError)
    assert "StubbornError: stubborn" in str(caught)
    assert "[[node fail_stubbornly (defined at " in str(caught)


@tf.op
def fail_stubbornly():
    """Raises an exception that does not pickle."""
    raise StubbornError("stubborn")


def test_the_first_error_wins_and_is_no_cancellation(session):
    """Cancellations caused by a failure do not hide it."""
    good = [add(tf.placeholder_with_default(number, []), 1) for number in range(5)]
    bad = fail(ValueError("root"), good[0])
    after = [add(bad, value) for value in good]
    for _ in range(3):
        caught = failure(session, [*good, *after], kind=errors.InvalidArgumentError)
        assert "root" in str(caught)
        assert caught.op is bad.op


# Functions that misbehave


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((1, 2, 3), "give returned 3 values, but 2 outputs were declared"),
        ([1], "give returned 1 values, but 2 outputs were declared"),
        ((), "give returned 0 values, but 2 outputs were declared"),
        (5, "give returned one int, but 2 outputs were declared"),
        ("ab", "give returned one str, but 2 outputs were declared"),
        (None, "give returned one NoneType, but 2 outputs were declared"),
    ],
)
@pytest.mark.parametrize("placement", ["caller", "task"])
def test_a_wrong_number_of_outputs_is_an_error(graph, ray_session, placement, values, text):
    first, _ = give(values)
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        caught = failure(session, first, kind=errors.InvalidArgumentError)
        assert text in caught.message
        assert caught.op is first.op
        assert session.run(give((1, 2))) == [1, 2]


def test_sys_exit_ends_the_run_and_no_process(session):
    caught = failure(session, ask_to_leave(3), kind=errors.UnknownError)
    assert caught.message.startswith("SystemExit: 3")
    assert caught.op.name == "ask_to_leave"


def test_no_exception_of_a_function_escapes_as_it_is(session):
    """Not even a BaseException, which Ray would print and replace by its own."""
    for error in (GeneratorExit("odd"), OddError("odd")):
        node = fail(error)
        caught = failure(session, node, kind=errors.UnknownError)
        assert caught.message.startswith(f"{type(error).__name__}: odd")
        assert caught.op is node.op


@pytest.mark.parametrize("placement", WORKERS)
def test_a_function_that_raises_a_keyboard_interrupt_in_a_worker_fails(graph, ray_session, placement):
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        caught = failure(session, fail(KeyboardInterrupt()), kind=errors.UnknownError)
        assert caught.message.startswith("KeyboardInterrupt")
        assert session.run(add(1, 2)) == 3


@pytest.mark.parametrize("placement", ["task", "actor", "auto"])
def test_a_function_that_ends_its_process_is_given_up_by_name(graph, ray_session, placement):
    w = tf.Variable([1.0, 2.0])
    node, where = leave(7), line()
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        session.run(w.initializer)
        caught = failure(session, [node, w.assign_add([1.0, 1.0])], kind=errors.UnavailableError)
        assert f"[[node leave (defined at {where}) ]]" in str(caught)
        assert "died 3 times" in caught.message
        assert caught.op is node.op
        assert session.run(w).tolist() == [1, 2]
        assert session.run(add(w, 1.0)).tolist() == [2, 3]


@pytest.mark.parametrize("placement", ["actor", "isolated"])
def test_a_result_that_does_not_pickle_is_an_error_where_it_must_travel(graph, ray_session, placement):
    give = tf.op(isolated=True)(give_lock.function) if placement == "isolated" else give_lock
    node, where = give(), line()
    with tf.Session(config=tf.ConfigProto(placement="auto" if placement == "isolated" else placement)) as session:
        caught = failure(session, node, kind=errors.InvalidArgumentError)
        assert "lock" in caught.message
        assert "cannot be pickled" in caught.message
        assert f"[[node give_lock (defined at {where}) ]]" in str(caught)
        assert caught.op is node.op


@pytest.mark.parametrize("placement", ["caller", "auto", "dynamic", "task"])
def test_a_result_that_does_not_pickle_is_made_here(graph, ray_session, placement):
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        locked = tf.op(lambda lock: lock.locked())(give_lock())
        assert session.run(locked) is False


@pytest.mark.parametrize("placement", ["auto", "dynamic"])
def test_a_function_whose_result_does_not_travel_says_what_it_prints_once(graph, ray_session, placement, capsys):
    def numbers(k):
        print("made", k)
        return (i for i in range(k))

    nodes = [tf.op(numbers)(k) for k in range(3)]
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        for _ in range(2):
            assert [list(made) for made in session.run(nodes)] == [[], [0], [0, 1]]
            assert sorted(capsys.readouterr().out.splitlines()) == ["made 0", "made 1", "made 2"]


class OnlyHere:
    """A value that loads in this process alone."""

    n = 5

    def __reduce__(self):
        return only_here, (os.getpid(),)


def only_here(pid):
    if os.getpid() != pid:
        raise ImportError("only there")
    return OnlyHere()


@pytest.mark.parametrize("placement", ["auto", "dynamic"])
def test_a_value_that_does_not_load_elsewhere_keeps_those_here_that_take_it_and_no_others(
    graph, ray_session, placement
):
    x, y = tf.placeholder(tf.object), tf.placeholder(tf.object)
    take = tf.op(lambda o, k: time.sleep(4e-4) or o.n + k)
    add = tf.op(lambda a, k: time.sleep(4e-4) or a + k)
    nodes = [take(x, k) if k % 3 == 0 else add(y, k) for k in range(60)]
    expected = [(5 if k % 3 == 0 else 7) + k for k in range(60)]
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        for _ in range(5):
            assert session.run(nodes, {x: OnlyHere(), y: 7}) == expected
        assert session.placements["resident"][1] > 0 or placement == "auto"


@pytest.mark.parametrize("placement", WORKERS)
def test_an_argument_that_does_not_pickle_is_an_error_where_it_must_travel(graph, ray_session, placement):
    x = tf.placeholder(tf.object, name="x")
    node = tf.op(isolated=True)(add.function)(x, 1)
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        caught = failure(session, node, {x: threading.Lock()}, errors.InvalidArgumentError)
        assert "an input of add could not be sent to a worker" in caught.message
        assert caught.op is node.op
        assert session.run(node, {x: 1}) == 2


class Locked:
    """An object that holds a lock."""

    def __init__(self):
        self.lock = threading.Lock()

    def ask(self):
        """Whether it is locked."""
        return self.lock.locked()


def ways_to_a_lock():
    """Functions that refer to a lock, and how an error tells the way to it."""
    held = {"deep": [1, (lock := threading.Lock(),)]}

    def helper():
        return held

    yield lambda: lock.locked(), "it refers to lock"
    yield lambda: len(helper()), "which refers to held['deep'][1][0]"
    yield Locked().ask, "it refers to self.lock"
    yield functools.partial(len, [lock]), "it has the argument 0[0]"


@pytest.mark.parametrize("placement", WORKERS)
def test_a_function_that_does_not_pickle_is_an_error_where_it_must_travel(ray_session, placement):
    """The error says what in it cannot be pickled, and where that was captured."""
    for function, way in ways_to_a_lock():
        with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(placement=placement)) as session:
            node = tf.op(function, name="locked", isolated=True)()
            caught = failure(session, node, kind=errors.InvalidArgumentError)
            assert "locked could not be sent to a worker: it " in caught.message
            assert f"{way}: cannot pickle '_thread.lock' object" in caught.message
            assert caught.op is node.op


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_node_has_a_time_limit_of_its_own(graph, ray_session, placement):
    w = tf.Variable(1.0)
    with tf.control_dependencies([w.assign_add(1.0)]):
        node, where = hang(), line()
    with tf.Session(config=tf.ConfigProto(placement=placement, cancel_grace_in_ms=100)) as session:
        session.run(w.initializer)
        caught = failure(session, node, kind=errors.DeadlineExceededError)
        assert caught.message.startswith("hang took longer than its time limit of 0.2 s")
        assert f"[[node hang (defined at {where}) ]]" in str(caught)
        assert caught.op is node.op
        assert session.run(w) == 1
        assert session.run(hurry(w)) == 1


@pytest.mark.parametrize("placement", ["task", "auto"])
def test_code_that_a_worker_cannot_import_is_named(graph, ray_session, placement, tmp_path, monkeypatch):
    """A module that can be imported in this process alone; the worker says what is wrong."""
    code = f"import os\nif os.getpid() != {os.getpid()}:\n    raise ImportError('only_here')\n"
    (tmp_path / "only_here.py").write_text(code + "def secret(x):\n    return x + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    node = tf.op(isolated=True)(importlib.import_module("only_here").secret)(1)
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        caught = failure(session, node, kind=errors.InvalidArgumentError)
        assert "The function of node secret, or what it takes, could not be loaded in a worker" in caught.message
        assert "ImportError: only_here" in caught.message
        assert caught.op is node.op
        assert "only_here" in str(caught.__cause__.__cause__)
        assert session.run(add(1, 2)) == 3


# What nobody has


@pytest.mark.parametrize(
    "options", [{"resources": {"unobtainium": 1}}, {"resources": {"loom": 3}}, {"num_cpus": 10_000}]
)
def test_a_resource_that_nobody_has_is_refused_with_what_there_is(graph, ray_session, options):
    node, where = tf.op(**options, name="picky")(lambda: 1)(), line()
    with tf.Session() as session:
        caught = failure(session, node, kind=errors.InvalidArgumentError)
        assert caught.message.startswith("Cannot assign a device for operation picky: ")
        asked = {"CPU": 10_000} if "num_cpus" in options else options["resources"]
        for name, amount in asked.items():
            assert f"asks for {name}: {amount}" in caught.message
        assert "the cluster has {CPU: 4" in caught.message
        assert "loom: 2" in caught.message
        assert f"[[node picky (defined at {where}) ]]" in str(caught)
        assert caught.op is node.op
        assert session.run(tf.constant(1)) == 1


def test_a_resource_that_is_there_is_used(graph, ray_session):
    node = tf.op(resources={"loom": 1}, num_cpus=1)(os.getpid)()
    with tf.Session() as session:
        assert session.run(node) != os.getpid()


def test_a_device_that_nobody_has_is_refused_unless_placement_is_soft(graph):
    one = tf.constant(1.0)
    with tf.device("/device:GPU:0"):
        tensor = tf.add(one, one, name="picky")
    with tf.Session() as session:
        caught = failure(session, tensor, kind=errors.InvalidArgumentError)
        assert caught.message.startswith("Cannot assign a device for operation picky: ")
        assert "/device:GPU:0" in caught.message
        assert caught.op is tensor.op
        assert failure(session, one, kind=errors.InvalidArgumentError).op is tensor.op
    options = tf.GraphOptions(place_pruned_graph=True)
    with tf.Session(config=tf.ConfigProto(graph_options=options)) as session:
        assert session.run(one) == 1, "only runs that need the node fail"
    with tf.Session(config=tf.ConfigProto(allow_soft_placement=True)) as session:
        assert session.run(tensor) == 2


# State


def test_variables_without_a_value_are_named(session):
    w, v = tf.Variable(1.0, name="w"), tf.Variable(2.0, name="v")
    for fetch in (w, w.value(), w.read_value(), w + 1.0, w.assign_add(1.0), add(w, 1)):
        caught = failure(session, fetch, kind=errors.FailedPreconditionError)
        assert caught.message.startswith("Attempting to use uninitialized value w")
        assert caught.op is w.op
    caught = failure(session, [w + 1.0, v + 1.0], kind=errors.FailedPreconditionError)
    assert "value w" in str(caught)
    assert "v (defined at " in str(caught)
    session.run(w.initializer)
    assert session.run(w + 1.0) == 2


def test_writes_that_do_not_fit_are_refused_in_tensorflows_words(session):
    w = tf.Variable(np.zeros(2, np.float32), name="w")
    count = tf.Variable(np.int64(0), name="count")
    x = tf.placeholder(tf.float32)
    session.run(tf.global_variables_initializer())
    for node, text in [
        (w.assign(x), "Assign requires shapes of both tensors to match. lhs shape= [2] rhs shape= [3]"),
        (w.assign_add(x), "Parameters and update must be the same size"),
        (w.assign_sub(x), "Parameters and update must be the same size"),
    ]:
        caught = failure(session, node, {x: [1, 2, 3]}, errors.InvalidArgumentError)
        assert caught.message.startswith(text)
        assert caught.op is node.op
        assert "[[node " in str(caught)
    up = count.count_up_to(2)
    assert [session.run(up), session.run(up)] == [0, 1]
    caught = failure(session, up, kind=errors.OutOfRangeError)
    assert caught.message.startswith("Reached limit of 2")
    assert session.run(w).tolist() == [0, 0]
    assert session.run(count) == 2


@pytest.mark.parametrize("size", [2, 50_000])
def test_a_run_that_fails_changes_no_variable(session, size):
    """Two assignments of which one fails, and a function that fails after an update."""
    a, b = tf.Variable(np.zeros(size), name="a"), tf.Variable(np.ones(size), name="b")
    session.run(tf.global_variables_initializer())
    one = a.assign(a + 1.0)
    two = b.assign_add(fail(ValueError("not b"), b))
    with tf.control_dependencies([a.assign_add(b), b.assign(a)]):
        after = fail(ValueError("too late"))
    for fetches, text in (
        ([one, two], "not b"),
        ([two, one], "not b"),
        (after, "too late"),
        (tf.group(one, two), "not b"),
    ):
        assert text in str(failure(session, fetches, kind=errors.InvalidArgumentError))
        assert np.array_equal(session.run(a), np.zeros(size))
        assert np.array_equal(session.run(b), np.ones(size))
    session.run([one, b.assign_add(a)])
    assert np.array_equal(session.run(a), np.ones(size))


def test_a_failed_run_lets_its_locks_go(session):
    w = tf.Variable(0.0, name="w")
    session.run(w.initializer)
    update = w.assign_add(1.0)
    with tf.control_dependencies([update]):
        broken = fail(ValueError("broken"))
    for _ in range(3):
        failure(session, broken, kind=errors.InvalidArgumentError)
    assert session.run(update) == 1


# Retries


def test_a_function_is_called_again_as_often_as_it_says(graph):
    calls = []

    def unsteady():
        calls.append(1)
        if len(calls) < 3:
            raise ValueError("not yet")
        return "done"

    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        assert session.run(tf.op(retries=2)(unsteady)()) == "done"
        assert len(calls) == 3
        calls.clear()
        assert "not yet" in str(failure(session, tf.op(retries=1)(unsteady)()))
        assert len(calls) == 2


# Ctrl-C

INTERRUPTED = Program(
    script="""
    import json, os, signal, tempfile, threading, time
    import weftwork as tf

    def interrupt(begun):
        while not os.path.exists(begun):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    def seen(placement, begun):
        @tf.op
        def hang(value):
            open(begun, "w").close()
            while True:
                time.sleep(0.05)

        @tf.op
        def double(value):
            return value * 2

        w = tf.Variable(1.0)
        with tf.control_dependencies([w.assign_add(1.0)]):
            stuck = hang(w)
        with tf.Session(config=tf.ConfigProto(placement=placement, cancel_grace_in_ms=200)) as session:
            session.run(w.initializer)
            threading.Thread(target=interrupt, args=[begun]).start()
            try:
                session.run(stuck)
            except KeyboardInterrupt:
                return [float(session.run(x)) for x in (w, double(w), w.assign_add(1.0))]

    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({place: seen(place, f"{folder}/{place}") for place in ("caller", "task", "actor", "auto")}))
    """
)


def test_a_session_is_usable_after_ctrl_c():
    """In each placement, one after another."""
    assert INTERRUPTED.seen() == {place: [1.0, 2.0, 2.0] for place in ("caller", "task", "actor", "auto")}
