"""The base class of layers: a scope for variables that the first call creates and all later calls share.

base name   the layer's name: the given one, or that of its class in snake case
scope       the variable scope of its variables, and the name scope of its operations. A layer function's name is used
            as it is (so it can be shared); any other name is made unique
built       whether the variables exist. From then on calls share them
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from weftwork.graph import shapes
from weftwork.graph.build import as_tensor, convert_to_tensor
from weftwork.graph.dtypes import DType, as_dtype
from weftwork.graph.graph import GraphKeys
from weftwork.graph.layers.input_spec import check_inputs
from weftwork.graph.nest import flatten, rebuild
from weftwork.graph.nn import ops as nn_ops
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables import initializers as init_ops
from weftwork.graph.variables.scoping import variable_scope
from weftwork.graph.variables.sharing import get_variable
from weftwork.graph.variables.variable import Variable
from weftwork.graph.variables.variable_scopes import VariableScope

ZEROS, ONES = init_ops.Zeros(), init_ops.Ones()


def snake_case(name: str) -> str:
    """`BasicLSTMCell` as `basic_lstm_cell`, `Conv2D` as `conv2d`; a scope's name must not begin with "_"."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])", "_", name).lower()
    return f"private{words}" if words.startswith("_") else words


def activation_of(activation: Any) -> Callable | None:
    """A function of a tensor, or the one in `tf.nn` with this name; None for None and "linear". Else ValueError."""
    if activation is None or callable(activation):
        return activation
    if activation == "linear":
        return None
    if activation not in nn_ops.__all__:
        raise ValueError(f"Unknown activation function: {activation}")
    return getattr(nn_ops, activation)


