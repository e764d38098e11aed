"""The executor keeps what `concurrent.futures` promises, and takes futures as arguments."""

from __future__ import annotations

import gc
import operator
import os
import pickle
import random
import re
import subprocess
import sys
import threading
import time
import traceback
import weakref
from concurrent.futures import BrokenExecutor, CancelledError, Future, TimeoutError, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config

import weftwork as tf
import weftwork.joblib  # registers the backend
from tests.tracing import check_run, of_kind
from tests.waiting import LONG, until
from weftwork.graph.python import turns
from weftwork.scheduler.doors import executor as executor_module
from weftwork.scheduler.doors import pace
from weftwork.scheduler.doors.calls import Raised

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def executor():
    with tf.Executor(2) as made:
        yield made


def slow(seconds):
    time.sleep(seconds)
    return seconds


def interrupt(x):
    raise KeyboardInterrupt


def refuse(x):
    raise KeyError(x)


def test_a_call_gives_its_result_or_its_own_error(executor):
    assert executor.submit(pow, 2, exp=10).result() == 1024
    failed = executor.submit(refuse, "k")
    with pytest.raises(KeyError, match="k"):
        failed.result()
    assert not isinstance(failed.exception(), tf.errors.OpError)


def fail_after(seconds):
    time.sleep(seconds)
    try:
        refuse("inner")
    except KeyError as error:
        raise ValueError("outer", os.getpid()) from error


def test_an_error_keeps_its_causes_and_its_traceback_wherever_it_was_raised(executor):
    """The second round runs in workers: each call is known to be long."""
    for seconds in (0.1, 0.1):
        futures = [executor.submit(fail_after, seconds) for _ in range(4)]
        for error in [future.exception() for future in futures]:
            assert type(error) is ValueError
            assert type(error.__cause__) is KeyError
            printed = "".join(traceback.format_exception(error))
            assert "in fail_after" in printed
            assert "in refuse" in printed


def test_an_error_that_was_pickled_keeps_them_too():
    try:
        fail_after(0)
    except ValueError as error:
        raised = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(Raised(error)))))
    assert type(raised.error.__cause__) is KeyError
    printed = "".join(traceback.format_exception(raised.error))
    assert "in fail_after" in printed
    assert "in refuse" in printed
    assert printed.count("RemoteTraceback") == 1


def test_a_future_is_done_when_its_own_call_is(executor):
    def sleep(seconds):
        time.sleep(seconds)
        return seconds

    for _ in range(2):
        wait([executor.submit(sleep, 0.2) for _ in range(2)])
    futures = [executor.submit(sleep, seconds) for seconds in (2.0, 0.1)]
    assert [future.result() for future in as_completed(futures)] == [0.1, 2.0]


def test_a_later_call_does_not_wait_for_a_long_one(executor):
    executor.submit(slow, 0.0).result()
    long = executor.submit(slow, 3.0)
    time.sleep(0.2)
    assert executor.submit(pow, 2, 2).result() == 4
    assert not long.done()
    long.result()


def test_futures_as_arguments_are_edges(executor):
    first = executor.submit(slow, 0.2)
    second = executor.submit(pow, first, 2)
    assert executor.submit(pow, second, exp=second).result() == pow(0.2**2, 0.2**2)
    foreign = Future()
    waiting = executor.submit(pow, foreign, 2)
    assert not waiting.done()
    foreign.set_result(3)
    assert waiting.result() == 9


def test_an_error_or_a_cancel_goes_along_the_edges(executor):
    failed = executor.submit(refuse, 1)
    after = executor.submit(pow, executor.submit(pow, failed, 2), 2)
    with pytest.raises(KeyError):
        after.result()
    foreign = Future()
    after = executor.submit(pow, foreign, 2)
    foreign.cancel()
    foreign.set_running_or_notify_cancel()
    with pytest.raises(CancelledError):
        after.result()


@pytest.mark.parametrize("chunksize", [None, 1, 7])
def test_map_gives_results_in_order_as_far_as_the_first_error(executor, chunksize):
    assert list(executor.map(pow, range(200), [2] * 200, chunksize=chunksize)) == [n * n for n in range(200)]
    results = executor.map(divmod, [7, 8, 9], [2, 4, 0], chunksize=chunksize)
    assert [next(results), next(results)] == [(3, 1), (2, 0)]
    with pytest.raises(ZeroDivisionError):
        next(results)


def draw(_):
    return random.random(), np.random.rand()


