"""Messages between a session and the processes that work for it.

message   a single `bytes`, because Ray hands bytes over without pickling them again. Plain values are pickled directly,
          all others through `pickling`, which also handles functions and classes of the user's script.
parcel    a large value in Ray's object store: a plain array as it is, anything else pickled here
parts     a message in several pieces: the `bytes`, then the data of large arrays, which are not copied
request   "run this program": its id, its code (None if the receiver has it), small inputs, which outputs to send back
reply     ("done", small outputs, sizes of the large ones, measurements) or ("failed", step, exception, traceback text),
          followed by the large outputs, each a return value of its own
ran       where and when a process ran a request, as a plain tuple that goes with the reply
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from weftwork.actors.processes import exceptions, pickling
from weftwork.graph.python.frames import is_lazy
from weftwork.graph.python.ownership import copied, is_atom

_PART_BYTES = 1 << 16
"""Minimum size in bytes of data that is sent as a part of its own."""
_MAX_DEPTH, _MAX_PARTS = 4, 1000
"""Maximum depth of nested containers that may count as plain, and of parts of one."""
_PLAIN = frozenset({int, float, bool, str, bytes, type(None), complex})
_UP = perf_counter()
"""When this process could take its first message."""


class Ran(NamedTuple):
    """Where and when a process ran a request. Times are `perf_counter` readings of that process.

    machine: Ray's id of the machine, "" for the program's own.   pid, thread: numbers of the operating system.
    came: when the message arrived.   packing: seconds spent on pickling and unpickling values.
    start, seconds: of the nodes.   taken, made: bytes of the nodes' inputs and outputs.
    left: when the reply was about to be sent.   up: when the process could take its first message.
    loading: seconds spent on loading functions, and the modules that they import.
    """

    machine: str = ""
    pid: int = 0
    thread: int = 0
    came: float = 0.0
    packing: float = 0.0
    start: float = 0.0
    seconds: float = 0.0
    taken: int = 0
    made: int = 0
    left: float = 0.0
    up: float = 0.0
    loading: float = 0.0


class Watch:
    """Takes the times of `Ran` while a process handles a request."""

    machine = ""
    """Ray's id of this machine, once it is known."""

    def __init__(self, came: float | None = None):
        self.came = perf_counter() if came is None else came
        self.packing = self.loading = self.start = self.seconds = 0.0
        self.taken = self.made = 0

    def unpacked(self) -> None:
        """Note that the inputs are unpacked, and functions loaded."""
        self.packing += perf_counter() - self.came - self.loading

    def loaded(self, since: float) -> None:
        """Note that functions, their modules, or the program's surroundings were loaded from `since` until now."""
        self.loading += perf_counter() - since

    def ran(self, taken: int = 0, made: int = 0) -> None:
        """Note that the nodes, which began at `start`, have finished."""
        self.seconds, self.taken, self.made = perf_counter() - self.start, taken, made

    def leaves(self) -> tuple:
        """The fields of `Ran` as a plain tuple; the reply is sent now."""
        return (
            self.machine,
            os.getpid(),
            threading.get_native_id(),
            self.came,
            self.packing,
            self.start,
            self.seconds,
            self.taken,
            self.made,
            perf_counter(),
            _UP,
            self.loading,
        )


@dataclass
class Request:
    """A segment to run.

    program: its id.   code: the pickled program, or None if the receiver has it.
    small: the packed list of inputs, with None for inputs that come in another way.
    arrived: input positions of the arguments beside the request, in order.
    held: inputs that the actor holds, as (position, variable, version).
    keeps: outputs that are new versions, as (position, variable, version).
    forget: versions of variables that no run needs any more.
    separate: positions of outputs that are return values of their own.
    stays: positions of outputs that are not sent back.
    deadline: seconds that the program may take, or None.   measure: send the cost of each step back.
    token: the name under which a long segment reports where it runs.
    code_beside: the code is large, and is the last argument beside the request.
    blocks: the keys of the code's blocks.   came: the data of each block, None if the receiver has it.
    beside: for each block, whether its data is an argument beside the request.
    around: the name of the surroundings, and their pickled form (None if the receiver has it).
    mapped: for the receiver, frames that it reads in the store; they are kept as long as the segment runs.
    """

    program: str
    code: bytes | None
    small: bytes = b""
    arrived: tuple[int, ...] = ()
    held: tuple[tuple[int, str, int], ...] = ()
    keeps: tuple[tuple[int, str, int], ...] = ()
    forget: tuple[tuple[str, int], ...] = ()
    separate: tuple[int, ...] = ()
    deadline: float | None = None
    measure: bool = False
    code_beside: bool = False
    stays: tuple[int, ...] = ()
    token: str = ""
    blocks: tuple[str, ...] = ()
    beside: tuple[bool, ...] = ()
    came: tuple[Any, ...] = ()
    around: tuple[str, bytes | None] = ("", None)
    mapped: list[Any] = field(default_factory=list)

    def take_blocks(self, data: Sequence[Any]) -> None:
        """Assign the data of blocks that arrived beside the request."""
        coming = iter(data)
        self.came = tuple([next(coming) if beside else None for beside in self.beside])


