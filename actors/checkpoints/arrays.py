"""Named arrays in one file that other programs can read. The file's ending chooses safetensors or NumPy's npz.

safetensors   a uint64 header length, a JSON header (dtype, shape, offsets), then the arrays' bytes.
              https://github.com/huggingface/safetensors#format
npz           a zip of `.npy` files, without pickles

Reading never runs code from the file. Writing replaces the file in one step.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from weftwork.actors.checkpoints.files import file_errors, files_of, write_whole
from weftwork.graph.errors import DataLossError, InvalidArgumentError

_DTYPE_NAMES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "bool": "BOOL",
}
_DTYPES = {dtype_name: np.dtype(name) for name, dtype_name in _DTYPE_NAMES.items()}
_MAX_HEADER = 100 << 20


def write_arrays(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to a file `*.safetensors` or `*.npz`.

    Raises ValueError for any other file name, InvalidArgumentError for a dtype that the format lacks, and OpErrors for
    errors of the operating system.
    """
    encode = {"safetensors": _to_safetensors, "npz": _to_npz}[_format(path)]
    write_whole(path, encode(arrays), files_of(path))


def read_arrays(path: str) -> dict[str, np.ndarray]:
    """Read a `.safetensors` or `.npz` file. Raises ValueError for other names, DataLossError for a damaged file."""
    decode = {"safetensors": _from_safetensors, "npz": _from_npz}[_format(path)]
    files = files_of(path)
    with file_errors(path), files.open(path) as reader:
        data = reader.read()
    try:
        return decode(data)
    except (ValueError, TypeError, LookupError, AttributeError, zipfile.BadZipFile, EOFError) as error:
        raise DataLossError(None, None, f"{path} is damaged, or in another format: {error}") from error


def _format(path: str) -> str:
    ending = path.rpartition(".")[2]
    if ending not in ("safetensors", "npz"):
        raise ValueError(f"{path} must end in .safetensors or .npz")
    return ending


def _numbers(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "biufc":
        raise InvalidArgumentError(None, None, f"{name} is of dtype {array.dtype}: only numbers can be written")
    return array


def _to_npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    out = io.BytesIO()
    checked: dict[str, Any] = {name: _numbers(name, array) for name, array in arrays.items()}
    np.savez(out, allow_pickle=False, **checked)
    return out.getvalue()


def _from_npz(data: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(data), allow_pickle=False) as found:
        return {name: found[name] for name in found.files}


def _to_safetensors(arrays: Mapping[str, np.ndarray]) -> bytes:
    header, parts, at = {}, [], 0
    for name, array in arrays.items():
        dtype_name = _DTYPE_NAMES.get(_numbers(name, array).dtype.name)
        if dtype_name is None:
            raise InvalidArgumentError(None, None, f"{name} is of dtype {array.dtype}, which safetensors lacks")
        part = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        header[name] = {"dtype": dtype_name, "shape": list(array.shape), "data_offsets": [at, at + len(part)]}
        parts.append(part)
        at += len(part)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def _from_safetensors(data: bytes) -> dict[str, np.ndarray]:
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(_MAX_HEADER, len(data) - 8):
        raise ValueError("its header ends beyond the file")
    body, found = memoryview(data)[8 + size :], {}
    for name, about in json.loads(data[8 : 8 + size]).items():
        if name == "__metadata__":
            continue
        dtype, (start, end) = _DTYPES[about["dtype"]], about["data_offsets"]
        shape = tuple(int(dim) for dim in about["shape"])
        if not 0 <= start <= end <= len(body) or min(shape, default=0) < 0:
            raise ValueError(f"{name} ends beyond the file")
        if math.prod(shape) * dtype.itemsize != end - start:
            raise ValueError(f"{name} of shape {list(shape)} cannot have {end - start} bytes")
        array = np.frombuffer(body[start:end], dtype.newbyteorder("<")).astype(dtype)
        found[name] = array.reshape(shape)
    return found
