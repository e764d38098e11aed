"""What travels between a session and the processes that work for it.

message   one `bytes`: Ray hands bytes over without another pickle. Values of plain types go through pickle, the rest
          through `pickling`, which also takes the functions and classes of a user's script.
parcel    a large value as it lies in Ray's object store: a plain array is its own, anything else is pickled here
parts     a message that need not be one piece: the `bytes`, and the data of large arrays, which are not copied
request   run this program: its id, its code (None where the receiver has it), the small inputs, what to send back
reply     ("done", small outputs, bytes of the large ones, measurements) or ("failed", step, exception, traceback
          text), and after it the large outputs, each a return of its own
ran       where and when a process ran what it was sent, as a plain tuple: it goes with the reply
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from weftwork.actors.processes import pickling
from weftwork.graph.errors import printed, shown, text_of
from weftwork.graph.frames import is_lazy
from weftwork.graph.ownership import copied, is_atom

_APART = 1 << 16
"""Bytes of data from which it is a part of its own."""
_MOST_CAUSES = 16
"""Exceptions that go with one that was raised from them."""
_DEPTH, _MOST_LOOKED_AT = 4, 1000
"""Containers in each other that are looked into for plain values, and parts of one."""
_PLAIN = frozenset({int, float, bool, str, bytes, type(None), complex})


class Ran(NamedTuple):
    """Where and when a process ran what it was sent; times are ticks of its own clock, `perf_counter`.

    machine: Ray's id of it, "" for the program's own.   pid, thread: of the process, as the system numbers them.
    came: when the message was there.   packing: seconds in which values were unpickled and pickled.
    start, seconds: of the nodes.   taken, made: the bytes of the values that they took and made.
    left: when the reply was about to leave.
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


class Watch:
    """Looks at the clock while a process does what a message asks for."""

    machine = ""
    """Ray's id of the machine that the process is on, once it is known."""

    def __init__(self, came: float | None = None):
        self.came = perf_counter() if came is None else came
        self.packing = self.start = self.seconds = 0.0
        self.taken = self.made = 0

    def unpacked(self) -> None:
        """The values are there."""
        self.packing += perf_counter() - self.came

    def ran(self, taken: int = 0, made: int = 0) -> None:
        """The nodes have run, which began at `start`."""
        self.seconds, self.taken, self.made = perf_counter() - self.start, taken, made

    def leaves(self) -> tuple:
        """What goes with the reply, which leaves now: a plain tuple, as of `Ran`."""
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
        )


@dataclass
class Request:
    """A segment to run.

    program: the id.   code: the pickled program, or None.
    small: the packed list of inputs; those that come in another way are None in it.
    arrived: positions among the program's inputs of the arguments beside the request, in order.
    held: positions of inputs that the actor keeps: (position, variable, version).
    keeps: outputs that are new versions: (position, variable, version).
    forget: versions of variables that no run needs any more.
    apart: positions of outputs that are returns of their own.   stays: positions of outputs that do not come back.
    deadline: seconds that the program may take, or None.   measure: send each step's costs back.
    token: the name under which the segment says where it runs, should it take long.
    code_beside: the code is long, and is the last of the arguments beside the request.
    blocks: the keys of the blocks that belong to the code.   came: the data of each, None where the receiver has it; on
    the way it may go beside the request: then `beside` tells of each block whether it does.
    around: the name of the surroundings, and their pickled form (None where the receiver has it).
    mapped: frames that are read where they lie, for the receiver: they are there as long as the segment runs.
    """

    program: str
    code: bytes | None
    small: bytes = b""
    arrived: tuple[int, ...] = ()
    held: tuple[tuple[int, str, int], ...] = ()
    keeps: tuple[tuple[int, str, int], ...] = ()
    forget: tuple[tuple[str, int], ...] = ()
    apart: tuple[int, ...] = ()
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
        """Take in the data of the blocks that came beside the request."""
        coming = iter(data)
        self.came = tuple([next(coming) if beside else None for beside in self.beside])


def is_plain(value: Any, depth: int = 0) -> bool:
    """True for values that pickle the same in every process: numbers, text, NumPy's numeric arrays and scalars."""
    kind = type(value)
    if kind in _PLAIN:
        return True
    if kind is np.ndarray or isinstance(value, np.generic):
        return value.dtype.kind in "biufcSU"
    if kind in (list, tuple):
        return len(value) < _MOST_LOOKED_AT and depth < _DEPTH and all([is_plain(item, depth + 1) for item in value])
    return False


def pack(value: Any) -> bytes:
    """`value` as a message."""
    return pickling.dumps(value)


def pack_values(values: list) -> bytes:
    """A list of values as a message: the fast way where all are plain."""
    return _dumps_for(values)(values)


def pack_parts(values: list) -> list[Any]:
    """A list of values as the parts of a message."""
    apart: list[memoryview] = []

    def stays_inside(buffer: pickle.PickleBuffer) -> bool:
        data = buffer.raw()
        if data.nbytes >= _APART:
            apart.append(data)
        return data.nbytes < _APART

    return [_dumps_for(values)(values, buffer_callback=stays_inside), *apart]


