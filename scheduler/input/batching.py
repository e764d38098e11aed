"""Batching of examples, through queues that queue runners fill.

example   tensors that belong together: one tensor, a list, or a dict. A batch has the same structure, except that for a
          list of one tensor it is the tensor alone
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from weftwork.graph import shapes as dims
from weftwork.graph.build import convert_to_tensor
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops.array_ops import boolean_mask
from weftwork.graph.ops.composite import SparseTensor
from weftwork.graph.ops.control_flow import cond
from weftwork.graph.ops.flow import group, no_op
from weftwork.graph.ops.queues import FIFOQueue, PaddingFIFOQueue, QueueBase, RandomShuffleQueue
from weftwork.graph.ops.sparse_packing import pack, pack_rows, unpack
from weftwork.graph.scopes import name_scope
from weftwork.scheduler.input.input_producers import fill, full_name


def batch(
    tensors: Any,
    batch_size: Any,
    num_threads: int = 1,
    capacity: int = 32,
    enqueue_many: bool = False,
    shapes: Any = None,
    dynamic_pad: bool = False,
    allow_smaller_final_batch: bool = False,
    shared_name: str | None = None,
    name: str | None = None,
    _keep: Any = None,
) -> Any:
    """Batch examples, by stacking `batch_size` of them along a new first axis.

    tensors: one example, or several as rows with enqueue_many.   num_threads: threads that read examples.
    shapes: shapes of an example's tensors, if they are unknown.   dynamic_pad: unknown dimensions may vary, and are
    padded with zeros.
    allow_smaller_final_batch: yield the last examples as a smaller batch instead of dropping them.
    At run time, raises OutOfRangeError when there are no more examples. Raises ValueError if shapes are unknown, or
    without tensors.
    """
    return _batched(
        [tensors], batch_size, _padded(dynamic_pad), capacity=capacity, many=enqueue_many,
        shapes=shapes, smaller=allow_smaller_final_batch, shared_name=shared_name, name=name, keep=_keep,
        threads=_threads(num_threads),
    )  # fmt: skip


def batch_join(
    tensors_list: Sequence[Any],
    batch_size: Any,
    capacity: int = 32,
    enqueue_many: bool = False,
    shapes: Any = None,
    dynamic_pad: bool = False,
    allow_smaller_final_batch: bool = False,
    shared_name: str | None = None,
    name: str | None = None,
    _keep: Any = None,
) -> Any:
    """Like `batch`, for examples from several sources, each read by a thread of its own.

    tensors_list: a list of examples with the same structure.
    """
    return _batched(
        list(tensors_list), batch_size, _padded(dynamic_pad), capacity=capacity, many=enqueue_many,
        shapes=shapes, smaller=allow_smaller_final_batch, shared_name=shared_name, name=name, called="batch_join",
        keep=_keep,
    )  # fmt: skip


def shuffle_batch(
    tensors: Any,
    batch_size: Any,
    capacity: int,
    min_after_dequeue: int,
    num_threads: int = 1,
    seed: int | None = None,
    enqueue_many: bool = False,
    shapes: Any = None,
    allow_smaller_final_batch: bool = False,
    shared_name: str | None = None,
    name: str | None = None,
    _keep: Any = None,
) -> Any:
    """Like `batch`, but in random order.

    min_after_dequeue: minimum number of examples that stay in the queue, for better mixing, while more are to come.
    """
    return _batched(
        [tensors], batch_size, _mixed(min_after_dequeue, seed), capacity=capacity,
        many=enqueue_many, shapes=shapes, smaller=allow_smaller_final_batch, shared_name=shared_name, name=name,
        called="shuffle_batch", keep=_keep, least=min_after_dequeue, threads=_threads(num_threads),
    )  # fmt: skip


def shuffle_batch_join(
    tensors_list: Sequence[Any],
    batch_size: Any,
    capacity: int,
    min_after_dequeue: int,
    seed: int | None = None,
    enqueue_many: bool = False,
    shapes: Any = None,
    allow_smaller_final_batch: bool = False,
    shared_name: str | None = None,
    name: str | None = None,
    _keep: Any = None,
) -> Any:
    """Like `shuffle_batch`, for examples from several sources, each read by a thread of its own."""
    return _batched(
        list(tensors_list), batch_size, _mixed(min_after_dequeue, seed), capacity=capacity,
        many=enqueue_many, shapes=shapes, smaller=allow_smaller_final_batch, shared_name=shared_name, name=name,
        called="shuffle_batch_join", keep=_keep, least=min_after_dequeue,
    )  # fmt: skip


def maybe_batch(tensors: Any, keep_input: Any, batch_size: Any, *args: Any, **kwargs: Any) -> Any:
    """Like `batch`, for the examples for which `keep_input` is true: a bool, or with enqueue_many one per example."""
    return batch(tensors, batch_size, *args, **kwargs, _keep=keep_input)


def maybe_batch_join(tensors_list: Sequence[Any], keep_input: Any, batch_size: Any, *args: Any, **kwargs: Any) -> Any:
    """Like `batch_join`, for the examples for which `keep_input` is true."""
    return batch_join(tensors_list, batch_size, *args, **kwargs, _keep=keep_input)


def maybe_shuffle_batch(
    tensors: Any, batch_size: Any, capacity: int, min_after_dequeue: int, keep_input: Any, *args: Any, **kwargs: Any
) -> Any:
    """Like `shuffle_batch`, for the examples for which `keep_input` is true."""
    return shuffle_batch(tensors, batch_size, capacity, min_after_dequeue, *args, **kwargs, _keep=keep_input)


def maybe_shuffle_batch_join(
    tensors_list: Sequence[Any], batch_size: Any, capacity: int, min_after_dequeue: int, keep_input: Any, *args: Any,
    **kwargs: Any,
) -> Any:  # fmt: skip
    """Like `shuffle_batch_join`, for the examples for which `keep_input` is true."""
    return shuffle_batch_join(tensors_list, batch_size, capacity, min_after_dequeue, *args, **kwargs, _keep=keep_input)


def _padded(dynamic_pad: bool) -> Callable[..., QueueBase]:
    return PaddingFIFOQueue if dynamic_pad else FIFOQueue


def _mixed(min_after_dequeue: int, seed: int | None) -> Callable[..., QueueBase]:
    def make(capacity: int, *args: Any, **kwargs: Any) -> QueueBase:
        if capacity <= min_after_dequeue:
            raise ValueError(f"capacity {capacity} must be bigger than min_after_dequeue {min_after_dequeue}.")
        return RandomShuffleQueue(capacity, min_after_dequeue, *args, seed=seed, **kwargs)

    return make


def _threads(count: int) -> int:
    if count < 1:
        raise ValueError(f"num_threads must be at least 1, but is {count}.")
    return count


def _batched(
    sources: list[Any],
    batch_size: Any,
    make: Callable[..., QueueBase],
    *,
    capacity: int,
    many: bool,
    shapes: Any,
    smaller: bool,
    shared_name: str | None,
    name: str | None,
    called: str = "batch",
    keep: Any = None,
    least: int | None = None,
    threads: int = 1,
) -> Any:
    with name_scope(name, called, [tensor for source in sources for tensor in _list(source)]) as scope:
        if not sources:
            raise ValueError("Expected at least one set of tensors")
        if isinstance(sources[0], dict) and any([source.keys() != sources[0].keys() for source in sources]):
            raise ValueError("All dictionaries in tensors_list must have the same keys")
        if not all(map(_list, sources)):
            raise ValueError(f"Expected at least one tensor in {called}().")
        if not all([len(_list(source)) == len(_list(sources[0])) for source in sources]):
            raise ValueError(f"{called}() needs the same number of tensors in each example.")
        examples = [[_packed(item, many) for item in _list(source)] for source in sources]
        types = [[tensor.dtype.base_dtype for tensor in example] for example in examples]
        other = next((kinds for kinds in types if kinds != types[0]), None)
        if other is not None:
            named = [", ".join([kind.name for kind in kinds]) for kinds in (types[0], other)]
            raise TypeError(f"Expected types to be consistent: {named[0]} vs. {named[1]}.")
        queue = make(capacity, types[0], _shapes(examples, shapes, many), shared_name=shared_name)
        puts = [_put(queue, example, many, keep) for example in examples] * threads
        level = full_name(capacity) if least is None else f"fraction_over_{least}_of_{capacity - least}_full"
        fill(queue, puts, capacity, level, least=least or 0)
        taken = (queue.dequeue_up_to if smaller else queue.dequeue_many)(batch_size, name=scope)
        flat = taken if isinstance(taken, list) else [taken]
        return _like(sources[0], [_unpacked(t, item, many) for t, item in zip(flat, _list(sources[0]), strict=True)])


def _list(example: Any) -> list:
    if isinstance(example, dict):
        return [example[key] for key in sorted(example)]
    return list(example) if isinstance(example, (list, tuple)) else [example]


def _like(example: Any, tensors: list[Tensor]) -> Any:
    """Put tensors into an example's structure."""
    if isinstance(example, dict):
        return dict(zip(sorted(example), tensors, strict=True))
    return tensors if len(tensors) > 1 else tensors[0]


