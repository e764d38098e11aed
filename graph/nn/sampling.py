"""Losses over a sample of the classes, for very many classes: nce_loss, sampled_softmax_loss.

candidates       the classes drawn, the same ones for the whole batch
expected count   how often a class is expected among them; the losses subtract its logarithm from the logits
tries            the number of draws until the candidates were distinct
Sources: Gutmann and Hyvarinen 2010 (noise-contrastive estimation); Jean et al., arXiv:1412.2007.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import apply_random, convert_to_tensor
from weftwork.graph.nn import ops as nn_ops
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.scopes import name_scope


class Candidates(NamedTuple):
    """The result of a sampler.

    sampled_candidates: int64 [num_sampled].  true_expected_count: float32 [batch, num_true].
    sampled_expected_count: float32 [num_sampled].
    """

    sampled_candidates: Tensor
    true_expected_count: Tensor
    sampled_expected_count: Tensor


def log_uniform_candidate_sampler(
    true_classes: Any,
    num_true: int,
    num_sampled: int,
    unique: bool,
    range_max: int,
    seed: int | None = None,
    name: str | None = None,
) -> Candidates:
    """Draws classes with probability log((class + 2) / (class + 1)) / log(range_max + 1), smaller ones more often.

    true_classes: int64 [batch, num_true].  unique: no class twice.  range_max: the number of classes.
    Raises ValueError if more distinct classes are requested than exist.
    """
    with name_scope(name, "LogUniformCandidateSampler", [true_classes]):
        return _sampled(_log_uniform, _log_uniform_probability, true_classes, num_sampled, unique, range_max, seed)


def uniform_candidate_sampler(
    true_classes: Any,
    num_true: int,
    num_sampled: int,
    unique: bool,
    range_max: int,
    seed: int | None = None,
    name: str | None = None,
) -> Candidates:
    """Draws classes with equal probability. Arguments as in `log_uniform_candidate_sampler`."""
    with name_scope(name, "UniformCandidateSampler", [true_classes]):
        return _sampled(_uniform, _uniform_probability, true_classes, num_sampled, unique, range_max, seed)


def _sampled(
    draw: Callable, probability: Callable, true_classes: Any, count: int, unique: bool, classes: int, seed: int | None
) -> Candidates:
    if unique and count > classes:
        raise ValueError(f"Sampler's range is too small: {count} distinct classes out of {classes}.")
    true_classes = convert_to_tensor(true_classes, name="true_classes")
    attrs = {"draw": draw, "count": int(count), "unique": bool(unique), "classes": int(classes)}
    drawn = apply_random(
        drawn_candidates, [], attrs, seed=seed, type="CandidateSampler", dtype=dtypes.int64, shape=(count + 1,)
    )
    sampled = drawn[:count]
    tries = math_ops.cast(drawn[count], dtypes.float32) if unique else None
    counts = [expected_counts(probability(c, classes), count, tries) for c in (true_classes, sampled)]
    return Candidates(sampled, *counts)


def expected_counts(probability: Tensor, count: int, tries: Tensor | None) -> Tensor:
    """p n for n draws; 1 - (1 - p) ** tries if the candidates are distinct."""
    if tries is None:
        return probability * count
    return math_ops.negative(math_ops.expm1(tries * math_ops.log1p(-probability)))


def _log_uniform_probability(classes: Tensor, count: int) -> Tensor:
    x = math_ops.cast(classes, dtypes.float32)
    return math_ops.log((x + 2.0) / (x + 1.0)) / math.log(count + 1)


def _uniform_probability(classes: Tensor, count: int) -> Tensor:
    return array_ops.zeros_like(classes, dtypes.float32) + 1.0 / count


def _log_uniform(rng, size, classes):
    drawn = np.exp(rng.random(size) * math.log(classes + 1)).astype(np.int64) - 1
    return np.minimum(drawn, classes - 1)


def _uniform(rng, size, classes):
    return rng.integers(0, classes, size)


def drawn_candidates(rng, draw, count, unique, classes):
    """The candidates in the order they were drawn, followed by the number of tries."""
    drawn = draw(rng, count, classes)
    if not unique:
        return np.append(drawn, count)
    while True:
        first = np.sort(np.unique(drawn, return_index=True)[1])
        if len(first) >= count:
            return np.append(drawn[first[:count]], first[count - 1] + 1 if count else 0)
        drawn = np.concatenate([drawn, draw(rng, len(drawn), classes)])


# Losses


def nce_loss(
    weights: Any,
    biases: Any,
    labels: Any,
    inputs: Any,
    num_sampled: int,
    num_classes: int,
    num_true: int = 1,
    sampled_values: Any = None,
    remove_accidental_hits: bool = False,
    partition_strategy: str = "mod",
    name: str | None = "nce_loss",
) -> Tensor:
    """The noise-contrastive loss of each example, for telling its classes from randomly drawn ones: [batch].

    weights: [num_classes, dim], or a list of its parts.  biases: [num_classes].  labels: integers [batch, num_true].
    inputs: [batch, dim].  sampled_values: the result of a sampler, by default the log-uniform one.
    remove_accidental_hits: leave out candidates that are a label of the example.
    """
    with name_scope(name, "nce_loss", None):
        logits, targets = _sampled_logits(
            weights, biases, labels, inputs, num_sampled, num_classes, num_true, sampled_values,
            remove_accidental_hits, partition_strategy, None,
        )  # fmt: skip
        losses = nn_ops.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits, name="sampled_losses")
        return math_ops.reduce_sum(losses, 1)


def sampled_softmax_loss(
    weights: Any,
    biases: Any,
    labels: Any,
    inputs: Any,
    num_sampled: int,
    num_classes: int,
    num_true: int = 1,
    sampled_values: Any = None,
    remove_accidental_hits: bool = True,
    partition_strategy: str = "mod",
    name: str | None = "sampled_softmax_loss",
    seed: int | None = None,
) -> Tensor:
    """The softmax cross entropy of each example over its classes and drawn ones.  Arguments as in `nce_loss`.

    weights, biases: [classes, size] and [classes].
    remove_accidental_hits: leave out drawn classes that are correct by chance. num_classes: the number of classes.
    sampled_values: the result of a candidate sampler.
    """
    with name_scope(name, "sampled_softmax_loss", None):
        logits, targets = _sampled_logits(
            weights, biases, labels, inputs, num_sampled, num_classes, num_true, sampled_values,
            remove_accidental_hits, partition_strategy, seed,
        )  # fmt: skip
        targets = array_ops.stop_gradient(targets, name="labels_stop_gradient")
        return nn_ops.softmax_cross_entropy_with_logits_v2(labels=targets, logits=logits)


def _sampled_logits(
    weights, biases, labels, inputs, num_sampled, num_classes, num_true, sampled_values, remove_hits, strategy, seed
) -> tuple[Tensor, Tensor]:
    """(logits, targets) [batch, num_true + num_sampled]: the true classes first, each with target 1 / num_true."""
    labels = math_ops.cast(convert_to_tensor(labels, name="labels"), dtypes.int64)
    inputs = convert_to_tensor(inputs, name="inputs")
    if sampled_values is None:
        sampled_values = log_uniform_candidate_sampler(labels, num_true, num_sampled, True, num_classes, seed)
    sampled, true_count, sampled_count = (array_ops.stop_gradient(value) for value in sampled_values)
    sampled = math_ops.cast(sampled, dtypes.int64)
    ids = array_ops.concat([array_ops.reshape(labels, [-1]), sampled], 0)
    rows = nn_ops.embedding_lookup(weights, ids, partition_strategy=strategy)
    offsets = nn_ops.embedding_lookup(biases, ids, partition_strategy=strategy)
    count, width = array_ops.size(labels), rows.shape.as_list()[-1]
    true_rows = array_ops.reshape(rows[:count], [-1, num_true, -1 if width is None else width])
    true_offsets = array_ops.reshape(offsets[:count], [-1, num_true])
    true_logits = math_ops.reduce_sum(array_ops.expand_dims(inputs, 1) * true_rows, 2) + true_offsets
    sampled_logits = math_ops.matmul(inputs, rows[count:], transpose_b=True) + offsets[count:]
    if remove_hits:
        sampled_logits = sampled_logits + _lowest_where_hit(labels, sampled, sampled_logits.dtype)
    dtype = sampled_logits.dtype
    true_logits = true_logits - math_ops.cast(math_ops.log(true_count), dtype)
    sampled_logits = sampled_logits - math_ops.cast(math_ops.log(sampled_count), dtype)
    targets = [array_ops.ones_like(true_logits) / num_true, array_ops.zeros_like(sampled_logits)]
    return array_ops.concat([true_logits, sampled_logits], 1), array_ops.concat(targets, 1)


def _lowest_where_hit(labels: Tensor, sampled: Tensor, dtype: Any) -> Tensor:
    """The lowest float where a candidate is a label of the example, else 0: [batch, num_sampled]."""
    same = math_ops.equal(array_ops.expand_dims(labels, 2), array_ops.reshape(sampled, [1, 1, -1]))
    return math_ops.cast(math_ops.reduce_any(same, axis=1), dtype) * float(np.finfo(dtype.numpy).min)
