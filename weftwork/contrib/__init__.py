"""tf.contrib: names for what this library has of tf.contrib."""

from typing import Any

from weftwork.contrib import (
    crf,
    framework,
    layers,
    legacy_seq2seq,
    lookup,
    losses,
    metrics,
    rnn,
    seq2seq,
    slim,
    staging,
    training,
    util,
)

__all__ = [
    "crf",
    "framework",
    "layers",
    "legacy_seq2seq",
    "lookup",
    "losses",
    "metrics",
    "rnn",
    "seq2seq",
    "slim",
    "staging",
    "training",
    "util",
]


def __getattr__(name: str) -> Any:
    """Raises AttributeError, which lists the parts of contrib that exist."""
    raise AttributeError(f"tf.contrib.{name} is not included. tf.contrib has {', '.join(__all__)}.")
