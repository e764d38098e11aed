"""tf.initializers: initial values for variables."""

from weftwork.graph.lookup.tables import (
    tables_initializer,
)
from weftwork.graph.variables.collected import global_variables_initializer as global_variables
from weftwork.graph.variables.collected import local_variables_initializer as local_variables
from weftwork.graph.variables.collected import variables_initializer as variables
from weftwork.graph.variables.initializers import (
    Constant as constant,
)
from weftwork.graph.variables.initializers import (
    GlorotNormal as glorot_normal,
)
from weftwork.graph.variables.initializers import (
    GlorotUniform as glorot_uniform,
)
from weftwork.graph.variables.initializers import (
    Identity as identity,
)
from weftwork.graph.variables.initializers import (
    Initializer,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
)
from weftwork.graph.variables.initializers import (
    Ones as ones,
)
from weftwork.graph.variables.initializers import (
    Orthogonal as orthogonal,
)
from weftwork.graph.variables.initializers import (
    RandomNormal as random_normal,
)
from weftwork.graph.variables.initializers import (
    RandomUniform as random_uniform,
)
from weftwork.graph.variables.initializers import (
    TruncatedNormal as truncated_normal,
)
from weftwork.graph.variables.initializers import (
    UniformUnitScaling as uniform_unit_scaling,
)
from weftwork.graph.variables.initializers import (
    VarianceScaling as variance_scaling,
)
from weftwork.graph.variables.initializers import (
    Zeros as zeros,
)

__all__ = [
    "Initializer",
    "constant",
    "global_variables",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "local_variables",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "tables_initializer",
    "truncated_normal",
    "uniform_unit_scaling",
    "variables",
    "variance_scaling",
    "zeros",
]
