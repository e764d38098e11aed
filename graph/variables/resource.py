"""Resource variables: variables that are read by operations of their own, as with `use_resource=True` in TensorFlow.

handle   the operation `w`, a VarHandleOp, and its output of dtype resource
read     a ReadVariableOp: the value at the moment when it runs, after its control inputs. Where a variable stands for a
         tensor, the read is made there, so it waits for the control inputs of that place.
"""

from __future__ import annotations

from typing import Any

from weftwork.graph import shapes
from weftwork.graph.build import STANDING, apply, convert_to_tensor, pass_through
from weftwork.graph.dtypes import DType, resource
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.ops.flow import identity
from weftwork.graph.scopes import name_scope
from weftwork.graph.seams import seams
from weftwork.graph.stacks import local
from weftwork.graph.variables import writes as state_ops
from weftwork.graph.variables.handles import HANDLE, is_handle, value_dtype, value_shape
from weftwork.graph.variables.variable import Variable


def read_handle(handle: Tensor, name: str = "ReadVariableOp") -> Tensor:
    """A node that reads the variable behind a handle when it runs."""
    op = handle.op
    with op.graph.device(op.device or ""):
        return op.graph.add(
            Kind.PURE, "ReadVariableOp", kernel=pass_through, inputs=(handle,),
            outputs=[(value_dtype(op), value_shape(op))], name=name,
        ).outputs[0]  # fmt: skip


def value_now(ref: Tensor) -> Tensor:
    """A node that reads the variable behind a handle or reference when it runs; a copy of any other tensor."""
    if is_handle(ref):
        return read_handle(ref)
    return apply(pass_through, [ref], type="Identity", dtype=ref.dtype.base_dtype, shape=ref.raw_shape)


class ResourceVariable(Variable):
    """A variable whose reads are operations, each of which gives the value at the moment when it runs.

    `tf.Variable` and `tf.get_variable` make one for use_resource=True, also given by a variable scope or by
    `tf.enable_resource_variables()`. Its arguments and methods are those of `tf.Variable`.

        w = tf.Variable(1.0, use_resource=True)
        w.handle.dtype  # tf.resource
        before = w + 0  # reads now: before any write that it does not wait for
        with tf.control_dependencies([w.assign(2.0)]):
            after = w + 0  # 2.0
    """

    is_resource = True
    _cached: Tensor | None = None
    _last_read: tuple[tuple, Tensor] | None = None
    """The last read, and the scopes in which it was made: there, no other one is needed."""

    def _initial(self, graph: Any, given: Any, from_function: bool, dtype: DType | None) -> Tensor:
        with graph.name_scope("Initializer"), graph.device(None):
            return convert_to_tensor(given() if from_function else given, dtype, name="initial_value")

    def _add_operation(self, graph: Any, scope: str, kind: DType, shape: shapes.RawShape) -> Operation:
        attrs = {"dtype": kind, "shape": shape, "shared_name": scope.rstrip("/")}
        op = graph.add(Kind.VARIABLE, HANDLE, attrs=attrs, outputs=[(resource, ())], name=scope, pinned=True)
        with graph.name_scope("IsInitialized"):
            self._is_initialized = state_ops.is_variable_initialized(op.outputs[0])
        return op

    def _add_read(self, graph: Any, caching_device: Any) -> Tensor:
        with graph.name_scope("Read"):
            value = read_handle(self.handle)
            if caching_device is not None:
                with graph.device(caching_device):
                    self._cached = identity(value)
        return value

    # Properties

    @property
    def handle(self) -> Tensor:
        """The tensor, of dtype resource, that stands for the variable itself."""
        return self._variable

    @property
    def dtype(self) -> DType:
        """The dtype of the values, e.g. float32."""
        return value_dtype(self.handle.op)

    @property
    def raw_shape(self) -> shapes.RawShape:
        """The shape of the values as a tuple, None where it is not known."""
        return value_shape(self.handle.op)

    @property
    def shape(self) -> shapes.TensorShape:
        """The shape, as far as it is fixed."""
        return shapes.TensorShape(self.raw_shape)

    def set_shape(self, shape: Any) -> None:
        """Add what you know about the shape."""
        op = self.handle.op
        op.attrs = {**op.attrs, "shape": shapes.merge(self.raw_shape, shapes.as_raw(shape))}
        self._snapshot.set_shape(shape)

    @property
    def create(self) -> Operation:
        """The operation that assigns the initial value."""
        return self._initializer

    def _as_graph_element(self) -> Tensor:
        return self._snapshot

    # Reading

    def value(self) -> Tensor:
        """A read at this place of the program; its cached value if the variable has a caching device."""
        if local.tracing is not None:
            return local.tracing.read(self, self._snapshot)
        if self._cached is not None:
            return self._cached
        place = self.graph.place
        if self._last_read is None or self._last_read[0] != place:
            self._last_read = place, self._read()
        return self._last_read[1]

    def read_value(self) -> Tensor:
        """A separate read: the value at the moment when this operation runs."""
        with self.graph.as_default():
            with name_scope("Read"):
                value = self._read()
            return identity(value)

    def _read(self) -> Tensor:
        return read_handle(self.handle)

    def eval(self, session: Any = None) -> Any:
        """The value in `session` or the default session."""
        return self._snapshot.eval(session=session)

    def numpy(self) -> Any:
        """Raise NotImplementedError: a variable has no value while a graph is built."""
        raise NotImplementedError("numpy() is only available when eager execution is enabled.")

    def __array__(self, dtype=None, copy=None):
        return self.numpy()

    def __repr__(self) -> str:
        return f"<tf.Variable '{self.name}' shape={shapes.text(self.raw_shape)} dtype={self.dtype.name}>"

    def to_proto(self, export_scope: str | None = None) -> Any:
        """As `Variable.to_proto`; the VariableDef says that it is a resource variable."""
        definition = super().to_proto(export_scope)
        if definition is not None:
            definition.is_resource = True
        return definition


class UnreadVariable(ResourceVariable):
    """The result of a write to a resource variable: the variable, read after that write.

    `op` is the operation that writes.
    """

    def __init__(self, written: Operation, read: Tensor):
        self._variable = read.op.inputs[0]
        self._op, self._parent, self._snapshot = self._variable.op, written, read
        self._initializer = None  # type: ignore[assignment]
        self.trainable, self.constraint = True, None

    @classmethod
    def of(cls, written: Tensor, variable: Operation) -> UnreadVariable:
        """The variable after the operation that makes `written`."""
        return _unread(written.op, _read_after(written.op, variable.outputs[0]))

    def __reduce__(self):
        return _unread, (self._parent, self._snapshot)

    @property
    def op(self) -> Operation:
        """The operation that writes."""
        return self._parent

    @property
    def name(self) -> str:
        """The name of the operation that writes."""
        return self._parent.name

    def _read(self) -> Tensor:
        return _read_after(self._parent, self.handle)


def _read_after(written: Operation, handle: Tensor) -> Tensor:
    with written.graph.as_default(), written.graph.control_dependencies([written]):
        return read_handle(handle)


def _unread(written: Operation, read: Tensor) -> UnreadVariable:
    """The variable after a write, without the creators of variables in between."""
    made = object.__new__(UnreadVariable)
    made.__init__(written, read)
    return made


seams.resource_variable, seams.unread = ResourceVariable, UnreadVariable.of
STANDING.insert(0, (ResourceVariable, ResourceVariable.value))
