"""Linear-chain conditional random fields: scores, likelihoods and the best sequences of tags.

score         of a sequence of tags: its unary scores, one for each step, and the scores of its transitions
transitions   scores [tags, tags]: row i, column j is the step from tag i to tag j

Sequences are padded to the same time: steps from `sequence_lengths` on count for nothing.
Source: Lafferty, McCallum and Pereira 2001, Conditional Random Fields.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import convert_to_tensor
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.functional import foldl, scan
from weftwork.graph.variables.sharing import get_variable


def crf_unary_score(tag_indices: Any, sequence_lengths: Any, inputs: Any) -> Tensor:
    """The sum of the scores of the tags themselves, [batch].

    tag_indices: integers [batch, time].  sequence_lengths: [batch].  inputs: scores [batch, time, tags].
    """
    inputs = convert_to_tensor(inputs)
    chosen = array_ops.one_hot(tag_indices, array_ops.shape(inputs)[2], dtype=inputs.dtype)
    return math_ops.reduce_sum(math_ops.reduce_sum(inputs * chosen, 2) * _mask(sequence_lengths, inputs), 1)


def crf_binary_score(tag_indices: Any, sequence_lengths: Any, transition_params: Any) -> Tensor:
    """The sum of the scores of the transitions, [batch]. Arguments as for `crf_unary_score`; [tags, tags]."""
    tags, table = convert_to_tensor(tag_indices), convert_to_tensor(transition_params)
    pairs = tags[:, :-1] * math_ops.cast(array_ops.shape(table)[1], tags.dtype) + tags[:, 1:]
    scores = array_ops.gather(array_ops.reshape(table, [-1]), pairs)
    return math_ops.reduce_sum(scores * _mask(sequence_lengths, tags, table.dtype)[:, 1:], 1)


def crf_sequence_score(inputs: Any, tag_indices: Any, sequence_lengths: Any, transition_params: Any) -> Tensor:
    """The score of each sequence of tags, [batch]; 0 for an empty sequence. inputs: [batch, time, tags]."""
    unary = crf_unary_score(tag_indices, sequence_lengths, inputs)
    return unary + crf_binary_score(tag_indices, sequence_lengths, transition_params)


def crf_multitag_sequence_score(inputs: Any, tag_bitmap: Any, sequence_lengths: Any, transition_params: Any) -> Tensor:
    """The log of the summed exponentials of the scores of all sequences that a bitmap allows, [batch].

    inputs: scores [batch, time, tags].  tag_bitmap: booleans of the same shape, the tags that each step may have.
    """
    inputs = convert_to_tensor(inputs)
    never = array_ops.fill(array_ops.shape(inputs), math_ops.cast(-np.inf, inputs.dtype))
    return crf_log_norm(array_ops.where(tag_bitmap, inputs, never), sequence_lengths, transition_params)


def crf_log_norm(inputs: Any, sequence_lengths: Any, transition_params: Any) -> Tensor:
    """The log of the summed exponentials of the scores of all sequences of tags, [batch]; 0 for an empty sequence."""
    inputs, table = convert_to_tensor(inputs), convert_to_tensor(transition_params)

    def step(sums: Tensor, given: tuple[Tensor, Tensor]) -> Tensor:
        scores, going = given
        new = math_ops.reduce_logsumexp(array_ops.expand_dims(sums, 2) + table, 1) + scores
        return array_ops.where(going, new, sums)

    last = foldl(step, _steps(inputs, sequence_lengths), initializer=inputs[:, 0])
    norm = math_ops.reduce_logsumexp(last, 1)
    return array_ops.where(math_ops.less_equal(sequence_lengths, 0), array_ops.zeros_like(norm), norm)


def crf_log_likelihood(
    inputs: Any, tag_indices: Any, sequence_lengths: Any, transition_params: Any = None
) -> tuple[Tensor, Any]:
    """(the log likelihood of each sequence of tags [batch], the transitions).

    inputs: scores [batch, time, tags], whose number of tags is known.  tag_indices: integers [batch, time].
    transition_params: [tags, tags]; without it, the variable `transitions` is made in the current variable scope.
    """
    inputs = convert_to_tensor(inputs)
    if transition_params is None:
        tags = inputs.shape.as_list()[2]
        transition_params = get_variable("transitions", [tags, tags])
    score = crf_sequence_score(inputs, tag_indices, sequence_lengths, transition_params)
    return score - crf_log_norm(inputs, sequence_lengths, transition_params), transition_params


def crf_decode(potentials: Any, transition_params: Any, sequence_length: Any) -> tuple[Tensor, Tensor]:
    """(the best tags [batch, time], int32, 0 beyond a sequence's end; their scores [batch]), by Viterbi's algorithm.

    potentials: scores [batch, time, tags].  Among sequences of equal score, lower tags come first.
    """
    scores, table = convert_to_tensor(potentials), convert_to_tensor(transition_params)
    tags = array_ops.shape(scores)[2]
    stay = array_ops.zeros(array_ops.shape(scores)[::2], dtypes.int32) + math_ops.range(tags)

    def step(before: tuple[Tensor, Tensor], given: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        best, (here, going) = before[0], given
        sums = array_ops.expand_dims(best, 2) + table
        came = math_ops.argmax(sums, 1, output_type=dtypes.int32)
        return array_ops.where(going, math_ops.reduce_max(sums, 1) + here, best), array_ops.where(going, came, stay)

    def back(tag: Tensor, came: Tensor) -> Tensor:
        return math_ops.reduce_sum(came * array_ops.one_hot(tag, tags, dtype=dtypes.int32), 1)

    sums, came = scan(step, _steps(scores, sequence_length), initializer=(scores[:, 0], stay))
    last = sums[-1]
    end = math_ops.argmax(last, 1, output_type=dtypes.int32)
    path = scan(back, came, initializer=end, reverse=True)
    path = array_ops.concat([path[1:], array_ops.expand_dims(end, 0)], 0)
    path = array_ops.transpose(path) * _mask(sequence_length, scores, dtypes.int32)
    path.set_shape(scores.shape[:2])
    return path, math_ops.reduce_max(last, 1)


def viterbi_decode(score: Any, transition_params: Any) -> tuple[list[int], Any]:
    """(the best tags of one sequence, as a list, their score), outside of a graph.

    score: an array [time, tags].  transition_params: an array [tags, tags].
    """
    best, came = np.asarray(score[0]), []
    for here in np.asarray(score)[1:]:
        sums = best[:, None] + transition_params
        came.append(sums.argmax(0))
        best = sums.max(0) + here
    path = [int(best.argmax())]
    for pointers in reversed(came):
        path.append(int(pointers[path[-1]]))
    return path[::-1], best.max()


def _mask(lengths: Any, of: Tensor, dtype: Any = None) -> Tensor:
    """[batch, time]: 1 for the steps of a sequence, 0 beyond its end. of: [batch, time, ...]."""
    return array_ops.sequence_mask(lengths, array_ops.shape(of)[1], dtype or of.dtype)


def _steps(scores: Tensor, lengths: Any) -> tuple[Tensor, Tensor]:
    """Scores with the time first, and which sequences go on to each step, [time, batch]: none goes on to the first."""
    mask = array_ops.transpose(_mask(lengths, scores, dtypes.bool))
    mask = array_ops.concat([array_ops.zeros_like(mask[:1]), mask[1:]], 0)
    return array_ops.transpose(scores, [1, 0, 2]), mask
