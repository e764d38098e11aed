"""What nodes cost: seconds and bytes, learned from the runs of this process.

record    what is known of one function on inputs of one size class (a power of four of bytes)
Invariant: a record is built from measured calls only; what was never called has none, and `seconds` says None.

The method is StarPU's history-based model (Augonnet et al., "StarPU: a unified platform", 2011).
"""

from __future__ import annotations

import importlib
import json
import sys
import threading
from collections.abc import Callable
from typing import Any

from weftwork.actors.checkpoints.files import files_of, write_whole
from weftwork.graph.function import Op, UserFunction

_WEIGHT = 0.3
"""Of a new measurement against the record's mean."""
_OUTLIER = 4.0
"""A measurement counts at most so many times the mean: one interruption must not move a node to another machine."""


class Record:
    """Mean seconds and bytes of the output of one function on inputs of one size class."""

    __slots__ = ("bytes", "calls", "seconds", "told")

    def __init__(self, seconds: float, made: int):
        self.seconds, self.bytes, self.calls = seconds, float(made), 1
        self.told = seconds
        """The seconds when it was last said that they have changed."""

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
            record.add(seconds, made)
            if abs(record.seconds - record.told) > 0.5 * record.told + 1e-6:
                record.told = record.seconds
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

    def save(self, path: str) -> None:
        """Write what is known of importable functions to a JSON file, for `load`.

        Raises OpErrors for what the operating system refuses; then a file that was there before is as it was.
        """
        with self._lock:
            rows = [
                {"function": name, "class": size, "seconds": r.seconds, "bytes": r.bytes, "calls": r.calls}
                for (kernel, size), r in self._records.items()
                if (name := _importable_name(kernel)) is not None
            ]
        text = json.dumps({"weftwork_costs": 1, "records": rows}, indent=1)
        write_whole(path, text.encode(), files_of(path))

    def load(self, path: str) -> None:
        """Take in what `save` wrote; what this process has measured itself stands.

        Raises ValueError when the file is no such file. Functions that cannot be imported here are passed over.
        """
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        if not isinstance(content, dict) or content.get("weftwork_costs") != 1:
            raise ValueError(f"{path} is no file of costs: it was not written by `save`.")
        for row in content["records"]:
            kernel = _import(row["function"])
            if kernel is not None:
                record = Record(float(row["seconds"]), int(row["bytes"]))
                record.calls = int(row["calls"])
                key = (kernel, int(row["class"]))
                with self._lock:
                    if key not in self._records:
                        self._records[key] = record
                        self._classes.setdefault(kernel, []).append(key[1])
                        self.epoch += 1


def _importable_name(kernel: Any) -> str | None:
    """`module:name` of a function that another process can import, else None."""
    function = getattr(kernel, "function", kernel) if isinstance(kernel, UserFunction) else kernel
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not module or not name or module == "__main__" or "<" in name:
        return None
    text = f"{module}:{name}"
    found = _import(text)
    return text if found is kernel else None


def _import(text: str) -> Any:
    """What `module:name` names: a kernel, or the kernel of an `@op`; None when it is not there."""
    module, _, name = text.partition(":")
    loaded = sys.modules.get(module)
    if loaded is None:
        try:
            loaded = importlib.import_module(module)
        except ImportError:
            return None
    found: Any = loaded
    for part in name.split("."):
        found = getattr(found, part, None)
    return found.kernel if isinstance(found, Op) else found


COSTS = Costs()
"""The history of this process."""


def save_costs(path: str) -> None:
    """Write what this process has learned of its functions' costs to a file, so that others need not try them.

    Raises OpErrors for what the operating system refuses; then a file that was there before is as it was.
    """
    COSTS.save(path)


def load_costs(path: str) -> None:
    """Take in what `save_costs` wrote. Raises OSError or ValueError when the file cannot be read or is another one."""
    COSTS.load(path)


def shape_bytes(tensor: Any) -> int | None:
    """The bytes of a tensor's value where its static shape and dtype tell, else None."""
    shape, dtype = tensor.raw_shape, tensor.dtype
    if shape is None or dtype.numpy.kind == "O":
        return None
    size = dtype.numpy.itemsize
    for dim in shape:
        if dim is None:
            return None
        size *= dim
    return size
