"""tf.random: random numbers."""

from weftwork.graph.nn.embeddings import (
    all_candidate_sampler,
    fixed_unigram_candidate_sampler,
    learned_unigram_candidate_sampler,
)
from weftwork.graph.nn.sampling import (
    log_uniform_candidate_sampler,
    uniform_candidate_sampler,
)
from weftwork.graph.ops.random_ops import (
    categorical,
    multinomial,
    random_crop,
    random_gamma,
    random_normal,
    random_poisson,
    random_shuffle,
    random_uniform,
    set_random_seed,
    truncated_normal,
)
from weftwork.graph.ops.random_ops import (
    random_gamma as gamma,
)
from weftwork.graph.ops.random_ops import (
    random_normal as normal,
)
from weftwork.graph.ops.random_ops import (
    random_poisson as poisson,
)
from weftwork.graph.ops.random_ops import (
    random_shuffle as shuffle,
)
from weftwork.graph.ops.random_ops import (
    random_uniform as uniform,
)
from weftwork.graph.ops.stateless import (
    stateless_categorical,
    stateless_multinomial,
    stateless_truncated_normal,
)
from weftwork.graph.ops.stateless import (
    stateless_random_normal as stateless_normal,
)
from weftwork.graph.ops.stateless import (
    stateless_random_uniform as stateless_uniform,
)
from weftwork.graph.seeds import get_seed

__all__ = [
    "all_candidate_sampler",
    "categorical",
    "fixed_unigram_candidate_sampler",
    "gamma",
    "get_seed",
    "learned_unigram_candidate_sampler",
    "log_uniform_candidate_sampler",
    "multinomial",
    "normal",
    "poisson",
    "random_crop",
    "random_gamma",
    "random_normal",
    "random_poisson",
    "random_shuffle",
    "random_uniform",
    "set_random_seed",
    "shuffle",
    "stateless_categorical",
    "stateless_multinomial",
    "stateless_normal",
    "stateless_truncated_normal",
    "stateless_uniform",
    "truncated_normal",
    "uniform",
    "uniform_candidate_sampler",
]
