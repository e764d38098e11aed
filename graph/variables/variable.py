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
from weftwork.graph.operation import Kind, Operation, Symbolic, Tensor
from weftwork.graph.operators import Operators
from weftwork.graph.references import Reference
from weftwork.graph.scopes import name_scope
from weftwork.graph.seams import seams
from weftwork.graph.stacks import get_default_session, local
from weftwork.graph.variables import writes as state_ops
from weftwork.graph.variables.creators import Created
from weftwork.graph.variables.guarding import safe_initial
from weftwork.graph.variables.modes import VariableAggregation as VariableAggregation
from weftwork.graph.variables.modes import VariableSynchronization as VariableSynchronization
from weftwork.graph.variables.modes import checked_modes, wants_resource
from weftwork.graph.variables.scattering import Scattering
from weftwork.graph.variables.slices import SaveSliceInfo
from weftwork.graph.variables.storing import Storing


class Variable(Scattering, Storing, Operators, Symbolic, metaclass=Created):  # type: ignore[metaclass]
    """State that belongs to each session that runs the graph.

    initial_value: a tensor, something that converts to one, or a function that returns one.
    trainable: also add it to the collection that optimizers train.
    validate_shape=False: the shape may change and need not be known.
    shape: the shape of all values it may have, if it is not that of the initial value.
    caching_device: the device recorded for its cached read; values are available on every machine of a session.
    use_resource: True makes a resource variable (`ResourceVariable`), whose reads are operations; None takes the
        variable scope's setting, else that of `enable_resource_variables`.
    synchronization, aggregation: accepted and ignored; there is one copy.
    variable_def: a VariableDef to be made from.   expected_shape: accepted as in TensorFlow.
    Raises ValueError if the initial value is missing or of unknown shape.

        count = tf.Variable(0, name="count")
        more = count.assign_add(1)  # a node that adds 1, each time it runs
        session.run(tf.global_variables_initializer())
        session.run(more)  # 1
    """

    __array_priority__ = 100
    SaveSliceInfo = SaveSliceInfo
    is_resource = False
    """True for a resource variable (`use_resource=True`)."""

    def __new__(cls, *args: Any, **kwargs: Any):
        if cls is Variable and wants_resource(args, kwargs):
            cls = seams.resource_variable
        return super().__new__(cls)

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
            raise ValueError("The `constraint` argument must be a callable.")
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
        with graph.as_default(), graph.control_dependencies(None):
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
        initial = self._initial(graph, initial_value, from_function, dtype)
        if initial.op.section is not None:
            raise ValueError(
                f"Initializer for variable {scope} is from inside a control-flow construct, such as a loop or "
                "conditional. When creating a variable inside a loop or conditional, use a lambda as the initializer."
            )
        self._initial_value = initial
        kind = initial.dtype.base_dtype
        fixed = validate_shape and not self.is_resource  # a resource variable may leave its shape open
        if fixed and not shapes.is_full(initial.raw_shape) and kind.numpy.kind != "O":
            raise ValueError(f"initial_value must have a shape specified: {initial}")
        shape = initial.raw_shape if validate_shape or self.is_resource else None
        if given_shape is not None:
            shape = shapes.as_raw(given_shape)
            if not shapes.compatible(shape, initial.raw_shape):
                raise ValueError(
                    f"The variable's shape is {given_shape}, but its initial value is {initial}. "
                    f"{shapes.difference(shape, initial.raw_shape)}"
                )
        self._op = self._add_operation(graph, scope, kind, shape)
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
        self._snapshot = self._add_read(graph, cached)

    def _initial(self, graph: Any, given: Any, from_function: bool, dtype: Any) -> Tensor:
        """The initial value as a tensor."""
        if not from_function:
            return convert_to_tensor(given, dtype, name="initial_value")
        with graph.name_scope("Initializer"), graph.device(None):
            return convert_to_tensor(given(), dtype, name="initial_value")

    def _add_operation(self, graph: Any, scope: str, kind: Any, shape: shapes.RawShape) -> Operation:
        """The operation that stands for the variable."""
        return graph.add(Kind.VARIABLE, "VariableV2", outputs=[(kind._as_ref, shape)], name=scope, pinned=True)

    def _add_read(self, graph: Any, caching_device: Any) -> Tensor:
        """The cached read."""
        with nullcontext() if caching_device is None else graph.device(caching_device):
            read = graph.add(
                Kind.READ,
                "Identity",
                inputs=(self._variable,),
                attrs={"_variable": self._op.name},
                outputs=[(self._variable.dtype.base_dtype, self._variable.raw_shape)],
                name="read",
                colocate=self._op if caching_device is None else None,
                pinned=True,
            )
        return read.outputs[0]

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
    def raw_shape(self) -> shapes.RawShape:
        """The shape as a tuple, None where it is not known."""
        return self._variable.raw_shape

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
        kind, shape = Kind.ASSIGN, self.raw_shape
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
        return state_ops.result(state_ops.assigned(self._variable, value, name=name), self, read_value)

    def assign_add(
        self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> Any:
        """Add to the variable; the result is the sum, available once it is assigned."""
        written = state_ops.update("AssignAdd", state_ops.add_value, self._variable, delta, name)
        return state_ops.result(written, self, read_value)

    def assign_sub(
        self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> Any:
        """Subtract from the variable; the result is the difference, available once it is assigned."""
        written = state_ops.update("AssignSub", state_ops.subtract_value, self._variable, delta, name)
        return state_ops.result(written, self, read_value)

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

    def __reduce__(self):
        return variable_at, (self.graph, self.to_flat())


seams.variable_class = Variable
STANDING.append((Variable, Variable.value))
