"""Labels whose places in time are not known: the loss against all paths, decoders, second derivatives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import weftwork as tf
from tests.evaluate import evaluate
from tests.graph.gradients.test_gradient_rules import check, normal

BLANK = 2


def collapsed(path, merge=True):
    kept = [c for i, c in enumerate(path) if not merge or not i or path[i - 1] != c]
    return [c for c in kept if c != BLANK]


def probability(logits, labels, merge=True):
    """The sum over all paths that read as the labels."""
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    odds /= odds.sum(-1, keepdims=True)
    return sum(
        np.prod([odds[t, c] for t, c in enumerate(path)])
        for path in itertools.product(range(logits.shape[1]), repeat=len(logits))
        if collapsed(path, merge) == list(labels)
    )


def sparse(rows):
    indices = np.array([[i, j] for i, row in enumerate(rows) for j in range(len(row))], np.int64)
    return tf.SparseTensor(indices, tf.constant([c for row in rows for c in row], tf.int32), [len(rows), 4])


ROWS = [[0, 0], [1], [1, 0, 1]]
LENGTHS = [4, 3, 4]


@pytest.mark.parametrize("merge", [True, False])
def test_the_loss_is_that_of_all_paths_that_read_as_the_labels(graph, merge):
    logits = normal(4, 3, 3)
    found = evaluate(tf.nn.ctc_loss(sparse(ROWS), logits, LENGTHS, ctc_merge_repeated=merge))
    wanted = [-np.log(probability(logits[:n, b], ROWS[b], merge)) for b, n in enumerate(LENGTHS)]
    np.testing.assert_allclose(found, wanted)


def test_its_derivative_is_that_of_central_differences_and_the_second_is_an_error(graph):
    check(lambda x: tf.nn.ctc_loss(sparse(ROWS), x, LENGTHS), normal(4, 3, 3), second=False)
    x = tf.constant(normal(4, 3, 3))
    (first,) = tf.gradients(tf.nn.ctc_loss(sparse(ROWS), x, LENGTHS), x)
    with pytest.raises(LookupError, match="no way to take the second derivative of ctc_loss"):
        tf.gradients(first, x)


def test_repeats_may_be_one_label_and_time_may_come_second(graph):
    logits = normal(3, 4, 3)
    made = tf.nn.ctc_loss(sparse(ROWS), logits, LENGTHS, preprocess_collapse_repeated=True, time_major=False)
    np.testing.assert_allclose(evaluate(made)[0], -np.log(probability(logits[0], [0])))


def test_dense_labels_have_the_blank_first(graph):
    logits = normal(4, 2, 3)
    made = tf.nn.ctc_loss_v2(tf.constant([[1, 2], [2, 0]]), logits, [2, 1], [4, 4])
    other = tf.nn.ctc_loss(sparse([[0, 1], [1]]), logits[:, :, [1, 2, 0]], [4, 4])
    np.testing.assert_allclose(evaluate(made), evaluate(other))


def test_labels_that_do_not_fit_into_the_time_are_an_error_or_left_out(graph):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Not enough time .*required: 3, available: 2"):
        evaluate(tf.nn.ctc_loss(sparse(ROWS), normal(4, 3, 3), [2, 2, 2]))
    found = evaluate(tf.nn.ctc_loss(sparse(ROWS), normal(4, 3, 3), [2, 2, 2], ignore_longer_outputs_than_inputs=True))
    assert found[0] == found[2] == 0 < found[1]
    with pytest.raises(TypeError, match="to be a SparseTensor"):
        tf.nn.ctc_loss([[1]], normal(4, 1, 3), [4])


@pytest.mark.parametrize(("merge", "read"), [(True, [[0, 0], [1]]), (False, [[0, 0, 0], [1, 1, 1]])])
def test_the_greedy_decoder_reads_the_likeliest_path(graph, merge, read):
    paths = [[0, 0, BLANK, 0], [1, 1, 1, BLANK]]
    logits = np.eye(3)[np.array(paths).T] * 5
    (decoded,), score = tf.nn.ctc_greedy_decoder(logits, [4, 4], merge_repeated=merge)
    rows = [[], []]
    with tf.Session() as session:
        value, found = session.run([decoded, score])
    for (row, _), label in zip(value.indices, value.values, strict=True):
        rows[row].append(int(label))
    assert rows == read
    assert found.tolist() == [[-20], [-20]]


def test_the_beam_search_finds_the_likeliest_labels(graph):
    logits = normal(4, 1, 3)
    every = {
        tuple(labels): probability(logits[:, 0], labels)
        for n in range(4)
        for labels in itertools.product(range(2), repeat=n)
    }
    best = sorted(every, key=lambda labels: -every[labels])[:3]
    decoded, scores = tf.nn.ctc_beam_search_decoder(logits, [4], top_paths=3, merge_repeated=False)
    with tf.Session() as session:
        values, found = session.run([[d.values for d in decoded], scores])
    assert [tuple(v.tolist()) for v in values] == best
    np.testing.assert_allclose(found[0], np.log([every[labels] for labels in best]))


def test_repeats_in_rows_are_taken_out(graph):
    rows, lengths = tf.nn.collapse_repeated([[1, 1, 2, 2, 1], [0, 0, 3, 3, 3]], [5, 3])
    assert evaluate(rows).tolist() == [[1, 2, 1], [0, 3, 0]]
    assert evaluate(lengths).tolist() == [3, 2]


def test_each_rows_distinct_labels_and_their_places(graph):
    values, places = tf.nn.ctc_unique_labels([[3, 4, 4, 3], [1, 1, 2, 0]])
    assert (values.dtype, places.dtype) == (tf.int64, tf.int32)
    assert evaluate(values).tolist() == [[3, 4, 0, 0], [1, 2, 0, 0]]
    assert evaluate(places).tolist() == [[0, 1, 1, 0], [0, 0, 1, 2]]
