"""Distributions, beside SciPy's and TensorFlow's values."""

import numpy as np
import pytest
from scipy import stats

import weftwork as tf

D = tf.distributions
A, B = np.array([0.5, 2.0, 3.0], np.float32), np.array([1.0, 2.0, 0.5], np.float32)
P = np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]], np.float32)
W = np.array([[1.5, 2.0, 3.0], [2.0, 1.2, 4.0]], np.float32)
X = np.array([0.2, 0.5, 0.9], np.float32)
_A, _B = A.astype(float), B.astype(float)
NUMBERS = {
    "Normal": (lambda: D.Normal(A, B), stats.norm(_A, _B), X),
    "Laplace": (lambda: D.Laplace(A, B), stats.laplace(_A, _B), X),
    "StudentT": (lambda: D.StudentT(A + 2, A, B), stats.t(_A + 2, _A, _B), X),
    "Uniform": (lambda: D.Uniform(-A, B), stats.uniform(-_A, _A + _B), X),
    "Gamma": (lambda: D.Gamma(A, B), stats.gamma(_A, scale=1 / _B), X),
    "Exponential": (lambda: D.Exponential(A), stats.expon(scale=1 / _A), X),
    "Beta": (lambda: D.Beta(A, B), stats.beta(_A, _B), X),
    "Bernoulli": (lambda: D.Bernoulli(probs=X), stats.bernoulli(X), np.array([0, 1, 1], np.int32)),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_distribution_of_numbers_is_scipys(session, kind):
    make, wanted, x = NUMBERS[kind]
    made = make()
    density = wanted.logpmf if kind == "Bernoulli" else wanted.logpdf
    found = {"log_prob": made.log_prob(x), "prob": made.prob(x), "entropy": made.entropy() + 0 * X}
    expected = {"log_prob": density(x), "prob": np.exp(density(x)), "entropy": wanted.entropy()}
    found |= {"mean": made.mean(), "variance": made.variance(), "stddev": made.stddev()}
    expected |= {"mean": wanted.mean(), "variance": wanted.var(), "stddev": wanted.std()}
    if kind != "Bernoulli":
        found |= {"cdf": made.cdf(x), "log_cdf": made.log_cdf(x), "survival_function": made.survival_function(x)}
        expected |= {"cdf": wanted.cdf(x), "log_cdf": wanted.logcdf(x), "survival_function": wanted.sf(x)}
    values = session.run(found)
    for word, value in values.items():
        assert np.allclose(value, expected[word], rtol=2e-4, atol=1e-5), word
    assert (made.batch_shape.as_list(), made.event_shape.as_list(), made.mean().dtype) == ([3], [], tf.float32)


def test_draws_have_the_moments_that_are_told(session):
    made = {kind: make() for kind, (make, _, _) in NUMBERS.items()}
    drawn = {kind: one.sample([50, 40], seed=3) for kind, one in made.items()}
    assert {tuple(tensor.shape.as_list()) for tensor in drawn.values()} == {(50, 40, 3)}
    values = session.run([drawn, {kind: [one.mean(), one.stddev()] for kind, one in made.items()}])
    for kind, draws in values[0].items():
        mean, stddev = values[1][kind]
        assert np.all(np.abs(draws.mean((0, 1)) - mean) < 6 * stddev / 2000**0.5), kind


def test_distributions_over_classes(session):
    one, weights = D.Categorical(probs=P), D.Dirichlet(W)
    counts, mixed = D.Multinomial([4.0, 5.0], probs=P), D.DirichletMultinomial([4.0, 5.0], W)
    c = np.array([[1.0, 2.0, 1.0], [0.0, 0.0, 5.0]], np.float32)
    found = [one.log_prob([0, 2]), one.entropy(), one.mode(), one.cdf([1, 2]), weights.log_prob(P), weights.entropy()]
    found += [weights.variance(), counts.log_prob(c), counts.covariance(), mixed.log_prob(c), mixed.covariance()]
    wanted = [np.log([0.2, 0.8]), stats.entropy(P, axis=1), [1, 2], [0.2, 0.2]]
    rows = [(stats.dirichlet(w), p / p.sum(dtype=float)) for w, p in zip(W, P, strict=True)]
    wanted += [[d.logpdf(p) for d, p in rows], [d.entropy() for d, _ in rows], [d.var() for d, _ in rows]]
    for kind, rows in (
        (stats.multinomial, P / P.sum(1, keepdims=True, dtype=np.float64)),
        (stats.dirichlet_multinomial, W),
    ):
        made = [
            kind(*((n, row) if kind is stats.multinomial else (row, n))) for n, row in zip([4, 5], rows, strict=True)
        ]
        wanted.append([m.logpmf(row.astype(int)) for m, row in zip(made, c, strict=True)])
        wanted.append([m.cov() if callable(m.cov) else m.cov for m in made])
    for value, expected in zip(session.run(found), wanted, strict=True):
        assert np.allclose(value, expected, rtol=1e-4, atol=1e-5)
    drawn = session.run([kind.sample(400, seed=1) for kind in (counts, mixed, weights)] + [one.sample([2, 3])])
    assert [value.shape for value in drawn] == [(400, 2, 3)] * 3 + [(2, 3, 2)]
    assert all((counted.sum(2) == [4, 5]).all() for counted in drawn[:2])
    assert np.allclose(drawn[0].mean(0), P * [[4], [5]], atol=0.4)


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [  # TensorFlow's values
        (lambda: D.Normal(0.0, 1.0), lambda: D.Normal([1.0, 2.0], 3.0), [0.709723, 0.876390]),
        (lambda: D.Categorical([1.0, 2.0]), lambda: D.Categorical([2.0, 2.0]), 0.110944),
        (lambda: D.Bernoulli(1.0), lambda: D.Bernoulli(-1.0), 0.462117),
        (lambda: D.Beta(1.0, 2.0), lambda: D.Beta(3.0, 2.5), None),
        (lambda: D.Gamma(1.0, 2.0), lambda: D.Gamma(3.0, 2.5), None),
        (lambda: D.Exponential(1.0), lambda: D.Gamma(3.0, 2.5), None),
        (lambda: D.Dirichlet([1.0, 2.0]), lambda: D.Dirichlet([3.0, 2.5]), None),
        (lambda: D.Uniform(0.0, 1.0), lambda: D.Uniform(-1.0, [0.5, 2.0]), [np.inf, np.log(3)]),
    ],
)
def test_divergences(session, a, b, wanted):
    """In closed form, or the mean of the difference of the logarithms over draws."""
    one, other = a(), b()
    told = one.kl_divergence(other)
    if wanted is None:
        draws = one.sample(20000, seed=2)
        ratio = one.log_prob(draws) - other.log_prob(draws)
        found, mean, spread = session.run([told, tf.reduce_mean(ratio), tf.math.reduce_std(ratio)])
        assert abs(found - mean) < 6 * spread / 20000**0.5
    else:
        assert np.allclose(session.run(told), wanted, atol=1e-5)


