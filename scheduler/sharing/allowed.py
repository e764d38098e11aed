"""Allowed: where the nodes of a shared-out run may run, by what is known about their functions so far.

CALLER    only in the caller: in other processes they failed, or changed state that others see
THREADS   in any thread of this process, including the caller's: they release the GIL while they compute
LANES     in any worker, or in the caller
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from typing import Any

from weftwork.actors.programs.bodies import Control
from weftwork.graph.user_function import UserFunction
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.effects import functions_of, need_one_thread
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.placement import stateful

CALLER, THREADS, LANES = "caller", "threads", "lanes"


class Allowed:
    """Where the nodes of one run may run."""

    def __init__(self, flow: Dataflow, detached: Collection[int], threads: bool):
        """detached: nodes that take no lane.   threads: whether threads beside the caller's take part."""
        self.kept = {*flow.here, *[node for node, op in enumerate(flow.ops) if stateful(op.kind)]}
        """Nodes that must run in the caller, whatever their functions are."""
        self.away: set[int] = set()
        """Nodes that had better run in a lane, because they read what lies on other machines."""
        self.lethal: set[int] = set()
        """The ids of kernels that a process may have died of."""
        self._flow, self._detached, self._threads = flow, detached, threads
        self._of: dict[int, str] = {}
        """By id of kernels, as of the epoch `_epoch`."""
        self._epoch = HISTORY.epoch
        self._beside = self._beside_others()

    def where(self, node: int) -> str:
        """Where a node may run."""
        if node in self.kept:
            return CALLER
        if self.keeps_off(node):
            return LANES
        if self._epoch != HISTORY.epoch:
            self._of, self._epoch, self._beside = {}, HISTORY.epoch, self._beside_others()
        kernel = self._flow.kernels[node]
        found = self._of.get(id(kernel))
        if found is None:
            found = CALLER if HISTORY.stays(kernel) else THREADS if self._fits_a_thread(node) else LANES
            self._of[id(kernel)] = found
        return found

    def keeps_off(self, node: int) -> bool:
        """Whether a node that may leave the caller is not to run in this process, however short it is."""
        return node in self.away or id(self._flow.kernels[node]) in self.lethal

    def may_leave(self, node: int) -> bool:
        """Whether a node may run elsewhere than in the caller."""
        return self._flow.kernels[node] is not None and node not in self._detached and self.where(node) is not CALLER

    @cached_property
    def staying(self) -> list[int]:
        """The nodes that only the caller may run, by what is known when a thread could first run others."""
        return [node for node in range(len(self._flow.ops)) if self.where(node) is CALLER]

    def _beside_others(self) -> set[int]:
        """The ids of functions that exchange values with some that go to lanes: they had better go there, too."""
        kernels, producer = self._flow.kernels, self._flow.producer
        functions = {kernel for kernel in kernels if isinstance(kernel, UserFunction)}
        away = {id(f) for f in functions if HISTORY.holds_gil(f) is not False and not f.threadsafe}
        found = set[int]()
        if away and len(away) < len(functions):
            for node, inputs in enumerate(self._flow.inputs):
                makers = [id(kernels[producer[number]]) for number in inputs if producer[number] >= 0]
                if id(kernels[node]) in away:
                    found.update(makers)
                elif not away.isdisjoint(makers):
                    found.add(id(kernels[node]))
        return found

    def _fits_a_thread(self, node: int) -> bool:
        """True for a node that may run concurrently in a thread of this process: it releases the GIL while it computes.

        A function that is `threadsafe` may try. False for functions that share their process's random generators,
        depend on their thread, or may end their process; and if there are no such threads, or the caller has other runs
        to serve.
        """
        flow = self._flow
        if flow.beside or not self._threads:
            return False
        kernel = flow.kernels[node]
        if not flow.ops[node].traits.user:
            return not isinstance(kernel, Control)
        holds = HISTORY.holds_gil(kernel)
        if holds or COSTS.blocks(kernel) or id(kernel) in self._beside:
            return False
        functions = functions_of([kernel])
        return (holds is False or all([f.threadsafe for f in functions])) and not need_one_thread(functions)


def is_at_once(kernel: Any) -> bool:
    """Whether whoever makes a node with this kernel ready calls it."""
    return type(kernel) is UserFunction and kernel.at_once


def may_do_without(flow: Dataflow) -> bool:
    """Whether a dataflow may be shared out without local workers: this process may call all its functions."""
    functions = flow.functions
    return bool(functions) and all([f.threadsafe and not f.captured.ends and not COSTS.blocks(f) for f in functions])
