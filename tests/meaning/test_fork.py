"""Forks: functions that start processes work in every place and leave none behind; a forked child of a program with
sessions makes sessions of its own.

A session belongs to the process that made it: in a process that is forked off it is an error at once.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings

import psutil
import pytest

import weftwork as tf
from tests.meaning.places import PLACES, values
from tests.programs import Program
from tests.waiting import LONG, until

pytestmark = [pytest.mark.usefixtures("ray_session"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]

FORK = multiprocessing.get_context("fork")


def square(x: int) -> int:
    return x * x


def forks() -> int:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, b"7")
        os._exit(0)
    os.waitpid(child, 0)
    return int(os.read(read, 1))


def goes_on_in_the_child() -> int:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    return 8


def has_a_pool() -> int:
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=FORK) as pool:
        return sum(pool.map(square, range(4)))


def ends_a_pool() -> int:
    with FORK.Pool(2) as pool:  # it ends them at once, some before they have begun
        return sum(pool.map(square, range(3)))


def has_a_process() -> int:
    queue = FORK.Queue()
    process = FORK.Process(target=lambda: queue.put(5))
    process.start()
    got = queue.get()
    process.join()
    return got


def runs_a_program() -> int:
    return int(subprocess.run([sys.executable, "-S", "-c", "print(3)"], capture_output=True, check=True).stdout)


@pytest.mark.parametrize("place", PLACES)
def test_functions_may_start_processes_wherever_they_run(place):
    runs = 3
    assert set(values(place, forks, runs=runs)) == {7}
    assert set(values(place, ends_a_pool, runs=runs)) == {5}
    assert set(values(place, has_a_pool, runs=runs)) == {14}
    assert set(values(place, has_a_process, runs=runs)) == {5}
    assert set(values(place, runs_a_program, runs=runs)) == {3}


@pytest.mark.parametrize("place", ["resident", "dynamic", "task", "isolated"])
def test_a_child_that_goes_on_after_its_function_ends(place):
    """In the caller it would be a second program, as it is without a session."""
    mine = os.getpid()

    def function() -> int:
        return 8 if os.getpid() == mine else goes_on_in_the_child()

    assert set(values(place, function, runs=3)) == {8}


def test_processes_started_by_functions_end_with_the_local_workers():
    with tf.Graph().as_default():
        node = tf.op(lambda stays: stays or subprocess.Popen(["sleep", "1000"]).pid)
        calls = [node(False), node(False)]
        with tf.Session(config=tf.ConfigProto(placement="dynamic")) as session:
            left = session.run(calls)
    assert all(map(psutil.pid_exists, left))
    for pid in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker = psutil.Process(pid).parent()
            if worker.pid != os.getpid():
                worker.kill()
    with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(placement="dynamic")) as session:
        session.run([tf.op(abs)(-k) for k in range(4)])  # the workers are missed
    mine = {child.pid for child in psutil.Process().children()}
    for pid in mine.intersection(left):
        os.kill(pid, signal.SIGKILL)  # that one was started here
    until(lambda: not any(_is_alive(pid) for pid in left if pid not in mine))


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def in_child(work) -> tuple:
    """Do some work in a forked child. Returns ("done", result), or the class and the text of its error."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        signal.alarm(LONG)
        try:
            told = ("done", work())
        except BaseException as error:
            told = (type(error).__name__, str(error))
        os.write(write, pickle.dumps(told))
        os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        text = file.read()
    os.waitpid(child, 0)
    assert text, "the child has died, or waits"
    return pickle.loads(text)


@pytest.mark.parametrize("name", ["", "forked"])
def test_a_session_is_refused_at_once_in_a_forked_child_and_stays_where_it_was(name):
    x = tf.placeholder(tf.int32, [])
    v = tf.Variable(1)
    node, plus = tf.op(square)(x), v.assign_add(1)
    with tf.Session(config=tf.ConfigProto(name=name)) as session:
        session.run(v.initializer)
        for _ in range(3):
            session.run(node, {x: 2}, options=tf.RunOptions(timeout_in_ms=1000 * LONG))
        for work in (
            lambda: session.run(node, {x: 2}),
            lambda: session.submit(node, {x: 2}).result(LONG),
            lambda: session.run(plus, options=tf.RunOptions(timeout_in_ms=1000 * LONG)),
        ):
            kind, text = in_child(work)
            assert kind == "RuntimeError"
            assert "forked" in text
        assert in_child(session.close) == ("done", None)
        assert in_child(session.waiting) == ("done", [])
        assert session.run([node, plus], {x: 3}) == [9, 2]


