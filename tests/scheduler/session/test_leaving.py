"""A closed or abandoned session leaves nothing behind."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil

import weftwork as tf
from tests.programs import ended
from weftwork.scheduler.machines import backend, objects
from weftwork.scheduler.run.local_workers import Residents

ROOT = Path(__file__).parents[3]


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
    return backend.ray().get(session._engine.links.at().actor.raw.describe.remote())["pid"]


def gone(pid):
    """Wait until a process has ended."""
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=30)
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


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


PROGRAM = """
import sys, os, weftwork as tf, numpy as np
from weftwork.scheduler import backend
from weftwork.scheduler.residents import residents
w = tf.Variable(np.zeros(100_000), name="w")
session = tf.Session(config=tf.ConfigProto(placement="actor"))
session.run(w.initializer)
session.run(w.assign_add(np.ones(100_000)).op)
pids = {backend.ray().get(session._engine.links.at().actor.raw.describe.remote())["pid"]}
other = tf.Session(config=tf.ConfigProto(placement="resident"))
pids.update(other.run([tf.op(lambda k: os.getpid())(k) for k in range(40)]))
print(residents()._folder, *pids - {os.getpid()}, flush=True)
if sys.argv[1] == "die":
    os._exit(1)
"""


def program(way):
    """Start the program: it ends in such a way."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, way],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_program_that_ends_without_closing_leaves_no_process(ray_session):
    """One forgets to close its session, one dies: beside each other, each with a Ray of its own."""
    folders = []
    for way, process in [(way, program(way)) for way in ("forget", "die")]:
        output, errors = ended(process)
        folder, *pids = output.splitlines()[-1].split()
        assert len(pids) == 3, f"{way}: {errors}"
        assert all([gone(int(pid)) for pid in pids]), f"{way}: {errors}"
        folders.append(folder)
    assert not os.path.exists(folders[0])
    Residents().borrow(2)  # whoever comes next clears up after one that died
    assert not os.path.exists(folders[1])
