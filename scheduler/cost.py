"""What nodes cost: seconds and bytes, learned from the runs of this process.

record    what is known of one function on inputs of one size class (a power of four of bytes)
Invariant: a record is built from measured calls only; what was never called has none, and `seconds` says None.

The method is StarPU's history-based model (Augonnet et al., "StarPU: a unified platform", 2011).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

_WEIGHT = 0.3
"""Of a new measurement against the record's mean."""
_OUTLIER = 4.0
"""A measurement counts at most so many times the mean: one interruption must not move a node to another machine."""


class Record:
    """Mean seconds and bytes of the output of one function on inputs of one size class."""

    __slots__ = ("bytes", "calls", "seconds")

    def __init__(self, seconds: float, made: int):
        self.seconds, self.bytes, self.calls = seconds, float(made), 1

    def add(self, seconds: float, made: int) -> None:
        """Take a further measurement in."""
        self.calls += 1
        weight = max(_WEIGHT, 1.0 / self.calls)
        self.seconds += weight * (min(seconds, _OUTLIER * self.seconds + 1e-6) - self.seconds)
        self.bytes += weight * (made - self.bytes)


def size_class(size: float) -> int:
    """The power of four that `size` bytes belong to; 0 for all that is small."""
    return max(0, (int(size) >> 10).bit_length() + 1 >> 1)


class Costs:
    """The history of a process, shared by its sessions."""

    def __init__(self):
        self._records: dict[tuple[Callable, int], Record] = {}
        self._classes: dict[Callable, list[int]] = {}
        self._lock = threading.Lock()
        self.epoch = 0
        """Goes up when a function is seen for the first time or a mean has moved much."""

    def learn(self, kernel: Callable, taken: int, seconds: float, made: int) -> None:
        """One call of `kernel` with `taken` bytes of inputs took `seconds` and made `made` bytes."""
        key = (kernel, size_class(taken))
        with self._lock:
            record = self._records.get(key)
            if record is None:
                self._records[key] = Record(seconds, made)
                self._classes.setdefault(kernel, []).append(key[1])
                self.epoch += 1
                return
            before = record.seconds
            record.add(seconds, made)
            if abs(record.seconds - before) > 0.5 * before + 20e-6:
                self.epoch += 1

    def find(self, kernel: Callable, taken: float) -> Record | None:
        """What is known of `kernel` on so many bytes: its own size class, else the nearest one; None when unseen."""
        wanted = size_class(taken)
        record = self._records.get((kernel, wanted))
        if record is not None:
            return record
        classes = self._classes.get(kernel)
        if not classes:
            return None
        return self._records[(kernel, min(classes, key=lambda c: abs(c - wanted)))]


COSTS = Costs()
"""The history of this process."""


def shape_bytes(tensor: Any) -> int | None:
    """The bytes of a tensor's value where its static shape and dtype tell, else None."""
    shape, dtype = tensor._shape, tensor.dtype
    if shape is None or dtype.numpy.kind == "O":
        return None
    size = dtype.numpy.itemsize
    for dim in shape:
        if dim is None:
            return None
        size *= dim
    return size