def _put(queue: QueueBase, example: list[Tensor], many: bool, keep: Any) -> Operation:
    """The operation that enqueues an example, or many, if they are to be kept."""
    put = queue.enqueue_many if many else queue.enqueue
    if keep is None or keep is True:
        return put(example)
    keep = convert_to_tensor(keep)
    if keep.raw_shape is None:
        raise ValueError("`keep_input` dimensions must be known at graph construction.")
    if not many and keep.raw_shape != ():
        raise ValueError("`keep_input` cannot be a vector when `enqueue_many=False`.")
    if keep.raw_shape != ():
        return put([boolean_mask(tensor, keep) for tensor in example])
    return group(cond(keep, lambda: put(example), no_op))


def _packed(item: Any, many: bool) -> Tensor:
    """The tensor that represents a part of an example in the queue. A SparseTensor is wrapped in an object."""
    if not isinstance(item, SparseTensor):
        return convert_to_tensor(item)
    return pack_rows(item) if many else pack(item)


def _unpacked(taken: Tensor, item: Any, many: bool) -> Any:
    return unpack(taken, item, not many) if isinstance(item, SparseTensor) else taken


def _shapes(examples: list[list[Tensor]], given: Any, many: bool) -> list:
    """The shapes that all sources' examples have in common."""
    if given is not None:
        return [dims.as_raw(shape) for shape in given]
    raw = [[tensor.raw_shape for tensor in example] for example in examples]
    for example in examples:
        if any([tensor.raw_shape is None for tensor in example]):
            raise ValueError(f"Cannot infer Tensor's rank: {', '.join(map(str, example))}")
    if many:
        raw = [[None if shape is None else shape[1:] for shape in row] for row in raw]
    return [_agreed(column) for column in zip(*raw, strict=True)]


def _agreed(column: Sequence[dims.RawShape]) -> dims.RawShape:
    """The first shape. Raises ValueError if another one contradicts it."""
    for other in column[1:]:
        if not dims.compatible(column[0], other):
            raise ValueError(f"Shapes {dims.text(column[0])} and {dims.text(other)} are not compatible")
    return column[0]
