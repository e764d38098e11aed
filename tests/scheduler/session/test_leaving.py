"""A closed or abandoned session leaves nothing behind."""

from __future__ import annotations

import gc
import signal
import threading
import time

import numpy as np
import pytest

import weftwork as tf
from tests.leaving_program import gone
from tests.programs import Program
from weftwork.scheduler.machines import backend, objects


def busy_session():
    """A session with an actor and large values in it."""
    graph = tf.Graph()
    with graph.as_default():
        w = tf.Variable(np.zeros(100_000), name="w")
        step = w.assign_add(tf.op(dtype=tf.float64, shape=[100_000], isolated=True)(np.ones)(100_000)).op
        initialise = tf.global_variables_initializer()
    session = tf.Session(graph=graph, config=tf.ConfigProto(placement="actor"))
    session.run(initialise)
    session.run(step)
    return session


def actor_pid(session):
    """The process of a session's actor."""
    return backend.ray().get(session._engine.links.at().actor.raw.pid.remote())


def test_a_closed_session_leaves_no_process_and_no_thread(ray_session):
    before = {t.name for t in threading.enumerate()}
    session = busy_session()
    pid = actor_pid(session)
    session.close()
    assert gone(pid)
    end = time.monotonic() + 10
    while {t.name for t in threading.enumerate()} - before - {"weftwork-helper"} and time.monotonic() < end:
        time.sleep(0.01)
    assert not {t.name for t in threading.enumerate() if "flush" in t.name or "autosave" in t.name} - before


def test_a_session_that_was_forgotten_is_closed_with_its_processes(ray_session):
    session = busy_session()
    pid = actor_pid(session)
    del session
    gc.collect()
    assert gone(pid)


def test_large_values_go_with_their_session(ray_session):
    session = busy_session()
    reference = session._engine.mirror.cell("w").value
    assert objects.is_reference(reference)
    name = reference.raw.hex()
    session.close()
    del session, reference
    gc.collect()
    from ray._private.internal_api import memory_summary

    address = backend.ray().get_runtime_context().gcs_address
    end = time.monotonic() + 20
    while name in memory_summary(address) and time.monotonic() < end:
        time.sleep(0.1)
    assert name not in memory_summary(address)


LEAVING = Program("tests.leaving_program")


@pytest.mark.parametrize(
    ("way", "status"), [("forget", 0), ("die", 5), ("term", -signal.SIGTERM), ("interrupt", -signal.SIGINT)]
)
def test_a_program_ends_with_its_own_status_and_leaves_no_process(way, status):
    """One forgets to close its session, one dies, one is told to end, one gets Ctrl-C."""
    seen = LEAVING.seen()[way]
    assert seen["status"] == status, seen["errors"]
    assert "SIGTERM" not in seen["errors"]
    assert seen["processes"] > 5, seen["errors"]
    assert seen["left"] == [], seen["errors"]


def test_a_program_leaves_no_folder_however_it_ended():
    """The workers remove it if the program could not, and the next program does if all of them died at once."""
    seen = LEAVING.seen()
    assert seen["folders"] == []
    assert not seen["left by all"]


WAITING = Program(
    script="""
import sys, threading
import weftwork as tf
queue = tf.FIFOQueue(4, [tf.int32], shapes=[[]])
full = tf.FIFOQueue(1, [tf.int32], shapes=[[]])
session = tf.Session()
threading.Thread(target=session.run, args=[queue.dequeue()]).start()
tf.train.QueueRunner(full, [full.enqueue(1)] * 2).create_threads(session, start=True)
session.submit(queue.dequeue())
sys.exit(3)
"""
)


def test_runs_that_wait_for_ever_do_not_keep_a_program_from_its_end():
    """In a thread, in those of a queue runner, as a future: none of the first two are daemons."""
    done = WAITING.done()
    assert done.returncode == 3, done.stderr
