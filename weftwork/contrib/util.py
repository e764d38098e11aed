"""tf.contrib.util: what is known of a tensor before anything runs."""

from weftwork.graph.build import static_value as constant_value

__all__ = ["constant_value"]
