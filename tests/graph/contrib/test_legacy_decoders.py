"""Networks from sequences to sequences along lists: their variables, what they give, and that they learn."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

legacy = tf.contrib.legacy_seq2seq
IN, OUT, SIZE, ROWS = 7, 5, 4, 3
ENCODED = [np.array([1, 2, 3]), np.array([4, 5, 6])]
DECODED = [np.array([0, 0, 0]), np.array([1, 2, 3]), np.array([2, 3, 4])]
CELL = ["gates/kernel", "gates/bias", "candidate/kernel", "candidate/bias"]


def names():
    return [variable.op.name for variable in tf.trainable_variables()]


def test_decoders_with_attention_have_the_variables_of_tensorflow(graph):
    cell = tf.nn.rnn_cell.GRUCell(SIZE)
    outputs, state = legacy.embedding_attention_seq2seq(ENCODED, DECODED, cell, IN, OUT, 6)
    assert [t.shape.as_list() for t in (*outputs, state)] == [[ROWS, OUT]] * 3 + [[ROWS, SIZE]]
    top = "embedding_attention_seq2seq/"
    inner = top + "embedding_attention_decoder/attention_decoder/"
    assert names() == [
        top + "rnn/embedding_wrapper/embedding",
        *[f"{top}rnn/embedding_wrapper/gru_cell/{part}" for part in CELL],
        top + "embedding_attention_decoder/embedding",
        *[inner + part for part in ("AttnW_0", "AttnV_0", "kernel", "bias")],
        *[f"{inner}output_projection_wrapper/gru_cell/{part}" for part in CELL],
        *[f"{inner}output_projection_wrapper/{part}" for part in ("kernel", "bias")],
        *[f"{inner}{part}" for part in ("Attention_0/kernel", "Attention_0/bias")],
        *[f"{inner}AttnOutputProjection/{part}" for part in ("kernel", "bias")],
    ]


def test_attention_is_a_mean_of_states(graph):
    states = np.float32(np.random.default_rng(0).normal(size=(ROWS, 2, SIZE)))
    cell, first = tf.nn.rnn_cell.BasicRNNCell(6), tf.ones([ROWS, 6])
    ones = tf.ones_initializer()
    with tf.variable_scope("", initializer=ones):
        outputs, _ = legacy.attention_decoder([np.ones((ROWS, 2), np.float32)], first, states, cell, output_size=1,
                                              initial_state_attention=True)  # fmt: skip
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        got = session.run(outputs[0])

    def seen(state):
        scores = np.tanh(states.sum(2, keepdims=True) + state.sum(1)[:, None, None]).sum(2) * SIZE
        shares = np.exp(scores - scores.max(1, keepdims=True))
        return ((shares / shares.sum(1, keepdims=True))[:, :, None] * states).sum(1)

    mixed = 2 + seen(np.ones((ROWS, 6))).sum(1, keepdims=True)
    state = np.repeat(np.tanh(2 * mixed + 6 + 0), 6, axis=1)
    np.testing.assert_allclose(got[:, 0], state.sum(1) + seen(state).sum(1), rtol=1e-4)


@pytest.mark.parametrize("network", [legacy.embedding_rnn_seq2seq, legacy.embedding_attention_seq2seq])
def test_a_tensor_chooses_whether_outputs_are_fed_back(graph, network):
    previous = tf.placeholder(tf.bool, [])
    made = []
    for choice in (previous, True, False):
        with tf.variable_scope("", reuse=bool(made)):
            cell = tf.nn.rnn_cell.GRUCell(SIZE)
            made.append(network(ENCODED, DECODED, cell, IN, OUT, 6, feed_previous=choice, scope="net")[0])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for choice in (True, False):
            either, back, given = session.run(made, {previous: choice})
            np.testing.assert_allclose(either, back if choice else given, rtol=1e-5)
        assert not np.allclose(back[2], given[2])


def test_buckets_share_a_network_that_learns(graph):
    cell = tf.nn.rnn_cell.GRUCell(8)
    weights = [np.ones(ROWS, np.float32)] * 2
    outputs, losses = legacy.model_with_buckets(
        ENCODED, DECODED, DECODED[1:], weights, [(1, 1), (2, 2)],
        lambda x, y: legacy.embedding_rnn_seq2seq(x, y, cell, IN, OUT, 6),
    )  # fmt: skip
    assert [len(each) for each in outputs] == [1, 2]
    assert len(names()) == 12
    step = tf.train.AdamOptimizer(0.1).minimize(losses[1])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        before, _ = session.run([losses, step])
        for _ in range(10):
            session.run(step)
        after = session.run(losses)
    assert after[1] < before[1] / 2
    with pytest.raises(ValueError, match=r"^Length of targets \(1\) must be at least that of last bucket \(2\)\.$"):
        legacy.model_with_buckets(ENCODED, DECODED, DECODED[1:2], weights, [(2, 2)], lambda x, y: ([], None))


def test_encoders_and_decoders_are_apart_or_tied(graph):
    x = [np.ones((ROWS, SIZE), np.float32)] * 2
    cell = tf.nn.rnn_cell.BasicRNNCell(SIZE)
    legacy.basic_rnn_seq2seq(x, x, cell)
    assert names() == [f"basic_rnn_seq2seq/{part}/basic_rnn_cell/{word}" for part in ("rnn", "rnn_decoder")
                       for word in ("kernel", "bias")]  # fmt: skip
    used = tf.nn.rnn_cell.BasicRNNCell(SIZE)
    legacy.tied_rnn_seq2seq(x, x, used)
    assert names()[4:] == [f"combined_tied_rnn_seq2seq/tied_rnn_seq2seq/basic_rnn_cell/{w}" for w in ("kernel", "bias")]
    with pytest.raises(ValueError, match="has been called already: an encoder and a decoder take a new cell.$"):
        legacy.basic_rnn_seq2seq(x, x, used)
