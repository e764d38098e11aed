"""A map over 200 chunks of 40 MB, each made and then reduced, with a 1 GB object store, against Dask distributed.

8 GB pass through, so a system that makes chunks faster than it reduces them fills its store and spills. Each system is
a process of its own. This process starts them, and measures the memory of their process trees from outside.

program     a system's process: it prepares itself, says so, and then makes one run for each line that it reads
peak        the maximum memory of the process tree at a time: private memory, shares of mapped files, and pages of Ray's
            object stores, each counted once however many processes map it
spilled     bytes, as counted by the raylet (`store_stats.spilled_bytes_total`)
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import perf_counter, sleep
from typing import Any

import numpy as np
import psutil

from benchmarks.common import figure, row

CHUNKS, CHUNK = 200, 40_000_000
STORE = 1_000_000_000
CORES = len(os.sched_getaffinity(0))
REPLAYS, SETTLING = 3, 18
"""Number of replays that are timed, and again that are watched; number of our runs before them."""
_EVERY = 0.05
"""Seconds between memory measurements. Measuring delays page faults of a process, so these runs are not timed."""
_LONGEST = 180.0
"""Maximum number of seconds for one answer of a program."""
_ENDING = 30.0
_AWAKE = 0.3
"""Seconds that a suspended system needs to catch up with its timers."""


# Memory of a process tree


def tree(pid: int) -> list[psutil.Process]:
    """A process and its descendants; [] if it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def tree_bytes(pid: int) -> int:
    """The memory of a process tree in bytes. Shared memory is counted once."""
    total = 0
    shared: dict[tuple[int, int], int] = {}
    for process in tree(pid):
        with suppress(OSError):
            total += _own_bytes(process.pid)
            shared.update(stores(process.pid))
    return total + sum(shared.values())


def _own_bytes(pid: int) -> int:
    """The proportional set size of a process, without shared memory."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        sizes = dict(line.split()[:2] for line in file.readlines()[1:])
    return 1024 * (int(sizes["Pss_Anon:"]) + int(sizes["Pss_File:"]))


def stores(pid: int) -> dict[tuple[int, int], int]:
    """Sizes of the object stores that a process has open, by device and inode, because their files have no name any
    more.
    """
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{name}"
        with suppress(OSError):
            if os.readlink(path).startswith("/dev/shm/"):
                status = os.stat(path)
                found[status.st_dev, status.st_ino] = 512 * status.st_blocks
    return found


@contextmanager
def peak_of(pid: int) -> Iterator[list[int]]:
    """Measure a process tree repeatedly while the block runs. Yields a list of one number, the maximum in bytes."""
    peak = [tree_bytes(pid)]
    over = threading.Event()

    def look() -> None:
        while not over.wait(_EVERY):
            peak[0] = max(peak[0], tree_bytes(pid))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()


# Programs


class Program:
    """A system's program, in a process of its own. It ends when its input does, so it does not outlive this one.

    stands_still: suspend all its processes between runs, so that it does not disturb the other system: an idle Ray
    takes about 3 % of a core. If this process is killed, suspended processes must be ended by hand.
    """

    def __init__(self, *arguments: str, stands_still: bool = False):
        self._stands_still = stands_still
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        self._answer()
        self._stand(still=True)

    def run(self) -> Any:
        """Make one run and return the program's answer. Raises RuntimeError if it dies or takes too long."""
        assert self._process.stdin is not None
        self._stand(still=False)
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        try:
            return self._answer()
        finally:
            self._stand(still=True)

    def _stand(self, still: bool) -> None:
        if self._stands_still:
            for process in tree(self.pid):
                with suppress(psutil.NoSuchProcess):
                    process.suspend() if still else process.resume()
            if not still:
                sleep(_AWAKE)

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        watchdog = threading.Timer(_LONGEST, self._kill, [tree(self.pid)])
        watchdog.start()
        try:
            for line in self._process.stdout:
                if line.startswith("ANSWER "):
                    return json.loads(line[7:])
        finally:
            watchdog.cancel()
        self.close()
        raise RuntimeError(f"{self._process.args} died, or took more than {_LONGEST:g} s")

    def close(self) -> None:
        """End the program, and what it has left behind."""
        self._stand(still=False)
        processes = tree(self.pid)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING)
        self._kill(processes)
        self._process.wait()
        self._process.stdout.close()

    def _kill(self, processes: list[psutil.Process]) -> None:
        for process in [*tree(self.pid), *processes]:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def answer(ready: Any, run: Callable[[], Any]) -> None:
    """The main loop of a program: say `ready`, then make a run for each line of input and print its result."""
    print("ANSWER " + json.dumps(ready), flush=True)
    for _ in sys.stdin:
        print("ANSWER " + json.dumps(run()), flush=True)


