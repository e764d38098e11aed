"""numpy.random while functions draw from it: each call has a generator of its own, in whichever thread it is made.

A draw takes the lock of the generator in use. Here, whoever takes that lock gets the generator of the call that its
thread makes, seeded when it is first needed; a thread that makes no call gets the program's. So calls in several
threads at once draw what they would draw one after another, and a call that draws nothing costs next to nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from weftwork.graph.forks import fresh

_NUMPYS = np.random.rand.__self__  # type: ignore[attr-defined]
_Plain = np.random.MT19937
_now: Callable[[], Any] = np.random.get_bit_generator  # type: ignore[attr-defined]
_put_to_use: Callable[[Any], None] = np.random.set_bit_generator  # type: ignore[attr-defined]


class MT19937(np.random.MT19937):
    """A generator with the lock of `TURNS`. NumPy knows its kind by this name."""

    @property
    def lock(self) -> Any:
        """What a draw enters."""
        return TURNS.lock

    @property
    def state(self) -> Any:
        """The state of the generator that the asking thread draws from."""
        with TURNS:
            used = _now()
            return _STATE.__get__(used) if isinstance(used, MT19937) else used.state

    @state.setter
    def state(self, value: Any) -> None:
        with TURNS:
            used = _now()
            if isinstance(used, MT19937):
                _STATE.__set__(used, value)
            else:
                used.state = value

    def _legacy_seeding(self, seed: Any) -> None:
        with TURNS:
            used = _now()
            _Plain._legacy_seeding(used, seed) if isinstance(used, MT19937) else used._legacy_seeding(seed)

    def __reduce__(self) -> Any:
        plain = _Plain()
        plain.state = self.state
        return plain.__reduce__()


_STATE: Any = _Plain.state


class _Call:
    """One call.   seed: returns its seed, as bytes.   cached: the second number of a pair of normal ones, if unused."""

    __slots__ = ("cached", "generator", "seed")

    def __init__(self, seed: Callable[[], bytes]):
        self.seed = seed
        self.generator: MT19937 | None = None
        self.cached: float | None = None


_NOBODY = _Call(bytes)
"""Whose generator is in use until someone draws."""
_NOBODY.generator = MT19937(0)
_spare: list[MT19937] = []
"""Generators to be reused: making one takes longer than a short call."""


class Turns:
    """The calls in progress that may draw. As a context: a draw."""

    def __init__(self):
        self._lock = fresh(threading.RLock())
        """Held by whoever draws."""
        self._here = threading.local()
        self._count = 0
        self._program: Any = None
        """The generator of the program, while there are calls."""
        self._turn: _Call | None = _NOBODY
        """The call whose generator is in use; None if it is the program's."""
        self._shared = False
        """Whether draws must find out who makes them. A call that is alone, and surely draws, is spared that."""
        self._changing = False

    @property
    def lock(self) -> Any:
        """The lock of the generators."""
        return self if self._shared else self._lock

    @contextmanager
    def call(self, seed: Callable[[], bytes], surely: bool) -> Iterator[None]:
        """A context in which this thread makes a call that may draw, or surely draws."""
        mine, outer = _Call(seed), getattr(self._here, "call", None)
        with self._lock:
            self._count += 1
            self._here.call = mine
            if self._count == 1:
                self._program, self._shared = _now(), not surely
                self._give(mine if surely else _NOBODY)
            elif not self._shared:
                self._shared = True
                self._give(self._turn)
        try:
            yield
        finally:
            with self._lock:
                self._here.call = outer
                self._count -= 1
                if not self._count:
                    _put_to_use(self._program)
                    self._program, self._turn = None, _NOBODY
                elif self._turn is mine:
                    self._give(_NOBODY)
                if mine.generator is not None:
                    _spare.append(mine.generator)

    def number(self) -> int:
        """A number of 64 bits, from the generator of the call that this thread makes, or else from the program's.

        NumPy caches every second normal number for the next call. It is dropped, as when a function runs here.
        """
        with self._lock:
            mine = getattr(self._here, "call", None)
            if self._count and mine is None:
                drawn = np.random.RandomState(self._program).bytes(8)
            else:
                if mine is not None and mine is not self._turn:
                    self._give(mine)
                _put_to_use(_now())
                drawn = np.random.bytes(8)
            return int.from_bytes(drawn, "little")

    def __enter__(self) -> None:
        self._lock.acquire()
        mine = getattr(self._here, "call", None)
        if mine is not self._turn and self._count and not self._changing:
            self._give(mine)

    def __exit__(self, *_: object) -> None:
        if self._turn is None and not self._changing:
            self._give(_NOBODY)  # the program's generator has a lock of its own
        self._lock.release()

    def _give(self, call: _Call | None) -> None:
        """Put the generator of a call to use, or the program's. A cached normal number stays with its call."""
        self._changing = True
        try:
            if self._turn is not None and self._turn is not _NOBODY:
                now = _NUMPYS.get_state(legacy=False)
                self._turn.cached = now["gauss"] if now["has_gauss"] else None
            if call is not None and call.generator is None:
                call.generator = _spare.pop() if _spare else MT19937()
                _Plain._legacy_seeding(call.generator, np.frombuffer(call.seed(), np.uint32))
            _put_to_use(self._program if call is None else call.generator)
            if call is not None and call.cached is not None:
                _NUMPYS.set_state({**_NUMPYS.get_state(legacy=False), "has_gauss": 1, "gauss": call.cached})
            self._turn = call
        finally:
            self._changing = False


TURNS = Turns()
"""Those of this process."""
