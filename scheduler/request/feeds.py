"""Feeds of a run: keys become tensors of the graph, values become what these tensors hold.

A fed array is passed on as a read-only view, so that nothing downstream can write to the user's array.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import as_tensor
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.kept_values import TensorHandle
from weftwork.graph.values import as_array, shown, to_value
from weftwork.scheduler.request.fetches import conversion_of


def parse_feeds(graph: Graph, feed_dict: Mapping) -> dict[Tensor, Any]:
    """Convert a feed_dict to {tensor of `graph`: value}.

    Raises TypeError for a key that is not a tensor, or a value that cannot be converted. Raises ValueError if nested
    keys do not match their values, if a value has the wrong shape, or if a tensor may not be fed.
    """
    if type(feed_dict) is not dict and not isinstance(feed_dict, Mapping):
        raise TypeError(f"input must be a dictionary, but the feed_dict is a {type(feed_dict).__name__}.")
    feeds: dict[Tensor, Any] = {}
    for key, value in feed_dict.items():
        if type(key) is Tensor and key.op.graph is graph:
            feeds[key] = _fast(key, value)
        elif _is_nested(key):
            return parse_feeds(graph, _flattened(feed_dict))
        else:
            for tensor, fed in _expanded(graph, key, value):
                feeds[tensor] = convert_feed(tensor, fed)
    if not graph.all_feedable:
        for tensor in feeds:
            if not graph.is_feedable(tensor):
                raise ValueError(f"Tensor {tensor!r} may not be fed.")
    return feeds


def _fast(tensor: Tensor, value: Any) -> Any:
    dtype = tensor.dtype.numpy
    if type(value) is float and dtype.kind == "f" and not tensor.raw_shape:  # unknown, or ()
        return dtype.type(value)
    if type(value) is list and dtype.kind == "f":
        with suppress(TypeError, ValueError, OverflowError):  # `convert_feed` finds the words for it
            value = np.asarray(value, dtype)
    if type(value) is np.ndarray and value.dtype == dtype and dtype.kind != "O" and value.ndim:
        shape = tensor.raw_shape
        if shape is None or shape == value.shape or shapes.compatible(shape, value.shape):
            return read_only(value)
    return convert_feed(tensor, value)


def read_only(array: np.ndarray) -> Any:
    """A read-only view of an array, to be fed: it protects the caller's array. A scalar for rank 0."""
    if not array.ndim:
        return array[()]
    view = array.view()
    view.setflags(write=False)
    return view


def _is_nested(key: Any) -> bool:
    return isinstance(key, tuple) and conversion_of(key) is None


def _flattened(feed_dict: Mapping) -> dict[Any, Any]:
    """The same feeds, with one entry per leaf of nested keys."""
    flat: dict[Any, Any] = {}
    for key, value in feed_dict.items():
        keys, values = (list(_leaves(key)), list(_leaves(value))) if _is_nested(key) else ([key], [value])
        if len(keys) != len(values):
            raise ValueError(
                f"Could not flatten dictionary. Key had {len(keys)} elements, but value had {len(values)} elements. "
                f"Key: {keys}, value: {values}."
            )
        for leaf, item in zip(keys, values, strict=True):
            if leaf in flat:
                raise ValueError(f"Could not flatten dictionary: key {leaf} is not unique.")
            flat[leaf] = item
    return flat


def _leaves(structure: Any) -> Iterator[Any]:
    if isinstance(structure, (tuple, list)):
        for item in structure:
            yield from _leaves(item)
    else:
        yield structure


def _expanded(graph: Graph, key: Any, value: Any) -> Iterator[tuple[Tensor, Any]]:
    known = conversion_of(key)
    if known is not None and known[2] is not None:
        for part, item in known[2](key, value):
            yield parse_feed_key(graph, part), item
    else:
        yield parse_feed_key(graph, key), value


def feed_tensors(graph: Graph, key: Any) -> list[Tensor]:
    """The tensors that a key of a list of feeds stands for. Keys may be of a registered type. Raises TypeError."""
    known = conversion_of(key)
    if known is not None and known[3] is not None:
        return [parse_feed_key(graph, part) for part in known[3](key)]
    return [parse_feed_key(graph, key)]


