"""Dataflow: a run as a pure function. Variables, control inputs and feeds of the graph are resolved.

value     a number. Each feed, constant, variable version, random stream position and node output has one
source    a value that no node makes; it is there when the run starts
node      an operation that runs. Nodes are in a topological order that also fixes the order of variable accesses
version   a variable's value at one point of that order: from before the run, or the output of a write

Invariant (static single assignment): every value is made once, and a node reads only values made before it. A write is
a pure function of the old version and its inputs. So a run that fails has changed nothing; the session publishes the
last versions at the end. `lowering` makes dataflows from graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.python.seeded import Seeded
from weftwork.graph.user_function import UserFunction

USERS, LIBRARY, ONE = 1, 2, 4
"""Flags of `Dataflow.takers`."""
_OF_USERS = frozenset({UserFunction, Seeded})


class Dataflow:
    """The dataflow of one set of fetches and feeds. A new one is empty.

    ops, inputs, outputs: for each node, its operation, the values that it reads, the values that it makes.
    kernels, attrs: what each node calls.   after: nodes that must be done before a node, for their effects.
    producer: for each value, the node that makes it, or -1.
    feeds, constants, pinned, newest, draws: the sources. `pinned` are variables as of the beginning of the run,
    `newest` as of the beginning of its writes, `draws` are positions in random streams.
    needs: what nodes need beyond a process, once that is settled.   queued: whether any node uses a queue.
    waiting: the branches and loops that contain queue nodes, or nodes with limits.
    writes: the final value of each written variable.   fetched: the value of each fetch, or None.
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
        """Nodes that are branches or loops."""
        self.key: str | None = None
        """The name under which other processes remember its rows, if they do."""
        self.stored: dict[int, Any] = {}
        """References to large constants in Ray's store, once they are there."""
        self.functions: tuple = ()
        """The users' functions that its nodes call, including those inside branches and loops."""
        self.here: frozenset[int] = frozenset()
        """Nodes that must run in the caller."""
        self.bound: frozenset = frozenset()
        """The functions that must run in the caller because they share state."""
        self.watched = False
        """Whether a debugger or a profiler followed the thread when that was found out."""
        self.awaited: frozenset[int] = frozenset()
        """Nodes whose calls wait in the caller, without occupying a lane."""
        self.state: tuple = ()
        """The versions of its functions' captured state when it last left the caller."""
        self.beside = False
        """True if it runs at the same time as other runs, which occupy the caller, so local workers should call its
        functions."""
        self.extra: dict[int, Tensor] = {}
        """For versions made by a branch or a loop, which are outputs of no tensor: the variable's reference."""
        self._takers: bytearray | None = None
        self._neighbours: tuple[list[tuple[int, ...]], list[list[int]]] | None = None
        self._depth_first: list[int] | None = None
        self._uses: list[int] | None = None
        self._has_users = False

    def tensor(self, value: int) -> Tensor:
        """The tensor of a node's output."""
        node = self.producer[value]
        at = self.outputs[node].index(value)
        outputs = self.ops[node].outputs
        return outputs[at] if at < len(outputs) else self.extra[value]

    def is_here(self, node: int) -> bool:
        """Whether a node must run in the caller."""
        return node in self.here or self.ops[node].traits.here

    def wait_for(self, node: int, other: int) -> None:
        """Add a control edge: a node waits for another one."""
        self.after[node] = tuple(dict.fromkeys([*self.after.get(node, ()), other]))
        self._neighbours = self._depth_first = None

    def neighbours(self) -> tuple[list[tuple[int, ...]], list[list[int]]]:
        """The predecessors and the successors of each node, control edges included. Cached: do not change them."""
        if self._neighbours is None:
            before: list[tuple[int, ...]] = []
            after: list[list[int]] = [[] for _ in self.ops]
            producer = self.producer
            for node, inputs in enumerate(self.inputs):
                if not inputs and node not in self.after:
                    before.append(())
                    continue
                others = {producer[v] for v in inputs}
                others.discard(-1)
                if node in self.after:
                    others.update(self.after[node])
                for other in others:
                    after[other].append(node)
                before.append(tuple(others))
            self._neighbours = before, after
        return self._neighbours

    def depth_first(self) -> list[int]:
        """The place of each node in an order in which a node follows the nodes that only it still waited for. Cached.

        So values are used soon after they are made, and few are there at a time.
        """
        if self._depth_first is None:
            before, after = self.neighbours()
            place, last = [-1] * len(before), 0
            for end, others in enumerate(after):
                left = [] if others else [end]
                while left:
                    node = left[-1]
                    waiting = [other for other in before[node] if place[other] < 0]
                    if waiting:
                        left += sorted(waiting, reverse=True)
                        continue
                    left.pop()
                    if place[node] < 0:
                        place[node] = last
                        last += 1
            self._depth_first = place
        return self._depth_first

    def uses(self) -> list[int]:
        """The number of uses of each value: by nodes, as fetches, and as final values of variables.

        Cached: do not change it.
        """
        if self._uses is None:
            uses = self._uses = [0] * len(self.producer)
            for inputs in [*self.inputs, [v for v in (*self.fetched, *self.writes.values()) if v is not None]]:
                for value in inputs:
                    uses[value] += 1
        return self._uses

    def takers(self) -> bytearray:
        """Flags for each value:

        taken by USERS' functions, by the LIBRARY or anything else, by only ONE taker. Cached.
        """
        if self._takers is None:
            takers = self._takers = bytearray(len(self.producer))
            self._has_users = not _OF_USERS.isdisjoint(map(type, self.kernels))
            for kernel, inputs in zip(self.kernels, self.inputs, strict=True):
                user = USERS if type(kernel) is UserFunction else LIBRARY
                for value in inputs:
                    takers[value] |= user
            for value in [v for v in (*self.fetched, *self.writes.values()) if v is not None]:
                takers[value] |= LIBRARY
            for value, uses in enumerate(self.uses()):
                if uses == 1:
                    takers[value] |= ONE
        return self._takers

    def has_users(self) -> bool:
        """Whether any node calls a user's function. Cached."""
        self.takers()
        return self._has_users

    def new_value(self, producer: int = -1) -> int:
        """Add a value and return its number."""
        self.producer.append(producer)
        return len(self.producer) - 1

    def close(self, outputs: Sequence[int]) -> None:
        """Turn it into a pure function: its sources are arguments, and `outputs` are its only results."""
        self.feeds, self.pinned, self.newest, self.draws, self.writes = {}, {}, {}, {}, {}
        self.fetched = list(outputs)
        self._takers = None

    def alone(self, node: int) -> tuple[Dataflow, dict[int, int]]:
        """A node as a dataflow of its own, and the new number of each of its values.

        Its inputs are sources, and its outputs are fetched.
        """
        flow = Dataflow()
        number: dict[int, int] = {}
        for value in self.inputs[node]:
            if value not in number:
                number[value] = flow.new_value()
                if value in self.constants:
                    flow.constants[number[value]] = self.constants[value]
        flow.append(self, node, number)
        if node in self.needs:
            flow.needs[0] = self.needs[node]
        flow.close(flow.outputs[0])
        return flow, number

    def append(self, other: Dataflow, node: int, number: dict[int, int]) -> int:
        """Append a copy of a node of another dataflow, and return it.

        number: maps the values of the other dataflow to those of this one. The node's outputs are added to it.
        """
        copy = len(self.ops)
        self.inputs.append(tuple([number[value] for value in other.inputs[node]]))
        self.outputs.append(tuple([self.new_value(copy) for _ in other.outputs[node]]))
        for value, new in zip(other.outputs[node], self.outputs[copy], strict=True):
            number[value] = new
            if value in other.extra:
                self.extra[new] = other.extra[value]
        self.ops.append(other.ops[node])
        self.kernels.append(other.kernels[node])
        self.attrs.append(other.attrs[node])
        if node in other.controls:
            self.controls.append(copy)
        return copy

    def check(self) -> None:
        """Assert the invariant above, for tests."""
        made = {v for v, node in enumerate(self.producer) if node < 0}
        for node, (inputs, outputs) in enumerate(zip(self.inputs, self.outputs, strict=True)):
            assert all(v in made for v in inputs), f"node {node} reads a value before it is made"
            assert not made & set(outputs), f"node {node} makes a value a second time"
            assert all(other < node for other in self.after.get(node, ()))
            made.update(outputs)
        assert all(v in made for v in [*self.writes.values(), *[v for v in self.fetched if v is not None]])
