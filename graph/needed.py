"""What a call needs: options for resources, labels and limits, checked and sorted."""

from __future__ import annotations

from collections.abc import Mapping


def needed(
    num_cpus: float | None, num_gpus: float | None, memory: float | None, resources: Mapping[str, float] | None
) -> tuple[tuple[str, float], ...]:
    """Ray resources from the usual options, sorted by name. Raises ValueError for a negative or unnamed amount."""
    amounts = _mapping("resources", resources)
    for key, value in (("CPU", num_cpus), ("GPU", num_gpus), ("memory", memory)):
        if key in amounts:
            raise ValueError(f"Pass {key} as an option of its own, not in resources.")
        if value is not None:
            amounts[key] = value
    for key, value in amounts.items():
        if not isinstance(key, str) or not isinstance(value, (int, float)) or value < 0:
            raise ValueError(f"resources must map names to amounts of at least 0, but got {key!r}: {value!r}.")
    return tuple(sorted(amounts.items()))


def limited(limits: Mapping[str, int] | None) -> tuple[tuple[str, int], ...]:
    """Named limits, sorted by name. Raises ValueError unless a mapping of text to whole numbers of 1 or more."""
    amounts = _mapping("limits", limits)
    for key, value in amounts.items():
        if not isinstance(key, str) or isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"limits must map names to integers of at least 1, but got {key!r}: {value!r}.")
    return tuple(sorted(amounts.items()))


def selected(label_selector: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    """Ray's label selector, sorted by label. Raises ValueError unless it is a mapping of text to text."""
    chosen = _mapping("label_selector", label_selector)
    for key, value in chosen.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ValueError(
                f"label_selector must map labels to the values that they must have, but got {key!r}: {value!r}."
            )
    return tuple(sorted(chosen.items()))


def _mapping(name: str, value: Mapping | None) -> dict:
    """An option as a new dict. Raises TypeError unless it is a mapping, or None."""
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping, not {value!r}.")
    return dict(value or {})
