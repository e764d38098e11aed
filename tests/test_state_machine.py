"""Any sequence of runs, failures, kills, saves and new sessions leaves the state that a plain model has."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import weftwork as tf
from weftwork.scheduler.machines import backend

LARGE = 20_000


@tf.op(dtype=tf.int64, shape=[])
def fail(x):
    """Goes wrong."""
    raise ValueError(f"no: {x}")


@tf.op(dtype=tf.int64, shape=[LARGE], isolated=True)
def spread(x):
    """Something large, from a worker."""
    return np.full(LARGE, x)


class Sessions(RuleBasedStateMachine):
    """A session with a small and a large variable, and a model of both in plain Python."""

    @initialize(placement=st.sampled_from(["auto", "caller", "actor", "mixed"]))
    def begin(self, placement):
        """A graph with all that may happen to the variables."""
        self.folder = tempfile.mkdtemp()
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.x = tf.placeholder(tf.int64, [], name="x")
            small = tf.Variable(np.int64(1), name="small")
            large = tf.Variable(np.zeros(LARGE, np.int64), name="large")
            self.assign = tf.group(small.assign(self.x), large.assign(spread(self.x)))
            self.add = tf.group(small.assign_add(self.x), large.assign_add(spread(self.x)))
            with tf.control_dependencies([small.assign_add(1), large.assign_add(spread(self.x))]):
                self.doomed = fail(self.x)
                self.endless = tf.while_loop(lambda i: i >= 0, lambda i: i * 1, [0])
            self.state = [small, large[0], large[-1]]
            self.initialise = tf.global_variables_initializer()
            self.saver = tf.train.Saver()
        self.config = tf.ConfigProto(placement=placement)
        self.saved = None
        self.new()

    def new(self):
        """A session with initialised variables."""
        self.session = tf.Session(graph=self.graph, config=self.config)
        self.session.run(self.initialise)
        self.model = (1, 0)

    @rule(value=st.integers(-5, 5))
    def assigns(self, value):
        """Both variables are set."""
        self.session.run(self.assign, {self.x: value})
        self.model = (value, value)

    @rule(value=st.integers(-5, 5))
    def adds(self, value):
        """Both variables are changed."""
        self.session.run(self.add, {self.x: value})
        self.model = (self.model[0] + value, self.model[1] + value)

    @rule()
    def fails(self):
        """A run that raises after it has written."""
        with pytest.raises(tf.errors.InvalidArgumentError, match="no: 3"):
            self.session.run(self.doomed, {self.x: 3})

    @rule()
    def times_out(self):
        """A run that is stopped after it has written."""
        with pytest.raises(tf.errors.DeadlineExceededError):
            self.session.run(self.endless, {self.x: 3}, options=tf.RunOptions(timeout_in_ms=60))

    @rule()
    def is_cancelled(self):
        """A run that somebody ends."""
        future = self.session.submit(self.endless, {self.x: 3})
        while not self.session._engine.mirror.running:
            pass
        future.cancel()
        with pytest.raises(tf.errors.CancelledError):
            future.result(60)

    @rule()
    def loses_its_actor(self):
        """The variables' process dies."""
        link = self.session._engine.links.at()
        if link.actor is not None:
            try:
                os.kill(backend.ray().get(link.actor.raw.pid.remote()), signal.SIGKILL)
            except backend.ray().exceptions.RayActorError:  # it is dead, and nobody has needed it since
                pass

    @rule(values=st.lists(st.integers(-3, 3), min_size=2, max_size=4))
    def adds_from_threads(self, values):
        """Several runs at once."""
        threads = [threading.Thread(target=self.session.run, args=(self.add, {self.x: v})) for v in values]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.model = (self.model[0] + sum(values), self.model[1] + sum(values))

    @rule()
    def saves(self):
        """A checkpoint of this moment."""
        self.prefix = self.saver.save(self.session, self.folder + "/state")
        self.saved = self.model

    @precondition(lambda self: getattr(self, "saved", None) is not None)
    @rule()
    def restores(self):
        """Back to the last checkpoint."""
        self.saver.restore(self.session, self.prefix)
        self.model = self.saved

    @rule()
    def begins_anew(self):
        """Another session: it shares nothing with the one before."""
        self.session.close()
        self.new()

    def check(self):
        """The session holds what the model holds."""
        small, first, last = self.session.run(self.state)
        assert (small, first, last) == (self.model[0], self.model[1], self.model[1])

    def teardown(self):
        """At the end too."""
        if hasattr(self, "session"):
            self.check()
            self.session.close()
            shutil.rmtree(self.folder)

    @rule()
    def looks(self):
        """In between."""
        self.check()


@pytest.mark.usefixtures("ray_session")
class TestSessions(Sessions.TestCase):
    """The machine, as a test."""

    settings = settings(max_examples=8, stateful_step_count=12, deadline=None)
