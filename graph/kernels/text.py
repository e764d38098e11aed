"""Kernels of string operations. A string is bytes; a tensor of strings is an array of objects.

each   applies a function of bytes to every string of a tensor
"""

from __future__ import annotations

import base64
import math
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph.errors import InvalidArgumentError


def each(function: Callable[[bytes], Any], strings: Any, dtype: Any = object) -> Any:
    """function(s) for every string, as an array of the same shape; for a scalar the value itself."""
    if isinstance(strings, bytes):
        value = function(strings)
        return value if dtype is object else np.dtype(dtype).type(value)
    result = np.empty(strings.shape, dtype)
    flat = result.reshape(-1)
    for i, string in enumerate(strings.reshape(-1)):
        flat[i] = function(string)
    return result


# Numbers

_INTEGER = re.compile(rb"\s*[-+]?\d+\s*\Z")


def number(string: bytes, dtype: np.dtype) -> Any:
    """The number that a string spells; None if it spells none that the dtype can hold."""
    if dtype.kind in "iu":
        if not _INTEGER.match(string):
            return None
        value, limits = int(string), np.iinfo(dtype)
        return dtype.type(value) if limits.min <= value <= limits.max else None
    try:
        value = float(string) if b"_" not in string else math.nan
    except ValueError:
        return None
    with np.errstate(over="ignore"):
        return None if b"_" in string else dtype.type(value)


def to_number(strings: Any, *, dtype: np.dtype) -> Any:
    """The kernel of StringToNumber."""

    def converted(string: bytes) -> Any:
        value = number(string, dtype)
        if value is None:
            raise InvalidArgumentError(
                None, None, f"StringToNumberOp could not correctly convert string: {shown(string)}"
            )
        return value

    return each(converted, strings, dtype)


def shown(string: bytes) -> str:
    """A string as messages print it."""
    return string.decode("utf-8", "backslashreplace")


# Hashes


def buckets(strings: Any, *, count: int, function: Callable[..., int], key: tuple = ()) -> Any:
    """The kernel of the StringToHashBucket operations."""
    return each(lambda string: function(string, *key) % count, strings, np.int64)


# Joining and splitting


def join(*parts: Any, separator: bytes) -> Any:
    """The kernel of StringJoin; scalars are joined with every string of the others."""
    shape = next((np.shape(part) for part in parts if np.shape(part)), ())
    for part in parts:
        if np.shape(part) not in ((), shape):
            text = f"Input shapes do not match: {list(shape)} vs. {list(np.shape(part))}"
            raise InvalidArgumentError(None, None, text)
    if not shape:
        return separator.join(parts)
    result = np.empty(shape, object)
    columns = [np.broadcast_to(np.asarray(part, object), shape).reshape(-1) for part in parts]
    result.reshape(-1)[:] = [separator.join(row) for row in zip(*columns, strict=True)]
    return result


def reduce_join(strings: Any, *axes: Any, axis: tuple[int, ...] | None, separator: bytes, keepdims: bool) -> Any:
    """The kernel of ReduceJoin: joins along one axis after the other, from the last to the first; None for all."""
    array = np.asarray(strings, object)
    if axes:
        axis = tuple(int(a) for a in np.ravel(axes[0]))
    order = range(array.ndim)[::-1] if axis is None else [normal(a, array.ndim) for a in axis]
    for at, number in enumerate(order):
        if number in order[:at]:
            raise InvalidArgumentError(None, None, f"Duplicate reduction dimension {number}")
    for a in order:
        rows = np.moveaxis(array, a, -1)
        result = np.empty(rows.shape[:-1], object)
        for place in np.ndindex(result.shape):
            result[place] = separator.join(rows[place])
        array = np.expand_dims(result, a)
    return array[()] if keepdims else array.reshape([d for i, d in enumerate(array.shape) if i not in set(order)])[()]


def segment_join(strings: Any, ids: Any, count: Any, *, separator: bytes) -> Any:
    """The kernel of UnsortedSegmentJoin: the rows with one number are joined element by element."""
    array, numbers = np.asarray(strings, object), np.asarray(ids)
    if array.shape[: numbers.ndim] != numbers.shape:
        text = f"segment_ids' shape {list(numbers.shape)} does not begin that of the inputs, {list(array.shape)}"
        raise InvalidArgumentError(None, None, text)
    rest = array.shape[numbers.ndim :]
    found: list[list] = [[] for _ in range(int(count))]
    for number, row in zip(numbers.reshape(-1).tolist(), array.reshape(numbers.size, *rest), strict=True):
        if number >= len(found):
            raise InvalidArgumentError(None, None, f"segment_ids {number} is not in [0, {len(found)})")
        if number >= 0:
            found[number].append(row)
    result = np.full((len(found), *rest), b"", object)
    for number, rows in enumerate(found):
        if rows:
            result[number] = reduce_join(np.array(rows, object), axis=(0,), separator=separator, keepdims=False)
    return result


