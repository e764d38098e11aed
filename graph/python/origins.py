"""Where the values of some code come from: origins, and how a call, an item or a copy leads from one to another.

root     where a value comes from: a global, a free variable, an argument with a default, `self`
path     how the code gets from the root to the value: a step for each attribute, item, slice, copy or call
origin   a root and a path
value    all origins that a value may have, as a tuple; an empty one if none is known

A container that the code makes itself has the origins of its items; a position, as the last step, stands for it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from types import CodeType
from typing import Any, NamedTuple

Root = tuple[str, Any]
Path = tuple[Any, ...]
Origin = tuple[Root, Path]
Value = tuple[Origin, ...]

ITEM = "[]"
"""A path step that leads to some item; an `Item` leads to a certain one."""
VIEW = "[:]"
"""A path step that leads to a slice: of an array, a view of it; of a list, a copy."""
MEMORY = "memoryview()"
"""A path step that leads to a view of a buffer's memory: its slices share it."""
COPY = "copy()"
"""A path step that leads to a shallow copy: what is in it is shared."""
CLASS = ("__class__", "type()")
"""Path steps that lead to an object's class."""
ANYWHERE = -1
"""The position of an item that may be anywhere in a container of the code's own."""
ROOT_SELF = ("self", "")
SPACE = ("space", "")
"""The origin of what `globals()` returns."""
MADE, REST = "made", "rest"
"""Kinds of roots: a function that the code defines, named by its code; the parameters `*args` and `**kwargs`."""
UNKNOWN: Origin = (("", ""), ())
"""The origin of what is called, if that is not known."""
SLICE: Value = ((("", "slice"), ()),)
_MOST_ORIGINS = 16


class Call(NamedTuple):
    """A path step that leads to the result of a call.   given: of each argument, (position, name or `REST`; origin)."""

    given: tuple[tuple[int | str, Root, Path], ...] = ()


class Item(NamedTuple):
    """A path step that leads to the item with a constant index or key."""

    key: int | str


class Change(NamedTuple):
    """A mutation. how: "attribute", "item", "method", "inplace" or "argument".   name: of the attribute or method."""

    root: Root
    path: Path
    how: str
    name: str


class Passing(NamedTuple):
    """A call that passes on values with a known origin.

    root, path: the origin of what is called.   given: of each argument, (position or name, or `REST` for items of
        `*args`; root; path).
    """

    root: Root
    path: Path
    given: tuple[tuple[int | str, Root, Path], ...]


def either(*values: Value) -> Value:
    """A value that has the origins of all these values."""
    found = [value for value in values if value]
    return found[0] if len(found) == 1 else tuple(dict.fromkeys(itertools.chain(*found)))[:_MOST_ORIGINS]


def held(value: Value, at: int = ANYWHERE) -> Value:
    """A container of the code's own, with a value at a position."""
    return tuple([(root, (*path, at)) for root, path in value])


def is_held(path: Path) -> bool:
    """True for a container of the code's own."""
    return bool(path) and type(path[-1]) is int


def is_item(step: Any) -> bool:
    """True for a step to an item."""
    return step == ITEM or type(step) is Item


def item_of(value: Value, at: Any = None) -> Value:
    """The item at an index, if that is a constant, or some item."""
    step = ITEM if type(at) not in (int, str) else Item(at)
    found = []
    for root, path in value:
        if not is_held(path):
            found.append((root, (*path, step)))
        elif type(at) is not int or at < 0 or path[-1] in (at, ANYWHERE):
            found.append((root, path[:-1]))
    return tuple(found)


def slice_of(value: Value) -> Value:
    """Some of the items, or a view."""
    return tuple([(root, (*path[:-1], ANYWHERE) if is_held(path) else (*path, VIEW)) for root, path in value])


def attribute_of(value: Value, name: str) -> Value:
    """An attribute of a value."""
    return tuple([(root, (*path, name)) for root, path in value])


def copy_of(value: Value) -> Value:
    """A shallow copy."""
    return tuple([(root, path if is_held(path) or path[-1:] == (COPY,) else (*path, COPY)) for root, path in value])


def joined(path: Path, more: Path) -> Path | None:
    """The path on from where another one ends; None if it leads to nothing that is known."""
    while is_held(path) and more:
        step, more = more[0], more[1:]
        if type(step) is Item and type(step.key) is int and step.key >= 0 and path[-1] not in (step.key, ANYWHERE):
            return None
        if is_item(step):
            path = path[:-1]
        elif step not in (VIEW, COPY):
            return None
    return (*path, *more)


def is_plain(path: Path) -> bool:
    """True for a path of attributes and items, without a copy or the result of a call."""
    return all([type(step) is str and step != COPY for step in path])


