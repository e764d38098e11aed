"""The log of where a session's nodes run, in TensorFlow 1's format, for `ConfigProto.log_device_placement`.

Every line is printed to standard output and standard error: once when a run first needs a node, and again whenever the
node is placed elsewhere.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence

from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.sections import sections_of
from weftwork.scheduler.compile.pruning import makers_of, prune
from weftwork.scheduler.machines.devices import device_name, list_devices


class PlacementLog:
    """What a session has logged about the places of its nodes."""

    def __init__(self):
        self._printed: dict[str, str] = {}
        self._lock = threading.Lock()
        devices = [f"{device.name} -> device: {device.device_type}" for device in list_devices()]
        _say(["Device mapping:", *devices])

    def tell(
        self,
        elements: Sequence[Tensor | Operation],
        fed: Iterable[Tensor],
        placed: Mapping[str, tuple[str, str]],
    ) -> None:
        """Log the nodes of a run.

        Nodes that are not in `placed` were folded, and count as being on the caller's device.
        """
        here, given = device_name(), set(fed)
        lines = {}
        needed = dict.fromkeys([*[tensor.op for tensor in given], *prune(makers_of(elements, given), given)])
        for op, owner in _nested(sorted(needed, key=lambda op: op.index)):
            device = placed.get(op.name, placed.get(owner.name, ("", here)))[1]
            lines[op.name] = f"{op.name}: ({op.type}): {device}"
        for name, (kind, device) in placed.items():
            lines[name] = f"{name}: ({kind}): {device}"
        with self._lock:
            _say([line for name, line in lines.items() if self._printed.get(name) != line])
            self._printed.update(lines)


def _nested(ops: Iterable[Operation]) -> Iterator[tuple[Operation, Operation]]:
    """Yield operations and those inside their branches and loops, each with the outermost operation around it."""
    for outer in ops:
        todo = [outer]
        while todo:
            inner = todo.pop()
            yield inner, outer
            if inner.kind is Kind.CONTROL:
                todo += [op for section in sections_of(inner) for op in section.ops]


def _say(lines: list[str]) -> None:
    text = "".join([f"{line}\n" for line in lines])
    for stream in (sys.stdout, sys.stderr):
        stream.write(text)
        stream.flush()
