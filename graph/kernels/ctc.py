"""Kernels of connectionist temporal classification: Graves et al. 2006, and prefix beam search (Graves 2012).

blank      the last class, which stands for no label
extended   a row of labels with blanks between and around them: [blank, a, blank, b, blank]
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weftwork.graph.kernels.indices import refuse

_NEVER = -np.inf


def _log_softmax(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float64)
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def _checked(lengths: Any, time: int, batch: int) -> list[int]:
    lengths = np.asarray(lengths).tolist()
    if len(lengths) != batch:
        refuse(f"len(sequence_length) != batch_size.  len(sequence_length):  {len(lengths)} batch_size: {batch}")
    for row, length in enumerate(lengths):
        if not 0 <= length <= time:
            refuse(f"sequence_length({row}) <= {time} is wanted, got {length}")
    return lengths


def _rows(indices: Any, values: Any, batch: int, blank: int) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in range(batch)]
    for (row, _), label in zip(np.asarray(indices).tolist(), np.asarray(values).tolist(), strict=True):
        if row >= batch:
            refuse(f"label batch index {row} must be within the batch of {batch}")
        if not 0 <= label < blank:
            refuse(f"Saw a non-null label (index >= num_classes - 1) or a negative one: label {label}, num_classes "
                   f"{blank + 1}, batch {row}")  # fmt: skip
        rows[row].append(label)
    return rows


def loss(inputs, indices, values, lengths, collapse, merge, ignore_longer):
    """(loss of each batch row, its gradient with respect to the logits [time, batch, classes])."""
    time, batch, classes = inputs.shape
    lengths = _checked(lengths, time, batch)
    rows = _rows(indices, values, batch, classes - 1)
    log_probabilities = _log_softmax(inputs)
    losses, grads = np.zeros(batch, inputs.dtype), np.zeros_like(inputs)
    for row in range(batch):
        labels = _collapsed(rows[row]) if collapse else rows[row]
        steps = lengths[row]
        if not steps:
            continue
        needed = len(labels) + (sum(a == b for a, b in zip(labels, labels[1:], strict=False)) if merge else 0)
        if needed > steps:
            if ignore_longer:
                continue
            refuse(
                f"Not enough time for target transition sequence (required: {needed}, available: {steps}){row}You can "
                "turn this error into a warning by using the flag ignore_longer_outputs_than_inputs"
            )
        total, grad = _one(log_probabilities[:steps, row], labels, classes - 1, merge)
        losses[row], grads[:steps, row] = -total, grad
    return losses, grads


def _collapsed(labels: list[int]) -> list[int]:
    return [label for at, label in enumerate(labels) if not at or labels[at - 1] != label]


def _one(log_y: np.ndarray, labels: list[int], blank: int, merge: bool) -> tuple[float, np.ndarray]:
    """(log probability of the labels, gradient of its negative with respect to the logits)."""
    extended = np.full(2 * len(labels) + 1, blank)
    extended[1::2] = labels
    emitted = log_y[:, extended]  # [time, positions]
    may_skip = np.zeros(len(extended), bool)  # from two positions before
    may_skip[3::2] = True if not merge else extended[3::2] != extended[1:-2:2]
    stays = np.ones(len(extended), bool) if merge else extended == blank
    forward = _forward(emitted, may_skip, stays)
    backward = _forward(emitted[::-1, ::-1], _reversed_skips(may_skip), stays[::-1])[::-1, ::-1]
    final = forward[-1, -2:] if len(extended) > 1 else forward[-1, -1:]
    total = np.logaddexp.reduce(final)
    if not np.isfinite(total):
        return total, np.zeros_like(log_y)
    share = forward + backward - emitted - total  # the fraction of all paths that pass a position at a time
    posterior = np.zeros_like(log_y)
    np.add.at(posterior.T, extended, np.exp(share).T)
    return total, np.exp(log_y) - posterior


def _reversed_skips(may_skip: np.ndarray) -> np.ndarray:
    """The positions that may be skipped to when the row is traversed backwards."""
    reversed_skips = np.zeros_like(may_skip)
    reversed_skips[2:] = may_skip[:1:-1]
    return reversed_skips


def _forward(emitted: np.ndarray, may_skip: np.ndarray, stays: np.ndarray) -> np.ndarray:
    time, places = emitted.shape
    alpha = np.full((time, places), _NEVER)
    alpha[0, : min(2, places)] = emitted[0, : min(2, places)]
    for step in range(1, time):
        previous = alpha[step - 1]
        now = np.where(stays, previous, _NEVER)
        now[1:] = np.logaddexp(now[1:], previous[:-1])
        skipped = np.full(places, _NEVER)
        skipped[2:] = np.where(may_skip[2:], previous[:-2], _NEVER)
        alpha[step] = np.logaddexp(now, skipped) + emitted[step]
    return alpha


# Decoding


def _sparse(rows: list[list[int]]) -> tuple:
    indices = np.array([(r, c) for r, row in enumerate(rows) for c in range(len(row))], np.int64).reshape((-1, 2))
    values = np.array([label for row in rows for label in row], np.int64)
    return indices, values, np.array([len(rows), max(map(len, rows), default=0)], np.int64)


def greedy(inputs, lengths, merge):
    """(indices, values, shape of the most likely classes without blanks, minus the sum of their logits)."""
    time, batch, classes = inputs.shape
    best = inputs.argmax(-1)
    rows, scores = [], np.zeros((batch, 1), inputs.dtype)
    for row, steps in enumerate(_checked(lengths, time, batch)):
        path = best[:steps, row].tolist()
        scores[row, 0] = -inputs[np.arange(steps), row, best[:steps, row]].sum()
        kept = _collapsed(path) if merge else path
        rows.append([label for label in kept if label != classes - 1])
    return (*_sparse(rows), scores)


def beam(inputs, lengths, width, paths, merge):
    """(indices, values, shape) of each of the best prefixes, and their log probabilities [batch, paths] at the end."""
    time, batch, classes = inputs.shape
    log_y = _log_softmax(inputs)
    found: list[list[list[int]]] = [[] for _ in range(paths)]
    scores = np.zeros((batch, paths), inputs.dtype)
    for row, steps in enumerate(_checked(lengths, time, batch)):
        best = _search(log_y[:steps, row], classes - 1, width)
        if len(best) < paths:
            refuse(f"Less leaves in the beam search than requested: {len(best)} < {paths}")
        for path in range(paths):
            prefix, scores[row, path] = best[path]
            found[path].append(_collapsed(list(prefix)) if merge else list(prefix))
    return tuple([part for rows in found for part in _sparse(rows)]) + (scores,)


def _search(log_y: np.ndarray, blank: int, width: int) -> list[tuple[tuple[int, ...], float]]:
    """The most likely prefixes and their log probabilities, best first."""
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, _NEVER)}  # ends in a blank, ends in a label
    for probabilities in log_y.tolist():
        new: dict[tuple[int, ...], list[float]] = {}
        for prefix, (in_blank, in_label) in beams.items():
            total = _plus(in_blank, in_label)
            entry = new.setdefault(prefix, [_NEVER, _NEVER])
            entry[0] = _plus(entry[0], total + probabilities[blank])
            if prefix:
                entry[1] = _plus(entry[1], in_label + probabilities[prefix[-1]])
            for label, log_p in enumerate(probabilities):
                if label == blank:
                    continue
                longer = new.setdefault((*prefix, label), [_NEVER, _NEVER])
                start = in_blank if prefix and prefix[-1] == label else total
                longer[1] = _plus(longer[1], start + log_p)
        best = sorted(new.items(), key=lambda item: -_plus(*item[1]))[:width]
        beams = {prefix: (pair[0], pair[1]) for prefix, pair in best}
    return sorted([(prefix, _plus(*pair)) for prefix, pair in beams.items()], key=lambda item: -item[1])


def _plus(a: float, b: float) -> float:
    """log(exp(a) + exp(b))."""
    if a < b:
        a, b = b, a
    return a if b == _NEVER else a + math.log1p(math.exp(b - a))
