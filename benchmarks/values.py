"""Frames that several nodes read, or that move between processes, against hand-written Ray with one `put`.

shared   a frame of 500 MB, a pandas frame or an Arrow table, is fed, and 16 functions read all of it
chain    a frame of 1 GB is made by a Ray task, gets a column in another process, and is summed in the program's own

Each system is a process of its own, so that its memory is its own. The peak is that of replays.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from benchmarks.big_arrays import against, join
from benchmarks.common import start_ray
from benchmarks.memory import CORES, answer, timed

ROWS, COLUMNS, BRANCHES = 6_250_000, 10, 16
"""500 MB."""
LONG = 12_500_000
"""Rows of a frame of 1 GB."""


def columns(rows: int) -> dict[str, np.ndarray]:
    """Numbers of several columns."""
    return {f"c{k}": np.arange(rows, dtype=np.float64) % (97.0 + k) for k in range(COLUMNS)}


def frame(rows: int) -> Any:
    """A pandas frame."""
    import pandas as pd

    return pd.DataFrame(columns(rows))


def table(rows: int) -> Any:
    """An Arrow table."""
    import pyarrow as pa

    return pa.table(columns(rows))


def total_of_frame(values: Any, factor: int) -> float:
    """Reads all columns, and makes nothing large."""
    return factor * float(sum([np.dot(values[name].to_numpy(), values[name].to_numpy()) for name in values.columns]))


def total_of_table(values: Any, factor: int) -> float:
    """The same of a table."""
    return factor * float(sum([np.dot(one.to_numpy(), one.to_numpy()) for one in values.combine_chunks().columns]))


KINDS = {"pandas frame": (frame, total_of_frame), "Arrow table": (table, total_of_table)}


def with_ratio(values: Any) -> Any:
    """The frame, and a column more."""
    return values.assign(ratio=values["c0"] / (1.0 + values["c1"]))


def total(values: Any) -> float:
    """One number of a frame."""
    return float(values["ratio"].sum() + values["c9"].sum())


def shared(system: str, kind: str) -> None:
    """16 functions read one frame, which is fed."""
    start_ray(CORES)
    make, function = KINDS[kind]
    value = make(ROWS)
    if system == "peer":
        import ray

        task = ray.remote(function)

        def by_ray() -> float:
            reference = ray.put(value)
            return join(*ray.get([task.remote(reference, factor) for factor in range(1, BRANCHES + 1)]))

        answer("ready", lambda: timed(by_ray))
        return
    import weftwork as wf

    node = wf.op(function)
    with wf.Graph().as_default():
        fed = wf.placeholder(wf.object)
        result = wf.op(join)(*[node(fed, factor) for factor in range(1, BRANCHES + 1)])
        session = wf.Session()
    answer("ready", lambda: timed(lambda: session.run(result, {fed: value})))


def chain(system: str) -> None:
    """A frame goes through three places."""
    start_ray(CORES)
    if system == "peer":
        import ray

        make, change = ray.remote(frame), ray.remote(with_ratio)
        answer("ready", lambda: timed(lambda: total(ray.get(change.remote(make.remote(LONG))))))
        return
    import weftwork as wf

    with wf.Graph().as_default():
        made = wf.op(num_cpus=1)(frame)(LONG)
        result = wf.op(here=True)(total)(wf.op(isolated=True)(with_ratio)(made))
        session = wf.Session()
    answer("ready", lambda: timed(lambda: session.run(result)))


def main() -> None:
    """Print two rows for each kind of frame, and two for the chain."""
    for kind in KINDS:
        against("benchmarks.values", f"{BRANCHES} functions over a {kind} of 500 MB", "shared", kind)
    against("benchmarks.values", "a frame of 1 GB through three places", "chain", settling=4)


if __name__ == "__main__":
    {"shared": shared, "chain": chain}[sys.argv[2]](sys.argv[1], *sys.argv[3:]) if sys.argv[1:] else main()
