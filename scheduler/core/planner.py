"""Planner: finds the strategies to run a dataflow in a session, and which of them to try first.

Only this module chooses between one plan whose nodes are placed one by one, competing strategies (`autotune`), and
sharing the nodes out as the run goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from weftwork.actors.programs.bodies import Control
from weftwork.actors.programs.sizes import size_of
from weftwork.graph import nest
from weftwork.graph.python.interruptible import are_data
from weftwork.graph.user_function import UserFunction
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.effects import functions_of, need_one_thread
from weftwork.scheduler.compile.needs import is_free, is_sharable
from weftwork.scheduler.machines import backend, inventory, objects
from weftwork.scheduler.plan.autotune import Autotuner, Candidate
from weftwork.scheduler.plan.candidates import candidates, dynamic, scattered_plan
from weftwork.scheduler.plan.collector import collecting_later
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.lanes import Lanes
from weftwork.scheduler.plan.placement import Estimate, Place, place, place_needed
from weftwork.scheduler.plan.plan import Plan, fits_slots, make_plan
from weftwork.scheduler.plan.policy import (
    COMPARING_A_NODE,
    COMPARING_SHARE,
    DROPPED_FROM_BYTES,
    LEAST_COLD_NODES,
    MOST_BRIEF,
    MOST_COPIED,
    MOST_FED,
    MOST_TRIED_AT_ONCE,
)
from weftwork.scheduler.plan.specializations import Specialization
from weftwork.scheduler.run.failures import block
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.segments.nested import Nesting
from weftwork.scheduler.sharing.gates import gates_of
from weftwork.scheduler.sharing.local_workers import local_workers


class Planner:
    """Makes the plans of one session."""

    def __init__(self, config: Any, lanes: Lanes, nesting: Nesting):
        self.config, self.lanes, self._nesting = config, lanes, nesting

    def known(self) -> tuple:
        """The state that plans depend on: of the cluster, the history, and nested control flow."""
        return inventory.cluster(), COSTS.epoch, self._nesting.epoch

    def knows_more(self, flow: Dataflow, specialization: Specialization) -> bool:
        """Whether to make the plans of a dataflow anew: means have changed, or its own nodes are better known now.

        The latter shows only when all strategies are compared, which may cost a share of all runs so far.
        """
        if specialization.known != self.known():
            return True
        worth = COMPARING_SHARE * specialization.work * specialization.runs
        return self.config.placement == "auto" and len(flow.ops) * COMPARING_A_NODE < worth

    def can_share(self, flow: Dataflow, sizes: Mapping[int, int]) -> bool:
        """Whether lanes may run a dataflow that has not been measured yet: local workers, or tasks on several machines.

        Each worker gets a copy of what it reads. Tasks read it in Ray's store.
        """
        if inventory.machine_count() > 1:
            return self.lanes.cpus() > 1 and inventory.has_cpus()
        if not self.lanes.own_cpus():
            return False
        most = MOST_FED if backend.is_running() else MOST_COPIED / self.lanes.own_cpus()
        return sum(sizes.values()) <= most and not local_workers().failed

    def tries_all(self, nodes: int) -> bool:
        """Whether so many nodes with functions that were never called are shared out at once.

        A few trials first would leave most lanes of a cluster idle.
        """
        return self.config.placement == "auto" and inventory.machine_count() > 1 and nodes <= MOST_TRIED_AT_ONCE

    def plan(self, run: Run, flow: Dataflow, specialization: Specialization) -> Autotuner:
        """Find the strategies for a dataflow whose sources are available, and store them in the specialization."""
        if any([function.captured.ends for function in flow.functions]):
            block([k for k in flow.kernels if any([f.captured.ends for f in functions_of([k])])])
        now = self.known()
        known = run.bytes_of_sources()
        estimate = Estimate(flow, known)
        sources = [*flow.constants.values(), *[run.values[number] for number in known]]
        _doubt_codes(flow, estimate, sources)
        nested: frozenset[int] = frozenset()
        remote = {n for n, value in enumerate(run.values) if objects.is_reference(value)}
        autotuner = None
        if self.config.placement == "auto":
            nested = self._nesting.choose(flow, estimate)
            if not nested and _near(flow, remote) and is_sharable(flow):
                autotuner = specialization.autotuner
                if flow.beside or gates_of(flow) is not None or not _is_seen(flow, estimate):
                    if _is_brief(flow, estimate, sources):
                        autotuner = self.in_caller(flow)
                    elif self.can_share(flow, known):
                        return Autotuner([dynamic(flow)])
                    else:
                        autotuner = None
                elif (
                    autotuner is None
                    or autotuner.may_grow
                    or now[0] != specialization.known[0]
                    or not autotuner.still_holds(estimate.seconds)
                ):
                    with collecting_later():
                        ways = self._candidates(flow, estimate, remote)
                        autotuner = Autotuner(ways, specialization.runs, autotuner)
                else:
                    autotuner.renew(self._candidates(flow, estimate, remote), specialization.runs, estimate.seconds)
        if autotuner is None:
            with collecting_later():
                autotuner = self._placed(flow, estimate, remote, nested)
        specialization.autotuner, specialization.known = autotuner, now
        return autotuner

    def foreseen(self, flow: Dataflow, sources: Sequence[Any] = ()) -> Autotuner:
        """The strategies that a first run would have, by what is known now.   sources: values that it would read."""
        estimate = Estimate(flow, {})
        automatic = self.config.placement == "auto"
        nested = self._nesting.choose(flow, estimate) if automatic else frozenset()
        if automatic and not nested and is_sharable(flow):
            if _is_seen(flow, estimate) and not flow.beside:
                return Autotuner(self._candidates(flow, estimate, set()))
            if _is_brief(flow, estimate, sources):
                return self.in_caller(flow)
            if self.can_share(flow, {}):
                return Autotuner([dynamic(flow)])
        return self._placed(flow, estimate, set(), nested)

    def without_workers(self, run: Run, flow: Dataflow) -> Candidate:
        """The strategy for a run to be shared out, while another run has the workers, or if none can start.

        If Ray is running, functions that were never seen are tried in tasks. If not, they run here.
        """
        if run.stop:
            raise run.stopped()
        estimate = Estimate(flow, run.bytes_of_sources())
        if backend.is_running() and _is_seen(flow, estimate):
            ways = self._candidates(flow, estimate, set())
            return min([way for way in ways if not way.needs_residents], key=lambda way: way.predicted)
        if backend.is_running() or COSTS.blocks_any(flow.kernels):
            return self._placed(flow, estimate, set(), frozenset(), "auto").current
        return self.in_caller(flow).current

    def in_caller(self, flow: Dataflow) -> Autotuner:
        """A single plan that runs everything possible in the caller."""
        places = [place_needed(flow, node) or Place.CALLER for node in range(len(flow.ops))]
        return Autotuner.only("caller", partial(make_plan, flow, places, Estimate(flow, {})))

    def _placed(
        self, flow: Dataflow, estimate: Estimate, remote: set[int], nested: frozenset[int], forced: str = ""
    ) -> Autotuner:
        """A single plan for a dataflow whose nodes are placed one by one."""
        if self.config.debug:
            return self.in_caller(flow)
        forced = forced or self.config.placement
        if forced == Place.DYNAMIC.value and is_sharable(flow):
            return Autotuner([dynamic(flow)])
        blocked = COSTS.blocks_any(flow.kernels)
        alone = forced == Place.THREAD.value and need_one_thread(flow.functions)
        free = is_free(flow) or (forced == Place.RESIDENT.value and is_sharable(flow) and fits_slots(flow))
        if forced in (Place.RESIDENT.value, Place.THREAD.value) and free and not (alone or blocked):
            plan = scattered_plan(flow, estimate, Place(forced))
            if plan.slots > 1:
                return Autotuner.only(forced, lambda: plan)
        return Autotuner.only("placed", partial(self._plan_by_places, flow, estimate, remote, nested, forced))

    def _plan_by_places(
        self, flow: Dataflow, estimate: Estimate, remote: set[int], nested: frozenset[int], forced: str
    ) -> Plan:
        slots = self.lanes.cpus() if backend.is_running() else 1  # Ray is not started if it is not needed
        slots = slots if inventory.has_cpus() else 0
        machines = inventory.machine_count()
        places = place(flow, estimate, forced, remote, slots, machines, nested)
        return make_plan(flow, places, estimate)

    def _candidates(self, flow: Dataflow, estimate: Estimate, remote: set[int]) -> list[Candidate]:
        """The strategies for a dataflow in which at least some nodes may run anywhere."""
        placed = None if is_free(flow) else self._plan_by_places(flow, estimate, remote, frozenset(), "auto")
        return candidates(flow, estimate, self.lanes, placed)


def _is_brief(flow: Dataflow, estimate: Estimate, sources: Sequence[Any]) -> bool:
    """Whether all first calls of a small dataflow return soon, as code and values show: nobody need try them."""
    if flow.beside or flow.queued or gates_of(flow) is not None or sum(map(size_of, sources)) > MOST_BRIEF:
        return False
    users = [node for node, op in enumerate(flow.ops) if op.traits.user]
    new = [node for node in users if estimate.seconds[node] is None and _is_tried(flow, node)]
    kernels: list[Any] = [flow.kernels[node] for node in users]
    if len(new) >= LEAST_COLD_NODES or any([isinstance(kernel, Control) for kernel in flow.kernels]):
        return False
    if not all([type(kernel) is UserFunction and kernel.interruptible for kernel in kernels]):
        return False
    given = [*sources, *[part for node in users for part in nest.arguments(flow.ops[node].attrs["template"], ())]]
    if any([flow.kernels[node].code.has_loops for node in new]) or not are_data(given):
        return False
    for kernel in kernels:
        if kernel.holds_gil(given):
            HISTORY.let_hold(kernel)
    return True


def _doubt_codes(flow: Dataflow, estimate: Estimate, sources: Sequence[Any]) -> None:
    """Doubt that functions hold the GIL of which only the code says so, if there are large arrays."""
    by_code = [function for function in flow.functions if HISTORY.is_by_code(function)]
    if not by_code:
        return
    arrays = any([type(value) is np.ndarray and value.nbytes >= DROPPED_FROM_BYTES for value in sources])
    large = [at for size, at in zip(estimate.bytes, flow.producer, strict=True) if size >= DROPPED_FROM_BYTES]
    if arrays or not all([at < 0 or HISTORY.is_by_code(flow.kernels[at]) for at in large]):
        HISTORY.doubt(by_code)


def _near(flow: Dataflow, remote: set[int]) -> bool:
    """True if values in Ray's store are as good as local: on one machine the caller sees them."""
    return not remote or (not flow.writes and inventory.machine_count() == 1)


def _is_seen(flow: Dataflow, estimate: Estimate) -> bool:
    """True if every user function of a dataflow has been called before."""
    seconds = enumerate(estimate.seconds)
    return not any([s is None and _is_tried(flow, n) and n not in flow.needs for n, s in seconds])


def _is_tried(flow: Dataflow, node: int) -> bool:
    """True for a node whose user function is first called in another process."""
    return flow.ops[node].traits.user and not flow.is_here(node) and node not in flow.awaited
