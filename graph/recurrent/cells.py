"""Cells of recurrent networks: one step in time maps an input and a state to an output and the next state.

state        a tensor [batch, size], or a nested tuple of them
state_size   the sizes, in the same structure
A cell is a layer: its first step creates the variables, and later steps share them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from weftwork.graph import shapes
from weftwork.graph.layers.base import Layer, activation_of
from weftwork.graph.nest import rebuild
from weftwork.graph.nn import ops as nn_ops
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.clipping import clip_by_value
from weftwork.graph.scopes import name_scope
from weftwork.graph.variables import initializers as init_ops


class LSTMStateTuple(NamedTuple):
    """The state of an LSTM: c, its memory, and h, its last output."""

    c: Any
    h: Any


class RNNCell(Layer):
    """The base class of cells. A subclass has `state_size`, `output_size` and `call(inputs, state)`.

    `call` may use `get_variable`: the first step creates the variables, later ones share them.
    """

    state_size: Any
    """The size of the state, or a nested tuple of sizes."""
    output_size: Any
    """The size of the output."""

    def __call__(self, inputs: Any, state: Any, scope: Any = None) -> tuple[Any, Any]:
        """(output, next state).  inputs: [batch, in].  state: in the structure of `state_size`."""
        return super().__call__(inputs, state, scope=scope)

    def _getter(self, getter: Callable, *args: Any, **kwargs: Any) -> Any:
        variable = getter(*args, **kwargs)
        if variable not in self._weights:
            self._weights.append(variable)
        return variable

    def zero_state(self, batch_size: Any, dtype: Any) -> Any:
        """A state of zeros.  batch_size: an int or a scalar tensor."""
        with name_scope(f"{type(self).__name__}ZeroState"):
            return _zeros(self.state_size, batch_size, dtype)

    def get_initial_state(self, inputs: Any = None, batch_size: Any = None, dtype: Any = None) -> Any:
        """The initial state: `zero_state` for the batch of `inputs`, or for `batch_size` and `dtype`.

        Raises ValueError if the batch size or the dtype is unknown.
        """
        if inputs is not None:
            batch_size, dtype = inputs.shape.as_list()[0] or array_ops.shape(inputs)[0], inputs.dtype
        if batch_size is None or dtype is None:
            raise ValueError(
                "batch_size and dtype cannot be None while constructing initial state: "
                f"batch_size={batch_size}, dtype={dtype}"
            )
        return self.zero_state(batch_size, dtype)

    def _depth(self, input_shape: Any) -> int:
        return self._known(self._ranked(input_shape, 2, 2), -1, "last dimension")


def check_cell(cell: Any) -> None:
    """Raise TypeError unless it is a cell."""
    if not (hasattr(cell, "output_size") and hasattr(cell, "state_size") and callable(cell)):
        raise TypeError(f"The argument 'cell' ({cell}) is not an RNNCell.")


def _zeros(size: Any, batch_size: Any, dtype: Any) -> Any:
    if isinstance(size, (list, tuple)):
        return rebuild(size, lambda part: _zeros(part, batch_size, dtype))
    dims = [size] if isinstance(size, int) else list(shapes.as_raw(size) or ())
    zeros = array_ops.zeros([batch_size, *dims], dtype)
    zeros.set_shape([batch_size if isinstance(batch_size, int) else None, *dims])
    return zeros


class BasicRNNCell(RNNCell):
    """output = state = activation([input, state] kernel + bias); the default activation is tanh.

    Variables: kernel [in + units, units], bias [units].
    """

    def __init__(
        self, num_units: int, activation: Any = None, reuse: Any = None, name: str | None = None, dtype: Any = None
    ):
        super().__init__(name=name, dtype=dtype, _reuse=reuse)
        self._units = num_units
        self._activation = activation_of(activation) or math_ops.tanh

    @property
    def state_size(self) -> int:
        """The number of units."""
        return self._units

    output_size = state_size

    def build(self, input_shape: Any) -> None:
        """Create the kernel and the bias."""
        self._kernel = self.add_weight("kernel", [self._depth(input_shape) + self._units, self._units])
        self._bias = self.add_weight("bias", [self._units], initializer=init_ops.Zeros())

    def call(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step."""
        output = self._activation(_affine([inputs, state], self._kernel, self._bias))
        return output, output