def timed(run: Callable) -> tuple[float, Any]:
    """(seconds, result) of a call."""
    start = perf_counter()
    result = run()
    return perf_counter() - start, result


# The benchmark


def create(seed: int) -> np.ndarray:
    """Make a chunk."""
    return np.random.default_rng(seed).random(CHUNK // 8)


def reduce(chunk: np.ndarray) -> float:
    """Reduce a chunk to its part of the result."""
    return float(chunk.sum())


def join(*parts: float) -> float:
    """Add the parts up."""
    return sum(parts)


def ours() -> None:
    """Run Weftwork with a small object store. Answers with (seconds, result, spilled bytes)."""
    import ray

    import weftwork as tf

    ray.init(
        address="local",
        num_cpus=CORES,
        object_store_memory=STORE,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
    )
    with tf.Graph().as_default():
        made = tf.op(create)
        total = tf.op(join)(*[tf.op(reduce)(made(seed)) for seed in range(CHUNKS)])
        session = tf.Session()
    with tf.Graph().as_default():  # start the workers and load what they need before measuring
        node = tf.op(lambda seed: float(np.random.default_rng(seed).random(1000).sum()))
        with tf.Session(config=tf.ConfigProto(placement="task")) as other:
            other.run([node(seed) for seed in range(4 * CORES)])
    answer("ready", lambda: [*timed(lambda: session.run(total)), _spilled()])


def dask() -> None:
    """Run Dask distributed, one process per core, with the same memory in total."""
    from distributed import Client, LocalCluster

    graph: dict[str, tuple] = {}
    for seed in range(CHUNKS):
        graph[f"made-{seed}"] = (create, seed)
        graph[f"part-{seed}"] = (reduce, f"made-{seed}")
    graph["total"] = (join, *[f"part-{seed}" for seed in range(CHUNKS)])
    with (
        LocalCluster(
            n_workers=CORES, threads_per_worker=1, memory_limit=STORE // CORES, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        client.run(create, 0)
        answer("ready", lambda: [*timed(lambda: client.get(graph, "total")), 0])


def _spilled() -> int:
    import ray
    from ray._private.internal_api import get_memory_info_reply, get_state_from_address

    state = get_state_from_address(ray.get_runtime_context().gcs_address)
    return get_memory_info_reply(state).store_stats.spilled_bytes_total


def looked_at(program: Program) -> tuple[float, float, int]:
    """Make a run. Returns its result, the maximum growth of memory in bytes, and the bytes spilled so far."""
    before = min(tree_bytes(program.pid) for _ in range(3))
    with peak_of(program.pid) as peak:
        _, result, spilled = program.run()
    return result, peak[0] - before, spilled


def measured(system: str, settling: int) -> tuple[list[float], list[tuple[float, float, int]]]:
    """Seconds of replays; and measurements of the first run and of further replays."""
    with Program("benchmarks.memory", system) as program:
        seen = [looked_at(program)]
        for _ in range(settling):
            program.run()
        seconds = [program.run()[0] for _ in range(REPLAYS)]
        return seconds, seen + [looked_at(program) for _ in range(REPLAYS)]


def main() -> None:
    """Print what was spilled and the ratio of peaks, for the first run and for replays; and times of replays."""
    seconds, seen = measured("ours", SETTLING)
    peer_seconds, peer_seen = measured("dask", 0)
    results = {round(result, 3) for result, _, _ in seen + peer_seen}
    assert len(results) == 1, f"the systems do not agree: {results}"
    name = f"map over {CHUNKS} chunks of {CHUNK // 10**6} MB"
    of, mega = "Dask distributed", ("MB", 1e-6)
    figure(f"{name}, first run, spilled", seen[0][2] / 1e6, "MB", 0)
    figure(f"{name}, replays, spilled", (seen[-1][2] - seen[0][2]) / 1e6, "MB", 0)
    row(f"{name}, first run, peak bytes", seen[0][1], peer_seen[0][1], 1.0, of, *mega)
    replay, peer_replay = (statistics.median([grown for _, grown, _ in runs[1:]]) for runs in (seen, peer_seen))
    row(f"{name}, replay, peak bytes", replay, peer_replay, 1.0, of, *mega)
    row(f"{name}, replay, time", statistics.median(seconds), statistics.median(peer_seconds), 1.1, of, "ms", 1e3)


if __name__ == "__main__":
    {"ours": ours, "dask": dask}.get("".join(sys.argv[1:]), main)()