def test_gradients_flow_through_draws_where_it_is_said(session):
    loc = tf.constant(2.0)
    normal, gamma = D.Normal(loc, 1.0), D.Gamma(loc, 1.0)
    assert session.run(tf.gradients(normal.sample(5), loc)) == [5.0]
    assert session.run(tf.gradients(gamma.sample(5), loc))[0] > 0
    continuous = [
        normal,
        gamma,
        D.Beta(loc, loc),
        D.Dirichlet([loc, loc]),
        D.StudentT(loc, 0.0, 1.0),
        D.Exponential(loc),
    ]
    assert {held.reparameterization_type for held in continuous} == {D.FULLY_REPARAMETERIZED}
    assert D.Multinomial(5.0, [loc]).reparameterization_type is D.NOT_REPARAMETERIZED
    assert repr(D.ReparameterizationType("MINE")) == "<Reparameterization Type: MINE>"


def test_what_does_not_fit_is_told(session):
    with pytest.raises(ValueError, match="Must pass probs or logits, but not both"):
        D.Bernoulli(1.0, 0.5)
    with pytest.raises(ValueError, match="must have the same dtype"):
        D.Normal(0.0, tf.constant(1.0, tf.float64))
    with pytest.raises(NotImplementedError, match="covariance is not implemented: Normal"):
        D.Normal(0.0, 1.0).covariance()
    with pytest.raises(NotImplementedError, match="registered for distribution_a type Normal and"):
        D.kl_divergence(D.Normal(0.0, 1.0), D.Gamma(1.0, 1.0))
    with pytest.raises(ValueError, match="already been registered"):
        D.RegisterKL(D.Normal, D.Normal)(lambda a, b, name=None: a.loc)
    for bad in (
        lambda: D.Normal(0.0, -1.0, validate_args=True).stddev(),
        lambda: D.Uniform(1.0, 0.0, validate_args=True).mean(),
        lambda: D.StudentT(0.5, 0.0, 1.0, allow_nan_stats=False).mean(),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError):
            session.run(bad())
    assert np.isnan(session.run(D.StudentT(0.5, 0.0, 1.0).mean()))


def test_a_class_of_ones_own_needs_only_what_it_uses(session):
    class Fixed(D.Distribution):
        """Always the same number."""

        def __init__(self, value, name="Fixed"):
            self.value = tf.constant(value)
            super().__init__(tf.float32, D.FULLY_REPARAMETERIZED, False, True, locals(), [self.value], name)

        def _batch_shape(self):
            return ()

        def _event_shape(self):
            return ()

        def _sample_n(self, n, seed):
            return tf.fill([n], self.value)

        def _stddev(self):
            return self.value

    made = Fixed(3.0).copy(value=2.0)
    assert session.run([made.sample([2, 2]), made.variance()])[1] == 4.0
    assert made.sample([2, 2]).shape.as_list() == [2, 2]
    with pytest.raises(NotImplementedError, match="log_prob is not implemented: Fixed"):
        made.log_prob(1.0)
