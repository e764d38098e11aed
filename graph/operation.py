"""A graph's nodes, and the tensors that flow between them.

Operation   a node: the function to call (`kernel`), its arguments (`inputs`, `attrs`) and what must run before it
            (`control_inputs`).
Tensor      one output of an operation: a promise of a value, never the value.
Kind        what the scheduler must know about a node: whether it is pure, and how it uses state.

Invariant: an operation's inputs and control inputs were created earlier, in the same graph. So creation order is a
topological order, and a graph cannot have a cycle.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from weftwork.graph import shapes
from weftwork.graph.dtypes import DType
from weftwork.graph.names import output_name
from weftwork.graph.operators import Operators
from weftwork.graph.python.ownership import add_atoms
from weftwork.graph.references import Reference
from weftwork.graph.seams import seams
from weftwork.graph.sentinels import UNINITIALIZED as UNINITIALIZED
from weftwork.graph.sentinels import Uninitialized as Uninitialized
from weftwork.graph.source import Source
from weftwork.graph.stacks import session_for
from weftwork.graph.traits import Traits as Traits  # older pickles refer to it here

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from weftwork.graph.graph import Graph

    R = TypeVar("R", default=Any, covariant=True)

    class Symbolic(Any):
        """A tensor stands for its value wherever a function takes one, so it matches every annotation."""

else:
    R = TypeVar("R", covariant=True)

    class Symbolic:
        __slots__ = ()


class Kind(enum.Enum):
    """How a node behaves at run time. The kernel's first arguments differ by kind."""

    CONSTANT = "constant"
    """`attrs["value"]` is the value."""
    PLACEHOLDER = "placeholder"
    """Has no value unless it is fed."""
    PURE = "pure"
    """kernel(*values): the same inputs give the same output. May be merged, folded and repeated."""
    FUNCTION = "function"
    """kernel(*values): a user's Python function that may do anything. Runs once for each node and run."""
    RANDOM = "random"
    """kernel(generator, *values): draws from the node's own random stream, which the session keeps."""
    VARIABLE = "variable"
    """A reference to a variable. A node that uses it, or its cached READ, reads the variable at that moment."""
    READ = "read"
    """The cached read of a variable. It is no node at run time, see VARIABLE."""
    PEEK = "peek"
    """kernel(value or UNINITIALIZED, *rest): reads a variable that may have no value."""
    ASSIGN = "assign"
    """kernel(*values) is the variable's new value, which does not depend on the old one."""
    UPDATE = "update"
    """kernel(old, *values) is the variable's new value."""
    CONTROL = "control"
    """Owns sections of the graph (branches or a loop) and runs them (`graph/sections.py`)."""
    QUEUE = "queue"
    """Puts items into a queue of the session or takes items out, and may have to wait (`graph/ops/queues.py`)."""
    NOOP = "noop"
    """Does nothing: only its control inputs matter."""

    __hash__ = object.__hash__  # Enum's own is a Python function, and slower


HANDLES = "_handles"
"""Attribute: how many of the first inputs are handles of queues and the like, which have no values in a run."""
COMPUTES = frozenset({Kind.PURE, Kind.FUNCTION, Kind.RANDOM})
WRITES = frozenset({Kind.ASSIGN, Kind.UPDATE})
REFERENCES = frozenset({Kind.VARIABLE, Kind.READ})


LIBRARY = Traits()
_NO_ATTRS: Mapping[str, Any] = {}
_UNSENT = ("__weakref__", "compiled", "measured")  # they belong to this process
_STATIC = " In a weftwork.function, name an argument in static=(...) if its value is to steer the function."
"""Advice for error messages about symbolic tensors."""


