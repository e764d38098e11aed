"""The number of elements of a dataset, as far as it is known without reading anything."""

from __future__ import annotations

import numpy as np

from weftwork.graph.build import constant, static_value
from weftwork.graph.data.dataset import Dataset
from weftwork.graph.dtypes import int64, variant
from weftwork.graph.operation import Operation, Tensor

INFINITE_CARDINALITY = -1
UNKNOWN_CARDINALITY = -2

_SAME = frozenset({"Map", "ParallelMap", "Prefetch", "Cache", "Shuffle", "Scan", "Enumerate"})
"""Stages that yield one element for each one that they read."""


def cardinality(dataset: Dataset) -> Tensor:
    """The number of elements, int64: INFINITE_CARDINALITY, or UNKNOWN_CARDINALITY if only reading them would tell.

    dataset: a Dataset.
    """
    with dataset.graph.as_default():
        return constant(_count(dataset.variant_tensor.op), int64, name="cardinality")


def _count(op: Operation) -> int:
    kind = op.type.removesuffix("Dataset")
    sources = [_count(t.op) for t in op.inputs if t.dtype is variant]
    given = [t for t in op.inputs if t.dtype is not variant]
    if kind == "Tensor":
        return 1
    if kind == "TensorSlice":
        known = given[0].raw_shape
        return UNKNOWN_CARDINALITY if not known or known[0] is None else known[0]
    if kind in _SAME:
        return sources[0]
    if kind in ("Zip", "Concatenate"):
        return _together(kind, sources)
    numbers = [static_value(tensor) for tensor in given]
    if any(number is None for number in numbers):
        return UNKNOWN_CARDINALITY
    return _counted(kind, sources, [int(number) for number in numbers if np.ndim(number) == 0])


def _together(kind: str, sources: list[int]) -> int:
    infinite, unknown = INFINITE_CARDINALITY in sources, UNKNOWN_CARDINALITY in sources
    if kind == "Concatenate":
        return INFINITE_CARDINALITY if infinite else UNKNOWN_CARDINALITY if unknown else sum(sources)
    known = [count for count in sources if count != INFINITE_CARDINALITY]
    return UNKNOWN_CARDINALITY if unknown else min(known) if known else INFINITE_CARDINALITY


def _counted(kind: str, sources: list[int], numbers: list[int]) -> int:
    if kind == "Range":
        start, stop, step = numbers
        return len(range(start, stop, step))
    source, count = (sources or [UNKNOWN_CARDINALITY])[0], (numbers or [0])[0]
    if kind == "Take" and source == INFINITE_CARDINALITY:
        return INFINITE_CARDINALITY if count < 0 else count
    if kind == "Repeat" and count < 0:
        return source and INFINITE_CARDINALITY
    if source < 0:
        return source if kind in ("Repeat", "Take", "Skip", "Batch", "Shard") else UNKNOWN_CARDINALITY
    if kind == "Repeat":
        return source * count
    if kind == "Take":
        return source if count < 0 else min(source, count)
    if kind == "Skip":
        return 0 if count < 0 else max(0, source - count)
    if kind == "Batch":
        return source // count if numbers[1] else -(-source // count)
    if kind == "Shard":
        return len(range(numbers[1], source, count))
    return UNKNOWN_CARDINALITY
