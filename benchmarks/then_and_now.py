"""Compares an earlier checkout with this one: the same benchmarks, run in turn with the code of each.

`python -m benchmarks.then_and_now ../earlier 3 small overheads` runs both benchmarks three times in either checkout,
with this Python and its packages, and prints each row that both have: the medians, and now / then, which is a median
too, of the quotients of each round. If a row has a peer, the same of the ratios to the peer follows: it says more if
the machine's speed changes meanwhile, and decides whether the row is marked as worse.

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
        figures: dict[tuple, dict[int, dict[int, tuple[float, float]]]] = defaultdict(lambda: defaultdict(dict))
        for number in range(int(rounds)):
            both = [(0, Path(then)), (1, now)]
            for side, root in both[:: -1 if number % 2 else 1]:
                for row in rows_of(benchmark, BENCHMARKS[benchmark], root):
                    value, _, unit = row["ours"].partition(" ")
                    peer = row["peer"].partition("(")[2].rstrip(")")
                    if row["goal"]:  # otherwise it says why the benchmark failed
                        figure = float(value), float(row["ratio"] or "nan")
                        figures[row["name"], unit, peer][number][side] = figure
        for (name, unit, peer), of_rounds in figures.items():
            pairs = [(sides[0], sides[1]) for sides in of_rounds.values() if len(sides) == 2]
            if pairs:
                print(" | ".join([name, *_compared(unit, peer, pairs)]), flush=True)


def _compared(unit: str, peer: str, pairs: Sequence[tuple[tuple[float, float], tuple[float, float]]]) -> list[str]:
    """The last cells of a row.   pairs: the figure and the ratio then, and both now, in each round."""
    before, after = [statistics.median([pair[side][0] for pair in pairs]) for side in (0, 1)]
    times, by_peer = [statistics.median([_quotient(pair, which) for pair in pairs]) for which in (0, 1)]
    mark = " WORSE" if (by_peer if peer else times) > _WORSE else ""
    cells = [f"{before:.4g} {unit}, now {after:.4g} {unit}: {times:.2f}"]
    return [*cells, f"{by_peer:.2f} of it by {peer}{mark}"] if peer else [cells[0] + mark]


def _quotient(pair: Sequence[Sequence[float]], which: int) -> float:
    before, after = [side[which] for side in pair]
    return after / before if before else nan


if __name__ == "__main__":
    main(sys.argv[1:])
