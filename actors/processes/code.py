"""Code on its way to other processes: a program, and what the functions in it hold.

block     large data in code, an array that a function refers to, say: it goes beside the code, and to each process once
key       what a block is known by: where it lies in the process that sends it, and checksums, since it may change

A function of a module that other processes can import goes by its name. Any other goes by value, with the globals and
the variables around it that it refers to: of the program's script, inside another function, or decorated with `op`. In
a process, all functions that refer to an array share one, as where they come from.
"""

from __future__ import annotations

import dis
import io
import os
import pickle
import warnings
import zlib
from collections.abc import Iterator, Sequence
from types import CodeType, FunctionType
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from weftwork.actors.processes import pickling
from weftwork.actors.programs.sizes import size_of

LARGE = 1 << 20
"""Bytes of data from which it is a block."""
_TOLD = 2 << 20
"""Bytes of a variable from which there is a warning."""


class BlockMissing(Exception):
    """The process has not got a block of code that came without it."""


class Block(bytearray):
    """The data of a block in the process that uses it: arrays lie in it, and keep it alive."""


_blocks: WeakValueDictionary[str, Block] = WeakValueDictionary()


def pack_code(program: Any) -> tuple[bytes, list[tuple[str, memoryview]]]:
    """A program as a message, and the blocks that belong to it, by their keys.

    Warns, once, of each large variable that goes with a function.
    """
    blocks: list[tuple[str, memoryview]] = []

    def stays_inside(buffer: pickle.PickleBuffer) -> bool:
        data = buffer.raw()
        if data.nbytes >= LARGE:
            blocks.append((_key(data), data))
        return data.nbytes < LARGE

    code = pickling.dumps(program, stays_inside, is_code=True)
    if blocks:
        _warn_of(program)
    return code, blocks


def unpack_code(code: bytes, keys: Sequence[str], came: Sequence[Any]) -> Any:
    """What `pack_code` was given.  came: the data of each block, None where it should be here. Raises BlockMissing."""
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


# What goes with functions

_told: set[tuple[str, int, str]] = set()
"""Of which variables there was a warning: the file and line of the function, and the name."""


def _warn_of(program: Any) -> None:
    """Warn of large variables to which functions refer that go by value: where, which, how large."""
    lister = _Lister()
    lister.dump(program)
    for function in lister.functions:
        code = function.__code__
        for kind, name, size in _large_variables(function):
            about = (code.co_filename, code.co_firstlineno, name)
            if about not in _told:
                _told.add(about)
                text = (
                    f"{function.__qualname__} ({about[0]}:{about[1]}) refers to the {kind} {name!r} of "
                    f"{size / 1e6:.3g} MB, which goes with it to each process that runs it. Pass it as an argument, "
                    "or let the function import it from a module."
                )
                warnings.warn_explicit(text, UserWarning, about[0], about[1], function.__module__)


class _Lister(pickling.Pickler):
    """Finds the functions that go by value."""

    def __init__(self):
        super().__init__(io.BytesIO(), 5, lambda buffer: None)
        self.functions: list[FunctionType] = []

    def reducer_override(self, obj: Any) -> Any:
        reduced = super().reducer_override(obj)
        if isinstance(obj, FunctionType) and reduced is not NotImplemented:
            self.functions.append(obj)
        return reduced


def _large_variables(function: FunctionType) -> Iterator[tuple[str, str, int]]:
    """(kind, name, bytes) of the large variables that a function refers to, but for what has come here itself."""
    names = function.__globals__
    found = [("global", name, names[name]) for name in _globals(function.__code__) if name in names]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found.append(("variable", name, cell.cell_contents))
        except ValueError:  # it has no value yet
            continue
    for kind, name, value in found:
        if (size := size_of(value)) >= _TOLD and not _has_come(value):
            yield kind, name, size


def _globals(code: CodeType) -> dict[str, None]:
    """The names of the globals that a function refers to, also in functions inside it."""
    found = {i.argval: None for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found.update(_globals(inner))
    return found


def _has_come(value: Any) -> bool:
    """True for an array that lies in a block: where it came from there was a warning."""
    while isinstance(value, np.ndarray):
        value = value.base
    return isinstance(getattr(value, "obj", None), Block)
