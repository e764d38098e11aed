"""Batch normalization: inputs are normalized to zero mean and unit variance, then scaled and shifted by variables.

statistics          the mean and variance in use: those of the batch in training, else the moving averages
moving averages     variables that optimizers do not train. Their updates are in the collection UPDATE_OPS, and each
    training step must run them: `with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS))`
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.build import as_tensor, static_value
from weftwork.graph.layers.base import ONES, ZEROS, Layer
from weftwork.graph.nn import ops as nn_ops
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.scopes import name_scope
from weftwork.graph.variables import writes as state_ops
from weftwork.graph.variables.variable import Variable


class BatchNormalization(Layer):
    """gamma (inputs - mean) / sqrt(variance + epsilon) + beta, one gamma and beta for each channel.

    axis: that of the channels; the statistics are over all others.  momentum: of the moving averages.
    Variables: gamma, beta, moving_mean, moving_variance, each [channels].
    Source: arXiv:1502.03167. As in TensorFlow 1, the moving variance of images (rank 4) is unbiased.
    Raises ValueError for renorm=True.
    """

    def __init__(
        self,
        axis: Any = -1,
        momentum: Any = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = ZEROS,
        gamma_initializer: Any = ONES,
        moving_mean_initializer: Any = ZEROS,
        moving_variance_initializer: Any = ONES,
        beta_regularizer: Callable[..., Any] | None = None,
        gamma_regularizer: Callable[..., Any] | None = None,
        beta_constraint: Callable[..., Any] | None = None,
        gamma_constraint: Callable[..., Any] | None = None,
        renorm: bool = False,
        trainable: bool = True,
        name: str | None = None,
        fused: bool | None = None,
        **kwargs: Any,
    ):
        super().__init__(trainable, name, **kwargs)
        if renorm:
            raise ValueError("Batch renormalization is not supported: renorm must be False.")
        self.axis = axis
        self.momentum, self.epsilon, self.fused = momentum, epsilon, fused
        self.center, self.scale = center, scale
        self.beta_initializer, self.gamma_initializer = beta_initializer, gamma_initializer
        self.moving_mean_initializer = moving_mean_initializer
        self.moving_variance_initializer = moving_variance_initializer
        self.beta_regularizer, self.gamma_regularizer = beta_regularizer, gamma_regularizer
        self.beta_constraint, self.gamma_constraint = beta_constraint, gamma_constraint

    def build(self, input_shape: Any) -> None:
        """Create the four variables. Raises ValueError if the number of channels is unknown."""
        raw = self._ranked(input_shape, 1)
        axis = self.axis[0] if isinstance(self.axis, (list, tuple)) and len(self.axis) == 1 else self.axis
        if not isinstance(axis, int) or not -len(raw) <= axis < len(raw):
            raise ValueError(f"Invalid axis: {self.axis}")
        self._rank, self._channel = len(raw), axis % len(raw)
        if self.fused is None:
            self.fused = len(raw) == 4
        size = [self._known(raw, self._channel, "channel dimension")]
        self.gamma: Variable | None = None
        self.beta: Variable | None = None
        if self.scale:
            self.gamma = self.add_weight(
                "gamma", size, self._wide(), self.gamma_initializer, self.gamma_regularizer, True, self.gamma_constraint
            )
        if self.center:
            self.beta = self.add_weight(
                "beta", size, self._wide(), self.beta_initializer, self.beta_regularizer, True, self.beta_constraint
            )
        self.moving_mean = self.add_weight(
            "moving_mean", size, self._wide(), self.moving_mean_initializer, trainable=False
        )
        self.moving_variance = self.add_weight(
            "moving_variance", size, self._wide(), self.moving_variance_initializer, trainable=False
        )

    def _wide(self) -> dtypes.DType | None:
        return dtypes.float32 if self.dtype is dtypes.float16 else self.dtype

    def call(self, inputs: Tensor, training: Any = False) -> Tensor:
        """training: a bool, or a scalar bool tensor. True uses the batch's statistics and adds the updates."""
        training = _decided(training)
        if training is False:
            return self._normalized(inputs, self.moving_mean.value(), self.moving_variance.value())
        axes = [axis for axis in range(self._rank) if axis != self._channel]
        widened = math_ops.cast(inputs, self.moving_mean.dtype.base_dtype)
        mean, variance = nn_ops.moments(widened, axes)
        self.add_update(self._updates_of(inputs, mean, variance, training))
        if training is not True:
            mean = array_ops.where(training, mean, self.moving_mean)
            variance = array_ops.where(training, variance, self.moving_variance)
        return self._normalized(inputs, mean, variance)

    def _normalized(self, inputs: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        parts = [mean, variance, self.beta, self.gamma]
        if self._channel != self._rank - 1:
            shape = [-1 if axis == self._channel else 1 for axis in range(self._rank)]
            parts = [None if part is None else array_ops.reshape(part, shape) for part in parts]
        widened = math_ops.cast(inputs, self.moving_mean.dtype.base_dtype)
        outputs = nn_ops.batch_normalization(widened, *parts, variance_epsilon=self.epsilon)
        outputs = math_ops.cast(outputs, inputs.dtype)
        outputs.set_shape(inputs.shape)
        return outputs

    def _updates_of(self, inputs: Tensor, mean: Tensor, variance: Tensor, training: Any) -> list[Tensor]:
        if self.fused:
            count = math_ops.cast(array_ops.size(inputs) // array_ops.size(mean), variance.dtype)
            variance = variance * (count / math_ops.maximum(count - 1.0, 1.0))
        moved = [(self.moving_mean, mean), (self.moving_variance, variance)]
        return [self._move(variable, value, training) for variable, value in moved]

    def _move(self, variable: Variable, value: Tensor, training: Any) -> Tensor:
        """variable -= (variable - value) (1 - momentum), in training."""
        with name_scope(None, "AssignMovingAvg", [variable, value]) as scope:
            step = (variable - value) * (1.0 - self.momentum)
            if training is not True:
                step = array_ops.where(training, step, array_ops.zeros_like(step))
            return state_ops.assign_sub(variable, step, name=scope)


def _decided(training: Any) -> Any:
    """`training` as a bool if it is known now, else as a tensor."""
    tensor = as_tensor(training)
    if tensor is None:
        return bool(training)
    known = static_value(tensor)
    return math_ops.cast(tensor, dtypes.bool) if known is None else bool(known)
