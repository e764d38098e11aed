"""Graphs as GraphDefs: each operation as an equivalent one of TensorFlow's if there is one, else in `native` form.

writer    a function that tells how to write one type of operation: it returns the inputs in TensorFlow's order, and the
  attributes. An attribute of ours that is an input in TensorFlow becomes a constant
lowered   a branch or loop that is written as Switch, Merge and so on, with everything inside (`lowering`)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.graph import GRADIENT_OVERRIDES, Graph
from weftwork.graph.interchange import native, signatures
from weftwork.graph.interchange.lowering import Scope, lower, lowerable
from weftwork.graph.interchange.nodes import Inexpressible, Part, aligned, bound_attrs, node_proto
from weftwork.graph.interchange.signatures import Signature, signature
from weftwork.graph.interchange.values import attr_of, shape_proto, tensor_proto
from weftwork.graph.operation import WRITES, Kind, Operation, Tensor, Traits
from weftwork.graph.protos import protos
from weftwork.graph.seams import seams
from weftwork.graph.sections import Section, sections_of
from weftwork.graph.variables.handles import OF_HANDLES, is_handle, value_dtype

PRODUCER = 134
"""The GraphDef version that we write: that of TensorFlow 1.15."""


Writer = Callable[["Node"], tuple[list[Part], dict[str, Any]]]
WRITERS: dict[str, Writer] = {}
"""The writer for each type. Other types are written under their own name, if they have no attributes."""


def writes(*types: str) -> Callable[[Writer], Writer]:
    """Decorator: the function writes operations of these types."""

    def register(function: Writer) -> Writer:
        WRITERS.update(dict.fromkeys(types, function))
        return function

    return register


OF_UPDATES: dict[Callable[..., Any], Writer] = {}
"""The writer for each kernel of an update, whose type only tells what it is for."""


def written_with(*types: str, to: str = "", **attrs: Callable[[Any], Any]) -> None:
    """Register a writer of operations of these types, with the inputs that they have.

    to: TensorFlow's type, if it has another name.   attrs: how each of TensorFlow's attributes follows from ours.
    """

    def write(node: Node) -> tuple[list[Part], dict[str, Any]]:
        node.type = to or node.type
        return node.inputs(), {key: make(node.attrs) for key, make in attrs.items()}

    WRITERS.update(dict.fromkeys(types, write))


class Node:
    """An operation being written, for its writer. type: the type to write, which the writer may change.

    made: where each of the operation's outputs is, if not at its own place in the node that is written.
    readers: the helpers that read a variable, and wait for what the operation waits for.
    after: the helpers for which the written node waits.
    """

    def __init__(self, op: Operation, taken: Callable[[str], bool], resolve: Callable[[Tensor], Part]):
        self.op, self.type = op, op.type
        self.helpers: list[Any] = []
        self.made: list[Part] | None = None
        self.readers: set[str] = set()
        self.after: list[str] = []
        self._taken, self._resolve = taken, resolve

    @property
    def attrs(self) -> Any:
        """The operation's attributes."""
        return self.op.attrs

    def inputs(self) -> list[Part]:
        """The operation's inputs, in its own order."""
        return [self._resolve(tensor) for tensor in self.op.inputs]

    def constant(self, name: str, value: Any, dtype: Any = dtypes.int32) -> Part:
        """A constant to be written next to the operation."""
        dtype = dtypes.as_dtype(dtype)
        array = value if dtype is dtypes.string else np.asarray(value, dtype.numpy)
        attrs = {"value": tensor_proto(array, dtype), "dtype": dtype}
        return self.helper(name, "Const", [], attrs, dtype)

    def helper(self, name: str, type: str, inputs: list[Part], attrs: dict[str, Any], dtype: Any) -> Part:
        """Another node, NAME/name, to be written next to the operation."""
        declared = signature(type)
        assert declared is not None
        free, number = f"{self.op.name}/{name}", 0
        while self._taken(free) or any(result.name == free for result in self.helpers):
            number += 1
            free = f"{self.op.name}/{name}_{number}"
        bound = bound_attrs(declared, [p.dtype for p in inputs], None, attrs)
        self.helpers.append(node_proto(free, type, inputs, bound, declared))
        return Part(free, dtypes.as_dtype(dtype))

    def make(self, type: str, *inputs: Any, **attrs: Any) -> Part:
        """A helper of a declared type, named after it.

        inputs: parts, or values: a number takes the first part's dtype, others int32 or that of an array.
        """
        given = [value for value in inputs if isinstance(value, Part)]
        parts = [value if isinstance(value, Part) else self._value(value, given) for value in inputs]
        declared = signature(type)
        assert declared is not None
        bound = bound_attrs(declared, [part.dtype for part in parts], None, attrs)
        kind = declared.outputs[0].type
        return self.helper(type, type, parts, attrs, bound[kind][0] if kind in bound else dtypes.ALL[kind])

    def _value(self, value: Any, given: list[Part]) -> Part:
        if isinstance(value, (int, float, bool, np.generic)):
            return self.constant("value", value, given[0].dtype)
        array = value if isinstance(value, np.ndarray) else np.array(value, np.int32)
        return self.constant("value", array, dtypes.as_dtype(array.dtype))

    def as_type(self, part: Part, dtype: Any) -> Part:
        """A part as another dtype."""
        return part if part.dtype is dtype else self.make("Cast", part, DstT=dtype)

    def read(self, ref: Part) -> Part:
        """The value of the variable that the operation updates."""
        handle = self.op.inputs[0]
        dtype, by_handle = value_dtype(handle.op), is_handle(handle)
        attrs = {"dtype": dtype} if by_handle else {}
        found = self.helper("read", "ReadVariableOp" if by_handle else "Identity", [ref], attrs, dtype)
        self.readers.add(found.name)
        return found

    def assigned(self, ref: Part, new: Part) -> tuple[list[Part], dict[str, Any]]:
        """What to write for an operation that sets its variable to a new value, which is its result."""
        if not is_handle(self.op.inputs[0]):
            self.type = "Assign"
            return [ref, new], {}
        self.after.append(self.helper("Assign", "AssignVariableOp", [ref, new], {"dtype": new.dtype}, new.dtype).name)
        self.type = "ReadVariableOp"
        return [ref], {"dtype": new.dtype}

    def axes(self, name: str, axis: Any) -> Part:
        """Known axes as a constant vector, or a scalar for a number; all axes for None."""
        if axis is None:
            shape = self.op.inputs[0].raw_shape
            if shape is None:
                rank = self.make("Rank", self.inputs()[0])
                return self.make("Range", self.constant("start", 0), rank, self.constant("delta", 1))
            axis = range(len(shape))
        return self.constant(name, list(axis) if isinstance(axis, (tuple, list, range)) else axis)


