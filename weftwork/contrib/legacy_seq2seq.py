"""tf.contrib.legacy_seq2seq: losses and decoders for lists of tensors, one for each step."""

from weftwork.graph.contrib.sequences import (
    rnn_decoder,
    sequence_loss_by_example,
)
from weftwork.graph.contrib.sequences import (
    sequence_loss_of_lists as sequence_loss,
)

__all__ = [
    "rnn_decoder",
    "sequence_loss",
    "sequence_loss_by_example",
]
