"""Compares an earlier checkout with this one: the same benchmarks, run in turn with the code of each.

`python -m benchmarks.then_and_now ../earlier 3 small overheads` runs both benchmarks three times in either checkout,
with this Python and its packages, and prints each row that both have: the medians, now / then, and the same of the
ratios to the peer, which say more if the machine's speed changes meanwhile.

Each checkout runs its own script. If a script has changed, copy the earlier one into a clone of this checkout.
"""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from collections.abc import Sequence
from math import nan
from pathlib import Path

from benchmarks.run_all import BENCHMARKS, rows_of

HERE = Path(__file__).parent.parent
_WORSE = 1.05
"""From this multiple on, a row is marked."""


def main(names: Sequence[str], now: Path = HERE) -> None:
    """Print the rows. names: the folder of the earlier checkout, the number of rounds, and the benchmarks."""
    then, rounds, *benchmarks = names
    for benchmark in benchmarks:
        figures: dict[tuple, tuple[list, list]] = defaultdict(lambda: ([], []))
        for number in range(int(rounds)):
            both = [(0, Path(then)), (1, now)]
            for side, root in both[:: -1 if number % 2 else 1]:
                for row in rows_of(benchmark, BENCHMARKS[benchmark], root):
                    value, _, unit = row["ours"].partition(" ")
                    peer = row["peer"].partition("(")[2].rstrip(")")
                    if row["goal"]:  # otherwise it says why the benchmark failed
                        figures[row["name"], unit, peer][side].append((float(value), float(row["ratio"] or "nan")))
        for (name, unit, peer), sides in figures.items():
            if all(sides):
                print(" | ".join([name, *_compared(unit, peer, *sides)]), flush=True)


def _compared(unit: str, peer: str, then: list, now: list) -> list[str]:
    """The last cells of a row, from the figures and ratios of each round."""
    (before, ratio_before), (after, ratio_after) = map(_medians, (then, now))
    worse = " WORSE" if after > _WORSE * before else ""
    cells = [f"{before:.4g} {unit}, now {after:.4g} {unit}: {after / before if before else nan:.2f}{worse}"]
    return [*cells, f"{ratio_after / ratio_before:.2f} of it by {peer}"] if peer else cells


def _medians(figures: list) -> list[float]:
    return [statistics.median(column) for column in zip(*figures, strict=True)]


if __name__ == "__main__":
    main(sys.argv[1:])