@pytest.mark.parametrize("door", ["submit", "joblib"])
def test_seeds_decide_what_calls_draw_however_they_are_batched(door, monkeypatch):
    """Two CPUs, so that no more calls run at once than there are; and however slow this machine is."""
    monkeypatch.setattr(pace, "usable_cores", lambda: 2)
    monkeypatch.setattr(turns, "_PATIENCE", LONG)

    def drawn(pauses):
        random.seed(5)
        np.random.seed(5)
        if door == "joblib":
            with parallel_config("weftwork", n_jobs=2):
                return Parallel(batch_size=1 if pauses else 6)(delayed(draw)(number) for number in range(6)), draw(0)
        with tf.Executor(2) as executor:
            futures = []
            for number in range(6):
                futures.append(executor.submit(draw, number))
                if number in pauses:  # the next one is in another batch
                    futures[-1].result()
            return [future.result() for future in futures], draw(0)

    first = drawn(())
    assert len(set(first[0])) == 6
    assert drawn((0, 3)) == first


def draw_around(count):
    first = draw(0)
    with tf.Executor(1) as inner:
        list(inner.map(draw, range(count)))
    return first, draw(0)


def test_a_call_that_waits_lets_others_draw_and_goes_on_with_its_own_numbers(monkeypatch):
    monkeypatch.setattr(pace, "usable_cores", lambda: 2)
    monkeypatch.setattr(turns, "_PATIENCE", LONG)

    def drawn(count):
        random.seed(5)
        np.random.seed(5)
        with tf.Executor(2) as executor:
            return executor.submit(draw_around, count).result()

    assert drawn(1) == drawn(9)


def test_a_call_that_draws_may_wait_for_others_by_other_means():
    def waits(_):
        draw(0)
        with tf.Executor(1) as inner:
            return len(wait([inner.submit(draw, 1)], LONG).done)

    with tf.Executor(2) as executor:
        assert executor.submit(waits, 1).result() == 1


def test_map_calls_the_submit_of_a_subclass():
    class Counting(tf.Executor):
        submitted = 0

        def submit(self, fn, /, *args, **kwargs):
            self.submitted += 1
            return super().submit(fn, *args, **kwargs)

    with Counting(2) as counting:
        assert list(counting.map(pow, [2, 3], [2, 2])) == [4, 9]
        assert counting.submitted == 2


def test_map_of_nothing_is_nothing_and_a_time_limit_holds(executor):
    assert list(executor.map(pow, [], [])) == []
    with pytest.raises(TimeoutError):
        next(executor.map(slow, [2.0], timeout=0.1))


def test_no_more_calls_run_at_a_time_than_workers():
    running, most, lock = [], [], threading.Lock()

    def watch(n):
        with lock:
            running.append(n)
            most.append(len(running))
        time.sleep(0.01)
        with lock:
            running.remove(n)

    with tf.Executor(1) as executor:
        wait([executor.submit(watch, n) for n in range(10)])
    assert set(most) == {1}
    assert len(most) == 10


def test_what_a_function_writes_the_program_sees(executor):
    seen = []
    wait([executor.submit(seen.append, n) for n in range(5)])
    assert sorted(seen) == list(range(5))


def test_what_a_function_writes_into_its_arguments_the_program_sees(executor):
    def fill(rows, number):
        rows[number] = number

    rows, array = [None] * 4, np.zeros(4)
    wait([executor.submit(fill, rows, number) for number in range(4)])
    list(executor.map(fill, [array] * 4, range(4)))
    assert rows == array.tolist() == [0, 1, 2, 3]


def test_a_call_that_raises_to_end_the_program_ends_alone(executor):
    """Its future raises that, and the calls of its batch are not concerned."""
    futures = [executor.submit(sys.exit, 3), executor.submit(interrupt, 0), executor.submit(pow, 2, 2)]
    with pytest.raises(SystemExit):
        futures[0].result()
    assert type(futures[1].exception()) is KeyboardInterrupt
    assert futures[2].result() == 4
    with pytest.raises(KeyboardInterrupt):
        list(executor.map(interrupt, range(3)))


def odd(n):
    if n % 2:
        return n
    raise ValueError(n)


def test_each_of_many_short_calls_has_its_own_result_or_error(executor):
    """They go to a worker several at a time, once it is known that they are short."""
    for _ in range(2):
        futures = [executor.submit(odd, n) for n in range(2000)]
        assert [future.exception() is None for future in futures] == [False, True] * 1000
        assert [future.result() for future in futures[1::2]] == list(range(1, 2000, 2))


def test_short_calls_may_turn_out_to_be_long(executor):
    wait([executor.submit(slow, 0.0) for _ in range(50)])
    seconds = [0.0] * 50 + [0.2, 0.0] * 4
    assert [future.result() for future in [executor.submit(slow, each) for each in seconds]] == seconds


def test_a_long_chain_of_futures_is_made_in_order(executor):
    future = executor.submit(int, 0)
    for _ in range(1000):
        future = executor.submit(operator.add, future, 1)
    assert future.result() == 1000


