"""Kernels of the nodes that parse examples: they convert features to arrays.

column   one feature of all examples: a Feature, or None if missing, for each; in a sequence, for each step
Wanted   how to read a column
Each way to read a column gives one array, or for sparse tensors three: indices, values, dense shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.files.messages import message
from weftwork.graph.shapes import bracket_text

_LISTS = {"int64": "int64_list", "float32": "float_list", "string": "bytes_list"}
_NAMES = {"int64_list": "int64", "float_list": "float", "bytes_list": "string"}


class Wanted(NamedTuple):
    """How to read a column.

    way: "fixed", "padded", "ragged" or "sparse".   keys: of the feature; for a sparse one the key of the values, then
    those of the indices.   shape: of an element; for a sparse one its dense shape.   default: the number of the input
    that replaces missing values, or None.   in_order: the indices of a sparse column need not be sorted.   may_lack: a
    list of features may be missing.
    """

    way: str
    keys: tuple[str, ...]
    dtype: str
    shape: tuple[int, ...] = ()
    default: int | None = None
    in_order: bool = False
    is_optional: bool = False


class _Column:
    """The features under one key, with error messages about single features."""

    def __init__(self, key: str, features: Sequence[Any], names: Sequence[bytes] = ()):
        self.key, self.features, self.names = key, features, names

    def error(self, number: int, text: str) -> InvalidArgumentError:
        name = self.names[number].decode("utf-8", "replace") if number < len(self.names) else "<unknown>"
        return InvalidArgumentError(None, None, f"Name: {name}, Key: {self.key}, Index: {number}.  {text}")

    def values(self, dtype: str) -> list[np.ndarray | None]:
        """The values of each feature, None if it is missing. Raises InvalidArgumentError for another dtype."""
        return [None if f is None else self._array_of(i, f, dtype) for i, f in enumerate(self.features)]

    def _array_of(self, number: int, feature: Any, dtype: str) -> np.ndarray | None:
        kind = feature.WhichOneof("kind")
        if kind is None:
            return None
        if kind != _LISTS[dtype]:
            message = f"Data types don't match. Expected type: {_NAMES[_LISTS[dtype]]}, Actual type: {_NAMES[kind]}"
            raise self.error(number, message)
        return _array(getattr(feature, kind), dtype)


def _array(listed: Any, dtype: str) -> np.ndarray:
    values = listed.value
    if dtype == "float32":  # one copy of the message's buffer: a list would create an object for each
        data = listed.SerializeToString()
        return np.frombuffer(data, "<f4", len(values), len(data) - 4 * len(values)).astype(np.float32)
    if dtype == "int64":
        return np.fromiter(values, np.int64, len(values))
    array = np.empty(len(values), object)
    array[:] = list(values)
    return array


# Ways to read a column


def _fixed(columns: list[_Column], wanted: Wanted, default: Any) -> tuple:
    """A fixed number of values in each example: [n, ...shape]."""
    column, size = columns[0], int(np.prod(wanted.shape))
    rows = column.values(wanted.dtype)
    result = np.empty((len(rows), *wanted.shape), _numpy(wanted.dtype))
    for i, row in enumerate(rows):
        if row is None and default is None:
            message = f"(data type: {_NAMES[_LISTS[wanted.dtype]]}) is required but could not be found."
            raise column.error(i, f"Feature: {column.key} {message}")
        if row is not None and len(row) != size:
            raise column.error(i, _mismatch(wanted, len(row), bracket_text(wanted.shape)))
        result[i] = default if row is None else row.reshape(wanted.shape)[()]
    return (result,)


def _padded(columns: list[_Column], wanted: Wanted, default: Any) -> tuple:
    """Any number of elements in each example, padded to the longest: [n, longest, ...shape]."""
    column, size = columns[0], int(np.prod(wanted.shape))
    rows = column.values(wanted.dtype)
    for i, row in enumerate(rows):
        if row is not None and (len(row) % size if size else len(row)):
            raise column.error(i, _mismatch(wanted, len(row), bracket_text((None, *wanted.shape))))
    longest = max([len(row) // max(size, 1) for row in rows if row is not None], default=0)
    result = np.empty((len(rows), longest, *wanted.shape), _numpy(wanted.dtype))
    result[...] = _nothing(wanted.dtype) if default is None else default
    for i, row in enumerate(rows):
        if row is not None:
            elements = row.reshape(-1, *wanted.shape)
            result[i, : len(elements)] = elements
    return (result,)


def _ragged(columns: list[_Column], wanted: Wanted, default: Any) -> tuple:
    """Any number of values in each example, as a sparse tensor of rank 2: indices, values, dense shape."""
    rows = [_or_empty(row, wanted.dtype) for row in columns[0].values(wanted.dtype)]
    counts = np.array([len(row) for row in rows], np.int64)
    indices = np.empty((int(counts.sum()), 2), np.int64)
    indices[:, 0] = np.repeat(np.arange(len(rows)), counts)
    indices[:, 1] = np.concatenate([np.arange(count) for count in counts]) if len(rows) else 0
    return indices, _joined(rows, wanted.dtype), np.array([len(rows), counts.max(initial=0)], np.int64)


def _sparse(columns: list[_Column], wanted: Wanted, default: Any) -> tuple:
    """Values and indices, each a separate feature, as a sparse tensor: indices, values, dense shape."""
    values = [_or_empty(row, wanted.dtype) for row in columns[0].values(wanted.dtype)]
    places = [[_or_empty(row, "int64") for row in column.values("int64")] for column in columns[1:]]
    for column, rows in zip(columns[1:], places, strict=True):
        for i, row in enumerate(rows):
            if len(row) != len(values[i]):
                raise column.error(i, f"{len(row)} indices do not fit {len(values[i])} values of {wanted.keys[0]}.")
    counts = [len(row) for row in values]
    parts = [np.repeat(np.arange(len(values)), counts), *[_joined(rows, "int64") for rows in places]]
    indices, flat = np.stack(parts, axis=1).astype(np.int64), _joined(values, wanted.dtype)
    if not wanted.in_order:
        order = np.lexsort(indices.T[::-1])
        indices, flat = indices[order], flat[order]
    return indices, flat, np.array([len(values), *wanted.shape], np.int64)


_WAYS: dict[str, Callable[[list[_Column], Wanted, Any], tuple]] = {
    "fixed": _fixed,
    "padded": _padded,
    "ragged": _ragged,
    "sparse": _sparse,
}


def _numpy(dtype: str) -> Any:
    return object if dtype == "string" else np.dtype(dtype)


def _nothing(dtype: str) -> Any:
    return b"" if dtype == "string" else 0


def _or_empty(row: np.ndarray | None, dtype: str) -> np.ndarray:
    return np.empty(0, _numpy(dtype)) if row is None else row


def _joined(rows: list[np.ndarray], dtype: str) -> np.ndarray:
    return np.concatenate(rows) if rows else np.empty(0, _numpy(dtype))


def _mismatch(wanted: Wanted, count: int, shape: str) -> str:
    kind = _NAMES[_LISTS[wanted.dtype]]
    return f"Number of {kind} values != expected.  Values size: {count} but output shape: {shape}"


# The kernels


def _outputs(arrays: list) -> Any:
    """A kernel's result: the value itself for a single output, a tuple for several."""
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


