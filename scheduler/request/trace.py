"""What a traced run did, as TensorFlow 1's StepStats: which node ran where, when, for how long."""

from __future__ import annotations

import threading
from time import time
from typing import Any

from weftwork.scheduler.request.config import DeviceStepStats, NodeExecStats, RunMetadata, StepStats

DEVICES = {
    "caller": "/job:localhost/replica:0/task:0/device:CPU:0",
    "task": "/job:localhost/replica:0/task:0/device:CPU:0/ray:task",
    "actor": "/job:localhost/replica:0/task:0/device:CPU:0/ray:actor",
    "resident": "/job:localhost/replica:0/task:0/device:CPU:0/ray:resident",
}


class Trace:
    """The events of one run, gathered while it goes on."""

    def __init__(self):
        self._events: list[tuple[str, str, str, float, float]] = []

    def add(self, place: str, ops: list, seconds: list[float]) -> None:
        """Nodes that ran one after another, until now, at `place`."""
        start = time() - sum(seconds)
        for op, spent in zip(ops, seconds, strict=True):
            self._events.append((place, op.name, op.type, start, spent))
            start += spent

    def fill(self, metadata: RunMetadata) -> None:
        """Write the events into `metadata.step_stats`, one device after another."""
        stats = StepStats()
        by_place: dict[str, Any] = {}
        thread = threading.get_ident() & 0xFFFF
        for place, name, kind, start, spent in self._events:
            device = by_place.get(place)
            if device is None:
                device = by_place[place] = DeviceStepStats(device=DEVICES[place])
            device.node_stats.append(
                NodeExecStats(
                    node_name=name,
                    all_start_micros=int(start * 1e6),
                    op_start_rel_micros=0,
                    op_end_rel_micros=int(spent * 1e6),
                    all_end_rel_micros=int(spent * 1e6),
                    timeline_label=f"{name} = {kind}",
                    thread_id=thread,
                )
            )
        for device in by_place.values():
            stats.dev_stats.append(device)
        metadata.step_stats.CopyFrom(stats)
