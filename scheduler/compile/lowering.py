"""Lowering: makes the dataflow of a run from a graph, in one pass over the operations that the run needs.

The pass prunes operations that are not needed, orders the accesses of each variable, resolves variables to versions,
merges equal pure nodes, and folds nodes of constants.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from weftwork.actors.programs.sizes import size_of
from weftwork.graph import nest
from weftwork.graph.dead import alive
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.operation import REFERENCES, WRITES, Kind, Operation, Tensor
from weftwork.graph.python.frames import is_lazy
from weftwork.graph.python.seeded import Seeded, draws_of
from weftwork.graph.shapes import bracket_text
from weftwork.graph.streams import Draw
from weftwork.graph.variables.critical import LOCK
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.effects import has_effects, in_turn, take_turns
from weftwork.scheduler.compile.folding import ALL, Rewrites, Simplifier
from weftwork.scheduler.compile.ordering import order_accesses
from weftwork.scheduler.compile.pruning import prune

_LARGE = 64 * 1024
"""Minimum bytes of a constant argument that other processes are sent by itself."""


def lower(
    fetches: Sequence[Tensor | Operation],
    fed: Iterable[Tensor],
    ran: Collection[Operation] = frozenset(),
    rewrites: Rewrites = ALL,
) -> Dataflow:
    """The dataflow for some fetches and feeds, after the operations `ran` have run.

    Raises InvalidArgumentError for a placeholder that must be fed and is not.
    """
    flow = Dataflow()
    _Lowering(flow, fetches, dict.fromkeys(fed), ran, rewrites).build()
    return flow


def variable_name(tensor: Tensor) -> str:
    """The name of the variable behind a reference or cached read."""
    op = tensor.op
    return op.attrs.get("_variable", op.name)


class _Lowering:
    """The pass over a graph that makes a Dataflow."""

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
        self.positions: dict[Operation, int] = {}
        """For each random operation, the value that is its position in the stream."""
        self.constants: dict[int, int | None] = {}
        """By id, the numbers of large constant arguments; None for those that are small."""
        self.locks = False
        """Whether something enters a critical section."""
        self.is_locked = False
        """Whether the visited operation is in one, and so reads the newest versions of variables."""
        self.rewrites = rewrites
        self.simplifier = Simplifier(flow, rewrites)

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
        # If no node has side effects, control inputs matter only for pruning.
        self.keep_control = any(has_effects(op) for op in ops)
        locked = _in_sections(ops, self.rewrites) if self.locks else frozenset()
        for op in ops:
            self.is_locked = op in locked
            self._visit(op)
        self.is_locked = False
        if self.keep_control:
            take_turns(flow, [node for node, op in enumerate(flow.ops) if in_turn(op)])
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
                self.locks = self.locks or op.type == LOCK
                if "_initializer" in op.attrs:
                    initializers[op.attrs["_variable"]] = i
            for name in self._reads(op):
                accesses.setdefault(name, []).append((i, False))
            if op.kind is Kind.CONTROL:
                made = CONTROL.compiled(op, self.rewrites)
                self.locks = self.locks or made.locks
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
        turns = [i for i, op in enumerate(ops) if in_turn(op)]
        for earlier, later in pairwise(turns):
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
            kernel: Any = op.kernel
            inputs, attrs = self._inputs(op.inputs), None
            if "template" in op.attrs and op.traits.user:
                inputs, attrs = self._with_constants(op, inputs)
            seeded = kind is Kind.FUNCTION and op.traits.user and not kernel.sees_to_draws
            if seeded and (draws := draws_of(kernel)):
                position = self.flow.new_value()
                self.flow.draws[position] = op
                self._node(op, (position, *inputs), kernel=Seeded(kernel, draws), attrs=attrs)
            else:
                self._node(op, inputs, attrs=attrs)
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
                self._node(op, (), kernel=Unfed(_unfed(op).message))  # an error only if its branch is taken
        elif kind in WRITES:
            self._write(op)
        elif kind is Kind.CONTROL:
            self._control(op)
        elif kind is Kind.QUEUE:
            self.flow.queued = True
            self._node(op, tuple([self._read(t) for t in op.valued]))
        elif kind is Kind.RANDOM:
            stream = op.attrs.get("_stream")
            position = self._position(op if stream is None else op.graph._by_name[stream])
            assert op.kernel is not None
            self._node(op, (position, *[self._read(t) for t in op.inputs]), kernel=Draw(op.kernel))
        else:
            self._node(op, tuple([self._read(t, peek=True) for t in op.inputs]))

    def _with_constants(self, op: Operation, inputs: tuple[int, ...]) -> tuple[tuple[int, ...], dict | None]:
        """The inputs of a user's node, and its attributes unless they stay as they are.

        Large arrays and frames among its constant arguments become constants of the dataflow: other processes get them
        once, however many nodes have them.
        """
        args, kwargs = op.attrs["template"]
        fixed = [part for part in (*args, *kwargs.values()) if type(part) is nest.Fixed]
        if not fixed or not all([is_lazy(kind := type(part.value)) or kind is np.ndarray for part in fixed]):
            return inputs, None  # as usual; or a list, say, that holds one of the arrays
        added = {id(part.value): number for part in fixed if (number := self._large_constant(part.value)) is not None}
        if not added:
            return inputs, None
        slots = {value: nest.Slot(place) for place, value in enumerate(added, len(inputs))}

        def lifted(part: Any) -> Any:
            return slots.get(id(part.value), part) if type(part) is nest.Fixed else part

        template = tuple(map(lifted, args)), {name: lifted(part) for name, part in kwargs.items()}
        return (*inputs, *added.values()), {**op.attrs, "template": template}

    def _large_constant(self, value: Any) -> int | None:
        """The number of a constant; None for a small one."""
        if id(value) not in self.constants:
            self.constants[id(value)] = self.simplifier.constant(value) if size_of(value) >= _LARGE else None
        return self.constants[id(value)]

    def _position(self, op: Operation) -> int:
        """The stream position of a random operation. Copies made for its gradient share it."""
        position = self.positions.get(op)
        if position is None:
            position = self.positions[op] = self.flow.new_value()
            self.flow.draws[position] = op
        return position

    def _inputs(self, tensors: Sequence[Tensor]) -> tuple[int, ...]:
        known = self.value_of
        try:
            return tuple([known[tensor] for tensor in tensors])
        except KeyError:  # one of them is a variable
            return tuple([self._read(tensor) for tensor in tensors])

    def _read(self, tensor: Tensor, peek: bool = False) -> int:
        value = self.value_of.get(tensor)
        if value is None and tensor.op.kind is Kind.READ:
            value = self.value_of.get(tensor.op.inputs[0])  # the variable itself may have been fed
        if value is not None:
            return value
        name = variable_name(tensor)
        if not peek and name not in self.version:
            self.flow.required.add(name)
        return self._version(name, tensor.graph.get_operation_by_name(name))

    def _version(self, name: str, variable: Operation) -> int:
        """The current version of a variable: the output of the last write, or its value from before the run."""
        version = self.version.get(name)
        if version is not None:
            return version
        flow = self.flow
        if self.is_locked:
            flow.variables[name] = variable
            return self._newest(name)
        if name not in flow.pinned:
            flow.pinned[name] = flow.new_value()
            flow.variables[name] = variable
        return flow.pinned[name]

    def _newest(self, name: str) -> int:
        """The version of a variable that an update, or a read in a critical section, takes."""
        old = self.version.get(name)
        if old is None:
            old = self.flow.newest.get(name)
        if old is None:
            old = self.flow.newest[name] = self.flow.new_value()
        return old

    def _control(self, op: Operation) -> None:
        """Add a branch or a loop: versions of the variables that it may write go in, and new versions come out."""
        flow = self.flow
        made = CONTROL.compiled(op, self.rewrites)
        parts = CONTROL.in_parts(op, made)
        if parts:
            self._in_parts(op, made, parts)
            return
        inputs = []
        for source, key in made.order:
            if source == "input":  # a variable without a value is an error only in the branch that reads it
                inputs.append(self._taken(op, key))
            elif source == "state":
                inputs.append(self._newest(key))
                flow.variables[key] = made.variables[key]
            elif source == "read":
                inputs.append(self._version(key, made.variables[key]))
            else:
                inputs.append(self._position(key))
        flow.controls.append(len(flow.ops))
        flow.queued = flow.queued or made.queued
        if made.queued or made.limited:
            flow.waiting.add(len(flow.ops))
        outputs = self._node(op, tuple(inputs), made.kernel, len(made.state))
        for name, value in zip(made.state, outputs[len(op.outputs) :], strict=True):
            self.version[name] = value
            flow.extra[value] = made.variables[name].outputs[0]

    def _taken(self, op: Operation, index: int) -> int:
        """The value of an input of a branch or a loop. It may be a variable without a value."""
        tensor = op.inputs[index]
        return self._read(tensor, peek=tensor.op.kind in REFERENCES)

    def _in_parts(self, op: Operation, made: Any, parts: list[Operation]) -> None:
        """Add a map over elements as several parts that may run at once. Each part reads what the whole reads."""
        split, join = parts[0], parts[-1]
        self._node(split, tuple([self._read(t) for t in split.inputs]))
        for part in parts[1:-1]:
            inputs = []
            for source, key in made.order:
                if source == "input":
                    inputs.append(self._taken(part, key))
                else:
                    inputs.append(self._version(key, made.variables[key]))
            self._node(part, tuple(inputs), made.kernel)
        values = self._node(join, tuple([self._read(t) for t in join.inputs]))
        self._bind(op, values)
        if self.keep_control:
            self.node_of[op] = self.node_of[join]

    def _write(self, op: Operation) -> None:
        flow = self.flow
        name = op.attrs["_variable"]
        flow.variables[name] = op.graph.get_operation_by_name(name)
        inputs = tuple([self._read(t) for t in op.inputs[1:]])
        if op.kind is Kind.UPDATE:
            if name not in self.version and not op.attrs.get("_from_nothing"):
                flow.required.add(name)
            inputs = (self._newest(name), *inputs)
        self.version[name] = self._node(op, inputs)[0]

    def _fetched(self, fetch: Tensor | Operation) -> int | None:
        if isinstance(fetch, Operation):
            return None
        value = self._read(fetch)
        return self._alive(fetch, value) if fetch.op in fetch.graph.dead else value

    def _alive(self, fetch: Tensor, value: int) -> int:
        """A node beside the graph that checks that a fetched value is not dead."""
        op, outputs = fetch.op, [(fetch.dtype.base_dtype, fetch.raw_shape)]
        beside = Operation(
            op.graph, op.index, op.name, op.type, Kind.PURE, alive, (fetch,), {}, outputs, (), op.traits, op.source
        )
        return self._node(beside, (value,))[0]

    def _node(
        self, op: Operation, inputs: tuple[int, ...], kernel: Any = None, extra: int = 0, attrs: Mapping | None = None
    ) -> tuple[int, ...]:
        flow, kind = self.flow, op.kind
        attrs = op.attrs if attrs is None else attrs
        if kind is Kind.PURE:
            if not op.controls or not self.keep_control:
                known = self.simplifier.outputs_of(op, inputs)
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
        self.value_of[op.outputs[0]] = self.simplifier.constant(op.attrs["value"])


def _in_sections(ops: Iterable[Operation], rewrites: Rewrites) -> set[Operation]:
    """Those of some operations, in the order of their creation or of their accesses, that are in critical sections.

    They are what depends on the lock of one, and branches and loops in which one is entered.
    """
    found: set[Operation] = set()
    for op in ops:
        if (
            op.type == LOCK
            or not found.isdisjoint([*[tensor.op for tensor in op.inputs], *op.controls])
            or (op.kind is Kind.CONTROL and CONTROL.compiled(op, rewrites).locks)
        ):
            found.add(op)
    return found


def give(*, value: Any) -> Any:
    """The kernel of a constant with control inputs."""
    return value


class Unfed:
    """The kernel of a placeholder inside a branch, where it cannot be fed."""

    __name__ = "unfed"

    def __init__(self, message: str):
        self.message = message

    def __call__(self) -> Any:
        raise InvalidArgumentError(None, None, self.message)


def _unfed(op: Operation) -> InvalidArgumentError:
    tensor = op.outputs[0]
    shape = f" and shape {bracket_text(tensor.raw_shape)}" if tensor.raw_shape else ""
    return InvalidArgumentError(
        None,
        op,
        f"You must feed a value for placeholder tensor '{op.name}' with dtype {tensor.dtype.cpp_name}{shape}"
        f"\n\t [[node {op.defined_at} ]]",
    )


class _Control:
    """The functions that compile branches and loops. `sections`, which itself uses this module, sets them."""

    compiled: Callable[[Operation, Rewrites], Any]
    in_parts: Callable[[Operation, Any], list[Operation]]


CONTROL = _Control()
