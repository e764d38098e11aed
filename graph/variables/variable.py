"""Variable: state that a session keeps between runs. The graph holds its definition, each session its own value.

A variable `w` consists of four operations: `w/initial_value`, the reference `w`, `w/Assign` (the initializer) and
`w/read`, the read that stands for the variable wherever a tensor is expected.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from weftwork.graph import shapes
from weftwork.graph.build import STANDING, apply, as_tensor, convert_to_tensor, graph_of, pass_through
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.export import variable_at
from weftwork.graph.graph import GraphKeys
from weftwork.graph.names import with_scope, without_scope
from weftwork.graph.operation import Kind, Operation, Symbolic, Tensor
from weftwork.graph.operators import Operators
from weftwork.graph.protos import protos
from weftwork.graph.references import Reference
from weftwork.graph.scopes import name_scope
from weftwork.graph.seams import seams
from weftwork.graph.stacks import get_default_graph, get_default_session, local
from weftwork.graph.variables import writes as state_ops
from weftwork.graph.variables.creators import Created
from weftwork.graph.variables.guarding import safe_initial
from weftwork.graph.variables.modes import VariableAggregation as VariableAggregation
from weftwork.graph.variables.modes import VariableSynchronization as VariableSynchronization
from weftwork.graph.variables.modes import checked_modes
from weftwork.graph.variables.scattering import Scattering
from weftwork.graph.variables.slices import SaveSliceInfo


class Variable(Scattering, Operators, Symbolic, metaclass=Created):  # type: ignore[metaclass]
    """State that belongs to each session that runs the graph.

    initial_value: a tensor, something that converts to one, or a function that returns one.
    trainable: also add it to the collection that optimizers train.
    validate_shape=False: the shape may change and need not be known.
    shape: the shape of all values it may have, if it is not that of the initial value.
    caching_device: the device recorded for its cached read; values are available on every machine of a session.
    use_resource, synchronization, aggregation: accepted and ignored; there is one kind of variable, and one copy.
    variable_def: a VariableDef to be made from.   expected_shape: accepted as in TensorFlow.
    Raises ValueError if the initial value is missing or of unknown shape.

        count = tf.Variable(0, name="count")
        more = count.assign_add(1)  # a node that adds 1, each time it runs
        session.run(tf.global_variables_initializer())
        session.run(more)  # 1
    """

    __array_priority__ = 100
    SaveSliceInfo = SaveSliceInfo
    save_slice_info: SaveSliceInfo | None = None
    """The larger variable that it is a part of, or None."""

    def __init__(
        self,
        initial_value: Any = None,
        trainable: bool | None = None,
        collections: Any = None,
        validate_shape: bool = True,
        caching_device: Any = None,
        name: str | None = None,
        variable_def: Any = None,
        dtype: Any = None,
        expected_shape: Any = None,
        import_scope: str | None = None,
        constraint: Any = None,
        use_resource: bool | None = None,
        synchronization: VariableSynchronization = VariableSynchronization.AUTO,
        aggregation: VariableAggregation = VariableAggregation.NONE,
        shape: Any = None,
    ):
        if variable_def is not None:
            if initial_value is not None:
                raise ValueError("variable_def and initial_value are mutually exclusive.")
            self.__dict__.update(vars(self.from_proto(variable_def, import_scope)))
            return
        if initial_value is None:
            raise ValueError("initial_value must be specified.")
        if constraint is not None and not callable(constraint):
            raise ValueError("The `constraint` argument must be a function.")
        if collections is not None and not isinstance(collections, (list, tuple, set)):
            raise ValueError(
                "collections argument to Variable constructor must be a list, tuple, or set. "
                f"Got {collections!r} of type {type(collections)}"
            )
        trainable = checked_modes(synchronization, aggregation, trainable, name)
        self.trainable = trainable
        self.constraint = constraint
        self._synchronization, self._aggregation = synchronization, aggregation
        dtype = None if dtype is None else as_dtype(dtype).base_dtype
        from_function = callable(initial_value) and as_tensor(initial_value) is None
        graph = graph_of([] if from_function else [initial_value])
        with graph.as_default(), graph.control_dependencies(None), graph.in_section(None):
            with name_scope(name, "Variable", [] if from_function else [initial_value]) as scope:
                self._build(graph, scope, initial_value, from_function, dtype, validate_shape, caching_device, shape)
        names = [GraphKeys.GLOBAL_VARIABLES] if collections is None else list(collections)
        if trainable and GraphKeys.TRAINABLE_VARIABLES not in names:
            names.append(GraphKeys.TRAINABLE_VARIABLES)
        graph.add_to_collections(names, self)

    def _build(
        self, graph, scope: str, initial_value: Any, from_function: bool, dtype, validate_shape: bool, cached: Any,
        given_shape: Any,
    ) -> None:  # fmt: skip
        first = len(graph.operations)
        if from_function:
            with graph.name_scope("Initializer"), graph.device(None):
                initial = convert_to_tensor(initial_value(), dtype, name="initial_value")
        else:
            initial = convert_to_tensor(initial_value, dtype, name="initial_value")
        if initial.op.section is not None:
            raise ValueError(
                f"Initializer for variable {scope} is from inside a control-flow construct, such as a loop or "
                "conditional. When creating a variable inside a loop or conditional, use a lambda as the initializer."
            )
        self._initial_value = initial
        kind = initial.dtype.base_dtype
        if validate_shape and not shapes.is_full(initial.raw_shape) and kind.numpy.kind != "O":
            raise ValueError(f"initial_value must have a shape specified: {initial}")
        shape = initial.raw_shape if validate_shape else None
        if given_shape is not None:
            shape = shapes.as_raw(given_shape)
            if not shapes.compatible(shape, initial.raw_shape):
                raise ValueError(
                    f"The variable's shape is {given_shape}, but its initial value is {initial}. "
                    f"{shapes.difference(shape, initial.raw_shape)}"
                )
        self._op = graph.add(Kind.VARIABLE, "VariableV2", outputs=[(kind._as_ref, shape)], name=scope, pinned=True)
        for op in graph.operations[first : self._op.index] if from_function else ():
            if op.name.startswith(scope):
                op.colocation = op.colocation or (self._op.name,)
        self._op.container = self._op.container or ""
        self._variable = self._op.outputs[0]
        guarded = safe_initial(initial, graph)
        check = shape if validate_shape and kind.numpy.kind != "O" else None
        self._initializer = state_ops.write(
            Kind.ASSIGN,
            "Assign",
            state_ops.assign_value,
            self._variable,
            [guarded],
            {"dtype": state_ops.stored_dtype(kind), "shape": check, "_initializer": True},
            initial.raw_shape,
            "Assign",
        ).op
        with nullcontext() if cached is None else graph.device(cached):
            read = graph.add(
                Kind.READ,
                "Identity",
                inputs=(self._variable,),
                attrs={"_variable": self._op.name},
                outputs=[(kind, shape)],
                name="read",
                colocate=self._op if cached is None else None,
                pinned=True,
            )
        self._snapshot = read.outputs[0]

    # Properties

    @property
    def op(self) -> Operation:
        """The operation that stands for the variable."""
        return self._op

    @property
    def name(self) -> str:
        """`OPERATION:0`."""
        return self._variable.name

    @property
    def _shared_name(self) -> str:
        return self._op.name

    @property
    def graph(self):
        """The graph that defines it."""
        return self._op.graph

    @property
    def device(self) -> str:
        """The requested device."""
        return self._op.device

    @property
    def dtype(self):
        """The dtype of the reference, e.g. float32_ref; `dtype.base_dtype` is the dtype of the values."""
        return self._variable.dtype

    @property
    def shape(self) -> shapes.TensorShape:
        """The shape, as far as it is fixed."""
        return self._variable.shape

    def get_shape(self) -> shapes.TensorShape:
        """The same as `shape`."""
        return self.shape

    def set_shape(self, shape: Any) -> None:
        """Add what you know about the shape."""
        self._variable.set_shape(shape)
        self._snapshot.set_shape(shape)

    @property
    def initializer(self) -> Operation:
        """The operation that assigns the initial value."""
        return self._initializer

    @property
    def initial_value(self) -> Tensor:
        """The tensor of the initial value."""
        return self._initial_value

    def initialise_from(self, value: Tensor) -> None:
        """Use the tensor `value` as the initial value from now on."""
        self._initial_value = value
        attrs = dict(self._initializer.attrs)
        kind, shape = Kind.ASSIGN, self._variable.raw_shape
        with self.graph.as_default(), self.graph.control_dependencies(None), name_scope(self._op.name + "/"):
            result = state_ops.write(
                kind, "Assign", state_ops.assign_value, self._variable, [value], attrs, shape, "Assign"
            )
        self._initializer = result.op

    def initialized_value(self) -> Tensor:
        """The value, or the initial value if there is none yet."""
        return state_ops.initialized_value(self, self._initializer.inputs[1])

    def _as_graph_element(self) -> Tensor:
        return self._variable

    @property
    def _save_slice_info(self) -> SaveSliceInfo | None:
        return self.save_slice_info

    def _get_save_slice_info(self) -> SaveSliceInfo | None:
        return self.save_slice_info

    def _set_save_slice_info(self, save_slice_info: SaveSliceInfo) -> None:
        self.save_slice_info = save_slice_info

    def _ref(self) -> Tensor:
        return self._variable

    # Reading

    def value(self) -> Tensor:
        """The cached read: the value at the moment when the node that uses it runs.

        While a function is traced: the value at this line of the function.
        """
        tracing = local.tracing
        return self._snapshot if tracing is None else tracing.read(self, self._snapshot)

    def read_value(self) -> Tensor:
        """A separate read: the value at the moment when this operation runs."""
        with self.graph.as_default():
            return apply(
                pass_through,
                [self._variable],
                type="Identity",
                name="read",
                dtype=self.dtype.base_dtype,
                shape=self._variable.raw_shape,
            )

    def eval(self, session: Any = None) -> Any:
        """The value in `session` or the default session."""
        return self._variable.eval(session=session)

    def load(self, value: Any, session: Any = None) -> None:
        """Set the value in `session` or the default session. Raises ValueError if there is neither."""
        session = session or get_default_session()
        if session is None:
            raise ValueError("Either session argument should be provided or default session should be established")
        session.run(self._initializer, {self._initializer.inputs[1]: value})

    # Writing

    def assign(self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> Any:
        """Set the variable to `value`; the result is the new value, available once it is assigned."""
        out = state_ops.assign(self._variable, value, use_locking=use_locking, name=name)
        return out if read_value else out.op

    def assign_add(
        self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> Any:
        """Add to the variable; the result is the sum, available once it is assigned."""
        out = state_ops.assign_add(self._variable, delta, name=name)
        return out if read_value else out.op

    def assign_sub(
        self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> Any:
        """Subtract from the variable; the result is the difference, available once it is assigned."""
        out = state_ops.assign_sub(self._variable, delta, name=name)
        return out if read_value else out.op

    def count_up_to(self, limit: int) -> Tensor:
        """See `weftwork.count_up_to`.

        limit: the largest value, an int.
        """
        return state_ops.count_up_to(self._variable, limit)

    def is_initialized(self, name: str | None = None) -> Tensor:
        """A boolean: whether it has a value."""
        return state_ops.is_variable_initialized(self, name)

    @property
    def synchronization(self) -> VariableSynchronization:
        """The setting given at creation; it has no effect."""
        return getattr(self, "_synchronization", VariableSynchronization.AUTO)

    @property
    def aggregation(self) -> VariableAggregation:
        """The setting given at creation; it has no effect."""
        return getattr(self, "_aggregation", VariableAggregation.NONE)

    def experimental_ref(self) -> Reference:
        """A dictionary key for this variable; `deref()` returns the variable."""
        return Reference(self)

    ref = experimental_ref

    # NumPy's protocols, through the cached read

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return self.value().__array_ufunc__(ufunc, method, *inputs, **kwargs)

    def __array_function__(self, func, types, args, kwargs):
        return self.value().__array_function__(func, types, args, kwargs)

    def __getitem__(self, item: Any, /) -> Tensor:
        return self.value()[item]

    def __array__(self, dtype=None, copy=None):
        return self._snapshot.__array__()

    def __iter__(self):
        raise TypeError("'Variable' object is not iterable.")

    def __eq__(self, other):
        return self is other

    def __ne__(self, other):
        return self is not other

    def __hash__(self):
        return id(self)

    def __repr__(self) -> str:
        return f"<tf.Variable '{self.name}' shape={shapes.text(self._variable.raw_shape)} dtype={self.dtype.name}>"

    # Protocol buffers

    def to_proto(self, export_scope: str | None = None) -> Any:
        """The VariableDef: the names of its operations, relative to `export_scope`; None if it is outside that scope.

        Raises ImportError if TensorBoard is not installed.
        """
        if export_scope and not self.name.startswith(f"{export_scope.rstrip('/')}/"):
            return None
        definition = protos("variable").VariableDef(
            variable_name=without_scope(self.name, export_scope),
            initializer_name=without_scope(self._initializer.name, export_scope),
            snapshot_name=without_scope(self._snapshot.name, export_scope),
            initial_value_name=without_scope(self._initial_value.name, export_scope),
            trainable=self.trainable,
            synchronization=self.synchronization.value,
            aggregation=self.aggregation.value,
        )
        if self.save_slice_info is not None:
            definition.save_slice_info_def.MergeFrom(self.save_slice_info.to_proto(export_scope))
        return definition

    @classmethod
    def from_proto(cls, variable_def: Any, import_scope: str | None = None) -> Variable:
        """The variable for a VariableDef, whose operations are in the default graph, under `import_scope`.

        variable_def: a VariableDef.
        Raises KeyError if one of them is missing.
        """
        graph = get_default_graph()
        variable = cls.__new__(cls)

        def found(name: str) -> Any:
            return graph.as_graph_element(with_scope(name, import_scope))

        variable._variable = found(variable_def.variable_name)
        variable._op = variable._variable.op
        variable._initializer = found(variable_def.initializer_name)
        variable._snapshot = found(variable_def.snapshot_name)
        named = variable_def.initial_value_name
        variable._initial_value = found(named) if named else variable._initializer.inputs[1]
        variable.trainable, variable.constraint = variable_def.trainable, None
        variable._synchronization = VariableSynchronization(variable_def.synchronization)
        variable._aggregation = VariableAggregation(variable_def.aggregation)
        if variable_def.HasField("save_slice_info_def"):
            slice_def = variable_def.save_slice_info_def
            variable.save_slice_info = SaveSliceInfo(save_slice_info_def=slice_def, import_scope=import_scope)
        return variable

    # Plain data

    def to_flat(self) -> dict[str, Any]:
        """The data that recreates the variable in a copy of its graph: numbers of its operations."""
        return {
            "op": self._op.index,
            "read": self._snapshot.op.index,
            "initializer": self._initializer.index,
            "initial_value": (self._initial_value.op.index, self._initial_value.index),
            "trainable": self.trainable,
            "constraint": self.constraint,
            "slice": self.save_slice_info,
        }

    @classmethod
    def from_flat(cls, graph: Any, flat: dict[str, Any]) -> Variable:
        """Recreate the variable from the data of `to_flat`."""
        ops = graph.operations
        variable = cls.__new__(cls)
        variable._op = ops[flat["op"]]
        variable._variable = variable._op.outputs[0]
        variable._snapshot = ops[flat["read"]].outputs[0]
        variable._initializer = ops[flat["initializer"]]
        at, output = flat["initial_value"]
        variable._initial_value = ops[at].outputs[output]
        variable.trainable, variable.constraint = flat["trainable"], flat["constraint"]
        variable.save_slice_info = flat.get("slice")
        return variable

    def __reduce__(self):
        return variable_at, (self.graph, self.to_flat())


seams.variable_class = Variable
STANDING.append((Variable, Variable.value))