class Operation:
    """A node of a graph. Made by the functions that build graphs; do not construct it yourself.

    section: the section that contains it (a control-flow operation owns that); None outside all sections.
    compiled: for a control-flow operation, what a run has compiled from it, or None. It lives as long as the operation.
    index: its place in the graph.   measured: what its runs in this process have taken, or None.
    type, kind, kernel, attrs, outputs, control_inputs, traits: what it does, with what, after what.
    source, device, colocation: where it was made, and where it should run.
    """

    __slots__ = (
        "__weakref__",
        "attrs",
        "colocation",
        "compiled",
        "container",
        "controls",
        "device",
        "graph",
        "index",
        "inputs",
        "kernel",
        "kind",
        "measured",
        "name",
        "outputs",
        "section",
        "source",
        "traits",
        "type",
    )

    def __init__(
        self,
        graph: Graph,
        index: int,
        name: str,
        type: str,
        kind: Kind,
        kernel: Callable[..., Any] | None,
        inputs: tuple[Tensor, ...],
        attrs: Mapping[str, Any],
        outputs: list[tuple[DType, shapes.RawShape]],
        control_inputs: tuple[Operation, ...],
        traits: Traits,
        source: Source,
        device: str = "",
        colocation: tuple[str, ...] = (),
        container: str = "",
        section: Any = None,
    ):
        self.graph = graph
        self.index = index
        self.name = name
        self.type = type
        self.kind = kind
        self.kernel = kernel
        self.inputs = inputs
        self.attrs = attrs
        self.controls = control_inputs
        self.traits = traits
        self.source = source
        self.device = device
        self.colocation = colocation
        self.container = container
        self.section = section
        self.compiled: Any = None
        self.measured: Any = None
        if len(outputs) == 1:  # the most common case, which this makes twice as fast
            self.outputs: list[Tensor] = [Tensor(self, 0, *outputs[0])]
        else:
            self.outputs = [Tensor(self, i, dtype, shape) for i, (dtype, shape) in enumerate(outputs)]

    @property
    def valued(self) -> tuple[Tensor, ...]:
        """The inputs but for handles."""
        return self.inputs[self.attrs.get(HANDLES, 0) :] if self.kind is Kind.QUEUE else self.inputs

    @property
    def listed(self) -> Operation:
        """The operation that the graph lists in place of this one: usually itself."""
        return self.graph.operations[self.index]

    _id = property(lambda self: self.index + 1)  # what TensorFlow's own programs order operations by
    _input_types = property(lambda self: [t.dtype.base_dtype for t in self.inputs])
    _output_types = property(lambda self: [t.dtype.as_datatype_enum for t in self.outputs])

    @property
    def defined_at(self) -> str:
        """`NAME (defined at FILE:LINE)`, the form used in errors."""
        return f"{self.name} (defined at {self.source.text})"

    @property
    def control_inputs(self) -> list[Operation]:
        """The operations that it waits for, apart from those that make its inputs."""
        return list(self.controls)

    @property
    def traceback(self) -> list[tuple[str, int, str]]:
        """Where the node was created: a list with the one (file, line, function) that is recorded."""
        file, _, line = self.source.text.rpartition(":")
        return [(file, int(line), self.source.function)] if file else []

    @property
    def node_def(self) -> Any:
        """The node as a NodeDef, a protocol buffer; see `Graph.as_graph_def`."""
        return seams.node_def(self)

    @property
    def op_def(self) -> Any:
        """The OpDef of its type: which inputs and outputs such operations have."""
        return seams.op_def(self)

    def get_attr(self, name: str) -> Any:
        """The attribute `name`, in TensorFlow's form. Raises ValueError if the node has no such attribute."""
        if name == "_class" and self.colocation:
            return self.colocation_groups()
        if name == "container":
            return self.container.encode()
        marks = self.graph.marks.get(self)
        if marks is not None and name in marks:
            return seams.attr_of(marks[name])
        try:
            return seams.get_attr(self, name)
        except KeyError:
            raise ValueError(f"Operation '{self.name}' has no attr named '{name}'.") from None

    def colocation_groups(self) -> list[bytes]:
        """The groups of nodes that must be placed together, `[b"loc:@name"]`."""
        return [f"loc:@{name}".encode() for name in self.colocation or (self.name,)]

    @property
    def _control_outputs(self) -> list[Operation]:
        """The operations that wait for this one through a control input."""
        return [op for op in self.graph.operations[self.index :] if self in op.controls]

    def wait_for(self, ops: Iterable[Operation]) -> None:
        """Wait for further `ops`. Sessions that have run this one may go on without; they refuse a cycle."""
        seams.wait_for(self, ops)

    _add_control_inputs = wait_for

    def _add_control_input(self, op: Operation) -> None:
        self.wait_for([op])

    def _update_input(self, index: int, tensor: Tensor) -> None:
        """Replace an input. A tensor that depends on this operation, a Merge, closes a loop made by hand."""
        seams.update_input(self, index, tensor)

    def _remove_all_control_inputs(self) -> None:
        self.controls = ()
        self.graph.cycles.pop(self, None)

    def _set_device(self, device: Any) -> None:
        self.device = str(device)

    def _set_attr(self, name: str, value: Any) -> None:
        """Set a further attribute, an AttrValue, which only `get_attr` and `node_def` show."""
        self.graph.marks.setdefault(self, {})[name] = value

    @property
    def _original_op(self) -> Operation | None:
        """The operation that this one was made for (`Graph._original_op`)."""
        return self.graph.originals.get(self)

    def _get_control_flow_context(self) -> Any:
        return None if self.section is None else self.section.context_around

    _control_flow_context = property(_get_control_flow_context)

    def values(self) -> tuple[Tensor, ...]:
        """The outputs."""
        return tuple(self.outputs)

    def run(self, feed_dict: Mapping[Any, Any] | None = None, session: Any = None) -> None:
        """Run this operation, and everything it depends on, in `session` or the default session."""
        session_for(self.graph, session, "execute operation", "run").run(self, feed_dict)

    def __reduce__(self):
        if self.listed is self:
            return operation_at, (self.graph, self.index)
        given = {name: getattr(self, name) for name in self.__slots__ if name not in _UNSENT}
        given["control_inputs"] = given.pop("controls")
        given["outputs"] = [(t.dtype, t.raw_shape) for t in self.outputs]
        given["section"] = None if self.section is None else self.section.index
        return operation_beside, (given,)

    def __str__(self) -> str:
        try:
            return str(self.node_def)
        except ImportError:  # without TensorBoard
            return repr(self)

    def __repr__(self) -> str:
        return f"<tf.Operation '{self.name}' type={self.type}>"


