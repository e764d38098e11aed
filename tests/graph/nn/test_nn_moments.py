"""Moments with weights, normalization by the batch, rows put together by sparse ids, samplers of classes."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf
from tests.evaluate import evaluate
from tests.graph.gradients.test_gradient_rules import check, normal, positive

X = normal(3, 4, 2)


def test_weights_say_how_often_an_element_counts(graph):
    mean, variance = tf.nn.weighted_moments([1.0, 2.0, 5.0], 0, [1.0, 2.0, 1.0])
    assert evaluate(mean) == 2.5
    assert evaluate(variance) == np.var([1, 2, 2, 5])
    kept, _ = tf.nn.weighted_moments(X, [0, 1], positive(3, 4, 1), keep_dims=True)
    assert kept.shape.as_list() == [1, 1, 2]
    check(lambda x, w: tf.nn.weighted_moments(x, [0], w), normal(3, 2), positive(3, 1))


@pytest.mark.parametrize("shift", [None, 0.5])
def test_moments_come_of_their_sufficient_statistics(graph, shift):
    mean, variance = tf.nn.normalize_moments(*tf.nn.sufficient_statistics(X, [0, 1], shift))
    np.testing.assert_allclose(evaluate(mean), X.mean((0, 1)))
    np.testing.assert_allclose(evaluate(variance), X.var((0, 1)))


def test_the_statistics_of_integers_are_integers(graph):
    count, total, squares, _ = tf.nn.sufficient_statistics(tf.constant([[1, 2]]), [0])
    assert {t.dtype for t in (count, total, squares)} == {tf.int32}
    assert [evaluate(t).tolist() for t in (count, total, squares)] == [1, [1, 2], [1, 4]]


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_a_batch_is_normalized_by_its_moments(graph, layout):
    images = normal(2, 3, 4, 2)
    given = images if layout == "NHWC" else images.transpose(0, 3, 1, 2)
    y, mean, variance = tf.nn.fused_batch_norm(given, [2.0, 3.0], [1.0, 0.0], data_format=layout)
    found = evaluate(y) if layout == "NHWC" else evaluate(y).transpose(0, 2, 3, 1)
    wanted = (images - images.mean((0, 1, 2))) / np.sqrt(images.var((0, 1, 2)) + 0.001) * [2, 3] + [1, 0]
    np.testing.assert_allclose(found, wanted)
    np.testing.assert_allclose(evaluate(mean), images.mean((0, 1, 2)))
    np.testing.assert_allclose(evaluate(variance), images.var((0, 1, 2), ddof=1))
    fixed, _, _ = tf.nn.fused_batch_norm(images, [1.0, 1.0], [0.0, 0.0], [1.0, 2.0], [4.0, 4.0], 0.0, is_training=False)
    np.testing.assert_allclose(evaluate(fixed), (images - [1, 2]) / 2)
    with pytest.raises(ValueError, match="Both 'mean' and 'variance'"):
        tf.nn.fused_batch_norm(images, [1.0, 1.0], [0.0, 0.0], is_training=False)


def test_a_poisson_loss_is_least_at_the_count(graph):
    logs = np.log(np.arange(1, 9.0))
    losses = evaluate(tf.nn.log_poisson_loss(np.full(8, 3.0), logs, compute_full_loss=True))
    assert losses.argmin() == 2
    assert evaluate(tf.nn.swish(np.zeros(1))).tolist() == [0]


TABLE = np.arange(12, dtype=np.float64).reshape(6, 2)
INDICES = np.array([[0, 0], [0, 1], [2, 0]], np.int64)


def _ids(values=(1, 3, 5), shape=(4, 2)):
    return tf.SparseTensor(INDICES, np.array(values, np.int64), shape)


@pytest.mark.parametrize(("combiner", "divisor"), [("sum", 1), ("mean", 3), ("sqrtn", 5**0.5)])
def test_rows_are_put_together_by_sparse_ids(graph, combiner, divisor):
    weights = tf.SparseTensor(INDICES, np.array([1.0, 2.0, 3.0]), [4, 2])
    found = evaluate(tf.nn.embedding_lookup_sparse(TABLE, _ids(), weights, combiner=combiner))
    np.testing.assert_allclose(found[0], (TABLE[1] + 2 * TABLE[3]) / divisor)
    assert found.shape == (3, 2)
    assert not found[1].any()


def test_a_safe_lookup_leaves_out_what_is_no_id_and_fills_empty_rows(graph):
    found = evaluate(tf.nn.safe_embedding_lookup_sparse(TABLE, _ids((1, -1, 5))))
    np.testing.assert_allclose(found, [TABLE[1], [0, 0], TABLE[5], [0, 0]])
    found = evaluate(tf.nn.safe_embedding_lookup_sparse(TABLE, _ids((1, -1, 5)), default_id=2))
    np.testing.assert_allclose(found[[1, 3]], TABLE[[2, 2]])
    with pytest.raises(TypeError, match="sp_ids must be SparseTensor"):
        tf.nn.embedding_lookup_sparse(TABLE, [1], None)


def test_a_lookup_by_sparse_ids_has_a_gradient(graph):
    table = tf.constant(TABLE)
    (grad,) = tf.gradients(tf.nn.embedding_lookup_sparse(table, _ids(), None), table)
    found = evaluate(tf.convert_to_tensor(grad))
    np.testing.assert_allclose(found[:, 0], [0, 0.5, 0, 0.5, 0, 1])


def test_classes_are_drawn_in_proportion_to_their_counts(graph):
    true = tf.constant([[1], [2]], tf.int64)
    sampled, of_true, of_sampled = tf.nn.fixed_unigram_candidate_sampler(
        true, 1, 4000, unique=False, range_max=4, unigrams=[1.0, 3.0, 4.0], num_reserved_ids=1, seed=1
    )
    with tf.Session() as session:
        drawn, expected, each = session.run([sampled, of_true, of_sampled])
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 4000, [0, 1 / 8, 3 / 8, 1 / 2], atol=0.05)
    np.testing.assert_allclose(expected, [[500], [1500]], rtol=1e-5)
    assert set(each.tolist()) == {500, 1500, 2000}
    unique, _, _ = tf.nn.fixed_unigram_candidate_sampler(true, 1, 3, True, 3, unigrams=[1.0, 1.0, 1.0])
    with tf.Session() as session:
        assert sorted(session.run(unique)) == [0, 1, 2]
    every, _, _ = tf.nn.all_candidate_sampler(true, 1, 5, True)
    assert evaluate(every).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="range_max is 5, but there are 3 classes"):
        tf.nn.fixed_unigram_candidate_sampler(true, 1, 2, True, 5, unigrams=[1.0] * 3)


def test_candidates_that_are_true_classes_are_found(graph):
    rows, places, weights = tf.nn.compute_accidental_hits([[1, 2], [3, 4]], [4, 1, 7, 2], 2)
    assert sorted(zip(evaluate(rows).tolist(), evaluate(places).tolist(), strict=True)) == [(0, 1), (0, 3), (1, 0)]
    assert (evaluate(weights) < -1e37).all()


def test_losses_of_directions_and_of_pairs(graph):
    a, b = [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]
    assert evaluate(tf.losses.cosine_distance(a, b, axis=1)) == 0.5
    labels, guesses = np.float32([[0, 1, 3]]), np.float32([[1, 1, 1]])
    pairs = [((guesses[0, i] - guesses[0, j]) - (labels[0, i] - labels[0, j])) ** 2 for i in range(3) for j in range(3)]
    assert evaluate(tf.losses.mean_pairwise_squared_error(labels, guesses)) == pytest.approx(sum(pairs) / 6)
    assert len(tf.losses.get_losses()) == 2
    with pytest.raises(ValueError, match="You must specify 'axis'"):
        tf.losses.cosine_distance(a, b)
