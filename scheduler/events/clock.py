"""Clock: converts times measured here or in other processes to the program's `time.time`.

ticks     seconds of `time.monotonic` and `time.perf_counter`, which never jump and are the same across a machine
epoch     the difference between `time.time` and this machine's ticks
offset    the difference between this machine's ticks and those of another machine
"""

from __future__ import annotations

from time import monotonic, time

_JUMP = 1e-3
"""Seconds by which the system clock must have been set, or have drifted, before the epoch is changed."""
_epoch = time() - monotonic()


def epoch() -> float:
    """The difference between the program's time and its ticks."""
    global _epoch
    now = time() - monotonic()
    if abs(now - _epoch) > _JUMP:
        _epoch = now
    return _epoch


class Offsets:
    """The offsets of other machines' clocks.

    A message is sent before it arrives, and its reply leaves before it comes back. So each exchange limits the offset
    to a range. The intersection of all ranges is kept.
    """

    def __init__(self):
        self._ranges: dict[str, tuple[float, float]] = {}

    def learn(self, machine: str, sent: float, came: float, left: float, back: float) -> float:
        """Learn from an exchange, and return the machine's offset. came, left: in its ticks.   sent, back: in ours."""
        low, high = sent - came, back - left
        known = self._ranges.get(machine)
        if known is not None and max(low, known[0]) <= min(high, known[1]):  # else a clock has drifted
            low, high = max(low, known[0]), min(high, known[1])
        self._ranges[machine] = low, high
        return _middle(low, high)

    def of(self, machine: str) -> float | None:
        """The offset of a machine; None if no message came from it yet. "" is this machine."""
        known = self._ranges.get(machine)
        return _middle(*known) if known is not None else None if machine else 0.0


def _middle(low: float, high: float) -> float:
    return 0.0 if low <= 0.0 <= high else (low + high) / 2


OFFSETS = Offsets()
"""The offsets known to this process."""
