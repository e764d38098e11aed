"""Transformations for `Dataset.apply` that are composed of others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import constant, convert_to_tensor
from weftwork.graph.data.dataset import Dataset
from weftwork.graph.data.experimental import Transformation, group_by_window, scan
from weftwork.graph.files.parsing import parse_example
from weftwork.graph.function import py_func
from weftwork.graph.ops.array_ops import gather, ones_like, reshape, where
from weftwork.graph.ops.composite import SparseTensor
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.random_ops import random_uniform


def copy_to_device(target_device: Any, source_device: Any = "/cpu:0") -> Transformation:
    """Return the same dataset: nodes on a device move the elements that they use there.

    target_device, source_device: names of devices, accepted as in TensorFlow.
    """
    return lambda dataset: dataset


def unique() -> Transformation:
    """Drop duplicate elements. Elements must be hashable scalars: numbers, booleans or strings."""

    def apply(dataset: Dataset) -> Dataset:
        def step(seen: Any, element: Any) -> Any:
            seen, new = py_func(_see, [seen, element], [dtypes.object, dtypes.bool])
            new.set_shape(())
            return seen, (element, new)

        kept = dataset.apply(scan(constant(None, dtypes.object), step)).filter(lambda element, new: new)
        return kept.map(lambda element, new: element)

    return apply


def _see(seen: set | None, element: Any) -> tuple[set, bool]:
    """Add an element to those already seen. Returns these, and whether the element is new."""
    seen = set() if seen is None else seen
    word = element.item() if isinstance(element, np.generic) else element
    new = word not in seen
    seen.add(word)
    return seen, new


class Reducer(NamedTuple):
    """How the elements with one key become one: state = init_func(key), state = reduce_func(state, element), and
    finalize_func(state).
    """

    init_func: Callable[..., Any]
    reduce_func: Callable[..., Any]
    finalize_func: Callable[..., Any]


def group_by_reducer(key_func: Callable[..., Any], reducer: Reducer) -> Transformation:
    """One element for each key: the result of `reducer` for all elements with that key. key_func: maps an element to an
    int64 scalar.

    Raises TypeError unless `reducer` is a Reducer.
    """
    if not isinstance(reducer, Reducer):
        raise TypeError("`reducer` must be a `tf.data.experimental.Reducer`.")

    def reduced(key: Any, window: Dataset) -> Dataset:
        return Dataset.from_tensors(reducer.finalize_func(window.reduce(reducer.init_func(key), reducer.reduce_func)))

    return group_by_window(key_func, reduced, window_size=np.iinfo(np.int64).max)


def dense_to_sparse_batch(batch_size: Any, row_shape: Any) -> Transformation:
    """Batches of elements whose shapes differ, as SparseTensors of shape [batch_size, *row_shape]."""
    row = np.asarray(row_shape, np.int64)

    def sparse(element: Any) -> SparseTensor:
        return SparseTensor(where(ones_like(element, dtypes.bool)), reshape(element, [-1]), row)

    return lambda dataset: dataset.map(sparse).batch(batch_size)


def parse_example_dataset(features: Any, num_parallel_calls: Any = 1) -> Transformation:
    """Each element, a batch of serialized Examples, as a dict of their features. See `tf.parse_example`.

    num_parallel_calls: the number of batches parsed at a time.
    """
    return lambda dataset: dataset.map(lambda batch: parse_example(batch, features), num_parallel_calls)


def rejection_resample(
    class_func: Callable[..., Any], target_dist: Any, initial_dist: Any = None, seed: int | None = None
) -> Transformation:
    """Drop elements at random until their classes have the distribution `target_dist`: pairs (class, element).

    class_func: maps an element to its class, int32.   initial_dist: the distribution before; counted if it is None.
    """
    target = np.asarray(target_dist, np.float64)

    def apply(dataset: Dataset) -> Dataset:
        def classed(first: Any, *rest: Any) -> Any:
            return cast(class_func(first, *rest), dtypes.int32), (first, *rest) if rest else first

        def step(counts: Any, pair: Any) -> Any:
            number, element = pair
            counts = py_func(_counted, [counts, number], dtypes.float64)
            counts.set_shape(target.shape)
            chances = py_func(lambda had: _chances(had, target), [counts], dtypes.float64)
            kept = random_uniform([], dtype=dtypes.float64, seed=seed) < gather(chances, number)
            return counts, (number, element, kept)

        pairs = dataset.map(classed)
        if initial_dist is None:
            judged = pairs.apply(scan(np.ones(target.shape), step))
        else:
            chances = convert_to_tensor(_chances(np.asarray(initial_dist, np.float64), target))

            def judge(number: Any, element: Any) -> Any:
                kept = random_uniform([], dtype=dtypes.float64, seed=seed) < gather(chances, number)
                return number, element, kept

            judged = pairs.map(judge)
        return judged.filter(lambda number, element, kept: kept).map(lambda number, element, kept: (number, element))

    return apply


def _counted(counts: np.ndarray, number: int) -> np.ndarray:
    return counts + (np.arange(len(counts)) == number)


def _chances(initial: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The probability of keeping an element of each class."""
    wanted = target / np.maximum(initial / initial.sum(), np.finfo(np.float64).tiny)
    return wanted / wanted.max()


def as_list(value: Any) -> Sequence[Any]:
    """`value`, or a list of it alone."""
    return value if isinstance(value, (list, tuple)) else [value]