def plain(node: Node) -> tuple[list[Part], dict[str, Any]]:
    """The writer of operations that are determined by their type and inputs."""
    if any(not key.startswith("_") and key != "dtype" for key in node.attrs):
        raise Inexpressible
    return node.inputs(), {}


class _Whole:
    """The graph itself, as the scope of everything outside lowered branches and loops."""

    section = None
    pivot = ""

    def __init__(self, writer: GraphWriter):
        self.part = writer.named


class GraphWriter:
    """Writes the operations of one graph.

    add_shapes: write each node's output shapes to the attribute `_output_shapes`.
    out: the NodeDefs.   scope: the scope of the operations being written.
    """

    def __init__(self, graph: Graph, add_shapes: bool = False):
        self._graph, self._add_shapes = graph, add_shapes
        self._renamed: dict[Tensor, Part] = {}
        self._nodes: dict[str, Any] = {}
        self._lowered: set[Operation] = set()
        self.scope: Scope = _Whole(self)
        self.out: list[Any] = []

    def all(self, ops: Iterable[Operation]) -> None:
        """Write operations, in creation order, with everything inside their branches and loops."""
        ops = list(ops)
        owners = [op for op in ops if op.kind is Kind.CONTROL]
        # The derivative of a loop reruns the loop's own sections, which TensorFlow has no operation for.
        own = {section for op in owners if not lowerable(op) for section in _inside(op)}
        self._lowered = {op for op in owners if op.section is None and own.isdisjoint(_inside(op))}
        inside = {section for op in self._lowered for section in _inside(op)}
        kept = {section for op in owners for section in sections_of(op)} - inside
        for op in ops:
            if (op.section is None or op.section in kept) and op not in self._graph.closed:
                self.write(op)

    def within(self, scope: Scope, ops: Iterable[Operation]) -> None:
        """Write the operations of a lowered section."""
        outer, self.scope = self.scope, scope
        for op in ops:
            if op.kind is not Kind.PLACEHOLDER:
                self.write(op)
        self.scope = outer

    def write(self, op: Operation) -> None:
        """Write an operation and the constants it needs."""
        if op in self._lowered or (op.kind is Kind.CONTROL and self.scope.section is not None):
            lower(self, op)
            return
        node = Node(op, self._taken, self.scope.part)
        try:
            last = self._declared(node)
            nodes = [*node.helpers, last]
        except (Inexpressible, LookupError, TypeError, ValueError, AttributeError):
            # It does not match what the writer expects of its type: this type name may have another origin.
            nodes = [self._native(op)]
        else:
            for tensor, part in zip(op.outputs, node.made or (), strict=bool(node.made)):
                self.rename(tensor, part)
        self._finish(nodes, op, node)

    # For `lowering`

    def emit(self, name: str, type: str, inputs: list[Part], attrs: dict[str, Any], waits: Iterable[str] = ()) -> Part:
        """Write a node of a declared type, and return its first output."""
        declared = signature(type)
        assert declared is not None
        bound = bound_attrs(declared, [part.dtype for part in inputs], None, attrs)
        node = node_proto(name, type, inputs, bound, declared)
        node.input.extend([f"^{other}" for other in waits])
        if not inputs and not waits and self.scope.pivot:
            node.input.append(f"^{self.scope.pivot}")
        self._append(node)
        kind = declared.outputs[0].type
        return Part(name, bound[kind][0] if kind in bound else dtypes.ALL[kind])

    def constant(self, name: str, value: int, waits: Iterable[str] = (), dtype: dtypes.DType = dtypes.int32) -> Part:
        """Write a constant."""
        attrs = {"value": tensor_proto(np.asarray(value, dtype.numpy), dtype), "dtype": dtype}
        return self.emit(self.free(name), "Const", [], attrs, waits)

    def redirect(self, node: Part, given: Part) -> None:
        """Replace the first input of a node that has been written."""
        self._nodes[node.name].input[0] = given.name

    def named(self, tensor: Tensor) -> Part:
        """The name of a tensor within its own section."""
        known = self._renamed.get(tensor)
        op, index = tensor.op, tensor.index
        return known or Part(f"{op.name}:{index}" if index else op.name, tensor.dtype.base_dtype)

    def rename(self, tensor: Tensor, part: Part) -> None:
        """Set a tensor's name."""
        self._renamed[tensor] = part

    def free(self, name: str) -> str:
        """A name that no node has: this one, possibly with a number appended."""
        candidate, number = name, 0
        while self._taken(candidate):
            number += 1
            candidate = f"{name}_{number}"
        return candidate

    def _taken(self, name: str) -> bool:
        return name in self._graph._by_name or name in self._nodes

    def _append(self, node: Any) -> None:
        self._nodes[node.name] = node
        self.out.append(node)

    # Nodes

    def _declared(self, node: Node) -> Any:
        """The operation as TensorFlow's. Raises Inexpressible if there is no equivalent."""
        op = node.op
        if op.traits.user or (op.kind in (Kind.CONTROL, Kind.QUEUE, Kind.PEEK) and op.type not in WRITERS):
            raise Inexpressible
        if op.kind is Kind.PLACEHOLDER and op.section is not None:
            raise Inexpressible
        known = signature(op.type)
        by_handle = op.type in OF_HANDLES
        updates = OF_UPDATES.get(op.kernel) if op.kernel and op.kind is Kind.UPDATE else None
        if op.kind in WRITES and not (updates or by_handle or (known and known.inputs and known.inputs[0].ref)):
            raise Inexpressible
        inputs, attrs = (updates or WRITERS.get(op.type, plain))(node)
        declared = signature(node.type)
        if declared is None or any(t.dtype.base_dtype is dtypes.object for t in (*op.inputs, *op.outputs)):
            raise Inexpressible
        inputs = _promoted(node, declared, inputs, attrs)
        if node.made:
            bound = bound_attrs(declared, [part.dtype for part in inputs], None, attrs)
        else:
            made = op.outputs if declared.outputs else ()  # a write through a handle has no output in TensorFlow
            bound = bound_attrs(declared, [part.dtype for part in inputs], [t.dtype for t in made], attrs)
        return node_proto(op.name, node.type, inputs, bound, declared)

    def _native(self, op: Operation) -> Any:
        """The operation in the form that only Weftwork can read."""
        inputs = [self.scope.part(tensor).name for tensor in op.inputs]
        proto = protos("node_def").NodeDef(name=op.name, op=op.type, input=inputs)
        written: dict[str, Any] = {
            "kind": op.kind.value,
            "kernel": op.kernel,
            "attrs": {key: value for key, value in op.attrs.items() if key != "_sections"},
            "outputs": [(t.dtype.name, t.raw_shape) for t in op.outputs],
        }
        if op.traits != Traits():
            written["traits"] = op.traits
        if op.container:
            written["container"] = op.container
        if "_sections" in op.attrs:
            written["sections"] = [self._section(section) for section in sections_of(op)]
        proto.attr[native.ATTRIBUTE].s = native.dumps(written)
        return proto

    def _section(self, section: Section) -> dict[str, Any]:
        return {
            "index": section.index,
            "word": section.word,
            "outer": None if section.outer is None else section.outer.index,
            "parameters": [self.scope.part(t).name for t in section.parameters],
            "outputs": [self.scope.part(t).name for t in section.outputs],
            "targets": [op.name for op in section.targets],
        }

    def _finish(self, made: list[Any], op: Operation, written: Node) -> None:
        node, section = made[-1], self.scope.section
        waits = [f"^{control.name}" for control in op.controls if control.section is op.section]
        node.input.extend([*waits, *[f"^{name}" for name in written.after if len(made) > 1]])
        for part in made:
            if part.name in written.readers:
                part.input.extend(waits)
            part.device = op.device
            if op.section is not section:
                part.attr[SECTION].i = op.section.index
            alone = not part.input or (part is node and not any(t.op.section is section for t in op.inputs))
            if self.scope.pivot and alone:
                part.input.append(f"^{self.scope.pivot}")
            self._append(part)
        for start, end, names in op.graph.get_collection(GRADIENT_OVERRIDES):
            if start <= op.index < end and op.type in dict(names):
                node.attr["_gradient_op_type"].s = dict(names)[op.type].encode()
        for key, value in op.graph.marks.get(op, {}).items():
            node.attr[key].CopyFrom(value)
        if op.colocation:
            node.attr["_class"].list.s.extend(op.colocation_groups())
        if self._add_shapes and op.outputs:
            node.attr["_output_shapes"].list.shape.extend([shape_proto(t.raw_shape) for t in op.outputs])