def test_what_a_call_was_given_goes_once_it_is_done(executor):
    rows = np.ones(1000)
    given = weakref.ref(rows)
    gc.disable()
    try:
        assert executor.submit(np.sum, rows).result() == 1000
        del rows
        until(lambda: given() is None)
    finally:
        gc.enable()


class Large:
    """What the next call takes."""


def take(_):
    """Leaves nothing of it."""


def test_a_result_goes_once_the_calls_that_need_it_are_done(executor, monkeypatch):
    """Although another call of their batch is not."""
    monkeypatch.setattr(executor_module, "_GATHER", 0.2)
    end = threading.Event()
    last = executor.submit(end.wait)
    futures = [executor.submit(take, executor.submit(Large)) for _ in range(20)]
    try:
        wait(futures)
        assert not [each for each in gc.get_objects() if type(each) is Large]
    finally:
        end.set()
    assert last.result()


def test_after_shutdown_nothing_is_taken_and_all_is_done():
    executor = tf.Executor()
    futures = [executor.submit(pow, n, 2) for n in range(20)]
    executor.shutdown()
    assert [future.result(0) for future in futures] == [n * n for n in range(20)]
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(pow, 1, 1)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.map(pow, [1], [1])


def test_shutdown_cancels_what_has_not_begun():
    executor = tf.Executor(1)
    foreign = Future()
    futures = [executor.submit(pow, foreign, n) for n in range(5)]
    executor.shutdown(cancel_futures=True)
    assert all(future.cancelled() for future in futures)
    foreign.set_result(1)


def test_calls_under_way_can_be_ended():
    executor = tf.Executor(2)
    futures = [executor.submit(time.sleep, 2 * LONG) for _ in range(4)]
    time.sleep(0.3)
    start = time.monotonic()
    executor.terminate_workers()
    executor.shutdown()
    assert time.monotonic() - start < LONG
    for future in futures:
        with pytest.raises(CancelledError):
            future.result(0)


def test_futures_of_calls_that_are_ended_do_not_wait_for_a_function_that_cannot_be_interrupted():
    release = threading.Event()
    executor = tf.Executor(2)
    futures = [executor.submit(release.wait, 60) for _ in range(2)]
    until(lambda: all(future.running() for future in futures))
    ender = threading.Thread(target=executor.terminate_workers)
    ender.start()
    for future in futures:
        with pytest.raises(CancelledError):
            future.result(20)
    release.set()
    ender.join()
    executor.shutdown()


def test_a_pending_call_can_be_cancelled(executor):
    foreign = Future()
    future = executor.submit(pow, foreign, 2)
    assert future.cancel()
    foreign.set_result(2)
    with pytest.raises(CancelledError):
        future.result()


def test_cancelled_calls_do_not_hold_up_those_after_them():
    with tf.Executor(2) as executor:
        release = threading.Event()
        executor.submit(release.wait)
        executor.submit(release.wait)
        time.sleep(0.1)
        futures = [executor.submit(pow, n, 2) for n in range(12)]
        assert all(future.cancel() for future in futures[:6])
        release.set()
        assert [future.result(30) for future in futures[6:]] == [n * n for n in range(6, 12)]


def test_the_initializer_comes_before_the_calls():
    started = []

    def start(value):
        started.append(value)

    with tf.Executor(2, start, ("a",)) as executor:
        assert list(executor.map(lambda n: list(started), range(4))) == [["a"]] * 4


def test_no_call_begins_before_the_end_of_the_initializer():
    started = []

    def start():
        time.sleep(0.2)
        started.append(1)

    with tf.Executor(4, start) as executor:
        futures = [executor.submit(lambda n: len(started), n) for n in range(8)]
        assert [future.result() for future in futures] == [1] * 8


def test_each_thread_calls_an_initializer_that_sets_its_own_attributes():
    here = threading.local()

    def start(value):
        here.value = value

    with tf.Executor(4, start, (7,)) as executor:
        assert [future.result() for future in [executor.submit(lambda: here.value) for _ in range(20)]] == [7] * 20


def test_an_executor_whose_initializer_fails_is_broken():
    def start():
        raise ValueError("no room")

    executor = tf.Executor(1, start)
    with pytest.raises(BrokenExecutor, match="no room"):
        executor.submit(pow, 1, 1).result()
    with pytest.raises(BrokenExecutor, match="no room"):
        executor.submit(pow, 1, 1)
    executor.shutdown()


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"max_workers": 0}, ValueError),
        ({"max_workers": 2.5}, TypeError),
        ({"max_workers": True}, TypeError),
        ({"initializer": 3}, TypeError),
        ({"initargs": None}, TypeError),
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(arguments, kind):
    with pytest.raises(kind, match=next(iter(arguments))):
        tf.Executor(**arguments)


