"""Others fill shared memory after Ray has started: a value that would end the process that writes it is refused."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SMALL = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=160m tmpfs /dev/shm && exec "$@"', "sh"]
"""Runs a command with so much shared memory of its own."""
PROGRAM = """
import os, sys
sys.path.insert(0, sys.argv[1])
from weftwork.scheduler.machines import room

MB = 1 << 20
store = os.open("/dev/shm/plasma", os.O_CREAT | os.O_RDWR)
os.ftruncate(store, 100 * MB)
others = os.open("/dev/shm/others", os.O_CREAT | os.O_RDWR)

def state(size):
    print(room.has_room(os.getpid(), size * MB), os.fstat(store).st_blocks * 512 // MB, room.shortage(size * MB)[:10])

state(80)
os.posix_fallocate(others, 0, 80 * MB)
state(30)
os.ftruncate(others, 40 * MB)
state(80)
os.posix_fallocate(others, 0, 55 * MB)
state(1)
"""


def test_a_value_is_refused_for_which_shared_memory_has_no_page_left():
    """A store whose pages are all there has room whatever others do; else it gets them while that is possible."""
    if not shutil.which("unshare") or subprocess.run([*SMALL, "true"], capture_output=True).returncode:
        pytest.skip("this user may not mount a folder of its own")
    ended = subprocess.run([*SMALL, sys.executable, "-c", PROGRAM, str(ROOT)], capture_output=True, text=True)
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == ["True 0 ", "False 0 Only 80 MB", "True 100 Only 20 MB", "True 100 Only 5 MB "]
