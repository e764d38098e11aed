"""Entries: the kinds of run that a session knows, each compiled once, when it first needs a plan.

entry     fetches and feeds, and the dataflow that they are compiled to
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import Any

from weftwork.actors.programs.lru import Lru
from weftwork.graph.operation import Operation, Tensor
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.folding import Rewrites
from weftwork.scheduler.compile.needs import settle_needs
from weftwork.scheduler.plan.call_list import Listing
from weftwork.scheduler.plan.collector import collecting_later
from weftwork.scheduler.plan.specializations import Variant, Variants
from weftwork.scheduler.request.fetches import Fetches
from weftwork.scheduler.state.mirror import Cells, Mirror

_KEPT = 512


class Entry:
    """A kind of run.

    flow, cells: None until it is compiled.   listing: what it runs as long as it needs no plan, or None.
    numbers: of its runs that are counted, from 0 on.
    """

    __slots__ = ("_variants", "cells", "fed", "fetches", "flow", "kept", "listing", "numbers", "ran")

    def __init__(self, fetches: Fetches, fed: Sequence[Tensor], ran: Collection[Operation]):
        self.fetches, self.fed, self.ran = fetches, fed, ran
        given = set(fed)
        self.kept = [kept or e in given for kept, e in zip(fetches.kept, fetches.elements, strict=True)]
        """Which of the fetched values others may hold."""
        self.flow: Dataflow | None = None
        self.cells: Cells | None = None
        self.listing: Listing | None = None
        self.numbers = itertools.count()
        self._variants = Variants()

    def variant_for(self, fed: Sequence[Any]) -> Variant:
        """The variant for the sizes of these feeds, which becomes the last one."""
        return self._variants.find(fed) if fed else self._variants.last


def settled(
    elements: Sequence[Tensor | Operation], fed: Iterable[Tensor], ran: Collection[Operation], config: Any
) -> Dataflow:
    """A dataflow whose needs are settled. Raises InvalidArgumentError for what cannot run."""
    with collecting_later():
        flow = Dataflow(elements, fed, ran, Rewrites.of(config))
    settle_needs(flow, config)
    return flow


class Entries(Lru[Hashable, Entry]):
    """The entries of a session."""

    def __init__(self, mirror: Mirror, config: Any):
        super().__init__(_KEPT)
        self._mirror, self._config = mirror, config

    def add(
        self, key: Hashable | None, fetches: Fetches, fed: Sequence[Tensor], ran: Collection[Operation] = frozenset()
    ) -> Entry:
        """The entry of fetches and feeds, without what `ran` before. With a key it is kept, till many others came."""
        entry = Entry(fetches, tuple(dict.fromkeys(fed)), ran)
        self._prepare(entry, key is not None)
        if key is not None:
            self.keep(key, entry)
        return entry

    def _prepare(self, entry: Entry, lasting: bool) -> None:
        """Find out how to run an entry."""
        if lasting and not entry.ran and self._config.placement == "auto":
            with collecting_later():
                entry.listing = Listing.of(entry.fetches.elements, set(entry.fed))
        if entry.listing is None:
            self.compile(entry)

    def compile(self, entry: Entry) -> Dataflow:
        """The dataflow of an entry, which has one from now on. Raises InvalidArgumentError for what cannot run."""
        flow = settled(entry.fetches.elements, entry.fed, entry.ran, self._config)
        entry.cells, entry.flow, entry.listing = Cells(self._mirror, flow), flow, None
        return flow
