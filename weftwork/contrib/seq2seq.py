"""tf.contrib.seq2seq: the loss of sequences."""

from weftwork.graph.contrib.sequences import (
    sequence_loss,
)

__all__ = [
    "sequence_loss",
]
