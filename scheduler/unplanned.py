"""Unplanned: the first runs of a large graph of plain nodes, which call them one after another without a plan.

A plan costs some 12 us a node, which many runs share; a graph that is run once need not pay for it. Here is no Ray and
no session: what needs another process, the engine runs as a part of the run, and hands the values back.

plain     a node that may run anywhere, and neither touches variables nor draws, waits in queues or owns sections
listing   the plain nodes of a kind of run in creation order, looked at once for all its runs
left      the nodes of a run that have not been called
live      the values that somebody may still take
unseen    functions that were never called: they may block or crash a process, so a worker tries their first calls
heavy     what is left is worth more than one process: it is planned, with the live values as feeds

Invariant: the live values are all that the nodes that are left take from others, and what is fetched of those.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from time import monotonic, perf_counter
from typing import Any, NamedTuple

import numpy as np

from weftwork.actors.program import Stopped, quiet, size_of, spread
from weftwork.graph.function import Straight, UserFunction, frozen, own
from weftwork.graph.nest import Slot
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.scheduler.cost import COSTS
from weftwork.scheduler.dataflow import prune
from weftwork.scheduler.failures import node_error
from weftwork.scheduler.placement import worth_sharing_once

_LEAST = 250
"""Nodes from which it is worth it, and nodes for each unseen function: to try one in a worker takes 2.5 ms."""
_AHEAD = 300
"""Nodes among which first calls are looked for."""
_PLANNING, _OVERHEAD = 12e-6, 1e-6
"""Seconds a node that a plan takes, and that a run without one takes longer than one with it."""
_STRIDE = 61
"""One in so many nodes is measured, and the first one of each function."""

_CALLED = frozenset({Kind.PURE, Kind.FUNCTION})
_PLAIN = frozenset({*_CALLED, Kind.CONSTANT, Kind.NOOP})
_AS_IT_IS = frozenset({Slot, int, float, bool, str, bytes, complex, type(None)})
"""Types of what stands in a call's template: the places of tensors, and constants that every call may get."""
_kernel, _kind, _traits, _device = [attrgetter(name) for name in ("kernel", "kind", "traits", "device")]


class Next(enum.Enum):
    """What must happen before an unplanned run can go on."""

    NOTHING = "all nodes were called"
    TRIAL = "a worker tries functions that were never seen"
    PLAN = "what is left is planned"


class Part(NamedTuple):
    """Nodes of a run that the engine runs for it.

    elements: what they are to give.   fed: values that are there.   ran: what need not run for them.
    """

    elements: list[Tensor | Operation]
    fed: dict[Tensor, Any]
    ran: set[Operation]
    nodes: set[Operation]


class Listing:
    """The nodes of a kind of run that needs no plan yet.

    last: the node that takes each value last; None for what is fetched.
    """

    def __init__(self, elements: Sequence[Tensor | Operation], ops: list[Operation]):
        self.elements, self.nodes = elements, ops
        self.constants: dict[Tensor, Any] = {}
        if not _CALLED.issuperset(map(_kind, ops)):
            self.nodes = [op for op in ops if op.kind in _CALLED]
            self.constants = {op.outputs[0]: op.attrs["value"] for op in ops if op.kind is Kind.CONSTANT}
        self.last: dict[Tensor, Operation | None] = {t: op for op in self.nodes for t in op.inputs}
        self.last.update({element: None for element in elements if isinstance(element, Tensor)})
        first = dict(zip(map(_kernel, reversed(self.nodes)), reversed(self.nodes), strict=True))
        self.functions = [kernel for kernel in first if isinstance(kernel, UserFunction)]
        self.measured = {*first.values(), *self.nodes[::_STRIDE]}
        self._saved = 0.0
        """Seconds that a plan might have saved so far."""

    @classmethod
    def of(cls, elements: Sequence[Tensor | Operation], fed: set[Tensor]) -> Listing | None:
        """The listing for these elements with these feeds, if a plan is not needed and not likely to pay in one run."""
        wanted = [e if isinstance(e, Operation) else e.op for e in elements if e not in fed]
        if not wanted or wanted[0].graph.version < _LEAST:
            return None
        ops = prune(wanted, fed)
        if fed and not {tensor.op for tensor in fed}.isdisjoint(ops):  # it runs, but its value is another
            return None
        alike = zip(map(_kind, ops), map(_device, ops), map(id, map(_traits, ops)), strict=True)
        if len(ops) < _LEAST or not all([_is_plain(op) for op in dict(zip(alike, ops, strict=True)).values()]):
            return None
        counts = Counter(map(_kernel, ops))
        if len(ops) < _LEAST * len(_unseen(counts)) or _are_heavy(counts):
            return None
        return cls(elements, ops)

    def begin(self, feeds: Mapping[Tensor, Any]) -> Unplanned:
        """A run."""
        return Unplanned(self, feeds)

    def is_worth_a_plan(self, run: Unplanned, slots: int) -> bool:
        """Whether the next run should be planned, now that this one has gone by on a machine of so many cores.

        It should once plans might have saved as much as making one takes: so both together take at most twice what the
        better of the two would have taken, however often the graph is run.
        """
        self._saved += _OVERHEAD * run.called + run.seconds * (1 - 1 / slots)
        return run.heavy or self._saved >= _PLANNING * len(self.nodes)