def _parsed(kind: str, data: Any) -> Any:
    try:
        return message(kind).FromString(data)
    except Exception as error:  # protobuf's DecodeError, which is imported with it
        if type(error).__name__ != "DecodeError":
            raise
        shown = data if len(data) <= 60 else data[:60] + b"..."
        raise InvalidArgumentError(None, None, f"Could not parse example input, value: {shown!r}") from error


def _get(features: Any, key: str) -> Any:
    """Look up a feature without creating it: a protobuf map creates missing keys on access."""
    return features.feature[key] if key in features.feature else None


def parse_batch(serialized: Any, names: Any, *defaults: Any, wanted: tuple[Wanted, ...]) -> Any:
    """The columns of a vector of serialized examples, in sequence."""
    examples = [_parsed("Example", data).features for data in serialized]

    def column(key: str) -> _Column:
        return _Column(key, [_get(example, key) for example in examples], names)

    return _outputs(_read(wanted, defaults, column))


def _read(wanted: tuple[Wanted, ...], defaults: tuple, column: Callable[[str], _Column]) -> list:
    outputs: list[Any] = []
    for one in wanted:
        default = None if one.default is None else np.asarray(defaults[one.default], _numpy(one.dtype))[()]
        outputs += _WAYS[one.way]([column(key) for key in one.keys], one, default)
    return outputs


