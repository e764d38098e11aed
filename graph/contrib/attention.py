"""Attention: a cell that focuses, at each step, on the relevant positions of a memory.

memory      [batch, time, depth]: the output of an encoder
query       the output of a cell, from which a score for each position in the memory is computed
alignments  [batch, time]: the scores normalized to weights that sum to one
context     the mean of the memory with these weights
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.build import constant, convert_to_tensor
from weftwork.graph.layers.core import Dense
from weftwork.graph.nn import ops as nn
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.filling import ones, sequence_mask, zeros
from weftwork.graph.ops.tensor_array import TensorArray
from weftwork.graph.recurrent.cells import RNNCell
from weftwork.graph.scopes import name_scope
from weftwork.graph.structures import map_structure
from weftwork.graph.variables.scoping import variable_scope
from weftwork.graph.variables.sharing import get_variable

AttentionWrapperState_ = namedtuple(
    "AttentionWrapperState", ["cell_state", "attention", "time", "alignments", "alignment_history", "attention_state"]
)


class AttentionWrapperState(AttentionWrapperState_):
    """The state of an AttentionWrapper: the cell's state, and the attention."""

    __slots__ = ()

    def clone(self, **kwargs: Any) -> AttentionWrapperState:
        """A copy with some parts replaced."""
        return self._replace(**kwargs)


def hardmax(logits: Any, name: str | None = None) -> Tensor:
    """One at the largest element along the last axis, zero elsewhere."""
    with name_scope(name, "Hardmax", [logits]):
        logits = convert_to_tensor(logits)
        depth = logits.shape.as_list()[-1]
        return array_ops.one_hot(
            math_ops.argmax(logits, -1), array_ops.shape(logits)[-1] if depth is None else depth, dtype=logits.dtype
        )


def tile_batch(t: Any, multiplier: int, name: str | None = None) -> Any:
    """Repeat each row of tensors [batch, ...] `multiplier` times in sequence: [batch * multiplier, ...]."""
    with name_scope(name, "tile_batch"):
        return map_structure(lambda x: _tiled(x, multiplier), t)


def _tiled(t: Any, multiplier: int) -> Any:
    if isinstance(t, TensorArray):
        return t
    x = convert_to_tensor(t)
    if not x.raw_shape:
        if x.raw_shape is None:
            raise ValueError("t must have statically known rank")
        return x
    rows, rest = x.raw_shape[0], x.raw_shape[1:]
    wide = array_ops.tile(array_ops.expand_dims(x, 1), [1, multiplier] + [1] * len(rest))
    result = array_ops.reshape(wide, array_ops.concat([[-1], array_ops.shape(x)[1:]], 0))
    result.set_shape([None if rows is None else rows * multiplier, *rest])
    return result


# Mechanisms


class AttentionMechanism:
    """Computes scores for the positions in a memory from a query. A subclass defines `score(query)`.

    memory_sequence_length: [batch]; positions beyond it are ignored.   probability_fn: maps scores to weights, softmax
    by default.   score_mask_value: the score of ignored positions.
    """

    def __init__(
        self, query_layer: Any, memory: Any, probability_fn: Callable[..., Any] | None, memory_sequence_length: Any,
        memory_layer: Any, score_mask_value: Any, name: str,
    ):  # fmt: skip
        with name_scope(name, None):
            self.query_layer, self.memory_layer = query_layer, memory_layer
            self._probability_fn = probability_fn or nn.softmax
            self._lengths = None if memory_sequence_length is None else convert_to_tensor(memory_sequence_length)
            self._least = -float("inf") if score_mask_value is None else score_mask_value
            self.values = _masked(convert_to_tensor(memory), self._lengths)
            self.keys = self.values if memory_layer is None else memory_layer(self.values)
            self.dtype = self.values.dtype.base_dtype
            self.alignments_size = self.keys.shape.as_list()[1] or array_ops.shape(self.keys)[1]
            self.state_size = self.alignments_size

    @property
    def batch_size(self) -> Any:
        """The number of memories."""
        return self.keys.shape.as_list()[0] or array_ops.shape(self.keys)[0]

    def score(self, query: Tensor) -> Tensor:
        """The scores [batch, time] for a query [batch, depth]."""
        raise NotImplementedError

    def __call__(self, query: Tensor, state: Any) -> tuple[Tensor, Tensor]:
        """(alignments, the next attention state)."""
        scores = self.score(query)
        if self._lengths is not None:
            valid = sequence_mask(self._lengths, array_ops.shape(scores)[1])
            scores = array_ops.where_v2(valid, scores, ones(array_ops.shape(scores), self.dtype) * self._least)
        alignments = self._probability_fn(scores)
        return alignments, alignments

    def initial_alignments(self, batch_size: Any, dtype: Any) -> Tensor:
        """Zero alignments."""
        return zeros(array_ops.stack([batch_size, self.alignments_size]), dtype)

    initial_state = initial_alignments


