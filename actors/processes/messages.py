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

import builtins
import os
import pickle
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from weftwork.actors.processes import pickling
from weftwork.graph.errors import part_of, printed, set_part, shown, text_of
from weftwork.graph.python.frames import is_lazy
from weftwork.graph.python.ownership import copied, is_atom

_PART_BYTES = 1 << 16
"""Minimum size in bytes of data that is sent as a part of its own."""
_MAX_CHAIN = 1000
"""Maximum number of chained exceptions that are sent with an exception."""
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


def unpack_parts(parts: list) -> Any:
    """Unpack what `pack_parts` packed. Large arrays are views of the parts."""
    return pickling.loads(parts[0], buffers=parts[1:])


def check_pickles(value: Any) -> None:
    """Raise what pickling `value` would raise. Large arrays are not copied."""
    if not is_plain(value) and not (type(value) is np.ndarray and value.dtype.kind in "biufc"):
        pickling.dumps(value, lambda buffer: None)


def describe(error: BaseException) -> tuple[bytes, str]:
    """Convert an exception and its chain to (pickled exception, traceback text).

    If an exception does not pickle, the offending arguments and attributes are left out. If it still does not pickle, a
    RuntimeError with its type and text stands for it.
    """
    found = _raised_from(error)
    numbers = {id(each): number for number, (each, _, _) in enumerate(found)}
    rows: list[tuple] = [
        (
            _pack_error(each) if group is None else (numbers[id(group)], position),
            numbers.get(id(part_of(each, "__cause__"))),
            numbers.get(id(part_of(each, "__context__"))),
            part_of(each, "__suppress_context__"),
        )
        for each, group, position in found
    ]
    bare, *links = rows[0]
    if isinstance(bare, bytes) and len(rows) == 1 and links == [None, None, False]:
        return bare, printed(error)
    return pack(rows), printed(error)


def _raised_from(error: BaseException) -> list[tuple[BaseException, BaseException | None, int]]:
    """An exception and all exceptions that it was raised from, as (exception, the group that contains it, its position
    there)."""
    found: list[tuple[BaseException, BaseException | None, int]] = [(error, None, 0)]
    seen = {id(error)}
    for each, _, _ in found:
        members = getattr(each, "exceptions", ()) if isinstance(each, _GROUP) else ()
        parts: list = [(part, each, at) for at, part in enumerate(members)]
        before = [part_of(each, name) for name in ("__cause__", "__context__")]
        parts += [(earlier, None, 0) for earlier in before if earlier is not None]
        for part in parts:
            if id(part[0]) not in seen and len(found) < _MAX_CHAIN:
                seen.add(id(part[0]))
                found.append(part)
    return found


_GROUP: Any = getattr(builtins, "BaseExceptionGroup", ())
"""It exists from Python 3.11 on."""


def _pack_error(error: BaseException) -> bytes:
    bare = _try_pack_error(error)
    if bare is None:
        args = tuple([arg if _pickles(arg) else shown(arg) for arg in part_of(error, "args")])
        space = {**object.__getattribute__(error, "__dict__"), **pickling.slots_of(error)}
        state = {name: value for name, value in space.items() if _pickles(value)}
        bare = _try_pack_error(pickling.Bare(type(error), args, state))
    return bare or pack(RuntimeError(f"{type(error).__name__}: {text_of(error)}"))


def _try_pack_error(error: Any) -> bytes | None:
    """Pickle an exception. None if unpickling fails or yields another class, since its constructor may do anything."""
    wanted = error.kind if isinstance(error, pickling.Bare) else type(error)
    try:
        bare = pack(error)
        return bare if type(unpack(bare)) is wanted else None
    except BaseException:
        return None


def _pickles(value: Any) -> bool:
    try:
        unpack(pack(value))
    except BaseException:
        return False
    return True


def described(bare: bytes, text: str) -> BaseException:
    """The exception that `describe` packed, or a RuntimeError with its text if it cannot be rebuilt here."""
    first = _try_unpack(bare)
    rows = first if type(first) is list else [(bare, None, None, False)]
    made: list[BaseException | None] = []
    for packed, *_ in rows:
        one = _member(made[packed[0]], packed[1]) if type(packed) is tuple else _try_unpack(packed)
        made.append(one if isinstance(one, BaseException) else None)
    error = made[0] = made[0] or RuntimeError(text.strip().rpartition("\n")[2])
    for one, (_, cause, context, is_suppressed) in zip(made, rows, strict=True):
        if one is not None:
            set_part(one, "__cause__", None if cause is None else made[cause])
            set_part(one, "__context__", None if context is None else made[context])
            set_part(one, "__suppress_context__", is_suppressed)
    return error


def _member(group: Any, position: int) -> Any:
    members = getattr(group, "exceptions", ())
    return members[position] if position < len(members) else None


def _try_unpack(bare: bytes) -> Any:
    try:
        return unpack(bare)
    except BaseException:
        return None
