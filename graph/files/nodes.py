"""Nodes that read and write files, and that decode their contents.

The files are those of the program that runs the session, so nodes that access them run only there.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply, convert_to_tensor, graph_of
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.errors import DataLossError, InvalidArgumentError
from weftwork.graph.files import csv, system
from weftwork.graph.files.messages import message
from weftwork.graph.kernels.text import each
from weftwork.graph.known import renamed
from weftwork.graph.operation import Kind, Operation, Tensor, Traits

_HERE = Traits(here=True)


def read_whole(name: bytes) -> bytes:
    """The kernel of ReadFile."""
    return system.read_whole(name)


def write_whole(name: bytes, contents: bytes) -> tuple:
    """The kernel of WriteFile. Creates missing directories."""
    folder = system.as_path(name).rpartition("/")[0]
    if folder:
        system.make_directories(folder)
    with system.GFile(name, "wb") as file:
        file.write(contents)
    return ()


def matching(patterns: Any) -> np.ndarray:
    """The kernel of MatchingFiles."""
    found = [path.encode() for pattern in np.ravel(np.asarray(patterns, object)) for path in system.glob(pattern)]
    return np.array(sorted(found), object)


def _node(kernel: Any, kind: str, inputs: Sequence[Tensor], outputs: list, name: str | None) -> Operation:
    graph = graph_of(inputs)
    return graph.add(Kind.FUNCTION, kind, kernel=kernel, inputs=tuple(inputs), outputs=outputs, name=name, traits=_HERE)


def _string(value: Any, parameter: str) -> Tensor:
    return convert_to_tensor(value, dtypes.string, name=parameter)


def _scalar(value: Any, parameter: str) -> Tensor:
    tensor = _string(value, parameter)
    if tensor.raw_shape not in (None, ()):
        raise ValueError(f"Shape must be rank 0 but is rank {len(tensor.raw_shape)}: {parameter} {tensor!r}")  # type: ignore[arg-type]
    return tensor


def read_file(filename: Any, name: str | None = None) -> Tensor:
    """The contents of a file, as a string. At run time, raises NotFoundError etc."""
    return _node(read_whole, "ReadFile", [_scalar(filename, "filename")], [(dtypes.string, ())], name).outputs[0]


def write_file(filename: Any, contents: Any, name: str | None = None) -> Operation:
    """The operation that writes a string to a file. It creates missing parent directories."""
    return _node(write_whole, "WriteFile", [_scalar(filename, "filename"), _scalar(contents, "contents")], [], name)


def matching_files(pattern: Any, name: str | None = None) -> Tensor:
    """The sorted paths that match a pattern, or one of several, at run time: see `tf.gfile.Glob`."""
    return _node(matching, "MatchingFiles", [_string(pattern, "pattern")], [(dtypes.string, (None,))], name).outputs[0]


# Decoding


_RAW = "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 complex64 complex128 bool".split()


def raw(strings: Any, *, dtype: np.dtype) -> Any:
    """The kernel of DecodeRaw."""
    flat = np.ravel(np.asarray(strings, object))
    sizes = [len(string) for string in flat] or [0]
    if sizes.count(sizes[0]) < len(sizes):
        other = next(i for i, size in enumerate(sizes) if size != sizes[0])
        text = f"element {other} has size {sizes[other]}, and the first {sizes[0]}"
        raise InvalidArgumentError(None, None, f"DecodeRaw requires input strings to all be the same size, but {text}")
    if sizes[0] % dtype.itemsize:
        text = f"Input to DecodeRaw has length {sizes[0]} that is not a multiple of {dtype.itemsize}"
        raise InvalidArgumentError(None, None, f"{text}, the size of {dtype.newbyteorder('=').name}")
    values = np.frombuffer(b"".join(flat), dtype).astype(dtype.newbyteorder("="))
    return values.reshape(*np.shape(strings), sizes[0] // dtype.itemsize)


def decode_raw(
    input_bytes: Any = None,
    out_type: Any = None,
    little_endian: bool = True,
    name: str | None = None,
    bytes: Any = None,
) -> Tensor:
    """Reinterpret the bytes of strings as numbers: [...] -> [..., bytes / size of a number].

    At run time, raises InvalidArgumentError if the lengths differ, or are not multiples of a number's size.
    input_bytes: a string tensor.   little_endian: the order of the bytes of a number.
    """
    strings = _string(renamed("input_bytes", input_bytes, "bytes", bytes), "bytes")
    dtype = as_dtype(out_type)
    if dtype.name not in _RAW:
        raise TypeError(f"Value passed to parameter 'out_type' has DataType {dtype.name} not in {', '.join(_RAW)}")
    known = None if strings.raw_shape is None else (*strings.raw_shape, None)
    attrs = {"dtype": dtype.numpy.newbyteorder("<" if little_endian else ">")}
    return apply(raw, [strings], attrs, type="DecodeRaw", name=name, dtype=dtype, shape=known)


def from_json(texts: Any) -> Any:
    """The kernel of DecodeJSONExample."""
    json_format = importlib.import_module("google.protobuf.json_format")

    def serialized(text: bytes) -> bytes:
        try:
            return json_format.Parse(text, message("Example")()).SerializeToString()
        except json_format.ParseError as error:
            raise InvalidArgumentError(None, None, f"Error while parsing JSON: {error}") from None

    return each(serialized, texts)


def decode_json_example(json_examples: Any, name: str | None = None) -> Tensor:
    """Examples in JSON, as protocol buffers write them, in the serialized form that `parse_example` takes.

    json_examples: a string tensor of any shape. At run time, raises InvalidArgumentError for text that is no Example.

        tf.io.decode_json_example('{"features": {"feature": {"x": {"floatList": {"value": [1.0]}}}}}')
    """
    texts = _string(json_examples, "json_examples")
    kind = "DecodeJSONExample"
    return apply(from_json, [texts], {}, type=kind, name=name, dtype=dtypes.string, shape=texts.raw_shape)


_COLUMNS = (dtypes.float32, dtypes.float64, dtypes.int32, dtypes.int64, dtypes.string)


def decode_csv(
    records: Any,
    record_defaults: Sequence[Any],
    field_delim: str = ",",
    use_quote_delim: bool = True,
    name: str | None = None,
    na_value: str = "",
    select_cols: Sequence[int] | None = None,
) -> list[Tensor]:
    """The columns of comma-separated records, each a tensor of the records' shape.

    record_defaults: for each column, the value of an empty field; it determines the column's dtype. An empty list with
    a dtype means that the field must not be empty.   na_value: is treated as empty, too.   select_cols: the numbers of
    the columns to return, in increasing order.
    field_delim: one character between fields.   use_quote_delim: whether double quotes enclose a field.
    Raises ValueError or TypeError for invalid defaults. At run time, raises InvalidArgumentError, naming the field and
    the record.
    """
    lines = _string(records, "records")
    defaults = [_column(i, default) for i, default in enumerate(record_defaults)]
    delim = field_delim.encode()
    if len(delim) != 1:
        raise ValueError(f"field_delim should be only 1 char, not {field_delim!r}.")
    columns = None if select_cols is None else tuple([int(c) for c in select_cols])
    if columns is not None:
        if len(columns) != len(defaults):
            raise ValueError(f"The length of select_cols ({len(columns)}) must be that of record_defaults.")
        if any(b <= a for a, b in zip((-1, *columns), columns, strict=False)):
            raise ValueError(f"select_cols must be column numbers from 0 on, in increasing order: {list(columns)}")
    attrs = {"dtypes": tuple([d.dtype.base_dtype.numpy for d in defaults]), "delim": delim, "quotes": use_quote_delim}
    attrs |= {"missing": na_value.encode(), "columns": columns}
    outputs: list = [(d.dtype.base_dtype, lines.raw_shape) for d in defaults]
    return apply(csv.decode_csv, [lines, *defaults], attrs, type="DecodeCSV", name=name, outputs=outputs)


def _column(number: int, default: Any) -> Tensor:
    tensor = convert_to_tensor(default, name=f"record_defaults_{number}")
    if tensor.dtype.base_dtype not in _COLUMNS:
        allowed = ", ".join([dtype.name for dtype in _COLUMNS])
        raise TypeError(f"Default {number} of record_defaults has DataType {tensor.dtype.name} not in {allowed}")
    shape: shapes.RawShape = tensor.raw_shape
    if shape is not None and (len(shape) > 1 or (shape and (shape[0] or 0) > 1)):
        raise ValueError(f"Each default must be a scalar, or a vector of one or none: {tensor!r}")
    return tensor


_WINDOWS = {"": None, "ZLIB": 15, "GZIP": 31}


def decompressed(strings: Any, *, window: int) -> Any:
    """The kernel of DecodeCompressed."""
    try:
        return each(lambda string: zlib.decompress(string, window), strings)
    except zlib.error as error:
        raise DataLossError(None, None, f"Could not decompress a string: {error}") from error


def decode_compressed(bytes: Any, compression_type: str = "", name: str | None = None) -> Tensor:
    """Decompress strings: "", "ZLIB" or "GZIP". Raises ValueError for any other compression.

    At run time, raises DataLossError for data that is not compressed this way.
    bytes: a string tensor.
    """
    strings = _string(bytes, "bytes")
    if compression_type not in _WINDOWS:
        raise ValueError(f"Only ZLIB, GZIP or NONE are supported compressions, not {compression_type!r}.")
    window = _WINDOWS[compression_type]
    if window is None:
        return strings
    kind = "DecodeCompressed"
    return apply(
        decompressed, [strings], {"window": window}, type=kind, name=name, dtype=dtypes.string, shape=strings.raw_shape
    )
