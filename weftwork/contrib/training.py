"""tf.contrib.training: the numbers that a program is told, and operations that train."""

from weftwork.graph.contrib.training import (
    HParams,
    clip_gradient_norms,
    create_train_op,
    multiply_gradients,
)

__all__ = [
    "HParams",
    "clip_gradient_norms",
    "create_train_op",
    "multiply_gradients",
]
