"""tf.raw_ops: each operation that TensorFlow declares, as a function of keyword arguments."""

from typing import Any

from weftwork.graph.interchange.raw import all_names, raw_op


def __getattr__(name: str) -> Any:
    return raw_op(name)


def __dir__() -> list[str]:
    return all_names()
