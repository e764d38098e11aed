"""Dataflow: a run as pure dataflow, in which what a graph says about variables, control inputs and feeds is resolved.

value     a number; each feed, constant, variable version, place in a random stream and node output has one
source    a value that no node makes: it is there when the run starts
node      an operation that runs, in a topological order that also fixes the order of variable accesses
version   a variable's value at one point of that order: the one of before the run, or the output of a write

Invariant (static single assignment): every value is made once, and a node reads only values made before it. A write is
a pure function of the old version and its inputs, so a run that fails has changed nothing: the session publishes the
last versions at the end. `lowering` makes one of a graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.seeded import Seeded
from weftwork.graph.user_function import UserFunction

USERS, LIBRARY, ONE = 1, 2, 4
"""Who takes a value (`Dataflow.takers`)."""
_OF_USERS = frozenset({UserFunction, Seeded})


class Dataflow:
    """The pure dataflow of one kind of run, which fetches with which feeds; a new one is empty.

    ops, inputs, outputs: of each node, its operation, the values it reads, the values it makes.
    kernels, attrs: what it calls.   after: nodes that must be done before it, for their effects.
    producer: of each value, the node that makes it, or -1.
    feeds, constants, pinned, newest, draws: the sources. `pinned` are variables as they were when the run began,
    `newest` as they are when the run's writes begin, `draws` places in random streams.
    needs: what nodes ask for beyond a process, once it is settled.   queued: some nodes use queues.
    waiting: the branches and loops in which queues are used, or limits.
    writes: the value that each written variable ends with.   fetched: the value of each fetch, or None.
    """

    def __init__(self):
        self.ops: list[Operation] = []
        self.inputs: list[tuple[int, ...]] = []
        self.outputs: list[tuple[int, ...]] = []
        self.kernels: list[Any] = []
        self.attrs: list[Any] = []
        self.after: dict[int, tuple[int, ...]] = {}
        self.producer: list[int] = []
        self.feeds: dict[Tensor, int] = {}
        self.constants: dict[int, Any] = {}
        self.pinned: dict[str, int] = {}
        self.newest: dict[str, int] = {}
        self.required: set[str] = set()
        self.draws: dict[int, Operation] = {}
        self.writes: dict[str, int] = {}
        self.fetched: list[int | None] = []
        self.variables: dict[str, Operation] = {}
        self.needs: dict[int, Any] = {}
        self.queued = False
        self.waiting: set[int] = set()
        self.controls: list[int] = []
        """The nodes that are branches or loops."""
        self.key: str | None = None
        """The name under which other processes keep its rows, once they do."""
        self.functions: tuple = ()
        """The users' functions that its nodes call, those of branches and loops too."""
        self.here: frozenset[int] = frozenset()
        """The nodes that must run in the caller."""
        self.awaited: frozenset[int] = frozenset()
        """The nodes whose calls wait in the caller, without a lane."""
        self.state: tuple = ()
        """The versions of what its functions refer to, when it last left the caller."""
        self.beside = False
        """It runs beside other runs, which have the caller: local workers are the place for what it calls."""
        self.extra: dict[int, Tensor] = {}
        """Of values that are no tensor's, versions that a branch or a loop makes: the variable's reference."""
        self._takers: bytearray | None = None
        self._has_users = False

    def tensor(self, value: int) -> Tensor:
        """The tensor that a node's output stands for."""
        node = self.producer[value]
        at = self.outputs[node].index(value)
        outputs = self.ops[node].outputs
        return outputs[at] if at < len(outputs) else self.extra[value]

    def is_here(self, node: int) -> bool:
        """True for a node that must run in the caller."""
        return node in self.here or self.ops[node].traits.here

    def uses(self) -> list[int]:
        """How many times each value is taken: by nodes, as fetches, as what a variable ends with."""
        uses = [0] * len(self.producer)
        for inputs in [*self.inputs, [v for v in (*self.fetched, *self.writes.values()) if v is not None]]:
            for value in inputs:
                uses[value] += 1
        return uses

    def takers(self) -> bytearray:
        """Who takes each value: USERS' functions, the LIBRARY or whoever else, no more than ONE of them. Kept."""
        if self._takers is None:
            takers = self._takers = bytearray(len(self.producer))
            self._has_users = not _OF_USERS.isdisjoint(map(type, self.kernels))
            for kernel, inputs in zip(self.kernels, self.inputs, strict=True):
                who = USERS if type(kernel) is UserFunction else LIBRARY
                for value in inputs:
                    takers[value] |= who
            for value in [v for v in (*self.fetched, *self.writes.values()) if v is not None]:
                takers[value] |= LIBRARY
            for value, uses in enumerate(self.uses()):
                if uses == 1:
                    takers[value] |= ONE
        return self._takers

    def has_users(self) -> bool:
        """True when a user's function is among its kernels. Kept."""
        self.takers()
        return self._has_users

    def new_value(self, producer: int = -1) -> int:
        """The number of a further value."""
        self.producer.append(producer)
        return len(self.producer) - 1

    def close(self, outputs: Sequence[int]) -> None:
        """Make it a pure function of its sources, which are given when it runs: `outputs` are all that it gives."""
        self.feeds, self.pinned, self.newest, self.draws, self.writes = {}, {}, {}, {}, {}
        self.fetched = list(outputs)
        self._takers = None

    def part(self, nodes: Sequence[int]) -> tuple[Dataflow, dict[int, int]]:
        """Some of its nodes as a dataflow of their own, whose sources are given; and each value's number in that.

        nodes: in their order. What they take from outside are its sources, all that they make is what it gives.
        """
        part = Dataflow()
        number: dict[int, int] = {}
        position = {node: at for at, node in enumerate(nodes)}
        for node in nodes:
            for value in self.inputs[node]:
                if value not in number:
                    number[value] = part.new_value()
                    if value in self.constants:
                        part.constants[number[value]] = self.constants[value]
            for value in self.outputs[node]:
                number[value] = part.new_value(position[node])
                if value in self.extra:
                    part.extra[number[value]] = self.extra[value]
            part.ops.append(self.ops[node])
            part.kernels.append(self.kernels[node])
            part.attrs.append(self.attrs[node])
            part.inputs.append(tuple([number[value] for value in self.inputs[node]]))
            part.outputs.append(tuple([number[value] for value in self.outputs[node]]))
            before = tuple([position[other] for other in self.after.get(node, ()) if other in position])
            if before:
                part.after[position[node]] = before
            if node in self.awaited:
                part.awaited |= {position[node]}
            if node in self.needs:
                part.needs[position[node]] = self.needs[node]
        part.controls = [position[node] for node in self.controls if node in position]
        part.close([number[value] for node in nodes for value in self.outputs[node]])
        return part, number

    def check(self) -> None:
        """Assert the invariant above: tests call it."""
        made = {v for v, node in enumerate(self.producer) if node < 0}
        for node, (inputs, outputs) in enumerate(zip(self.inputs, self.outputs, strict=True)):
            assert all(v in made for v in inputs), f"node {node} reads a value that is not there yet"
            assert not made & set(outputs), f"node {node} makes a value again"
            assert all(other < node for other in self.after.get(node, ()))
            made.update(outputs)
        assert all(v in made for v in [*self.writes.values(), *[v for v in self.fetched if v is not None]])
