"""tf.metrics: averages over many runs."""

from weftwork.graph.training.metrics import accuracy, mean

__all__ = ["accuracy", "mean"]
