"""Seconds, bytes, places and lists in readable form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

_MINUTES_FROM = 120.0
"""Seconds from which times are given in minutes."""
_ROUNDED_UP = 0.9995
"""Numbers from this one on round to 1 with three figures."""
_PLACES = {"thread": "helper thread", "resident": "local worker", "actor": "variable actor", "loop": "event loop"}


def place_text(place: str) -> str:
    """The name of a `Lane.place` for readers, such as "local worker" for "resident"."""
    return _PLACES.get(place, place)


def time_text(seconds: float) -> str:
    """Seconds in a suitable unit: 3.1 us, 12 ms, 7.4 s, 5 min 12 s, 2 h 5 min."""
    if seconds >= _MINUTES_FROM:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"
    return _scaled(seconds, (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)))


def bytes_text(count: float) -> str:
    """Bytes in a suitable unit: 90 MB, 1.2 kB, 17 bytes."""
    return _scaled(count, (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("bytes", 1.0)))


def listed(items: Sequence[Any], name: Callable[[Any], str] = str, most: int = 3) -> str:
    """The first items by name: a, b, c and 2 more."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join([name(item) for item in items[:most]]) + more


def _scaled(amount: float, units: Sequence[tuple[str, float]]) -> str:
    """Three figures and a unit: the largest one of which there is at least one, as rounded."""
    unit, scale = next((one for one in units if amount >= _ROUNDED_UP * one[1]), units[-1])
    figure = amount / scale
    return f"{figure:.3g} {unit}" if figure < 1000 * _ROUNDED_UP else f"{figure:,.0f} {unit}"
