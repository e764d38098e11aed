"""tf.distributions: probability distributions."""

# Importing them registers them.
import weftwork.graph.distributions.divergences  # noqa: F401  # pyright: ignore[reportUnusedImport]
from weftwork.graph.distributions.continuous import Laplace, Normal, StudentT, Uniform
from weftwork.graph.distributions.discrete import Bernoulli, Categorical
from weftwork.graph.distributions.distribution import (
    FULLY_REPARAMETERIZED,
    NOT_REPARAMETERIZED,
    Distribution,
    RegisterKL,
    ReparameterizationType,
    kl_divergence,
)
from weftwork.graph.distributions.positive import Beta, Exponential, Gamma
from weftwork.graph.distributions.simplex import Dirichlet, DirichletMultinomial, Multinomial

__all__ = [
    "FULLY_REPARAMETERIZED",
    "NOT_REPARAMETERIZED",
    "Bernoulli",
    "Beta",
    "Categorical",
    "Dirichlet",
    "DirichletMultinomial",
    "Distribution",
    "Exponential",
    "Gamma",
    "Laplace",
    "Multinomial",
    "Normal",
    "RegisterKL",
    "ReparameterizationType",
    "StudentT",
    "Uniform",
    "kl_divergence",
]
