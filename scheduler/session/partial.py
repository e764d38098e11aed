"""Partial runs: one run that is fed and fetched in parts.

Each part runs what its fetches need, except what earlier parts ran. Target operations run in the first part that has
their feeds. Values that later parts need are kept with the handle until everything has been fed and fetched, a part
fails, or the session is closed; a part that is refused leaves the run as it was. Each part commits its writes.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.graph import Graph
from weftwork.graph.operation import REFERENCES, Kind, Operation, Tensor
from weftwork.scheduler.compile.pruning import prune
from weftwork.scheduler.request.feeds import feed_tensors, parse_feeds
from weftwork.scheduler.request.fetches import Fetches, owned, parse_fetches

_SOURCES = REFERENCES | {Kind.CONSTANT, Kind.PLACEHOLDER}


class _Partial:
    """A partial run: what may be fed and fetched, and the values so far."""

    def __init__(self, fetches: Sequence[Any], feeds: Sequence[Tensor]):
        self.fetches = dict.fromkeys(fetches)
        self.feeds = set(feeds)
        self.values: dict[Tensor, Any] = {}
        self.fetched: set = set()
        self.ran: set[Operation] = set()
        self.lock = threading.Lock()

    def complete(self) -> bool:
        """Whether everything has been fed and fetched."""
        done = self.fetched | self.ran
        return all(f in done for f in self.fetches) and self.values.keys() >= self.feeds

    def due(self, values: Mapping[Tensor, Any]) -> list[Operation]:
        """Target operations that have not run, and need none of the missing feeds."""
        pending = {feed.op for feed in self.feeds - values.keys()}
        targets = [f for f in self.fetches if isinstance(f, Operation) and f not in self.ran]
        return [op for op in targets if pending.isdisjoint(prune([op], set(values), self.ran))]


class RunPart(Protocol):
    """The session's function that runs a part: computes elements from known values, without the operations that ran."""

    def __call__(
        self, elements: Sequence[Tensor | Operation], values: Mapping[Tensor, Any], ran: frozenset[Operation]
    ) -> list: ...


class PartialRuns:
    """The partial runs of a session. The session passes in the function that runs parts: a reference to the session
    would be a cycle, and a forgotten session would live until the next garbage collection.
    """

    def __init__(self) -> None:
        self._runs: dict[str, _Partial] = {}

    def setup(self, graph: Graph, fetches: Any, feeds: Any) -> str:
        """Start a partial run and return its handle.

        feeds: the keys, or a single one. Raises InvalidArgumentError if there is nothing to fetch, or if a tensor is to
        be fed twice, or fed and fetched.
        """
        elements = parse_fetches(graph, fetches).elements
        if not elements:
            raise _refused("Must specify at least one target to fetch or execute.")
        keys = () if feeds is None else feeds if isinstance(feeds, (list, tuple)) else (feeds,)
        fed, fetched = dict[Tensor, None](), set(elements)
        for tensor in [tensor for key in keys for tensor in feed_tensors(graph, key)]:
            if tensor in fed:
                raise _refused(f'Endpoint "{tensor.name}" fed more than once.')
            if tensor in fetched:
                raise _refused(f"{tensor.name} is both fed and fetched.")
            if not graph.is_feedable(tensor):
                raise ValueError(f"Tensor {tensor!r} may not be fed.")
            fed[tensor] = None
        handle = uuid.uuid4().hex
        self._runs[handle] = _Partial(elements, tuple(fed))
        return handle

    def run(self, graph: Graph, handle: str, fetches: Any, feed_dict: Mapping | None, run: RunPart, copy: bool) -> Any:
        """Run a part with `run` and return the values of `fetches`. An error ends the partial run."""
        partial = self._runs.get(handle)
        if partial is None:
            raise _refused("Must run 'setup' before performing partial runs!")
        parsed = parse_fetches(graph, fetches)
        fed = parse_feeds(graph, feed_dict) if feed_dict else {}
        with partial.lock:
            part = _next_part(partial, parsed, fed)
            try:
                return _run_part(partial, parsed, part, run, copy)
            except BaseException:
                self._runs.pop(handle, None)
                raise
            finally:
                if partial.complete():
                    self._runs.pop(handle, None)

    def clear(self) -> None:
        """Forget all partial runs."""
        self._runs.clear()


class _Part(NamedTuple):
    """A part that can run: what was asked for, and what it computes from which values with which operations."""

    asked: list[Tensor]
    wanted: list[Tensor]
    values: dict[Tensor, Any]
    due: list[Operation]
    ops: list[Operation]


def _next_part(partial: _Partial, parsed: Fetches, fed: dict[Tensor, Any]) -> _Part:
    """The part that is asked for. Raises InvalidArgumentError and RuntimeError if it cannot run."""
    asked = [element for element in parsed.elements if isinstance(element, Tensor)]
    if len(asked) < len(parsed.elements):
        raise RuntimeError("partial_run() requires empty target_list.")
    _check(partial, asked, fed)
    values = {**partial.values, **fed}
    wanted = [t for t in asked if t not in values]
    due = partial.due(values)
    ops = prune([*[t.op for t in wanted], *due], set(values), partial.ran)
    missing = {feed.op for feed in partial.feeds - values.keys()}
    if wanted and not missing.isdisjoint(ops):
        raise _refused(f"Fetch {wanted[0].name} can't be computed from the feeds that have been fed so far.")
    return _Part(asked, wanted, values, due, ops)


def _run_part(partial: _Partial, parsed: Fetches, part: _Part, run: RunPart, copy: bool) -> Any:
    asked, wanted, values, due, ops = part
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
    """An error that is not about a single node."""
    return InvalidArgumentError(None, None, text)


def _kept(value: Any) -> Any:
    """A value to keep for later parts; arrays become read-only."""
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
