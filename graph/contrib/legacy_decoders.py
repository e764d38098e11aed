"""Sequence-to-sequence networks along lists of tensors, one for each step.

feed_previous   a decoder's input is its own last output, except in the first step: to use a network, not to train it.
                A bool, or a boolean tensor that chooses in each run.
Sources: Sutskever, Vinyals and Le 2014, arXiv:1409.3215; with attention Vinyals et al. 2015, arXiv:1412.7449.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any
from weakref import WeakKeyDictionary

from weftwork.graph.build import convert_to_tensor
from weftwork.graph.contrib.sequences import (
    EmbeddingWrapper,
    OutputProjectionWrapper,
    projected,
    rnn_decoder,
    sequence_loss_by_example,
    sequence_loss_of_lists,
)
from weftwork.graph.nn import convolutions
from weftwork.graph.nn import ops as nn_ops
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.control_flow import cond
from weftwork.graph.ops.flow import stop_gradient
from weftwork.graph.recurrent.static import static_rnn
from weftwork.graph.scopes import name_scope
from weftwork.graph.structures import flatten, pack_sequence_as
from weftwork.graph.variables.scoping import get_variable_scope, variable_scope
from weftwork.graph.variables.sharing import get_variable

Decoded = tuple[list[Any], Any]
"""(outputs of each step, final state)"""


_TWINS: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def _twin(cell: Any) -> Any:
    """A cell like this one with weights of its own, for the encoder; the same one each time, so buckets share it."""
    if cell not in _TWINS:
        if cell.built:
            raise ValueError(f"{cell!r} has been called already: an encoder and a decoder take a new cell.")
        _TWINS[cell] = deepcopy(cell)
    return _TWINS[cell]


def _previous(table: Any, projection: Any, update: bool) -> Callable[[Tensor, int], Tensor]:
    """A loop function: the row of the table for the class that the last output finds most likely."""

    def following(before: Tensor, step: int) -> Tensor:
        del step
        scores = before if projection is None else nn_ops.xw_plus_b(before, projection[0], projection[1])
        row = nn_ops.embedding_lookup(table, math_ops.argmax(scores, 1))
        return row if update else stop_gradient(row)

    return following


def _embedded(
    inputs: Sequence[Any], symbols: int, size: int, projection: Any, feed_previous: bool, update: bool
) -> tuple[list[Tensor], Callable[..., Any] | None]:
    table = get_variable("embedding", [symbols, size])
    following = _previous(table, projection, update) if feed_previous else None
    return [nn_ops.embedding_lookup(table, row) for row in inputs], following


def basic_rnn_seq2seq(
    encoder_inputs: Sequence[Any], decoder_inputs: Sequence[Any], cell: Any, dtype: Any = "float32", scope: Any = None
) -> Decoded:
    """A decoder that starts with the final state of an encoder; both have a cell like `cell`, with own weights."""
    with variable_scope(scope or "basic_rnn_seq2seq"):
        _, state = static_rnn(_twin(cell), encoder_inputs, dtype=dtype)
        return rnn_decoder(decoder_inputs, state, cell)


def tied_rnn_seq2seq(
    encoder_inputs: Sequence[Any],
    decoder_inputs: Sequence[Any],
    cell: Any,
    loop_function: Callable[..., Any] | None = None,
    dtype: Any = "float32",
    scope: Any = None,
) -> Decoded:
    """As `basic_rnn_seq2seq`, with the same weights in the encoder and the decoder."""
    with variable_scope("combined_tied_rnn_seq2seq"):
        scope = scope or "tied_rnn_seq2seq"
        _, state = static_rnn(cell, encoder_inputs, dtype=dtype, scope=scope)
        get_variable_scope().reuse_variables()
        return rnn_decoder(decoder_inputs, state, cell, loop_function=loop_function, scope=scope)


def embedding_rnn_decoder(
    decoder_inputs: Sequence[Any],
    initial_state: Any,
    cell: Any,
    num_symbols: int,
    embedding_size: int,
    output_projection: Any = None,
    feed_previous: bool = False,
    update_embedding_for_previous: bool = True,
    scope: Any = None,
) -> Decoded:
    """`rnn_decoder` whose inputs are rows of a table, by their numbers [batch].

    output_projection: (weights [size, symbols], bias), from an output to the scores of the symbols.
    update_embedding_for_previous: whether gradients reach the table through the rows of previous outputs.
    """
    with variable_scope(scope or "embedding_rnn_decoder"):
        rows, following = _embedded(
            decoder_inputs, num_symbols, embedding_size, output_projection, feed_previous, update_embedding_for_previous
        )
        return rnn_decoder(rows, initial_state, cell, loop_function=following)


def embedding_rnn_seq2seq(
    encoder_inputs: Sequence[Any],
    decoder_inputs: Sequence[Any],
    cell: Any,
    num_encoder_symbols: int,
    num_decoder_symbols: int,
    embedding_size: int,
    output_projection: Any = None,
    feed_previous: Any = False,
    dtype: Any = "float32",
    scope: Any = None,
) -> Decoded:
    """An encoder and a decoder of symbols. Without output_projection, the outputs are the scores of the symbols."""
    with variable_scope(scope or "embedding_rnn_seq2seq"):
        encoder = EmbeddingWrapper(_twin(cell), num_encoder_symbols, embedding_size)
        _, state = static_rnn(encoder, encoder_inputs, dtype=dtype)
        if output_projection is None:
            cell = OutputProjectionWrapper(cell, num_decoder_symbols)

        def decode(previous: bool) -> Decoded:
            return embedding_rnn_decoder(
                decoder_inputs, state, cell, num_decoder_symbols, embedding_size, output_projection, previous
            )

        return _either(feed_previous, decode)


def attention_decoder(
    decoder_inputs: Sequence[Any],
    initial_state: Any,
    attention_states: Any,
    cell: Any,
    output_size: int | None = None,
    num_heads: int = 1,
    loop_function: Callable[..., Any] | None = None,
    dtype: Any = None,
    scope: Any = None,
    initial_state_attention: bool = False,
) -> Decoded:
    """A decoder that looks at the states of an encoder in each step.

    decoder_inputs: [batch, size] for each step.  attention_states: [batch, length, state size].
    output_size: that of the outputs, by default the cell's.  loop_function: as for `rnn_decoder`.
    initial_state_attention: look once before the first step, at what the initial state asks for.
    Raises ValueError without inputs or heads, or if the state size is not known.
    """
    if not decoder_inputs:
        raise ValueError("Must provide at least 1 input to attention decoder.")
    if num_heads < 1:
        raise ValueError("With less than 1 heads, use a non-attention decoder.")
    states = convert_to_tensor(attention_states)
    if states.shape.as_list()[2] is None:
        raise ValueError(f"Shape[2] of attention_states must be known: {states.shape}")
    with variable_scope(scope or "attention_decoder", dtype=dtype or states.dtype.base_dtype):
        look = _heads(states, num_heads)
        seen = look(initial_state) if initial_state_attention else _unseen(decoder_inputs[0], states, num_heads)
        state, outputs, size = initial_state, [], output_size or cell.output_size
        for step, given in enumerate(decoder_inputs):
            if step:
                get_variable_scope().reuse_variables()
                if loop_function is not None:
                    with variable_scope("loop_function", reuse=True):
                        given = loop_function(outputs[-1], step)
            given = convert_to_tensor(given)
            width = given.shape.as_list()[1]
            if width is None:
                raise ValueError(f"Could not infer input size from input: {given.name}")
            mixed = projected(array_ops.concat([given, *seen], 1), width)
            output, state = cell(mixed, state)
            with variable_scope(get_variable_scope(), reuse=True if step == 0 and initial_state_attention else None):
                seen = look(state)
            with variable_scope("AttnOutputProjection"):
                outputs.append(projected(array_ops.concat([output, *seen], 1), size))
    return outputs, state


def _unseen(first: Any, states: Tensor, heads: int) -> list[Tensor]:
    size = states.shape.as_list()[2]
    nothing = array_ops.zeros(array_ops.stack([array_ops.shape(first)[0], size]), states.dtype)
    nothing.set_shape([None, size])
    return [nothing] * heads


def _heads(states: Tensor, heads: int) -> Callable[[Any], list[Tensor]]:
    """A function from a cell's state to what each head sees, [batch, state size]."""
    length = array_ops.shape(states)[1]
    size: Any = states.shape.as_list()[2]
    hidden = array_ops.reshape(states, [-1, length, 1, size])
    names = [(f"AttnW_{head}", f"AttnV_{head}") for head in range(heads)]
    keys = [
        (
            convolutions.conv2d(hidden, get_variable(w, [1, 1, size, size]), [1, 1, 1, 1], "SAME"),
            get_variable(v, [size]),
        )
        for w, v in names
    ]

    def look(query: Any) -> list[Tensor]:
        asked, seen = array_ops.concat([convert_to_tensor(part) for part in flatten(query)], 1), []
        for head, (key, weights) in enumerate(keys):
            with variable_scope(f"Attention_{head}"):
                wanted = array_ops.reshape(projected(asked, size), [-1, 1, 1, size])
                shares = nn_ops.softmax(math_ops.reduce_sum(weights * math_ops.tanh(key + wanted), [2, 3]))
                total = math_ops.reduce_sum(array_ops.reshape(shares, [-1, length, 1, 1]) * hidden, [1, 2])
                seen.append(array_ops.reshape(total, [-1, size]))
        return seen

    return look


