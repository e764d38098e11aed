"""tf.summary: summaries, which TensorBoard shows.

`Summary`, `Event`, `SessionLog` and related messages are TensorBoard's own, imported when first used.
"""

from typing import Any

from weftwork.graph.protos import SUMMARY_MESSAGES, protos
from weftwork.graph.training.summaries import (
    audio,
    get_summary_description,
    histogram,
    image,
    merge,
    merge_all,
    scalar,
    tensor_summary,
    text,
)
from weftwork.scheduler.training.event_files import FileWriter, FileWriterCache

__all__ = [
    "FileWriter",
    "FileWriterCache",
    "audio",
    "get_summary_description",
    "histogram",
    "image",
    "merge",
    "merge_all",
    "scalar",
    "tensor_summary",
    "text",
]


def __getattr__(name: str) -> Any:
    """A message. Raises AttributeError, which says what to install, if TensorBoard is missing."""
    if name not in SUMMARY_MESSAGES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(protos(SUMMARY_MESSAGES[name]), name)
    except ImportError as error:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r} here. {error}") from error
