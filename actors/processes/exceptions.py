"""Exceptions between processes. Whatever code their classes have, they keep their class, their text, their attributes
and slots, their notes, and the exceptions that they were raised from.

chain     an exception and all that it was raised from: causes, contexts, members of groups
rows      a chain for another process, one row for each exception: (what it consists of, numbers of the rows of its
          cause and context, whether the context is suppressed)
dumps     the pickler of messages, which calls this module for exceptions
"""

from __future__ import annotations

import builtins
import copyreg
import pickle
from collections.abc import Callable
from contextlib import suppress
from types import MemberDescriptorType
from typing import Any

from weftwork.graph.errors import part_of, printed, set_part, shown, text_of
from weftwork.graph.python.class_facts import HEAP, class_entry

_MAX_CHAIN = 1000
"""Maximum number of exceptions that are sent with an exception, besides the members of groups."""
_NAMING = (AttributeError, NameError)
"""Exceptions that know the name that was missing, but leave it out when they are pickled."""
_GROUP: Any = getattr(builtins, "BaseExceptionGroup", ())
"""It exists from Python 3.11 on."""
_UNLINKED = [None, None, False]


# One exception


def reduced(error: BaseException, kind: type, dumps: Callable, is_alone: bool) -> Any:
    """The reduction of an exception if it needs special treatment, else None.   is_alone: leave out its chain."""
    if not is_alone and _links(error) != _UNLINKED:
        return _linked, (_rows(error, dumps, is_value=True),)
    if _is_plain(kind):
        state = {**object.__getattribute__(error, "__dict__"), **_slots_of(error)} or None
        return _made, (kind, part_of(error, "args"), state, error.name if isinstance(error, _NAMING) else None)
    if "__notes__" in object.__getattribute__(error, "__dict__"):
        return _with_notes(error)
    registered = copyreg.dispatch_table.get(kind)
    if getattr(registered, "__module__", "").startswith("tblib"):  # Dask installs it, and it sends the whole chain
        return error.__reduce_ex__(5)
    return None


def _is_plain(kind: type) -> bool:
    """True for an exception class without pickling methods, and without state hidden in C except a missing name."""
    says = kind.__reduce__ is not BaseException.__reduce__ or kind.__reduce_ex__ is not object.__reduce_ex__
    if says or issubclass(kind, _NAMING):
        return not says
    base = next(base for base in kind.__mro__ if not base.__flags__ & HEAP)
    return bool(kind.__flags__ & HEAP) and base.__basicsize__ == BaseException.__basicsize__


def _slots_of(error: BaseException) -> dict[str, Any]:
    """The values that an exception has in the slots of its classes."""
    found = {}
    for base in type(error).__mro__:
        for name, slot in list(vars(base).items()) if base.__flags__ & HEAP and "__slots__" in vars(base) else ():
            if type(slot) is MemberDescriptorType:
                with suppress(AttributeError):
                    found[name] = slot.__get__(error)
    return found


def _made(kind: type, args: tuple, state: dict | None, name: str | None = None) -> BaseException:
    """Rebuild an exception, whatever code its class has.   name: what it says was missing."""
    try:
        made: Any = kind.__new__(kind, *args)
    except Exception:  # it takes other arguments
        made = next(base for base in kind.__mro__ if not base.__flags__ & HEAP).__new__(kind, *args)
    set_part(made, "args", args)
    for attribute, value in (state or {}).items():
        slot = class_entry(kind, attribute)
        if type(slot) is MemberDescriptorType:
            slot.__set__(made, value)
        else:
            object.__getattribute__(made, "__dict__")[attribute] = value
    if isinstance(made, _NAMING) and name is not None:
        made.name = name
    return made


def _with_notes(error: BaseException) -> Any:
    """Reduce an exception in its own way, which may leave out its notes."""
    how = error.__reduce_ex__(5)
    if type(how) is not tuple:
        return how
    return _noted, (vars(error)["__notes__"], *how[:2]), *how[2:]


def _noted(notes: Any, make: Callable, args: tuple) -> BaseException:
    made = make(*args)
    vars(made)["__notes__"] = notes
    return made


class _Bare:
    """Pickles as an exception of some class, for an exception that cannot be rebuilt in its own way."""

    def __init__(self, kind: type, args: tuple, state: dict):
        self.kind, self.args, self.state = kind, args, state

    def __reduce__(self) -> tuple:
        return _made, (self.kind, self.args, self.state)


# A chain


