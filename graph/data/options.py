"""tf.data.Options."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class Options:
    """TensorFlow 1's options for running a dataset. All are accepted and ignored."""

    def __init__(self):
        self.experimental_deterministic: Any = None
        self.experimental_threading, self.experimental_optimization = SimpleNamespace(), SimpleNamespace()
        self.experimental_distribute = SimpleNamespace()

    def merge(self, options: Options) -> Options:
        """These options combined with others."""
        merged = Options()
        merged.__dict__.update(self.__dict__, **options.__dict__)
        return merged