def test_a_forked_child_is_reset_although_something_fails_there():
    """Then SIGTERM ends it."""
    PROGRAM = """
import os, signal
from weftwork.graph.python.forks import in_child
in_child(lambda: 1 // 0)
in_child(lambda: print("then", flush=True))
child = os.fork()
if child == 0:
    while True:
        signal.pause()
os.kill(child, signal.SIGTERM)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=LONG)
    assert ended.stdout == "then\n-15\n"


def test_a_forked_child_has_sessions_of_its_own():
    x = tf.placeholder(tf.int32, [])
    node = tf.op(square)(x)
    session = tf.Session()
    for _ in range(3):
        session.run(node, {x: 2}, options=tf.RunOptions(timeout_in_ms=1000 * LONG))

    def work() -> list:
        with tf.Session() as own:
            new = tf.op(lambda a: a + 1)(x)  # is tried in a local worker of the child's
            return [
                own.run(node, {x: 3}),
                own.run(node, {x: 4}, options=tf.RunOptions(timeout_in_ms=1000 * LONG)),
                own.submit(node, {x: 5}).result(LONG),
                own.run(new, {x: 6}),
            ]

    assert in_child(work) == ("done", [9, 16, 25, 7])
    assert session.run(node, {x: 7}) == 49
    session.close()


def test_futures_of_the_parent_raise_in_a_forked_child_and_an_executor_begins_anew_there():
    queue = tf.FIFOQueue(1, tf.int32, shapes=[[]])
    take, put, going = queue.dequeue(), queue.enqueue(5), threading.Event()
    with tf.Session() as session, tf.Executor(1) as executor:
        run, stream = session.submit(take), session.stream([take + 0])
        called, pending = executor.submit(going.wait, LONG), executor.submit(square, 2)
        until(called.running)
        for work in (
            run.result,
            lambda: run.result(LONG),
            lambda: next(stream),
            called.result,
            pending.result,
            lambda: concurrent.futures.wait([run, called, pending])[0].pop().result(),
        ):
            kind, text = in_child(work)
            assert kind == "RuntimeError"
            assert "forked" in text
        assert in_child(lambda: [str(each.exception())[:11] for each in (run, called)]) == ("done", ["This future"] * 2)
        assert in_child(lambda: (run.cancel(), called.cancel())) == ("done", (False, False))
        assert in_child(executor.shutdown) == ("done", None)
        assert in_child(lambda: list(executor.map(square, [3, 4]))) == ("done", [9, 16])
        going.set()
        session.run(put)
        session.run(put)
        assert (run.result(LONG), list(stream), called.result(), pending.result()) == (5, [(0, 5)], True, 4)


def test_a_forked_child_of_a_plain_program_goes_on_with_the_variables_as_they_were():
    @tf.function
    def step(x):
        total.add(x)
        return total

    with tf.Graph().as_default():
        total = tf.shared(1.0)
        node = tf.op(square)(3)
        assert (step(2), tf.run(node)) == (3, 9)
        assert in_child(lambda: (step(4), step(1.5), tf.run(node), total.get())) == ("done", (7, 8.5, 9, 8.5))
        assert (step(1), total.get()) == (4, 4)
        tf.set_session(tf.Session())
        assert step(1) == 2
        assert in_child(lambda: step(4))[0] == "RuntimeError"  # it is not the library's to replace


def test_what_needs_ray_is_refused_at_once_in_a_forked_child_of_a_program_that_uses_it():
    def work() -> int:
        with tf.Graph().as_default(), tf.Session() as own:
            return own.run(tf.op(square, isolated=True)(2))

    assert values("isolated", square, 3, runs=1) == [9]
    kind, text = in_child(work)
    assert kind == "UnavailableError"
    assert "forked process" in text
    assert values("isolated", square, 4, runs=1) == [16]


PROGRAM = Program(
    script="""
import concurrent.futures, multiprocessing, os, pickle, sys
import weftwork as tf

class Box:
    def __init__(self, n): self.n = n

def square(x): return x * x
def double(box): return Box(2 * box.n)

def by_name(box): return pickle.loads(pickle.dumps(box)).n + pickle.loads(pickle.dumps(square))(3)

def pool(kind):
    context = multiprocessing.get_context(kind)
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as made:
        return sum(made.map(square, range(4))) + next(iter(made.map(double, [Box(4)]))).n

if __name__ == "__main__":
    for options in ({"placement": "dynamic"}, {"placement": "resident"}, {}):
        with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(**options)) as session:
            away = tf.op(lambda: os.getpid())
            calls = [tf.op(by_name)(Box(1)), tf.op(pool)("fork"), tf.op(pool)("spawn")]
            got = session.run(calls)
            assert got == [10, 22, 22], (options, got)
    with tf.Graph().as_default(), tf.Session() as session:
        node = tf.op(by_name, isolated=True)(Box(1))
        assert session.run(node) == 10
    if os.fork() == 0:
        sys.exit(3)
    print("child", os.waitstatus_to_exitcode(os.wait()[1]))
"""
)


def test_what_the_main_module_defines_is_found_by_name_in_other_processes():
    """By pickle, and by multiprocessing, also where its processes begin anew; and a forked child ends as it says."""
    ended = PROGRAM.done()
    assert (ended.returncode, ended.stdout) == (0, "child 3\n"), ended.stderr[-3000:]