class Unplanned:
    """One run: what is left of it, and what is there."""

    def __init__(self, listing: Listing, feeds: Mapping[Tensor, Any]):
        self.left = list(listing.nodes)
        self.live = {**listing.constants, **feeds}
        self.called, self.seconds = 0, 0.0
        """How many nodes were called here, and how long that took."""
        self.heavy = False
        """Some of it was planned."""
        self.current: Operation | None = None
        """The node that is being called."""
        self.inner: Any = None
        """The run of the part that is on its way."""
        self.since = monotonic()
        self._listing = listing
        self._unseen = _unseen(listing.functions)
        self._bare = {k: k.function for k in listing.functions if k.bare and k not in self._unseen}
        """Functions that may be called without their wrapper."""
        self._arrays = False
        """Some node has made an array, which must be read-only before a user's function sees it."""

    # In the caller

    def go_on(self, stop: list) -> Next:
        """Call nodes until something else must happen. Raises the error of a node that fails, or Stopped."""
        start = perf_counter()
        with quiet():
            following, called = self._call(stop)
        del self.left[:called]
        self.called += called
        self.seconds += perf_counter() - start
        self.current = None
        return following

    def _call(self, stop: list) -> tuple[Next, int]:
        """As `go_on`; also how many nodes were called: a loop of 0.6 us a node."""
        live, bare, unseen = self.live, self._bare, self._unseen
        last, measured = self._listing.last, self._listing.measured
        began = perf_counter()
        for at, op in enumerate(self.left):
            kernel, attrs, inputs = op.kernel, op.attrs, op.inputs
            values: Any = [live[tensor] for tensor in inputs]
            function = bare.get(kernel)
            if function is None:
                if kernel in unseen:
                    return Next.TRIAL, at
                function = kernel
            elif type(attrs) is Straight:
                attrs = None
            else:
                args, kwargs = attrs["template"]
                if kwargs or not _AS_IT_IS.issuperset(map(type, args)):
                    function = kernel
                else:
                    attrs, values = None, [values[arg.index] if type(arg) is Slot else arg for arg in args]
            if stop:
                raise Stopped
            if self._arrays and attrs is None:
                for value in values:
                    frozen(value)
            self.current, measuring = op, op in measured
            try:
                if measuring:
                    result = _measure(kernel, function, values, attrs)
                else:
                    result = function(*values, **attrs) if attrs else function(*values)  # type: ignore[misc]
            except (Stopped, KeyboardInterrupt):
                raise
            except BaseException as error:
                raise node_error(op, error) from error
            if type(result) is np.ndarray:
                self._arrays = True
                if attrs is None:
                    result = own(result)
            outputs = op.outputs
            if len(outputs) != 1:
                self._spread(op, result)
            elif outputs[0] in last:
                live[outputs[0]] = result
            for tensor in inputs:
                if last[tensor] is op:
                    live.pop(tensor, None)
            if measuring:  # what is left may take as long, a node, as what was called
                left = len(self.left) - at - 1
                if worth_sharing_once((perf_counter() - began) / (at + 1) * left, left):
                    return Next.PLAN, at + 1
        return Next.NOTHING, len(self.left)

    def _spread(self, op: Operation, result: Any) -> None:
        made: dict[Tensor, Any] = {}
        try:
            spread(made, op.outputs, result)
        except ValueError as error:
            raise node_error(op, error) from error
        self._arrays, last = True, self._listing.last
        self.live.update({tensor: value for tensor, value in made.items() if tensor in last})

    # In other processes

    def trial(self, most: int) -> Part:
        """The first calls of unseen functions, some of each, which can run beside each other now.

        What alone takes a first call's value goes on with it, so that the value, which may be large, stays where it is
        made. Then these functions are no longer unseen.
        """
        window = self.left[:_AHEAD]
        takers: dict[Tensor, dict[Operation, None]] = {}
        for op in window:
            for tensor in op.inputs:
                takers.setdefault(tensor, {})[op] = None
        tried: Counter = Counter()
        nodes: list[Operation] = []
        elements: list[Tensor | Operation] = []
        for op in window:
            waits = op is not window[0] and op.control_inputs
            if op.kernel in self._unseen and tried[op.kernel] < most and not waits and self._are_live(op.inputs):
                tried[op.kernel] += 1
                chain = self._chain(op, takers)
                nodes += chain
                elements += chain[-1].outputs or (chain[-1],)
        for kernel in tried:
            if kernel.bare:
                self._bare[kernel] = kernel.function
        self._unseen -= tried.keys()
        fed = {t: self.live[t] for op in nodes for t in op.inputs if t in self.live}
        return Part(elements, fed, set(window[0].control_inputs), set(nodes))

    def _are_live(self, tensors: Sequence[Tensor]) -> bool:
        return all([tensor in self.live for tensor in tensors])

    def _chain(self, op: Operation, takers: Mapping[Tensor, Mapping[Operation, None]]) -> list[Operation]:
        """A first call, and the nodes that follow it: each takes the one before it, alone, and nothing that is late."""
        chain, functions = [op], {op.kernel}
        while len(chain[-1].outputs) == 1:
            made = chain[-1].outputs[0]
            following = list(takers.get(made, ()))
            if len(following) != 1 or self._listing.last[made] is not following[0]:
                break
            (then,) = following
            others = [tensor for tensor in then.inputs if tensor is not made]
            if then.kernel in functions or then.control_inputs or not self._are_live(others):
                break
            chain.append(then)
            functions.add(then.kernel)
        return chain

    @property
    def is_heavy(self) -> bool:
        """Whether what is left is worth a plan, as far as its functions were seen."""
        return _are_heavy(Counter(map(_kernel, self.left)))

    def rest(self) -> Part:
        """All that is left."""
        self.heavy, left, last = True, set(self.left), self._listing.last
        done = set(self._listing.nodes) - left
        elements = [e for e in self._listing.elements if e not in (self.live if isinstance(e, Tensor) else done)]
        fed = {t: value for t, value in self.live.items() if t.op.kind is not Kind.CONSTANT}
        self.live = {t: value for t, value in self.live.items() if t in last and last[t] is None}
        return Part(elements, fed, done, left)

    def take(self, part: Part, values: Sequence[Any]) -> None:
        """A part was run: take its values in."""
        self.live.update(zip(part.elements, values, strict=True))  # type: ignore[arg-type]
        self.left = [op for op in self.left if op not in part.nodes]
        self._arrays = True

    def values(self) -> list:
        """The values of the elements, None for operations: once nothing is left."""
        return [self.live[e] if isinstance(e, Tensor) else None for e in self._listing.elements]


