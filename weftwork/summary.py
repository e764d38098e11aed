"""tf.summary: what a training program shows of itself in TensorBoard.

`Summary`, `Event`, `SessionLog` and their kin are TensorBoard's own messages, imported when first asked for.
"""

from typing import Any

from weftwork.graph.training.summaries import histogram, image, merge, merge_all, protos, scalar, text
from weftwork.scheduler.training.event_files import FileWriter, FileWriterCache

__all__ = [
    "FileWriter",
    "FileWriterCache",
    "histogram",
    "image",
    "merge",
    "merge_all",
    "scalar",
    "text",
]

MESSAGES = {
    "Event": "event",
    "SessionLog": "event",
    "TaggedRunMetadata": "event",
    "HistogramProto": "summary",
    "Summary": "summary",
    "SummaryDescription": "summary",
    "SummaryMetadata": "summary",
}
"""The protocol buffers, and the module of each."""


def __getattr__(name: str) -> Any:
    """A message; AttributeError, which says what to install, where TensorBoard is not."""
    if name not in MESSAGES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(protos(MESSAGES[name]), name)
    except ImportError as error:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r} here. {error}") from error
