"""Seconds, bytes and places in readable form."""

from __future__ import annotations

_PLACES = {"thread": "helper thread", "resident": "local worker", "actor": "variable actor", "loop": "event loop"}


def place_text(place: str) -> str:
    """The name of a `Lane.place` for readers, such as "local worker" for "resident"."""
    return _PLACES.get(place, place)


def time_text(seconds: float) -> str:
    """Seconds in a suitable unit: 7.4 s, 12 ms, 3.1 us."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def bytes_text(count: float) -> str:
    """Bytes in a suitable unit: 90 MB, 1.2 kB, 17 bytes."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f} bytes"
