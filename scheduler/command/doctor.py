"""Doctor: reports what is installed, what the machine has, what a session would use, and what you should do.

finding    a line of the report, and advice if something should be done
"""

from __future__ import annotations

import importlib.util
import logging
import os
import platform
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

from weftwork.graph import cores
from weftwork.graph.function import op
from weftwork.graph.graph import Graph
from weftwork.scheduler.machines import inventory, life, room
from weftwork.scheduler.machines.folders import is_writable, socket_folder
from weftwork.scheduler.request.config import ConfigProto
from weftwork.scheduler.session.session import Session

_NEEDED = ("numpy", "scipy", "cloudpickle", "autograd", "ray")
EXTRAS = {
    "gpu": "cupy",
    "images": "PIL",
    "fsspec": "fsspec",
    "tensorboard": "tensorboard",
    "flags": "absl",
    "dask": "dask",
    "joblib": "joblib",
    "progress": "tqdm",
    "metrics": "prometheus_client",
    "tracing": "opentelemetry",
}
"""The extras that add features, and the module that reveals each."""
_FILES, _PROCESSES = 4096, 1024
"""Open files and processes that a run on many cores may need."""
_SHARED_BYTES, _FREE_BYTES = 1 << 30, 1 << 30
"""Bytes of shared memory, and of free memory, below which large values have little room."""
_GIB = 1 << 30


class Finding(NamedTuple):
    """A line of the report.   advice: what to do, or "".   fails: whether runs fail until that is done."""

    text: str
    advice: str = ""
    fails: bool = False


def examine(with_ray: bool = False) -> Iterator[tuple[str, list[Finding]]]:
    """Yield the sections of the report with their findings. with_ray: start or join Ray, and try it out."""
    yield "installed", [*_software()]
    yield "this machine", [_cpus(), _memory(), _shared_memory(), *_limits(), _folder(), _gpus()]
    yield "Ray", [_ray()]
    yield "a session", [_session(), _trial("a local worker", "dynamic"), *([_ray_trial()] if with_ray else [])]


def report(with_ray: bool, say: Callable[[str], None]) -> int:
    """Print the report, and what to do. Returns the exit status, 1 if runs would fail."""
    found: list[Finding] = []
    for title, findings in examine(with_ray):
        say(f"{title}:")
        for finding in findings:
            say(f"  {finding.text}")
        found += findings
    advice = [finding.advice for finding in found if finding.advice]
    say("what to do:")
    for line in advice or ["Nothing: all is well."]:
        say(f"  {line}")
    return int(any([finding.fails for finding in found]))


# Software


def _software() -> Iterator[Finding]:
    yield Finding(f"weftwork {_version('weftwork') or 'from its sources'}, Python {platform.python_version()}")
    for name in _NEEDED:
        known = _version(name)
        if known is not None:
            yield Finding(f"{name} {known}")
        else:
            yield Finding(f"{name} is missing", f"install {name}: pip install {name}", fails=name != "ray")
    there = {extra: importlib.util.find_spec(module) is not None for extra, module in EXTRAS.items()}
    yield Finding(f"extras: {_listed([extra for extra in there if there[extra]])}")
    yield Finding(f"extras that are not installed: {_listed([extra for extra in there if not there[extra]])}")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


# The machine


def _cpus() -> Finding:
    limit = cores.quota()
    text = f"{cores.usable_cores()} of {os.cpu_count() or 1} CPUs"
    return Finding(text if limit is None else f"{text}: its container has the CPU time of {limit:g}")


def _memory() -> Finding:
    page = os.sysconf("SC_PAGE_SIZE")
    whole, free = page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    with suppress(OSError, ValueError):
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        whole, free = min(whole, limit), min(free, max(0, limit - used))
    text = f"memory: {_bytes(free)} of {_bytes(whole)} free"
    return Finding(text, "" if free >= _FREE_BYTES else "free some memory: a local worker alone takes 60 MB")