def normal(axis: int, rank: int) -> int:
    """A nonnegative axis. Raises InvalidArgumentError if there is no such axis."""
    if not -rank <= axis < rank:
        raise InvalidArgumentError(None, None, f"Invalid reduction dimension {axis} for input with {rank} dimension(s)")
    return axis % rank


def split_by_characters(strings: Any, delimiters: bytes, *, skip_empty: bool) -> tuple:
    """The kernel of StringSplit: every byte of `delimiters` separates; if empty, the result is single bytes."""
    if not delimiters:
        return _pieces([[s[i : i + 1] for i in range(len(s))] for s in strings])
    pattern = re.compile(b"[" + re.escape(delimiters) + b"]")
    found = [pattern.split(string) if string else [] for string in strings]
    return _pieces([[piece for piece in row if piece] for row in found] if skip_empty else found)


def split_by_word(strings: Any, separator: bytes, *, maxsplit: int) -> tuple:
    """The kernel of StringSplitV2: splits at whole separators; an empty one means any whitespace, as in Python."""
    return _pieces([string.split(separator or None, maxsplit) for string in strings])


def _pieces(rows: list[list[bytes]]) -> tuple:
    """A sparse tensor of rank 2: indices, values, dense shape."""
    indices = [(i, j) for i, row in enumerate(rows) for j in range(len(row))]
    values = np.empty(len(indices), object)
    values[:] = [piece for row in rows for piece in row]
    longest = max(map(len, rows), default=0)
    return np.array(indices, np.int64).reshape(-1, 2), values, np.array([len(rows), longest], np.int64)


# Parts and lengths


def characters(string: bytes) -> str:
    """Decode UTF-8, replacing invalid bytes."""
    return string.decode("utf-8", "replace")


def substring(strings: Any, starts: Any, lengths: Any, *, by_character: bool) -> Any:
    """The kernel of Substr."""
    shape = np.broadcast_shapes(np.shape(strings), np.shape(starts))
    parts = [np.broadcast_to(np.asarray(v), shape).reshape(-1) for v in (np.asarray(strings, object), starts, lengths)]
    result = np.empty(shape, object)
    flat = result.reshape(-1)
    for i, (string, start, length) in enumerate(zip(*parts, strict=True)):
        text = characters(string) if by_character else string
        if not -len(text) <= start <= len(text):
            message = f"pos {start} out of range for string {shown(string)!r} at index {i}"
            raise InvalidArgumentError(None, None, message)
        start = int(start) + (len(text) if start < 0 else 0)
        piece = text[start:] if length < 0 else text[start : start + int(length)]
        flat[i] = piece.encode() if isinstance(piece, str) else piece
    return result[()]


def length(strings: Any, *, by_character: bool) -> Any:
    """The kernel of StringLength."""
    return each(lambda string: len(characters(string) if by_character else string), strings, np.int32)


def stripped(strings: Any) -> Any:
    """The kernel of StringStrip."""
    return each(bytes.strip, strings)


def lower(strings: Any, *, unicode: bool) -> Any:
    """The kernel of StringLower."""
    return each(lambda s: characters(s).lower().encode() if unicode else s.lower(), strings)


def upper(strings: Any, *, unicode: bool) -> Any:
    """The kernel of StringUpper."""
    return each(lambda s: characters(s).upper().encode() if unicode else s.upper(), strings)


def transcoded(strings: Any, *, source: str, target: str, errors: str, replacement: str, control: bool) -> Any:
    """The kernel of UnicodeTranscode."""

    def change(string: bytes) -> bytes:
        try:
            text = string.decode(source, {"strict": "strict", "replace": "replace", "ignore": "ignore"}[errors])
        except UnicodeDecodeError as error:
            raise InvalidArgumentError(None, None, f"Invalid formatting on input string: {error}") from error
        except LookupError as error:
            text = f"Could not create converter for input encoding: {source}"
            raise InvalidArgumentError(None, None, text) from error
        if errors == "replace":
            text = text.replace("\ufffd", replacement)
        if control:
            text = "".join([replacement if ord(c) < 32 else c for c in text])
        return text.encode(target)

    return each(change, strings)


