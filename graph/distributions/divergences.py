"""The Kullback-Leibler divergences of the distributions here, in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph.distributions.continuous import Normal, Uniform
from weftwork.graph.distributions.discrete import Bernoulli, Categorical
from weftwork.graph.distributions.distribution import RegisterKL
from weftwork.graph.distributions.positive import Beta, Gamma
from weftwork.graph.distributions.simplex import Dirichlet
from weftwork.graph.nn.ops import log_softmax, softplus
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, filling, math_ops, reductions, selecting, special


@RegisterKL(Normal, Normal)
def _normals(a: Normal, b: Normal, name: Any = None) -> Tensor:
    ratio = math_ops.square(a.scale / b.scale)
    return math_ops.square((a.loc - b.loc) / b.scale) / 2.0 + 0.5 * (ratio - 1.0 - math_ops.log(ratio))


@RegisterKL(Uniform, Uniform)
def _uniforms(a: Uniform, b: Uniform, name: Any = None) -> Tensor:
    told = math_ops.log(b.high - b.low) - math_ops.log(a.high - a.low)
    within = math_ops.logical_and(b.low + 0.0 * told <= a.low, a.high + 0.0 * told <= b.high)
    return selecting.where_v2(within, told, filling.zeros_like(told) + np.inf)


@RegisterKL(Bernoulli, Bernoulli)
def _bernoullis(a: Bernoulli, b: Bernoulli, name: Any = None) -> Tensor:
    one = softplus(-b.logits) - softplus(-a.logits)
    zero = softplus(b.logits) - softplus(a.logits)
    return math_ops.sigmoid(a.logits) * one + math_ops.sigmoid(-a.logits) * zero


@RegisterKL(Categorical, Categorical)
def _categoricals(a: Categorical, b: Categorical, name: Any = None) -> Tensor:
    told, other = log_softmax(a.logits), log_softmax(b.logits)
    return reductions.reduce_sum(math_ops.exp(told) * (told - other), -1)


@RegisterKL(Gamma, Gamma)
def _gammas(a: Gamma, b: Gamma, name: Any = None) -> Tensor:
    p, q = a.concentration, b.concentration
    told = (p - q) * math_ops.digamma(p) + math_ops.lgamma(q) - math_ops.lgamma(p)
    return told + q * (math_ops.log(a.rate) - math_ops.log(b.rate)) + p * (b.rate / a.rate - 1.0)


@RegisterKL(Beta, Beta)
def _betas(a: Beta, b: Beta, name: Any = None) -> Tensor:
    one, zero = a.concentration1 - b.concentration1, a.concentration0 - b.concentration0
    told = one * math_ops.digamma(a.concentration1) + zero * math_ops.digamma(a.concentration0)
    return b.log_beta() - a.log_beta() + told - (one + zero) * math_ops.digamma(a.total_concentration)


@RegisterKL(Dirichlet, Dirichlet)
def _dirichlets(a: Dirichlet, b: Dirichlet, name: Any = None) -> Tensor:
    more = math_ops.digamma(a.concentration) - math_ops.digamma(array_ops.expand_dims(a.total_concentration, -1))
    told = reductions.reduce_sum((a.concentration - b.concentration) * more, -1)
    return told - special.lbeta(a.concentration) + special.lbeta(b.concentration)