class Layer:
    """A part of a model: variables, and a function of tensors that uses them.

    A subclass creates its variables in `build(input_shape)` with `add_weight`, and its operations in `call(inputs,
    ...)`.
    dtype: of the variables; None for that of the first input.
    """

    def __init__(
        self,
        trainable: bool = True,
        name: str | None = None,
        dtype: Any = None,
        activity_regularizer: Any = None,
        _scope: Any = None,
        _reuse: Any = None,
    ):
        self.trainable = trainable
        self.built = False
        self._given_name = name
        self._base_name = name or snake_case(type(self).__name__)
        self._dtype = None if dtype is None else as_dtype(dtype).base_dtype
        self._activity_regularizer = activity_regularizer
        self._reuse = _reuse
        self._scope: VariableScope | None = None
        self._weights: list[Variable] = []
        self._losses: list[Tensor] = []
        self._losses_of_inputs: set[Tensor] = set()
        self._updates: list[Operation] = []
        if _scope is not None:
            with variable_scope(_scope) as scope:
                self._scope = scope

    # Properties

    @property
    def name(self) -> str:
        """The given name; else that of its scope, or of its class as long as it has no scope."""
        return self._given_name or (self._scope.name.rpartition("/")[2] if self._scope else self._base_name)

    @property
    def scope_name(self) -> str:
        """The name of its variable scope. Raises ValueError before the first call."""
        if self._scope is None:
            raise ValueError(
                f'No name available for layer scope because the layer "{self.name}" has not been used yet. The scope '
                "name is determined the first time the layer instance is called."
            )
        return self._scope.name

    @property
    def dtype(self) -> DType | None:
        """The dtype of its variables; None while unknown."""
        return self._dtype

    @property
    def graph(self) -> Any:
        """The graph of its variables; the default graph if it has none yet."""
        return self._weights[0].graph if self._weights else get_default_graph()

    @property
    def weights(self) -> list[Variable]:
        """Its variables: first those that optimizers train, then the others."""
        return self.trainable_weights + self.non_trainable_weights

    variables = weights

    @property
    def trainable_weights(self) -> list[Variable]:
        """The variables that optimizers train."""
        return [v for v in self._weights if v.trainable] if self.trainable else []

    trainable_variables = trainable_weights

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The variables that optimizers do not train."""
        return [v for v in self._weights if not (self.trainable and v.trainable)]

    non_trainable_variables = non_trainable_weights

    @property
    def losses(self) -> list[Tensor]:
        """The losses from its regularizers."""
        return list(self._losses)

    def get_losses_for(self, inputs: Any) -> list[Tensor]:
        """The losses that depend on these inputs; None: those that depend on no input, such as of variables."""
        if inputs is None:
            return [loss for loss in self._losses if loss not in self._losses_of_inputs]
        given = set(flatten(inputs))
        return [loss for loss in self._losses if loss in self._losses_of_inputs and _depends(loss, given)]

    def count_params(self) -> int:
        """The number of elements of all its variables. Raises ValueError before the first call."""
        if not self.built:
            raise ValueError(
                f"You tried to call `count_params` on {self.name}, but the layer isn't built. You can build it "
                f"manually via: `{self.name}.build(batch_input_shape)`."
            )
        counts: list[Any] = [variable.shape.num_elements() for variable in self.weights]
        return sum(counts)

    @property
    def updates(self) -> list[Operation]:
        """Operations to run with each training step, e.g. the updates of moving averages."""
        return list(self._updates)

    # Calling

    def __call__(self, inputs: Any, *args: Any, scope: Any = None, **kwargs: Any) -> Any:
        """The layer's output for `inputs`: a tensor, something that converts to one, or a structure of these.

        The first call creates the variables. Further arguments are passed to `call`. Raises ValueError for a shape that
        does not match.
        """
        self._open_scope(scope)
        assert self._scope is not None
        reuse = True if self.built else self._reuse
        opened = variable_scope(self._scope, reuse=reuse, auxiliary_name_scope=False, custom_getter=self._getter)
        with opened as current:
            with get_default_graph().name_scope(current.original_name_scope):
                inputs = _converted(inputs)
                self._check(inputs)
                if not self.built:
                    self._build_for(inputs)
                    self._check(inputs)
                outputs = self.call(inputs, *args, **kwargs)
                if self._activity_regularizer is not None:
                    for output in flatten(outputs):
                        self.add_loss(self._activity_regularizer(output), inputs)
        return outputs

    def apply(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The same as calling the layer."""
        return self(inputs, *args, **kwargs)

    def _open_scope(self, scope: Any) -> None:
        if self._scope is not None:
            return
        if self._reuse:
            opened = variable_scope(self._base_name if scope is None else scope)
        else:
            opened = variable_scope(scope, default_name=self._base_name)
        with opened as captured:
            self._scope = captured

    def _check(self, inputs: Any) -> None:
        if self.input_spec is not None:
            check_inputs(self.input_spec, inputs, self.name)

    def _build_for(self, inputs: Any) -> None:
        tensors = flatten(inputs)
        if self._dtype is None and tensors:
            self._dtype = tensors[0].dtype.base_dtype
        self.build(inputs.shape if isinstance(inputs, Tensor) else [t.shape for t in tensors])
        self.built = True

    # For subclasses

    input_spec: Any = None
    """What the inputs must be: an InputSpec, or a list of them. Set it in the constructor or in `build`."""

    _getter: Callable | None = None
    """The custom getter for `get_variable` inside `call`; see `sharing`."""

    def build(self, input_shape: Any) -> None:
        """Create the variables. input_shape: the TensorShape of the input, or a list of them."""

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Create the operations for one input."""
        return inputs

    def add_weight(
        self,
        name: str,
        shape: Any,
        dtype: Any = None,
        initializer: Any = None,
        regularizer: Any = None,
        trainable: bool = True,
        constraint: Any = None,
    ) -> Variable:
        """The variable `name` in the layer's scope, created or shared. Arguments as in `get_variable`."""
        graph = get_default_graph()
        count_before = len(graph.get_collection(GraphKeys.REGULARIZATION_LOSSES))
        variable = get_variable(
            name,
            shape=shape,
            dtype=dtype or self._dtype,
            initializer=initializer,
            regularizer=regularizer,
            trainable=trainable and self.trainable,
            constraint=constraint,
        )
        self._losses += graph.get_collection(GraphKeys.REGULARIZATION_LOSSES)[count_before:]
        if variable not in self._weights:
            self._weights.append(variable)
        return variable

    add_variable = add_weight

    def add_loss(self, losses: Any, inputs: Any = None) -> None:
        """Add `losses` (one or a list, without None) to REGULARIZATION_LOSSES. inputs: those that they depend on."""
        found = [loss for loss in (losses if isinstance(losses, (list, tuple)) else [losses]) if loss is not None]
        self._losses += found
        if inputs is not None:
            self._losses_of_inputs.update(found)
        for loss in found:
            get_default_graph().add_to_collection(GraphKeys.REGULARIZATION_LOSSES, loss)

    def add_update(self, updates: Any, inputs: Any = None) -> None:
        """Add `updates` (one or a list) to UPDATE_OPS."""
        found = list(updates) if isinstance(updates, (list, tuple)) else [updates]
        self._updates += found
        for update in found:
            get_default_graph().add_to_collection(GraphKeys.UPDATE_OPS, update)

    def _ranked(self, input_shape: Any, least: int, most: int | None = None) -> list[int | None]:
        """The raw shape of the input. Raises ValueError if its rank is unknown or out of bounds."""
        raw = shapes.as_raw(input_shape)
        if raw is None:
            raise ValueError(
                f"Inputs to `{type(self).__name__}` should have known rank: the layer {self.name} got unknown."
            )
        if len(raw) < least:
            raise ValueError(
                f"Input 0 of layer {self.name} is incompatible with the layer: expected min_ndim={least}, found "
                f"ndim={len(raw)}. Full shape received: {list(raw)}"
            )
        if most is not None and len(raw) > most:
            raise ValueError(
                f"Input 0 of layer {self.name} is incompatible with the layer: expected ndim={most}, found "
                f"ndim={len(raw)}. Full shape received: {list(raw)}"
            )
        return list(raw)

    def _known(self, raw: list[int | None], axis: int, what: str) -> int:
        """The size of an axis. Raises ValueError if it is unknown."""
        size = raw[axis]
        if size is None:
            raise ValueError(f"The {what} of the inputs to `{type(self).__name__}` should be defined. Found `None`.")
        return size


