"""Costs of functions: seconds and output bytes, learned from the runs of this process.

record    the mean cost of one function on inputs of one size class (a power of four of bytes)
history   the records of one function. It dies with the function, and must not keep it or its captures alive
Invariant: records hold measured calls only; a function that was never called has none, and its `seconds` are None.

The method is StarPU's history-based model (Augonnet et al., "StarPU: a unified platform", 2011).
"""

from __future__ import annotations

import importlib
import json
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Any

from weftwork.actors.checkpoints.files import files_of, write_whole
from weftwork.graph.dtypes import resource
from weftwork.graph.function import Op
from weftwork.graph.python.forks import fresh
from weftwork.graph.python.seeded import Seeded
from weftwork.graph.user_function import UserFunction
from weftwork.graph.variables.handles import spec_of
from weftwork.scheduler.plan.policy import EVEN_AFTER, FAR_OFF, NEW_CALL_WEIGHT, OUTLIER, STABLE_SPREAD, STABLE_SUM

_MOST_LASTING = 2048
"""The maximum number of functions without weak references that have records; NumPy and SciPy have some hundreds."""


_RECENT = 16
"""Number of calls after which what was before weighs less than half a percent in a mean."""
_FADING = 0.8
"""How much of the longest call still counts after another one: a tenth after ten calls."""


class Record:
    """Mean seconds and output bytes of one function on inputs of one size class.

    seconds: a mean that favours recent calls and damps outliers.   total, squares: the sum of all calls' seconds, and
    of their squares.   spread: the typical deviation from the mean, as a fraction of it.
    longest: of the recent calls; an earlier one counts less with each call.
    """

    __slots__ = ("bytes", "calls", "longest", "published", "seconds", "spread", "squares", "total")

    def __init__(self, seconds: float, made: int, calls: int = 1, spread: float = 0.0):
        self.seconds, self.bytes, self.calls, self.total = seconds, float(made), calls, seconds * calls
        self.spread, self.squares = spread, calls * seconds**2 * (1 + spread**2)
        self.longest = seconds * (1 + spread)
        self.published = seconds
        """The mean at the time of the last change of `Costs.epoch`."""

    def add(self, seconds: float, made: int) -> None:
        """Include another measurement."""
        self.calls += 1
        self.total += seconds
        self.squares += seconds * seconds
        self.longest = max(seconds, _FADING * self.longest)
        weight = max(NEW_CALL_WEIGHT, 1.0 / self.calls)
        self.spread += weight * (spread_of(seconds, self.seconds) - self.spread)
        self.seconds += weight * (min(seconds, OUTLIER * self.seconds + 1e-6) - self.seconds)
        self.bytes += weight * (made - self.bytes)

    def add_several(self, calls: Sequence[tuple[float, int]]) -> None:
        """Include several measurements, each of seconds and output bytes. Of many, the means favour the last ones."""
        early = calls[:-_RECENT]
        if early:
            self.calls += len(early)
            self.total += sum([seconds for seconds, _ in early])
            self.squares += sum([seconds * seconds for seconds, _ in early])
            self.longest *= _FADING ** len(early)
        for seconds, made in calls[-_RECENT:]:
            self.add(seconds, made)

    def scale(self, factor: float) -> None:
        """Scale the measured seconds by a factor."""
        self.seconds, self.total, self.published = self.seconds * factor, self.total * factor, self.published * factor
        self.squares *= factor**2
        self.longest *= factor

    @property
    def careful(self) -> float:
        """A cautious estimate for a call whose own cost is unknown: a few long calls count in full."""
        return max(self.seconds, self.total / self.calls)

    @property
    def variance(self) -> float:
        """The variance of its calls' seconds; infinite while they are too few to tell."""
        if self.calls < EVEN_AFTER:
            return inf
        return max(0.0, self.squares / self.calls - (self.total / self.calls) ** 2)

    def is_even(self, among: int = 1) -> bool:
        """True for a function whose calls have all taken about the same time, or of which `among` calls together do."""
        if self.calls < EVEN_AFTER:
            return False
        if self.spread < STABLE_SPREAD and self.careful < (1 + STABLE_SPREAD) * self.seconds:
            return True
        return self.variance <= among * (STABLE_SUM * self.careful) ** 2


def spread_of(seconds: float, mean: float) -> float:
    """The distance of a measurement from the previous mean, as a fraction of the larger of the two: 0 to 1."""
    return abs(seconds - mean) / max(seconds, mean, 1e-9)


