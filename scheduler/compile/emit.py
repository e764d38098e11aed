"""Emit: write the program of a segment.

slot     a cell of the program's environment; it is reused once its value is no longer read
direct   a call of a user's function without its wrapper. What the wrapper would check each time is settled here, once
lent     an argument of a user's function that others see too, so the function gets a copy. The last of several users'
         functions gets a value made in this program as it is, if nobody else takes it
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from weftwork.actors.programs.bodies import Control
from weftwork.actors.programs.carried import Carried
from weftwork.actors.programs.exchange import begin, expect, newest, receive, send, signal
from weftwork.actors.programs.float_errors import hush, set_state, states
from weftwork.actors.programs.program import Program, Step
from weftwork.graph.nest import Slot
from weftwork.graph.operation import Kind
from weftwork.graph.python.captured_kinds import SURROUNDINGS
from weftwork.graph.python.lending import Lent
from weftwork.graph.python.ownership import is_atom, own, own_each, own_leaving, own_made
from weftwork.graph.python.seeded import Seeded
from weftwork.graph.user_function import UserFunction
from weftwork.scheduler.compile.dataflow import LIBRARY, ONE, USERS, Dataflow
from weftwork.scheduler.compile.effects import functions_of

_OTHERS = frozenset([Kind.CONTROL, Kind.QUEUE])
"""Kinds of nodes whose outputs may also be held by others."""
_SMALL = 64 * 1024
"""Values up to this size in bytes need not be freed early."""
_DENSE = 4
"""A segment with at least one in `_DENSE` of the dataflow's values uses lists; a smaller one uses dicts."""


def write_program(
    flow: Dataflow,
    nodes: Sequence[int],
    inputs: tuple[int, ...],
    outputs: tuple[int, ...],
    sizes: Sequence[float],
    inner: bool = False,
    crossings: Crossings | None = None,
    leaving: bool = False,
) -> tuple[Program, list[int]]:
    """Write the program of some nodes. Returns it, and the node of each step (-1 for steps that belong to none).

    sizes: bytes of each value. Large values are freed at once, not when their slot is reused.
    inner: whether it is part of another program, which is quiet.
    crossings: for one of several concurrent programs, the values that these exchange.
    leaving: whether all outputs are pickled once it has ended.
    """
    if crossings is None:
        return _Writer(flow, nodes, inputs, outputs, sizes, inner, leaving).program()
    return _SlotWriter(flow, nodes, inputs, outputs, sizes, crossings).program()