def _promoted(node: Node, declared: Signature, inputs: list[Part], attrs: dict[str, Any]) -> list[Part]:
    """The inputs, cast to the dtype of the result that they share, or to bool: here, kernels promote dtypes."""
    result = {arg.type: t.dtype.base_dtype for arg, t in zip(declared.outputs, node.op.outputs, strict=False)}
    found = []
    for arg, parts in aligned(declared.inputs, inputs, attrs):
        wanted = dtypes.bool if arg.type == "bool" else None if arg.ref else result.get(arg.type)
        found += [node.as_type(part, wanted) if _castable(part, wanted) else part for part in parts]
    return found


def _castable(part: Part, wanted: Any) -> bool:
    if wanted is None or part.dtype is wanted or part.dtype.numpy.kind not in "biufc":
        return False
    return wanted is dtypes.bool or np.result_type(part.dtype.numpy, wanted.numpy) == wanted.numpy


def _inside(op: Operation) -> list[Section]:
    """The sections of an operation, and those nested in them."""
    own = sections_of(op)
    return own + [
        section for outer in own for inner in outer.ops if inner.kind is Kind.CONTROL for section in _inside(inner)
    ]


SECTION = "_weftwork_section"
"""The attribute with the number of the section, in an operation that only Weftwork has, that contains the node."""


