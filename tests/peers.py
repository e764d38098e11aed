"""Runs peers' own tests by our doors, and writes the table of docs/peers.md: what passed, what is left out, and why.

suite      test files that a peer ships, and a plugin that puts our door in the place of what they test
left out   tests that its own scheduler passes and ours does not, by name; each has its reason. Any other is an error

`make peers` runs all, `python -m tests.peers NAME ...` some. A chosen part is among our own tests.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "peers.md"
LONGEST, LONGEST_OF_FRAMES = 3600, 36_000
"""Seconds that one suite may take, and that of Dask's frames, which takes hours with Dask's own threads, too."""
WIDTH = 110
"""Characters of an unforeseen error that are shown."""

_DASK = """
import dask.base, dask.multiprocessing, dask.threaded, weftwork.dask
dask.threaded.get = dask.multiprocessing.get = weftwork.dask.get
for name in dask.base.named_schedulers:
    dask.base.named_schedulers[name] = weftwork.dask.get
"""
_JOBLIB = "import weftwork.joblib\n"
_OF_JOBLIB = """
from joblib.parallel import BACKENDS
BACKENDS["weftwork"] = BACKENDS["threading"]
"""
_FUTURES = """
import concurrent.futures, weftwork
concurrent.futures.ThreadPoolExecutor = weftwork.Executor
"""


_WAIT = "tasks wait for each other, which no scheduler here promises to run at the same time"
_POOL = "looks at the threads, or at the pool"
_NAMES = "asks which scheduler a name means, or wants that two differ: here all mean this one"
_PACKAGE = "looks at state that functions of an installed package write, which may run in another process"
_OBJECT = "looks for the very object that went through a task, or changes one through a library's code"


class Suite(NamedTuple):
    """name: in the table.   package: that must be there.   files: finds the test files, in a folder for copies.

    door: a plugin.   without: what takes its place, for comparison.   only: for `-k`.
    left_out: reasons, by patterns of test names.   hangs: words in the names of those that would not end with our door.
    """

    name: str
    package: str
    files: Callable[[Path], list[Path]]
    door: str
    only: str
    left_out: Mapping[str, str]
    hangs: tuple[str, ...] = ()
    without: str = ""
    longest: int = LONGEST

    def version(self) -> str:
        """Of the peer."""
        with suppress(PackageNotFoundError):
            return version(self.package)
        return sys.version.split()[0]


def _in(package: str, *names: str) -> Callable[[Path], list[Path]]:
    """Files or folders in an installed package."""

    def found(_: Path) -> list[Path]:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        return [Path(spec.origin).parent / name for name in names]

    return found


def _of_joblib(folder: Path) -> list[Path]:
    """joblib's tests of `Parallel`, with our backend among those that they try."""
    [source] = _in("joblib", "test/test_parallel.py")(folder)
    line = 'PARALLEL_BACKENDS = PROCESS_BACKENDS + ["threading"]'
    text = source.read_text()
    assert line in text, "joblib's tests have changed"
    copy = folder / "test_parallel.py"
    copy.write_text(text.replace(line, 'PARALLEL_BACKENDS = ["weftwork"]'))
    return [copy]


def _of_python(folder: Path) -> list[Path]:
    """Python's own tests of executors, of a Python of this machine that has them in one file."""
    places = [Path(sysconfig.get_path("stdlib")), *sorted(Path.home().glob(".pyenv/versions/3.1[01]*/lib/python3.*"))]
    found = [file for place in places if (file := place / "test" / "test_concurrent_futures.py").exists()]
    if not found:
        return []
    copy = folder / "test_futures.py"
    copy.write_text(found[0].read_text())
    return [copy]


SUITES = [
    Suite(
        "Dask: threaded, local, delayed, callbacks, base",
        "dask",
        _in("dask", *[f"tests/test_{name}.py" for name in ("threaded", "local", "delayed", "callbacks", "base")]),
        _DASK,
        "",
        {
            "test_pool_kwarg|test_num_workers_config|test_dont_spawn": _POOL,
            "test_interrupt|test_contextvars|test_context_aware_warnings": _WAIT,
            "test_traverse_false|test_nested_schedulers": _OBJECT,
            "test_custom_delayed|array_bag|delayed_dataframe|test_get_scheduler": _NAMES,
            "test_to_delayed_optimize_graph": "counts the calls of a function of an installed package",
        },
        ("test_interrupt", "test_contextvars", "test_context_aware"),
    ),
    Suite(
        "Dask: bags",
        "dask",
        _in("dask", "bag/tests"),
        _DASK,
        "",
        {
            "partition_size_complex_dtypes": _OBJECT,
            "temporary_directory": "looks for a file that is removed with the buffer that it belongs to",
        },
    ),
    Suite(
        "Dask: arrays",
        "dask",
        _in("dask", "array/tests"),
        _DASK,
        "",
        {
            "test_store_sources_unoptimized_nocompute|test_store_delayed_target": _PACKAGE,
            "test_from_array_with_lock|test_from_array_getitem": _PACKAGE,
        },
    ),
    Suite(
        "Dask: frames",
        "dask",
        _in("dask", "dataframe"),
        _DASK,
        "",
        {"test_fsspec_to_parquet_filesystem_option": _PACKAGE},
        longest=LONGEST_OF_FRAMES,
    ),
    Suite(
        "joblib: Parallel",
        "joblib",
        _of_joblib,
        _JOBLIB,
        "weftwork",
        {
            r"test_nested_loop.(loky|back_compat_backend)-": "the processes of joblib's own backends know no others",
            "nested_exception_dispatch": "joblib expects it to fail, and it does with processes inside jobs",
            "fastest_first.weftwork-4": "four jobs must run at a time; two CPUs have two workers",
        },
        without=_OF_JOBLIB,
    ),
    Suite(
        "Python: executors",
        "concurrent.futures",
        _of_python,
        _FUTURES,
        "ThreadPool",
        {
            "thread_names|manager_shutdown|del_shutdown|shutdown_no_wait|threads_terminate|default_workers": _POOL,
            "saturation|idle_thread_reuse|cancel_futures_wait_false": _POOL,
            "no_stale_references": "what a call referred to goes with its graph, which the garbage collector frees",
            "submit_after_interpreter_shutdown": "starts a program that imports the class by its name",
        },
        ("threads_terminate",),
    ),
]


