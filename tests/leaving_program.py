"""Programs that end in several ways, each with a Ray of its own, beside each other: prints what they left as JSON.

One forgets to close its session, one dies, one is told to end, one gets Ctrl-C. One has no shared memory that it can
write to, one an odd folder for temporary files, one none.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile

import psutil

from tests.programs import ended
from weftwork.scheduler.sharing.local_workers import LocalWorkers

PROGRAM = """
import os, signal, sys, threading, time
import numpy as np, psutil
import weftwork as tf
from weftwork.scheduler.sharing.local_workers import local_workers
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
if sys.argv[1] == "interrupt":
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(100)
if sys.argv[1] == "term":
    threading.Thread(target=session.run, args=[tf.op(lambda: time.sleep(100))()]).start()
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(100)
"""
READ_ONLY = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o ro tmpfs /dev/shm && exec "$@"', "sh"]
"""Runs a command that cannot write to shared memory."""


def gone(pid: int, within: float = 30) -> bool:
    """Wait until a process has ended."""
    try:
        process = psutil.Process(pid)
        psutil.wait_procs([process], timeout=within)
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def started(way: str, temporary: str, prefix: list[str]) -> subprocess.Popen:
    """Start a program: it ends in such a way, and has a folder for temporary files."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", PROGRAM, way],
        env={**os.environ, "TMPDIR": temporary},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def main() -> dict:
    """Of each way the status, the errors, how many processes there were and which stayed; folders that stayed."""
    seen: dict = {}
    folders = {}
    may_mount = shutil.which("unshare") and subprocess.run([*READ_ONLY, "true"], capture_output=True).returncode == 0
    with tempfile.TemporaryDirectory() as folder:
        odd = os.path.join(folder, "\u00fc" * 60)
        os.mkdir(odd)
        programs = {
            "forget": started("forget", "/tmp", READ_ONLY if may_mount else []),
            "die": started("die", odd, []),
            "term": started("term", "/nowhere", []),
            "interrupt": started("interrupt", folder, []),
        }
        for way, process in programs.items():
            output, errors = ended(process)
            said = output.splitlines()[-1:]
            folders[way], *pids = said[0].split() if said else [""]
            left = [pid for pid in pids if not gone(int(pid), 25)]
            seen[way] = {"status": process.returncode, "errors": errors, "processes": len(pids), "left": left}
        seen["folders"] = [way for way, path in folders.items() if os.path.exists(path)]
        old = tempfile.mkdtemp(prefix=os.path.basename(folders["forget"])[:-8], dir=folder)
        with socket.socket(socket.AF_UNIX) as stream:
            stream.bind(os.path.join(old, "0"))
        os.environ["TMPDIR"], tempfile.tempdir = folder, None
        LocalWorkers().borrow(2)  # whoever comes next clears up after those that died with their workers
        seen["left by all"] = os.path.exists(old)
    return seen


if __name__ == "__main__":
    print(json.dumps(main()))