def _shared_memory() -> Finding:
    where = room.FOLDER
    try:
        space = shutil.disk_usage(where)
    except OSError:
        return Finding(f"no {where}: Ray keeps large values in files")
    if not is_writable(where):
        return Finding(f"{where} cannot be written to", f"make {where} writable: else Ray's store is on disk, and slow")
    text = f"{where}: {_bytes(space.free)} of {_bytes(space.total)} free (Ray keeps large values there)"
    if space.free >= _SHARED_BYTES:
        return Finding(text)
    return Finding(text, f"give {where} more room (docker run --shm-size=8g): else Ray's store is on disk, and slow")


def _limits() -> Iterator[Finding]:
    for word, kind, least, letter in (
        ("open files", resource.RLIMIT_NOFILE, _FILES, "n"),
        ("processes", getattr(resource, "RLIMIT_NPROC", None), _PROCESSES, "u"),
    ):
        if kind is None:
            continue
        soft, hard = resource.getrlimit(kind)
        enough = soft == resource.RLIM_INFINITY or soft >= least
        more = f" (can be raised to {_count(hard)})" if soft != hard else ""
        text = f"{word}: limit {_count(soft)}{more}"
        yield Finding(text, "" if enough else f"raise the limit of {word}: ulimit -{letter} {least}")


def _count(limit: int) -> str:
    return "none" if limit == resource.RLIM_INFINITY else f"{limit:,}"


def _folder() -> Finding:
    try:
        folder = socket_folder()
        room = shutil.disk_usage(tempfile.gettempdir())
    except OSError as error:
        return Finding(f"no folder for temporary files: {error}", "set TMPDIR to a folder that is yours", fails=True)
    return Finding(f"{_bytes(room.free)} free for temporary files; sockets of processes are in {folder}")


def _gpus() -> Finding:
    count = inventory.local_gpus()
    if not count:
        return Finding("no GPU")
    if importlib.util.find_spec("cupy") is not None:
        return Finding(f"{count} GPUs, and CuPy")
    return Finding(f"{count} GPUs", "install CuPy for the library's nodes on a GPU: pip install 'weftwork[gpu]'")


def _bytes(count: float) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB else f"{count / (1 << 20):.0f} MiB"


# Ray, and a session's resources


def _ray() -> Finding:
    if importlib.util.find_spec("ray") is None:
        return Finding("not installed: the caller, threads and local workers run everything")
    named = os.environ.get("RAY_ADDRESS")
    if named and named != "local":
        if _answers(named):
            return Finding(f"RAY_ADDRESS names {named}, which answers")
        advice = f"start the Ray at {named}, or unset RAY_ADDRESS: sessions that need it fail"
        return Finding(f"RAY_ADDRESS names {named}, and nobody answers there", advice, fails=True)
    if _answers("auto"):
        return Finding('a Ray runs on this machine, which tf.Session("auto") joins')
    return Finding("none runs on this machine; a session starts its own if a node asks for something of it")


def _answers(address: str) -> bool:
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # Ray logs a message if it finds several
    try:
        life.check(address)
    except Exception:
        return False
    finally:
        logging.disable(level)
    return True


def _session() -> Finding:
    workers = inventory.own_cpus()
    if os.environ.get("RAY_ADDRESS", "local") != "local":
        return Finding(
            f"tf.Session() uses the Ray that RAY_ADDRESS names, the caller, and up to {workers} local workers"
        )
    return Finding(f"tf.Session() uses the caller, its threads, and up to {workers} local workers of this machine")


def _where() -> int:
    """The id of the process that runs this. It takes long enough to be worth a message to another process."""
    sleep(0.01)
    return os.getpid()


def _trial(word: str, placement: str) -> Finding:
    """Run a function in another process, and report how it went."""
    begin = monotonic()
    try:
        with Graph().as_default(), Session(config=ConfigProto(placement=placement)) as session:
            pid = session.run(op(_where)())
    except Exception as error:
        line = str(error).splitlines()[0]
        return Finding(f"{word} does not start: {line}", f"find out why {word} does not start: {line}", fails=True)
    if pid == os.getpid():
        advice = f"find out why {word} does not start: functions run in the caller, one after another"
        return Finding(f"{word} does not start", advice, fails=True)
    return Finding(f"{word} started and ran a function in {monotonic() - begin:.1f} s")


def _ray_trial() -> Any:
    return _trial("a task of Ray's", "task")
