"""String operations: `tf.strings`, and the older names `tf.string_...`. A string is bytes; text is UTF-8."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.arguments import of_dtype
from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.kernels import hashes
from weftwork.graph.kernels import text as kernels
from weftwork.graph.known import renamed, whole_numbers
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.array_ops import reshape
from weftwork.graph.ops.composite import SparseTensor


def _strings(value: Any, parameter: str = "input", single: bool = False) -> Tensor:
    x = convert_to_tensor(value, dtypes.string, name=parameter)
    if single and x.raw_shape:
        raise ValueError(f"Shape must be rank 0 but is rank {len(x.raw_shape)} for the {parameter}: {x}")
    return x


def _each(kernel: Callable, kind: str, value: Any, name: Any, attrs: Any = None, dtype: Any = dtypes.string) -> Tensor:
    x = _strings(value)
    return apply(kernel, [x], attrs, type=kind, name=name, dtype=dtype, shape=x.raw_shape)


def _by_character(unit: str) -> bool:
    if unit not in ("BYTE", "UTF8_CHAR"):
        raise ValueError(f"unit must be BYTE or UTF8_CHAR, not {unit!r}.")
    return unit == "UTF8_CHAR"


# Numbers

_NUMBERS = ("float32", "float64", "int32", "int64")


def string_to_number(
    string_tensor: Any = None, out_type: Any = dtypes.float32, name: str | None = None, input: Any = None
) -> Tensor:
    """Parse strings as float32, float64, int32 or int64. At run time, raises InvalidArgumentError for other strings.

    input: a newer name of string_tensor.
    """
    string_tensor = renamed("input", input, "string_tensor", string_tensor)
    dtype = as_dtype(out_type)
    if dtype.name not in ("float32", "float64", "int32", "int64"):
        raise TypeError(
            f"Value passed to parameter 'out_type' has DataType {dtype.name}, not float32, float64, int32, int64"
        )
    return _each(kernels.to_number, "StringToNumber", string_tensor, name, {"dtype": dtype.numpy}, dtype)


to_number = string_to_number


def as_string(
    input: Any,
    precision: int = -1,
    scientific: bool = False,
    shortest: bool = False,
    width: int = -1,
    fill: str = "",
    name: str | None = None,
) -> Tensor:
    """Numbers or booleans as strings, in the formats of C's printf.

    precision: digits after the point, 6 by default.   scientific, shortest: like %e, like %g.   width, fill: padding
    on the left, e.g. 5 and "0".
    Raises InvalidArgumentError for an invalid precision or fill, TypeError for the dtype.
    """
    x = convert_to_tensor(input, name="input")
    kind = x.dtype.numpy.kind
    if kind not in "biufc" and x.dtype.base_dtype is not dtypes.string:
        raise TypeError(
            f"Value passed to parameter 'input' has DataType {x.dtype.name}, which is neither a number nor a bool"
        )
    wrong = _wrong_format(x.dtype, precision, scientific, shortest, fill)
    if wrong is not None:
        raise InvalidArgumentError(None, None, wrong)
    letter = "d" if kind in "iu" else "e" if scientific else "g" if shortest else "f"
    room = f"{fill}{width}" if width >= 0 else fill
    pattern = "" if kind in "bO" else f"%{room}{f'.{precision}' if precision >= 0 else ''}{letter}"
    attrs = {"pattern": pattern}
    return apply(kernels.as_string, [x], attrs, type="AsString", name=name, dtype=dtypes.string, shape=x.raw_shape)


def _wrong_format(dtype: dtypes.DType, precision: int, scientific: bool, shortest: bool, fill: str) -> str | None:
    """What is wrong with the arguments of `as_string`, or None."""
    if scientific and shortest:
        return "Cannot select both scientific and shortest notation"
    if len(fill) > 1:
        return f'Fill string must be one or fewer characters: "{fill}"'
    if fill not in ("", " ", "+", "-", "0", "#"):
        return f'Fill argument not supported: "{fill}"'
    if dtype.numpy.kind in "fc":
        return None
    if scientific or shortest:
        return f"scientific and shortest format not supported for datatype {dtype.cpp_name}"
    return f"precision not supported for datatype {dtype.cpp_name}" if precision >= 0 else None


def format(template: str, inputs: Any, placeholder: str = "{}", summarize: int = 3, name: str | None = None) -> Tensor:
    """Replace the placeholders of the template by the values of tensors; returns a string.

    summarize: the number of elements shown at either end of each axis, -1 for all.
    Raises ValueError unless there is one placeholder for each tensor.
    """
    listed = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    if template.count(placeholder) != len(listed):
        raise ValueError(
            f"{template.count(placeholder)} placeholder(s) in template do not match {len(listed)} tensor(s) provided"
        )
    tensors = [convert_to_tensor(value) for value in listed]
    attrs = {"template": template, "placeholder": placeholder, "summarize": summarize}
    return apply(kernels.formatted, tensors, attrs, type="StringFormat", name=name, dtype=dtypes.string, shape=())


# Hashes


def string_to_hash_bucket(
    string_tensor: Any = None, num_buckets: int | None = None, name: str | None = None, input: Any = None
) -> Tensor:
    """Hash each string to a number below `num_buckets`, int64: TensorFlow's older hash, with the same values."""
    strings = renamed("string_tensor", string_tensor, "input", input)
    return _bucket(hashes.murmur, "StringToHashBucket", strings, num_buckets, name)