class FeedList:
    """The keys that a callable is fed by, in the order of its arguments; `tensors` are those that they stand for."""

    def __init__(self, graph: Graph, keys: Sequence[Any]):
        self._graph = graph
        self._keys = [(key, feed_tensors(graph, key)) for key in keys]
        self.tensors = [tensor for _, parts in self._keys for tensor in parts]

    def values(self, args: Sequence[Any]) -> list[Any]:
        """The values of `tensors`. Raises TypeError or ValueError for arguments that do not fit."""
        if len(args) != len(self._keys):
            raise TypeError(f"This callable takes {len(self._keys)} fed values, but got {len(args)}.")
        found = []
        for (key, tensors), value in zip(self._keys, args, strict=True):
            fed = {tensors[0]: value} if conversion_of(key) is None else dict(_expanded(self._graph, key, value))
            found += [convert_feed(tensor, fed[tensor]) for tensor in tensors]
        return found


def parse_feed_key(graph: Graph, key: Any) -> Tensor:
    """The tensor that a feed_dict key names. Raises TypeError if there is none."""
    try:
        return graph.as_graph_element(key, allow_tensor=True, allow_operation=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"Cannot interpret feed_dict key as Tensor: {error}") from None
    except KeyError as error:
        raise TypeError(f"Cannot interpret feed_dict key as Tensor: {error.args[0]}") from None


def convert_feed(tensor: Tensor, value: Any) -> Any:
    """Convert a fed value for `tensor`. Raises TypeError or ValueError if that is impossible."""
    if as_tensor(value) is not None:
        raise TypeError(
            "The value of a feed cannot be a tf.Tensor object. Acceptable feed values include Python scalars, strings, "
            f"lists, numpy ndarrays, or TensorHandles. For reference, the tensor object was {value!r} which was passed "
            f"to the feed with key {tensor!r}."
        )
    dtype = tensor.dtype.base_dtype
    if isinstance(value, TensorHandle):
        value = value.fed_to(dtype)
    if dtype is dtypes.object:
        return read_only(value) if type(value) is np.ndarray and not (value.ndim and value.dtype.hasobject) else value
    if value is None:
        raise TypeError(f"None cannot be fed to {tensor!r}, defined at {tensor.op.source.text}.")
    if isinstance(value, int) and not isinstance(value, bool):
        _check_int(tensor, value)
    array = _as_array(tensor, value)
    shape = array.shape if type(array) is np.ndarray else np.shape(array)
    if not shapes.compatible(tensor.raw_shape, shape):
        raise ValueError(
            f"Cannot feed value of shape {shape!r} for Tensor {tensor.name!r}, which has shape "
            f"{shapes.text(tensor.raw_shape)!r}, defined at {tensor.op.source.text}"
        )
    if isinstance(array, np.ndarray):
        return read_only(array)
    return array


def _check_int(tensor: Tensor, value: int) -> None:
    dtype = tensor.dtype.base_dtype.numpy
    if dtype.kind in "fc":
        try:
            with np.errstate(over="ignore"):
                fits = int(dtype.type(value).real) == value
        except OverflowError:
            fits = False
    else:
        fits = dtype.kind in "biu" and _in_range(tensor, value, value)
    if not fits:
        raise _incompatible(tensor, value)


def _in_range(tensor: Tensor, low: int, high: int) -> bool:
    least, greatest = tensor.dtype.base_dtype.bounds
    return least <= low and high <= greatest


def _incompatible(tensor: Tensor, value: Any) -> TypeError:
    return TypeError(
        f"Type of feed value {value} with type {type(value)} is not compatible with Tensor type "
        f"{tensor.dtype.as_numpy_dtype}. Try explicitly setting the type of the feed tensor to a larger type "
        "(e.g. int64)."
    )


def _as_array(tensor: Tensor, value: Any) -> Any:
    dtype = tensor.dtype.base_dtype
    try:
        if dtype is dtypes.string:
            return to_value(value, dtype)
        array = value
        if dtype.is_integer and isinstance(value, (list, tuple)):  # NumPy 1 would wrap Python ints that do not fit
            array = np.asarray(value)
            if array.size and array.dtype.kind in "iu" and not _in_range(tensor, int(array.min()), int(array.max())):
                raise OverflowError
        return as_array(array, dtype.numpy)
    except OverflowError:
        raise _incompatible(tensor, value) from None
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError  # UnicodeEncodeError has another signature
        raise kind(f"Cannot feed {shown(value)} to {tensor!r}, defined at {tensor.op.source.text}: {error}") from None
