"""Clock: times that were measured, here or in other processes, as times of the program's `time.time`.

ticks     seconds by `time.monotonic`, which `time.perf_counter` is, too: it never jumps, and one machine has one
epoch     what is added to this machine's ticks to have `time.time`
offset    what is added to another machine's ticks to have this one's
"""

from __future__ import annotations

from time import monotonic, time

_JUMP = 1e-3
"""Seconds by which the system's time must have been set anew, or have drifted, for the epoch to be another one."""
_epoch = time() - monotonic()


def epoch() -> float:
    """What is added to ticks to have the program's time."""
    global _epoch
    now = time() - monotonic()
    if abs(now - _epoch) > _JUMP:
        _epoch = now
    return _epoch


class Offsets:
    """How far the clocks of other machines are from this one's.

    A message left here before it came there, and its reply left there before it came back: so each exchange says
    between which two values the offset is. The narrowest range that all of them leave is kept.
    """

    def __init__(self):
        self._ranges: dict[str, tuple[float, float]] = {}

    def learn(self, machine: str, sent: float, came: float, left: float, back: float) -> float:
        """The offset of a machine, where something `came` and `left` by its ticks that was `sent` and came `back`."""
        low, high = sent - came, back - left
        known = self._ranges.get(machine)
        if known is not None and max(low, known[0]) <= min(high, known[1]):  # else one of the clocks has drifted
            low, high = max(low, known[0]), min(high, known[1])
        self._ranges[machine] = low, high
        return 0.0 if low <= 0.0 <= high else (low + high) / 2


OFFSETS = Offsets()
"""Those that this process knows."""