def is_plain(value: Any, depth: int = 0) -> bool:
    """True for values that pickle alike in every process: numbers, text, NumPy's numeric arrays and scalars."""
    kind = type(value)
    if kind in _PLAIN:
        return True
    if kind is np.ndarray or isinstance(value, np.generic):
        return value.dtype.kind in "biufcSU"
    if kind not in (list, tuple) or len(value) >= _MAX_PARTS or depth >= _MAX_DEPTH:
        return False
    for item in value:
        if type(item) not in _PLAIN and not is_plain(item, depth + 1):
            return False
    return True


def pack(value: Any) -> bytes:
    """Pack one value as a message."""
    return pickling.dumps(value)


def pack_values(values: list) -> bytes:
    """Pack a list of values as a message. Plain values take a faster way."""
    return _dumps_for(values)(values)


def pack_parts(values: list) -> list[Any]:
    """Pack a list of values as the parts of a message."""
    separate: list[memoryview] = []

    def in_band(buffer: pickle.PickleBuffer) -> bool:
        data = buffer.raw()
        if data.nbytes >= _PART_BYTES:
            separate.append(data)
        return data.nbytes < _PART_BYTES

    return [_dumps_for(values)(values, buffer_callback=in_band), *separate]


_plain_dumps = partial(pickle.dumps, protocol=5)


def _dumps_for(values: list) -> Callable:
    return _plain_dumps if all([is_plain(value) for value in values]) else pickling.dumps


IMMUTABLE, LAZY = "immutable", "lazy"
"""Kinds of values that may be read in place in Ray's store: immutable ones, and frames that copy on write."""


@dataclass
class Parcel:
    """A value that Ray would pickle in its own way. Holds the parts of our message as byte arrays.

    shares: IMMUTABLE or LAZY if the value can be read in the store without a copy, else "".
    """

    parts: list[Any]
    shares: str = ""


def _shares(value: Any) -> str:
    if is_lazy(type(value)):
        return LAZY
    return IMMUTABLE if _is_immutable(value) else ""


def _is_immutable(value: Any, depth: int = 0) -> bool:
    """True for immutable values, and for containers of these: the containers are rebuilt."""
    kind = type(value)
    if kind not in (list, tuple, dict):
        return is_atom(value)
    parts = value.values() if kind is dict else value
    return len(value) < _MAX_PARTS and depth < _MAX_DEPTH and all([_is_immutable(part, depth + 1) for part in parts])


def wrap(value: Any) -> Any:
    """Convert a value for Ray's object store. Raises what pickling raises."""
    if type(value) is np.ndarray and value.dtype.kind in "biufc":
        return value
    return Parcel([np.frombuffer(part, np.uint8) for part in pack_parts([value])], _shares(value))


def unwrap(stored: Any, lazily: bool = False) -> Any:
    """The value that was wrapped.

    A plain array, or an immutable value, is a read-only view of the store; data inside other values is writable,
    because it is copied. lazily: the data of a frame that copies on write is not copied. Then only lazy copies of the
    frame are writable, and values made from them, as long as the frame itself exists.
    """
    if type(stored) is not Parcel:
        return stored
    head, *separate = map(memoryview, stored.parts)
    if not stored.shares:
        separate = [bytearray(data) for data in separate]
    value = pickling.loads(head, buffers=separate)[0]
    return copied(value, lazily=False) if stored.shares == LAZY and not lazily else value


unpack = pickling.loads
describe, described = partial(exceptions.describe, dumps=pickling.dumps), exceptions.described


def unpack_parts(parts: list) -> Any:
    """Unpack what `pack_parts` packed. Large arrays are views of the parts."""
    return pickling.loads(parts[0], buffers=parts[1:])


def check_pickles(value: Any) -> None:
    """Raise what pickling `value` would raise. Large arrays are not copied."""
    if not is_plain(value) and not (type(value) is np.ndarray and value.dtype.kind in "biufc"):
        pickling.dumps(value, lambda buffer: None)
