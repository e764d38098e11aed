"""Coordinators: threads that stop together, and tell why."""

import threading

import pytest

import weftwork as tf


def test_a_stop_is_seen_by_all_and_may_be_taken_back():
    coord = tf.train.Coordinator()
    assert not coord.should_stop()
    assert not coord.wait_for_stop(0.01)
    coord.request_stop()
    assert coord.should_stop()
    assert coord.wait_for_stop(0.01)
    coord.clear_stop()
    assert not coord.should_stop()


def test_join_waits_for_the_threads():
    coord, done = tf.train.Coordinator(), []

    def work():
        coord.wait_for_stop()
        done.append(1)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    coord.register_thread(threads[0])
    coord.request_stop()
    coord.join(threads[1:])
    assert len(done) == 3
    assert coord.joined


def test_threads_that_end_by_themselves_need_no_stop():
    coord = tf.train.Coordinator()
    thread = threading.Thread(target=lambda: None)
    thread.start()
    coord.join([thread])
    assert not coord.should_stop()


def test_join_raises_the_first_exception():
    coord = tf.train.Coordinator()
    coord.request_stop(ValueError("first"))
    coord.request_stop(TypeError("second"))
    with pytest.raises(ValueError, match="first"):
        coord.join([])
    with pytest.raises(KeyError):  # nobody would see it: it is raised at once
        coord.request_stop(KeyError("late"))


def test_the_end_of_the_data_is_no_error():
    coord = tf.train.Coordinator()
    with coord.stop_on_exception():
        raise tf.errors.OutOfRangeError(None, None, "no more")
    assert coord.should_stop()
    coord.join([])
    strict = tf.train.Coordinator(clean_stop_exception_types=())
    with strict.stop_on_exception():
        raise tf.errors.OutOfRangeError(None, None, "no more")
    with pytest.raises(tf.errors.OutOfRangeError):
        strict.join([])


def test_threads_that_do_not_stop_are_named():
    coord, release = tf.train.Coordinator(), threading.Event()
    thread = threading.Thread(target=release.wait, name="stubborn")
    thread.start()
    coord.request_stop()
    with pytest.raises(RuntimeError, match="Coordinator stopped with threads still running: stubborn"):
        coord.join([thread], stop_grace_period_secs=0.05)
    coord.join([thread], stop_grace_period_secs=0.05, ignore_live_threads=True)
    release.set()
    thread.join()


def test_a_looper_calls_until_the_stop_and_reports_what_it_raises():
    coord, calls = tf.train.Coordinator(), []

    def count(limit):
        calls.append(1)
        if len(calls) == limit:
            raise ValueError("enough")

    tf.train.LooperThread.loop(coord, None, count, args=(5,))
    with pytest.raises(ValueError, match="enough"):
        coord.join()
    assert len(calls) == 5


def test_a_looper_begins_and_ends():
    coord, seen = tf.train.Coordinator(), []

    class Looper(tf.train.LooperThread):
        def start_loop(self):
            seen.append("start")

        def run_loop(self):
            seen.append("run")
            coord.request_stop()

        def stop_loop(self):
            seen.append("stop")

    Looper(coord, 0.001).start()
    coord.join()
    assert seen == ["start", "run", "stop"]


def test_a_looper_needs_a_coordinator():
    with pytest.raises(ValueError, match="'coord' argument must be a Coordinator"):
        tf.train.LooperThread(None, 1)
    with pytest.raises(ValueError, match="require that you also pass 'target'"):
        tf.train.LooperThread(tf.train.Coordinator(), 1, args=(1,))
