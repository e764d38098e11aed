"""Dataflow: a run as pure dataflow. What a graph says about variables, control inputs and feeds is resolved here.

value     a number; each feed, constant, variable version, place in a random stream and node output has one
source    a value that no node makes: it is there when the run starts
node      an operation that runs, in a topological order that also fixes the order of variable accesses
version   a variable's value at one point of that order: the one of before the run, or the output of a write

Invariant (static single assignment): every value is made once, and a node reads only values made before it. A write is
a pure function of the old version and its inputs, so a run that fails has changed nothing: the session publishes the
last versions at the end. Built in one pass that also merges equal pure nodes and folds those of constants.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import pairwise
from typing import Any

from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.function import UserFunction
from weftwork.graph.operation import REFERENCES, WRITES, Kind, Operation, Tensor
from weftwork.graph.seeded import Seeded
from weftwork.graph.shapes import bracket_text
from weftwork.graph.streams import Draw
from weftwork.scheduler.compile.folding import ALL, Rewrites, Spared
from weftwork.scheduler.compile.ordering import order_accesses

USERS, LIBRARY, ONE = 1, 2, 4
"""Who takes a value (`Dataflow.takers`)."""
_EFFECTS = frozenset({Kind.FUNCTION, Kind.CONTROL, Kind.QUEUE})
"""Kinds of nodes that may do something besides giving values, so that others may have to wait for them."""


def prune(targets: Iterable[Operation], fed: set[Tensor], ran: Collection[Operation] = frozenset()) -> list[Operation]:
    """The operations that must run for `targets`, in creation order.

    The fed tensors need nobody to make them, and what `ran` before does not run again.
    """
    wanted = list(targets)
    if not wanted:
        return []
    operations = wanted[0].graph.operations
    needed = bytearray(1 + max([op.index for op in wanted]))
    for op in wanted:
        needed[op.index] = 1
    found: list[Operation] = []
    at = len(needed)
    while (at := needed.rfind(1, 0, at)) >= 0:  # what an operation takes was created before it
        op = operations[at]
        found.append(op)
        for tensor in op.inputs if not fed else [tensor for tensor in op.inputs if tensor not in fed]:
            needed[tensor.op.index] = 1
        for control in op.controls:
            satisfied = control.kind is Kind.PLACEHOLDER and control.outputs[0] in fed
            if not satisfied and control not in ran:
                needed[control.index] = 1
    found.reverse()
    return found


def variable_name(tensor: Tensor) -> str:
    """The variable that a reference or cached read stands for."""
    op = tensor.op
    return op.attrs.get("_variable", op.name)


class Dataflow:
    """The pure dataflow of one kind of run: which fetches, with which feeds.

    ops, inputs, outputs: of each node, its operation, the values it reads, the values it makes.
    kernels, attrs: what it calls.   after: nodes that must be done before it, for their effects.
    producer: of each value, the node that makes it, or -1.
    feeds, constants, pinned, newest, draws: the sources. `pinned` are variables as they were when the run began,
    `newest` as they are when the run's writes begin, `draws` places in random streams.
    needs: what nodes ask for beyond a process, once it is settled.   queued: some nodes use queues.
    waiting: the branches and loops in which queues are used.
    writes: the value that each written variable ends with.   fetched: the value of each fetch, or None.
    """

    def __init__(
        self,
        fetches: Sequence[Tensor | Operation],
        fed: Iterable[Tensor],
        ran: Collection[Operation] = frozenset(),
        rewrites: Rewrites = ALL,
    ):
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
        self.state: tuple = ()
        """The versions of what its functions refer to, when it last left the caller."""
        self.extra: dict[int, Tensor] = {}
        """Of values that are no tensor's, versions that a branch or a loop makes: the variable's reference."""
        self._takers: bytearray | None = None
        _Builder(self, fetches, dict.fromkeys(fed), ran, rewrites).build()

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
        part = Dataflow((), ())
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


class _Builder:
    """The one pass over a graph that makes a Dataflow."""

    def __init__(
        self,
        flow: Dataflow,
        fetches: Sequence[Tensor | Operation],
        fed: dict[Tensor, None],
        ran: Collection[Operation],
        rewrites: Rewrites,
    ):
        self.flow = flow
        self.fetches = fetches
        self.fed = fed
        self.ran = ran
        self.value_of: dict[Tensor, int] = {}
        self.version: dict[str, int] = {}
        self.node_of: dict[Operation, int] = {}
        self.places: dict[Operation, int] = {}
        """Of random operations: the values that are their places in the streams."""
        self.rewrites = rewrites
        self.spared = Spared(flow, rewrites)

    def build(self) -> None:
        flow = self.flow
        for tensor in self.fed:
            flow.feeds[tensor] = self.value_of[tensor] = flow.new_value()
        targets = [
            f.op if isinstance(f, Tensor) else f for f in self.fetches if not (isinstance(f, Tensor) and f in self.fed)
        ]
        ops = prune(targets, set(self.fed), self.ran)
        if any(op.kind in WRITES or op.kind is Kind.CONTROL for op in ops):
            ops = self._ordered(ops)
        # Without a node that has effects of its own, control inputs have done their work once they are in the run.
        self.keep_control = any(op.kind in _EFFECTS for op in ops)
        for op in ops:
            self._visit(op)
        if self.keep_control:
            take_turns(flow, [node for node, op in enumerate(flow.ops) if _in_turn(op)])
        flow.writes = dict(self.version)
        flow.fetched = [self._fetched(f) for f in self.fetches]

    # The order of accesses

    def _ordered(self, ops: list[Operation]) -> list[Operation]:
        number = {op: i for i, op in enumerate(ops)}
        accesses: dict[str, list[tuple[int, bool]]] = {}
        initializers: dict[str, int] = {}
        for i, op in enumerate(ops):
            if op.kind in WRITES:
                accesses.setdefault(op.attrs["_variable"], []).append((i, True))
                if "_initializer" in op.attrs:
                    initializers[op.attrs["_variable"]] = i
            for name in self._reads(op):
                accesses.setdefault(name, []).append((i, False))
            if op.kind is Kind.CONTROL:
                made = CONTROL.compiled(op, self.rewrites)
                for name in made.state:
                    accesses.setdefault(name, []).append((i, True))
                for name in made.reads:
                    accesses.setdefault(name, []).append((i, False))
        shared = {v: touches for v, touches in accesses.items() if len(touches) > 1 and any(w for _, w in touches)}
        if not shared:
            return ops
        first = [
            (initializers[name], i)
            for i, op in enumerate(ops)
            if "_after_initializer" in op.attrs
            for name in self._reads(op)
            if name in initializers
        ]
        before = [self._predecessors(op, number) for op in ops]
        in_turn = [i for i, op in enumerate(ops) if _in_turn(op)]
        for earlier, later in pairwise(in_turn):
            before[later].append(earlier)
        return [ops[i] for i in order_accesses(before, shared, first)]

    def _reads(self, op: Operation) -> set[str]:
        inputs = op.inputs[1:] if op.kind in WRITES else op.inputs
        if op.kind in REFERENCES:
            return set()
        return {
            variable_name(t)
            for t in inputs
            if t.op.kind in REFERENCES and t not in self.fed and not (t.op.inputs and t.op.inputs[0] in self.fed)
        }

    def _predecessors(self, op: Operation, number: dict[Operation, int]) -> list[int]:
        before = {number[t.op] for t in op.inputs if t not in self.fed and t.op in number}
        before.update([number[c] for c in op.controls if c in number])
        return sorted(before)

    # The pass

    def _visit(self, op: Operation) -> None:
        kind = op.kind
        if kind is Kind.PURE or kind is Kind.FUNCTION:
            if kind is Kind.FUNCTION and op.traits.user and (draws := op.kernel.captured.draws):  # type: ignore[union-attr]
                place = self.flow.new_value()
                self.flow.draws[place] = op
                self._node(op, (place, *self._inputs(op.inputs)), kernel=Seeded(op.kernel, draws))
            else:
                self._node(op, self._inputs(op.inputs))
        elif kind is Kind.CONSTANT:
            if op.outputs[0] not in self.value_of:
                self._constant(op)
        elif kind in REFERENCES:
            return
        elif kind is Kind.NOOP:
            if self.keep_control and op.controls:
                self._node(op, ())
        elif kind is Kind.PLACEHOLDER:
            if op.outputs[0] not in self.fed:
                if op.section is None:
                    raise _unfed(op)
                self._node(op, (), kernel=Unfed(_unfed(op).message))  # it matters only if its branch is taken
        elif kind in WRITES:
            self._write(op)
        elif kind is Kind.CONTROL:
            self._control(op)
        elif kind is Kind.QUEUE:
            self.flow.queued = True
            self._node(op, tuple([self._read(t) for t in op.inputs]))
        elif kind is Kind.RANDOM:
            stream = op.attrs.get("_stream")
            place = self._place(op if stream is None else op.graph._by_name[stream])
            self._node(op, (place, *[self._read(t) for t in op.inputs]), kernel=Draw(op.kernel))
        else:
            self._node(op, tuple([self._read(t, peek=True) for t in op.inputs]))

    def _place(self, op: Operation) -> int:
        """The place in the stream of a random operation, which those that were made of it for its gradient share."""
        place = self.places.get(op)
        if place is None:
            place = self.places[op] = self.flow.new_value()
            self.flow.draws[place] = op
        return place

    def _inputs(self, tensors: Sequence[Tensor]) -> tuple[int, ...]:
        known = self.value_of
        try:
            return tuple([known[tensor] for tensor in tensors])
        except KeyError:  # one is a variable
            return tuple([self._read(tensor) for tensor in tensors])

    def _read(self, tensor: Tensor, peek: bool = False) -> int:
        value = self.value_of.get(tensor)
        if value is None and tensor.op.kind is Kind.READ:
            value = self.value_of.get(tensor.op.inputs[0])  # the variable itself was fed
        if value is not None:
            return value
        name = variable_name(tensor)
        if not peek and name not in self.version:
            self.flow.required.add(name)
        return self._version(name, tensor.graph.get_operation_by_name(name))

    def _version(self, name: str, variable: Operation) -> int:
        """What a variable is now: the output of the last write, or its value of before the run."""
        version = self.version.get(name)
        if version is not None:
            return version
        flow = self.flow
        if name not in flow.pinned:
            flow.pinned[name] = flow.new_value()
            flow.variables[name] = variable
        return flow.pinned[name]

    def _newest(self, name: str) -> int:
        """A variable's version for one who changes it."""
        old = self.version.get(name)
        if old is None:
            old = self.flow.newest.get(name)
        if old is None:
            old = self.flow.newest[name] = self.flow.new_value()
        return old

    def _control(self, op: Operation) -> None:
        """A branch or a loop: the versions of the variables that it may write go in, and new ones come out."""
        flow = self.flow
        made = CONTROL.compiled(op, self.rewrites)
        parts = CONTROL.in_parts(op, made)
        if parts:
            self._in_parts(op, made, parts)
            return
        inputs = []
        for word, what in made.order:
            if word == "input":  # a variable without a value matters only to the branch that reads it
                inputs.append(self._read(op.inputs[what], peek=op.inputs[what].op.kind in REFERENCES))
            elif word == "state":
                inputs.append(self._newest(what))
                flow.variables[what] = made.variables[what]
            elif word == "read":
                inputs.append(self._version(what, made.variables[what]))
            else:
                inputs.append(self._place(what))
        flow.controls.append(len(flow.ops))
        if made.queued:
            flow.queued = True
            flow.waiting.add(len(flow.ops))
        outputs = self._node(op, tuple(inputs), made.kernel, len(made.state))
        for name, value in zip(made.state, outputs[len(op.outputs) :], strict=True):
            self.version[name] = value
            flow.extra[value] = made.variables[name].outputs[0]

    def _in_parts(self, op: Operation, made: Any, parts: list[Operation]) -> None:
        """A function over elements that runs in parts beside each other; what is read is read by each."""
        split, join = parts[0], parts[-1]
        self._node(split, tuple([self._read(t) for t in split.inputs]))
        for part in parts[1:-1]:
            inputs = []
            for word, what in made.order:
                if word == "input":
                    inputs.append(self._read(part.inputs[what], peek=part.inputs[what].op.kind in REFERENCES))
                else:
                    inputs.append(self._version(what, made.variables[what]))
            self._node(part, tuple(inputs), made.kernel)
        values = self._node(join, tuple([self._read(t) for t in join.inputs]))
        self._bind(op, values)
        if self.keep_control:
            self.node_of[op] = self.node_of[join]

    def _know(self, name: str, tensor: Tensor) -> None:
        self.flow.variables[name] = tensor.graph.get_operation_by_name(name)

    def _write(self, op: Operation) -> None:
        flow = self.flow
        name = op.attrs["_variable"]
        self._know(name, op.outputs[0])
        inputs = tuple([self._read(t) for t in op.inputs[1:]])
        if op.kind is Kind.UPDATE:
            if name not in self.version:
                flow.required.add(name)
            inputs = (self._newest(name), *inputs)
        self.version[name] = self._node(op, inputs)[0]

    def _fetched(self, fetch: Tensor | Operation) -> int | None:
        if isinstance(fetch, Operation):
            return None
        return self._read(fetch)

    def _node(self, op: Operation, inputs: tuple[int, ...], kernel: Any = None, extra: int = 0) -> tuple[int, ...]:
        flow, kind, attrs = self.flow, op.kind, op.attrs
        if kind is Kind.PURE:
            if not op.controls or not self.keep_control:
                known = self.spared.outputs_of(op, inputs)
                if known is not None:
                    self._bind(op, known)
                    return known
        elif attrs and kind is not Kind.FUNCTION:
            attrs = {key: value for key, value in attrs.items() if key[0] != "_"}
        node = len(flow.ops)
        if len(op.outputs) + extra == 1:
            outputs = (len(flow.producer),)
            flow.producer.append(node)
        else:
            outputs = tuple([flow.new_value(node) for _ in range(len(op.outputs) + extra)])
        flow.ops.append(op)
        flow.inputs.append(inputs)
        flow.outputs.append(outputs)
        flow.kernels.append(op.kernel if kernel is None else kernel)
        flow.attrs.append(attrs)
        if self.keep_control:
            before = [self.node_of[c] for c in op.controls if c in self.node_of]
            self.node_of[op] = node
            if before:
                flow.after[node] = tuple(before)
        self._bind(op, outputs)
        return outputs

    def _bind(self, op: Operation, values: tuple[int, ...]) -> None:
        for tensor, value in zip(op.outputs, values, strict=False):
            if not self.fed or tensor not in self.fed:
                self.value_of[tensor] = value

    def _constant(self, op: Operation) -> None:
        if self.keep_control and op.controls:
            self._node(op, (), kernel=give)
            return
        self.value_of[op.outputs[0]] = self.spared.constant(op.attrs["value"])


