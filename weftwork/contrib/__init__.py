"""tf.contrib: what programs use of it that stands for something outside of it."""

from weftwork.contrib import lookup

__all__ = ["lookup"]
