"""Common parts of the benchmarks: interleaved timing, and rows of a table.

row    name, our figure, the peer's, their ratio, the goal for the ratio; printed, and as JSON for `run_all`
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def interleaved(functions: dict[Any, Callable], rounds: int, warm: int = 10) -> dict[Any, float]:
    """The median time in seconds of each function, called alternately for `rounds` rounds after `warm` calls each.

    Every other round goes backwards. Otherwise the same function would always find memory that another one has just
    freed.
    """
    took: dict[Any, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        for _ in range(warm):
            function()
    for number in range(rounds):
        for name, function in list(functions.items())[:: -1 if number % 2 else 1]:
            start = perf_counter()
            function()
            took[name].append(perf_counter() - start)
    return {name: statistics.median(times) for name, times in took.items()}


def of_runs(took: Sequence[float], which: slice) -> float:
    """The typical seconds of a run among `which`: the mean if these are the first runs, the median of all later ones.

    Plans are made and tried in the first runs. A median would leave out exactly those runs that pay for it.
    """
    return (statistics.median if which.stop is None else statistics.mean)(took[which])


def repeat(call: Callable, times: int) -> None:
    """Call it so often."""
    for _ in range(times):
        call()


def row(name: str, ours: float, peer: float, goal: float, of: str, unit: str = "us", scale: float = 1e6) -> None:
    """Print a row: our figure and the peer's in `unit`, their ratio, and whether it reaches `goal`."""
    ratio = ours / peer
    cells = {
        "name": name,
        "ours": f"{ours * scale:.4g} {unit}",
        "peer": f"{peer * scale:.4g} {unit} ({of})",
        "ratio": f"{ratio:.3g}",
        "goal": f"<= {goal:.3g}",
        "reached": "yes" if ratio <= goal else "NO",
    }
    print("ROW " + json.dumps(cells), flush=True)


def figure(name: str, value: float, unit: str, goal: float) -> None:
    """Print a row for a figure without a peer."""
    cells = {
        "name": name,
        "ours": f"{value:.4g} {unit}",
        "peer": "",
        "ratio": "",
        "goal": f"<= {goal:.3g} {unit}",
        "reached": "yes" if value <= goal else "NO",
    }
    print("ROW " + json.dumps(cells), flush=True)


def start_ray(cpus: int = 2) -> None:
    """Start Ray for this script, before anything else does."""
    import ray

    ray.init(address="local", num_cpus=cpus, include_dashboard=False, log_to_driver=False, configure_logging=False)


def machine() -> str:
    """A line about the machine and the versions."""
    import numpy
    import ray

    model = "unknown CPU"
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    python = platform.python_version()
    return (
        f"{os.cpu_count()} cores of {model}, {sys.platform}; Python {python}, NumPy {numpy.__version__}, "
        f"Ray {ray.__version__}"
    )
