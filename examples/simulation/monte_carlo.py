"""An estimate of pi from random points, in which every point counts exactly once although workers are killed.

Each batch of points is a call of a function, and some calls kill their process. The variables `inside` and `points` are
updated together or not at all. Prints the count, and that of a plain loop: they are equal.
"""

import os
import random
import signal
import tempfile
from pathlib import Path

import weftwork

PROGRAM = os.getpid()
POINTS, BATCHES, RUNS = 20_000, 8, 4


def hits(seed: int) -> int:
    """How many of POINTS random points in the unit square lie in the quarter circle."""
    draw = random.Random(int(seed))
    return sum(draw.random() ** 2 + draw.random() ** 2 < 1 for _ in range(POINTS))


def kill_this_worker(deaths: str, seed: int) -> None:
    """Kill the process, once for each seed, unless it is the program itself."""
    mark = Path(deaths, str(seed))
    if os.getpid() != PROGRAM and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


@weftwork.op(dtype=weftwork.int64, shape=[])
def batch(seed: int, deaths: str) -> int:
    """The hits of one batch. Every eighth batch kills its worker."""
    found = hits(seed)
    if seed % BATCHES == 5:
        kill_this_worker(deaths, seed)
    return found


def main() -> float:
    """Count, and return by how much the counts differ from those of a plain loop."""
    deaths = tempfile.mkdtemp()
    first = weftwork.placeholder(weftwork.int64, [], name="first")
    inside = weftwork.Variable(0, dtype=weftwork.int64, name="inside")
    points = weftwork.Variable(0, dtype=weftwork.int64, name="points")
    found = sum(batch(first + number, deaths) for number in range(BATCHES))
    step = weftwork.group(inside.assign_add(found), points.assign_add(BATCHES * POINTS))
    hit = drawn = 0
    with weftwork.Session() as session:
        session.run(weftwork.global_variables_initializer())
        for number in range(RUNS):
            session.run(step, {first: number * BATCHES})
            hit, drawn = session.run([inside, points])
            print(f"{drawn:>9,} points, pi is about {4 * hit / drawn:.4f}, workers killed: {len(os.listdir(deaths))}")
    expected = sum(hits(seed) for seed in range(RUNS * BATCHES))
    print(f"counted {hit:,} hits; a plain loop counts {expected:,}")
    return abs(hit - expected) + abs(drawn - RUNS * BATCHES * POINTS)


if __name__ == "__main__":
    main()