def string_to_hash_bucket_fast(input: Any, num_buckets: int, name: str | None = None) -> Tensor:
    """Hash each string to a number below `num_buckets`, int64: FarmHash, with the same values as TensorFlow."""
    return _bucket(hashes.fingerprint, "StringToHashBucketFast", input, num_buckets, name)


def fingerprint(data: Any, method: Any = "farmhash64", name: str | None = None) -> Tensor:
    """The fingerprint of each row's bytes, uint8 [n, 8], with the same values as TensorFlow.

    data: [n, ...].   method: "farmhash64".
    Raises ValueError for a scalar, or another method.
    """
    x = convert_to_tensor(data)
    if x.raw_shape == ():
        raise ValueError("Shape must be at least rank 1 but is rank 0 for 'Fingerprint'.")
    if method not in ("farmhash64", b"farmhash64"):
        raise ValueError(f"Unsupported method: {method!r}. Only 'farmhash64' is.")
    rows = None if x.raw_shape is None else x.raw_shape[0]
    return apply(_fingerprints, [x], type="Fingerprint", name=name, dtype=dtypes.uint8, shape=(rows, 8))


def _fingerprints(data: Any) -> Any:
    """The kernel of `fingerprint`. Of rows of several texts, the fingerprints of these are taken in turn."""
    made = np.empty((len(data), 8), np.uint8)
    for number, row in enumerate(data):
        text = isinstance(row, bytes) or row.dtype.hasobject
        whole = _one_text(row) if text else np.ascontiguousarray(row).tobytes()
        made[number] = np.frombuffer(hashes.fingerprint(whole).to_bytes(8, "little"), np.uint8)
    return made


def _one_text(row: Any) -> bytes:
    items: list[bytes] = [row] if isinstance(row, bytes) else np.ravel(row).tolist()
    if len(items) == 1:
        return items[0]
    return b"".join([hashes.fingerprint(item).to_bytes(8, "little") for item in items])


def string_to_hash_bucket_strong(input: Any, num_buckets: int, key: Sequence[int], name: str | None = None) -> Tensor:
    """Hash each string to a number below `num_buckets`, int64: SipHash with a key of two integers.

    Raises ValueError unless the key has two numbers.
    """
    if len(key) != 2:
        raise ValueError(f"Key must have 2 elements: {list(key)}")
    numbers = tuple([int(k) % (1 << 64) for k in key])
    return _bucket(hashes.siphash, "StringToHashBucketStrong", input, num_buckets, name, key=(numbers,))


