"""ColdRun: the first runs of a large graph of plain nodes, which are called one after another without a plan.

A plan costs some 12 us for each node, which pays over many runs; a graph that is run once can do without. This module
knows neither Ray nor sessions: parts that need another process are run by the engine, which hands back the values.

piece     nodes called one after another between two looks at their pace: a chunk of the call list, or part of one
swift     a fast way to call a piece while all values are scalars, which are never dropped. Afterwards, values are
          dropped after their last use, and user functions get copies of values that others read too
unseen    functions that were never called. They may block or crash a process, so a worker makes their first calls
heavy     describes remaining work that is worth several processes; it is planned, with the existing values as feeds

Invariant: every value that a remaining node reads, or that is fetched, is kept once it exists.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import length_hint
from time import monotonic, perf_counter
from typing import Any, NamedTuple

import numpy as np

from weftwork.actors.programs.failed_call import FailedCall
from weftwork.actors.programs.float_errors import quiet, reported, turn
from weftwork.actors.programs.program import Stopped, is_from_outside, spread
from weftwork.actors.programs.sizes import size_of
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.python.lending import last_taken, lent
from weftwork.graph.python.ownership import ATOMS, own
from weftwork.graph.statistics import CALLED
from weftwork.scheduler.core.first_calls import FirstCalls
from weftwork.scheduler.core.pace import Pace, Width
from weftwork.scheduler.plan.call_list import ABSENT, TURN, CallList, are_heavy, known_seconds, unseen, with_turns
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.policy import CHUNK, FIRST_CALLS_AMONG, LOOK_AT_PACE, SHARING_A_NODE
from weftwork.scheduler.run.failures import node_error
from weftwork.scheduler.run.telling import Node

_SCALARS = frozenset([int, float, complex, bool, type(None), np.bool_, *np.sctypeDict.values()])
_SCALARS -= {np.void, np.object_, np.str_, np.bytes_}
"""Types of small, immutable values."""
_BETWEEN_LOOKS = 16
"""Most calls between two looks at the clock."""


class Next(enum.Enum):
    """The next step of a cold run."""

    NOTHING = "all nodes were called"
    TRIAL = "a worker tries functions that were never seen"
    PLAN = "what is left is planned"


class Part(NamedTuple):
    """Part of a run that the engine runs for it.

    elements: what the part fetches.   fed: values that exist already.   ran: operations that need not run again.
    """

    elements: list[Tensor | Operation]
    fed: dict[Tensor, Any]
    ran: set[Operation]
    nodes: set[Operation]


class Stretch:
    """Nodes that were called one after another, with the start and the duration of that.

    pieces: the nodes.   watched: someone wants the seconds of each node, which are then in `nodes`.
    """

    def __init__(self, start: float, watched: bool):
        self.start, self.watched = start, watched
        self.seconds = 0.0
        self.pieces: list[list[Operation]] = []
        self.nodes: list[Node] = []
        self.called: list[Operation] = []
        """After an error: the nodes called, of which the last one failed."""


class ColdRun:
    """The progress and the values of one cold run."""

    def __init__(self, call_list: CallList, feeds: Mapping[Tensor, Any], are_up: Callable[[], bool], watched: bool):
        """are_up: whether the local workers have started.   watched: someone wants the seconds of each node."""
        self._are_up = are_up
        self.called, self.seconds = 0, 0.0
        """The number of nodes called in this process, and their seconds."""
        self.scalars = _SCALARS.issuperset(map(type, feeds.values()))
        """True while all values are scalars."""
        self.heavy = False
        """True once part of the run was planned."""
        self.inner: Any = None
        """The inner run that executes the current part."""
        self.since = monotonic()
        self.stretch = Stretch(0.0, watched)
        """The nodes called since the run last continued."""
        self._call_list = call_list
        self._values = call_list.values(feeds)
        self._own = bytearray(len(self._values))
        """By tensor number, 1 for an object that a user function made here: nobody else holds it or a view of it."""
        self._at = 0
        """The number of nodes at the front of the call list that are done."""
        self._ahead: set[Operation] = set()
        """Further nodes that are done."""
        self._width = Width(call_list.ops, self._ahead, call_list.counts)
        self._first_calls = FirstCalls(unseen(call_list.functions) - call_list.bound)
        self._unlooked = 1
        """Calls before the next look at the clock. There are few at first, because costs are unknown."""
        self._calls: list[tuple] = []
        """The calls of the current swift piece, as a copy."""
        self._calling: tuple[list, Iterator] = ([], iter(()))
        """The nodes being called one after another, and the iterator over those not yet begun."""

    def learn(self) -> None:
        """Learn what its calls have cost."""
        self._first_calls.learn()

    # In the caller

    @property
    def functions(self) -> list:
        """The user functions that it calls."""
        return self._call_list.functions

    @property
    def current(self) -> Any:
        """The node being called."""
        rows, rest = self._calling
        begun = len(rows) - length_hint(rest)
        return rows[begun - 1] if begun else None

    @property
    def begun(self) -> list[Operation]:
        """The nodes called since the run last continued, and the one being called."""
        rows, rest = self._calling
        before = [op for piece in self.stretch.pieces[:-1] for op in piece]
        return before + [op for op in rows[: len(rows) - length_hint(rest)] if op is not None]

    @property
    def told(self) -> Sequence[Operation]:
        """The nodes of the stretch of which events tell."""
        pieces, call_list = self.stretch.pieces, self._call_list
        every = sum(map(len, pieces)) == len(call_list.ops)
        return call_list.told if every else call_list.told_among(pieces)

    def go_on(self, stop: list) -> Next:
        """Call nodes until another step is needed. Raises the error of a failed node, or Stopped."""
        start = perf_counter()
        self.stretch = stretch = Stretch(start, self.stretch.watched)
        try:
            with reported() if self._call_list.only_users else quiet():
                return self._call(stop)
        except BaseException:
            stretch.called = [op for op in self.begun if op.kind in CALLED]
            raise
        finally:
            stretch.seconds = perf_counter() - start
            self.seconds += stretch.seconds
            self._calling = [], iter(())
            self._first_calls.end()

    def _call(self, stop: list) -> Next:
        ops = self._call_list.ops
        pace = Pace(self._at, len(ops), self._are_up())
        while (at := self._at) < len(ops):
            end = self._end_of_piece(at)
            if end == at:
                return Next.TRIAL
            if pace.is_suspect:
                end = at + 1
            rows = [op for op in ops[at:end] if op not in self._ahead] if self._ahead else ops[at:end]
            self.stretch.pieces.append(rows)
            steps, begun, due = rows, 0, perf_counter() + LOOK_AT_PACE
            try:
                if self.scalars and len(rows) > 1 and not self.stretch.watched:
                    self._calls = self._call_list.calls_of(rows)
                    if self._call_list.mixed:
                        steps, self._calls = with_turns(rows, self._calls)
                    calls = iter(self._calls)
                    self._calling = steps, calls
                    if not stop:
                        self._call_swiftly(calls, due)
                    if stop:
                        raise Stopped
                    begun = len(steps) - length_hint(calls)
                rest = iter(steps[begun:])
                self._calling = steps, rest
                for op in rest if not begun or perf_counter() < due else ():
                    if stop:
                        raise Stopped
                    if op is not None:
                        self._step(op)
                    if perf_counter() > due:
                        break
            except BaseException as error:
                if is_from_outside(error):
                    raise
                if stop:  # the node being called is no longer known
                    raise Stopped from error
                op = self.current
                call = FailedCall(op.kernel, op.attrs, self._taken(op, error), op.defined_at, op.traits.user)
                raise node_error(op, error, call=call) from error
            if left := [op for op in rest if op is not None]:
                end = ops.index(left[0], at, end)
                del rows[len(rows) - len(left) :]
                if self._call_list.mixed:
                    turn(False)  # as before a piece
            self.called += len(rows)
            if self._ahead:
                self._ahead.difference_update(ops[at:end])
            self._at = end
            if rows and rows[0] in self._call_list.first and pace.leave_out(end):
                continue
            if pace.is_heavy(end) and self._width.is_enough(end, pace.seconds):
                return Next.PLAN
        return Next.NOTHING

    def _taken(self, op: Operation, error: BaseException) -> list | None:
        """The inputs of a node that raised an error; those it was the last to read exist only in its call."""
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code is not ColdRun._step.__code__:
            trace = trace.tb_next
        names: Mapping = {} if trace is None else trace.tb_frame.f_locals
        given = dict(zip(names.get("places", ()), names.get("given", ()), strict=False))
        values = [self._values[tensor.number] for tensor in op.inputs]
        values = [given.get(t.number, v) if v is ABSENT else v for t, v in zip(op.inputs, values, strict=True)]
        return None if any([value is ABSENT for value in values]) else values

    def stop(self) -> None:
        """Make the run stop by emptying its list of calls, which is cheaper than checking `stop` before each call."""
        self._calls.clear()

    def _end_of_piece(self, at: int) -> int:
        """The end of the next piece; `at` itself if an unseen function comes first.

        A piece is a chunk or part of one; a measured node is a piece of its own.
        """
        ops, call_list = self._call_list.ops, self._call_list
        end = min((at // CHUNK + 1) * CHUNK, len(ops))
        unseen = self._first_calls.unseen
        if unseen and ops[at].kernel in unseen:
            self._first_calls.look_at(ops[at], [self._values[tensor.number] for tensor in ops[at].inputs])
        if unseen:
            end = next((k for k in range(at, end) if ops[k].kernel in unseen), end)
        return min(end, max(call_list.next_measured(at), at + 1))

    def _call_swiftly(self, calls: Iterator[tuple], due: float) -> None:
        """Make calls while they return scalars, at 0.1 us each, until the run is stopped, or until `due`."""
        now = perf_counter()
        while now < due and length_hint(calls):
            before, count = now, self._unlooked
            if not self._call_some(islice(calls, count)):
                return
            now = perf_counter()
            if now - before < count * SHARING_A_NODE:
                self._unlooked = min(2 * count, _BETWEEN_LOOKS)
            else:  # long calls are timed one by one
                self._unlooked = 1
                if count == 1:
                    self._first_calls.took(self.current, now - before)

    def _call_some(self, calls: Iterator[tuple]) -> bool:
        """Make some calls. False once a value is no scalar."""
        values = self._values
        usual: type = int
        for call in calls:
            count = len(call)
            if count == 3:
                number, function, a = call
                result = function(values[a])
            elif count == 4:
                number, function, a, b = call
                result = function(values[a], values[b])
            elif count == 5:
                number, function, a, b, c = call
                result = function(values[a], values[b], values[c])
            elif count == 6:
                number, function, a, b, c, d = call
                result = function(values[a], values[b], values[c], values[d])
            elif count == 1:
                self._step(call[0])
                if not self.scalars:
                    return False
                continue
            else:
                number, function, *places = call
                if number is TURN:
                    function()
                    continue
                result = function(*[values[a] for a in places])
            if type(result) is not usual:
                usual = type(result)
                if usual in _SCALARS:
                    values[number] = result
                    continue
                op = self.current
                if op.traits.user and type(result) not in ATOMS:
                    result = own([result])
                self._keep(op, result)
                return False
            values[number] = result
        return True

    def _step(self, op: Operation) -> None:
        """Call any node."""
        values, call = self._values, self._call_list.calls[op.index]
        function: Any = op.kernel
        kernel, attrs = function, {}
        if op.kind not in CALLED:
            self.called -= 1
            if op.kind is Kind.CONSTANT:
                self._keep(op, op.attrs["value"])
            return
        if len(call) > 1:
            _, function, *places = call
        else:
            attrs, places = op.attrs, [tensor.number for tensor in op.inputs]
        if self._call_list.mixed:
            turn(op.traits.user)
        shared = op.traits.user and not self.scalars
        given = self._given(op, places) if shared else [values[place] for place in places]
        if self.stretch.watched or op in self._call_list.measured:
            start = perf_counter()
            result = function(*given, **attrs)
            seconds, taken, made = perf_counter() - start, sum([size_of(value) for value in given]), size_of(result)
            if op in self._call_list.measured:
                COSTS.learn(kernel, taken, seconds, made)
            if self.stretch.watched:
                self.stretch.nodes.append(Node(op, start, seconds, taken, made))
        else:
            result = self._first_calls.call(op, self._width.is_open, function, given, attrs)
        if len(call) > 1 and op.traits.user and type(result) not in ATOMS:
            del given
            result = own([result])  # here, because it counts references
            self._own[call[0]] = type(result) is not np.ndarray
        self._keep(op, result)

    def _given(self, op: Operation, places: Sequence[int]) -> list:
        """The arguments of a user function. It owns a value that it is the last to read and no one else holds."""
        values, last, index = self._values, self._call_list.last, op.index
        reads = op.kernel.reads  # type: ignore[union-attr]
        if len(places) > 1 and len({*places}) < len(places):
            once = list(dict.fromkeys(places))
            found = dict(zip(once, self._given(op, once), strict=True))
            return [found[place] for place in places]
        given = []
        for place in places:
            value = values[place]
            if place >= 0 and last[place] == index:
                values[place] = ABSENT
                whole = type(value) in ATOMS or (self._own[place] and reads is not None)
                given.append(value if whole else last_taken(value, reads))
            else:
                given.append(value if type(value) in ATOMS else lent(value, reads))
        return given

    def _keep(self, op: Operation, result: Any) -> None:
        """Store the outputs of a node, and drop the inputs that it read last."""
        values, last, outputs = self._values, self._call_list.last, op.outputs
        if self.scalars and type(result) not in _SCALARS:
            self.scalars = False
        if len(outputs) == 1:
            number = outputs[0].number
            if last[number] >= 0:
                values[number] = result
        else:
            made: dict[Tensor, Any] = {}
            spread(made, outputs, result)
            for tensor, value in made.items():
                if last[tensor.number] >= 0:
                    values[tensor.number] = value
        for tensor in op.inputs:
            if last[tensor.number] == op.index:
                values[tensor.number] = ABSENT

    # In other processes

    def trial(self, slots: int) -> Part:
        """A few first calls of each unseen function that can run now; `slots` calls of a function with few calls.

        They run concurrently. If a single node reads a first call's value, it follows in the same part, so a large
        value stays where it is made. Afterwards these functions are no longer unseen.
        """
        window = [op for op in self._call_list.ops[self._at : self._at + FIRST_CALLS_AMONG] if op not in self._ahead]
        for op in window:
            if op.kind is Kind.CONSTANT:
                self._keep(op, op.attrs["value"])
        chains = self._first_calls.trial(window, self._call_list, self._is_there, slots)
        nodes = [op for chain in chains for op in chain]
        elements = [element for chain in chains for element in chain[-1].outputs or (chain[-1],)]
        return Part(elements, self._feeds_of(nodes), set(window[0].controls), set(nodes))

    def _is_there(self, tensor: Tensor) -> bool:
        return self._values[tensor.number] is not ABSENT

    def _feeds_of(self, nodes: Iterable[Operation]) -> dict[Tensor, Any]:
        """The existing values that some nodes read."""
        return {t: self._values[t.number] for op in nodes for t in op.inputs if self._is_there(t)}

    @property
    def is_heavy(self) -> bool:
        """Whether the run is worth a plan, by the costs known so far."""
        counts = self._call_list.counts
        if not are_heavy(counts, self._are_up()):
            return False
        return self._width.is_enough(self._at, known_seconds(counts) / sum(counts.values()))

    def rest(self) -> Part:
        """All remaining nodes."""
        self._first_calls.learn(rest=True)
        ops, wanted, values = self._call_list.ops, self._call_list.elements, self._values
        left = set(ops[self._at :]) - self._ahead
        fed = {t: value for t, value in self._feeds_of(left).items() if t.op.kind is not Kind.CONSTANT}
        self._values = [ABSENT] * len(values)
        for element in wanted:
            if isinstance(element, Tensor):
                self._values[element.number] = values[element.number]
        elements = [e for e in wanted if (not self._is_there(e) if isinstance(e, Tensor) else e in left)]
        self._at, self.heavy = len(ops), True
        return Part(elements, fed, set(ops) - left, left)

    def take(self, part: Part, values: Sequence[Any]) -> None:
        """Store the values of a part that was run."""
        for element, value in zip(part.elements, values, strict=True):
            if isinstance(element, Tensor):
                self._values[element.number] = value
        self._ahead |= part.nodes
        self.scalars = self.scalars and _SCALARS.issuperset(map(type, values))

    def values(self) -> list:
        """The values of the fetched elements, None for operations; once no node is left."""
        return [self._values[e.number] if isinstance(e, Tensor) else None for e in self._call_list.elements]
