"""Functions that switch TensorFlow 1.15 between its two behaviours. Here there is only one, so they do nothing."""

from __future__ import annotations


def disable_v2_behavior() -> None:
    """Do nothing: there is no other behaviour. Programs written for `tensorflow.compat.v1` call it."""


disable_eager_execution = disable_v2_behavior
disable_control_flow_v2 = enable_control_flow_v2 = disable_tensor_equality = disable_v2_tensorshape = (
    disable_v2_behavior
)


def control_flow_v2_enabled() -> bool:
    """False, although branches and loops are always functional."""
    return False


def executing_eagerly() -> bool:
    """False: operations always make nodes of a graph."""
    return False