class KernelLayer(Layer):
    """A layer that applies a kernel to its inputs, adds a bias, and applies an activation."""

    def __init__(
        self,
        activation: Any,
        use_bias: bool,
        kernel_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Callable[..., Any] | None,
        bias_regularizer: Callable[..., Any] | None,
        activity_regularizer: Callable[..., Any] | None,
        kernel_constraint: Callable[..., Any] | None,
        bias_constraint: Callable[..., Any] | None,
        trainable: bool,
        name: str | None,
        **kwargs: Any,
    ):
        super().__init__(trainable, name, activity_regularizer=activity_regularizer, **kwargs)
        self.activation = activation_of(activation)
        self.use_bias = use_bias
        self.kernel_initializer, self.bias_initializer = kernel_initializer, bias_initializer
        self.kernel_regularizer, self.bias_regularizer = kernel_regularizer, bias_regularizer
        self.kernel_constraint, self.bias_constraint = kernel_constraint, bias_constraint

    def _make_kernel(self, shape: list[int]) -> None:
        rules = self.kernel_initializer, self.kernel_regularizer, self.kernel_constraint
        self.kernel = self._weight("kernel", shape, *rules)

    def _make_bias(self, size: int) -> None:
        rules = self.bias_initializer, self.bias_regularizer, self.bias_constraint
        self.bias = self._weight("bias", [size], *rules) if self.use_bias else None

    def _weight(self, name: str, shape: list[int], initializer: Any, regularizer: Any, constraint: Any) -> Variable:
        return self.add_weight(name, shape, initializer=initializer, regularizer=regularizer, constraint=constraint)

    def _finished(self, outputs: Tensor) -> Tensor:
        """Add the bias, and apply the activation."""
        if self.bias is not None:
            outputs = nn_ops.bias_add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)


def _depends(tensor: Tensor, inputs: set[Tensor]) -> bool:
    """True if a tensor is computed from one of these."""
    stack, seen = [tensor], {tensor}
    while stack:
        part = stack.pop()
        if part in inputs:
            return True
        new = [other for other in part.op.inputs if other not in seen]
        seen.update(new)
        stack.extend(new)
    return False


def _converted(inputs: Any) -> Any:
    """`inputs` as a tensor, or as a structure if it contains tensors."""
    if isinstance(inputs, (list, tuple, dict)) and any(as_tensor(item) is not None for item in flatten(inputs)):
        return rebuild(inputs, _converted)
    return convert_to_tensor(inputs)
