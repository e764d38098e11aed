"""Finds the part of a node that cannot be sent to another process, and how the node gets to it, for the error.

A part that cannot be pickled may lie deep: in a list that a helper's helper refers to. The way to it is found by
pickling parts, one inside the other, until a part has no such part itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from types import FunctionType, MethodType
from typing import Any

from weftwork.actors.processes import pickling
from weftwork.graph.errors import OpError
from weftwork.graph.python.codes import facts_of
from weftwork.graph.python.inspection import MISSING, content, defaults, found_in, space_of
from weftwork.scheduler.compile.effects import functions_of
from weftwork.scheduler.run.failures import node_error

_DEEPEST = 20
_ITEMS = 256
"""Parts of one value that are tried."""


def unsendable(run: Any, nodes: Sequence[int], error: Exception) -> OpError:
    """The error of nodes that could not be sent to a worker. It names the node, what is in its way, and where."""
    flow = run.flow
    for node in nodes:
        text = why_stuck(flow.ops[node].name, flow.kernels[node], flow.attrs[node], error, "a worker")
        if text is not None:
            return node_error(flow.ops[node], TypeError(text))
    for node in nodes:
        for place, number in enumerate(flow.inputs[node]):
            way = _way_to_stuck(run.values[number])
            if way is not None:
                return _of_input(flow.ops[node], f"{error}" + (f" (input {place}: {way})" if way else ""))
    return _of_input(flow.ops[nodes[0]], f"{error}")


def why_stuck(name: str, kernel: Any, attrs: Mapping[str, Any], error: Exception, to: str) -> str | None:
    """Why a node could not be sent, as text; None if it can be pickled.   to: where it was to be sent."""
    for function in functions_of([kernel]):
        way = _way_to_stuck(function.function)
        if way is not None:
            return f"{name} could not be sent to {to}: {way}: {error}"
    way = _way_to_stuck(list(attrs.values()))
    if way is not None:
        return f"an input of {name} could not be sent to {to}: {error} (at {way.partition(']')[2]} of its arguments)"
    return None


def _of_input(op: Any, text: str) -> OpError:
    return node_error(op, TypeError(f"an input of {op.name} could not be sent to a worker: {text}"))


def _way_to_stuck(value: Any) -> str | None:
    """The way to a part that cannot be pickled, as text. "" for the value itself, None if it can be pickled."""
    if not _is_stuck(value):
        return None
    way = ""
    for _ in range(_DEEPEST):
        step, value = next((part for part in islice(_parts(value), _ITEMS) if _is_stuck(part[1])), ("", MISSING))
        if value is MISSING:
            break
        refers = "which " if way and step[0] == " " else "it " if step[0] == " " else ""
        way += f"{', ' if way and refers else ''}{refers}{step.strip()}"
        if type(value) is FunctionType:
            way += f" ({value.__code__.co_filename}:{value.__code__.co_firstlineno})"
    return way


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """The parts of a value, each with how its name goes on. A name that begins with a space begins anew."""
    kind = type(value)
    if kind is FunctionType:
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            yield f" refers to {name}", content(cell)
        for name in facts_of(value.__code__).globals:
            yield f" refers to {name}", found_in(value.__globals__, name)
        for name, given in defaults(value):
            yield f" has the default {name}", given
    elif kind is MethodType:
        yield " refers to self", value.__self__
        yield f" refers to {value.__func__.__name__}", value.__func__
    elif kind is partial:
        yield f" calls {getattr(value.func, '__name__', 'a function')}", value.func
        for name, given in (*enumerate(value.args), *value.keywords.items()):
            yield f" has the argument {name}", given
    elif issubclass(kind, dict):
        for name, item in list(dict.items(value)):
            yield f"[{name!r}]", item
    elif issubclass(kind, (list, tuple, set, frozenset)):
        for place, item in enumerate(list(value)):
            yield f"[{place}]", item
    for name, item in list((space_of(value) or {}).items()):
        yield f".{name}", item


def _is_stuck(value: Any) -> bool:
    if value is MISSING:
        return False
    try:
        pickling.dumps(value, is_code=True)
    except Exception:
        return True
    return False
