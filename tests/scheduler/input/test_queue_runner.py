"""Queue runners: threads that fill a queue, and end as they should."""

import pickle
import threading

import numpy as np
import pytest

import weftwork as tf


@pytest.fixture
def session(graph, ray_session):
    with tf.Session() as session:
        yield session


def counted(limit):
    """A queue, and an operation that puts the next number in, up to a limit."""
    count = tf.Variable(np.int64(0), name="count")
    queue = tf.FIFOQueue(3, tf.int64, shapes=[[]], name="numbers")

    @tf.op(dtype=tf.int64, shape=[])
    def below(value):
        if value > limit:
            raise tf.errors.OutOfRangeError(None, None, "no more numbers")
        return value

    return queue, queue.enqueue(below(count.assign_add(1)))


def test_a_queue_is_filled_until_there_is_no_more_and_closed_then(session):
    queue, put = counted(10)
    runner = tf.train.QueueRunner(queue, [put])
    take = queue.dequeue()
    session.run(tf.global_variables_initializer())
    threads = runner.create_threads(session, start=True)
    assert [session.run(take) for _ in range(10)] == list(range(1, 11))
    with pytest.raises(tf.errors.OutOfRangeError):
        session.run(take)
    for thread in threads:
        thread.join(30)
    assert runner.exceptions_raised == []


def test_a_coordinator_stops_the_threads_also_those_that_wait(session):
    queue, put = counted(1000)
    tf.train.add_queue_runner(tf.train.QueueRunner(queue, [put, put]))
    take = queue.dequeue()
    session.run(tf.global_variables_initializer())
    coord = tf.train.Coordinator()
    threads = tf.train.start_queue_runners(session, coord)
    assert sorted(t.name for t in threads) == [
        "QueueRunnerThread-numbers-close_on_stop",
        *["QueueRunnerThread-numbers-numbers_enqueue"] * 2,
    ]
    assert all(t.daemon for t in threads)
    assert sorted(int(session.run(take)) for _ in range(3)) == [1, 2, 3]
    coord.request_stop()
    coord.join(threads, stop_grace_period_secs=30)


def test_the_last_thread_closes_the_queue(session):
    queue, put = counted(7)
    runner = tf.train.QueueRunner(queue, [put, put, put])
    everything = queue.dequeue_up_to(100)
    session.run(tf.global_variables_initializer())
    runner.create_threads(session, coord=tf.train.Coordinator(), daemon=True, start=True)
    assert sorted(session.run(everything).tolist()) == list(range(1, 8))


def test_an_error_is_told_to_the_coordinator(session):
    queue = tf.FIFOQueue(3, tf.int64, shapes=[[]])

    @tf.op(dtype=tf.int64, shape=[])
    def wrong():
        raise ValueError("wrong number")

    runner = tf.train.QueueRunner(queue, [queue.enqueue(wrong())])
    coord = tf.train.Coordinator()
    runner.create_threads(session, coord, start=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="wrong number"):
        coord.join()
    for thread in runner.create_threads(session, start=True):
        thread.join(30)
    assert "wrong number" in str(runner.exceptions_raised[0])


def test_a_session_gets_one_set_of_threads(session):
    queue, put = counted(5)
    runner = tf.train.QueueRunner(queue, [put])
    session.run(tf.global_variables_initializer())
    assert len(runner.create_threads(session)) == 1
    assert runner.create_threads(session) == []


def test_a_runner_can_be_pickled_with_its_graph(session):
    queue = tf.FIFOQueue(3, tf.int64, shapes=[[]])
    tf.train.add_queue_runner(tf.train.QueueRunner(queue, [queue.enqueue(np.int64(7))]))
    taken = queue.dequeue().name
    graph = pickle.loads(pickle.dumps(session.graph))
    coord = tf.train.Coordinator()
    with tf.Session(graph=graph) as other:
        threads = tf.train.start_queue_runners(other, coord)
        assert other.run(taken) == 7
        coord.request_stop()
        coord.join(threads)


def test_what_is_no_session_gets_no_threads(graph):
    with pytest.raises(ValueError, match="Cannot start queue runners: No default session is registered"):
        tf.train.start_queue_runners()
    with pytest.raises(TypeError, match="sess must be a `tf.Session` object. Given class: <class 'int'>"):
        tf.train.start_queue_runners(3)


def test_bad_arguments_are_refused(graph):
    queue = tf.FIFOQueue(3, tf.int64)
    with pytest.raises(ValueError, match="Must provide queue and enqueue_ops"):
        tf.train.QueueRunner(queue)
    with pytest.raises(TypeError, match="must be a tuple of tf.error types"):
        tf.train.QueueRunner(queue, [queue.enqueue(1)], queue_closed_exception_types=(ValueError,))
    with pytest.raises(TypeError, match="must be a tuple of tf.error types, but saw"):
        tf.train.QueueRunner(queue, [queue.enqueue(1)], queue_closed_exception_types=())


def test_only_one_of_several_ending_threads_closes_the_queue(graph):
    """No session: the threads meet where each has seen the end, and none has counted itself out."""
    queue = tf.FIFOQueue(3, tf.int64, shapes=[[]])
    runner = tf.train.QueueRunner(queue, [tf.no_op(), tf.no_op()])
    meeting, closed = threading.Barrier(2), []

    class Ends:
        def run(self, op):
            closed.append(op)

        def make_callable(self, op):
            def call():
                meeting.wait(30)
                raise tf.errors.OutOfRangeError(None, None, "the end")

            return call

    for thread in runner.create_threads(Ends(), start=True):
        thread.join(30)
    assert closed == [runner.close_op]


def test_a_runner_is_made_of_its_definition(graph):
    queue = tf.FIFOQueue(10, tf.float32, name="queue")
    runner = tf.train.QueueRunner(queue, [tf.no_op(name="fill")])
    again = tf.train.QueueRunner(queue_runner_def=runner.to_proto())
    assert "queue_closed_exception_types: OUT_OF_RANGE" in str(runner.to_proto())
    assert (again.name, again.enqueue_ops) == ("queue", runner.enqueue_ops)
    assert runner.to_proto("elsewhere") is None
    with pytest.raises(TypeError, match="queue_runner_def must be a QueueRunnerDef"):
        tf.train.QueueRunner(queue_runner_def=3)
    with pytest.raises(ValueError, match="mutually exclusive"):
        tf.train.QueueRunner(queue, [tf.no_op()], queue_runner_def=runner.to_proto())
