"""A test run in several processes is told as one: all its tests, what they print, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONFTEST = """
import pytest
from tests import beside
from tests.conftest import pytest_runtestloop
beside._LEAST = 1
ray_session = pytest.fixture(lambda: None)
"""
NEEDING = """
import os, time
def test_needing(ray_session, tmp_path_factory):
    open("needing", "w").close()
    while not os.path.exists("others"):
        time.sleep(0.01)
    assert open("others").read() != str(os.getpid())
def test_needing_too(ray_session):
    while "{way}" != "dies" and not os.path.exists("taken"):
        time.sleep(0.01)
    assert "{way}" == "dies" or open("taken").read() != str(os.getpid())
"""
TAKEN = """
import os, time
def test_taken(ray_session):
    while not os.path.exists("others"):  # so the two processes that begin with tests like it do not take the others
        time.sleep(0.01)
    with open("being taken", "w") as file:
        file.write(str(os.getpid()))
    os.rename("being taken", "taken")
"""
OTHERS = """
import os, pytest, time
def test_first():
    print("said by the second")
    with open("being written", "w") as file:
        file.write(str(os.getpid()))
    os.rename("being written", "others")
    if "{way}" == "dies":
        os._exit(7)
    while not (os.path.exists("needing") and os.path.exists("taken")):  # so this process does not take these as well
        time.sleep(0.01)
    assert "{way}" != "fails", "as it should"
@pytest.mark.parametrize("k", range(3))
def test_more(k):
    if k == 2:
        pytest.skip("no reason")
"""


def run_of(folder: Path, way: str) -> tuple[int, str]:
    """The exit status of a small test run, and what it prints."""
    files = {
        "conftest.py": CONFTEST,
        "test_needing.py": NEEDING.format(way=way),
        "test_others.py": OTHERS.format(way=way),
        "test_taken.py": TAKEN,
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-ra", "--rootdir", str(folder), str(folder)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core has work for one process")
@pytest.mark.parametrize(
    ("way", "status", "told"),
    [
        ("passes", 0, ["6 passed, 1 skipped", "no reason"]),
        ("fails", 1, ["1 failed, 5 passed, 1 skipped", "as it should", "said by the second", "test_others.py:12"]),
        ("dies", 2, ["ended with 7", "test_others.py::test_first"]),
    ],
)
def test_several_processes_tell_of_their_tests_as_one(tmp_path, way, status, told):
    ended, printed = run_of(tmp_path, way)
    assert (ended, [text for text in told if text not in printed]) == (status, []), printed
