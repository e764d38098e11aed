"""Dataset: a description, part of the graph, of what a program reads. Nothing is read until an iterator asks.

A dataset is one node whose value is a `Description`. Its inputs are the datasets that it reads from, its arguments
(which may be tensors), and the captures of its function. `actors.data` makes the elements from the description.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import convert_to_tensor, static_value
from weftwork.graph.data import structure as structures
from weftwork.graph.data.description import AUTOTUNE, captured_by
from weftwork.graph.data.functions import traced
from weftwork.graph.data.iterators import Iterator, initializable_iterator, node_of, one_shot_iterator
from weftwork.graph.data.options import Options
from weftwork.graph.data.padding import check_padded, padded_to, paddings
from weftwork.graph.data.stages import variant_of, whole_number
from weftwork.graph.data.structure import DATASET, SPARSE, TENSOR, Leaf, flatten, leaf_of, mapped, pack, tensor_leaf
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.composite import SparseTensor
from weftwork.graph.scopes import name_scope
from weftwork.graph.sections import Section
from weftwork.graph.seeds import stream_seeds


def make_dataset(
    kind: str,
    structure: Any,
    sources: Sequence[Dataset] = (),
    values: Sequence[Tensor] = (),
    function: Section | None = None,
    **options: Any,
) -> Dataset:
    """The dataset of one more stage."""
    return Dataset(variant_of(kind, sources, values, function, **options), structure)


class Dataset(structures.Structured):
    """Elements that are read in sequence: nested tuples and dicts of tensors, SparseTensors and datasets.

    Each method returns a new dataset and leaves this one as it is. Arguments that are numbers may be tensors; they, and
    the outside tensors that functions use, are evaluated when an iterator is initialized. A function is called once,
    with tensors, while the graph is built.
    variant_tensor: the tensor of its description.

        batches = tf.data.Dataset.range(100).map(lambda x: x * x).batch(10)
        squares = batches.make_one_shot_iterator().get_next()  # the next ten in each run
    """

    def __init__(self, variant_tensor: Tensor, structure: Any):
        self.variant_tensor, self.structure = variant_tensor, structure
        self._options = Options()

    @property
    def graph(self) -> Graph:
        """The graph that contains the dataset."""
        return self.variant_tensor.graph

    def options(self) -> Options:
        """The options set by `with_options`."""
        return self._options

    def with_options(self, options: Options) -> Dataset:
        """The same dataset with additional options."""
        copy = Dataset(self.variant_tensor, self.structure)
        copy._options = self._options.merge(options)
        return copy

    def __iter__(self):
        raise RuntimeError("A dataset cannot be iterated over in Python: make an iterator, and run its get_next().")

    def __repr__(self) -> str:
        words = [str(mapped(str, s)) if structures.is_nested(s) else str(s) for s in (self.output_shapes,)]
        return f"<{type(self).__name__} shapes: {words[0]}, types: {self.output_types}>"

    # Sources

    @staticmethod
    def from_tensors(tensors: Any) -> Dataset:
        """One element: `tensors`, a tensor or a nested structure of them."""
        components = structures.as_components(tensors)
        parts = structures.parts_of(flatten(components))
        leaves = tuple([leaf_of(c) for c in flatten(components)])
        return make_dataset("Tensor", pack(components, leaves), values=parts, leaves=leaves)

    @staticmethod
    def from_tensor_slices(tensors: Any) -> Dataset:
        """One element for each row of `tensors`, which must have the same number of rows.

        Raises ValueError for scalars, and if the numbers of rows differ.
        """
        components = structures.as_components(tensors)
        parts = structures.parts_of(flatten(components))
        leaves = tuple([leaf_of(c) for c in flatten(components)])
        rows = None
        for leaf in leaves:
            many = leaf.shape[0] if leaf.shape else None
            if None not in (rows, many) and rows != many:
                raise ValueError(f"Dimensions {rows} and {many} are not compatible")
            rows = many if rows is None else rows
        structure = structures.unbatched(
            pack(components, leaves), "Unbatching a tensor is only supported for rank >= 1"
        )
        return make_dataset("TensorSlice", structure, values=parts, leaves=leaves)

    @staticmethod
    def from_sparse_tensor_slices(sparse_tensor: Any) -> Dataset:
        """One element for each row of a SparseTensor, as (indices, values, shape).

        sparse_tensor: a SparseTensor or SparseTensorValue.
        """
        leaf = leaf_of(SparseTensor.from_value(sparse_tensor))
        row = structures.unbatched(leaf, "A SparseTensor must have a first dimension, to be taken apart.")
        parts = tuple([tensor_leaf(*part) for part in row.parts])
        return make_dataset(
            "SparseTensorSlice", parts, values=structures.parts_of([SparseTensor.from_value(sparse_tensor)])
        )

    @staticmethod
    def from_generator(
        generator: Callable[..., Any], output_types: Any, output_shapes: Any = None, args: Any = None
    ) -> Dataset:
        """The items yielded by `generator()`, which is called in this process each time the iteration starts.

        output_types, output_shapes: of an element.   args: tensors whose values are passed to the generator.
        Raises TypeError if it is not callable. At run time, raises InvalidArgumentError for an element that does not
        match.
        """
        if not callable(generator):
            raise TypeError("`generator` must be callable.")
        given = [] if args is None else [convert_to_tensor(arg) for arg in args]
        structure = structures.of(output_types, output_shapes)
        return make_dataset("Generator", structure, values=given, generator=generator, elements=structure)

    @staticmethod
    def range(*args: Any) -> Dataset:
        """int64 numbers, like Python's `range`: (stop), (start, stop) or (start, stop, step).

        Raises ValueError for another number of arguments.
        """
        if not 1 <= len(args) <= 3:
            raise ValueError(f"Invalid arguments to RangeDataset: {args}")
        start, stop, step = (0, args[0], 1) if len(args) == 1 else (*args, 1)[:3]
        values = [whole_number(value, name) for value, name in zip((start, stop, step), _RANGE, strict=True)]
        return make_dataset("Range", tensor_leaf(dtypes.int64), values=values)

    @staticmethod
    def zip(datasets: Any) -> Dataset:
        """Combine elements of several datasets, in the structure of the argument; ends with the shortest dataset.

        Raises TypeError for a list, or for anything that is not a dataset.
        """
        for dataset in flatten(datasets):
            if isinstance(dataset, list):
                raise TypeError(
                    "The argument to `Dataset.zip()` must be a nested structure of `Dataset` objects. Nested "
                    "structures do not support Python lists; please use a tuple instead."
                )
            if not isinstance(dataset, Dataset):
                raise TypeError(
                    f"The argument to `Dataset.zip()` must be a nested structure of `Dataset` objects: {dataset!r}"
                )
        return make_dataset("Zip", mapped(lambda d: d.structure, datasets), sources=flatten(datasets))

    @staticmethod
    def list_files(file_pattern: Any, shuffle: bool | None = None, seed: int | None = None) -> Dataset:
        """The paths that match a pattern, or one of several, as strings; in random order unless `shuffle` is False.

        At run time, raises InvalidArgumentError if nothing matches.
        file_pattern: a string, a list of strings or a string tensor, with * and ? as in `gfile.Glob`.
        """
        pattern = convert_to_tensor(file_pattern, dtypes.string, name="file_pattern")
        dataset = make_dataset("MatchingFiles", tensor_leaf(dtypes.string), values=[pattern])
        if shuffle is None or shuffle:
            dataset = dataset.shuffle(_FULL_BUFFER, seed=seed)
        return dataset

    # Number and order of elements

    def concatenate(self, dataset: Dataset) -> Dataset:
        """These elements, then those of another dataset. Raises TypeError if types or classes differ."""
        for word in ("types", "classes"):
            own, other = getattr(self, f"output_{word}"), getattr(dataset, f"output_{word}")
            if own != other:
                raise TypeError(f"Two datasets to concatenate have different {word} {own} and {other}")
        structure = structures.in_common(self.structure, dataset.structure)
        return make_dataset("Concatenate", structure, sources=[self, dataset])

    def repeat(self, count: Any = None) -> Dataset:
        """Repeat the elements `count` times; None or -1: forever."""
        return make_dataset("Repeat", self.structure, [self], [whole_number(-1 if count is None else count, "count")])

    def take(self, count: Any) -> Dataset:
        """The first `count` elements at most; -1: all."""
        return make_dataset("Take", self.structure, [self], [whole_number(count, "count")])

    def skip(self, count: Any) -> Dataset:
        """All but the first `count` elements; -1: none."""
        return make_dataset("Skip", self.structure, [self], [whole_number(count, "count")])

    def shard(self, num_shards: Any, index: Any) -> Dataset:
        """Every `num_shards`-th element, starting with number `index`.

        At run time, raises InvalidArgumentError unless the index is less than `num_shards`.
        """
        many, at = whole_number(num_shards, "num_shards"), whole_number(index, "index")
        return make_dataset("Shard", self.structure, [self], [many, at])

    def shuffle(
        self, buffer_size: Any, seed: int | None = None, reshuffle_each_iteration: bool | None = None
    ) -> Dataset:
        """The elements in random order: each is drawn from a buffer of `buffer_size` elements.

        reshuffle_each_iteration: use another order in each repetition, unless False.
        """
        drawn, reshuffle = stream_seeds(seed), reshuffle_each_iteration is None or bool(reshuffle_each_iteration)
        return make_dataset(
            "Shuffle", self.structure, [self], [whole_number(buffer_size, "buffer_size")], seed=drawn, again=reshuffle
        )

    def cache(self, filename: Any = "") -> Dataset:
        """Read the elements once and keep them: in memory, or in files whose names begin with `filename`."""
        name = convert_to_tensor(filename, dtypes.string, name="filename")
        return make_dataset("Cache", self.structure, [self], [name], leaves=tuple(flatten(self.structure)))

    def prefetch(self, buffer_size: Any) -> Dataset:
        """Prepare up to `buffer_size` elements in advance, while runs use earlier ones."""
        return make_dataset("Prefetch", self.structure, [self], [whole_number(buffer_size, "buffer_size")])

    def enumerate(self, start: Any = 0) -> Dataset:
        """Pairs of a number, counting from `start`, and an element."""
        return Dataset.zip((Dataset.range(start, np.iinfo(np.int64).max), self))

    # Batches

    def batch(self, batch_size: Any, drop_remainder: bool = False) -> Dataset:
        """Stack `batch_size` elements at a time; the last batch may be smaller unless `drop_remainder`.

        At run time, raises InvalidArgumentError if the elements' shapes differ.
        """
        size = whole_number(batch_size, "batch_size")
        drop, rows = _drop(size, drop_remainder)
        leaves = tuple(flatten(self.structure))
        structure = structures.batched(self.structure, rows)
        return make_dataset("Batch", structure, [self], [size, drop], leaves=leaves)

    def padded_batch(
        self, batch_size: Any, padded_shapes: Any, padding_values: Any = None, drop_remainder: bool = False
    ) -> Dataset:
        """As `batch`, for elements of different shapes: they are padded at their ends.

        padded_shapes: of each component; None or -1 means the largest size in the batch.   padding_values: for each
        component, by default 0 or "". Raises ValueError for shapes, and TypeError for values, that do not match.
        """
        size = whole_number(batch_size, "batch_size")
        drop, rows = _drop(size, drop_remainder)
        leaves = flatten(self.structure)
        if any([leaf.word != TENSOR for leaf in leaves]):
            raise TypeError("Batching of padded sparse tensors is not currently supported")
        raw = padded_to(self.structure, padded_shapes)
        for shape, leaf in zip(raw, leaves, strict=True):
            check_padded(shape, leaf.shape)
        padding = paddings(self.structure, padding_values)
        padded = [leaf._replace(shape=(rows, *shape)) for leaf, shape in zip(leaves, raw, strict=True)]
        structure = pack(self.structure, padded)
        return make_dataset(
            "PaddedBatch", structure, [self], [size, drop, *padding], leaves=tuple(leaves), shapes=tuple(raw)
        )

    def unbatch(self) -> Dataset:
        """The rows of each element as separate elements."""
        structure = structures.rows_of(self.structure)
        return make_dataset("Unbatch", structure, [self], leaves=tuple(flatten(self.structure)))

    def window(self, size: Any, shift: Any = None, stride: Any = 1, drop_remainder: bool = False) -> Dataset:
        """Datasets of `size` elements each: every `stride`-th one, starting `shift` after the previous window."""
        many = whole_number(size, "size")
        values = [many, many if shift is None else whole_number(shift, "shift"), whole_number(stride, "stride")]
        drop = convert_to_tensor(drop_remainder, dtypes.bool, name="drop_remainder")
        structure = mapped(lambda leaf: Leaf(DATASET, dtypes.variant, (), leaf), self.structure)
        return make_dataset("Window", structure, [self], [*values, drop])

    # Functions

    def map(self, map_func: Callable[..., Any], num_parallel_calls: Any = None) -> Dataset:
        """Apply map_func to each element; a tuple is passed as several arguments.

        num_parallel_calls: how many calls may run concurrently, on all cores, ahead of the runs that use the results.
            Python functions (`@tf.op`, stateless py_funcs) go to other processes. AUTOTUNE: as many as there are
            cores. The order is kept. None: one call at a time, on demand.
        """
        section, result = self._traced(map_func, _returned("map"))
        structure = mapped(leaf_of, result)
        parts = tuple([len(leaf.parts) for leaf in flatten(structure)])
        if num_parallel_calls is None:
            return make_dataset("Map", structure, [self], [], section, parts=parts)
        calls = whole_number(num_parallel_calls, "num_parallel_calls")
        return make_dataset("ParallelMap", structure, [self], [calls], section, parts=parts)

    map_with_legacy_function = map

    def filter(self, predicate: Callable[..., Any]) -> Dataset:
        """The elements for which predicate(element), a boolean scalar, is true."""
        section, result = self._traced(predicate, structures.as_components)
        check_predicate(result)
        return make_dataset("Filter", self.structure, [self], [], section, parts=(1,))

    filter_with_legacy_function = filter

    def flat_map(self, map_func: Callable[..., Any]) -> Dataset:
        """The elements of the datasets map_func(element), one dataset after another."""
        section, result = self._traced(map_func, checked_dataset)
        return make_dataset("FlatMap", result.structure, [self], [], section, parts=(1,))

    def interleave(
        self,
        map_func: Callable[..., Any],
        cycle_length: Any = AUTOTUNE,
        block_length: Any = 1,
        num_parallel_calls: Any = None,
    ) -> Dataset:
        """As `flat_map`, but alternate between `cycle_length` datasets, taking `block_length` elements at a time.

        num_parallel_calls: read the datasets in advance, each in a thread of its own.
        map_func: makes a dataset from the components of an element.
        """
        section, result = self._traced(map_func, checked_dataset)
        values = [whole_number(cycle_length, "cycle_length"), whole_number(block_length, "block_length")]
        values.append(whole_number(0 if num_parallel_calls is None else num_parallel_calls, "num_parallel_calls"))
        return make_dataset("Interleave", result.structure, [self], values, section, parts=(1,))

    def reduce(self, initial_state: Any, reduce_func: Callable[..., Any]) -> Any:
        """Apply state = reduce_func(state, element) to all elements; returns the final state, as tensors.

        Raises TypeError if the dtypes of the states differ.
        """
        with name_scope(None, "reduce"):
            state = structures.as_components(initial_state)
            structure, section = self.with_state(state, reduce_func)
            parts = structures.parts_of(flatten(state))
            outputs = [part for leaf in flatten(structure) for part in leaf.parts]
            inputs = [self.variant_tensor, *parts, *captured_by(section)]
            attrs = {"_word": "reduce", "function": section.index, "_state": len(parts)}
            op = node_of(self.graph, "ReduceDataset", inputs, attrs, outputs, "ReduceDataset")
            return structures.whole(structure, op.outputs)

    def with_state(
        self, state: Any, function: Callable[..., Any], of: Callable[[Any], Any] = lambda result: result
    ) -> tuple[Any, Section]:
        """The structure of the state, and function(state, element) as a section.

        of: extracts the state from its result.
        """
        structure = mapped(leaf_of, state)
        while True:
            section, result = traced(self.graph, function, [structure, self.structure])
            new_structure = mapped(leaf_of, of(result))
            structures.check_alike(structure, new_structure)
            _check_state(structure, new_structure)
            wider = structures.in_common(structure, new_structure)
            if wider == structure:
                return structure, section
            structure = wider  # its shape changes between elements

    def apply(self, transformation_func: Callable[..., Any]) -> Dataset:
        """Return transformation_func(dataset), which must be a dataset. Raises TypeError if it is not one."""
        dataset = transformation_func(self)
        if not isinstance(dataset, Dataset):
            raise TypeError(f"`transformation_func` must return a Dataset. Got {dataset!r}.")
        return dataset

    def _traced(self, function: Callable, finish: Callable) -> tuple[Section, Any]:
        if not callable(function):
            raise TypeError(f"A dataset's function must be callable, not {function!r}.")
        return traced(self.graph, function, [self.structure], finish)

    # Iterators

    def make_one_shot_iterator(self) -> Iterator:
        """An iterator that needs no initializer, and iterates once in each session.

        Raises ValueError if the dataset depends on a placeholder or a variable.
        """
        return one_shot_iterator(self.variant_tensor, self.structure)

    def make_initializable_iterator(self, shared_name: str | None = None) -> Iterator:
        """An iterator that starts whenever its `initializer` runs.

        shared_name: iterators with one name are the same.
        """
        return initializable_iterator(self.variant_tensor, self.structure, shared_name)


CLASSES: dict[str, type] = {TENSOR: Tensor, SPARSE: SparseTensor, DATASET: Dataset}
structures.MADE.dataset, structures.MADE.classes = Dataset, CLASSES
_RANGE = ("start", "stop", "step")
_FULL_BUFFER = 1 << 62
"""The buffer size of a full shuffle."""


def _drop(size: Tensor, drop_remainder: Any) -> tuple[Tensor, int | None]:
    """Whether to drop an incomplete last batch, and the number of rows of a batch if it is certain."""
    drop = convert_to_tensor(drop_remainder, dtypes.bool, name="drop_remainder")
    known = static_value(size)
    return drop, int(known) if known is not None and known > 0 and bool(static_value(drop)) else None


def _returned(word: str) -> Callable[[Any], Any]:
    def finish(result: Any) -> Any:
        try:
            return structures.as_components(result)
        except (TypeError, ValueError) as error:
            text = f"Unsupported return value from function passed to Dataset.{word}(): {result}. {error}"
            raise TypeError(text) from error

    return finish


def check_predicate(result: Any) -> None:
    """Raise ValueError unless a predicate returned a scalar boolean."""
    scalar = isinstance(result, Tensor) and result.raw_shape in ((), None)
    if not scalar or result.dtype.base_dtype is not dtypes.bool:
        raise ValueError("`predicate` must return a scalar boolean tensor.")


def checked_dataset(result: Any) -> Any:
    """The result of a function, which must be a dataset: otherwise TypeError."""
    if not isinstance(result, Dataset):
        raise TypeError("`map_func` must return a `Dataset` object.")
    return result


def _check_state(before: Any, after: Any) -> None:
    for word, of in (("types", lambda leaf: leaf.dtype), ("classes", lambda leaf: CLASSES[leaf.word])):
        expected, got = mapped(of, before), mapped(of, after)
        if expected != got:
            raise TypeError(
                f"The element {word} for the new state must match the initial state. Expected {expected}; got {got}."
            )
