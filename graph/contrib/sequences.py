"""Losses of sequences, and recurrent networks from contrib and its legacy parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from weftwork.graph.build import convert_to_tensor
from weftwork.graph.nest import flatten
from weftwork.graph.nn.cross_entropies import sparse_softmax_cross_entropy_with_logits
from weftwork.graph.nn.ops import embedding_lookup
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.recurrent.cells import RNNCell
from weftwork.graph.recurrent.dynamic import bidirectional_dynamic_rnn
from weftwork.graph.scopes import name_scope
from weftwork.graph.variables.initializers import Zeros
from weftwork.graph.variables.scoping import variable_scope
from weftwork.graph.variables.sharing import get_variable

# Losses


def sequence_loss(
    logits: Any,
    targets: Any,
    weights: Any,
    average_across_timesteps: bool = True,
    average_across_batch: bool = True,
    sum_over_timesteps: bool = False,
    sum_over_batch: bool = False,
    softmax_loss_function: Callable[..., Any] | None = None,
    name: str | None = None,
) -> Tensor:
    """The weighted cross entropy of sequences of classes.

    logits: [batch, time, classes].  targets: integers [batch, time].  weights: [batch, time].
    Returns a scalar, [batch], [time] or [batch, time], depending on the axes averaged or summed.
    softmax_loss_function(labels=, logits=): replaces the cross entropy. Raises ValueError for other ranks.
    """
    if average_across_timesteps and sum_over_timesteps:
        raise ValueError("average_across_timesteps and sum_over_timesteps cannot be set to True at same time.")
    if average_across_batch and sum_over_batch:
        raise ValueError("average_across_batch and sum_over_batch cannot be set to True at same time.")
    logits, targets, weights = (convert_to_tensor(part) for part in (logits, targets, weights))
    for word, tensor, rank in (("Logits", logits, 3), ("Targets", targets, 2), ("Weights", weights, 2)):
        if len(tensor.shape.as_list()) != rank:
            raise ValueError(f"{word} must be a {rank}-D tensor, not {tensor.shape}")
    with name_scope(name, "sequence_loss", [logits, targets, weights]):
        classes = array_ops.shape(logits)[2]
        flat, labels = array_ops.reshape(logits, [-1, classes]), array_ops.reshape(targets, [-1])
        flat.set_shape([None, logits.shape.as_list()[2]])
        loss_of = softmax_loss_function or sparse_softmax_cross_entropy_with_logits
        losses = loss_of(labels=labels, logits=flat) * array_ops.reshape(weights, [-1])
        if average_across_timesteps and average_across_batch:
            return math_ops.reduce_sum(losses) / (math_ops.reduce_sum(weights) + 1e-12)
        if sum_over_timesteps and sum_over_batch:
            count = math_ops.cast(math_ops.count_nonzero(weights), losses.dtype)
            return math_ops.div_no_nan(math_ops.reduce_sum(losses), count)
        losses = array_ops.reshape(losses, array_ops.shape(logits)[:2])
        for axis, averages, sums in ((1, average_across_timesteps, sum_over_timesteps),
                                     (0, average_across_batch, sum_over_batch)):  # fmt: skip
            if averages:
                losses = math_ops.reduce_sum(losses, axis) / (math_ops.reduce_sum(weights, axis) + 1e-12)
            elif sums:
                losses = math_ops.reduce_sum(losses, axis)
        return losses


def sequence_loss_by_example(
    logits: Sequence[Any],
    targets: Sequence[Any],
    weights: Sequence[Any],
    average_across_timesteps: bool = True,
    softmax_loss_function: Callable[..., Any] | None = None,
    name: str | None = None,
) -> Tensor:
    """The weighted cross entropy of each example, [batch], from lists with one tensor for each step."""
    if not len(logits) == len(targets) == len(weights):
        raise ValueError(
            f"Lengths of logits, weights, and targets must be the same {len(logits)}, {len(weights)}, {len(targets)}."
        )
    with name_scope(name, "sequence_loss_by_example", [*logits, *targets, *weights]):
        loss_of = softmax_loss_function or sparse_softmax_cross_entropy_with_logits
        terms = []
        for logit, target, weight in zip(logits, targets, weights, strict=True):
            labels = target if softmax_loss_function else array_ops.reshape(target, [-1])
            terms.append(loss_of(labels=labels, logits=logit) * weight)
        total = math_ops.add_n(terms)
        return total / (math_ops.add_n(list(weights)) + 1e-12) if average_across_timesteps else total


def sequence_loss_of_lists(
    logits: Sequence[Any],
    targets: Sequence[Any],
    weights: Sequence[Any],
    average_across_timesteps: bool = True,
    average_across_batch: bool = True,
    softmax_loss_function: Callable[..., Any] | None = None,
    name: str | None = None,
) -> Tensor:
    """The sum of `sequence_loss_by_example`, by default divided by the batch size: a scalar."""
    with name_scope(name, "sequence_loss", [*logits, *targets, *weights]):
        losses = sequence_loss_by_example(logits, targets, weights, average_across_timesteps, softmax_loss_function)
        cost = math_ops.reduce_sum(losses)
        if not average_across_batch:
            return cost
        return cost / math_ops.cast(array_ops.shape(convert_to_tensor(targets[0]))[0], cost.dtype)


def rnn_decoder(
    decoder_inputs: Sequence[Any],
    initial_state: Any,
    cell: Any,
    loop_function: Callable[..., Any] | None = None,
    scope: str | None = None,
) -> tuple[list[Any], Any]:
    """(outputs, final state) of a cell along a list of inputs.

    loop_function(output, step): computes the input of each step except the first from the previous output.
    """
    with variable_scope(scope or "rnn_decoder") as current:
        state, outputs, last_output = initial_state, [], None
        for step, given in enumerate(decoder_inputs):
            if loop_function is not None and last_output is not None:
                with variable_scope("loop_function", reuse=True):
                    given = loop_function(last_output, step)
            if step > 0:
                current.reuse_variables()
            output, state = cell(given, state)
            outputs.append(output)
            last_output = output if loop_function is not None else None
    return outputs, state


# Cells and networks


class _CellWrapper(RNNCell):
    """A cell that wraps another one."""

    def __init__(self, cell: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self._cell = cell

    @property
    def state_size(self) -> Any:  # type: ignore[override]
        """The state size of the wrapped cell."""
        return self._cell.state_size

    @property
    def output_size(self) -> Any:  # type: ignore[override]
        """The output size of the wrapped cell."""
        return self._cell.output_size


def projected(x: Tensor, size: int, activation: Callable[..., Any] | None = None) -> Tensor:
    """x [batch, n] times the variable `kernel` [n, size], plus the variable `bias`, through an activation."""
    weights = get_variable("kernel", [x.shape.as_list()[-1], size], dtype=x.dtype.base_dtype)
    bias = get_variable("bias", [size], dtype=x.dtype.base_dtype, initializer=Zeros())
    result = math_ops.matmul(x, weights) + bias
    return result if activation is None else activation(result)


class OutputProjectionWrapper(_CellWrapper):
    """A cell whose outputs are projected to another size."""

    def __init__(self, cell: Any, output_size: int, activation: Callable[..., Any] | None = None, reuse: Any = None):
        super().__init__(cell, _reuse=reuse)
        self._size, self._activation = output_size, activation

    @property
    def output_size(self) -> int:  # type: ignore[override]
        """The size after the projection."""
        return self._size

    def call(self, inputs: Any, state: Any) -> tuple[Any, Any]:
        """(projected output, next state)."""
        output, state = self._cell(inputs, state)
        return projected(output, self._size, self._activation), state


class InputProjectionWrapper(_CellWrapper):
    """A cell whose inputs are projected to another size."""

    def __init__(self, cell: Any, num_proj: int, activation: Callable[..., Any] | None = None, input_size: Any = None,
                 reuse: Any = None):  # fmt: skip
        super().__init__(cell, _reuse=reuse)
        self._size, self._activation = num_proj, activation

    def call(self, inputs: Any, state: Any) -> tuple[Any, Any]:
        """(output for the projected input, next state)."""
        return self._cell(projected(convert_to_tensor(inputs), self._size, self._activation), state)


class EmbeddingWrapper(_CellWrapper):
    """A cell whose inputs are row numbers of an embedding table."""

    def __init__(
        self, cell: Any, embedding_classes: int, embedding_size: int, initializer: Any = None, reuse: Any = None
    ):
        super().__init__(cell, _reuse=reuse)
        if embedding_classes <= 0 or embedding_size <= 0:
            raise ValueError(
                f"Both embedding_classes and embedding_size must be > 0: {embedding_classes}, {embedding_size}."
            )
        self._shape, self._initializer = [embedding_classes, embedding_size], initializer

    def call(self, inputs: Any, state: Any) -> tuple[Any, Any]:
        """(output for the embedded rows, next state)."""
        dtype = convert_to_tensor(flatten(state)[0]).dtype.base_dtype
        table = get_variable("embedding", self._shape, dtype=dtype, initializer=self._initializer)
        return self._cell(embedding_lookup(table, array_ops.reshape(inputs, [-1])), state)


def stack_bidirectional_dynamic_rnn(
    cells_fw: Sequence[Any],
    cells_bw: Sequence[Any],
    inputs: Any,
    initial_states_fw: Any = None,
    initial_states_bw: Any = None,
    dtype: Any = None,
    sequence_length: Any = None,
    parallel_iterations: int | None = None,
    time_major: bool = False,
    scope: str | None = None,
    swap_memory: bool = False,
) -> tuple[Tensor, tuple[Any, ...], tuple[Any, ...]]:
    """(outputs [..., both sizes], final states forward, backward) of stacked `bidirectional_dynamic_rnn` layers."""
    for word, cells in (("cells_fw", cells_fw), ("cells_bw", cells_bw)):
        if not isinstance(cells, (list, tuple)) or not cells:
            raise ValueError(f"Must specify at least one cell in {word}, as a list.")
    if len(cells_fw) != len(cells_bw):
        raise ValueError("Forward and Backward cells must have the same depth.")
    forward, backward, layer = [], [], inputs
    with variable_scope(scope or "stack_bidirectional_rnn"):
        for number, (one, two) in enumerate(zip(cells_fw, cells_bw, strict=True)):
            with variable_scope(f"cell_{number}"):
                outputs, (state_fw, state_bw) = bidirectional_dynamic_rnn(
                    one, two, layer, sequence_length,
                    None if initial_states_fw is None else initial_states_fw[number],
                    None if initial_states_bw is None else initial_states_bw[number],
                    dtype=dtype, time_major=time_major,
                )  # fmt: skip
                layer = array_ops.concat(outputs, 2)
            forward.append(state_fw)
            backward.append(state_bw)
    return layer, tuple(forward), tuple(backward)
