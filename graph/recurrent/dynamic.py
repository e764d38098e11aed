"""Recurrent networks along sequences whose length is known only at run time: one loop over time."""

from __future__ import annotations

from typing import Any

from weftwork.graph.build import convert_to_tensor
from weftwork.graph.nest import flatten, rebuild
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.functional import sweep
from weftwork.graph.ops.rearranging import reverse, reverse_sequence, transpose
from weftwork.graph.recurrent.cells import check_cell
from weftwork.graph.recurrent.static import first_state, step, vector_of_lengths
from weftwork.graph.variables.scoping import variable_scope


def dynamic_rnn(
    cell: Any,
    inputs: Any,
    sequence_length: Any = None,
    initial_state: Any = None,
    dtype: Any = None,
    parallel_iterations: int | None = None,
    swap_memory: bool = False,
    time_major: bool = False,
    scope: Any = None,
) -> tuple[Any, Any]:
    """(outputs, final state) of a cell along the time axis of `inputs`.

    inputs: [batch, time, in], or [time, batch, in] if `time_major`; outputs have the same layout.
    sequence_length: integers [batch]; beyond it, a row's outputs are zero and its state does not change.
    initial_state: None for zeros of `dtype`. Raises ValueError if neither is given.
    """
    check_cell(cell)
    given = convert_to_tensor(inputs, name="inputs")
    with variable_scope(scope or "rnn") as current:
        along = given if time_major else _time_and_batch_swapped(given)
        first = along[0]
        state = first_state(cell, first, dtype) if initial_state is None else initial_state
        cell(first, state)  # creates the variables outside the loop; the nodes are not needed
        current.reuse_variables()
        lengths = None if sequence_length is None else vector_of_lengths(sequence_length)
        numbers = math_ops.range(array_ops.shape(along)[0])
        structure: list[Any] = []

        def one(carried: list[Tensor], element: list[Tensor]) -> tuple[list, list]:
            output, new = step(cell, element[0], filled(state, carried), element[1], lengths)
            structure.append(output)
            return flatten(new), flatten(output)

        last, outputs = sweep(one, [convert_to_tensor(t) for t in flatten(state)], [along, numbers], name="while")
        outputs = outputs if time_major else [_time_and_batch_swapped(t) for t in outputs]
    return filled(structure[0], outputs), filled(state, last)


def bidirectional_dynamic_rnn(
    cell_fw: Any,
    cell_bw: Any,
    inputs: Any,
    sequence_length: Any = None,
    initial_state_fw: Any = None,
    initial_state_bw: Any = None,
    dtype: Any = None,
    parallel_iterations: int | None = None,
    swap_memory: bool = False,
    time_major: bool = False,
    scope: Any = None,
) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """((outputs forward, backward), (final state forward, backward)) of two cells along the time axis.

    One cell runs along the sequence, the other along the reversed sequence; its outputs are reversed back.
    Arguments as in `dynamic_rnn`.
    """
    time, batch = (0, 1) if time_major else (1, 0)

    def reverse_time(tensor: Any) -> Tensor:
        if sequence_length is None:
            return reverse(tensor, [time])
        return reverse_sequence(tensor, sequence_length, seq_axis=time, batch_axis=batch)

    with variable_scope(scope or "bidirectional_rnn"):
        with variable_scope("fw") as forwards:
            forward, state_fw = dynamic_rnn(
                cell_fw, inputs, sequence_length, initial_state_fw, dtype, time_major=time_major, scope=forwards
            )
        with variable_scope("bw") as backwards:
            given = reverse_time(convert_to_tensor(inputs))
            backward, state_bw = dynamic_rnn(
                cell_bw, given, sequence_length, initial_state_bw, dtype, time_major=time_major, scope=backwards
            )
    return (forward, filled(backward, [reverse_time(tensor) for tensor in flatten(backward)])), (state_fw, state_bw)


def _time_and_batch_swapped(tensor: Tensor) -> Tensor:
    """Swap the batch and time axes."""
    rank = tensor.shape.ndims
    if rank is None:
        raise ValueError(f"dynamic_rnn needs to know the rank of its inputs, but got {tensor}.")
    return transpose(tensor, [1, 0, *range(2, rank)])


def filled(structure: Any, tensors: list[Tensor]) -> Any:
    """The structure with other tensors."""
    items = iter(tensors)

    def fill(part: Any) -> Any:
        return rebuild(part, fill) if isinstance(part, (list, tuple)) else next(items)

    return fill(structure)
