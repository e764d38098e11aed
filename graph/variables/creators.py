"""Creators of variables: `variable_creator_scope` lets a program intercept their creation."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from weftwork.graph.stacks import get_default_graph

_creators = threading.local()


@contextmanager
def variable_creator_scope(variable_creator: Callable[..., Any]) -> Iterator[None]:
    """Variables inside are created by `variable_creator(next_creator, **kwargs)`, with all arguments of Variable.

    It returns a variable, usually from `next_creator(**kwargs)`. The innermost scope is called first.
    """
    outer = getattr(_creators, "stack", ())
    _creators.stack = (*outer, (get_default_graph(), variable_creator))
    try:
        yield
    finally:
        _creators.stack = outer


class Created(type):
    """A metaclass: calling the class goes through the creators of the open scopes."""

    if not TYPE_CHECKING:  # type checkers infer the result, a Variable, from __init__

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            stack = getattr(_creators, "stack", ())
            if not stack:
                return super().__call__(*args, **kwargs)
            create: Callable = super().__call__
            for graph, creator in stack:
                if graph is get_default_graph():
                    create = functools.partial(creator, create)
            bound = inspect.signature(cls.__init__).bind(None, *args, **kwargs)
            bound.apply_defaults()
            return create(**{name: value for name, value in bound.arguments.items() if name != "self"})
