"""The inputs and outputs of a function while it is traced."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from weftwork.graph import nest
from weftwork.graph.build import placeholder
from weftwork.graph.operation import Operation, Tensor
from weftwork.scheduler.functions.arguments import Whole, datum_of, filled
from weftwork.scheduler.functions.tracing import Tracing
from weftwork.scheduler.request.feeds import convert_feed
from weftwork.scheduler.request.fetches import conversion_of


class Inputs:
    """The placeholders for a call's data."""

    def __init__(self, tracing: Tracing, exact: bool, shapes: Mapping[str, Any]):
        self._tracing, self._exact, self._shapes = tracing, exact, shapes
        self._entered: list[tuple[Tensor, Callable | None]] = []

    def enter(self, name: str, value: Any) -> Any:
        """The traced stand-in for an argument."""
        return filled(value, functools.partial(self._one, name))

    def _one(self, name: str, value: Any) -> Tensor:
        datum = datum_of(value, self._exact)
        shape, convert = datum.shape, datum.convert
        if name in self._shapes and datum.dtype.numpy.kind in "biufc":
            shape = self._shapes[name]
        tensor = placeholder(datum.dtype, shape, word(name))
        if name in self._shapes:
            convert = functools.partial(convert_feed, tensor)
            convert(value)
        if datum.weak:
            tensor.op.graph.weak.add(tensor)
        if datum.kept:
            self._tracing.keep(tensor)
        self._entered.append((tensor, convert))
        return tensor

    def taken(self, outputs: Sequence[Tensor]) -> tuple[list[Tensor], list[tuple]]:
        """The placeholders that are used; and for each, the number of its datum and its conversion."""
        inputs, feeds = [], []
        for number, (tensor, convert) in enumerate(self._entered):
            for one, by in ((tensor, convert), (self._tracing.kept(tensor), None)):
                if one is not None and (one.op.graph.statistics.last[one.number] >= 0 or one in outputs):
                    inputs.append(one)
                    feeds.append((number, by))
        return inputs, feeds


def output_of(value: Any, tracing: Tracing) -> Any:
    """What a function returned, with everything that stands for a tensor converted to one."""
    if isinstance(value, Operation):
        tracing.add_effect(value)
        return None
    tensor = tracing.argument(value)
    if tensor is not None:
        return tensor
    known = conversion_of(value)
    if known is not None:  # a sparse tensor, for example
        parts, contract = known[1](value)
        return contract(parts)
    return nest.rebuild(value, lambda item: output_of(item, tracing))


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A structure with `change` applied to each tensor in it."""
    return change(value) if isinstance(value, Tensor) else nest.rebuild(value, lambda item: mapped(item, change))


def plain(args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """Arguments with their marks removed."""
    return (
        tuple([a.value if type(a) is Whole else a for a in args]),
        {name: a.value if type(a) is Whole else a for name, a in kwargs.items()},
    )


def tensor_or_none(value: Any) -> Any:
    """`value` if it is a tensor, else None."""
    return value if isinstance(value, Tensor) else None


def word(name: str) -> str:
    """Convert a name to one that a node may have."""
    return re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "function"