def embedding_attention_decoder(
    decoder_inputs: Sequence[Any],
    initial_state: Any,
    attention_states: Any,
    cell: Any,
    num_symbols: int,
    embedding_size: int,
    num_heads: int = 1,
    output_size: int | None = None,
    output_projection: Any = None,
    feed_previous: bool = False,
    update_embedding_for_previous: bool = True,
    dtype: Any = None,
    scope: Any = None,
    initial_state_attention: bool = False,
) -> Decoded:
    """`attention_decoder` whose inputs are rows of a table, as in `embedding_rnn_decoder`."""
    with variable_scope(scope or "embedding_attention_decoder", dtype=dtype):
        rows, following = _embedded(
            decoder_inputs, num_symbols, embedding_size, output_projection, feed_previous, update_embedding_for_previous
        )
        return attention_decoder(
            rows, initial_state, attention_states, cell, output_size=output_size or cell.output_size,
            num_heads=num_heads, loop_function=following, initial_state_attention=initial_state_attention,
        )  # fmt: skip


def embedding_attention_seq2seq(
    encoder_inputs: Sequence[Any],
    decoder_inputs: Sequence[Any],
    cell: Any,
    num_encoder_symbols: int,
    num_decoder_symbols: int,
    embedding_size: int,
    num_heads: int = 1,
    output_projection: Any = None,
    feed_previous: Any = False,
    dtype: Any = "float32",
    scope: Any = None,
    initial_state_attention: bool = False,
) -> Decoded:
    """As `embedding_rnn_seq2seq`, with attention to the outputs of the encoder."""
    with variable_scope(scope or "embedding_attention_seq2seq", dtype=dtype):
        encoder = EmbeddingWrapper(_twin(cell), num_encoder_symbols, embedding_size)
        tops, state = static_rnn(encoder, encoder_inputs, dtype=dtype)
        states = array_ops.concat([array_ops.reshape(top, [-1, 1, cell.output_size]) for top in tops], 1)
        size = None
        if output_projection is None:
            cell, size = OutputProjectionWrapper(cell, num_decoder_symbols), num_decoder_symbols

        def decode(previous: bool) -> Decoded:
            return embedding_attention_decoder(
                decoder_inputs, state, states, cell, num_decoder_symbols, embedding_size, num_heads, size,
                output_projection, previous, initial_state_attention=initial_state_attention,
            )  # fmt: skip

        return _either(feed_previous, decode)