_plain_dumps = partial(pickle.dumps, protocol=5)


def _dumps_for(values: list) -> Callable:
    return _plain_dumps if all([is_plain(value) for value in values]) else pickling.dumps


IMMUTABLE, LAZY = "immutable", "lazy"
"""What may be read where it lies in Ray's store: what nobody can change, and a frame that copies on write."""


@dataclass
class Parcel:
    """A value that Ray would pickle in its own way: the parts of its message, as arrays of bytes.

    shares: IMMUTABLE or LAZY for one that need not be copied out of the store, else "".
    """

    parts: list[Any]
    shares: str = ""


def _shares(value: Any) -> str:
    if is_lazy(type(value)):
        return LAZY
    return IMMUTABLE if _is_immutable(value) else ""


def _is_immutable(value: Any, depth: int = 0) -> bool:
    """True for what nobody can change, and for containers of that: these are made anew."""
    kind = type(value)
    if kind not in (list, tuple, dict):
        return is_atom(value)
    parts = value.values() if kind is dict else value
    return len(value) < _MOST_LOOKED_AT and depth < _DEPTH and all([_is_immutable(part, depth + 1) for part in parts])


def wrap(value: Any) -> Any:
    """A value as it goes into Ray's object store. Raises what pickling it raises."""
    if type(value) is np.ndarray and value.dtype.kind in "biufc":
        return value
    return Parcel([np.frombuffer(part, np.uint8) for part in pack_parts([value])], _shares(value))


def unwrap(stored: Any, lazily: bool = False) -> Any:
    """The value that was wrapped. What nobody can change, and a plain array, is a view of the store.

    Of anything else the data are copied, so that they can be written to. lazily: not those of a frame that copies on
    write: then only lazy copies of it can be written to, and what is made of them, as long as the value itself is
    there.
    """
    if type(stored) is not Parcel:
        return stored
    head, *apart = map(memoryview, stored.parts)
    if not stored.shares:
        apart = [bytearray(data) for data in apart]
    value = pickling.loads(head, buffers=apart)[0]
    return copied(value, lazily=False) if stored.shares == LAZY and not lazily else value


unpack = pickling.loads


def unpack_parts(parts: list) -> Any:
    """What `pack_parts` was given. Its large arrays lie in the parts."""
    return pickling.loads(parts[0], buffers=parts[1:])


def check_pickles(value: Any) -> None:
    """Raise what pickling `value` raises; large arrays are not copied."""
    if not is_plain(value) and not (type(value) is np.ndarray and value.dtype.kind in "biufc"):
        pickling.dumps(value, lambda buffer: None)


def describe(error: BaseException) -> tuple[bytes, str]:
    """An exception as (pickled exception, text of its traceback). Those that it was raised from go with it.

    One that does not pickle goes without what does not pickle in it; where that does not help either, it is told by its
    type and text.
    """
    chain = [(_told(each), is_cause) for each, is_cause in _raised_from(error)]
    return chain[0][0] if len(chain) == 1 else pack(chain), printed(error)


def _raised_from(error: BaseException) -> list[tuple[BaseException, bool]]:
    """An exception, and those before it: whether each was named as the cause, or was being handled only."""
    chain, seen, is_cause = [], set(), True
    at: BaseException | None = error
    while at is not None and id(at) not in seen and len(chain) < _MOST_CAUSES:
        chain.append((at, is_cause))
        seen.add(id(at))
        is_cause = at.__cause__ is not None
        at = at.__cause__ if is_cause or at.__suppress_context__ else at.__context__
    return chain


def _told(error: BaseException) -> bytes:
    bare = _packed_error(error)
    if bare is None:
        args = tuple([arg if _pickles(arg) else shown(arg) for arg in error.args])
        state = {name: value for name, value in vars(error).items() if _pickles(value)}
        bare = _packed_error(pickling.Bare(type(error), args, state))
    return bare or pack(RuntimeError(f"{type(error).__name__}: {text_of(error)}"))


def _packed_error(error: Any) -> bytes | None:
    """An exception's bytes, if one of its class comes out of them: what is called to make it may do anything."""
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
    """The exception that `describe` told, or what it printed where it cannot be made here."""
    made = _made(bare)
    chain = [(made, True)] if type(made) is not list else [(_made(each), is_cause) for each, is_cause in made]
    errors = [(each, is_cause) for each, is_cause in chain if isinstance(each, BaseException)]
    if not isinstance(chain[0][0], BaseException):
        errors.insert(0, (RuntimeError(text.strip().rpartition("\n")[2]), True))
    for (later, _), (earlier, is_cause) in pairwise(errors):
        if is_cause:
            later.__cause__ = earlier
        else:
            later.__context__ = earlier
    return errors[0][0]


def _made(bare: bytes) -> Any:
    try:
        return unpack(bare)
    except BaseException:
        return None
