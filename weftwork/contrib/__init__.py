"""tf.contrib: the names in it that stand for something outside of it."""

from typing import Any

from weftwork.contrib import (
    framework,
    layers,
    legacy_seq2seq,
    lookup,
    losses,
    metrics,
    rnn,
    seq2seq,
    slim,
    training,
    util,
)

__all__ = [
    "framework",
    "layers",
    "legacy_seq2seq",
    "lookup",
    "losses",
    "metrics",
    "rnn",
    "seq2seq",
    "slim",
    "training",
    "util",
]


def __getattr__(name: str) -> Any:
    """Raises AttributeError, which says what of contrib is here."""
    raise AttributeError(f"tf.contrib.{name} is not here. Of contrib there are {', '.join(__all__)}.")
