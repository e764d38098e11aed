"""raw_rnn: a recurrent network for which a function of the program provides inputs, states and outputs at each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.build import constant, convert_to_tensor
from weftwork.graph.nest import flatten
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.loops import while_loop
from weftwork.graph.ops.tensor_array import TensorArray
from weftwork.graph.recurrent.cells import check_cell
from weftwork.graph.recurrent.dynamic import filled
from weftwork.graph.variables.scoping import variable_scope


def raw_rnn(
    cell: Any,
    loop_fn: Callable[..., Any],
    parallel_iterations: int | None = None,
    swap_memory: bool = False,
    scope: Any = None,
) -> tuple[Any, Any, Any]:
    """(outputs, final state, final loop state) of a cell whose steps are connected by `loop_fn`.

    loop_fn(time, output, state, loop_state) is called before each step and returns (finished, next_input, next_state,
    emitted, next_loop_state): finished is a boolean for each row of the batch, emitted is added to the outputs. In the
    first call output, state and loop_state are None; it returns the initial state, and for emitted an example of one
    row's output, or None for the cell's own output.
    Once a row is finished, its state does not change and zeros are emitted. The loop ends when all rows are finished.
    The outputs are TensorArrays (in the structure of emitted), with a cell for each step.
    Raises TypeError if loop_fn cannot be called.
    """
    check_cell(cell)
    if not callable(loop_fn):
        raise TypeError("loop_fn must be a callable")
    with variable_scope(scope or "rnn") as current:
        finished, given, state, example, loop_state = loop_fn(constant(0, name="time"), None, None, None)
        batch = _batch(flatten(given)[0])
        output, _ = cell(given, state)  # creates the variables outside the loop; the nodes are not needed
        current.reuse_variables()
        emitted = _zeros_emitted(output if example is None else example, example is None, batch)
        arrays = [
            TensorArray(t.dtype, 0, dynamic_size=True, element_shape=t.shape, tensor_array_name=f"rnn_output_{i}")
            for i, t in enumerate(flatten(emitted))
        ]
        carries = loop_state is not None

        def is_unfinished(time: Tensor, done: Tensor, *_: Any) -> Tensor:
            return math_ops.logical_not(math_ops.reduce_all(done))

        def body(time: Tensor, done: Tensor, now: Any, outputs: list, state: Any, extra: Any) -> list:
            output, new = cell(now, state)
            now_finished, following, new, emit, new_extra = loop_fn(time + 1, output, new, extra if carries else None)
            emit = output if emit is None else emit
            masked = [_where(done, zero, t) for zero, t in zip(flatten(emitted), flatten(emit), strict=True)]
            next_state = [_where(done, old, t) for old, t in zip(flatten(state), flatten(new), strict=True)]
            outputs = [array.write(time, t) for array, t in zip(outputs, masked, strict=True)]
            done = math_ops.logical_or(done, now_finished)
            return [time + 1, done, following, outputs, filled(state, next_state), new_extra if carries else extra]

        first = [constant(0), _whole(finished), _whole(given), arrays, _whole(state)]
        first.append(_whole(loop_state) if carries else constant(0))
        last = while_loop(is_unfinished, body, first, parallel_iterations=parallel_iterations or 32)
        result = last[3] if isinstance(last[3], (list, tuple)) else [last[3]]
        outputs = filled(emitted, list(result)) if isinstance(emitted, (list, tuple)) else result[0]
        return outputs, last[4], last[5] if carries else None


def _batch(first: Any) -> Any:
    first = convert_to_tensor(first)
    known = first.shape.as_list()[0] if first.shape.ndims else None
    return array_ops.shape(first)[0] if known is None else known


def _whole(structure: Any) -> Any:
    """The structure with its leaves as tensors; TensorArrays are unchanged."""
    tensors = [item if isinstance(item, TensorArray) else convert_to_tensor(item) for item in flatten(structure)]
    return filled(structure, tensors) if isinstance(structure, (list, tuple)) else tensors[0]


def _zeros_emitted(example: Any, is_batch: bool, batch: Any) -> Any:
    """Zeros for all rows, like an example for one row or for all."""
    zeros = []
    for item in flatten(example):
        one = item if hasattr(item, "dtype") else convert_to_tensor(item)
        dims = one.shape.as_list()
        zeros.append(array_ops.zeros([batch, *(dims[1:] if is_batch else dims)], one.dtype or dtypes.float32))
    return filled(example, zeros) if isinstance(example, (list, tuple)) else zeros[0]


def _where(done: Tensor, old: Any, new: Any) -> Any:
    if isinstance(new, TensorArray):
        return new
    new = convert_to_tensor(new)
    if new.shape.ndims == 0:
        return new
    chosen = array_ops.where(done, old, new)
    chosen.set_shape(new.shape)
    return chosen