@pytest.mark.parametrize("limit", [float("nan"), "3"])
def test_a_time_limit_is_a_number_of_seconds(executor, limit):
    call = executor.submit(pow, 2, 3)
    for waiting in (call.result, call.exception, lambda seconds: executor.map(abs, [-1], timeout=seconds)):
        with pytest.raises((TypeError, ValueError), match="timeout must be a number of seconds"):
            waiting(limit)


def test_a_time_limit_may_be_longer_than_python_can_wait(executor):
    assert list(executor.map(abs, [-1], timeout=1e300)) == [1]
    assert executor.submit(slow, 0.01).result(float("inf")) == 0.01


def test_what_cannot_be_called_is_refused_at_once(executor):
    for function in (None, 3, [1]):
        with pytest.raises(TypeError, match="calls functions, not"):
            executor.submit(function)
    with pytest.raises(TypeError, match="calls functions, not 3"):
        executor.map(3, [])


def test_a_chunk_has_at_least_one_call(executor):
    with pytest.raises(ValueError, match="chunksize"):
        executor.map(pow, [1], [1], chunksize=0)
    with pytest.raises(TypeError, match="chunksize"):
        executor.map(pow, [1], [1], chunksize=1.5)


def test_a_program_that_ends_waits_for_its_calls_and_leaves_nothing():
    code = """
import time, weftwork as tf
tf.Executor().submit(time.sleep, 0.5).add_done_callback(lambda future: print("done"))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.parametrize("most", [1, 2])
def test_a_call_that_waits_for_another_lets_it_be_made(most):
    """Python's pools wait for ever here."""
    with tf.Executor(most) as executor:

        def fibonacci(n):
            if n < 2:
                return n
            low, high = [executor.submit(fibonacci, n - k) for k in (2, 1)]
            return low.result(60) + high.result(60)

        def waits(n):
            inner = executor.submit(refuse, n)
            return repr(inner.exception(60)), list(executor.map(abs, [-n, n]))

        assert [future.result(60) for future in [executor.submit(fibonacci, n) for n in range(7)]] == [
            *(0, 1, 1, 2, 3, 5, 8)
        ]
        for _ in range(2):
            futures = [executor.submit(waits, n) for n in range(6)]
            assert [future.result(60) for future in futures] == [(f"KeyError({n})", [n, n]) for n in range(6)]


def test_a_call_may_wait_for_one_that_was_submitted_with_it():
    futures, ready = {}, threading.Event()

    def call(k):
        time.sleep(0.002)
        return k if k else futures[1].result(LONG) + ready.wait(LONG)

    with tf.Executor(1) as executor:
        executor.submit(call, 2).result(LONG)  # so that its duration is known
        for k in range(2):
            futures[k] = executor.submit(call, k)
        ready.set()
        assert futures[0].result(LONG) == 2


def test_calls_that_come_while_others_run_join_them():
    heard, left, ready, over = [], list(range(20)), threading.Event(), threading.Event()

    def call(k):
        ready.wait(LONG)
        time.sleep(0.002)

    def go_on(future):
        if left:
            executor.submit(call, left.pop()).add_done_callback(go_on)
        else:
            over.set()

    with tf.listen(heard.append, nodes=True), tf.Executor(1) as executor:
        executor.submit(call, 20).add_done_callback(go_on)
        ready.set()
        assert over.wait(LONG)
    check_run(heard)
    assert len(of_kind(heard, "node")) == 21


def test_a_call_cannot_wait_for_the_end_of_all_calls():
    executor = tf.Executor(2)
    with pytest.raises(RuntimeError, match="cannot wait for the end of all calls"):
        executor.submit(executor.shutdown).result(60)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, 1)
    executor = tf.Executor(2)
    executor.submit(executor.shutdown, wait=False).result(60)
    executor.shutdown()


def test_events_tell_of_each_call_once(executor):
    heard = []
    with tf.listen(heard.append, nodes=True):
        assert sorted(executor.submit(slow, k / 1000).result() for k in range(3)) == [0.0, 0.001, 0.002]
        until(lambda: len(of_kind(heard, "began")) == len(of_kind(heard, "ended")))  # that is after the last result
    assert [event.ops[0].name for event in of_kind(heard, "node")] == ["slow"] * 3
    for run in {event.run for event in heard}:
        check_run([event for event in heard if event.run == run])


@pytest.mark.parametrize("way", ["submit", "map"])
def test_a_call_that_kills_its_process_breaks_only_itself_and_is_named(way):
    def die(x):  # in here: the workers that it kills need not import this module
        os._exit(3)

    with tf.Executor(1) as executor, pytest.raises(BrokenProcessPool) as raised:
        executor.submit(die, 0).result() if way == "submit" else list(executor.map(die, [0]))
    assert isinstance(raised.value, tf.errors.UnavailableError)
    assert re.search(r"ran die \(defined at .*test_executor.py:\d+\) died 3 times", str(raised.value))
