"""Decoders, their helpers, attention and beam search: a network that learns to repeat what it was told."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

seq2seq = tf.contrib.seq2seq
WORDS, SIZE, START, END = 9, 12, 1, 2
SOURCE = np.array([[3, 4, 5, 6], [7, 3, 8, 0], [5, 5, 0, 0]])
LENGTHS = np.array([4, 3, 2])


@pytest.fixture
def session(graph):
    with tf.Session() as session:
        yield session


class Repeater:
    """An encoder, and a decoder with attention over it, with the names that TensorFlow 1 gives."""

    def __init__(self):
        self.table = tf.get_variable("table", [WORDS, SIZE])
        cell = tf.nn.rnn_cell.GRUCell(SIZE)
        self.memory, self.last = tf.nn.dynamic_rnn(cell, self.embedded(SOURCE), LENGTHS, dtype=tf.float32)
        self.layer = tf.layers.Dense(WORDS, name="words")
        started = np.concatenate([np.full((3, 1), START), SOURCE], 1)
        helper = seq2seq.TrainingHelper(self.embedded(started), LENGTHS + 1)
        self.outputs, self.state, self.lengths = self.decoded(helper, impute_finished=True)
        wanted = np.zeros((3, 5), np.int32)
        for row, length in enumerate(LENGTHS):
            wanted[row, : length + 1] = [*SOURCE[row, :length], END]
        weights = tf.sequence_mask(LENGTHS + 1, dtype=tf.float32)
        self.loss = seq2seq.sequence_loss(self.outputs.rnn_output, wanted, weights)
        self.step = tf.train.AdamOptimizer(0.05).minimize(self.loss)

    def embedded(self, words):
        return tf.nn.embedding_lookup(self.table, words)

    def cell(self, memory, lengths, last):
        attention = seq2seq.BahdanauAttention(SIZE, memory, memory_sequence_length=lengths)
        cell = tf.nn.rnn_cell.GRUCell(SIZE)
        made = seq2seq.AttentionWrapper(cell, attention, attention_layer_size=SIZE, alignment_history=True)
        rows = tf.shape(memory)[0]
        return made, made.zero_state(rows, tf.float32).clone(cell_state=last)

    def decoded(self, helper, **options):
        with tf.variable_scope("decode", reuse=tf.AUTO_REUSE):
            cell, state = self.cell(self.memory, LENGTHS, self.last)
            decoder = seq2seq.BasicDecoder(cell, helper, state, output_layer=self.layer)
            return seq2seq.dynamic_decode(decoder, **options)

    def searched(self, width):
        with tf.variable_scope("decode", reuse=tf.AUTO_REUSE):
            wide = [seq2seq.tile_batch(t, width) for t in (self.memory, tf.constant(LENGTHS), self.last)]
            attention = seq2seq.BahdanauAttention(SIZE, wide[0], memory_sequence_length=wide[1])
            cell = seq2seq.AttentionWrapper(tf.nn.rnn_cell.GRUCell(SIZE), attention, attention_layer_size=SIZE)
            state = cell.zero_state(3 * width, tf.float32).clone(cell_state=wide[2])
            decoder = seq2seq.BeamSearchDecoder(
                cell, self.table, [START] * 3, END, state, width, self.layer, length_penalty_weight=0.5
            )
            return seq2seq.dynamic_decode(decoder, maximum_iterations=8)


def test_a_network_learns_to_repeat_and_says_it_by_itself(graph):
    model = Repeater()
    words, _, ends = model.decoded(seq2seq.GreedyEmbeddingHelper(model.table, [START] * 3, END), maximum_iterations=8)
    beams, _, _ = model.searched(3)
    names = [v.name for v in tf.trainable_variables()]
    inner = "decode/decoder/attention_wrapper"
    assert f"{inner}/bahdanau_attention/query_layer/kernel:0" in names
    assert f"{inner}/bahdanau_attention/attention_v:0" in names
    assert f"{inner}/attention_layer/kernel:0" in names
    assert len(names) == len(set(names)) == 15
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(80):
            loss, _ = session.run([model.loss, model.step])
        assert loss < 0.1
        said, lengths, found = session.run([words.sample_id, ends, beams.predicted_ids])
        assert lengths.tolist() == (LENGTHS + 1).tolist()
        for row, length in enumerate(LENGTHS):
            expected = [*SOURCE[row, :length], END]
            assert said[row, : length + 1].tolist() == expected
            assert found[row, : length + 1, 0].tolist() == expected
        assert found.shape[2] == 3
        outputs, history = session.run([model.outputs.rnn_output, model.state.alignment_history.stack()])
        assert (outputs[2, 3:] == 0).all()
        np.testing.assert_allclose(history.sum(2)[0], 1, rtol=1e-5)
        assert (history[0, 2, 2:] == 0).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda x, table: seq2seq.ScheduledOutputTrainingHelper(x, [5, 3], 0.5),
        lambda x, table: seq2seq.ScheduledEmbeddingTrainingHelper(x, [5, 3], table, 0.5),
        lambda x, table: seq2seq.SampleEmbeddingHelper(table, [0, 0], 99, softmax_temperature=2.0),
        lambda x, table: seq2seq.InferenceHelper(lambda o: o, [4], tf.float32, tf.zeros([2, 4]), lambda ids: False),
        lambda x, table: seq2seq.CustomHelper(
            lambda: (tf.constant([False, False]), tf.zeros([2, 4])),
            lambda time, outputs, state: tf.zeros([2], tf.int32),
            lambda time, outputs, state, sample_ids: (tf.constant([False, False]), outputs, state),
        ),
    ],
)
def test_each_helper_gives_steps(graph, make):
    cell, x = tf.nn.rnn_cell.GRUCell(4), tf.random_normal([2, 5, 4])
    decoder = seq2seq.BasicDecoder(cell, make(x, tf.random_normal([4, 4])), cell.zero_state(2, tf.float32))
    outputs, _, lengths = seq2seq.dynamic_decode(decoder, maximum_iterations=4, output_time_major=True)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        made, steps = session.run([outputs.rnn_output, lengths])
    assert made.shape == (4, 2, 4)
    assert steps[0] == 4


def test_luongs_attention_around_a_cell_of_a_network(graph):
    attention = seq2seq.LuongAttention(6, tf.random_normal([2, 4, 6]), scale=True)
    cell = seq2seq.AttentionWrapper(tf.nn.rnn_cell.GRUCell(6), attention, output_attention=False)
    outputs, state = tf.nn.dynamic_rnn(cell, tf.random_normal([2, 3, 5]), dtype=tf.float32)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        made, last = session.run([outputs, state])
    assert (made.shape, last.attention.shape, last.time) == ((2, 3, 6), (2, 6), 3)


def test_trees_of_beams_and_hardmax(session):
    ids = [[[1, 2]], [[3, 4]], [[5, 9]]]
    parents = [[[0, 0]], [[1, 0]], [[0, 1]]]
    assert session.run(seq2seq.gather_tree(ids, parents, [3], 9))[:, 0].T.tolist() == [[2, 3, 5], [1, 4, 9]]
    assert session.run(seq2seq.hardmax([[1.0, 5.0, 2.0]])).tolist() == [[0, 1, 0]]


def test_what_is_no_decoder_is_refused(graph):
    with pytest.raises(TypeError, match="Expected decoder to be type Decoder"):
        seq2seq.dynamic_decode(3)
    with pytest.raises(TypeError, match="helper must be a Helper"):
        seq2seq.BasicDecoder(tf.nn.rnn_cell.GRUCell(2), 3, None)
    with pytest.raises(ValueError, match="start_tokens must be a vector"):
        seq2seq.GreedyEmbeddingHelper(tf.zeros([2, 2]), 3, 1)
