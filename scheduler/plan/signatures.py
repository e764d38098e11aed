"""Signatures: the kinds of run of a session, each compiled once, when it first needs a plan.

signature   fetches and fed tensors, and the dataflow compiled from them
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import Any

from weftwork.actors.programs.lru import Lru
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.python.captured import is_watched
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.effects import is_freed
from weftwork.scheduler.compile.folding import Rewrites
from weftwork.scheduler.compile.lowering import lower
from weftwork.scheduler.compile.needs import check_devices, settle_needs
from weftwork.scheduler.plan.call_list import CallList
from weftwork.scheduler.plan.collector import collecting_later
from weftwork.scheduler.plan.policy import REPLAN_AT
from weftwork.scheduler.plan.specializations import Specialization, Specializations
from weftwork.scheduler.request.fetches import Fetches
from weftwork.scheduler.state.mirror import Cells, Mirror

_KEPT = 512


class Signature:
    """A kind of run.

    flow, cells: None until it is compiled.   call_list: the calls of a run without a plan, or None.
    numbers: numbers its runs, from 0.   asked: when the run was asked for that made it necessary; None once that began.
    starts: for how long its compilation waited for Ray to start, as (since, seconds).
    """

    __slots__ = (
        "_specializations",
        "asked",
        "call_list",
        "cells",
        "fed",
        "fetches",
        "finish",
        "flow",
        "kept",
        "numbers",
        "ran",
        "starts",
    )

    def __init__(
        self,
        fetches: Fetches,
        fed: Sequence[Tensor],
        ran: Collection[Operation],
        finish: Callable[[Dataflow], None] | None = None,
    ):
        """finish: called with the compiled dataflow, to add to it."""
        self.fetches, self.fed, self.ran, self.finish = fetches, fed, ran, finish
        self.kept = fetches.kept
        """Which fetched values may be referenced elsewhere too."""
        if given := set(fed):
            self.kept = [kept or e in given for kept, e in zip(fetches.kept, fetches.elements, strict=True)]
        self.flow: Dataflow | None = None
        self.cells: Cells | None = None
        self.call_list: CallList | None = None
        self.numbers = itertools.count()
        self.asked: float | None = None
        self.starts: list[tuple[float, float]] = []
        self._specializations = Specializations()

    def start_with(self, flow: Dataflow, cells: Cells) -> None:
        """Run this dataflow from now on."""
        self.flow, self.cells, self.call_list = flow, cells, None
        self._specializations = Specializations()

    @property
    def is_outdated(self) -> bool:
        """Whether to compile it anew, because functions that had to run in the caller no longer have to.

        One looks when plans may be made anew, and once no tool follows the thread any more.
        """
        flow = self.flow
        if flow is None:
            return self.call_list is not None and self.call_list.is_outdated
        if not flow.bound:
            return False
        looks = (flow.watched and not is_watched()) or self._specializations.last.runs in REPLAN_AT
        return looks and is_freed(flow)

    def specialization_for(self, fed: Sequence[Any]) -> Specialization:
        """The specialization for feeds of these sizes, which becomes `last`."""
        return self._specializations.find(fed) if fed else self._specializations.last


def settled(
    elements: Sequence[Tensor | Operation],
    fed: Iterable[Tensor],
    ran: Collection[Operation],
    config: Any,
    finish: Callable[[Dataflow], None] | None = None,
) -> Dataflow:
    """Compile a dataflow, with its needs resolved. Raises InvalidArgumentError if it cannot run."""
    with collecting_later():
        flow = lower(elements, fed, ran, Rewrites.of(config))
    if finish is not None:
        finish(flow)
    settle_needs(flow, config)
    return flow


class Signatures(Lru[Hashable, Signature]):
    """The signatures of a session."""

    may_finish = True
    """`finish` is supported."""

    def __init__(self, mirror: Mirror, config: Any):
        super().__init__(_KEPT)
        self._mirror, self._config = mirror, config

    def add(
        self,
        key: Hashable | None,
        fetches: Fetches,
        fed: Sequence[Tensor],
        ran: Collection[Operation] = frozenset(),
        finish: Callable[[Dataflow], None] | None = None,
    ) -> Signature:
        """The signature of fetches and feeds, without the operations that `ran` already. With a key, it is cached.

        finish: called with the compiled dataflow, to add to it.
        """
        signature = Signature(fetches, tuple(dict.fromkeys(fed)), ran, finish)
        self._prepare(signature)
        if key is not None:
            self.keep(key, signature)
        return signature

    def _prepare(self, signature: Signature) -> None:
        """Decide whether a signature runs without a plan, and compile it if not."""
        check_devices(signature.fetches.elements, signature.fed, self._config)
        elements = signature.fetches.elements
        gates = bool(elements) and elements[0].graph.gates is not None
        if not (gates or signature.ran or signature.finish) and self._config.placement == "auto":
            with collecting_later():
                signature.call_list = CallList.of(signature.fetches, set(signature.fed))
        if signature.call_list is None:
            self.compile(signature)

    def renew(self, signature: Signature) -> None:
        """Compile an outdated signature anew."""
        if signature.flow is None:
            signature.call_list = CallList.of(signature.fetches, set(signature.fed))
        else:
            self.compile(signature)

    def compile(self, signature: Signature) -> Dataflow:
        """Compile a signature, which keeps its dataflow. Raises InvalidArgumentError if it cannot run."""
        flow = settled(signature.fetches.elements, signature.fed, signature.ran, self._config, signature.finish)
        signature.start_with(flow, Cells(self._mirror, flow))
        return flow