class Tensor(Operators, Generic[R], Symbolic):
    """An output of an operation. It holds no value; NumPy functions and operators on it make new nodes.

    For type checkers and readers, `Tensor[int]` is a tensor whose value is an int.
    Operators and NumPy functions use NumPy's protocols (NEP 13, NEP 18). Equality is identity.
    raw_shape: the known part of the shape, as `shapes.RawShape`, which is faster to use than `shape`.
    number: its index among the tensors of the graph; -1 if the graph does not list it.
    """

    __slots__ = ("__weakref__", "dtype", "index", "number", "op", "raw_shape")

    __array_priority__ = 100

    def __init__(self, op: Operation, index: int, dtype: DType, shape: shapes.RawShape):
        self.op = op
        self.index = index
        self.dtype = dtype
        self.raw_shape = shape
        self.number = -1

    @property
    def name(self) -> str:
        """`OPERATION:INDEX`; `cond/Merge_1:0` for the second result of a branch or a loop."""
        op, index = self.op, self.index
        return output_name(op.graph._by_name, op, index) if index else f"{op.name}:0"

    @property
    def value_index(self) -> int:
        """The index of this output among its operation's outputs."""
        return self.index

    @property
    def graph(self) -> Graph:
        """The graph that contains it."""
        return self.op.graph

    @property
    def device(self) -> str:
        """The device requested for its operation."""
        return self.op.device

    @property
    def shape(self) -> shapes.TensorShape:
        """The shape as far as it is known before anything runs."""
        return shapes.TensorShape(self.raw_shape)

    def get_shape(self) -> shapes.TensorShape:
        """The same as `shape`."""
        return self.shape

    def set_shape(self, shape: Any) -> None:
        """Add what you know about the shape. Raises ValueError if it contradicts what is known already."""
        self.raw_shape = shapes.agreed(self.raw_shape, shapes.as_raw(shape))

    @property
    def assign(self) -> Callable[..., Any]:
        """For a slice of a variable: `assign(value)`, the new value of the whole variable. Other tensors have none."""
        op = self.op
        if op.type == "StridedSlice" and "spec" in op.attrs:
            if (read := op.inputs[0].op).kind in REFERENCES or read.type == "ReadVariableOp":
                return functools.partial(seams.assign_slice, self)
        raise AttributeError("'Tensor' object has no attribute 'assign': it is not a slice of a variable.")

    def experimental_ref(self) -> Reference:
        """A dictionary key for this tensor; `deref()` returns the tensor."""
        return Reference(self)

    ref = experimental_ref

    def consumers(self) -> list[Operation]:
        """The operations that use this tensor as an input, once for each such input."""
        return [op for op in self.graph.get_operations() for t in op.inputs if t is self]

    def eval(self, feed_dict: Mapping[Any, Any] | None = None, session: Any = None) -> Any:
        """The value, computed in `session` or the default session."""
        return session_for(self.graph, session, "evaluate tensor", "eval").run(self, feed_dict)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return seams.array_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func, types, args, kwargs):
        return seams.array_function(func, args, kwargs)

    def __getitem__(self, item: Any, /) -> Tensor:
        return seams.getitem(self, item)

    def __array__(self, dtype=None, copy=None):
        raise NotImplementedError(f"Cannot convert a symbolic Tensor ({self.name}) to a numpy array.")

    def __bool__(self):
        raise TypeError(
            "using a `tf.Tensor` as a Python `bool` is not allowed in Graph execution. Use `if t is not None:` instead "
            "of `if t:` to test if a tensor is defined, and use TensorFlow ops such as tf.cond to execute subgraphs "
            f"conditioned on the value of a tensor.{_STATIC}\n\t [[node {self.op.defined_at}]]"
        )

    def __iter__(self):
        raise TypeError(
            "iterating over `tf.Tensor` is not allowed in Graph execution: Tensor objects are only iterable when eager "
            "execution is enabled. To iterate over this tensor use tf.map_fn or tf.unstack."
            f"\n\t [[node {self.op.defined_at}]]"
        )

    def __len__(self):
        raise TypeError(
            f"len is not well defined for symbolic Tensors. ({self.name}) Please call `x.shape` rather than `len(x)` "
            "for shape information."
        )

    def __float__(self):
        raise TypeError(f"float() argument must be a number, not the symbolic Tensor {self.name}: run it.{_STATIC}")

    def __int__(self):
        raise TypeError(f"int() argument must be a number, not the symbolic Tensor {self.name}: run it.{_STATIC}")

    __index__ = __int__

    def __eq__(self, other):
        return self is other

    def __ne__(self, other):
        return self is not other

    __hash__ = object.__hash__  # type: ignore[assignment]  # not a Python function: planning looks up millions

    def __reduce__(self):
        return tensor_at, (self.op, self.index)

    def __repr__(self) -> str:
        return f"<tf.Tensor '{self.name}' shape={shapes.text(self.raw_shape)} dtype={self.dtype.name}>"

    def _repr_html_(self) -> str:
        return seams.tensor_html(self)

    def __str__(self) -> str:
        shape = "" if self.raw_shape is None else f", shape={shapes.text(self.raw_shape)}"
        return f'Tensor("{self.name}"{shape}, dtype={self.dtype.name})'


def operation_at(graph: Graph, index: int) -> Operation:
    """Find a pickled Operation in its graph."""
    return graph.operations[index]


def operation_beside(given: dict[str, Any]) -> Operation:
    """Rebuild a pickled Operation that is not listed in a graph, but is part of one that is."""
    section = given["section"]
    return Operation(**{**given, "section": None if section is None else given["graph"].sections[section]})


def tensor_at(op: Any, *places: int) -> Tensor:
    """Find a pickled Tensor by (operation, output), or by (graph, operation's index, output) of older versions."""
    *index, output = places
    return (op.operations[index[0]] if index else op).outputs[output]


add_atoms(Operation, Operators)
