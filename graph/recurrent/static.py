"""Recurrent networks: a cell, step by step along a sequence.

input       what the cell gets at one step, [batch, ...]
going       whether a row of the batch is not finished: its step is before its `sequence_length`
step        what `static_rnn` does for each input; a loop over time does the same in its body
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weftwork.graph.build import convert_to_tensor
from weftwork.graph.nest import flatten, rebuild
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.recurrent.cells import check_cell
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.structures import is_nested, map_structure, pack_sequence_as
from weftwork.graph.variables.scoping import variable_scope


def static_rnn(
    cell: Any,
    inputs: Sequence[Any],
    initial_state: Any = None,
    dtype: Any = None,
    sequence_length: Any = None,
    scope: Any = None,
) -> tuple[list[Any], Any]:
    """(outputs, final state) of a cell along a list of inputs, with separate operations for each step.

    inputs: tensors [batch, in], or structures of them.  initial_state: None for zeros of `dtype`.
    sequence_length: integers [batch]; beyond it, a row's outputs are zero and its state does not change.
    Raises TypeError if `inputs` is not a list, ValueError if it is empty or the initial state is undetermined.
    """
    _check(cell, inputs)
    with variable_scope(scope or "rnn") as current:
        state = initial_state
        if state is None:
            state = first_state(cell, inputs[0], dtype)
        lengths = None if sequence_length is None else vector_of_lengths(sequence_length)
        outputs = []
        for time, given in enumerate(inputs):
            if time > 0:
                current.reuse_variables()
            output, state = step(cell, given, state, time, lengths)
            outputs.append(output)
    return outputs, state


def static_state_saving_rnn(
    cell: Any,
    inputs: Sequence[Any],
    state_saver: Any,
    state_name: Any,
    sequence_length: Any = None,
    scope: Any = None,
) -> tuple[list[Any], Any]:
    """`static_rnn` along a piece of a sequence. It starts with the state of the piece before, and saves its own.

    state_saver: an object with `state(name)`, a tensor, and `save_state(name, tensor)`, which returns an operation.
    state_name: a name, or a tuple of names for a cell whose state is a tuple.
    Raises ValueError if state_name does not match the cell's state.
    """
    sizes, names = cell.state_size, state_name
    if is_nested(sizes) != is_nested(names):
        raise ValueError(
            "Argument `state_name` should be the same type as `cell.state_size`. "
            f"Received: state_name={names!s}, cell.state_size={sizes!s}."
        )
    flat = flatten(names)
    if len(flat) != len(flatten(sizes)):
        raise ValueError(
            "Number of elements in argument `state_name` and `cell.state_size` are mismatched. "
            f"Received state_name={names} with {len(flat)} elements and cell.state_size={sizes} with "
            f"{len(flatten(sizes))} elements."
        )
    initial = pack_sequence_as(sizes, [state_saver.state(one) for one in flat])
    outputs, state = static_rnn(cell, inputs, initial, sequence_length=sequence_length, scope=scope)
    saved = [state_saver.save_state(one, part) for one, part in zip(flat, flatten(state), strict=True)]
    with get_default_graph().control_dependencies(saved):
        outputs[-1] = map_structure(array_ops.identity, outputs[-1])
        return outputs, map_structure(array_ops.identity, state)


def static_bidirectional_rnn(
    cell_fw: Any,
    cell_bw: Any,
    inputs: Sequence[Any],
    initial_state_fw: Any = None,
    initial_state_bw: Any = None,
    dtype: Any = None,
    sequence_length: Any = None,
    scope: Any = None,
) -> tuple[list[Any], Any, Any]:
    """(outputs, final state forward, final state backward) of two cells, one of which runs along the reversed sequence.

    Each output is [batch, sum of output sizes]. Arguments as in `static_rnn`.
    """
    with variable_scope(scope or "bidirectional_rnn"):
        with variable_scope("fw") as forwards:
            forward, state_fw = static_rnn(cell_fw, inputs, initial_state_fw, dtype, sequence_length, forwards)
        with variable_scope("bw") as backwards:
            reversed_inputs = _reversed(inputs, sequence_length)
            backward, state_bw = static_rnn(
                cell_bw, reversed_inputs, initial_state_bw, dtype, sequence_length, backwards
            )
    pairs = zip(forward, _reversed(backward, sequence_length), strict=True)
    return [array_ops.concat(pair, 1) for pair in pairs], state_fw, state_bw


def first_state(cell: Any, given: Any, dtype: Any) -> Any:
    """A zero state for the batch of an input. Raises ValueError without a dtype."""
    if dtype is None:
        raise ValueError("If no initial_state is provided, dtype must be specified")
    first = convert_to_tensor(flatten(given)[0])
    known = first.shape.as_list()[0] if first.shape.ndims else None
    return cell.zero_state(known or array_ops.shape(first)[0], dtype)


def vector_of_lengths(sequence_length: Any) -> Tensor:
    """Sequence lengths as int32 [batch]. Raises ValueError for another rank."""
    lengths = convert_to_tensor(sequence_length, name="sequence_length")
    if lengths.shape.ndims not in (None, 1):
        raise ValueError(f"sequence_length must be a vector of length batch_size, but saw shape: {lengths.shape}")
    return math_ops.cast(lengths, "int32")


def step(cell: Any, given: Any, state: Any, time: Any, lengths: Tensor | None) -> tuple[Any, Any]:
    """(output, next state) of one step; finished rows output zeros and keep their state.

    time: the number of the step, an int or a scalar tensor.  lengths: int32 [batch], or None if no row ever finishes.
    """
    output, new = cell(given, state)
    if lengths is None:
        return output, new
    going = math_ops.less(time, lengths)
    return _where(going, output, _zeros(output)), _where(going, new, state)


def _zeros(structure: Any) -> Any:
    """Zeros of the same structure and shapes."""
    if isinstance(structure, (list, tuple)):
        return rebuild(structure, _zeros)
    return array_ops.zeros_like(structure)


def _where(going: Tensor, new: Any, old: Any) -> Any:
    """`new` where a row is going, else `old`; values without rows are always new."""
    if isinstance(new, (list, tuple)):
        others = iter(old)
        return rebuild(new, lambda item: _where(going, item, next(others)))
    if new.shape.ndims == 0:
        return new
    chosen = array_ops.where(going, new, old)
    chosen.set_shape(new.shape)
    return chosen


def _reversed(items: Sequence, sequence_length: Any) -> list:
    if sequence_length is None:
        return list(reversed(items))
    together = array_ops.stack(items, axis=0)
    lengths = vector_of_lengths(sequence_length)
    reversed_rows = array_ops.reverse_sequence(together, lengths, seq_axis=0, batch_axis=1)
    return array_ops.unstack(reversed_rows, len(items), axis=0)


def _check(cell: Any, inputs: Any) -> None:
    check_cell(cell)
    if not isinstance(inputs, (list, tuple)):
        raise TypeError("inputs must be a sequence")
    if not inputs:
        raise ValueError("inputs must not be empty")
