"""Graph: the definition of a computation. It holds no value and knows nothing of sessions.

Operations are kept in creation order, which is a topological order. A graph also keeps names, collections, and the
scopes in which the next operation will be created.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from weftwork.graph import shapes, stacks
from weftwork.graph.dead import skipped_if_dead
from weftwork.graph.drawn import Drawn
from weftwork.graph.dtypes import DType, as_dtype
from weftwork.graph.elements import Elements
from weftwork.graph.forgetting import FORGOTTEN, Forgetting
from weftwork.graph.keys import GraphKeys as GraphKeys  # older pickles refer to them here
from weftwork.graph.keys import NoKernel as NoKernel
from weftwork.graph.names import Names, check_op_name, check_scope_name
from weftwork.graph.operation import _NO_ATTRS, LIBRARY, Kind, Operation, Tensor, Traits
from weftwork.graph.python.ownership import add_atoms
from weftwork.graph.scopes import Scopes
from weftwork.graph.seams import seams
from weftwork.graph.sections import Section, check_use
from weftwork.graph.source import Source, caller
from weftwork.graph.statistics import GraphStatistics

if TYPE_CHECKING:
    from weftwork.graph.contexts import ControlFlowContext

GRADIENT_OVERRIDES = ("_weftwork_gradient_overrides",)
"""The collection that records each `gradient_override_map`: (first operation, end, names)."""


class Graph(Forgetting, Elements, Drawn):
    """A computation, defined once and run in any number of sessions.

    Any number of threads may build and run it at the same time.
    """

    def __init__(self):
        super().__init__()
        self._operations: list[Operation] = []
        self._statistics = GraphStatistics()
        self._by_name: dict[str, Operation] = {}
        self._names = Names()
        self._sources: dict[tuple[int, int], Source] = {}
        self._scopes = Scopes()
        self._unfeedable: set[Tensor] = set()
        self._unfetchable: set[Operation] = set()
        self._sections: list[Section] = []
        self.seed: int | None = None
        self.weak: set[Tensor] = set()
        """Tensors that stand for Python numbers: next to typed tensors they take their dtype, as the numbers would."""
        self.once = False
        """It runs once, so no worker remembers its nodes, which may hold large arguments."""
        self.gates: Any = None
        """Its nodes that a run gets to whenever they are opened, if it has some."""
        self.runtime: Any = None
        """The session in which plain programs run this graph, once there is one. It lives as long as the graph."""

    # Nodes

    def add(
        self,
        kind: Kind,
        type: str,
        *,
        kernel: Callable[..., Any] | None = None,
        inputs: tuple[Tensor, ...] = (),
        attrs: Mapping[str, Any] = _NO_ATTRS,
        outputs: list[tuple[DType, shapes.RawShape]],
        name: str | None = None,
        traits: Traits = LIBRARY,
        colocate: Operation | None = None,
        pinned: bool = False,
        source: Source | None = None,
    ) -> Operation:
        """Create an operation. This is the only place where a graph grows.

        inputs: tensors of this graph.   outputs: (dtype, raw shape) of each.
        name: the requested name, which is made unique. If it ends in "/", it is used as it is, without the slash.
        colocate: an operation (a variable) that must share this one's place.
        pinned: ignore the control inputs of the open scopes, as variables do.
        kind, type: what the operation is.   kernel, attrs: its function and attributes.   traits: how it may run.
        source: where it was made; by default the caller's line.
        Raises RuntimeError if the graph is finalized, ValueError for a bad name or an input of another graph.
        """
        source = source or caller(self._sources)
        scopes = self._scopes.now()
        section = scopes.section
        for tensor in inputs:
            maker = tensor.op
            if maker.graph is not self:
                raise ValueError(f"{tensor} must be from the same graph as the other inputs of {name or type}.")
            if maker.section is not section:
                check_use(tensor, section, name or type, self._scopes.name)
        if self.dead:
            kind, kernel, inputs = skipped_if_dead(self.dead, kind, kernel, inputs, self.waited_for, len(outputs))
        with self._lock:
            if self._finalized:
                raise RuntimeError("Graph is finalized and cannot be modified.")
            full = self._full_name(name or type)
            op = Operation(
                self, len(self._operations), full, type, kind, kernel, inputs, attrs, outputs, (), traits, source
            )
            if scopes.active:
                self._scopes.apply(op, pinned, placed=colocate is not None)
            if section is not None:
                op.section = section
                section.ops.append(op)
            if colocate is not None:
                op.colocation = colocate.colocation or (colocate.name,)
                op.device = colocate.device
            self._put(op)
        if self._marking:
            self._mark(op)
        if stacks.local.tracing is not None:
            stacks.local.tracing.added(op)
        return op

    def _put(self, op: Operation) -> None:
        self._operations.append(op)
        self._by_name[op.name] = op
        self._statistics.add(op)

    def _full_name(self, name: str) -> str:
        if not isinstance(name, str):
            raise TypeError(f"An operation's name must be a string, but got {name!r}.")
        if name.endswith("/"):
            check_op_name(name[:-1])
            if name[:-1] in self._by_name:
                raise ValueError(f"Duplicate node name in graph: '{name[:-1]}'")
            return name[:-1]
        check_op_name(name)
        scope = self._scopes.name
        return self._names.unique(f"{scope}/{name}" if scope else name)

    def unique_name(self, name: str, mark_as_used: bool = True) -> str:
        """A name in the current name scope that no node has.

        mark_as_used: False only asks what the name would be.
        """
        scope = self._scopes.name
        with self._lock:
            return self._names.unique(f"{scope}/{name}" if scope else name, mark_as_used)

    def named(self, name: str) -> str:
        """The full name, with a slash, for a node that requests `name`; the name is reserved for that node."""
        if not isinstance(name, str):
            raise TypeError(f"An operation's name must be a string, but got {name!r}.")
        if name.endswith("/"):
            return name
        check_op_name(name)
        return self.unique_name(name) + "/"

    def reserve(self, name: str) -> str:
        """Reserve a full name that no node has, ignoring the name scope; only an exact request can get it later."""
        with self._lock:
            return self._names.unique(name)

    @property
    def version(self) -> int:
        """The number of operations ever added."""
        return len(self._operations)

    _last_id = version

    @property
    def _nodes_by_name(self) -> dict[str, Operation]:
        return {op.name: op for op in self.get_operations()}

    @property
    def _nodes_by_id(self) -> dict[int, Operation]:
        return {op.index + 1: op for op in self.get_operations()}

    def get_operations(self) -> list[Operation]:
        """All operations, in creation order."""
        return [op for op in self._operations if op is not FORGOTTEN]

    @property
    def operations(self) -> Sequence[Operation]:
        """All operations by their index, `FORGOTTEN` where one is gone. It is no copy: do not modify it."""
        return self._operations

    @property
    def statistics(self) -> GraphStatistics:
        """The statistics kept while the graph grows. Do not modify them."""
        return self._statistics

    def all_for(self, wanted: Iterable[Operation]) -> tuple[list[Operation], GraphStatistics] | None:
        """All operations and their statistics if a run of `wanted`, each once, needs every operation; else None."""
        with self._lock:
            statistics = self._statistics
            last, end_count = statistics.last, 0
            for op in wanted:
                outputs = op.outputs
                if len(outputs) == 1:
                    end_count += last[outputs[0].number] < 0
                else:
                    end_count += sum([last[t.number] < 0 for t in outputs]) if outputs else 1
            return (self._operations[:], statistics.copy()) if end_count == statistics.ends else None

    def as_graph_def(self, from_version: int | None = None, add_shapes: bool = False) -> Any:
        """The graph as a GraphDef, a protocol buffer that TensorFlow and its tools can read.

        Operations that TensorFlow has are written as TensorFlow's; only Weftwork can read back the others.
        from_version: write only what was added after the graph's `version` had this value.
        add_shapes: write each node's output shapes to the attribute `_output_shapes`.
        Raises ImportError if TensorBoard, which ships the protocol buffers, is not installed.
        """
        return seams.graph_def(self, from_version, add_shapes)

    @property
    def graph_def_versions(self) -> Any:
        """The VersionDef of the graph's GraphDef."""
        return seams.graph_def(self, self.version).versions

    @property
    def devices(self) -> dict[str, Operation]:
        """The requested devices, each with the first operation that requested it."""
        return self._statistics.devices

    def create_op(
        self,
        op_type: str,
        inputs: Sequence[Tensor],
        dtypes: Sequence[DType] | None = None,
        input_types: Any = None,
        name: str | None = None,
        attrs: Mapping[str, Any] | None = None,
        op_def: Any = None,
        compute_shapes: bool = True,
        compute_device: bool = True,
    ) -> Operation:
        """Create an operation of this type. A type that TensorFlow declares runs as it does there.

        attrs: AttrValues or Python values; what follows from the dtypes may be omitted.   dtypes: of the outputs.
        input_types, op_def, compute_shapes, compute_device: accepted as in TensorFlow, without effect.
        An operation of an undeclared type has unknown shapes; it can be named, placed, fed and differentiated
        (`RegisterGradient`), but running it raises UnimplementedError. Raises TypeError for an input that is not a
        tensor, and ValueError for anything that does not fit the declaration.
        """
        for number, tensor in enumerate(inputs):
            if not isinstance(tensor, Tensor):
                raise TypeError(f"Input #{number} is not a tensor: {tensor}")
        wanted = [as_dtype(dtype) for dtype in dtypes or ()]
        with self.as_default():
            made = seams.create_op(self, op_type, inputs, wanted, name or op_type, attrs or {})
        if made is not None:
            return made
        outputs: list = [(dtype, None) for dtype in wanted]
        return self.add(
            Kind.FUNCTION, op_type, kernel=NoKernel(op_type), inputs=tuple(inputs), attrs=dict(attrs or {}),
            outputs=outputs, name=name,
        )  # fmt: skip

    @property
    def building_function(self) -> bool:
        """False: a graph is not being built for a function."""
        return False

    # Scopes

    def as_default(self):
        """A context manager that makes this graph the thread's default."""
        return stacks.graph_scope(self)

    @contextmanager
    def name_scope(self, name: str | None) -> Iterator[str]:
        """Prepend `name/` to the names of operations created inside; yields the full prefix, `a/b/`.

        A name that ends in "/" is re-entered as it is; None or "" returns to the root.
        Raises TypeError for a name that is not a string.
        """
        scopes = self._scopes
        outer = scopes.name
        if name:
            if not isinstance(name, str):
                raise TypeError(f"A name scope's name must be a string, but got {name!r}.")
            check_scope_name(name, inside=bool(outer))
            inner = name[:-1] if name.endswith("/") else self.unique_name(name)
        else:
            inner = ""
        scopes.name = inner
        try:
            yield inner + "/" if inner else ""
        finally:
            scopes.name = outer

    def get_name_scope(self) -> str:
        """The current name scope, without a trailing slash."""
        return self._scopes.name

    @property
    def variable_scope(self) -> Any:
        """The thread's variable scope; None if it has not been created yet."""
        return self._scopes.variables

    @variable_scope.setter
    def variable_scope(self, scope: Any) -> None:
        self._scopes.variables = scope

    def control_dependencies(self, control_inputs: Iterable[Any] | None):
        """A context manager: operations created inside run after `control_inputs`.

        None clears the outer ones, and leaves the branches and loops around, as in TensorFlow.

        Raises TypeError for anything but an Operation or Tensor, ValueError for one of another graph.
        """
        if control_inputs is None:
            return self._scopes.controls(None)
        ops: dict[Operation, None] = {}
        for control in control_inputs:
            held = getattr(control, "op", None) if not isinstance(control, (Tensor, Operation)) else None
            try:
                element = self.as_graph_element(held if isinstance(held, Operation) else control)
            except TypeError as error:
                raise TypeError(f"Control input must be Operation or Tensor: {control!r}. {error}") from None
            ops[element.op if isinstance(element, Tensor) else element] = None
        return self._scopes.controls(list(ops))

    def device(self, device_name_or_function: Any):
        """A context manager that requests a device: a string, a DeviceSpec, a function of the operation, or None."""
        return self._scopes.devices(device_name_or_function)

    def colocate_with(self, op: Any, ignore_existing: bool = False):
        """A context manager: operations created inside are placed with `op`, and with the ops of outer scopes.

        ignore_existing: ignore the outer scopes; `op` may then be None.
        Raises ValueError for None, unless ignore_existing.
        """
        if op is None:
            if not ignore_existing:
                raise ValueError("Trying to reset colocation (op is None) but ignore_existing is not True")
            return self._scopes.colocated(None, ignore_existing)
        element = op._as_graph_element() if hasattr(type(op), "_as_graph_element") else op
        return self._scopes.colocated(element.op if isinstance(element, Tensor) else element, ignore_existing)

    def container(self, container_name: str):
        """A context manager: stateful operations created inside keep their state under `container_name`."""
        return self._scopes.contained(container_name)

    def resources(self, asked: tuple[tuple[str, float], ...], labels: tuple[tuple[str, str], ...] = ()):
        """A context manager: operations created inside request these Ray resources, on a machine with these labels.

        asked: {name: amount}.
        """
        return self._scopes.needing(asked, labels)

    @contextmanager
    def gradient_override_map(self, op_type_map: Mapping[str, str]) -> Iterator[None]:
        """A context manager: operations created inside use the gradient registered under another name.

        op_type_map: from operation type to gradient name. Raises TypeError unless both are strings.
        """
        if not isinstance(op_type_map, dict):
            raise TypeError("op_type_map must be a dictionary mapping strings to strings")
        for key, value in op_type_map.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise TypeError("op_type_map must be a dictionary mapping strings to strings")
        override = [self.version, math.inf, tuple(op_type_map.items())]
        self.get_collection_ref(GRADIENT_OVERRIDES).append(override)
        try:
            yield
        finally:
            override[1] = self.version

    @property
    def place(self) -> tuple:
        """The section of new operations, and the control dependencies that they get; equal if unchanged."""
        return self._scopes.place

    @property
    def waited_for(self) -> list[Operation]:
        """The operations that new operations wait for, because of open control dependencies."""
        return self._scopes.waited_for

    @property
    def section(self) -> Section | None:
        """The section that new operations belong to."""
        return self._scopes.section

    @property
    def sections(self) -> Sequence[Section]:
        """All sections, in creation order. Do not modify it."""
        return self._sections

    def add_section(self, section: Section) -> int:
        """Register a new section and return its index in `sections`."""
        self._sections.append(section)
        return len(self._sections) - 1

    def in_section(self, section: Section | None):
        """A context manager: operations created inside belong to `section`, or for None to the graph itself."""
        return self._scopes.within(section)

    def enter(self, section: Section | None) -> None:
        """From now on, new operations belong to `section`; None means to the graph itself."""
        self._scopes.now().section = section

    def _get_control_flow_context(self) -> ControlFlowContext | None:
        """The branch or the loop that new operations belong to; None outside of all."""
        return None if self.section is None else self.section.context_around

    def _set_control_flow_context(self, context: ControlFlowContext | None) -> None:
        self.enter(None if context is None else context.section)

    def switch_to_thread_local(self) -> None:
        """From now on, each thread has its own device, colocation and control scopes."""
        self._scopes.split()

    def __reduce__(self):
        return Graph, (), seams.flatten_graph(self)

    def __setstate__(self, flat: dict) -> None:
        seams.fill_graph(self, flat)

    def __repr__(self) -> str:
        return f"<tf.Graph with {len(self._operations)} operations>"


seams.new_graph = Graph
add_atoms(Graph)
