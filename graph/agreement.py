"""Agreement: can the value that one function is annotated to return be the argument of another?

family     types that may pass for each other: numbers, text, bytes, lists and tuples ...
claim      the certain content of an annotation: families, and dtypes of arrays; None if nothing is certain

Only plain contradictions count: every family on one side differs from every family on the other. Any, protocols, the
program's own classes, abstract types and names that do not resolve say nothing. A union stands for all its members.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.operation import Tensor
from weftwork.graph.python.by_identity import ByIdentity
from weftwork.graph.source import caller
from weftwork.graph.user_function import UserFunction

_FAMILIES: dict[Any, str] = {
    **dict.fromkeys([bool, int, float, complex], "a number"),
    **dict.fromkeys([bytes, bytearray, memoryview], "bytes"),
    **dict.fromkeys([list, tuple], "a list or tuple"),
    **dict.fromkeys([set, frozenset], "a set"),
    **dict.fromkeys([None, type(None)], "None"),
    str: "text",
    dict: "a dict",
}
_ARRAY_FAMILIES = ("a number", "a list or tuple", "an array")
"""Families that an array may belong to as well: a scalar is an array of rank 0, and arrays are iterable."""


class Claim(NamedTuple):
    """The certain content of an annotation: family names, and the array dtypes if every member states them."""

    families: frozenset[str]
    types: frozenset[type] = frozenset()
    text: str = ""


Parameters = tuple[tuple[str, ...], dict[str, Claim], Claim | None]
_parameters: ByIdentity[Parameters] = ByIdentity()
_returned: WeakKeyDictionary[UserFunction, Claim | tuple[Claim | None, ...] | None] = WeakKeyDictionary()
"""Cached annotations of return values, for as long as their functions live."""
_NOTHING: Parameters = ((), {}, None)


def parameters_of(function: Callable) -> Parameters:
    """A function's positional parameters: their names, the content of each annotation, and that of `*args`."""
    if isinstance(function, types.MethodType) and isinstance(function.__func__, types.FunctionType):
        names, annotated, star_args = parameters_of(function.__func__)
        return names[1:], {name: claim for name, claim in annotated.items() if name not in names[:1]}, star_args
    return _parameters.find(function, lambda: _parameters_of(function))


def _parameters_of(function: Callable) -> Parameters:
    signature = _signature(function)
    if signature is None:
        return _NOTHING
    annotated: dict[str, Claim] = {}
    star_args = None
    for parameter in signature.parameters.values():
        claim = _claim_by(function, parameter.annotation)
        if claim is not None and parameter.kind is parameter.VAR_POSITIONAL:
            star_args = claim
        elif claim is not None and parameter.kind is not parameter.VAR_KEYWORD:
            annotated[parameter.name] = claim
    parameters = signature.parameters.values()
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return tuple(positional), annotated, star_args


def _signature(function: Callable) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except Exception:  # no signature, or an annotation names something undefined
        return None


def _returned_by(kernel: UserFunction) -> Claim | tuple[Claim | None, ...] | None:
    """The annotated return value of a function; a tuple of these for several outputs."""
    if kernel in _returned:
        return _returned[kernel]
    signature = _signature(kernel.function)
    annotation = inspect.Signature.empty if signature is None else signature.return_annotation
    claim: Claim | tuple[Claim | None, ...] | None = None
    if kernel.outputs is None:
        claim = _claim_by(kernel.function, annotation)
    else:
        resolved = _resolved(kernel.function, annotation)
        parts = typing.get_args(resolved)
        if typing.get_origin(resolved) is tuple and len(parts) == kernel.outputs and ... not in parts:
            claim = tuple(map(_claim_of, parts))
    _returned[kernel] = claim
    return claim