def parse_one(serialized: Any, names: Any, *defaults: Any, wanted: tuple[Wanted, ...]) -> Any:
    """The columns of a single example: as for a batch of one, without the batch axis."""
    features = _parsed("Example", serialized).features
    result = _read(wanted, defaults, lambda key: _Column(key, [_get(features, key)], _name_list(names)))
    return _outputs(_without_batch(wanted, result))


def _name_list(names: Any) -> list[bytes]:
    return [names] if isinstance(names, bytes) and names else []


def _without_batch(wanted: tuple[Wanted, ...], arrays: list) -> list:
    parts, squeezed = iter(arrays), []
    for one in wanted:
        if one.way in ("fixed", "padded"):
            squeezed.append(next(parts)[0])
        else:
            squeezed += [next(parts)[:, 1:], next(parts), next(parts)[1:]]
    return squeezed


def parse_sequence(
    serialized: Any, names: Any, *defaults: Any, context: tuple[Wanted, ...], steps: tuple[Wanted, ...]
) -> Any:
    """The columns of a SequenceExample: those of its context, like a single example, and one for each feature list."""
    example, one = _parsed("SequenceExample", serialized), _name_list(names)
    context_columns = _read(context, defaults, lambda key: _Column(key, [_get(example.context, key)], one))
    return _outputs(_without_batch(context, context_columns) + _steps(example, one, steps, defaults))


def _steps(example: Any, one: list[bytes], steps: tuple[Wanted, ...], defaults: tuple) -> list:
    """The columns of a SequenceExample's feature lists. Raises InvalidArgumentError for a list that is missing."""
    lists = example.feature_lists.feature_list
    for wanted in steps:
        for key in wanted.keys:
            if key not in lists and wanted.way == "fixed" and not wanted.is_optional:
                name = (one or [b"<unknown>"])[0].decode("utf-8", "replace")
                text = f"Name: {name}, Feature list '{key}' is required but could not be found. Is allow_missing meant?"
                raise InvalidArgumentError(None, None, text)
    return _read(steps, defaults, lambda key: _Column(key, lists[key].feature if key in lists else [], one))


def parse_sequences(
    serialized: Any, names: Any, *defaults: Any, context: tuple[Wanted, ...], steps: tuple[Wanted, ...]
) -> Any:
    """The columns of a vector of SequenceExamples: of their contexts, of their feature lists, and the dense lengths.

    Dense feature lists are padded to the longest, [n, longest, ...shape]; each has a vector of lengths.
    """
    examples = [_parsed("SequenceExample", data) for data in serialized]
    given = [[name] for name in names] or [[]] * len(examples)

    def column(key: str) -> _Column:
        return _Column(key, [_get(example.context, key) for example in examples], names)

    found = [_steps(example, one, steps, defaults) for example, one in zip(examples, given, strict=True)]
    outputs, lengths, at = _read(context, defaults, column), [], 0
    for wanted in steps:
        count = 1 if wanted.way == "fixed" else 3
        parts = [parts[at : at + count] for parts in found]
        at += count
        if count == 3:
            outputs += _beside(parts, wanted)
            continue
        rows = [array for (array,) in parts]
        lengths.append(np.array([len(row) for row in rows], np.int64))
        outputs.append(_filled(rows, wanted))
    return _outputs(outputs + lengths)


def _filled(rows: list[np.ndarray], wanted: Wanted) -> np.ndarray:
    """Arrays of several lengths in one, padded with 0 or empty strings."""
    longest = max([len(row) for row in rows], default=0)
    result = np.full((len(rows), longest, *wanted.shape), _nothing(wanted.dtype), _numpy(wanted.dtype))
    for i, row in enumerate(rows):
        result[i, : len(row)] = row
    return result


def _beside(parts: list, wanted: Wanted) -> list[np.ndarray]:
    """Sparse tensors as one, with an axis in front: indices, values, dense shape."""
    indices = [np.insert(one, 0, i, axis=1) for i, (one, _, _) in enumerate(parts)]
    rank = 2 + len(wanted.shape or (0,))
    shape = np.max([one for _, _, one in parts], axis=0) if parts else np.zeros(rank - 1, np.int64)
    stacked = np.concatenate(indices) if indices else np.zeros((0, rank), np.int64)
    return [stacked, _joined([one for _, one, _ in parts], wanted.dtype), np.insert(shape, 0, len(parts))]
