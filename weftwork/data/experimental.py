"""tf.data.experimental: further datasets."""

from weftwork.graph.data.dataset import AUTOTUNE

__all__ = ["AUTOTUNE"]