def _measure(kernel: Any, function: Callable, values: Sequence[Any], attrs: Any) -> Any:
    """Call a node, and put what it takes into the history."""
    start = perf_counter()
    result = function(*values, **attrs) if attrs else function(*values)
    seconds = perf_counter() - start
    COSTS.learn(kernel, sum([size_of(value) for value in values]), seconds, size_of(result))
    return result


def _unseen(kernels: Iterable[Any]) -> set[UserFunction]:
    """The users' functions among some kernels of which nothing is known."""
    return {k for k in kernels if isinstance(k, UserFunction) and COSTS.find(k, 0) is None}


def _is_plain(op: Operation) -> bool:
    traits = op.traits
    if traits.isolated or traits.timeout is not None or traits.resources or traits.labels or traits.here:
        return False
    if op.kind is Kind.PURE and traits.user:  # equal calls are made once: a plan sees which are equal
        return False
    return op.kind in _PLAIN and not op.device


def _are_heavy(counts: Mapping[Any, int]) -> bool:
    """Whether so many calls of each function are worth a plan, as far as they have been seen."""
    total = 0.0
    for kernel, count in counts.items():
        record = COSTS.find(kernel, 0) if kernel is not None else None
        total += count * record.seconds if record is not None else 0.0
    return worth_sharing_once(total, sum(counts.values()))
