"""Combining rows of a table by sparse ids, and further samplers of classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import apply, apply_random, convert_to_tensor
from weftwork.graph.nn.ops import embedding_lookup
from weftwork.graph.nn.sampling import Candidates, drawn_candidates, expected_counts
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.composite import SparseTensor, SparseTensorValue
from weftwork.graph.ops.sparse_ops import sparse_fill_empty_rows, sparse_reshape, sparse_retain
from weftwork.graph.scopes import name_scope
from weftwork.graph.variables.partitioned import PartitionedVariable


def embedding_lookup_sparse(
    params: Any,
    sp_ids: Any,
    sp_weights: Any,
    partition_strategy: str = "mod",
    name: str | None = None,
    combiner: str | None = None,
    max_norm: float | None = None,
) -> Tensor:
    """For each row of a SparseTensor of ids, combine the table rows with these ids: [rows, ...].

    sp_weights: a SparseTensor with the same indices, or None for weights of 1.
    combiner: "sum", "mean" (weighted, the default) or "sqrtn" (sum divided by the root of the sum of squared weights).
    Raises TypeError for ids or weights that are not sparse, ValueError for another combiner.
    """
    combiner = "mean" if combiner is None else combiner
    if combiner not in ("mean", "sqrtn", "sum"):
        raise ValueError("combiner must be one of 'mean', 'sqrtn' or 'sum'")
    if not isinstance(sp_ids, (SparseTensor, SparseTensorValue)):
        raise TypeError("sp_ids must be SparseTensor")
    if sp_weights is not None and not isinstance(sp_weights, (SparseTensor, SparseTensorValue)):
        raise TypeError("sp_weights must be either None or SparseTensor")
    ids = SparseTensor.from_value(sp_ids)
    parts = list(params) if isinstance(params, (list, tuple, PartitionedVariable)) else [params]
    with name_scope(name, "embedding_lookup_sparse", [*parts, ids.values]):
        segments = ids.indices[:, 0]
        rows = embedding_lookup(parts, ids.values, partition_strategy, max_norm=max_norm)
        if sp_weights is None:
            weights = array_ops.ones_like(ids.values, rows.dtype)
        else:
            weights = math_ops.cast(SparseTensor.from_value(sp_weights).values, rows.dtype)
        weight_column = _column(weights, rows)
        total = math_ops.segment_sum(rows * weight_column, segments)
        if combiner == "sum":
            return total
        if combiner == "mean":
            return math_ops.div_no_nan(total, math_ops.segment_sum(weight_column, segments))
        return math_ops.div_no_nan(total, math_ops.sqrt(math_ops.segment_sum(math_ops.square(weight_column), segments)))


def _column(values: Tensor, rows: Tensor) -> Tensor:
    """A vector with a value for each row, in a shape that broadcasts to the rows."""
    if rows.raw_shape is not None:
        return array_ops.reshape(values, [-1, *[1] * (len(rows.raw_shape) - 1)])
    ones = array_ops.ones([array_ops.rank(rows) - 1], dtypes.int32)
    return array_ops.reshape(values, array_ops.concat([[-1], ones], 0))


def safe_embedding_lookup_sparse(
    embedding_weights: Any,
    sparse_ids: Any,
    sparse_weights: Any = None,
    combiner: str = "mean",
    default_id: int | None = None,
    name: str | None = None,
    partition_strategy: str = "div",
    max_norm: float | None = None,
) -> Tensor:
    """`embedding_lookup_sparse` that ignores negative ids and weights that are not positive.

    A row without ids gives row `default_id` of the table, or zeros. If sparse_ids has more axes, so does the result.
    embedding_weights: the table, or a list of its parts.
    sparse_weights: a SparseTensor of float weights, or None for 1.
    Raises ValueError without embedding_weights.
    """
    if embedding_weights is None or (isinstance(embedding_weights, (list, tuple)) and not embedding_weights):
        raise ValueError(f"Missing embedding_weights {embedding_weights}.")
    with name_scope(name, "embedding_lookup", [sparse_ids.values]):
        lead = sparse_ids.dense_shape[:-1]
        rank = lead.shape.as_list()[0] or 1
        flat = [math_ops.reduce_prod(lead), sparse_ids.dense_shape[-1]]
        ids = sparse_reshape(sparse_ids, array_ops.stack(flat))
        weights = None if sparse_weights is None else SparseTensor(ids.indices, sparse_weights.values, ids.dense_shape)
        keep = math_ops.greater_equal(ids.values, 0)
        if weights is not None and combiner != "sum":
            keep = math_ops.logical_and(keep, math_ops.greater(weights.values, 0))
        ids = sparse_retain(ids, keep)
        weights = None if weights is None else sparse_retain(weights, keep)
        ids, empty = sparse_fill_empty_rows(ids, default_id or 0)
        if weights is not None:
            weights, _ = sparse_fill_empty_rows(weights, 1.0)
        result = embedding_lookup_sparse(embedding_weights, ids, weights, partition_strategy, None, combiner, max_norm)
        if default_id is None:
            result = result * math_ops.cast(_column(math_ops.logical_not(empty), result), result.dtype)
        if rank == 1:
            return result
        shape = array_ops.concat([math_ops.cast(lead, dtypes.int32), array_ops.shape(result)[1:]], 0)
        shaped = array_ops.reshape(result, shape)
        if result.raw_shape is not None:
            shaped.set_shape([*[None] * rank, *result.raw_shape[1:]])
        return shaped


# Samplers


def all_candidate_sampler(
    true_classes: Any, num_true: int, num_sampled: int, unique: bool, seed: int | None = None, name: str | None = None
) -> Candidates:
    """All classes from 0 to num_sampled, each once: for testing samplers."""
    with name_scope(name, "AllCandidateSampler", [true_classes]):
        true_classes = convert_to_tensor(true_classes)
        sampled = math_ops.range(int(num_sampled), dtype=dtypes.int64)
        return Candidates(
            sampled, array_ops.ones_like(true_classes, dtypes.float32), array_ops.ones_like(sampled, dtypes.float32)
        )


def fixed_unigram_candidate_sampler(
    true_classes: Any,
    num_true: int,
    num_sampled: int,
    unique: bool,
    range_max: int,
    vocab_file: str = "",
    distortion: float = 1.0,
    num_reserved_ids: int = 0,
    num_shards: int = 1,
    shard: int = 0,
    unigrams: Any = (),
    seed: int | None = None,
    name: str | None = None,
) -> Candidates:
    """Draws classes in proportion to given counts, raised to the power `distortion`.

    unigrams: a count for each class after the first num_reserved_ids, which are never drawn; or vocab_file, whose lines
    end with a comma and a count. Raises ValueError if none or both are given, or if their number does not match.
    num_shards, shard: only classes whose number is `shard` modulo num_shards are drawn.
    """
    if bool(vocab_file) == bool(len(unigrams)):
        raise ValueError("Exactly one of vocab_file and unigrams must be given.")
    if vocab_file:
        with open(vocab_file) as lines:
            unigrams = [float(line.rsplit(",", 1)[-1]) for line in lines if line.strip()]
    weights = np.concatenate([np.zeros(num_reserved_ids), np.power(np.asarray(unigrams, np.float64), distortion)])
    if len(weights) != range_max:
        raise ValueError(f"range_max is {range_max}, but there are {len(weights)} classes.")
    if num_shards > 1:
        weights = np.where(np.arange(len(weights)) % num_shards == shard, weights, 0)
    with name_scope(name, "FixedUnigramCandidateSampler", [true_classes]):
        return _weighted(true_classes, num_sampled, unique, weights / weights.sum(), seed)


def learned_unigram_candidate_sampler(
    true_classes: Any,
    num_true: int,
    num_sampled: int,
    unique: bool,
    range_max: int,
    seed: int | None = None,
    name: str | None = None,
) -> Candidates:
    """Not available: it learns from all previous runs, but here a run depends only on its inputs and variables."""
    raise NotImplementedError(
        "learned_unigram_candidate_sampler is not available: count the classes in a variable, or give them to "
        "fixed_unigram_candidate_sampler."
    )


def _weighted(true_classes: Any, count: int, unique: bool, probabilities: np.ndarray, seed: int | None) -> Candidates:
    if unique and count > np.count_nonzero(probabilities):
        raise ValueError(f"Sampler's range is too small: {count} distinct classes are asked for.")
    true_classes = convert_to_tensor(true_classes)
    attrs = {"count": int(count), "unique": bool(unique)}
    table = convert_to_tensor(probabilities)
    drawn = apply_random(
        _by_weight, [table], attrs, seed=seed, type="CandidateSampler", dtype=dtypes.int64, shape=(count + 1,)
    )
    sampled = drawn[:count]
    tries = math_ops.cast(drawn[count], dtypes.float32) if unique else None
    chance = math_ops.cast(table, dtypes.float32)
    counts = [expected_counts(array_ops.gather(chance, c), count, tries) for c in (true_classes, sampled)]
    return Candidates(sampled, *counts)


def _by_weight(rng, probabilities, count, unique):
    return drawn_candidates(rng, lambda r, n, _: r.choice(len(probabilities), n, p=probabilities), count, unique, None)


def compute_accidental_hits(
    true_classes: Any, sampled_candidates: Any, num_true: int, seed: int | None = None, name: str | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """(rows, candidates, weights) for each candidate that is a true class of a row; the weights are the lowest float.

    rows: int32 batch rows, ids: int64 numbers of candidates. `sparse_to_dense` of these can be added to the logits.
    """
    with name_scope(name, "ComputeAccidentalHits"):
        inputs = [convert_to_tensor(true_classes), convert_to_tensor(sampled_candidates)]
        outputs = [(dtypes.int32, (None,)), (dtypes.int64, (None,)), (dtypes.float32, (None,))]
        return tuple(apply(_hits, inputs, type="AccidentalHits", outputs=outputs))  # type: ignore[return-value]


def _hits(true_classes, sampled):
    rows, _, places = np.nonzero(np.asarray(true_classes)[:, :, None] == np.asarray(sampled))
    weights = np.full(len(rows), np.finfo(np.float32).min, np.float32)
    return rows.astype(np.int32), places.astype(np.int64), weights