@dataclass
class Crossings:
    """The values and signals that cross between a slot's program and those of other slots, by number.

    exchange: the input that is the exchange itself.   sent: for each value, the slots that it goes to.
    newest: the values that are newest versions of variables.
    signals: for a node, the number and the slots to signal when it is done.   expected: for a node, the signals that it
    waits for.
    detached: the nodes that it only starts; their values arrive like those of other slots.
    """

    slot: int
    exchange: int
    sent: dict[int, tuple[int, ...]] = field(default_factory=dict)
    newest: frozenset[int] = frozenset()
    signals: dict[int, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    expected: dict[int, list[int]] = field(default_factory=dict)
    detached: frozenset[int] = frozenset()


def is_users(kernel: Any) -> bool:
    """Whether a kernel is a user's function."""
    return isinstance(kernel, (UserFunction, Seeded))


def users_function(kernel: Any) -> UserFunction:
    """The user's function of a kernel for which `is_users` is true."""
    return kernel.kernel if isinstance(kernel, Seeded) else kernel


def carrying(kernel: Any) -> tuple:
    """A kernel with the state that its functions capture, and whether it is a user's."""
    return kernel, carried_by(functions_of([kernel])), is_users(kernel)


def carried_by(functions: Sequence[UserFunction], isolated: bool = False) -> Carried | None:
    """The state that functions capture, as it is sent along; None if there is none.   isolated: see `Carried`."""
    return Carried([function.captured for function in functions], isolated) or None


class _Sparse(dict):
    """A stand-in for a list of -1 in which few items are set."""

    def __missing__(self, number: int) -> int:
        return -1


class _Writer:
    """The state of writing one program: which value is in which slot, and until which step."""

    def __init__(
        self,
        flow: Dataflow,
        nodes: Sequence[int],
        inputs: tuple,
        outputs: tuple,
        sizes: Sequence[float],
        inner: bool = False,
        leaving: bool = False,
    ):
        self.flow, self.nodes, self.inputs, self.outputs, self.sizes = flow, nodes, inputs, outputs, sizes
        self.leaving = leaving
        values = len(flow.producer) + 1  # one more for the exchange
        dense = _DENSE * len(nodes) > values
        self.slot: Any = [-1] * values if dense else _Sparse()
        """The slot of each value, or -1."""
        self.last: Any = [-1] * values if dense else _Sparse()
        """The last step that reads each value, or -1."""
        for slot, value in enumerate(inputs):
            self.slot[value] = slot
        self.size = len(inputs)
        self.free: list[int] = []
        self.constants: dict[int, Any] = {}
        self.steps: list[Step] = []
        self.owners: list[int] = []
        self.takers = flow.takers()
        self.made: set[int] = set()
        """Values made by the program's nodes."""
        self.direct: dict[int, tuple[tuple, dict]] = {}
        self.stop: int | None = None
        self.has_users = flow.has_users()
        """Whether the dataflow has users' functions, inside or outside this program."""
        kinds: set[bool] = set()
        if self.has_users:
            kinds = {is_users(flow.kernels[node]) for node in nodes if flow.kernels[node] is not None}
        self.only_users = kinds == {True} and not inner
        self.turns = True in kinds and not self.only_users
        """Whether NumPy's errors are turned on before users' functions and off after them."""
        self.loud, self.resets = False, False
        self.states: tuple[int, int, int] | None = None
        """The slots of NumPy's loud and quiet states, and of a result that nobody reads."""

    def program(self) -> tuple[Program, list[int]]:
        """Write all steps."""
        self._look_ahead()
        for at, node in enumerate(self.nodes):
            self._visit(at, node)
        if self.loud:
            self._turn()
        inputs = tuple([self.slot[v] for v in self.inputs])
        outputs = tuple([self._slot_of(v) for v in self.outputs])
        constants = tuple(self.constants.items())
        program = Program(inputs, outputs, self.steps, self.size, constants, self.stop, loud=self.only_users)
        return program, self.owners

    def _look_ahead(self) -> None:
        flow, last = self.flow, self.last
        kernels, inputs = flow.kernels, flow.inputs
        for at, node in enumerate(self.nodes):
            for value in inputs[node]:
                last[value] = at
            kernel = kernels[node]
            if type(kernel) is UserFunction:
                call = kernel.direct(flow.attrs[node]["template"])
                if call is not None:
                    self.direct[node] = call
            self.made.update(flow.outputs[node])
        for value in self.outputs:
            last[value] = len(self.nodes)

    def _visit(self, at: int, node: int) -> None:
        if self.flow.kernels[node] is not None:
            self._step(at, node)

    def _step(self, at: int, node: int) -> None:
        flow, slot = self.flow, self.slot
        values = flow.inputs[node]
        kernel: Any = flow.kernels[node]
        attrs, settle, lent = flow.attrs[node], None, None
        if self.turns:
            if is_users(kernel) is not self.loud:
                self._turn()
            self.resets = self.resets or (self.loud and SURROUNDINGS in users_function(kernel).captured.writes)
        reads = tuple([slot[value] for value in values])
        if -1 in reads:
            reads = tuple([self._slot_of(value) for value in values])
        if isinstance(kernel, Control):
            if self.stop is None:
                self.stop = self._new_slot()
            reads = (self.stop, *reads)
        call = self.direct.get(node)
        if not self.has_users:
            pass
        elif call is not None:
            args, attrs = call
            lent = self._lent(at, kernel, [values[arg.index] if type(arg) is Slot else -1 for arg in args])
            kernel = kernel.function  # type: ignore[attr-defined]
            reads = tuple([reads[arg.index] if type(arg) is Slot else self._constant(arg) for arg in args])
            settle = own_leaving if self.leaving and at + 1 == len(self.nodes) else own
        elif is_users(kernel):  # the wrapper settles its result itself
            lent = self._lent(at, users_function(kernel), values)
        elif any([self.takers[value] & USERS for value in flow.outputs[node]]):
            settle = own_made if len(flow.outputs[node]) == 1 else own_each
        dead = self._released(at, values)
        writes = self._written(node, dead)
        made = writes[0] if len(writes) == 1 else tuple(writes)
        self.steps.append(Step(kernel, attrs, reads, made, tuple(dead), settle, lent))  # type: ignore[arg-type]
        self.owners.append(node)

    def _turn(self) -> None:
        """Turn NumPy's errors on for a user's function, or off again."""
        self.loud = not self.loud
        if self.states is None:
            self.states = (self._new_slot(), self._new_slot(), self._new_slot())
            self._own_step(states, {}, (), self.states[:2])
        loud, quiet, unused = self.states
        if not self.loud and self.resets:  # settings made by the function last
            self._own_step(hush, {}, (), ())
            self.states, self.resets = None, False
        else:
            self._own_step(set_state, {}, (loud if self.loud else quiet,), unused)

    def _new_slot(self) -> int:
        self.size += 1
        return self.size - 1

    def _free_slot(self) -> int:
        return self.free.pop() if self.free else self._new_slot()

    def _slot_of(self, value: int) -> int:
        slot = self.slot[value]
        if slot < 0:  # first use of a constant
            slot = self.slot[value] = self._constant(self.flow.constants[value])
        return slot

    def _constant(self, value: Any) -> int:
        slot = self._new_slot()
        self.constants[slot] = value
        return slot

    def _lent(self, at: int, kernel: Any, values: Sequence[int]) -> Lent | None:
        """Which arguments of a user's function are lent. -1 stands for a value that others may hold."""
        shared, alone = [], []
        for position, value in enumerate(values):
            if value < 0:
                continue
            takers = self.takers[value]
            node = self.flow.producer[value]
            if node < 0:
                if value not in self.flow.constants or not is_atom(self.flow.constants[value]):
                    shared.append(position)
            elif takers & ONE and self.flow.ops[node].kind not in _OTHERS:
                if value not in self.made or kernel.reads is None:
                    alone.append(position)
            elif takers & LIBRARY or value not in self.made or self.last[value] != at or self._is_given(value):
                shared.append(position)
            elif kernel.reads is None:  # earlier takers may have a frame that shares its data with this one
                alone.append(position)
        return Lent(tuple(shared), tuple(alone), kernel.reads) if shared or alone else None

    def _is_given(self, value: int) -> bool:
        """Whether a value is sent to other programs."""
        return False

    def _own_step(self, kernel: Callable, attrs: dict, reads: tuple, writes: int | tuple, dead: tuple = ()) -> None:
        """Add a step that belongs to no node."""
        self.steps.append(Step(kernel, attrs, reads, writes, dead))
        self.owners.append(-1)

    def _released(self, at: int, values: tuple[int, ...]) -> list[int]:
        """Free the slots of values that are read for the last time. Returns those of large values."""
        dead = []
        for value in values:
            if self.last[value] == at and value not in self.flow.constants:
                self.last[value] = -1  # the node may read it twice, but the slot is freed once
                self.free.append(self.slot[value])
                if self.sizes[value] > _SMALL:
                    dead.append(self.slot[value])
        return dead

    def _written(self, node: int, dead: list[int]) -> list[int]:
        writes = []
        outputs = self.flow.outputs[node]
        for value in outputs:
            slot = self._free_slot()
            if slot in dead:
                dead.remove(slot)
            self.slot[value] = slot
            writes.append(slot)
        for value in outputs:
            if self.last[value] < 0:
                self.free.append(self.slot[value])
        return writes


class _SlotWriter(_Writer):
    """Writes the program of one slot, with steps that send and receive values between the nodes' steps."""

    def __init__(self, flow, nodes, inputs, outputs, sizes, crossings: Crossings):
        super().__init__(flow, nodes, inputs, outputs, sizes)
        self.crossings = crossings
        self.exchange = self.slot[crossings.exchange]

    def _visit(self, at: int, node: int) -> None:
        crossings = self.crossings
        for number in crossings.expected.get(node, ()):
            self._own_step(expect, {"number": number, "slot": crossings.slot}, (self.exchange,), ())
        if node in crossings.detached:
            self._begin(at, node)
            return
        super()._visit(at, node)
        for value in self.flow.outputs[node]:
            to = crossings.sent.get(value)
            if to is not None:
                self._own_step(send, {"number": value, "to": to}, (self.exchange, self.slot[value]), ())
        if node in crossings.signals:
            number, to = crossings.signals[node]
            self._own_step(signal, {"number": number, "to": to}, (self.exchange,), ())

    def _look_ahead(self) -> None:
        super()._look_ahead()
        for node in self.crossings.detached:
            self.made.difference_update(self.flow.outputs[node])

    def _begin(self, at: int, node: int) -> None:
        values = self.flow.inputs[node]
        reads = (self.exchange, *[self._slot_of(value) for value in values])
        self._own_step(begin, {"node": node}, reads, (), tuple(self._released(at, values)))

    def _is_given(self, value: int) -> bool:
        return value in self.crossings.sent

    def _slot_of(self, value: int) -> int:
        if self.slot[value] < 0 and value not in self.flow.constants:
            slot = self.slot[value] = self._free_slot()
            if value in self.crossings.newest:
                self._own_step(newest, {"number": value}, (self.exchange,), slot)
            else:
                self._own_step(receive, {"number": value, "slot": self.crossings.slot}, (self.exchange,), slot)
        return super()._slot_of(value)