def describe(error: BaseException, dumps: Callable) -> tuple[bytes, str]:
    """Convert an exception and its chain to (pickled exception, traceback text).

    If an exception does not pickle, the offending arguments and attributes are left out. If it still does not pickle, a
    RuntimeError with its type and text stands for it.
    """
    rows = _rows(error, dumps)
    first, *links = rows[0]
    return (first if links == _UNLINKED and type(first) is bytes else dumps(rows)), printed(error)


def described(bare: bytes, text: str) -> BaseException:
    """The exception that `describe` packed, or a RuntimeError with its text if it cannot be rebuilt here."""
    found = _try_load(bare)
    if type(found) is list:
        return _linked(found, text)
    return found if isinstance(found, BaseException) else _stand_in(text)


def _links(error: BaseException) -> list[Any]:
    return [part_of(error, name) for name in ("__cause__", "__context__", "__suppress_context__")]


def _members(error: BaseException) -> tuple[BaseException, ...]:
    return _GROUP.exceptions.__get__(error) if isinstance(error, _GROUP) else ()


def _rows(error: BaseException, dumps: Callable, is_value: bool = False) -> list[list]:
    """The rows of a chain, the first one for the exception itself.

    is_value: what the exception itself consists of must arrive whole. Raises what pickling it raises.
    """
    found, seen = [error], {id(error)}
    for each in found:
        members = () if is_value and each is error else _members(each)
        earlier = [one for one in _links(each)[:2] if one is not None and len(found) < _MAX_CHAIN]
        for part in [*members, *earlier]:
            if id(part) not in seen:
                seen.add(id(part))
                found.append(part)
    numbers = {id(each): number for number, each in enumerate(found)}
    rows = []
    for each in found:
        content = dumps(each, is_alone=True) if is_value and each is error else _content(each, numbers, dumps)
        cause, context, is_suppressed = _links(each)
        rows.append([content, numbers.get(id(cause)), numbers.get(id(context)), is_suppressed])
    return rows


def _content(error: BaseException, numbers: dict[int, int], dumps: Callable) -> Any:
    """What an exception consists of without its chain: pickled; for a group, and the numbers of its members."""
    kind, content = type(error), None
    if not isinstance(error, _GROUP):
        content = _try_dump(error, kind, dumps)
    if content is None:
        args = part_of(error, "args")
        space = {**object.__getattribute__(error, "__dict__"), **_slots_of(error)}
        state = {name: value for name, value in space.items() if _survives(value, dumps)}
        if isinstance(error, _GROUP):
            with suppress(BaseException):
                packed = dumps((kind, _GROUP.message.__get__(error), state))
                content = packed, [numbers[id(member)] for member in _members(error)]
        else:
            args = tuple([arg if _survives(arg, dumps) else shown(arg) for arg in args])
            content = _try_dump(_Bare(kind, args, state), kind, dumps)
    return content or dumps(RuntimeError(f"{kind.__name__}: {text_of(error)}"))


def _try_dump(error: Any, kind: type, dumps: Callable) -> bytes | None:
    """Pickle an exception. None if unpickling fails or yields another class, since its constructor may do anything."""
    try:
        bare = dumps(error, is_alone=True)
        return bare if type(pickle.loads(bare)) is kind else None
    except BaseException:
        return None


def _survives(value: Any, dumps: Callable) -> bool:
    try:
        pickle.loads(dumps(value, is_alone=True))
    except BaseException:
        return False
    return True


def _try_load(bare: bytes) -> Any:
    try:
        return pickle.loads(bare)
    except BaseException:
        return None


def _stand_in(text: str) -> BaseException:
    return RuntimeError(text.strip().rpartition("\n")[2])


def _linked(rows: list[list], text: str | None = None) -> BaseException:
    """Rebuild a chain.   text: stands for its first exception if that cannot be rebuilt here; None: raise."""
    made: dict[int, BaseException] = {}

    def make(number: int) -> BaseException:
        if number not in made:
            content = rows[number][0]
            try:
                if type(content) is bytes:
                    made[number] = pickle.loads(content)
                else:
                    kind, message, state = pickle.loads(content[0])
                    made[number] = _made(kind, (message, list(map(make, content[1]))), state)
            except BaseException as failure:
                if number == 0 and text is None:
                    raise
                made[number] = _stand_in(text if number == 0 and text else f"{failure!r}, while it was unpickled")
        return made[number]

    for number, (_, *links, is_suppressed) in enumerate(rows):
        for name, link in zip(("__cause__", "__context__"), links, strict=True):
            set_part(make(number), name, None if link is None else make(link))
        set_part(make(number), "__suppress_context__", is_suppressed)
    return made[0]