def outcomes(suite: Suite, with_door: bool, folder: Path, log: Path) -> dict[str, str]:
    """What became of each test: "passed", "skipped" or why it failed."""
    files = suite.files(folder)
    if not files:
        return {}
    plugin = folder / "the_door.py"
    plugin.write_text(suite.door if with_door else suite.without)
    report = folder / "report.xml"
    report.unlink(missing_ok=True)
    hanging = suite.hangs if with_door else ()
    only = " and ".join([f"({suite.only})"] * bool(suite.only) + [f"not {name}" for name in hanging])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "the_door", "-p", "no:cacheprovider", "--rootdir", folder]
    command += [f"--junitxml={report}", "-k", only, "-o", "addopts=", "-W", "ignore", *files]
    with open(log, "w", encoding="utf-8") as file:
        subprocess.run(
            list(map(str, command)),
            cwd=folder,
            env={**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"},
            stdout=file,
            stderr=subprocess.STDOUT,
            timeout=suite.longest,
        )
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        bad = case.find("failure") if case.find("error") is None else case.find("error")
        state = "skipped" if case.find("skipped") is not None else "passed"
        found[f"{case.get('classname')}.{case.get('name')}"] = state if bad is None else bad.get("message", "failed")
    return found


def judged(suite: Suite, theirs: Mapping[str, str], ours: Mapping[str, str]) -> tuple[int, dict[str, list], dict]:
    """How many passed, the left-out ones by reason, and those that nobody has foreseen."""
    left: dict[str, list[str]] = {}
    new: dict[str, str] = {}
    passed = 0
    for name, state in theirs.items():
        if state != "passed":
            continue
        if ours.get(name) == "passed":
            passed += 1
            continue
        reason = next((why for pattern, why in suite.left_out.items() if re.search(pattern, name)), None)
        if reason is None:
            new[name] = ours.get(name, "not run")
        else:
            left.setdefault(reason, []).append(re.sub(r"\[.*", "", name.rpartition(".")[2] or name))
    return passed, left, new


def row(suite: Suite, passed: int, left: Mapping[str, list[str]]) -> str:
    """A suite's row in the table."""
    why = "; ".join([f"{reason} ({', '.join(f'`{n}`' for n in sorted(set(ns)))})" for reason, ns in left.items()])
    return f"| {suite.name} {suite.version()} | {passed} | {sum(map(len, left.values()))} | {why or '-'} |"


def write(suite: Suite, line: str) -> None:
    """Put a suite's row into the table, where its old one is."""
    kept = [each for each in TARGET.read_text().splitlines() if not each.startswith(f"| {suite.name} ")]
    TARGET.write_text("\n".join([*kept, line]) + "\n")


def main(names: Iterable[str]) -> int:
    """Run the suites, write the table, and tell how many tests failed that are not on its list."""
    unforeseen = 0
    logs = Path(tempfile.gettempdir()) / "weftwork-peers"
    logs.mkdir(exist_ok=True)
    for number, suite in enumerate(SUITES):
        if names and not any(name in suite.name for name in names):
            continue
        if importlib.util.find_spec(suite.package) is None:
            print(f"{suite.name}: not installed")
            continue
        with tempfile.TemporaryDirectory() as folder:
            theirs = outcomes(suite, False, Path(folder), logs / f"{number}-theirs.log")
            ours = outcomes(suite, True, Path(folder), logs / f"{number}-ours.log")
        passed, left, new = judged(suite, theirs, ours)
        unforeseen += len(new)
        write(suite, row(suite, passed, left))
        print(f"{suite.name}: {passed} passed, {sum(map(len, left.values()))} left out, {len(new)} new", flush=True)
        for name, why in new.items():
            print(f"  {name}: {why[:WIDTH]!r}")
    return unforeseen


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
