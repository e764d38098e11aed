"""What a worker does around the calls of a batch. No process, no Ray."""

from __future__ import annotations

import time
from typing import Any

from weftwork.actors.processes.batches import _Visit


class LargeState:
    """The captured state of a function, which takes 2 ms to set and 2 ms to check."""

    def __init__(self):
        self.looks = 0

    def arrive(self) -> None:
        self.looks += 1
        time.sleep(2e-3)

    def changed(self) -> list[int]:
        time.sleep(2e-3)
        return []


def test_looking_at_a_large_state_takes_a_small_part_of_the_time():
    visit, state = _Visit(), LargeState()
    carried: Any = state
    end = time.perf_counter() + 1.0
    while time.perf_counter() < end:
        visit.enter(1, carried, 0)
    assert 2 <= state.looks <= 7  # not 200: 2 % of the time, and one look before it is known how long the check takes
