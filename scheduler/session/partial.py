"""Partial runs: one run that is fed and fetched in parts.

Each part runs what its fetches need and nothing that an earlier part ran. Operations that were set up run in the first
part that has their feeds. The values that later parts need are kept with the handle, until everything has been fed and
fetched, a part fails, or the session closes. Each part commits its writes.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.graph import Graph
from weftwork.graph.operation import REFERENCES, Kind, Operation, Tensor
from weftwork.scheduler.compile.dataflow import prune
from weftwork.scheduler.request.feeds import feed_tensors, parse_feeds
from weftwork.scheduler.request.fetches import owned, parse_fetches

_SOURCES = REFERENCES | {Kind.CONSTANT, Kind.PLACEHOLDER}


class _Partial:
    """A run in parts: what may be fed and fetched, and what is there already."""

    def __init__(self, fetches: Sequence[Any], feeds: Sequence[Tensor]):
        self.fetches = dict.fromkeys(fetches)
        self.feeds = set(feeds)
        self.values: dict[Tensor, Any] = {}
        self.fetched: set = set()
        self.ran: set[Operation] = set()
        self.lock = threading.Lock()

    def complete(self) -> bool:
        """True when nothing is left to feed or fetch."""
        done = self.fetched | self.ran
        return all(f in done for f in self.fetches) and self.values.keys() >= self.feeds

    def due(self, values: Mapping[Tensor, Any]) -> list[Operation]:
        """The operations set up as targets that have not run, and need none of the feeds that are still to come."""
        pending = {feed.op for feed in self.feeds - values.keys()}
        targets = [f for f in self.fetches if isinstance(f, Operation) and f not in self.ran]
        return [op for op in targets if pending.isdisjoint(prune([op], set(values), self.ran))]


class RunPart(Protocol):
    """What a session runs a part with: the values of some elements from those that are there, without what ran."""

    def __call__(
        self, elements: Sequence[Tensor | Operation], values: Mapping[Tensor, Any], ran: frozenset[Operation]
    ) -> list: ...


class PartialRuns:
    """The partial runs of a session, which hands in what runs them: holding it would make a cycle, and a forgotten
    session would live until the garbage collector comes by.
    """

    def __init__(self) -> None:
        self._runs: dict[str, _Partial] = {}

    def setup(self, graph: Graph, fetches: Any, feeds: Sequence | None) -> str:
        """Begin: a handle. Raises InvalidArgumentError when there is nothing to fetch."""
        elements = parse_fetches(graph, fetches).elements
        if not elements:
            raise _refused("Must specify at least one target to fetch or execute.")
        handle = uuid.uuid4().hex
        self._runs[handle] = _Partial(elements, [tensor for key in feeds or () for tensor in feed_tensors(graph, key)])
        return handle

    def run(self, graph: Graph, handle: str, fetches: Any, feed_dict: Mapping | None, run: RunPart, copy: bool) -> Any:
        """Go on: the values of `fetches`, copied if they are to be. `run` runs a part; one that fails ends the run."""
        partial = self._runs.get(handle)
        if partial is None:
            raise _refused("Must run 'setup' before performing partial runs!")
        with partial.lock:
            try:
                return _part(graph, partial, fetches, feed_dict, run, copy)
            except BaseException:
                self._runs.pop(handle, None)
                raise
            finally:
                if partial.complete():
                    self._runs.pop(handle, None)

    def clear(self) -> None:
        """Forget all."""
        self._runs.clear()


def _part(graph: Graph, partial: _Partial, fetches: Any, feed_dict: Mapping | None, run: RunPart, copy: bool) -> Any:
    parsed = parse_fetches(graph, fetches)
    asked = [element for element in parsed.elements if isinstance(element, Tensor)]
    if len(asked) < len(parsed.elements):
        raise RuntimeError("partial_run() requires empty target_list.")
    fed = parse_feeds(graph, feed_dict) if feed_dict else {}
    _check(partial, asked, fed)
    values = {**partial.values, **fed}
    wanted = [t for t in asked if t not in values]
    due = partial.due(values)
    ops = prune([*[t.op for t in wanted], *due], set(values), partial.ran)
    for tensor in wanted:
        if any(feed.op in ops for feed in partial.feeds - values.keys()):
            raise _refused(f"Fetch {tensor.name} can't be computed from the feeds that have been fed so far.")
    kept = _frontier(partial, ops, set(values))
    computed = list(dict.fromkeys([*wanted, *kept]))
    if computed or due:
        made = run([*computed, *due], values, frozenset(partial.ran))
        values.update([(t, _kept(value)) for t, value in zip(computed, made, strict=False)])
    partial.ran.update([*due, *[op for op in ops if op.kind not in _SOURCES]])
    partial.values = values
    partial.fetched.update(asked)
    return parsed.build(owned([values[t] for t in asked], copy, [True] * len(asked)))


def _refused(text: str) -> InvalidArgumentError:
    """An error that no node is to blame for."""
    return InvalidArgumentError(None, None, text)


def _kept(value: Any) -> Any:
    """A value for later parts: an array that nobody can write to."""
    if type(value) is np.ndarray:
        value.flags.writeable = False
    return value


def _check(partial: _Partial, fetches: Sequence[Tensor], fed: Mapping[Tensor, Any]) -> None:
    for tensor in fed:
        if tensor not in partial.feeds:
            raise _refused(f"The feed {tensor.name} was not specified in partial_run_setup.")
        if tensor in partial.values:
            raise _refused(f"The feed {tensor.name} has already been fed.")
    for tensor in fetches:
        if tensor not in partial.fetches:
            raise _refused(f"The fetch {tensor.name} was not specified in partial_run_setup.")
        if tensor in partial.fetched:
            raise _refused(f"The fetch {tensor.name} has already been fetched.")


def _frontier(partial: _Partial, ops: list[Operation], known: set[Tensor]) -> list[Tensor]:
    """The values made by `ops` that later parts will need."""
    now = set(ops)
    left = [f.op if isinstance(f, Tensor) else f for f in partial.fetches if f not in partial.fetched]
    later = [op for op in prune(left, known, partial.ran) if op not in now]
    needed = {t for op in later for t in op.inputs} | {f for f in partial.fetches if isinstance(f, Tensor)}
    return [t for op in ops if op.kind not in _SOURCES for t in op.outputs if t in needed and t not in known]
