"""tf.contrib.legacy_seq2seq: networks, losses and decoders for lists of tensors, one for each step."""

from weftwork.graph.contrib.legacy_decoders import (
    attention_decoder,
    basic_rnn_seq2seq,
    embedding_attention_decoder,
    embedding_attention_seq2seq,
    embedding_rnn_decoder,
    embedding_rnn_seq2seq,
    model_with_buckets,
    tied_rnn_seq2seq,
)
from weftwork.graph.contrib.sequences import (
    rnn_decoder,
    sequence_loss_by_example,
)
from weftwork.graph.contrib.sequences import (
    sequence_loss_of_lists as sequence_loss,
)

__all__ = [
    "attention_decoder",
    "basic_rnn_seq2seq",
    "embedding_attention_decoder",
    "embedding_attention_seq2seq",
    "embedding_rnn_decoder",
    "embedding_rnn_seq2seq",
    "model_with_buckets",
    "rnn_decoder",
    "sequence_loss",
    "sequence_loss_by_example",
    "tied_rnn_seq2seq",
]
