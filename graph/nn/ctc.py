"""Connectionist temporal classification: a loss for labels whose positions in time are unknown, and decoders.

The blank is the last class. Logits are [time, batch, classes], or [batch, time, classes] if time_major is False.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.arguments import of_dtype, of_kind
from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.kernels import ctc as kernels
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.composite import SparseTensor, SparseTensorValue
from weftwork.graph.scopes import name_scope


def _logits(inputs: Any, time_major: bool) -> Tensor:
    x = of_dtype(inputs, "inputs", ("float32", "float64"))
    if x.raw_shape is not None and len(x.raw_shape) != 3:
        raise ValueError(f"Shape must be rank 3 but is rank {len(x.raw_shape)} for the logits {x}")
    return x if time_major else array_ops.transpose(x, [1, 0, 2])


def ctc_loss(
    labels: Any,
    inputs: Any = None,
    sequence_length: Any = None,
    preprocess_collapse_repeated: bool = False,
    ctc_merge_repeated: bool = True,
    ignore_longer_outputs_than_inputs: bool = False,
    time_major: bool = True,
    logits: Any = None,
) -> Tensor:
    """The negative log probability of each row's labels, summed over all their possible alignments in time: [batch].

    labels: an int32 SparseTensor [batch, most labels], of any class but the last.   inputs: logits.
    sequence_length: int32 [batch].   preprocess_collapse_repeated: merge repeated labels.
    ctc_merge_repeated: repeated classes are one label unless there is a blank between them.
    At run time, raises InvalidArgumentError for labels longer than the time; with ignore_longer_outputs_than_inputs
    their loss is 0. Only first derivatives are available.
    Raises TypeError unless the labels are sparse integers.
    """
    if not isinstance(labels, (SparseTensor, SparseTensorValue)):
        raise TypeError("Expected labels (first argument) to be a SparseTensor")
    sparse = SparseTensor.from_value(labels)
    with name_scope(None, "CTCLoss"):
        x = _logits(logits if inputs is None else inputs, time_major)
        lengths = convert_to_tensor(sequence_length)
        of_kind(sparse.values, "labels_values", "iu")
        attrs = {
            "collapse": bool(preprocess_collapse_repeated),
            "merge": bool(ctc_merge_repeated),
            "ignore_longer": bool(ignore_longer_outputs_than_inputs),
        }
        batch = None if x.raw_shape is None else x.raw_shape[1]
        outputs = [(x.dtype, (batch,)), (x.dtype, x.raw_shape)]
        inputs = [x, sparse.indices, sparse.values, lengths]
        return apply(kernels.loss, inputs, attrs, type="CTCLoss", name="CTCLoss", outputs=outputs)[0]


def ctc_loss_v2(
    labels: Any,
    logits: Any,
    label_length: Any,
    logit_length: Any,
    logits_time_major: bool = True,
    unique: Any = None,
    blank_index: int | None = None,
    name: str | None = None,
) -> Tensor:
    """`ctc_loss` for labels that are sparse, or dense [batch, most labels] with their lengths.

    blank_index: the class of the blank, by default the last for sparse labels, and 0 for dense ones.
    label_length, logit_length: int vectors [batch].
    Raises ValueError if the number of classes is unknown.
    """
    with name_scope(name, "ctc_loss"):
        x = convert_to_tensor(logits)
        classes = x.shape.as_list()[-1]
        if classes is None:
            raise ValueError("ctc_loss_v2 needs to know the number of classes.")
        if isinstance(labels, (SparseTensor, SparseTensorValue)):
            blank = classes - 1 if blank_index is None else blank_index % classes
            sparse = SparseTensor.from_value(labels)
        else:
            blank = 0 if blank_index is None else blank_index % classes
            dense = convert_to_tensor(labels)
            mask = array_ops.sequence_mask(label_length, array_ops.shape(dense)[1])
            places = array_ops.where(mask)
            shape = math_ops.cast(array_ops.shape(dense), dtypes.int64)
            sparse = SparseTensor(places, array_ops.gather_nd(dense, places), shape)
        if blank != classes - 1:
            order = [*range(blank), *range(blank + 1, classes), blank]
            x = array_ops.gather(x, order, axis=-1)
            above = math_ops.cast(math_ops.greater(sparse.values, blank), sparse.values.dtype)
            sparse = SparseTensor(sparse.indices, sparse.values - above, sparse.dense_shape)
        return ctc_loss(sparse, x, logit_length, time_major=logits_time_major)


def _decoded(tensors: list[Tensor]) -> list[SparseTensor]:
    return [SparseTensor(*tensors[at : at + 3]) for at in range(0, len(tensors) - 1, 3)]


def _specs(x: Tensor, paths: int) -> list:
    batch = None if x.raw_shape is None else x.raw_shape[1]
    sparse = [(dtypes.int64, (None, 2)), (dtypes.int64, (None,)), (dtypes.int64, (2,))]
    return [*sparse * paths, (x.dtype, (batch, paths))]


def ctc_greedy_decoder(
    inputs: Any, sequence_length: Any, merge_repeated: bool = True
) -> tuple[list[SparseTensor], Tensor]:
    """([the most likely class at each time, without blanks], the negative sum of their logits [batch, 1]).

    merge_repeated: merge repeated classes unless there is a blank between them.
    """
    x = _logits(inputs, True)
    result = apply(
        kernels.greedy, [x, convert_to_tensor(sequence_length)], {"merge": bool(merge_repeated)},
        type="CtcDecode", name="CTCGreedyDecoder", outputs=_specs(x, 1),
    )  # fmt: skip
    return _decoded(result), result[-1]


def ctc_beam_search_decoder(
    inputs: Any, sequence_length: Any, beam_width: int = 100, top_paths: int = 1, merge_repeated: bool = True
) -> tuple[list[SparseTensor], Tensor]:
    """(the `top_paths` most likely label sequences, their log probabilities [batch, top_paths]).

    beam_width: the number of candidates kept.   merge_repeated: merge consecutive equal labels in the result.
    """
    x = _logits(inputs, True)
    attrs = {"width": int(beam_width), "paths": int(top_paths), "merge": bool(merge_repeated)}
    result = apply(
        kernels.beam, [x, convert_to_tensor(sequence_length)], attrs,
        type="CtcDecode", name="CTCBeamSearchDecoder", outputs=_specs(x, int(top_paths)),
    )  # fmt: skip
    return _decoded(result), result[-1]


def ctc_beam_search_decoder_v2(
    inputs: Any, sequence_length: Any, beam_width: int = 100, top_paths: int = 1
) -> tuple[list[SparseTensor], Tensor]:
    """`ctc_beam_search_decoder` that keeps repeated labels.

    beam_width: the number of prefixes kept. top_paths: the number of results returned.
    """
    return ctc_beam_search_decoder(inputs, sequence_length, beam_width, top_paths, merge_repeated=False)


def collapse_repeated(labels: Any, seq_length: Any, name: str | None = None) -> tuple[Tensor, Tensor]:
    """(rows of labels with consecutive repeats merged, padded with 0; their new lengths).

    seq_length: int vector [batch], the lengths of the rows.
    """
    with name_scope(name, "collapse_repeated_labels", [labels, seq_length]):
        x, lengths = convert_to_tensor(labels), convert_to_tensor(seq_length)
        rows = None if x.raw_shape is None else x.raw_shape[0]
        outputs = [(x.dtype, (rows, None)), (lengths.dtype, (rows,))]
        return tuple(apply(_without_repeats, [x, lengths], type="CtcDecode", outputs=outputs))  # type: ignore[return-value]


def ctc_unique_labels(labels: Any, name: str | None = None) -> list[Tensor]:
    """[the distinct labels of each row, in order of appearance, padded with 0; the place of each label among them].

    labels: [batch, longest], padded with 0. Both results have this shape, as int64 and int32.
    """
    with name_scope(name, "ctc_unique_labels", [labels]):
        x = convert_to_tensor(labels, name="labels")
        outputs = [(dtypes.int64, x.raw_shape), (dtypes.int32, x.raw_shape)]
        return list(apply(_distinct, [x], type="CtcUniqueLabels", outputs=outputs))


def _distinct(labels):
    values, places = np.zeros(labels.shape, np.int64), np.zeros(labels.shape, np.int32)
    for row, given in enumerate(labels.tolist()):
        order = {label: at for at, label in enumerate(dict.fromkeys(given))}
        values[row, : len(order)] = list(order)
        places[row] = [order[label] for label in given]
    return values, places


def _without_repeats(labels, lengths):
    kept = [
        [v for at, v in enumerate(row[:n]) if not at or row[at - 1] != v]
        for row, n in zip(labels.tolist(), np.asarray(lengths).tolist(), strict=True)
    ]
    out = np.zeros((len(kept), max(map(len, kept), default=0)), labels.dtype)
    for row, values in enumerate(kept):
        out[row, : len(values)] = values
    return out, np.array(list(map(len, kept)), np.asarray(lengths).dtype)
