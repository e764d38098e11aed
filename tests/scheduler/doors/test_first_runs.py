"""First runs of programs that came through a door: they wait for no process, and start none before it would pay."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

WORKERS = """
import multiprocessing, os, sys, time
import psutil
import weftwork as wf

def workers():
    lines = [child.cmdline() for child in psutil.Process().children()]
    return len([line for line in lines if any("local_worker" in part for part in line)])

def short():
    return workers() == 0 or time.monotonic() > begin + 2  # it is no short work on a machine that stands still

begin = time.monotonic()
"""
ARRAYS = """
import dask.array as da
import weftwork.dask
x = da.random.default_rng(0).random((400, 400), chunks=50)
begin = time.monotonic()
print(float((x @ x.T).sum().compute(scheduler=weftwork.dask.get)) > 0, short())
"""
CALLS = """
def place(number):
    time.sleep(0.01)
    return os.getpid()

with wf.Executor(2) as executor:
    print({executor.submit(place, n).result() for n in range(3)} == {os.getpid()}, short())
"""
JOBS = """
import joblib
import weftwork.joblib

def square(number):
    return number * number

with joblib.parallel_config("weftwork", n_jobs=2):
    print(joblib.Parallel()(joblib.delayed(square)(n) for n in range(50)) == [n * n for n in range(50)], short())
"""


def said(program: str) -> str:
    """What a program prints, in a process of its own, in which nothing was called before."""
    command = [sys.executable, "-c", WORKERS + program]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True).stdout.strip()


@pytest.mark.parametrize("program", [ARRAYS, CALLS, JOBS], ids=["dask", "executor", "joblib"])
def test_short_work_starts_no_process(program):
    assert said(program) == "True True"


HEAVY = """
def count(number):
    return sum([(number * k) % 7 for k in range(30_000)])

with wf.Executor(2) as executor:
    found = list(executor.map(count, range(2000), chunksize=5))
assert found[:3] == [count(n) for n in range(3)], found[:3]
print(len(found), workers() > 0)
"""


def test_much_work_that_holds_the_gil_starts_workers_meanwhile():
    assert said(HEAVY) == "2000 True"


KILLED = """
def end(number):
    os._exit(3)

with wf.Executor(2) as executor:
    try:
        executor.submit(end, 1).result()
    except wf.errors.OpError as error:
        print("end" in str(error))
"""


def test_a_call_that_may_end_its_process_is_made_in_another_one():
    assert said(KILLED) == "True"


AT_ONCE = """
import threading
from concurrent.futures import ThreadPoolExecutor
from weftwork.dask import get

def nap(number):
    time.sleep(0.2)
    return number

def compute(start):
    return get({f"x{n}": (nap, n) for n in range(start, start + 4)}, [f"x{n}" for n in range(start, start + 4)])

with ThreadPoolExecutor(3) as pool:
    begin = time.monotonic()
    print(list(pool.map(compute, [0, 10, 20])) == [tuple(range(n, n + 4)) for n in (0, 10, 20)])
    print(workers())
"""


def test_several_computations_at_once_have_threads_each():
    assert said(AT_ONCE).split() == ["True", "0"]


DRAWS = """
import random

def draw(number):
    time.sleep(0.05)
    return random.random()

with wf.Executor(2) as executor:
    found = [executor.submit(draw, n).result() for n in range(40)]
print(len(set(found)), workers() > 0)
"""


def test_much_work_that_no_thread_may_do_starts_workers_meanwhile():
    """Functions that draw from the process's random generators are called one after another in one process."""
    assert said(DRAWS) == "40 True"
