"""Further transformations for `Dataset.apply`, and datasets that combine several others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import convert_to_tensor
from weftwork.graph.data import structure as structures
from weftwork.graph.data.dataset import Dataset, check_predicate, checked_dataset, make_dataset
from weftwork.graph.data.description import AUTOTUNE
from weftwork.graph.data.functions import traced
from weftwork.graph.data.iterators import node_of
from weftwork.graph.data.padding import padded_to, paddings
from weftwork.graph.data.stages import whole_number
from weftwork.graph.data.structure import DATASET, Leaf, flatten, mapped, pack, tensor_leaf
from weftwork.graph.default_scopes import control_dependencies
from weftwork.graph.ops.array_ops import shape
from weftwork.graph.ops.assertions import assert_less
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.flow import identity
from weftwork.graph.ops.rearranging import pad
from weftwork.graph.ops.reductions import reduce_sum
from weftwork.graph.seeds import stream_seeds

Transformation = Callable[[Dataset], Dataset]


def map_and_batch(
    map_func: Callable[..., Any],
    batch_size: Any,
    num_parallel_batches: int | None = None,
    drop_remainder: bool = False,
    num_parallel_calls: Any = None,
) -> Transformation:
    """`map` with parallel calls, then `batch`.

    map_func: of the components of an element.   num_parallel_calls: calls at a time.
    num_parallel_batches: accepted as in TensorFlow, without effect.
    Raises ValueError if both of the last two are given.
    """
    if num_parallel_batches is not None and num_parallel_calls is not None:
        raise ValueError("The `num_parallel_batches` and `num_parallel_calls` arguments are mutually exclusive.")
    calls = AUTOTUNE if num_parallel_calls is None else num_parallel_calls
    return lambda dataset: dataset.map(map_func, calls).batch(batch_size, drop_remainder)


def shuffle_and_repeat(buffer_size: Any, count: Any = None, seed: int | None = None) -> Transformation:
    """`shuffle`, then `repeat`.

    count: the number of repetitions; None means forever.
    """
    return lambda dataset: dataset.shuffle(buffer_size, seed).repeat(count)


def parallel_interleave(
    map_func: Callable[..., Any],
    cycle_length: Any,
    block_length: Any = 1,
    sloppy: bool = False,
    buffer_output_elements: Any = None,
    prefetch_input_elements: Any = None,
) -> Transformation:
    """`interleave` that reads its datasets in advance, in a deterministic order.

    map_func, cycle_length, block_length: as in `interleave`.  The other arguments have no effect: sloppy,
        buffer_output_elements, prefetch_input_elements.
    """
    return lambda dataset: dataset.interleave(map_func, cycle_length, block_length, cycle_length)


def unbatch() -> Transformation:
    """`unbatch`."""
    return lambda dataset: dataset.unbatch()


def enumerate_dataset(start: Any = 0) -> Transformation:
    """`enumerate`."""
    return lambda dataset: dataset.enumerate(start)


def ignore_errors() -> Transformation:
    """Skip elements that cannot be computed."""
    return lambda dataset: make_dataset("IgnoreErrors", dataset.structure, [dataset])


def prefetch_to_device(device: Any, buffer_size: Any = None) -> Transformation:
    """`prefetch`. The nodes on the device that use the elements move them there."""
    return lambda dataset: dataset.prefetch(AUTOTUNE if buffer_size is None else buffer_size)


def take_while(predicate: Callable[..., Any]) -> Transformation:
    """The elements before the first one for which predicate(element) is false."""

    def apply(dataset: Dataset) -> Dataset:
        section, result = traced(dataset.graph, predicate, [dataset.structure])
        check_predicate(result)
        return make_dataset("TakeWhile", dataset.structure, [dataset], [], section, parts=(1,))

    return apply


def scan(initial_state: Any, scan_func: Callable[..., Any]) -> Transformation:
    """The outputs of (state, output) = scan_func(state, element), starting with `initial_state`.

    Raises TypeError unless scan_func returns a pair, and the state keeps its dtypes.
    """

    def apply(dataset: Dataset) -> Dataset:
        state = structures.as_components(initial_state)
        outcome: list[Any] = []

        def step(before: Any, *element: Any) -> Any:
            result = scan_func(before, *element)
            if not isinstance(result, tuple) or len(result) != 2:
                raise TypeError("The scan function must return a pair comprising the new state and the output value.")
            outcome[:] = [structures.as_components(result[1])]
            return (structures.as_components(result[0]), outcome[0])

        structure, section = dataset.with_state(state, step, lambda result: result[0])
        values = structures.parts_of(flatten(state))
        output = mapped(structures.leaf_of, outcome[0])
        leaves = [*flatten(structure), *flatten(output)]
        parts, many = tuple([len(leaf.parts) for leaf in leaves]), len(flatten(structure))
        return make_dataset("Scan", output, [dataset], values, section, parts=parts, state=many)

    return apply


def group_by_window(
    key_func: Callable[..., Any],
    reduce_func: Callable[..., Any],
    window_size: Any = None,
    window_size_func: Callable[..., Any] | None = None,
) -> Transformation:
    """The elements of reduce_func(key, dataset), for each window of elements with the same key.

    key_func: maps an element to an int64 scalar.   window_size: the number of elements in a window, or
    window_size_func(key). Raises ValueError unless exactly one of window_size and window_size_func is given.
    """
    if (window_size is None) == (window_size_func is None):
        raise ValueError("Must pass either window_size or window_size_func.")
    size_of = window_size_func or (lambda key: window_size)

    def apply(dataset: Dataset) -> Dataset:
        def keyed(*args: Any) -> Any:
            key = convert_to_tensor(key_func(*args), dtypes.int64)
            return key, whole_number(size_of(key), "window_size"), args if several else args[0]

        several = type(dataset.structure) is tuple
        key, window = tensor_leaf(dtypes.int64), Leaf(DATASET, dtypes.variant, (), dataset.structure)
        section, result = traced(dataset.graph, reduce_func, [key, window], checked_dataset)
        return make_dataset("GroupByWindow", result.structure, [dataset.map(keyed)], [], section, parts=(1,))

    return apply


def bucket_by_sequence_length(
    element_length_func: Callable[..., Any],
    bucket_boundaries: Sequence[int],
    bucket_batch_sizes: Sequence[int],
    padded_shapes: Any = None,
    padding_values: Any = None,
    pad_to_bucket_boundary: bool = False,
    no_padding: bool = False,
    drop_remainder: bool = False,
) -> Transformation:
    """Batches of elements of similar length, padded unless `no_padding`.

    element_length_func: maps an element to its length, int32.   bucket_boundaries: upper limits of all buckets but the
    last.   bucket_batch_sizes: one for each bucket. Raises ValueError if their number does not match.
    padded_shapes, padding_values: as in `Dataset.padded_batch`.
    pad_to_bucket_boundary: pad to the greatest length of the bucket, not of the batch. Elements must then be shorter
    than the last boundary; a run raises InvalidArgumentError for one that is not.
    """
    if len(bucket_batch_sizes) != len(bucket_boundaries) + 1:
        raise ValueError("len(bucket_batch_sizes) must equal len(bucket_boundaries) + 1")
    boundaries, sizes = np.asarray(bucket_boundaries, np.int64), np.asarray(bucket_batch_sizes, np.int64)

    def size_of(bucket: Any) -> Any:
        return convert_to_tensor(sizes)[bucket]

    def apply(dataset: Dataset) -> Dataset:
        def bucket(*args: Any) -> Any:
            number = reduce_sum(cast(cast(element_length_func(*args), dtypes.int64) >= boundaries, dtypes.int64))
            if not pad_to_bucket_boundary or no_padding:
                return number
            message = "When pad_to_bucket_boundary=True, elements must have length < max(bucket_boundaries)."
            with control_dependencies([assert_less(number, np.int64(len(boundaries)), message=message)]):
                return identity(number)

        def batched(bucket: Any, window: Dataset) -> Dataset:
            if no_padding:
                return window.batch(size_of(bucket), drop_remainder)
            wanted = dataset.output_shapes if padded_shapes is None else padded_shapes
            if pad_to_bucket_boundary:
                window = _grown(window, wanted, padding_values, convert_to_tensor(boundaries)[bucket] - 1)
            return window.padded_batch(size_of(bucket), wanted, padding_values, drop_remainder)

        return dataset.apply(group_by_window(bucket, batched, window_size_func=size_of))

    return apply


def _grown(dataset: Dataset, padded_shapes: Any, padding_values: Any, size: Any) -> Dataset:
    """The elements of a dataset, padded to `size` along each axis whose padded size is None."""
    structure = dataset.structure
    wanted, padding = padded_to(structure, padded_shapes), paddings(structure, padding_values)

    def grow(*args: Any) -> Any:
        element = args if isinstance(structure, tuple) else args[0]
        parts = []
        for value, raw, filler in zip(flatten(element), wanted, padding, strict=True):
            sizes = cast(shape(value), dtypes.int64)
            missing = [0 if known is not None else size - sizes[axis] for axis, known in enumerate(raw)]
            widths = [[0, convert_to_tensor(more, dtypes.int64)] for more in missing]
            parts.append(pad(value, widths, constant_values=filler) if None in raw else value)
        return pack(structure, parts)

    return dataset.map(grow)


# Sources and combinations


def Counter(start: Any = 0, step: Any = 1, dtype: Any = dtypes.int64) -> Dataset:
    """start, start + step, ... forever, as `dtype`."""
    limits = np.iinfo(np.int64)
    numbers = Dataset.range(start, limits.max if step > 0 else limits.min, step)
    return numbers if dtype == dtypes.int64 else numbers.map(lambda number: cast(number, dtype))


def choose_from_datasets(datasets: Sequence[Dataset], choice_dataset: Dataset) -> Dataset:
    """For each number in `choice_dataset`, the next element of the dataset with this number.

    datasets: a list of datasets whose elements have the same structure.
    Raises TypeError unless the choices are int64 scalars.
    """
    if choice_dataset.structure != tensor_leaf(dtypes.int64):
        raise TypeError("`choice_dataset` must be a dataset of scalar `tf.int64` tensors.")
    return make_dataset("Choose", _common(datasets), [choice_dataset, *datasets])


def sample_from_datasets(datasets: Sequence[Dataset], weights: Any = None, seed: int | None = None) -> Dataset:
    """Elements of several datasets, drawn with the probability of their weights, until all are exhausted.

    A dataset of weight 0 is never drawn.
    Raises ValueError unless there is one weight per dataset.
    """
    chances = np.full(len(datasets), 1 / len(datasets)) if weights is None else np.asarray(weights, np.float64)
    if chances.shape != (len(datasets),):
        raise ValueError("`weights` must be a vector of length `len(datasets)`.")
    return make_dataset("Sample", _common(datasets), datasets, weights=tuple(chances.tolist()), seed=stream_seeds(seed))


def _common(datasets: Sequence[Dataset]) -> Any:
    structure = datasets[0].structure
    for dataset in datasets[1:]:
        if dataset.output_types != datasets[0].output_types:
            raise TypeError(f"The datasets have different types: {datasets[0].output_types}, {dataset.output_types}")
        structure = structures.in_common(structure, dataset.structure)
    return structure


def get_single_element(dataset: Dataset) -> Any:
    """The only element of a dataset, as tensors.

    Raises TypeError for anything but a dataset. At run time, raises InvalidArgumentError if it has none, or several.
    """
    if not isinstance(dataset, Dataset):
        raise TypeError(f"`dataset` must be a `tf.data.Dataset` object, not {dataset!r}")
    outputs = [part for leaf in flatten(dataset.structure) for part in leaf.parts]
    name = "DatasetToSingleElement"
    op = node_of(dataset.graph, name, [dataset.variant_tensor], {"_word": "single"}, outputs, name)
    return structures.whole(dataset.structure, op.outputs)
