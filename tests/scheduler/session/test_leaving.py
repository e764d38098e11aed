"""A closed or abandoned session leaves nothing behind."""

from __future__ import annotations

import gc
import os
import shutil
import signal
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
from weftwork.scheduler.run.local_workers import LocalWorkers

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


def gone(pid, within=30):
    """Wait until a process has ended."""
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=within)
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
import os, signal, sys, threading, time
import numpy as np, psutil
import weftwork as tf
from weftwork.scheduler.run.local_workers import local_workers
w = tf.Variable(np.zeros(100_000), name="w")
session = tf.Session(config=tf.ConfigProto(placement="actor"))
session.run(w.initializer)
session.run(w.assign_add(np.ones(100_000)).op)
other = tf.Session(config=tf.ConfigProto(placement="resident"))
other.run([tf.op(lambda k: os.getpid())(k) for k in range(40)])
pids = [process.pid for process in psutil.Process().children(recursive=True)]
print(local_workers()._folder, *pids, flush=True)
if sys.argv[1] == "die":
    os._exit(5)
if sys.argv[1] == "term":
    threading.Thread(target=session.run, args=[tf.op(lambda: time.sleep(100))()]).start()
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(100)
"""


READ_ONLY = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o ro tmpfs /dev/shm && exec "$@"', "sh"]
"""Runs a command that cannot write to shared memory."""


def program(way, temporary, prefix=()):
    """Start the program: it ends in such a way, and has a folder for temporary files."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", PROGRAM, way],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_program_ends_with_its_own_status_and_leaves_no_process(ray_session, tmp_path):
    """One forgets to close its session, one dies, one is told to end: beside each other, each with a Ray of its own.

    One has no shared memory that it can write to, one an odd folder for temporary files, one none.
    """
    odd = tmp_path / ("\u00fc" * 60)
    odd.mkdir()
    may_mount = shutil.which("unshare") and subprocess.run([*READ_ONLY, "true"], capture_output=True).returncode == 0
    statuses = {"forget": 0, "die": 5, "term": -signal.SIGTERM}
    programs = {
        "forget": program("forget", "/tmp", READ_ONLY if may_mount else ()),
        "die": program("die", odd),
        "term": program("term", "/nowhere"),
    }
    folders = {}
    for way, process in programs.items():
        output, errors = ended(process)
        assert process.returncode == statuses[way], f"{way}: {errors}"
        assert "SIGTERM" not in errors
        folders[way], *pids = output.splitlines()[-1].split()
        assert len(pids) > 5, f"{way}: {errors}"
        assert all([gone(int(pid), within=25) for pid in pids]), f"{way}: {errors}"
    assert not os.path.exists(folders["forget"])
    LocalWorkers().borrow(2)  # whoever comes next clears up after those that died
    assert not any([os.path.exists(folder) for folder in folders.values()])


WAITING = """
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


def test_runs_that_wait_for_ever_do_not_keep_a_program_from_its_end():
    """In a thread, in those of a queue runner, as a future: none of the first two are daemons."""
    done = subprocess.run(
        [sys.executable, "-c", WAITING],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3, done.stderr
