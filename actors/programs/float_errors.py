"""NumPy's floating-point errors: silent in nodes of the library, and as the program has set them in users' functions.

quiet     how nodes of the library run: inf and nan appear without a warning, as in TensorFlow
loud      how users' functions run: with the program's settings (`np.errstate`)
A program with both begins quiet and turns loud for each user's function, which takes 0.05 us.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import numpy as np

from weftwork.graph.stacks import local

try:
    from numpy._core.umath import _extobj_contextvar as _state  # type: ignore[attr-defined]

    _now, _set = _state.get, _state.set
except ImportError:  # NumPy 1
    from numpy.core.umath import geterrobj as _now  # type: ignore[attr-defined]
    from numpy.core.umath import seterrobj as _set  # type: ignore[attr-defined]

with np.errstate(all="ignore"):
    _QUIET: Any = _now()
_chosen: ContextVar[Any] = ContextVar("weftwork_chosen_errors")
_described: tuple[Any, dict] = (None, {})


_BY_VALUE = type(_QUIET) is list
"""True with NumPy 1, which makes a new list of its state each time that it is asked."""


def _is_quiet(state: Any) -> bool:
    return state is _QUIET or (_BY_VALUE and state == _QUIET)


class quiet:
    """A context manager in which nodes run: NumPy yields inf and nan without a warning, as TensorFlow does.

    Settings that users' functions change inside last beyond it.
    """

    __slots__ = ("_before", "_graphs", "_level", "_outer")

    def __enter__(self) -> None:
        self._graphs = graphs = local.graphs
        self._level = graphs.level
        graphs.level = len(graphs)
        now = _now()
        self._outer = now is _QUIET or (_BY_VALUE and now == _QUIET)  # not by a call: this takes most of 0.5 us
        if not self._outer:
            self._before = _chosen.get(None)
            _chosen.set(now)
            _set(_QUIET)

    def __exit__(self, *_: Any) -> None:
        self._graphs.level = self._level
        now = _now()
        is_quiet = now is _QUIET or (_BY_VALUE and now == _QUIET)
        if self._outer:
            if not is_quiet:  # a user's function raised before `hush`
                hush()
            return
        _set(_chosen.get() if is_quiet else now)
        _chosen.set(self._before)


class reported:
    """A context manager in which users' functions run, with the program's settings for NumPy's errors."""

    __slots__ = ("_graphs", "_level", "_turned")

    def __enter__(self) -> None:
        self._graphs = graphs = local.graphs
        self._level = graphs.level
        graphs.level = len(graphs)
        self._turned = _is_quiet(_now())
        if self._turned:
            loud()

    def __exit__(self, *_: Any) -> None:
        self._graphs.level = self._level
        if self._turned:
            hush()


def loud() -> tuple:
    """A program step: turn loud before a user's function."""
    _set(_chosen.get())
    return ()


def hush() -> tuple:
    """A program step: turn quiet before nodes of the library."""
    _chosen.set(_now())
    _set(_QUIET)
    return ()


def states() -> tuple[Any, Any]:
    """A program step: the states for users' functions and for library nodes, to be passed to `set_state`.

    A program that is called outside a run is never quiet.
    """
    now = _now()
    return (_chosen.get(), _QUIET) if _is_quiet(now) else (now, now)


def set_state(state: Any) -> None:
    """A program step: set one of the states of `states`."""
    _set(state)


def turn(user: bool) -> None:
    """Turn loud for a user's function, quiet for a node of the library."""
    if _is_quiet(_now()) is user:
        loud() if user else hush()


def program_errors() -> dict[str, Any]:
    """The program's settings, as `np.geterr()` returns them, also while quiet."""
    global _described
    now = _now()
    if _is_quiet(now):
        loud()
        try:
            return dict(np.geterr())
        finally:
            hush()
    if _described[0] is not now:
        _described = (now, dict(np.geterr()))
    return _described[1]
