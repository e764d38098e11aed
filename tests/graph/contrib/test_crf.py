"""Conditional random fields against all sequences of tags, one by one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import weftwork as tf

crf = tf.contrib.crf
TABLE = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)


def score(inputs, tags):
    unary = sum([row[tag] for row, tag in zip(inputs, tags, strict=False)])
    return unary + sum([TABLE[a, b] for a, b in zip(tags, tags[1:], strict=False)])


@pytest.mark.parametrize("lengths", [[4, 2, 0], [1, 1, 1]])
def test_scores_norms_and_best_tags_are_those_of_all_sequences(graph, lengths):
    time = max(lengths)
    rng = np.random.default_rng(1)
    inputs, tags = rng.normal(size=(3, time, 3)).astype(np.float32), rng.integers(0, 3, (3, time))
    allowed = rng.random((3, time, 3)) < 0.5
    allowed[np.arange(3)[:, None], np.arange(time), tags] = True
    given = tf.placeholder(tf.float32, [None, None, 3])
    log, table = crf.crf_log_likelihood(given, tags, lengths, tf.constant(TABLE))
    parts = crf.crf_sequence_score(given, tags, lengths, table), crf.crf_log_norm(given, lengths, table)
    some = crf.crf_multitag_sequence_score(given, allowed, lengths, table)
    best, top = crf.crf_decode(given, table, lengths)
    slope = tf.gradients(tf.reduce_sum(parts[1]), given)[0]
    with tf.Session() as session:
        got = session.run([*parts, log, some, best, top, slope], {given: inputs})
    for row, n in enumerate(lengths):
        found = {path: score(inputs[row], path) for path in product(range(3), repeat=n)}
        sums = np.logaddexp.reduce([*found.values()])
        mine = found[tuple(tags[row, :n].tolist())]
        kept = [s for path, s in found.items() if all([allowed[row, t, tag] for t, tag in enumerate(path)])]
        np.testing.assert_allclose([part[row] for part in got[:3]], [mine, sums, mine - sums], atol=1e-5)
        np.testing.assert_allclose(got[3][row], np.logaddexp.reduce(kept), atol=1e-5)
        chances = [
            np.sum([np.exp(s - sums) for path, s in found.items() if path[0] == tag]) if n else 0 for tag in range(3)
        ]
        np.testing.assert_allclose(got[6][row, 0], chances, atol=1e-5)  # marginals are the slope of the norm
        if n:
            path = max(found, key=lambda path: found[path])
            assert (tuple(got[4][row, :n].tolist()), got[4][row, n:].any()) == (path, False)
            assert got[5][row] == pytest.approx(found[path], abs=1e-5)
            assert crf.viterbi_decode(inputs[row, :n], TABLE) == (list(path), pytest.approx(found[path], abs=1e-5))


def test_transitions_are_a_variable_and_learn_the_order_of_tags(graph):
    with tf.variable_scope("crf"):
        log, table = crf.crf_log_likelihood(tf.zeros([2, 5, 3]), [[0, 1, 2, 0, 1], [1, 2, 0, 0, 0]], [5, 3])
    assert table.name == "crf/transitions:0"
    step = tf.train.AdamOptimizer(0.5).minimize(-tf.reduce_mean(log))
    best, _ = crf.crf_decode(tf.one_hot([[2, 0, 0, 0]], 3), table, [4])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(15):
            session.run(step)
        assert session.run(best).tolist() == [[2, 0, 1, 2]]