CHANGES = frozenset(
    "append appendleft extend extendleft insert pop popleft popitem remove discard clear add update setdefault sort "
    "reverse rotate subtract move_to_end difference_update intersection_update symmetric_difference_update fill put "
    "itemset resize partition frombytes fromlist writelines set reset __setitem__ __delitem__ __iadd__".split()
)
"""Methods that mutate a container."""
WRITERS = frozenset(
    "setattr delattr setitem delitem iadd heappush heappop heapify heapreplace heappushpop insort insort_left "
    "insort_right __setattr__ __delattr__".split()
)
"""Functions of Python that change their first argument."""
MUTATORS = WRITERS.union("at shuffle copyto putmask place fill_diagonal put_along_axis".split())
"""These, and others that do so. `numpy.add.at` and the like do so even if it is read-only."""
FILLERS = frozenset("pack_into readinto readinto1 recv_into recvfrom_into recvmsg_into readv preadv".split())
"""Functions and methods that write into the buffers among their arguments."""
BUILTINS = frozenset([("global", name) for name in "list dict set bytearray deque OrderedDict defaultdict".split()])
"""Containers whose methods may be called with the container as the first argument: `list.append(rows, 1)`."""
_KEEPING = frozenset(
    "list tuple set frozenset dict sorted reversed iter filter deque OrderedDict defaultdict islice chain cycle tee "
    "takewhile dropwhile filterfalse compress nlargest nsmallest sample choices UserList UserDict ChainMap".split()
)
"""Functions that return a container or an iterator of the items of their arguments."""
_PAIRING = frozenset("product zip_longest combinations permutations pairwise batched groupby from_iterable".split())
"""Functions that return an iterator of groups of such items."""
_CHOOSING = frozenset("next max min choice reduce getitem heappop getattr".split())
"""Functions that return an item of their arguments."""
_ITEMS = frozenset("get pop popleft popitem setdefault __getitem__ __next__".split())
"""Methods that return an item of their object."""
_VIEWS = frozenset(
    "ravel reshape view transpose swapaxes squeeze expand_dims diagonal as_strided sliding_window_view moveaxis "
    "rollaxis broadcast_to flip fliplr flipud rot90 cast".split()
)
"""Functions and methods of arrays and memory views that return a view."""
_ARRAYS = frozenset("asarray asanyarray ascontiguousarray asfortranarray atleast_1d atleast_2d atleast_3d".split())
"""Functions that return an array as it is, if nothing else is given."""
_SPLITTING = frozenset("split array_split hsplit vsplit dsplit".split())
_SHARING = frozenset(["memoryview", "frombuffer"])
"""Functions whose results share the memory of their first argument."""
_PARTS = {(("global", "type"), ()): CLASS[1], (("global", "vars"), ()): "__dict__"}
"""The origins of functions that return a part of their argument, and that part."""
_GLOBALS: Origin = (("global", "globals"), ())


def result_of(called: Origin, positional: list[Value], given: list[tuple[int | str, Value]]) -> Value:
    """The result of a call of what is not defined in the code itself.

    positional: its arguments without a name.   given: all of them, with positions and names.
    """
    root, path = called
    name, owner = (path or root)[-1], ((root, path[:-1]),) if path else ()
    first, count = positional[0] if positional else (), len(given)
    if called == _GLOBALS and not count:
        return ((SPACE, ()),)
    if called in _PARTS and count == 1:
        return attribute_of(first, _PARTS[called])
    values = [value for _, value in given]
    if name in _KEEPING and values:
        own = [held(value if type(at) is str else item_of(value)) for at, value in given]
        return either(*own, _called(called, given))
    if name == "zip":
        return either(*[held(held(item_of(value), at)) for at, value in enumerate(values)])
    if name == "enumerate":
        return held(held(item_of(first), 1))
    if name in _PAIRING:
        return either(*[held(held(item_of(value))) for value in values])
    if name in _CHOOSING and values:
        return either(*map(item_of, values), _called(called, given))
    return either(_of_method(name, owner, count), _of_array(name, first, owner, count), _called(called, given))


def _of_method(name: str, owner: Value, count: int) -> Value:
    """What a method of a container returns."""
    if name == "copy":
        return () if count else copy_of(owner)
    if name in _ITEMS:
        return item_of(owner)
    if name == "values":
        return held(item_of(owner))
    return held(held(item_of(owner), 1)) if name == "items" else ()


def _of_array(name: str, first: Value, owner: Value, count: int) -> Value:
    """What a function, or a method, of an array or of anything returns that shares its memory, or is a copy of it."""
    if name == "copy":
        return copy_of(first) if count == 1 else ()
    if name in _VIEWS:
        return slice_of(either(first, owner))
    if name in _ARRAYS:
        return slice_of(first) if count == 1 else ()
    if name in _SPLITTING:
        return held(slice_of(first))
    if name in _SHARING:
        return attribute_of(first, MEMORY)
    return first if name == "nditer" else ()


def _called(called: Origin, given: Iterable[tuple[int | str, Value]]) -> Value:
    """The result of a call that may be one of the program's functions."""
    root, path = called
    known = [(at, *each) for at, value in given for each in value]
    plain = [each for each in known if not any([type(step) is Call for step in each[2]])]
    return ((root, (*path, Call(tuple(plain)))),) if type(root[1]) is not CodeType else ()
