"""Signatures: the kinds of run that a session knows, each compiled once, when it first needs a plan.

signature   fetches and feeds, and the dataflow that they are compiled to
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import Any

from weftwork.actors.programs.lru import Lru
from weftwork.graph.operation import Operation, Tensor
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.folding import Rewrites
from weftwork.scheduler.compile.lowering import lower
from weftwork.scheduler.compile.needs import check_devices, settle_needs
from weftwork.scheduler.plan.call_list import CallList
from weftwork.scheduler.plan.collector import collecting_later
from weftwork.scheduler.plan.specializations import Specialization, Specializations
from weftwork.scheduler.request.fetches import Fetches
from weftwork.scheduler.state.mirror import Cells, Mirror

_KEPT = 512


class Signature:
    """A kind of run.

    flow, cells: None until it is compiled.   call_list: what it runs as long as it needs no plan, or None.
    numbers: of its runs that are counted, from 0 on.
    """

    __slots__ = ("_specializations", "cells", "fed", "fetches", "flow", "kept", "call_list", "finish", "numbers", "ran")

    def __init__(
        self,
        fetches: Fetches,
        fed: Sequence[Tensor],
        ran: Collection[Operation],
        finish: Callable[[Dataflow], None] | None = None,
    ):
        """finish: adds to the dataflow, once it is there."""
        self.fetches, self.fed, self.ran, self.finish = fetches, fed, ran, finish
        given = set(fed)
        self.kept = [kept or e in given for kept, e in zip(fetches.kept, fetches.elements, strict=True)]
        """Which of the fetched values others may hold."""
        self.flow: Dataflow | None = None
        self.cells: Cells | None = None
        self.call_list: CallList | None = None
        self.numbers = itertools.count()
        self._specializations = Specializations()

    def specialization_for(self, fed: Sequence[Any]) -> Specialization:
        """The specialization for the sizes of these feeds, which becomes the last one."""
        return self._specializations.find(fed) if fed else self._specializations.last


def settled(
    elements: Sequence[Tensor | Operation],
    fed: Iterable[Tensor],
    ran: Collection[Operation],
    config: Any,
    finish: Callable[[Dataflow], None] | None = None,
) -> Dataflow:
    """A dataflow whose needs are settled. Raises InvalidArgumentError for what cannot run."""
    with collecting_later():
        flow = lower(elements, fed, ran, Rewrites.of(config))
    if finish is not None:
        finish(flow)
    settle_needs(flow, config)
    return flow


class Signatures(Lru[Hashable, Signature]):
    """The signatures of a session."""

    may_finish = True
    """A dataflow may be added to."""

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
        """The signature of fetches and feeds, less what `ran` before. With a key it is kept, until many others came.

        finish: adds to the dataflow, once it is there.
        """
        signature = Signature(fetches, tuple(dict.fromkeys(fed)), ran, finish)
        self._prepare(signature, key is not None)
        if key is not None:
            self.keep(key, signature)
        return signature

    def _prepare(self, signature: Signature, lasting: bool) -> None:
        """Find out how to run a signature."""
        check_devices(signature.fetches.elements, signature.fed, self._config)
        if lasting and not (signature.ran or signature.finish) and self._config.placement == "auto":
            with collecting_later():
                signature.call_list = CallList.of(signature.fetches.elements, set(signature.fed))
        if signature.call_list is None:
            self.compile(signature)

    def compile(self, signature: Signature) -> Dataflow:
        """The dataflow of a signature, which has one from now on. Raises InvalidArgumentError for what cannot run."""
        flow = settled(signature.fetches.elements, signature.fed, signature.ran, self._config, signature.finish)
        signature.cells, signature.flow, signature.call_list = Cells(self._mirror, flow), flow, None
        return flow
