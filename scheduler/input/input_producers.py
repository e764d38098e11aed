"""Input producers: queues that queue runners fill with the same elements again and again.

epoch    one pass through all elements; if their number is limited, the local variable `epochs` counts them
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import convert_to_tensor
from weftwork.graph.default_scopes import control_dependencies
from weftwork.graph.files.nodes import matching_files
from weftwork.graph.graph import GraphKeys
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.assertions import Assert
from weftwork.graph.ops.flow import identity
from weftwork.graph.ops.queues import FIFOQueue, QueueBase
from weftwork.graph.ops.random_ops import random_shuffle
from weftwork.graph.scopes import name_scope
from weftwork.graph.training.summaries import scalar
from weftwork.graph.variables.variable import Variable
from weftwork.scheduler.input.queue_runner import QueueRunner, add_queue_runner


def limit_epochs(tensor: Any, num_epochs: int | None = None, name: str | None = None) -> Tensor:
    """The tensor, for `num_epochs` runs, after which it raises OutOfRangeError. None means no limit.

    The count is a local variable: run `tf.local_variables_initializer()`. Raises ValueError if the number is not
    positive.
    """
    if num_epochs is None:
        return convert_to_tensor(tensor)
    if num_epochs <= 0:
        raise ValueError(f"num_epochs must be > 0 not {num_epochs}.")
    with name_scope(name, "limit_epochs", [tensor]) as scope:
        epochs = Variable(np.int64(0), name="epochs", trainable=False, collections=[GraphKeys.LOCAL_VARIABLES])
        with control_dependencies([epochs.count_up_to(num_epochs)]):
            return identity(tensor, name=scope)


def input_producer(
    input_tensor: Any,
    element_shape: Any = None,
    num_epochs: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    capacity: int = 32,
    shared_name: str | None = None,
    summary_name: str | None = None,
    name: str | None = None,
    cancel_op: Any = None,
) -> QueueBase:
    """A queue of the rows of `input_tensor`, which a queue runner fills once per epoch.

    shuffle: use another order in each epoch, by `seed`.   element_shape: the shape of a row, if it is unknown.
    summary_name: name of a scalar summary of the queue's fill level.   cancel_op: the queue runner's.
    Raises ValueError if the shape of a row is unknown.
    """
    with name_scope(name, "input_producer", [input_tensor]):
        rows = convert_to_tensor(input_tensor, name="input_tensor")
        if rows.raw_shape == ():
            raise ValueError("Shape () must have rank at least 1")
        known = None if rows.raw_shape is None else rows.raw_shape[1:]
        row = shapes.merge(known, None if element_shape is None else shapes.as_raw(element_shape))
        if not shapes.is_full(row):
            raise ValueError(
                "Either `input_tensor` must have a fully defined shape or `element_shape` must be specified"
            )
        if shuffle:
            rows = random_shuffle(rows, seed=seed)
        queue = FIFOQueue(capacity, [rows.dtype.base_dtype], [row], shared_name=shared_name, name=name)  # type: ignore[arg-type]
        fill(queue, [queue.enqueue_many([limit_epochs(rows, num_epochs)])], capacity, summary_name, cancel_op)
        return queue


def fill(
    queue: QueueBase, enqueues: list, capacity: int, summary_name: str | None, cancel_op: Any = None, least: int = 0
) -> None:
    """Add a queue runner for `enqueues`, and a summary of the queue's fill level above the `least` elements."""
    add_queue_runner(QueueRunner(queue, enqueues, cancel_op=cancel_op))
    if summary_name is not None:
        count = queue.size() if least == 0 else math_ops.maximum(0, queue.size() - least)
        full = math_ops.cast(count, dtypes.float32) * (1.0 / (capacity - least))
        with suppress(ImportError):  # the user did not ask for the summary, so it may be missing
            scalar(summary_name, full)


def full_name(capacity: int) -> str:
    """The name of the summary of a queue's fill level."""
    return f"fraction_of_{capacity}_full"


def match_filenames_once(pattern: Any, name: str | None = None) -> Variable:
    """The paths that match one or several patterns, as a local variable. Its initializer searches for them.

    pattern: a pattern as in `gfile.Glob`, or a list of patterns.
    """
    with name_scope(name, "matching_filenames", [pattern]) as scope:
        collections = [GraphKeys.LOCAL_VARIABLES]
        found = matching_files(pattern)
        return Variable(found, trainable=False, collections=collections, validate_shape=False, name=scope)


def string_input_producer(
    string_tensor: Any,
    num_epochs: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    capacity: int = 32,
    shared_name: str | None = None,
    name: str | None = None,
    cancel_op: Any = None,
) -> QueueBase:
    """A queue of strings, such as file names. Without any, raises ValueError, or InvalidArgumentError at run time.

    The arguments are those of `input_producer`.
    string_tensor: a string vector, or a list of strings.   cancel_op: runs when the queue is closed.
    """
    none = "string_input_producer requires a non-null input tensor"
    if not isinstance(string_tensor, Tensor) and not len(string_tensor):
        raise ValueError(none)
    with name_scope(name, "input_producer", [string_tensor]) as scope:
        texts = convert_to_tensor(string_tensor, dtype=dtypes.string)
        with control_dependencies([Assert(math_ops.greater(array_ops.size(texts), 0), [none])]):
            texts = identity(texts)
        return input_producer(
            texts, [], num_epochs=num_epochs, shuffle=shuffle, seed=seed, capacity=capacity, shared_name=shared_name,
            summary_name=full_name(capacity), name=scope, cancel_op=cancel_op,
        )  # fmt: skip


def range_input_producer(
    limit: Any,
    num_epochs: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    capacity: int = 32,
    shared_name: str | None = None,
    name: str | None = None,
) -> QueueBase:
    """A queue of the int32 numbers from 0 to `limit` - 1. The arguments are those of `input_producer`."""
    with name_scope(name, "input_producer", [limit]) as scope:
        return input_producer(
            math_ops.range(limit), [], num_epochs=num_epochs, shuffle=shuffle, seed=seed, capacity=capacity,
            shared_name=shared_name, summary_name=full_name(capacity), name=scope,
        )  # fmt: skip


def slice_input_producer(
    tensor_list: Sequence[Any],
    num_epochs: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    capacity: int = 32,
    shared_name: str | None = None,
    name: str | None = None,
) -> list[Tensor]:
    """Row i of each tensor in a list, where i comes from a `range_input_producer`.

    Raises ValueError for an empty list. The other arguments are those of `input_producer`.
    """
    if not tensor_list:
        raise ValueError("Expected at least one tensor in slice_input_producer().")
    with name_scope(name, "input_producer", list(tensor_list)):
        tensors = [convert_to_tensor(tensor) for tensor in tensor_list]
        count = array_ops.shape(tensors[0])[0]
        queue = range_input_producer(
            count, num_epochs=num_epochs, shuffle=shuffle, seed=seed, capacity=capacity, shared_name=shared_name
        )
        number = queue.dequeue()
        return [array_ops.gather(tensor, number) for tensor in tensors]
