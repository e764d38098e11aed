"""Sending code to other processes: a program, together with what its functions refer to.

block     large data in code, such as an array that a function refers to; it is sent beside the code, once per process
key       identifies a block: its address in the sending process, and checksums, because the data may change

A function of an importable module is sent by name. Any other function is sent by value, with the globals and closure
variables that it refers to: functions of the script, nested functions, functions decorated with `op`. Functions that
share an array in the program also share one in the receiving process.
"""

from __future__ import annotations

import dis
import hashlib
import io
import os
import pickle
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from types import CodeType, FunctionType
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from weftwork.actors.processes import pickling
from weftwork.actors.programs.sizes import size_of

LARGE = 1 << 20
"""Minimum size of a block, in bytes."""
_WARN_BYTES = 2 << 20
"""Size of a variable, in bytes, from which a warning is given."""


class BlockMissing(Exception):
    """Code arrived without a block that this process does not have."""


class Block(bytearray):
    """The data of a block in the process that uses it. Arrays are views of it and keep it alive."""


_blocks: WeakValueDictionary[str, Block] = WeakValueDictionary()


def pack_code(program: Any) -> tuple[bytes, list[tuple[str, memoryview]]]:
    """Pickle a program. Returns the message, and its blocks as (key, data).

    Warns once of each large variable that is sent with a function.
    """
    blocks: list[tuple[str, memoryview]] = []

    def in_band(buffer: pickle.PickleBuffer) -> bool:
        data = buffer.raw()
        if data.nbytes >= LARGE:
            blocks.append((_key(data), data))
        return data.nbytes < LARGE

    code = pickling.dumps(program, in_band, is_code=True)
    if blocks:
        _warn_of_large_variables(program)
    return code, blocks


def name_of(code: bytes, keys: Iterable[str]) -> str:
    """The name of a packed program in requests: equal programs with equal blocks share it."""
    whole = hashlib.sha1(code, usedforsecurity=False)
    whole.update(" ".join(keys).encode())
    return whole.hexdigest()


def unpack_code(code: bytes, keys: Sequence[str], came: Sequence[Any]) -> Any:
    """Unpickle a program. came: the data of each block, or None if this process should have it. Raises BlockMissing."""
    buffers = []
    for key, data in zip(keys, came, strict=True):
        block = _blocks.get(key)
        if block is None:
            if data is None:
                raise BlockMissing(key)
            block = _blocks[key] = Block(data)
        buffers.append(block)
    return pickling.loads(code, buffers=buffers)


def _key(data: memoryview) -> str:
    address = np.frombuffer(data, np.uint8).ctypes.data
    return f"{os.getpid():x}-{address:x}-{data.nbytes:x}-{zlib.crc32(data):x}-{zlib.adler32(data):x}"


# Warnings about large variables

_warned: set[tuple[str, int, str]] = set()
"""Variables already warned about, as (file, line of the function, name)."""


def _warn_of_large_variables(program: Any) -> None:
    """Warn of large variables that are sent because functions refer to them."""
    lister = _Lister()
    lister.dump(program)
    for function in lister.functions:
        code = function.__code__
        for kind, name, size in _large_variables(function):
            about = (code.co_filename, code.co_firstlineno, name)
            if about not in _warned:
                _warned.add(about)
                text = (
                    f"{function.__qualname__} ({about[0]}:{about[1]}) refers to the {kind} {name!r} of "
                    f"{size / 1e6:.3g} MB, which goes with it to each process that runs it. Pass it as an argument, "
                    "or let the function import it from a module."
                )
                warnings.warn_explicit(text, UserWarning, about[0], about[1], function.__module__)


class _Lister(pickling.Pickler):
    """Collects the functions that are pickled by value."""

    def __init__(self):
        super().__init__(io.BytesIO(), 5, lambda buffer: None)
        self.functions: list[FunctionType] = []

    def reducer_override(self, obj: Any) -> Any:
        reduced = super().reducer_override(obj)
        if isinstance(obj, FunctionType) and reduced is not NotImplemented:
            self.functions.append(obj)
        return reduced


def _large_variables(function: FunctionType) -> Iterator[tuple[str, str, int]]:
    """Yield (kind, name, bytes) of a function's large variables, except those that arrived here in a block."""
    names = function.__globals__
    found = [("global", name, names[name]) for name in _globals(function.__code__) if name in names]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found.append(("variable", name, cell.cell_contents))
        except ValueError:  # the cell is empty
            continue
    for kind, name, value in found:
        if (size := size_of(value)) >= _WARN_BYTES and not _is_in_block(value):
            yield kind, name, size


def _globals(code: CodeType) -> dict[str, None]:
    """The names of the globals that a function uses, including its nested functions."""
    found = {i.argval: None for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found.update(_globals(inner))
    return found


def _is_in_block(value: Any) -> bool:
    """Whether an array lies in a block. The process that sent it has already warned."""
    while isinstance(value, np.ndarray):
        value = value.base
    return isinstance(getattr(value, "obj", None), Block)
