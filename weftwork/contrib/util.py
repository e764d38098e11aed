"""tf.contrib.util: the static value of a tensor."""

from weftwork.graph.build import static_value as constant_value

__all__ = ["constant_value"]
