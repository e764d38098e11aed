"""arg_scope: default arguments for functions called inside.

scope    a dict from the keys of functions to their defaults; the innermost one is in effect, and includes the outer
ones
"""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

Scope = dict[str, dict[str, Any]]
P = ParamSpec("P")
R = TypeVar("R")

_current: contextvars.ContextVar[Scope] = contextvars.ContextVar("weftwork_arg_scope", default={})  # noqa: B039
_known: dict[str, Callable[..., Any]] = {}


def arg_scope_func_key(op: Callable[..., Any]) -> str:
    """The key of a function in a scope."""
    return getattr(op, "_key_op", f"{op.__module__}.{getattr(op, '__qualname__', repr(op))}")


def current_arg_scope() -> Scope:
    """The innermost open scope."""
    return _current.get()


def has_arg_scope(func: Callable[..., Any]) -> bool:
    """True if the function is decorated with add_arg_scope."""
    return arg_scope_func_key(func) in _known


def add_arg_scope(func: Callable[P, R]) -> Callable[P, R]:
    """Decorator: the function uses the defaults of scopes that name it."""

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        defaults = _current.get().get(call._key_op)  # type: ignore[attr-defined]
        if defaults:
            kwargs = {**defaults, **kwargs}
        return func(*args, **kwargs)

    call._key_op = arg_scope_func_key(func)  # type: ignore[attr-defined]
    _known[call._key_op] = call  # type: ignore[attr-defined]
    return call


@contextmanager
def arg_scope(list_ops_or_scope: Sequence[Callable[..., Any]] | Scope, **kwargs: Any) -> Iterator[Scope]:
    """A context manager that sets defaults for functions; yields the scope, which can be opened again.

    list_ops_or_scope: functions decorated with add_arg_scope, followed by the defaults; or a scope.
    Raises ValueError for an undecorated function, or for defaults in addition to a scope.
    """
    if isinstance(list_ops_or_scope, dict):
        if kwargs:
            raise ValueError("When attempting to re-use a scope by suppling a dictionary, kwargs must be empty.")
        scope = {key: dict(defaults) for key, defaults in list_ops_or_scope.items()}
    else:
        if not isinstance(list_ops_or_scope, (list, tuple)):
            raise TypeError(
                f"list_ops_or_scope must either be a list/tuple or reused scope (i.e. dict), not {list_ops_or_scope!r}"
            )
        scope = {key: dict(defaults) for key, defaults in _current.get().items()}
        for op in list_ops_or_scope:
            if not has_arg_scope(op):
                raise ValueError(f"{op.__name__} is not decorated with @add_arg_scope")
            scope[arg_scope_func_key(op)] = {**scope.get(arg_scope_func_key(op), {}), **kwargs}
    token = _current.set(scope)
    try:
        yield scope
    finally:
        _current.reset(token)
