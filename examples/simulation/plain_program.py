"""An estimate of pi, without sessions or placeholders: a traced method, and values that its calls share.

Prints an estimate after each round.
"""

import random

import numpy as np

import weftwork as wf

POINTS, SEEDS = 20_000, 8


@wf.op
def inside(seed: int, count: int) -> int:
    """How many of `count` random points in a square lie in the quarter circle inside."""
    draw = random.Random(seed)
    return sum(draw.random() ** 2 + draw.random() ** 2 < 1 for _ in range(count))


class Estimate:
    """An estimate that gets better with each round."""

    def __init__(self) -> None:
        self.hits, self.points = wf.shared(0), wf.shared(0)

    @wf.function
    def round(self, first_seed: int, count: int) -> float:
        """Draw more points, on all cores, and return the estimate so far."""
        drawn = [inside(first_seed + k, count) for k in range(SEEDS)]
        hits = self.hits.add(wf.cast(wf.add_n(drawn), wf.int64))
        return 4 * hits / self.points.add(SEEDS * count)


def main() -> float:
    """Estimate, and return the error."""
    estimate = Estimate()
    for number in range(4):
        print(f"round {number}: pi is about {estimate.round(number * SEEDS, POINTS):.4f}")
    print(f"{estimate.points.get()} points, traced {estimate.round.trace_count} time")  # type: ignore[attr-defined]
    return abs(4 * estimate.hits.get() / estimate.points.get() - np.pi)


if __name__ == "__main__":
    main()