# Public functions


def as_graph_def(graph: Graph, from_version: int | None = None, add_shapes: bool = False) -> Any:
    """The GraphDef of a graph, with TensorFlow's operations where they are equivalent; only Weftwork reads the others.

    from_version: write only what was added after the graph's `version` had this value.
    add_shapes: write each node's output shapes to the attribute `_output_shapes`.
    Raises ImportError if TensorBoard, which ships the protocol buffers, is not installed.
    """
    if graph.back_edges:
        seams.close_loops(graph)
    definition = protos("graph").GraphDef()
    definition.versions.producer = PRODUCER
    writer = GraphWriter(graph, add_shapes)
    writer.all([op for op in graph.get_operations() if op.index >= (from_version or 0)])
    definition.node.extend(writer.out)
    return definition


def node_def(op: Operation) -> Any:
    """The NodeDef of an operation, as `as_graph_def` writes it."""
    writer = GraphWriter(op.graph)
    writer.write(op)
    return next(node for node in reversed(writer.out) if node.name == op.name)


def op_def(op: Operation) -> Any:
    """The OpDef of an operation: TensorFlow's, else one that describes its inputs and outputs."""
    written = node_def(op)
    declared = signature(written.op)
    if declared is not None and native.ATTRIBUTE not in written.attr:
        return signatures.op_def(declared)
    definition = protos("op_def").OpDef(name=op.type, is_stateful=op.kind not in (Kind.PURE, Kind.CONSTANT))
    for word, tensors, field in (
        ("input", op.inputs, definition.input_arg),
        ("output", op.outputs, definition.output_arg),
    ):
        for number, tensor in enumerate(tensors):
            field.add(name=f"{word}_{number}", type=tensor.dtype.as_datatype_enum)
    return definition


def get_attr(op: Operation, name: str) -> Any:
    """An attribute in TensorFlow's form. Raises KeyError if the operation has no such attribute."""
    written = node_def(op).attr
    return attr_of(written[name]) if name in written else op.attrs[name]


seams.graph_def, seams.node_def, seams.op_def, seams.get_attr = as_graph_def, node_def, op_def, get_attr
seams.attr_of = attr_of
