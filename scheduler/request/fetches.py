"""Fetches of a run: a nested structure of graph elements, and how to rebuild the structure from their values.

element   a Tensor or Operation of the graph. It is computed once, wherever and however often it occurs
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from weftwork.graph.errors import InaccessibleTensorError
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops.composite import IndexedSlices, IndexedSlicesValue, SparseTensor, SparseTensorValue
from weftwork.graph.ops.control_flow import parts_of
from weftwork.graph.python.frames import is_lazy, is_mapped
from weftwork.graph.python.ownership import ATOMS, copied
from weftwork.graph.user_function import UserFunction
from weftwork.graph.variables.variable import Variable

_conversions: list[tuple[type, Callable, Callable | None, Callable | None]] = []
_LEAVES = frozenset({Tensor, Operation, Variable, str, bytes})
_KEYS = _LEAVES | {SparseTensor, IndexedSlices}
"""Types whose instances are immutable, and so can be part of a cache key themselves."""


def register_session_run_conversion_functions(
    tensor_type: type[Any],
    fetch_function: Callable[..., Any],
    feed_function: Callable[..., Any] | None = None,
    feed_function_for_partial_run: Callable[..., Any] | None = None,
) -> None:
    """Teach `run` to fetch and feed a type of your own.

    fetch_function(x): returns (list of graph elements, function from their values to x's value).
    feed_function(x, value): returns pairs of (tensor, value).
    feed_function_for_partial_run(x): returns the tensors that `partial_run_setup` should expect.
    Later registrations take precedence, so a subclass of a registered type may have functions of its own. Raises
    ValueError if the type is registered already, or would hide a registered subclass.
    tensor_type: the class.
    """
    for known, *_ in _conversions:
        if issubclass(known, tensor_type):
            raise ValueError(f"{tensor_type} has already been registered so ignore it.")
    _conversions.insert(0, (tensor_type, fetch_function, feed_function, feed_function_for_partial_run))


def conversion_of(value: Any) -> tuple[type, Callable, Callable | None, Callable | None] | None:
    """The registered functions for a value's type, or None."""
    for entry in _conversions:
        if isinstance(value, entry[0]):
            return entry
    return None


class Fetches:
    """Parsed fetches: the elements to compute, and a function from their values to the result."""

    __slots__ = ("build", "elements", "kept", "ops")

    def __init__(self, elements: tuple[Tensor | Operation, ...], build: Callable[[Sequence[Any]], Any]):
        self.elements = elements
        self.build = build
        ops = [e.op if isinstance(e, Tensor) else e for e in elements]
        self.kept = [not (type(op.kernel) is UserFunction or op is e) for op, e in zip(ops, elements, strict=True)]
        """Which values others may hold.

        Values of users' functions are excluded: they are settled when they are made.
        """
        self.ops = tuple(dict.fromkeys(ops))
        """The operations to run, or that make the tensors, each once."""


NO_FETCHES = Fetches((), list)
"""Those of a run that is part of another one."""


def parse_fetches(graph: Graph, fetches: Any) -> Fetches:
    """Find the elements of `graph` in a nested structure.

    Raises TypeError for a leaf of an unknown type, ValueError for one that is not in the graph, and
    InaccessibleTensorError for one inside a control-flow construct.
    """
    parser = _Parser(graph)
    build = parser.structure(fetches)
    return Fetches(tuple(parser.numbers), build)


class _Parser:
    def __init__(self, graph: Graph):
        self.graph = graph
        self.numbers: dict[Any, int] = {}

    def structure(self, fetch: Any) -> Callable[[Sequence[Any]], Any]:
        """A function from the values of all elements to the value of `fetch`."""
        if fetch is None:
            raise TypeError(f"Fetch argument {fetch!r} has invalid type {type(fetch)!r}")
        if isinstance(fetch, tuple) and hasattr(fetch, "_fields"):
            return self._several(list(fetch), lambda items: type(fetch)(*items))
        if isinstance(fetch, tuple):
            return self._several(list(fetch), tuple)
        if isinstance(fetch, list):
            return self._several(fetch, list)
        if isinstance(fetch, Mapping):
            return self._mapping(fetch)
        if hasattr(type(fetch), "__attrs_attrs__"):
            return self._several(_attrs_values(fetch), lambda items: type(fetch)(*items))
        known = conversion_of(fetch)
        if known is not None:
            parts, contract = known[1](fetch)
            return self._several(list(parts), contract)
        return self._leaf(fetch)

    def _several(self, items: list, pack: Callable) -> Callable:
        if all(type(item) in _LEAVES for item in items):  # flat: one comprehension
            numbers = self._plain_numbers(items) or [self._number(item) for item in items]
            return lambda values: pack([values[n] for n in numbers])
        builders = [self.structure(item) for item in items]
        return lambda values: pack([build(values) for build in builders])

    def _mapping(self, fetch: Mapping) -> Callable:
        kind, keys = type(fetch), list(fetch)
        return self._several([fetch[key] for key in keys], lambda items: _fill(kind, fetch, keys, items))

    def _leaf(self, fetch: Any) -> Callable:
        number = self._number(fetch)
        return lambda values: values[number]

    def _plain_numbers(self, items: list) -> list[int] | None:
        """The numbers of items that are all tensors of a graph in which everything may be fetched, or None."""
        graph, numbers = self.graph, self.numbers
        if not graph.all_fetchable or {*map(type, items)} != {Tensor}:
            return None
        if not all([tensor.op.graph is graph for tensor in items]):
            return None
        return [numbers.setdefault(tensor, len(numbers)) for tensor in items]

    def _number(self, fetch: Any) -> int:
        try:
            element = self.graph.as_graph_element(fetch, allow_tensor=True, allow_operation=True)
        except TypeError as error:
            raise TypeError(
                f"Fetch argument {fetch!r} has invalid type {type(fetch)!r}, must be a string or Tensor. ({error})"
            ) from None
        except ValueError as error:
            raise ValueError(f"Fetch argument {fetch!r} cannot be interpreted as a Tensor. ({error})") from None
        except KeyError as error:
            raise ValueError(f"Fetch argument {fetch!r} cannot be interpreted as a Tensor. ({error.args[0]})") from None
        if not self.graph.is_fetchable(element):
            name = element.op.name if isinstance(element, Tensor) else element.name
            raise InaccessibleTensorError(
                f"Operation {name!r} has been marked as not fetchable. Typically this happens when it is defined in "
                "another function or code block. Use return values, explicit Python locals or TensorFlow collections "
                "to access it."
            )
        return self.numbers.setdefault(element, len(self.numbers))


def _attrs_values(fetch: Any) -> list:
    return [getattr(fetch, attribute.name) for attribute in type(fetch).__attrs_attrs__]


def _fill(kind: type, fetch: Mapping, keys: list, items: list) -> Any:
    if not issubclass(kind, MutableMapping):
        return kind(dict(zip(keys, items, strict=True)))  # type: ignore[call-arg]
    if isinstance(fetch, defaultdict):
        result = kind(fetch.default_factory)  # type: ignore[call-arg]
    else:
        result = kind()
    for key, item in zip(keys, items, strict=True):
        result[key] = item
    return result


def structure_of(fetches: Any) -> Hashable | None:
    """A key that is equal for the same elements in the same structure. None if there is no such key."""
    kind = type(fetches)
    if kind in _KEYS:
        return fetches
    if (kind is list or kind is tuple) and _KEYS.issuperset(map(type, fetches)):
        return (kind, *fetches)
    if kind is dict or kind is OrderedDict:
        items = [f if type(f) in _KEYS else structure_of(f) for f in fetches.values()]
        return None if None in items else (kind, *map(type, fetches), *fetches, *items)  # types, because 1 == True
    if hasattr(kind, "__attrs_attrs__"):
        fetches = _attrs_values(fetches)
    elif kind is not list and kind is not tuple and not (issubclass(kind, tuple) and hasattr(kind, "_fields")):
        return None
    items = [f if type(f) in _KEYS else structure_of(f) for f in fetches]
    return None if None in items else (kind, *items)


def owned(values: Sequence[Any], copy: bool, kept: Sequence[bool] = ()) -> list:
    """Make fetched values the caller's own: arrays share memory with nobody, and rank 0 becomes a NumPy scalar.

    copy: False leaves shared values as they are.   kept: which values may be held by others, or have parts that are.
    Those are copied even if they are not numeric arrays.
    """
    if ATOMS.issuperset(map(type, values)):
        return list(values)
    mine: list = []
    given: set[int] = set()
    for value in values:
        kind = type(value)
        if kind is np.ndarray and not (value.dtype.hasobject and value.ndim):
            if value.ndim == 0:
                value = value[()]
            elif copy:
                if value.base is not None or not value.flags.writeable or id(value) in given:
                    value = value.copy(order="K")
                given.add(id(value))  # equal nodes share a value
        elif copy and kind not in ATOMS:
            if is_lazy(kind) and is_mapped(value):  # its lazy copies could not be written to
                value = copied(value, lazily=False)
            elif id(value) in given or (kept and kept[len(mine)]):
                value = copied(value)
            given.add(id(value))
        mine.append(value)
    return mine


def _feed_parts(composite: Any, value: Any) -> list[tuple[Tensor, Any]]:
    """The pairs for a fed SparseTensorValue, IndexedSlicesValue, or tuple of their parts."""
    parts, given = parts_of(composite), [part for part in value if part is not None]
    if len(given) != len(parts):
        raise ValueError(f"Cannot feed {len(given)} values to the {len(parts)} tensors of {composite!r}.")
    return list(zip(parts, given, strict=True))


register_session_run_conversion_functions(
    SparseTensor, lambda s: (parts_of(s), lambda parts: SparseTensorValue(*parts)), _feed_parts, parts_of
)
register_session_run_conversion_functions(
    IndexedSlices,
    lambda s: (
        parts_of(s),
        lambda parts: IndexedSlicesValue(parts[0], parts[1], parts[2] if len(parts) == 3 else None),
    ),
    _feed_parts,
    parts_of,
)
