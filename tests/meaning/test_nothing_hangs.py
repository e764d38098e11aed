"""A. Nothing hangs and nothing kills the program: a function may do what it does in a plain loop, and fail as it does.

Each case states its rule (docs/functions.md) in its first line, and is run 45 times in every place. Time limits are in
test_limits.py, forked programs in test_fork.py, the life of Ray and the end of programs in the tests of programs.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import pickle
import queue
import subprocess
import sys
import threading
import time

import pytest

import weftwork as tf
from tests.meaning.cases import Cases, Fetch
from tests.meaning.places import PLACES, op_in, session_in
from tests.waiting import LONG

pytestmark = [pytest.mark.usefixtures("ray_session"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]
case = Cases()


@pytest.mark.parametrize("place", PLACES)
def test_a_function_does_and_fails_as_in_a_plain_loop(ray_session, place):
    assert case.failures(place) == {}


def test_each_case_can_fail():
    assert case.wrong() == {}


# 2. Functions that run graphs


@case
def sessions_inside_of_functions(at):
    """A function may open a session and run graphs, two deep, as often as it is called."""

    def inner(k):
        with tf.Graph().as_default(), tf.Session() as session:
            return session.run(tf.op(lambda n: n + 1)(k))

    def outer(k):
        with tf.Graph().as_default(), tf.Session() as session:
            return session.run(tf.op(inner)(k)) + 1

    fed = at.fed()
    nodes = [at.op(inner)(fed), at.op(outer)(fed)]
    for run in range(45):
        assert (yield Fetch(nodes, {fed: run})) == [run + 1, run + 2]


def test_a_run_inside_of_one_that_has_the_workers_does_not_wait_for_them(monkeypatch):
    """It would wait in vain each time: the run around it waits for it, too."""
    monkeypatch.setattr("weftwork.scheduler.sharing.local_workers._PATIENCE", LONG)

    def inner(k):
        with tf.Graph().as_default(), tf.Session() as session:
            return session.run(tf.op(lambda n: n + 1)(k))

    with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(placement="dynamic")) as session:
        nodes = [tf.op(inner, here=True)(1), tf.op(abs)(-1)]
        session.run(nodes)
        start = time.monotonic()
        for _ in range(20):
            assert session.run(nodes) == [2, 1]
        assert time.monotonic() - start < LONG


@pytest.mark.parametrize("place", ["task", "isolated"])
def test_what_needs_a_task_is_refused_at_once_where_no_machine_has_a_cpu(ray_session, place, monkeypatch):
    monkeypatch.setattr("weftwork.scheduler.machines.inventory.has_cpus", lambda: False)
    with tf.Graph().as_default(), session_in(place) as session:
        node = op_in(place, abs)(-1)
        with pytest.raises(tf.errors.InvalidArgumentError, match="needs a CPU for a task, and no machine"):
            session.run(node)


# 3. Functions that start processes and threads


@case
def functions_that_start_processes(at):
    """A function may fork, and start programs: their output is its own, and no child is left."""

    def forks(k):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(write, b"%d" % k)
            os._exit(3)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        seen = int(os.read(read, 100))
        os.close(read)
        os.close(write)
        return seen, status

    def starts(k):
        return int(subprocess.run(["echo", str(k)], capture_output=True, check=True).stdout)

    fed = at.fed()
    nodes = [at.op(forks)(fed), at.op(starts)(fed)]
    for run in range(45):
        one, two = yield Fetch(nodes, {fed: run})
        assert (tuple(one), two) == ((run, 3), run)


@case
def functions_that_start_threads(at):
    """A function may start threads, pools of threads and event loops."""

    def threads(k):
        line = queue.Queue()
        started = [threading.Thread(target=line.put, args=(k,)) for _ in range(2)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
        return line.get() + line.get()

    def pool(k):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return sum(pool.map(abs, [k, -k]))

    async def later(k):
        await asyncio.sleep(0)
        return k

    fed = at.fed()
    nodes = [at.op(threads)(fed), at.op(pool)(fed), at.op(lambda k: asyncio.run(later(k)))(fed)]
    for run in range(45):
        assert (yield Fetch(nodes, {fed: run})) == [2 * run, 2 * run, run]


# 6. Errors of every kind


class _BadText(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


class _Odd(Exception):
    def __init__(self, one, *, two):
        super().__init__(f"{one} {two}")
        self.two = two


class _Ends(Exception):
    def __reduce__(self):
        return sys.exit, (4,)


class _Holds(Exception):
    def __init__(self, text):
        super().__init__(text)
        self.lock = threading.Lock()


def _recursion():
    return _recursion()


def _stops():
    return next(iter(()))


_RAISES = [
    lambda: _raise(KeyboardInterrupt("by hand")),
    lambda: sys.exit(3),
    lambda: _raise(GeneratorExit("text")),
    lambda: _raise(asyncio.CancelledError("text")),
    lambda: _raise(_BadText("text")),
    lambda: _raise(_Odd(1, two=2)),
    lambda: _raise(_Ends("text")),
    lambda: _raise(_Holds("text")),
    lambda: _raise(BaseException("text")),
    lambda: _raise(MemoryError("text")),
    lambda: _raise(OSError(2, "text", "file")),
    lambda: _raise(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "text")),
    lambda: _raise(subprocess.CalledProcessError(3, "text")),
    lambda: {}["missing"],
    lambda: pickle.loads(b"no pickle"),
    _recursion,
    _stops,
]


def _raise(error):
    raise error


@case
def errors_of_every_kind(at):
    """Whatever a function raises is an error of its node whose cause is of its class; the next run is as before."""

    def fails(k):
        if k is not None:
            _RAISES[k]()
        return "fine"

    kinds = []
    for function in _RAISES:
        try:
            function()
        except BaseException as error:
            kinds.append(type(error))
    fed = at.fed()
    node = at.op(fails)(fed)
    for run in range(45):
        if run % 2 or run > 40:
            assert (yield Fetch(node, {fed: None})) == "fine"
        else:
            k = run // 2 % len(_RAISES)
            error = yield Fetch(node, {fed: k}, fails=True)
            assert type(error) is kinds[k]
