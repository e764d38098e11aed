"""Cells made of cells: MultiRNNCell stacks them, the wrappers modify the inputs and outputs of one.

A wrapper creates no variables, so it does not appear in the names of its cell's variables.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from weftwork.graph import default_scopes
from weftwork.graph.build import as_tensor
from weftwork.graph.nest import rebuild
from weftwork.graph.nn import ops as nn_ops
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import math_ops
from weftwork.graph.ops.random_ops import random_uniform
from weftwork.graph.recurrent.cells import LSTMStateTuple, RNNCell, check_cell
from weftwork.graph.scopes import name_scope
from weftwork.graph.shapes import TensorShape
from weftwork.graph.variables.scoping import variable_scope


class MultiRNNCell(RNNCell):
    """Stacked cells: the output of each is the input of the next.

    state_is_tuple: the state is a tuple of the cells' states.
    Raises TypeError or ValueError if `cells` is not a list of cells.
    """

    def __init__(self, cells: Any, state_is_tuple: bool = True):
        super().__init__()
        if not isinstance(cells, (list, tuple)):
            raise TypeError(f"cells must be a list or tuple, but got: {cells}.")
        if not cells:
            raise ValueError("Must specify at least one cell for MultiRNNCell.")
        if not state_is_tuple:
            raise ValueError("The state of a MultiRNNCell is a tuple: state_is_tuple must be True.")
        self._cells = list(cells)

    @property
    def state_size(self) -> tuple[Any, ...]:
        """The cells' state sizes."""
        return tuple([cell.state_size for cell in self._cells])

    @property
    def output_size(self) -> Any:
        """The output size of the last cell."""
        return self._cells[-1].output_size

    def zero_state(self, batch_size: Any, dtype: Any) -> tuple[Any, ...]:
        """The cells' zero states."""
        with name_scope(f"{type(self).__name__}ZeroState"):
            return tuple([cell.zero_state(batch_size, dtype) for cell in self._cells])

    def call(self, inputs: Any, state: Any) -> tuple[Any, tuple[Any, ...]]:
        """One step of all cells."""
        states = []
        for i, (cell, old) in enumerate(zip(self._cells, state, strict=True)):
            with variable_scope(f"cell_{i}"):
                inputs, new = cell(inputs, old)
            states.append(new)
        return inputs, tuple(states)


class _Wrapper(RNNCell):
    """A cell that wraps another one."""

    def __init__(self, cell: Any):
        super().__init__()
        check_cell(cell)
        self._cell = cell

    def _step(self, inputs: Any, state: Any, scope: Any) -> tuple[Any, Any]:
        # A user's cell need not accept a scope.
        return self._cell(inputs, state) if scope is None else self._cell(inputs, state, scope=scope)

    @property
    def state_size(self) -> Any:
        """The state size of the wrapped cell."""
        return self._cell.state_size

    @property
    def output_size(self) -> Any:
        """The output size of the wrapped cell."""
        return self._cell.output_size

    @property
    def trainable_weights(self) -> list[Any]:
        """The trainable weights of the wrapped cell."""
        return self._cell.trainable_weights

    @property
    def non_trainable_weights(self) -> list[Any]:
        """The non-trainable weights of the wrapped cell."""
        return self._cell.non_trainable_weights

    def zero_state(self, batch_size: Any, dtype: Any) -> Any:
        """The zero state of the wrapped cell."""
        with name_scope(f"{type(self).__name__}ZeroState"):
            return self._cell.zero_state(batch_size, dtype)


