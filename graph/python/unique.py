"""Objects of Python's that exist once: they cannot be copied or sent, so functions get the object itself."""

from __future__ import annotations

import io
import socket
import threading
import weakref
from types import GeneratorType
from typing import Any

from weftwork.graph.python.inspection import space_of
from weftwork.graph.python.modules import is_pythons

UNIQUE = (
    *(io.TextIOWrapper, io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.FileIO, socket.socket),
    *(GeneratorType, type(threading.Lock()), type(threading.RLock()), weakref.finalize),
)
"""Types of objects that cannot be copied: functions get the object itself."""


def exists_once(value: Any, depth: int = 0) -> bool:
    """True for an object of Python's that cannot be copied: a lock, an open file, a finalizer, or what holds one."""
    kind = type(value)
    if isinstance(value, UNIQUE):
        return True
    top = kind.__module__.partition(".")[0]
    if top == "asyncio":
        return True
    if top in _COPIED or not is_pythons(kind.__module__) or isinstance(value, type) or depth > _DEPTH:
        return False
    try:
        value.__reduce_ex__(5)
    except Exception:
        return True
    return any([exists_once(item, depth + 1) for item in (space_of(value) or {}).values()])


_COPIED = frozenset(
    "builtins collections types functools typing decimal datetime fractions pathlib random re array io".split()
)
"""Modules whose objects are copied, or are code."""
_DEPTH = 2