def _masked(memory: Tensor, lengths: Tensor | None) -> Tensor:
    """The memory with zeros beyond the lengths."""
    if lengths is None:
        return memory
    valid = sequence_mask(lengths, array_ops.shape(memory)[1], dtype=memory.dtype.base_dtype)
    masked = memory * array_ops.expand_dims(valid, 2)
    masked.set_shape(memory.shape)
    return masked


class LuongAttention(AttentionMechanism):
    """Scores are the products of keys and query. scale: multiply them by a trained weight.

    Source: Luong, Pham and Manning 2015, arXiv:1508.04025.
    """

    def __init__(
        self, num_units: int, memory: Any, memory_sequence_length: Any = None, scale: bool = False,
        probability_fn: Callable[..., Any] | None = None, score_mask_value: Any = None, dtype: Any = None,
        custom_key_value_fn: Any = None, name: str = "LuongAttention",
    ):  # fmt: skip
        layer = Dense(num_units, name="memory_layer", use_bias=False, dtype=dtype)
        super().__init__(None, memory, probability_fn, memory_sequence_length, layer, score_mask_value, name)
        self._num_units, self._scale, self._name = num_units, scale, name

    def score(self, query: Tensor) -> Tensor:
        depth = self.keys.shape.as_list()[-1]
        if query.shape.as_list()[-1] != depth:
            raise ValueError(
                "Incompatible or unknown inner dimensions between query and keys.  Query has units: "
                f"{query.shape.as_list()[-1]}.  Keys have units: {depth}.  Perhaps you need to set num_units to the "
                "keys' dimension?"
            )
        with variable_scope(None, "luong_attention", [query]):
            products = math_ops.matmul(array_ops.expand_dims(query, 1), self.keys, transpose_b=True)
            scores = array_ops.squeeze(products, [1])
            if self._scale:
                scores = scores * get_variable("attention_g", [], self.dtype, initializer=_one)
            return scores


class BahdanauAttention(AttentionMechanism):
    """Scores from a small network over keys and query. normalize: use a normalized weight times a trained scale.

    Source: Bahdanau, Cho and Bengio 2014, arXiv:1409.0473; Salimans and Kingma 2016, arXiv:1602.07868.
    """

    def __init__(
        self, num_units: int, memory: Any, memory_sequence_length: Any = None, normalize: bool = False,
        probability_fn: Callable[..., Any] | None = None, score_mask_value: Any = None, dtype: Any = None,
        custom_key_value_fn: Any = None, name: str = "BahdanauAttention",
    ):  # fmt: skip
        query_layer = Dense(num_units, name="query_layer", use_bias=False, dtype=dtype)
        memory_layer = Dense(num_units, name="memory_layer", use_bias=False, dtype=dtype)
        lengths = memory_sequence_length
        super().__init__(query_layer, memory, probability_fn, lengths, memory_layer, score_mask_value, name)
        self._num_units, self._normalize, self._name = num_units, normalize, name

    def score(self, query: Tensor) -> Tensor:
        with variable_scope(None, "bahdanau_attention", [query]):
            projected = array_ops.expand_dims(self.query_layer(query), 1)
            v = get_variable("attention_v", [self._num_units], self.dtype)
            if not self._normalize:
                return math_ops.reduce_sum(v * math_ops.tanh(self.keys + projected), [2])
            g = get_variable("attention_g", [], self.dtype, initializer=_root(self._num_units))
            bias = get_variable("attention_b", [self._num_units], self.dtype, initializer=_zeros)
            unit = g * v * math_ops.rsqrt(math_ops.reduce_sum(math_ops.square(v)))
            return math_ops.reduce_sum(unit * math_ops.tanh(self.keys + projected + bias), [2])


def _one(shape: Any, dtype: Any = dtypes.float32, **_: Any) -> Tensor:
    return ones(shape, dtype)


def _zeros(shape: Any, dtype: Any = dtypes.float32, **_: Any) -> Tensor:
    return zeros(shape, dtype)


def _root(units: int) -> Callable[..., Any]:
    return lambda shape, dtype=dtypes.float32, **_: ones(shape, dtype) * (1.0 / units) ** 0.5


# The cell


