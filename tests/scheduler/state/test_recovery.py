"""Processes and machines are lost: what a session keeps, what it repairs, and what it says of the rest."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

import weftwork as tf
from tests.programs import Program
from weftwork.scheduler.machines import backend
from weftwork.scheduler.run.run import Run

LOSS = Program("tests.loss_program")
SIZE = 40_000


@pytest.fixture(scope="module")
def seen():
    """The output of a program that lost machines."""
    return LOSS.seen()


def test_with_a_replica_nothing_is_lost_with_a_machine(seen):
    replicas = seen["replicas"]
    assert (replicas["errors"], replicas["kept"], replicas["got"]) == ([], 5, [5, 5])


def test_a_value_that_does_not_change_comes_to_a_second_machine_again(seen):
    assert seen["replicas"]["still"] == 2


def test_a_value_that_the_last_checkpoint_holds_comes_from_there(seen):
    saved = seen["saved"]
    assert (saved["errors"], saved["kept"], saved["got"]) == ([], 5, [5, 5])


def test_a_session_goes_back_to_its_checkpoint_as_a_whole_and_says_so(seen):
    ((kind, text),) = seen["rolled back"]["errors"]
    assert kind == "AbortedError"
    assert text.startswith("The values of w (defined at ")
    assert "has gone back to the checkpoint" in text
    assert seen["rolled back"]["got"] == [4, 4]


def test_what_cannot_be_repaired_is_named_and_the_rest_goes_on(seen):
    assert [kind for kind, _ in seen["nothing"]["errors"]] == ["DataLossError", "DataLossError"]
    assert "loss_program.py:" in seen["nothing"]["errors"][0][1]
    assert seen["nothing"]["kept"] == 5
    assert seen["nothing"]["got"] == "DataLossError"
    assert seen["nothing"]["anew"] == 0


# The variable actor dies at every stage of a run


class Stages:
    """A session whose actor can be killed at a chosen moment."""

    def __init__(self, monkeypatch):
        self.monkeypatch = monkeypatch
        with tf.Graph().as_default() as graph:
            self.w = tf.Variable(np.zeros(SIZE, np.int64), name="w")
            self.small = tf.Variable(np.int64(0), name="small")
            self.step = tf.group(self.w.assign_add(tf.ones([SIZE], tf.int64)), self.small.assign_add(1))
            self.ends = [self.w[0], self.w[-1], self.small]
            initialise = tf.global_variables_initializer()
        self.session = tf.Session(graph=graph, config=tf.ConfigProto(placement="actor"))
        self.session.run(initialise)
        self.session.run(self.step)

    def kill(self):
        """SIGKILL, and wait until it is gone."""
        link = self.session._engine.links.at()
        if link.actor is not None:
            pid = backend.ray().get(link.actor.raw.pid.remote())
            os.kill(pid, signal.SIGKILL)

    def before(self, where, name):
        """Kill when a function is called, before it does anything; once."""
        real, done = getattr(where, name), []

        def killing(*args, **kwargs):
            if not done:
                done.append(True)
                self.kill()
            return real(*args, **kwargs)

        self.monkeypatch.setattr(where, name, killing)
        return done


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (backend, "submit_to"),
        (backend, "result"),
        (Run, "fetched"),
        (Run, "commit"),
        (Run, "end"),
        (backend, "on_done"),
    ],
    ids=["before the message", "before the reply", "before the fetches", "before the commit", "after", "on its way"],
)
def test_each_run_is_applied_once_whenever_the_actor_dies(ray_session, monkeypatch, where, name):
    stages = Stages(monkeypatch)
    with stages.session as session:
        done = stages.before(where, name)
        for _ in range(3):
            session.run(stages.step)
        assert done
        assert [int(v) for v in session.run(stages.ends)] == [4, 4, 4]


def test_a_reply_that_is_lost_is_not_a_second_update(ray_session, monkeypatch):
    """The actor did its work, and nobody heard of it."""
    stages = Stages(monkeypatch)
    real, lost = backend.result, []

    def losing(handle):
        reply = real(handle)
        if handle.actor is not None and not lost:
            lost.append(True)
            raise backend.WorkerLost("the reply was lost")
        return reply

    monkeypatch.setattr(backend, "result", losing)
    with stages.session as session:
        for _ in range(3):
            session.run(stages.step)
        assert lost
        assert [int(v) for v in session.run(stages.ends)] == [4, 4, 4]


# Checkpoints that a session makes by itself


def counting(folder, **options):
    """A graph with a counter and a vector, and a session on it."""
    graph = tf.Graph()
    with graph.as_default():
        count = tf.Variable(np.int64(0), name="count")
        names = tf.Variable(["a", "b"], name="names")
        step = count.assign_add(1)
        initialise = tf.global_variables_initializer()
    config = tf.ConfigProto(checkpoint_dir=str(folder), **options)
    return tf.Session(graph=graph, config=config), count, names, step, initialise


def test_a_new_session_resumes_from_the_checkpoint_of_the_last_one(tmp_path):
    session, _, _, step, initialise = counting(tmp_path / "run")
    with session:
        session.run(initialise)
        for _ in range(5):
            session.run(step)
    session, count, names, step, _ = counting(tmp_path / "run")
    with session:
        assert session.run(count) == 5
        assert session.run(names).tolist() == [b"a", b"b"]
        assert session.run(step) == 6
    session, count, *_ = counting(tmp_path / "run")
    with session:
        assert session.run(count) == 6


def test_checkpoints_are_written_while_runs_go_on_and_old_ones_go(tmp_path):
    session, count, _, step, initialise = counting(tmp_path, checkpoint_every=0.02)
    with session:
        session.run(initialise)
        while not (latest := tf.train.latest_checkpoint(str(tmp_path))) or not latest.endswith(("-6", "-7", "-8")):
            session.run(step)
        assert tf.train.load_variable(latest, "count") <= session.run(count)
    assert len(list(tmp_path.glob("session-*.index"))) <= 4


def test_a_checkpoint_that_cannot_be_written_is_told_and_the_session_goes_on(tmp_path):
    session, count, _, step, initialise = counting(tmp_path / "gone", checkpoint_every=3600)
    session.run(initialise)
    (tmp_path / "gone").rmdir()
    session.run(step)
    with pytest.warns(UserWarning, match="could not write a checkpoint"):
        session.close()
