"""What makes a variable: `variable_creator_scope` puts the program's own function in between."""

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
    """What makes the variables inside: `variable_creator(next_creator, **kwargs)`, with all that Variable is given.

    It returns a variable, mostly `next_creator(**kwargs)`'s. The innermost scope comes first.
    """
    outer = getattr(_creators, "stack", ())
    _creators.stack = (*outer, (get_default_graph(), variable_creator))
    try:
        yield
    finally:
        _creators.stack = outer


class Created(type):
    """Calling the class goes through the creators of the open scopes."""

    if not TYPE_CHECKING:  # a checker takes what a call gives from __init__: a Variable

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            stack = getattr(_creators, "stack", ())
            if not stack:
                return super().__call__(*args, **kwargs)
            made: Callable = super().__call__
            for graph, creator in stack:
                if graph is get_default_graph():
                    made = functools.partial(creator, made)
            bound = inspect.signature(cls.__init__).bind(None, *args, **kwargs)
            bound.apply_defaults()
            return made(**{name: value for name, value in bound.arguments.items() if name != "self"})
