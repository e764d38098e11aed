"""Beam search: step by step, keep the `beam_width` most likely continuations of each sequence."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.contrib.decoders import Decoder, embedder, start_and_end
from weftwork.graph.nn import ops as nn
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.tensor_array import TensorArray
from weftwork.graph.recurrent.cells import RNNCell
from weftwork.graph.scopes import name_scope
from weftwork.graph.structures import map_structure

BeamSearchDecoderState = namedtuple("BeamSearchDecoderState", ["cell_state", "log_probs", "finished", "lengths"])
BeamSearchDecoderOutput = namedtuple("BeamSearchDecoderOutput", ["scores", "predicted_ids", "parent_ids"])
FinalBeamSearchDecoderOutput = namedtuple(
    "FinalBeamSearchDecoderOutput", ["predicted_ids", "beam_search_decoder_output"]
)


def gather_tree(step_ids: Any, parent_ids: Any, max_sequence_lengths: Any, end_token: Any) -> Tensor:
    """The complete sequences of each beam, [time, batch, beam], traced back through the parents of the chosen words.

    max_sequence_lengths: [batch].   After the first end token, all tokens are end tokens.
    """
    inputs = [convert_to_tensor(item) for item in (step_ids, parent_ids, max_sequence_lengths, end_token)]
    ids = inputs[0]
    return apply(_followed, inputs, type="GatherTree", dtype=ids.dtype.base_dtype, shape=ids.raw_shape)


def _followed(ids, parents, lengths, end):
    sequences = np.full_like(ids, end)
    batches, beams = ids.shape[1:]
    for batch in range(batches):
        last = min(int(np.max(lengths[batch])), len(ids)) - 1
        for beam in range(beams):
            at = beam
            for time in range(last, -1, -1):
                sequences[time, batch, beam] = ids[time, batch, at]
                at = parents[time, batch, at]
            ends = np.flatnonzero(sequences[:, batch, beam] == end)
            if len(ends):
                sequences[ends[0] :, batch, beam] = end
    return sequences


class BeamSearchDecoder(Decoder):
    """Decodes with a beam; `dynamic_decode` returns a FinalBeamSearchDecoderOutput, [batch, time, beam].

    embedding: a table, or a function of ids.   start_tokens: [batch].   initial_state: of the cell, with batch *
    beam_width rows; see `tile_batch`.   length_penalty_weight: 0 for none; else scores are divided by
    ((5 + length) / 6) ** weight: Wu et al. 2016, arXiv:1609.08144.   coverage_penalty_weight must be 0.
    """

    tracks_own_finished = True

    def __init__(
        self, cell: RNNCell, embedding: Any, start_tokens: Any, end_token: Any, initial_state: Any, beam_width: int,
        output_layer: Any = None, length_penalty_weight: float = 0.0, coverage_penalty_weight: float = 0.0,
        reorder_tensor_arrays: bool = True,
    ):  # fmt: skip
        if coverage_penalty_weight:
            raise NotImplementedError("coverage_penalty_weight must be 0.")
        self._cell, self._output_layer, self._width = cell, output_layer, int(beam_width)
        self._embed = embedder(embedding)
        self._start, self._end = start_and_end(start_tokens, end_token)
        self._penalty = length_penalty_weight
        self._batch = array_ops.size(self._start)
        self._state = map_structure(self._split, initial_state)

    @property
    def batch_size(self) -> Tensor:
        """The number of sequences."""
        return self._batch

    def _split(self, tensor: Any) -> Any:
        """[batch * beam, ...] as [batch, beam, ...]."""
        if isinstance(tensor, TensorArray) or convert_to_tensor(tensor).raw_shape == ():
            return tensor
        x = convert_to_tensor(tensor)
        wanted = array_ops.concat([array_ops.stack([self._batch, self._width]), array_ops.shape(x)[1:]], 0)
        reshaped = array_ops.reshape(x, wanted)
        reshaped.set_shape([None, self._width, *x.shape.as_list()[1:]])
        return reshaped

    def _merged(self, tensor: Any) -> Any:
        """[batch, beam, ...] as [batch * beam, ...]."""
        if isinstance(tensor, TensorArray) or tensor.raw_shape == ():
            return tensor
        reshaped = array_ops.reshape(tensor, array_ops.concat([[-1], array_ops.shape(tensor)[2:]], 0))
        reshaped.set_shape([None, *tensor.shape.as_list()[2:]])
        return reshaped

    def initialize(self, name: str | None = None) -> tuple:
        starts = array_ops.tile(array_ops.expand_dims(self._start, 1), [1, self._width])
        shape = array_ops.stack([self._batch, self._width])
        finished = array_ops.fill(shape, False)
        first = array_ops.one_hot(
            array_ops.zeros_like(self._start), self._width, on_value=0.0, off_value=-float("inf"), dtype=dtypes.float32
        )
        lengths = array_ops.zeros_like(starts, dtype=dtypes.int64)
        for tensor in (finished, first, lengths):
            tensor.set_shape([None, self._width])
        return finished, self._embed(starts), BeamSearchDecoderState(self._state, first, finished, lengths)

    def step(self, time: Any, inputs: Any, state: Any, name: str | None = None) -> tuple:
        with name_scope(name, "BeamSearchDecoderStep"):
            outputs, cell_state = self._cell(self._merged(inputs), map_structure(self._merged, state.cell_state))
            outputs = self._split(outputs if self._output_layer is None else self._output_layer(outputs))
            cell_state = map_structure(self._split, cell_state)
            output, following = self._search(outputs, cell_state, state)
            return output, following, self._embed(output.predicted_ids), following.finished

    def _search(self, logits: Tensor, cell_state: Any, state: Any) -> tuple:
        """(output of the step, next state) for logits [batch, beam, vocabulary]."""
        likely = [math_ops.cast(nn.log_softmax(logits), dtypes.float32), state.log_probs, state.finished]
        attrs = {"width": self._width, "penalty": self._penalty}
        row = (None, self._width)
        outputs: list = [
            (dtypes.float32, row), (dtypes.int32, row), (dtypes.int32, row), (dtypes.float32, row),
            (dtypes.bool, row), (dtypes.int64, row),
        ]  # fmt: skip
        result = apply(_best, [*likely, state.lengths, self._end], attrs, type="BeamSearchStep", outputs=outputs)
        scores, words, parents, log_probs, finished, lengths = result
        cell_states = map_structure(lambda tensor: self._reordered(tensor, parents), cell_state)
        return BeamSearchDecoderOutput(scores, words, parents), BeamSearchDecoderState(
            cell_states, log_probs, finished, lengths
        )

    def _reordered(self, tensor: Any, parents: Tensor) -> Any:
        """The states of the surviving beams."""
        if isinstance(tensor, TensorArray) or tensor.raw_shape == ():
            return tensor
        gathered = array_ops.gather(tensor, parents, batch_dims=1)
        gathered.set_shape(tensor.shape)
        return gathered

    def finalize(self, outputs: Any, final_state: Any, sequence_lengths: Any) -> tuple:
        longest = math_ops.cast(math_ops.reduce_max(final_state.lengths, 1), dtypes.int32)
        whole = gather_tree(outputs.predicted_ids, outputs.parent_ids, longest, self._end)
        return FinalBeamSearchDecoderOutput(whole, outputs), final_state


def _best(likely, before, finished, lengths, end, *, width, penalty):
    """The kernel of a step: (scores, words, parents, log probabilities, finished, lengths) of the best beams."""
    batch, _, words = likely.shape
    # A finished beam continues only with its end token, at no cost.
    likely = np.where(finished[:, :, None], np.where(np.arange(words) == end, 0.0, -np.inf), likely)
    total = before[:, :, None] + likely
    counted = lengths[:, :, None] + np.where(finished[:, :, None] | (np.arange(words) == end), 0, 1)
    scores = total / ((5.0 + counted) / 6.0) ** penalty if penalty else total
    flat = scores.reshape(batch, -1).astype(np.float32)
    order = np.argsort(-flat, axis=1, kind="stable")[:, :width]
    parents, chosen = order // words, order % words
    rows = np.arange(batch)[:, None]
    ended = finished[rows, parents]
    new_lengths = lengths[rows, parents] + np.where(ended, 0, 1)
    return (
        flat[rows, order], chosen.astype(np.int32), parents.astype(np.int32),
        total.reshape(batch, -1)[rows, order].astype(np.float32), ended | (chosen == end), new_lengths,
    )  # fmt: skip
