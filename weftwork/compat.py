"""tf.compat: conversions between bytes and text, and `tf.compat.v1`, which is this library itself."""

import numbers
import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

real_types = (numbers.Real, np.integer, np.floating)
integral_types = (numbers.Integral, np.integer)
complex_types = (numbers.Complex, np.number)
bytes_or_text_types = (bytes, str)


def as_bytes(bytes_or_text: Any, encoding: str = "utf-8") -> bytes:
    """Encode text; bytes are returned unchanged. Raises TypeError for anything else."""
    if isinstance(bytes_or_text, (bytes, bytearray)):
        return bytes(bytes_or_text)
    if isinstance(bytes_or_text, str):
        return bytes_or_text.encode(encoding)
    raise TypeError(f"Expected binary or unicode string, got {bytes_or_text!r}")


def as_text(bytes_or_text: Any, encoding: str = "utf-8") -> str:
    """Decode bytes; text is returned unchanged. Raises TypeError for anything else."""
    if isinstance(bytes_or_text, str):
        return bytes_or_text
    if isinstance(bytes_or_text, bytes):
        return bytes_or_text.decode(encoding)
    raise TypeError(f"Expected binary or unicode string, got {bytes_or_text!r}")


as_str = as_text


def as_str_any(value: Any) -> str:
    """Decode bytes; anything else is converted with `str`."""
    return as_str(value) if isinstance(value, bytes) else str(value)


def path_to_str(path: Any) -> Any:
    """Convert a path to text; anything else is returned unchanged."""
    return as_str_any(os.fspath(path)) if hasattr(path, "__fspath__") else path


def dimension_value(dimension: Any) -> int | None:
    """The value of a Dimension."""
    return getattr(dimension, "value", dimension)


def dimension_at_index(shape: Any, index: int) -> Any:
    """The Dimension at an index of a TensorShape, which may be of unknown rank."""
    return shape[index]


def forward_compatible(year: int, month: int, day: int) -> bool:
    """True, because there is no older version to be compatible with.

    year, month, day: integers, which are ignored.
    """
    return True


@contextmanager
def forward_compatibility_horizon(year: int, month: int, day: int) -> Generator[None, None, None]:
    """A context manager that changes nothing, see `forward_compatible`.

    year, month, day: integers, which are ignored.
    """
    yield


def __getattr__(name: str) -> Any:
    """`v1`: this library."""
    if name == "v1":
        return sys.modules["weftwork"]
    raise AttributeError(f"tf.compat.{name} is not included.")


__all__: Sequence[str] = [
    "as_bytes",
    "as_str",
    "as_str_any",
    "as_text",
    "bytes_or_text_types",
    "complex_types",
    "dimension_at_index",
    "dimension_value",
    "forward_compatibility_horizon",
    "forward_compatible",
    "integral_types",
    "path_to_str",
    "real_types",
]