def _in_turn(op: Operation) -> bool:
    """True for what runs in the caller's process in the order of creation, for it has effects there."""
    return op.traits.here and op.kind in _EFFECTS


def take_turns(flow: Dataflow, nodes: Sequence[int]) -> None:
    """Let nodes, in their order, wait for each other, for what they do besides giving values.

    One that waits for a queue is waited for by those alone that do so too: else they might wait for each other.
    """
    if len(nodes) < 2:
        return
    waiting = _behind_queues(flow)
    last: dict[bool, int] = {}
    for node in nodes:
        before = last.get(node in waiting)
        last[True] = node
        if node not in waiting:
            last[False] = node
        if before is not None:
            flow.after[node] = tuple(dict.fromkeys([*flow.after.get(node, ()), before]))


def _behind_queues(flow: Dataflow) -> set[int]:
    """The nodes that wait for a queue, and those that wait for these."""
    if not flow.queued:
        return set()
    found: set[int] = set()
    for node, op in enumerate(flow.ops):
        before = {flow.producer[value] for value in flow.inputs[node]}.union(flow.after.get(node, ()))
        if op.kind is Kind.QUEUE or node in flow.waiting or not before.isdisjoint(found):
            found.add(node)
    return found


def give(*, value: Any) -> Any:
    """The kernel of a constant that waits."""
    return value


class Unfed:
    """The kernel of a placeholder in a branch, which nobody can feed."""

    __name__ = "unfed"

    def __init__(self, message: str):
        self.message = message

    def __call__(self) -> Any:
        raise InvalidArgumentError(None, None, self.message)


def _unfed(op: Operation) -> InvalidArgumentError:
    tensor = op.outputs[0]
    shape = f" and shape {bracket_text(tensor.raw_shape)}" if tensor.raw_shape else ""
    return InvalidArgumentError(
        op.node_def,
        op,
        f"You must feed a value for placeholder tensor '{op.name}' with dtype {tensor.dtype.cpp_name}{shape}"
        f"\n\t [[node {op.defined_at} ]]",
    )


class _Control:
    """How branches and loops are compiled: `sections` says it, which compiles dataflows itself."""

    compiled: Callable[[Operation, Rewrites], Any]
    in_parts: Callable[[Operation, Any], list[Operation]]


CONTROL = _Control()
