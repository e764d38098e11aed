"""Dropped objects are freed: no cache keeps a graph, a function, or anything that a function holds alive."""

from __future__ import annotations

import gc
import time
import weakref

import numpy as np
import pytest

import weftwork as tf
from tests.waiting import until
from weftwork.scheduler.events.stream import Stream
from weftwork.scheduler.plan.cost import Costs

pytestmark = pytest.mark.usefixtures("ray_session")


class Held:
    """An object held by a user's function."""

    def __init__(self):
        self.array = np.ones(1000)


class Watched:
    """Weak references to objects that must be freed."""

    def __init__(self):
        self.refs: list[weakref.ref] = []

    def add(self, thing):
        """Watch a thing; returns it."""
        self.refs.append(weakref.ref(thing))
        return thing

    def function(self, seconds=0.0, **options):
        """A function as a node, whose closure holds an array: all are watched."""
        held = self.add(Held())
        self.add(held.array)

        def function(x):
            time.sleep(seconds)
            return x + np.float32(held.array[0])

        return tf.op(**options)(self.add(function))

    @property
    def alive(self):
        """The names of objects that are still alive."""
        gc.collect()
        return [type(thing).__name__ for ref in self.refs if (thing := ref()) is not None]


FLOAT = {"dtype": tf.float32, "shape": []}


def run(fetches, feed_dict=None, runs=4, **config):
    """Some runs in a session of their own, after the initialisers."""
    with tf.Session(config=tf.ConfigProto(**config)) as session:
        session.run(tf.global_variables_initializer())
        for _ in range(runs):
            made = session.run(fetches, feed_dict)
    return made


def calls(watched, tmp_path):
    x = tf.placeholder(tf.float64, [None])
    run(watched.function()(x) * 2.0, {x: watched.add(np.ones(100_000))})
    run([watched.function()(float(i)) for i in range(300)])
    run(watched.function(pure=True, **FLOAT)(1.0), runs=50)


def gradients(watched, tmp_path):
    v = tf.Variable(np.eye(3))
    f = watched.function(dtype=tf.float64, shape=[3, 3])
    f.gradient(watched.add(lambda grad, x: grad))
    loss = tf.reduce_sum(f(v) * np.sin(v)) + np.linalg.det(v)
    with pytest.raises(LookupError):
        tf.gradients(watched.function(pure=True, dtype=tf.float64, shape=[3, 3])(v), v)
    run(tf.train.AdamOptimizer(0.1).minimize(loss))


def branches(watched, tmp_path):
    v, p = tf.Variable(1.0), tf.placeholder(tf.bool, [])
    f = watched.function(**FLOAT)
    written = tf.cond(p, lambda: tf.assign(v, f(v)), lambda: v * 2.0)
    drawn = tf.cond(p, lambda: tf.random_uniform([]), lambda: f(2.0))
    run([written, drawn, tf.gradients(tf.cond(p, lambda: v * v, lambda: v), v)], {p: True})


def loops(watched, tmp_path):
    v, f = tf.Variable(1.0), watched.function(**FLOAT)

    def body(i, x):
        with tf.control_dependencies([tf.assign_add(v, 1.0)]):
            return i + 1, f(x) + tf.random_uniform([])

    drawn = tf.while_loop(lambda i, x: i < 5, body, [0, 0.0])
    turned = tf.gradients(tf.while_loop(lambda i, x: i < 5, lambda i, x: (i + 1, x * v), [0, 1.0])[1], v)
    run([drawn, turned])


def elements(watched, tmp_path):
    f, array = watched.function(0.002, **FLOAT), tf.constant(np.ones(6, np.float32))
    run([tf.map_fn(f, array), tf.scan(lambda a, e: a + f(e), array)])


def queues(watched, tmp_path):
    queue, f = tf.FIFOQueue(10, [tf.float32], [[]]), watched.function(**FLOAT)
    put, take = queue.enqueue(f(1.0)), queue.dequeue()
    with tf.Session() as session:
        session.run([put, take])
        session.run(put)
        session.run(take)
        with pytest.raises(tf.errors.DeadlineExceededError):
            session.run([take, f(1.0)], options=tf.RunOptions(timeout_in_ms=50))


def threads(watched, tmp_path):
    batch = tf.train.batch([watched.function(**FLOAT)(1.0)], 3)
    with tf.Session() as session:
        coord = tf.train.Coordinator()
        runners = tf.train.start_queue_runners(session, coord)
        session.run(batch)
        coord.request_stop()
        coord.join(runners)


def training(watched, tmp_path):
    v, f = tf.Variable(1.0), watched.function(**FLOAT)
    step = tf.train.get_or_create_global_step()
    tf.summary.scalar("v", f(v))
    op = tf.group(tf.assign_add(step, 1), tf.assign(v, f(v)))
    hooks = [tf.train.StopAtStepHook(last_step=3)]
    with tf.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path), save_summaries_steps=1, hooks=hooks
    ) as session:
        while not session.should_stop():
            session.run(op)


def savers(watched, tmp_path):
    tf.Variable(watched.function(**FLOAT)(1.0))
    saver = tf.train.Saver()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        saver.restore(session, saver.save(session, str(tmp_path / "model")))


def partial(watched, tmp_path):
    x, z = tf.placeholder(tf.float32, []), tf.placeholder(tf.float32, [])
    first = watched.function(**FLOAT)(x)
    second = first + z
    with tf.Session() as session:
        for finished in (True, False):
            handle = session.partial_run_setup([first, second], [x, z])
            session.partial_run(handle, first, {x: 1.0})
            if finished:
                session.partial_run(handle, second, {z: 1.0})