class GRUCell(RNNCell):
    """Gated recurrent unit: state' = u state + (1 - u) activation([input, r state] candidate), r and u its gates.

    Variables: gates/kernel [in + units, 2 units], gates/bias (ones), candidate/kernel [in + units, units],
    candidate/bias (zeros).  Source: arXiv:1406.1078.
    """

    def __init__(
        self,
        num_units: int,
        activation: Any = None,
        reuse: Any = None,
        kernel_initializer: Any = None,
        bias_initializer: Any = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype, _reuse=reuse)
        self._units = num_units
        self._activation = activation_of(activation) or math_ops.tanh
        self._kernel_initializer, self._bias_initializer = kernel_initializer, bias_initializer

    @property
    def state_size(self) -> int:
        """The number of units."""
        return self._units

    output_size = state_size

    def build(self, input_shape: Any) -> None:
        """Create the kernels and biases of the gates and of the candidate."""
        rows, units = self._depth(input_shape) + self._units, self._units
        of_gates, of_candidate = self._bias_initializer or init_ops.Ones(), self._bias_initializer or init_ops.Zeros()
        self._gate_kernel = self.add_weight("gates/kernel", [rows, 2 * units], initializer=self._kernel_initializer)
        self._gate_bias = self.add_weight("gates/bias", [2 * units], initializer=of_gates)
        self._kernel = self.add_weight("candidate/kernel", [rows, units], initializer=self._kernel_initializer)
        self._bias = self.add_weight("candidate/bias", [units], initializer=of_candidate)

    def call(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step."""
        gates = math_ops.sigmoid(_affine([inputs, state], self._gate_kernel, self._gate_bias))
        r, u = array_ops.split(gates, 2, axis=1)
        candidate = self._activation(_affine([inputs, r * state], self._kernel, self._bias))
        output = u * state + (1 - u) * candidate
        return output, output


class LSTMCell(RNNCell):
    """Long short-term memory: c' = f c + i activation(j), h' = o activation(c'), with gates i, f, o and input j.

    use_peepholes: the gates also use c.  num_proj: project h to this size.  cell_clip, proj_clip: limits of |c| and
    |h|.
    Variables: kernel [in + size of h, 4 units] for i, j, f, o, bias [4 units]; w_f_diag, w_i_diag, w_o_diag [units];
    projection/kernel [units, num_proj].  Sources: Hochreiter and Schmidhuber 1997; Sak et al., arXiv:1402.1128.
    num_unit_shards, num_proj_shards: accepted as in TensorFlow, without effect.
    """

    def __init__(
        self,
        num_units: int,
        use_peepholes: bool = False,
        cell_clip: float | None = None,
        initializer: Any = None,
        num_proj: int | None = None,
        proj_clip: float | None = None,
        num_unit_shards: Any = None,
        num_proj_shards: Any = None,
        forget_bias: float = 1.0,
        state_is_tuple: bool = True,
        activation: Any = None,
        reuse: Any = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype, _reuse=reuse)
        self._units, self._width = num_units, num_proj or num_units
        self._use_peepholes, self._num_proj = use_peepholes, num_proj
        self._cell_clip, self._proj_clip = cell_clip, proj_clip
        self._initializer = initializer
        self._forget_bias = forget_bias
        self._state_is_tuple = state_is_tuple
        self._activation = activation_of(activation) or math_ops.tanh

    @property
    def state_size(self) -> Any:
        """An LSTMStateTuple, or the sum if the state is a single tensor."""
        return LSTMStateTuple(self._units, self._width) if self._state_is_tuple else self._units + self._width

    @property
    def output_size(self) -> int:
        """The size of h."""
        return self._width

    def build(self, input_shape: Any) -> None:
        """Create the kernel and the bias, the peepholes and the projection."""
        rows = self._depth(input_shape) + self._width
        self._kernel = self.add_weight("kernel", [rows, 4 * self._units], initializer=self._initializer)
        self._bias = self.add_weight("bias", [4 * self._units], initializer=init_ops.Zeros())
        if self._use_peepholes:
            self._peepholes = [
                self.add_weight(f"w_{gate}_diag", [self._units], initializer=self._initializer) for gate in "fio"
            ]
        if self._num_proj:
            shape = [self._units, self._num_proj]
            self._projection = self.add_weight("projection/kernel", shape, initializer=self._initializer)

    def call(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One step."""
        c, h = state if self._state_is_tuple else array_ops.split(state, [self._units, self._width], axis=1)
        i, j, f, o = array_ops.split(_affine([inputs, h], self._kernel, self._bias), 4, axis=1)
        f = f + self._forget_bias
        if self._use_peepholes:
            of_f, of_i, of_o = self._peepholes
            f, i = f + of_f * c, i + of_i * c
        c = math_ops.sigmoid(f) * c + math_ops.sigmoid(i) * self._activation(j)
        if self._cell_clip is not None:
            c = clip_by_value(c, -self._cell_clip, self._cell_clip)
        if self._use_peepholes:
            o = o + of_o * c
        h = math_ops.sigmoid(o) * self._activation(c)
        if self._num_proj:
            h = math_ops.matmul(h, self._projection)
            if self._proj_clip is not None:
                h = clip_by_value(h, -self._proj_clip, self._proj_clip)
        return h, LSTMStateTuple(c, h) if self._state_is_tuple else array_ops.concat([c, h], 1)


class BasicLSTMCell(LSTMCell):
    """`LSTMCell` without its options."""

    def __init__(
        self,
        num_units: int,
        forget_bias: float = 1.0,
        state_is_tuple: bool = True,
        activation: Any = None,
        reuse: Any = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(
            num_units, forget_bias=forget_bias, state_is_tuple=state_is_tuple, activation=activation, reuse=reuse,
            name=name, dtype=dtype,
        )  # fmt: skip


def _affine(parts: list[Tensor], kernel: Any, bias: Any) -> Tensor:
    return nn_ops.bias_add(math_ops.matmul(array_ops.concat(parts, 1), kernel), bias)