class AttentionWrapper(RNNCell):
    """A cell whose inputs are joined with the previous attention, and whose outputs query the next one.

    attention_mechanism: one, or a list of them.   attention_layer_size: of a layer over cell output and context; if
    None, the attention is the context.   alignment_history: record the alignments of all steps in the state.
    cell_input_fn(inputs, attention): the cell's input, by default both concatenated.   output_attention: output the
    attention instead of the cell's output.
    """

    def __init__(
        self, cell: RNNCell, attention_mechanism: Any, attention_layer_size: Any = None,
        alignment_history: bool = False, cell_input_fn: Callable[..., Any] | None = None, output_attention: bool = True,
        initial_cell_state: Any = None, name: str | None = None, attention_layer: Any = None,
        attention_fn: Any = None, dtype: Any = None,
    ):  # fmt: skip
        super().__init__(name=name)
        self._several = isinstance(attention_mechanism, (list, tuple))
        self._mechanisms = list(attention_mechanism) if self._several else [attention_mechanism]
        self._cell, self._history, self._output_attention = cell, alignment_history, output_attention
        self._cell_input_fn = cell_input_fn or (lambda inputs, attention: array_ops.concat([inputs, attention], -1))
        self._initial_cell_state = initial_cell_state
        self._layers = self._attention_layers(attention_layer_size, attention_layer)
        depths = [mechanism.values.shape.as_list()[-1] for mechanism in self._mechanisms]
        sizes = [d if layer is None else layer.units for d, layer in zip(depths, self._layers, strict=True)]
        self._attention_size = sum(sizes)

    def _attention_layers(self, sizes: Any, layers: Any) -> list:
        if layers is not None:
            return list(layers) if isinstance(layers, (list, tuple)) else [layers]
        if sizes is None:
            return [None] * len(self._mechanisms)
        listed = list(sizes) if isinstance(sizes, (list, tuple)) else [sizes]
        if len(listed) != len(self._mechanisms):
            raise ValueError("If provided, attention_layer_size must contain exactly one integer per mechanism")
        return [
            Dense(size, name="attention_layer" if number == 0 else f"attention_layer_{number}", use_bias=False)
            for number, size in enumerate(listed)
        ]

    def _item_or_tuple(self, items: list) -> Any:
        return tuple(items) if self._several else items[0]

    @property
    def output_size(self) -> Any:  # type: ignore[override]
        """The size of the attention, or of the cell's output."""
        return self._attention_size if self._output_attention else self._cell.output_size

    @property
    def state_size(self) -> Any:  # type: ignore[override]
        """An AttentionWrapperState of sizes."""
        sizes = [mechanism.alignments_size for mechanism in self._mechanisms]
        history = [size if self._history else () for size in sizes]
        return AttentionWrapperState(
            self._cell.state_size, self._attention_size, (), self._item_or_tuple(sizes),
            self._item_or_tuple(history), self._item_or_tuple(sizes),
        )  # fmt: skip

    def zero_state(self, batch_size: Any, dtype: Any) -> AttentionWrapperState:
        """The state before the first step."""
        with name_scope(f"{type(self).__name__}ZeroState"):
            given = self._initial_cell_state
            cell_state = self._cell.zero_state(batch_size, dtype) if given is None else given
            first = [mechanism.initial_alignments(batch_size, dtype) for mechanism in self._mechanisms]
            history = [
                TensorArray(t.dtype.base_dtype, 0, dynamic_size=True, element_shape=t.shape) if self._history else ()
                for t in first
            ]
            attention = zeros(array_ops.stack([batch_size, self._attention_size]), dtype)
            attention.set_shape([None, self._attention_size])
            return AttentionWrapperState(
                cell_state, attention, constant(0, dtypes.int32), self._item_or_tuple(first),
                self._item_or_tuple(history), self._item_or_tuple(first),
            )  # fmt: skip

    def call(self, inputs: Any, state: AttentionWrapperState) -> tuple[Tensor, AttentionWrapperState]:
        """(output, next state) of one step."""
        if not isinstance(state, AttentionWrapperState):
            raise TypeError(f"Expected state to be instance of AttentionWrapperState. Received type {type(state)}")
        output, cell_state = self._cell(self._cell_input_fn(inputs, state.attention), state.cell_state)
        old_states = state.attention_state if self._several else (state.attention_state,)
        arrays = state.alignment_history if self._several else (state.alignment_history,)
        attentions, alignments, states, history = [], [], [], []
        for number, mechanism in enumerate(self._mechanisms):
            weights, following = mechanism(output, old_states[number])
            context = array_ops.squeeze(math_ops.matmul(array_ops.expand_dims(weights, 1), mechanism.values), [1])
            layer = self._layers[number]
            attentions.append(context if layer is None else layer(array_ops.concat([output, context], 1)))
            alignments.append(weights)
            states.append(following)
            history.append(arrays[number].write(state.time, weights) if self._history else ())
        attention = array_ops.concat(attentions, 1)
        following = AttentionWrapperState(
            cell_state, attention, state.time + 1, self._item_or_tuple(alignments), self._item_or_tuple(history),
            self._item_or_tuple(states),
        )  # fmt: skip
        return (attention if self._output_attention else output), following