def size_class(size: float) -> int:
    """The power of four for `size` bytes; 0 for all small sizes."""
    return (int(size) >> 10).bit_length() + 1 >> 1


def usual_bytes(size: int) -> float:
    """The middle of a size class, in bytes; 0 for that of all small sizes."""
    return 1024 * 4.0**size / 2 if size else 0.0


class History:
    """The records of one function, by size class.

    kernel: returns the function, or None once it has been collected.
    """

    __slots__ = ("kernel", "records")

    def __init__(self):
        self.kernel: Callable[[], Any] = _nothing
        self.records: dict[int, Record] = {}


def _nothing() -> None:
    """The `kernel` of a history that has no function yet."""


def _key(kernel: Callable) -> Any:
    """The key of a function: for a user function its token, which outlives the graphs that call it."""
    if type(kernel) is UserFunction:
        return kernel.token or kernel
    return kernel if _is_weak(kernel) else (id(kernel), getattr(kernel, "__name__", ""))


def _is_weak(kernel: Callable) -> bool:
    """False for kernels without weak references, such as NumPy's ufuncs and those made by `numpy.frompyfunc`."""
    return type(kernel).__weakrefoffset__ != 0


class Costs:
    """The histories of all functions of a process, shared by its sessions."""

    def __init__(self):
        self._histories: weakref.WeakKeyDictionary[Any, History] = weakref.WeakKeyDictionary()
        """By function, or by the token of a user function."""
        self._lasting: OrderedDict[Any, History] = OrderedDict()
        """Histories of functions without weak references, by identity; the oldest ones are dropped."""
        self._lock = fresh(threading.Lock())
        self._blocking: weakref.WeakSet[Any] = weakref.WeakSet()
        self._some_block = False
        self.epoch = 0
        """Counts up when a function is measured for the first time, or a mean changes considerably."""

    def __len__(self) -> int:
        """The number of functions with a history."""
        return len(self._histories) + len(self._lasting)

    def learn(self, kernel: Callable, taken: int, seconds: float, made: int) -> None:
        """Record a call of `kernel`: bytes of its inputs (`taken`), seconds, and bytes of its outputs (`made`)."""
        self.learn_calls(kernel, size_class(taken), [(seconds, made)])

    def learn_calls(self, kernel: Callable, size: int, calls: Sequence[tuple[float, int]]) -> None:
        """Record calls of `kernel` on inputs of one size class, each as (seconds, bytes of its outputs)."""
        if self.blocks(kernel):
            return
        with self._lock:
            records = self._history(kernel).records
            record = records.get(size)
            if record is None:
                record = records[size] = Record(*calls[0])
                self.epoch += 1
                calls = calls[1:]
            record.add_several(calls)
            if abs(record.seconds - record.published) > 0.5 * record.published + 1e-6:
                record.published = record.seconds
                self.epoch += 1

    def learn_seconds(self, kernel: Callable, calls: Sequence[float]) -> None:
        """Record calls of a function that was measured before, on inputs like those it had most often."""
        history = self._find(kernel)
        if history is not None and history.records:
            size, record = max(history.records.items(), key=lambda each: each[1].calls)
            self.learn_calls(kernel, size, [(seconds, int(record.bytes)) for seconds in calls])

    def learn_together(self, counts: Mapping[Any, int], seconds: float) -> None:
        """Scale the means of some functions so that their calls add up to `seconds`.

        The calls were not timed one by one, and the means may rest on first calls, which are slow.
        """
        found = [(record, count) for kernel, count in counts.items() if (record := self.find(kernel, 0)) is not None]
        predicted = sum([record.seconds * count for record, count in found])
        if not predicted or not seconds or 1 / FAR_OFF < seconds / predicted < FAR_OFF:
            return
        with self._lock:
            for record, _ in found:
                record.scale(seconds / predicted)
            self.epoch += 1

    def find(self, kernel: Callable, taken: float) -> Record | None:
        """The record of `kernel` for inputs of that many bytes, or that of the nearest size class; None if unseen."""
        history = self._find(kernel)
        if history is None or self.blocks(kernel):
            return None
        records, wanted = history.records, size_class(taken)
        record = records.get(wanted)
        return records[min(records, key=lambda c: abs(c - wanted))] if record is None else record

    def copied(self, counts: Mapping[Any, int]) -> float:
        """The mean bytes of the inputs and outputs of so many calls of some functions, as far as they are known."""
        total = 0.0
        for kernel, count in counts.items():
            history = self._find(kernel)
            if history is not None and history.records:
                size, record = max(history.records.items(), key=lambda each: each[1].calls)
                total += count * (record.bytes + usual_bytes(size))
        return total / max(1, sum(counts.values()))

    def block(self, kernel: Callable) -> None:
        """Block a function that did not return in time: it counts as never seen, so a worker calls it."""
        if not _is_weak(kernel) or self.blocks(kernel):
            return
        with self._lock:
            self._blocking.add(_key(kernel))
            self._some_block = True
            self.epoch += 1

    def blocks(self, kernel: Any) -> bool:
        """Whether a function is blocked."""
        return self._some_block and _is_weak(kernel) and _key(kernel) in self._blocking

    def blocks_any(self, kernels: Iterable[Callable | None]) -> bool:
        """Whether any of these functions is blocked."""
        return self._some_block and any(map(self.blocks, kernels))

    def _find(self, kernel: Callable) -> History | None:
        return (self._histories if _is_weak(kernel) else self._lasting).get(_key(kernel))

    def _history(self, kernel: Callable) -> History:
        """The history of a function, created if needed. The lock must be held."""
        found = self._find(kernel)
        if found is None:
            found = History()
            if _is_weak(kernel):
                self._histories[_key(kernel)] = found
            else:
                self._lasting[_key(kernel)] = found
                if _importable_name(kernel) is not None:
                    found.kernel = lambda: kernel
                if len(self._lasting) > _MOST_LASTING:
                    self._lasting.popitem(last=False)
        if found.kernel() is None and _is_weak(kernel):
            found.kernel = weakref.ref(kernel)
        return found

    def save(self, path: str) -> None:
        """Write the records of importable functions to a JSON file, for `load`.

        Raises an OpError if the operating system refuses; an existing file is then left unchanged.
        """
        with self._lock:
            rows = [
                {
                    "function": name,
                    "class": size,
                    "seconds": r.seconds,
                    "bytes": r.bytes,
                    "calls": r.calls,
                    "spread": r.spread,
                }
                for history in [*self._histories.values(), *self._lasting.values()]
                if (name := _importable_name(history.kernel())) is not None
                for size, r in history.records.items()
            ]
        text = json.dumps({"weftwork_costs": 1, "records": rows}, indent=1)
        write_whole(path, text.encode(), files_of(path))

    def load(self, path: str) -> None:
        """Add the records that `save` wrote; measurements of this process take precedence.

        Raises ValueError if the file was not written by `save`. Functions that cannot be imported here are skipped.
        """
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        if not isinstance(content, dict) or content.get("weftwork_costs") != 1:
            raise ValueError(f"{path} is not a file that save_costs has written.")
        for row in content["records"]:
            kernel = _import(row["function"])
            if kernel is not None:
                record = Record(
                    float(row["seconds"]), int(row["bytes"]), int(row["calls"]), float(row.get("spread", 1.0))
                )
                with self._lock:
                    records = self._history(kernel).records
                    if int(row["class"]) not in records:
                        records[int(row["class"])] = record
                        self.epoch += 1


