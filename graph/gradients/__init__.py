"""Derivatives of graphs. The modules with rules register them on import."""

from weftwork.graph.gradients import (
    arrays,
    cells,
    control_flow,
    elementwise,
    images,
    linalg,
    nn,
    numpy_rules,
    products,
    reductions,
    signal,
    spaces,
    sparse,
    special,
    volumes,
)
from weftwork.graph.gradients.walk import AggregationMethod, UnconnectedGradients, gradients, hessians, is_trainable

__all__ = [
    "AggregationMethod",
    "UnconnectedGradients",
    "arrays",
    "cells",
    "control_flow",
    "elementwise",
    "gradients",
    "hessians",
    "images",
    "is_trainable",
    "linalg",
    "nn",
    "numpy_rules",
    "products",
    "reductions",
    "signal",
    "spaces",
    "sparse",
    "special",
    "volumes",
]