def nested(watched, tmp_path):
    f = watched.function(0.01, dtype=tf.float32, shape=[])
    run(tf.while_loop(lambda i, x: i < 4, lambda i, x: (i + 1, x + f(tf.cast(i, tf.float32))), [0, 0.0]))


def shared(watched, tmp_path):
    v = tf.Variable(1.0)
    run(watched.function(**FLOAT)(v), runs=2, name=f"leaks-{tmp_path.name}")


def residents(watched, tmp_path):
    f = watched.function()
    run([f(float(i)) for i in range(6)], placement="resident")


def tasks(watched, tmp_path):
    v = tf.Variable(np.ones(100_000))
    run(v.assign(watched.function(dtype=tf.float64, shape=[100_000], isolated=True)(v)), placement="mixed")


def failures(watched, tmp_path):
    held = watched.add(Held())

    def fails(x):
        raise ValueError(held)

    f = tf.op(watched.add(fails))
    with tf.Session() as session:
        for fetch in (f(1.0), tf.cond(tf.constant(True), lambda: f(1.0), lambda: f(2.0))):
            with pytest.raises(tf.errors.OpError):
                session.run(fetch)


def callables(watched, tmp_path):
    x = tf.placeholder(tf.float32, [])
    y = watched.function()(x)
    with tf.Session() as session:
        call = session.make_callable(y, [x])
        call(1.0)
        session.submit(y, {x: 1.0}).result()
        session.run(y, {x: 1.0}, options=tf.RunOptions(trace_level=3), run_metadata=tf.RunMetadata())
        session.explain(y, {x: 1.0})


def methods(watched, tmp_path):
    class Model:
        def __init__(self):
            self.node = tf.op(self.method)
            self.made = self.node(1.0)

        def method(self, x):
            return x

    run(watched.add(Model()).made)


def of_numpy(watched, tmp_path):
    held = watched.add(Held())
    row = watched.add(lambda row: np.sum(row) + held.array[0])
    run([np.apply_along_axis(row, 0, tf.constant(np.eye(3))), np.frompyfunc(row, 1, 1)(tf.constant(np.eye(3)))])


def scopes(watched, tmp_path):
    start = tf.constant(1.0)
    tf.get_variable_scope().set_initializer(lambda *args, **kwargs: start)
    with tf.variable_scope("a", custom_getter=lambda getter, *args, **kwargs: getter(*args, **kwargs) + start):
        run(watched.function()(tf.get_variable("w", [])))


def never_closed(watched, tmp_path):
    tf.Session().run(watched.function()(1.0))


KINDS = [
    *[calls, gradients, branches, loops, elements, queues, threads, training, savers, partial, nested, shared],
    *[residents, tasks, failures, callables, methods, of_numpy, scopes, never_closed],
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_was_dropped_is_freed_with_all_that_functions_hold(kind, tmp_path):
    watched = Watched()
    with watched.add(tf.Graph()).as_default():
        kind(watched, tmp_path)
    until(lambda: not watched.alive, 10)


def test_code_that_made_nodes_is_freed_with_them():
    names: dict = {"tf": tf}
    exec(compile("def make(): return tf.constant(1.0)", "<cell 7>", "exec"), names)
    code = weakref.ref(names["make"].__code__)
    with tf.Graph().as_default():
        assert "<cell 7>" in names["make"]().op.source.text
    names.clear()
    until(lambda: gc.collect() is not None and code() is None, 10)


def test_what_a_function_costs_is_remembered_as_long_as_it_lives_also_when_no_graph_uses_it():
    class Model:
        def method(self, x):
            return x

    model, costs = Model(), Costs()
    for function in (lambda x: x, model.method):
        costs.learn(tf.op(function).kernel, 0, 0.5, 1)
        gc.collect()
        assert costs.find(tf.op(function).kernel, 0).seconds == 0.5
        assert costs.find(tf.op(outputs=1)(function).kernel, 0) is None


def test_costs_of_dropped_functions_are_dropped():
    costs = Costs()
    for _ in range(100):
        costs.learn(tf.op(lambda x: x).kernel, 0, 0.5, 1)
        costs.learn(lambda x: x, 0, 0.5, 1)
    gc.collect()
    assert len(costs) == 0


def test_the_number_of_remembered_numpy_functions_is_bounded():
    costs = Costs()
    for _ in range(3000):
        costs.learn(np.frompyfunc(abs, 1, 1), 0, 0.5, 1)
    assert len(costs) <= 2048


def test_a_session_is_freed_by_its_last_reference_with_its_engine_and_events():
    work = tf.op(lambda k: k + 1)
    with tf.Graph().as_default():
        fetches = [work(k) for k in range(30)]  # enough for a run without a plan
        for _ in range(2):
            session = tf.Session()
            session.run(fetches)
            parts = [weakref.ref(part) for part in (session, session._engine, session._engine.events)]
            gc.collect()  # a run that was shared out leaves a circle
            gc.disable()
            try:
                del session
                assert [part() for part in parts] == [None] * 3
            finally:
                gc.enable()


def test_who_listens_to_one_session_does_not_disturb_the_others(monkeypatch):
    with tf.Graph().as_default(), tf.Session() as one, tf.Session() as other:
        looked: list = []
        monkeypatch.setattr(Stream, "look", lambda self: looked.append(self))
        with other.listen(print):
            assert looked == [other._engine.events]
        assert looked == [other._engine.events] * 2
        assert not one.closed
