"""Calls that wait, or write the program's state, run beside each other: as many at once as a door allows."""

from __future__ import annotations

import random
import threading
import time

import pytest
from dask.bag import from_sequence
from dask.base import compute
from dask.delayed import delayed
from joblib import Parallel, parallel_config
from joblib import delayed as job
from scipy import stats

import weftwork as tf
import weftwork.joblib  # registers the backend
from tests.waiting import until
from weftwork.dask import get
from weftwork.graph.cores import usable_cores
from weftwork.scheduler.doors import pace
from weftwork.scheduler.doors.pace import Pace, Paces, belongs_beside

MANY = usable_cores() + 6
"""More than there are cores."""
LONG = 30
"""Seconds after which a call that waits for others gives up."""


def meeting(count):
    """A function whose calls return once `count` of them run at the same time. They may draw a random number."""
    barrier = threading.Barrier(count)
    return lambda _: barrier.wait(LONG + random.random())


def by_executor(function, count):
    with tf.Executor(count) as executor:
        return list(executor.map(function, range(count)))


def by_submit(function, count):
    with tf.Executor(count) as executor:
        return [future.result() for future in [executor.submit(function, number) for number in range(count)]]


def by_dask(function, count):
    return compute(*[delayed(function)(number) for number in range(count)], scheduler=get, num_workers=count)


def by_bag(function, count):
    """Dask's own function gets ours as an argument."""
    bag = from_sequence(range(count), npartitions=count).map(function)
    return bag.compute(scheduler=get, num_workers=count)


@pytest.mark.parametrize("by", [by_executor, by_submit, by_dask, by_bag])
@pytest.mark.parametrize("count", [2, MANY])
def test_calls_may_wait_for_each_other(by, count):
    meet = meeting(count)
    for _ in range(3):  # also once they are known
        assert sorted(by(meet, count)) == list(range(count))


@pytest.mark.parametrize("by", [by_dask, by_bag])
def test_tasks_that_use_packages_run_at_once(by):
    """SciPy may draw from NumPy's global generator, which is no reason to run its tasks one at a time."""
    meet = meeting(2)

    def drawn(number):
        meet(number)
        return float(stats.norm.rvs())

    first, second = by(drawn, 2)
    assert first != second


def test_a_call_may_wait_for_what_a_later_one_sets():
    event = threading.Event()
    with tf.Executor(2) as executor:
        waiting = executor.submit(event.wait, LONG)
        executor.submit(event.set).result(LONG)
        assert waiting.result(LONG)


def in_file(item):
    """Leave a file, and wait until there are as many as `MANY`. To the engine, this is any function that draws."""
    folder, number = item
    (folder / str(number)).touch()
    end = time.monotonic() + LONG
    while len(list(folder.iterdir())) < MANY and time.monotonic() < end:
        time.sleep(0.005 * random.random())
    return len(list(folder.iterdir()))


@pytest.mark.parametrize("door", ["executor", "joblib", "dask"])
def test_more_calls_than_cores_wait_at_once_if_the_program_says_so(door, tmp_path):
    for round_number in range(2):  # also once it is known that they wait
        folder = tmp_path / str(round_number)
        folder.mkdir()
        items = [(folder, number) for number in range(MANY)]
        if door == "executor":
            with tf.Executor(MANY) as executor:
                found = list(executor.map(in_file, items))
        elif door == "joblib":
            with parallel_config("weftwork", n_jobs=MANY):
                found = Parallel(batch_size=1)(job(in_file)(item) for item in items)
        else:
            found = compute(*map(delayed(in_file), items), scheduler=get, num_workers=MANY)
        assert list(found) == [MANY] * MANY


def test_no_more_than_max_workers_run_at_once():
    lock, now, most = threading.Lock(), [0], [0]

    def counted(_):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        with lock:
            now[0] -= 1

    with tf.Executor(3) as executor:
        list(executor.map(counted, range(24)))
    assert 1 < most[0] <= 3
    most[0] = 0
    compute(*map(delayed(counted), range(6)), scheduler=get, num_workers=1)
    assert most[0] == 1


def test_results_that_calls_write_down_are_all_there():
    written, log = {}, []

    def write(number):
        log.append(number)
        written[number] = number * number
        time.sleep(0.002)

    with tf.Executor(4) as executor:
        list(executor.map(write, range(40)))
    assert sorted(log) == list(range(40))
    assert written == {number: number * number for number in range(40)}


def test_terminate_workers_ends_calls_that_wait_beside():
    begun = threading.Event()

    def forever():
        begun.set()
        while True:
            time.sleep(0.01)

    executor = tf.Executor(MANY)
    futures = [executor.submit(forever) for _ in range(3)]
    begun.wait(LONG)
    executor.terminate_workers()
    assert all([future.cancelled() or future.exception(LONG) is not None for future in futures])
    until(lambda: executor._runners == 0)


def captured(function):
    return tf.op(function).kernel.captured


def test_short_calls_and_those_that_compute_take_cores():
    plain, many = captured(abs), usable_cores() + 1
    assert belongs_beside(plain, False, None, many)
    assert belongs_beside(plain, False, Pace(0.1, 0.001), many)
    assert not belongs_beside(plain, False, Pace(0.1, 0.09), many)
    assert not belongs_beside(plain, False, Pace(1e-5, 0.0), many)
    assert not belongs_beside(plain, False, Pace(0.1, 0.001), 1)
    assert not belongs_beside(plain, False, Pace(0.1, 0.001), usable_cores())
    rows: list = []
    writes = captured(lambda x: rows.append(x))
    assert belongs_beside(writes, False, Pace(0.1, 0.09), 2)
    assert not belongs_beside(writes, False, None, 2, may_write=False)
    assert belongs_beside(captured(lambda x: rows.append(random.random())), False, None, 2)


def test_paces_follow_what_calls_take(monkeypatch):
    paces = Paces()
    paces.learn("f", 1.0, 0.5)
    paces.learn("f", 3.0, 0.5)
    assert paces.of("f") == Pace(2.0, 0.5)
    paces.learn([], 1.0, 1.0)
    assert paces.of([]) is None
    assert pace.PACES.of("f") is None
