"""tf.data.Options."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class Options:
    """What TensorFlow 1 lets a dataset be told of its own running. All of it is accepted, and of no effect."""

    def __init__(self):
        self.experimental_deterministic: Any = None
        self.experimental_threading, self.experimental_optimization = SimpleNamespace(), SimpleNamespace()
        self.experimental_distribute = SimpleNamespace()

    def merge(self, options: Options) -> Options:
        """These, and what others say besides."""
        made = Options()
        made.__dict__.update(self.__dict__, **options.__dict__)
        return made