def claim_about(tensor: Tensor) -> Claim | None:
    """What is certain about a tensor's values: from its dtype, or else from the function that computes them."""
    dtype = tensor.dtype.base_dtype
    if dtype.numpy.kind in "biufc":
        return Claim(frozenset(_ARRAY_FAMILIES), frozenset([dtype.numpy.type]), f"{dtype.name} values")
    kernel = tensor.op.kernel
    if dtype is not dtypes.object or not isinstance(kernel, UserFunction):
        return None
    claim = _returned_by(kernel)
    return claim if claim is None or isinstance(claim, Claim) else claim[tensor.index]


def check(name: str, parameter: str, claim: Claim, tensor: Tensor) -> None:
    """Raise TypeError if a tensor contradicts the annotation of a parameter. The message names both lines."""
    gives = claim_about(tensor)
    if gives is None or _agree(gives, claim):
        return
    raise TypeError(
        f"{name} (called at {caller().text}) takes {claim.text} as {parameter!r}, but {tensor.op.defined_at} gives "
        f"{gives.text}."
    )


def _agree(gives: Claim, wanted: Claim) -> bool:
    if gives.families.isdisjoint(wanted.families):
        return False
    if not (gives.types and wanted.types):
        return True
    return any([issubclass(one, two) or issubclass(two, one) for one in gives.types for two in wanted.types])


def _claim_by(function: Callable, annotation: Any) -> Claim | None:
    return _claim_of(_resolved(function, annotation))


def _resolved(function: Callable, annotation: Any) -> Any:
    """Resolve an annotation that may be a string; Any if it names something undefined."""
    if annotation is inspect.Signature.empty:
        return Any
    if not isinstance(annotation, str):
        return annotation
    plain = inspect.unwrap(function)
    while isinstance(plain, functools.partial):
        plain = plain.func
    plain = getattr(plain, "__func__", plain)
    space = getattr(plain, "__globals__", {})
    try:
        return eval(annotation, space, _cells(plain))  # code of the function's own module
    except Exception:
        return Any


def _cells(function: Any) -> dict[str, Any]:
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    found = {}
    for name, cell in zip(names, getattr(function, "__closure__", None) or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue
    return found


def _claim_of(annotation: Any) -> Claim | None:
    """The certain content of an annotation."""
    parts = [_part(each) for each in _members(annotation)]
    if None in parts:
        return None
    known = [part for part in parts if part is not None]
    families = frozenset().union(*[part.families for part in known])
    every: frozenset[type] = frozenset()
    if all([part.types for part in known]):
        every = every.union(*[part.types for part in known])
    return Claim(families, every, _text(annotation))


def _members(annotation: Any) -> Iterator[Any]:
    origin = typing.get_origin(annotation)
    if origin is typing.Union or origin is types.UnionType:
        for part in typing.get_args(annotation):
            yield from _members(part)
    elif origin is typing.Annotated:
        yield from _members(typing.get_args(annotation)[0])
    elif origin is Tensor:
        yield from _members(typing.get_args(annotation)[0])
    elif origin is typing.Literal:
        yield from map(type, typing.get_args(annotation))
    else:
        yield annotation


def _part(annotation: Any) -> Claim | None:
    origin = typing.get_origin(annotation) or annotation
    try:
        family = _FAMILIES.get(origin)
    except Exception:  # an annotation may be any object, and its hash may raise
        return None
    if family is not None:
        return Claim(frozenset([family]))
    if origin is np.ndarray:
        return Claim(frozenset(_ARRAY_FAMILIES), _element(annotation))
    if isinstance(origin, type) and issubclass(origin, np.generic):
        return Claim(frozenset(["a number"])) if issubclass(origin, (np.number, np.bool_)) else None
    return None


def _element(annotation: Any) -> frozenset[type]:
    """The concrete dtype in `np.ndarray[shape, np.dtype[...]]`, if any."""
    for part in typing.get_args(annotation)[1:]:
        for element in typing.get_args(part):
            if isinstance(element, type) and issubclass(element, np.generic):
                return frozenset([element])
    return frozenset()


def _text(annotation: Any) -> str:
    name = getattr(annotation, "__name__", None)
    plain = annotation is None or annotation is type(None)
    return "None" if plain else name if isinstance(annotation, type) and name else str(annotation)