# Regular expressions


def pattern_of(pattern: bytes) -> re.Pattern[bytes]:
    """A compiled pattern. Raises InvalidArgumentError."""
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InvalidArgumentError(None, None, f"Invalid pattern: {shown(pattern)}, error: {error}") from error


def regex_replace(strings: Any, pattern: bytes, rewrite: bytes, *, everywhere: bool) -> Any:
    """The kernel of RegexReplace. rewrite: `\\1` is the first group, `\\0` the whole match."""
    compiled = pattern_of(pattern)
    groups = {int(n) for n in re.findall(rb"\\(\d)", rewrite)}
    if groups and max(groups) > compiled.groups:
        text = f"Rewrite '{shown(rewrite)}' asks for group {max(groups)}, and '{shown(pattern)}' has {compiled.groups}"
        raise InvalidArgumentError(None, None, text)

    def written(match: re.Match[bytes]) -> bytes:
        return re.sub(rb"\\(\d|\\)", lambda m: b"\\" if m[1] == b"\\" else match[int(m[1])] or b"", rewrite)

    return each(lambda string: compiled.sub(written, string, count=0 if everywhere else 1), strings)


def regex_full_match(strings: Any, pattern: bytes) -> Any:
    """The kernel of RegexFullMatch."""
    compiled = pattern_of(pattern)
    return each(lambda string: compiled.fullmatch(string) is not None, strings, np.bool_)


# Base64, web-safe


def encode_base64(strings: Any, *, pad: bool) -> Any:
    """The kernel of EncodeBase64."""
    return each(lambda s: base64.urlsafe_b64encode(s) if pad else base64.urlsafe_b64encode(s).rstrip(b"="), strings)


_BASE64 = re.compile(rb"[A-Za-z0-9_-]*={0,2}\Z")


def decode_base64(strings: Any) -> Any:
    """The kernel of DecodeBase64; padding is optional."""

    def decoded(string: bytes) -> bytes:
        bare = string.rstrip(b"=")
        padded = len(bare) < len(string)
        if not _BASE64.match(string) or len(bare) % 4 == 1 or (padded and len(string) % 4):
            raise InvalidArgumentError(None, None, f"Invalid character found in base64: {shown(string)}")
        return base64.urlsafe_b64decode(bare + b"=" * (-len(bare) % 4))

    return each(decoded, strings)


# Numbers as text


def as_string(values: Any, *, pattern: str) -> Any:
    """The kernel of AsString. pattern: a C printf format; empty for booleans."""

    def one(value: Any) -> bytes:
        if isinstance(value, bytes):
            return value
        if not pattern:
            return b"true" if value else b"false"
        if isinstance(value, np.complexfloating):
            return f"({pattern % float(value.real)},{pattern % float(value.imag)})".encode()
        return (pattern % value.item()).encode()

    array = np.asarray(values)
    result = np.empty(array.shape, object)
    result.reshape(-1)[:] = [one(value) for value in array.reshape(-1)]
    return result[()]


def formatted(*values: Any, template: str, placeholder: str, summarize: int) -> bytes:
    """The kernel of StringFormat."""
    parts = template.split(placeholder)
    shown_values = [summary(np.asarray(value), summarize) for value in values]
    return "".join([p + v for p, v in zip(parts, [*shown_values, ""], strict=True)]).encode()


def summary(array: np.ndarray, edge: int) -> str:
    """An array as text, with `edge` elements at either end of each axis, or all for a negative number."""
    if not array.ndim:
        return _element(array[()])
    return _rows(array, edge if edge >= 0 else sys.maxsize, 1)


def _rows(array: np.ndarray, edge: int, depth: int) -> str:
    if array.ndim == 1:
        parts = [_element(value) for value in _ends(list(array), edge)]
        return f"[{' '.join(parts)}]"
    between = "\n" * (array.ndim - 1) + " " * depth
    parts = [row if isinstance(row, str) else _rows(row, edge, depth + 1) for row in _ends(list(array), edge)]
    return f"[{between.join(parts)}]"


def _ends(items: list, edge: int) -> list:
    return items if len(items) <= 2 * edge else [*items[:edge], "...", *items[len(items) - edge :]]


def _element(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return f'"{shown(value)}"'
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    if isinstance(value, np.floating):
        return np.format_float_positional(value, trim="-") if 1e-4 <= abs(value) < 1e6 or not value else f"{value:g}"
    return str(value)