class DropoutWrapper(_Wrapper):
    """A cell with dropout on its inputs, its outputs, and its state between steps, except for the c of an LSTM.

    input_keep_prob, output_keep_prob, state_keep_prob: the probability of keeping an element, a float or a tensor.
    dropout_state_filter_visitor: a function that returns whether a part of the state may be dropped.
    variational_recurrent: one mask for all steps and the whole batch, drawn anew in each run (Gal and Ghahramani 2016,
        arXiv:1512.05287). dtype: of the values then; input_size: the shape of an input without its batch axis.
    Raises ValueError for a probability outside [0, 1], or a missing dtype or input_size.
    """

    def __init__(
        self,
        cell: Any,
        input_keep_prob: Any = 1.0,
        output_keep_prob: Any = 1.0,
        state_keep_prob: Any = 1.0,
        variational_recurrent: bool = False,
        input_size: Any = None,
        dtype: Any = None,
        seed: int | None = None,
        dropout_state_filter_visitor: Callable[..., Any] | None = None,
    ):
        super().__init__(cell)
        for name, keep in (("input", input_keep_prob), ("state", state_keep_prob), ("output", output_keep_prob)):
            if as_tensor(keep) is None and not 0 <= keep <= 1:
                raise ValueError(f"Parameter {name}_keep_prob must be between 0 and 1: {keep}")
        self._input, self._output, self._state = input_keep_prob, output_keep_prob, state_keep_prob
        self._seed = seed
        self._may_drop = dropout_state_filter_visitor or (lambda part: not isinstance(part, LSTMStateTuple))
        self._noise: tuple[Any, Any, Any] = (None, None, None)
        """For one mask in all steps: uniform random numbers for the input, the output and each part of the state."""
        if variational_recurrent:
            self._noise = self._drawn(input_size, dtype)

    def _drawn(self, input_size: Any, dtype: Any) -> tuple[Any, Any, Any]:
        if dtype is None:
            raise ValueError("When variational_recurrent=True, dtype must be provided")
        drops_inputs = as_tensor(self._input) is not None or self._input < 1
        if drops_inputs and input_size is None:
            raise ValueError(
                "When variational_recurrent=True and input_keep_prob < 1.0 or is unknown, input_size must be provided"
            )
        numbers = count()

        def noise(size: Any) -> Any:
            if isinstance(size, (list, tuple)):
                return rebuild(size, noise)
            seed = None if self._seed is None else self._seed + next(numbers)
            return random_uniform([1, *TensorShape(size).as_list()], dtype=dtype, seed=seed)

        of_inputs = noise(input_size) if drops_inputs else None
        return of_inputs, noise(self._cell.output_size), noise(self._cell.state_size)

    def __call__(self, inputs: Any, state: Any, scope: Any = None) -> tuple[Any, Any]:
        """One step of the cell, with dropout."""
        of_inputs, of_output, of_state = self._noise
        output, new = self._step(self._dropped(inputs, self._input, 0, of_inputs), state, scope)
        return self._dropped(output, self._output, 1, of_output), self._dropped_state(new, of_state)

    def _dropped(self, value: Tensor, keep: Any, salt: int, noise: Tensor | None) -> Tensor:
        if as_tensor(keep) is None and keep == 1:
            return value
        if noise is not None:
            return value / keep * math_ops.floor(keep + noise)
        return nn_ops.dropout(value, keep, seed=None if self._seed is None else self._seed + salt)

    def _dropped_state(self, part: Any, noise: Any) -> Any:
        if isinstance(part, LSTMStateTuple) and not self._may_drop(part):
            return LSTMStateTuple(part.c, self._dropped(part.h, self._state, 2, noise and noise.h))
        if isinstance(part, (list, tuple)):
            noises = iter(noise or [None] * len(part))
            return rebuild(part, lambda item: self._dropped_state(item, next(noises)))
        return self._dropped(part, self._state, 2, noise) if self._may_drop(part) else part


class ResidualWrapper(_Wrapper):
    """A cell whose input is added to its output, or combined with it by residual_fn(input, output)."""

    def __init__(self, cell: Any, residual_fn: Callable[..., Any] | None = None):
        super().__init__(cell)
        self._residual = residual_fn or (lambda inputs, output: inputs + output)

    def __call__(self, inputs: Any, state: Any, scope: Any = None) -> tuple[Any, Any]:
        """One step of the cell, plus its input."""
        output, new = self._step(inputs, state, scope)
        return self._residual(inputs, output), new


class DeviceWrapper(_Wrapper):
    """A cell whose operations request a device."""

    def __init__(self, cell: Any, device: Any):
        super().__init__(cell)
        self._device = device

    def __call__(self, inputs: Any, state: Any, scope: Any = None) -> tuple[Any, Any]:
        """One step of the cell."""
        with default_scopes.device(self._device):
            return self._step(inputs, state, scope)