def _bucket(function: Callable, kind: str, value: Any, count: Any, name: str | None, **attrs: Any) -> Tensor:
    if count is None or int(count) < 1:
        raise ValueError(f"Value for attr 'num_buckets' of {count} must be at least minimum 1")
    attrs |= {"count": int(count), "function": function}
    return _each(kernels.buckets, kind, value, name, attrs, dtypes.int64)


# Joining and splitting


def string_join(inputs: Sequence[Any], separator: str = "", name: str | None = None) -> Tensor:
    """Concatenate strings element by element; scalars are combined with every element of the others.

    Raises ValueError if known shapes do not match.
    """
    tensors = [_strings(value) for value in inputs]
    if not tensors:
        raise ValueError("string_join needs at least one tensor.")
    shape: shapes.RawShape = ()
    for tensor in tensors:
        if tensor.raw_shape is None or shape is None:
            shape = None
        elif tensor.raw_shape:
            shape = shapes.merge(shape, tensor.raw_shape) if shape else tensor.raw_shape
    attrs = {"separator": _bytes(separator)}
    return apply(kernels.join, tensors, attrs, type="StringJoin", name=name, dtype=dtypes.string, shape=shape)


join = string_join


def _bytes(text: Any) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def reduce_join(
    inputs: Any,
    axis: Any = None,
    keep_dims: bool | None = None,
    separator: str = "",
    name: str | None = None,
    reduction_indices: Any = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Join strings along some axes: along the first given axis, then along the next. None for all.

    Raises ValueError if a known rank has no such axis.
    """
    x = _strings(inputs, "inputs")
    axis = renamed("axis", axis, "reduction_indices", reduction_indices)
    keep = bool(renamed("keepdims", keepdims, "keep_dims", keep_dims))
    numbers = None if axis is None else whole_numbers(axis)
    given = [x] if axis is None or numbers is not None else [x, convert_to_tensor(axis, dtypes.int32)]
    axes = numbers if numbers is None or isinstance(numbers, tuple) else (numbers,)
    raw = _reduced(x.raw_shape, axes, keep) if len(given) == 1 else None
    attrs = {"axis": axes, "separator": _bytes(separator), "keepdims": keep}
    return apply(kernels.reduce_join, given, attrs, type="ReduceJoin", name=name, dtype=dtypes.string, shape=raw)


def unsorted_segment_join(
    inputs: Any, segment_ids: Any, num_segments: Any, separator: str = "", name: str | None = None
) -> Tensor:
    """Join the strings that have the same number: segment_ids' shape + rest -> [num_segments] + rest.

    segment_ids: a number for each string or row; negative ones are left out.   separator: text between strings.
    Raises ValueError if the shapes do not fit. At run time, raises InvalidArgumentError for a number too large.

        tf.strings.unsorted_segment_join(["a", "b", "c"], [0, 1, 0], 2, ":")  # [b"a:c", b"b"]
    """
    x, ids = _strings(inputs, "inputs"), convert_to_tensor(segment_ids, name="segment_ids")
    count = convert_to_tensor(num_segments, name="num_segments")
    rows = whole_numbers(num_segments)
    shape: shapes.RawShape = None
    if x.raw_shape is not None and ids.raw_shape is not None:
        rank = len(ids.raw_shape)
        if not shapes.compatible(x.raw_shape[:rank], ids.raw_shape):
            both = f"{shapes.text(ids.raw_shape)} and {shapes.text(x.raw_shape)}"
            raise ValueError(f"Shapes of segment_ids and inputs do not fit: {both}")
        shape = (rows if isinstance(rows, int) else None, *x.raw_shape[rank:])
    attrs = {"separator": _bytes(separator)}
    return apply(
        kernels.segment_join, [x, ids, count], attrs,
        type="UnsortedSegmentJoin", name=name, dtype=dtypes.string, shape=shape,
    )  # fmt: skip


def _reduced(shape: shapes.RawShape, axes: Any, keep: bool) -> shapes.RawShape:
    if shape is None:
        return () if axes is None and not keep else None
    rank = len(shape)
    for a in axes or ():
        if not -rank <= a < rank:
            raise ValueError(f"Invalid reduction dimension {a} for input with {rank} dimension(s)")
    reduced = set(range(rank)) if axes is None else {a % rank for a in axes}
    return tuple([1 if i in reduced else d for i, d in enumerate(shape) if keep or i not in reduced])


def _vector(value: Any, parameter: str) -> Tensor:
    x = _strings(value, parameter)
    if x.raw_shape is not None and len(x.raw_shape) != 1:
        raise ValueError(f"Shape must be rank 1 but is rank {len(x.raw_shape)}: {x!r}")
    return x


def _sparse(
    kernel: Callable, kind: str, inputs: list, name: str | None, result_type: str, **attrs: Any
) -> SparseTensor:
    if result_type != "SparseTensor":
        raise ValueError(f"result_type must be 'SparseTensor', not {result_type!r}: there are no ragged tensors here.")
    outputs: list = [(dtypes.int64, (None, 2)), (dtypes.string, (None,)), (dtypes.int64, (2,))]
    return SparseTensor(*apply(kernel, inputs, attrs, type=kind, name=name, outputs=outputs))


def string_split(
    source: Any,
    sep: Any = None,
    skip_empty: bool = True,
    delimiter: Any = None,
    result_type: str = "SparseTensor",
    name: str | None = None,
) -> SparseTensor:
    """Split each of n strings; returns a SparseTensor [n, largest number of parts].

    sep: each of its characters is a separator, by default a space; "" splits into bytes.
    skip_empty: leave out empty parts.
    source: a string vector [n].
    """
    sep = renamed("sep", sep, "delimiter", delimiter)
    inputs = [_vector(source, "source"), _strings(" " if sep is None else sep, "delimiter", True)]
    kernel = kernels.split_by_characters
    return _sparse(kernel, "StringSplit", inputs, name, result_type, skip_empty=bool(skip_empty))


def split(
    input: Any = None,
    sep: Any = None,
    maxsplit: int = -1,
    result_type: str = "SparseTensor",
    source: Any = None,
    name: str | None = None,
) -> SparseTensor:
    """Split each of n strings, like Python's `bytes.split`; returns a SparseTensor [n, largest number of parts].

    sep: the separator; by default, and for "", any whitespace.   maxsplit: the largest number of splits.
    source: an older name of input.
    """
    source = renamed("input", input, "source", source)
    x = _strings(source)
    x = _vector(reshape(x, [1]) if x.raw_shape == () else x, "input")
    inputs = [x, _strings("" if sep is None else sep, "sep")]
    return _sparse(kernels.split_by_word, "StringSplitV2", inputs, name, result_type, maxsplit=int(maxsplit))


# Substrings, lengths, case


def substr(input: Any, pos: Any, len: Any, name: str | None = None, unit: str = "BYTE") -> Tensor:
    """`len` bytes, or characters, of each string, starting at `pos`; a negative `pos` counts from the end.

    pos, len: one number for all strings, or one for each.   unit: BYTE or UTF8_CHAR.
    At run time, raises InvalidArgumentError for a position outside a string.
    """
    x = _strings(input)
    start, count = of_dtype(pos, "pos", ("int32", "int64")), of_dtype(len, "len", ("int32", "int64"))
    if not shapes.compatible(start.raw_shape, count.raw_shape):
        raise ValueError(f"pos and len must have the same shape: {start!r}, {count!r}")
    raw = shapes.broadcast(x.raw_shape, start.raw_shape)
    attrs = {"by_character": _by_character(unit)}
    inputs = [x, start, count]
    return apply(kernels.substring, inputs, attrs, type="Substr", name=name, dtype=dtypes.string, shape=raw)


def string_length(input: Any, name: str | None = None, unit: str = "BYTE") -> Tensor:
    """The length of each string, int32. unit: BYTE or UTF8_CHAR."""
    return _each(kernels.length, "StringLength", input, name, {"by_character": _by_character(unit)}, dtypes.int32)


def string_strip(input: Any, name: str | None = None) -> Tensor:
    """Each string without leading and trailing whitespace."""
    return _each(kernels.stripped, "StringStrip", input, name)


def lower(input: Any, encoding: str = "", name: str | None = None) -> Tensor:
    """Each string in lowercase: ASCII letters only, or all letters with encoding "utf-8"."""
    return _each(kernels.lower, "StringLower", input, name, {"unicode": _is_unicode(encoding)})


def upper(input: Any, encoding: str = "", name: str | None = None) -> Tensor:
    """Each string in uppercase: ASCII letters only, or all letters with encoding "utf-8"."""
    return _each(kernels.upper, "StringUpper", input, name, {"unicode": _is_unicode(encoding)})


def _is_unicode(encoding: str) -> bool:
    if encoding not in ("", "utf-8"):
        raise ValueError(f"Only utf-8 encoding, or none, is supported, but got {encoding!r}.")
    return encoding == "utf-8"


_ENCODINGS = {"UTF-8": "utf-8", "UTF-16-BE": "utf-16-be", "UTF-32-BE": "utf-32-be"}


def unicode_transcode(
    input: Any,
    input_encoding: str,
    output_encoding: str,
    errors: str = "replace",
    replacement_char: int = 65533,
    replace_control_characters: bool = False,
    name: str | None = None,
) -> Tensor:
    """Convert strings from one encoding to another.

    output_encoding: UTF-8, UTF-16-BE or UTF-32-BE.   errors: strict, replace or ignore, for invalid input.
    input_encoding: a name that Python knows.
    replacement_char: the code point that stands for what is replaced.
    replace_control_characters: replace these too.
    Raises ValueError for another output_encoding or errors.
    """
    if output_encoding not in _ENCODINGS or errors not in ("strict", "replace", "ignore"):
        raise ValueError(f"Unknown output_encoding {output_encoding!r}, or errors {errors!r}.")
    attrs: dict[str, Any] = {"source": _ENCODINGS.get(input_encoding.upper(), input_encoding), "errors": errors}
    attrs |= {"target": _ENCODINGS[output_encoding], "replacement": chr(replacement_char)}
    attrs |= {"control": bool(replace_control_characters)}
    return _each(kernels.transcoded, "UnicodeTranscode", input, name, attrs)


# Regular expressions


def regex_replace(
    input: Any, pattern: Any, rewrite: Any, replace_global: bool = True, name: str | None = None
) -> Tensor:
    """Replace the matches of a pattern in each string.

    rewrite: the replacement; a backslash and a number in it stand for a group, 0 for the whole match.
    The pattern is one for Python's `re`, which covers the common parts of RE2. At run time, raises
    InvalidArgumentError for an invalid pattern.
    replace_global: replace every match, not only the first one.
    """
    x = _strings(input)
    inputs = [x, _strings(pattern, "pattern", True), _strings(rewrite, "rewrite", True)]
    attrs, kind = {"everywhere": bool(replace_global)}, "RegexReplace"
    return apply(kernels.regex_replace, inputs, attrs, type=kind, name=name, dtype=dtypes.string, shape=x.raw_shape)


def regex_full_match(input: Any, pattern: Any, name: str | None = None) -> Tensor:
    """Whether a pattern matches the whole string, for each string; bool."""
    x = _strings(input)
    inputs, kind = [x, _strings(pattern, "pattern", True)], "RegexFullMatch"
    return apply(kernels.regex_full_match, inputs, type=kind, name=name, dtype=dtypes.bool, shape=x.raw_shape)


# Base64


def encode_base64(input: Any, pad: bool = False, name: str | None = None) -> Tensor:
    """Encode strings in web-safe base64. pad: end with `=` signs."""
    return _each(kernels.encode_base64, "EncodeBase64", input, name, {"pad": bool(pad)})


def decode_base64(input: Any, name: str | None = None) -> Tensor:
    """Decode strings in web-safe base64. At run time, raises InvalidArgumentError for invalid ones."""
    return _each(kernels.decode_base64, "DecodeBase64", input, name)