def _either(feed_previous: Any, decode: Callable[[bool], Decoded]) -> Decoded:
    """What `decode` gives for a bool, or for a tensor that chooses in each run."""
    if isinstance(feed_previous, bool):
        return decode(feed_previous)
    last = None

    def branch(previous: bool) -> list[Any]:
        nonlocal last
        with variable_scope(get_variable_scope(), reuse=None if previous else True):
            outputs, last = decode(previous)
        return [*outputs, *flatten(last)]

    found: Any = cond(feed_previous, lambda: branch(True), lambda: branch(False))
    count = len(found) - len(flatten(last))
    return list(found[:count]), pack_sequence_as(last, found[count:])


def model_with_buckets(
    encoder_inputs: Sequence[Any],
    decoder_inputs: Sequence[Any],
    targets: Sequence[Any],
    weights: Sequence[Any],
    buckets: Sequence[tuple[int, int]],
    seq2seq: Callable[[Any, Any], tuple[Any, Any]],
    softmax_loss_function: Callable[..., Any] | None = None,
    per_example_loss: bool = False,
    name: str | None = None,
) -> tuple[list[Any], list[Any]]:
    """(outputs, losses) of the same network for several pairs of lengths.

    buckets: (encoder steps, decoder steps), increasing.  seq2seq(encoder inputs, decoder inputs): (outputs, state).
    per_example_loss: losses are [batch] instead of scalars. Raises ValueError for lists shorter than the last bucket.
    """
    longest = buckets[-1]
    for word, given, least in (
        ("encoder_inputs", encoder_inputs, longest[0]), ("targets", targets, longest[1]),
        ("weights", weights, longest[1]),
    ):  # fmt: skip
        if len(given) < least:
            raise ValueError(f"Length of {word} ({len(given)}) must be at least that of last bucket ({least}).")
    loss_of = sequence_loss_by_example if per_example_loss else sequence_loss_of_lists
    outputs, losses = [], []
    with name_scope(name, "model_with_buckets", [*encoder_inputs, *decoder_inputs, *targets, *weights]):
        for number, (before, after) in enumerate(buckets):
            with variable_scope(get_variable_scope(), reuse=True if number else None):
                output, _ = seq2seq(encoder_inputs[:before], decoder_inputs[:after])
            outputs.append(output)
            losses.append(
                loss_of(output, targets[:after], weights[:after], softmax_loss_function=softmax_loss_function)
            )
    return outputs, losses
