"""What a run tells about itself: which node ran where, when, for how long; the graph of each part; what nodes cost.

Plain data that pickles, for the run of a shared session is in another process. What is told of a plan, `partitions`
writes into it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from math import ceil
from time import time
from typing import Any, NamedTuple

from weftwork.scheduler.request.config import (
    CostGraphDef,
    DeviceStepStats,
    GraphDef,
    NodeExecStats,
    RunMetadata,
    StepStats,
)


class Wanted(NamedTuple):
    """What a run is to tell.

    times: when each node ran.   graphs: the graph of each part.   costs: what each node costs.   devices: where it is.
    """

    times: bool = False
    graphs: bool = False
    costs: bool = False
    devices: bool = False


class Trace:
    """What one run tells, gathered while it goes on.

    devices: of each node that was planned its type, and the device where it was last.
    """

    def __init__(self, wanted: Wanted):
        self.wanted = wanted
        self.devices: dict[str, tuple[str, str]] = {}
        self.graphs: list[GraphDef] = []
        self._events: list[tuple[str, str, str, float, float]] = []
        self._costs: dict[str, Any] = {}
        self._plans: dict[int, Any] = {}

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_plans": {}}

    @property
    def measures(self) -> bool:
        """True when every node is to be measured."""
        return self.wanted.times or self.wanted.costs

    def is_new(self, plan: Any) -> bool:
        """True for a plan that it was not told of before: the body of a loop is run again and again."""
        new = id(plan) not in self._plans
        self._plans[id(plan)] = plan
        return new

    def add(self, ops: Sequence[Any], seconds: Sequence[float], made: Sequence[int]) -> None:
        """Nodes that ran one after another, until now, and the bytes that each made."""
        start = time() - sum(seconds)
        for op, spent, size in zip(ops, seconds, made, strict=True):
            if self.wanted.times:
                self._events.append((self.devices[op.name][1], op.name, op.type, start, spent))
            if self.wanted.costs:
                node = self.cost_of(op.name)
                node.compute_cost += ceil(1e6 * spent)
                if len(node.output_info) == 1:
                    node.output_info[0].size = size
            start += spent

    def cost_of(self, name: str) -> Any:
        """What is known of a node's cost."""
        node = self._costs.get(name)
        if node is None:
            node = self._costs[name] = CostGraphDef.Node(name=name, id=len(self._costs))
        return node

    def take(self, other: Trace) -> None:
        """Be as another one, which was gathered in another process."""
        self.__dict__.update(other.__dict__)

    def fill(self, metadata: RunMetadata) -> None:
        """Write what was wanted into a run's metadata."""
        if self.wanted.times:
            metadata.step_stats.CopyFrom(self._stats())
        if self.wanted.graphs:
            metadata.partition_graphs.extend(self.graphs)
        if self.wanted.costs:
            metadata.cost_graph.CopyFrom(CostGraphDef(node=list(self._costs.values())))

    def _stats(self) -> StepStats:
        """The events, one device after another."""
        by_device: dict[str, Any] = {}
        thread = threading.get_ident() & 0xFFFF
        for name, node, kind, start, spent in self._events:
            if name not in by_device:
                by_device[name] = DeviceStepStats(device=name)
            by_device[name].node_stats.append(
                NodeExecStats(
                    node_name=node,
                    all_start_micros=int(start * 1e6),
                    op_start_rel_micros=0,
                    op_end_rel_micros=int(spent * 1e6),
                    all_end_rel_micros=int(spent * 1e6),
                    timeline_label=f"{node} = {kind}",
                    thread_id=thread,
                )
            )
        return StepStats(dev_stats=list(by_device.values()))