def _importable_name(kernel: Any) -> str | None:
    """`module:name` of a function that another process can import, else None."""
    kernel = kernel.kernel if isinstance(kernel, Seeded) else kernel
    function = getattr(kernel, "function", kernel) if isinstance(kernel, UserFunction) else kernel
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not module or not name or module == "__main__" or "<" in name:
        return None
    text = f"{module}:{name}"
    found = _import(text)
    return text if found is kernel else None


def _import(text: str) -> Any:
    """The kernel called `module:name`, or the kernel of the `@op` of that name; None if there is none."""
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
"""The instance of this process."""


def save_costs(path: str) -> None:
    """Write the costs that this process has learned to a file, so that other processes need not learn them again.

    Raises an OpError if the operating system refuses; an existing file is then left unchanged.
    """
    COSTS.save(path)


def load_costs(path: str) -> None:
    """Load costs that `save_costs` wrote. Raises OSError if the file cannot be read, ValueError for any other file."""
    COSTS.load(path)


def shape_bytes(tensor: Any) -> int | None:
    """The size of a tensor's value in bytes, if its static shape and dtype determine it, else None.

    The value of a resource variable's handle is that of the variable.
    """
    shape, dtype = tensor.raw_shape, tensor.dtype
    if dtype is resource:
        dtype, shape = spec_of(tensor)
    if shape is None or dtype.numpy.kind == "O":
        return None
    size = dtype.numpy.itemsize
    for dim in shape:
        if dim is None:
            return None
        size *= dim
    return size
