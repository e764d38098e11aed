"""Batch normalization: inputs are normalized to zero mean and unit variance, then scaled and shifted by variables.

statistics          the mean and variance in use: those of the batch in training, else the moving averages
renormalization     in training, the result is corrected to what slowly moving statistics give (arXiv:1702.03275)
groups              parts of the batch, of `virtual_batch_size` rows, each of which is normalized by itself
moving averages     variables that optimizers do not train. Their updates are in the collection UPDATE_OPS, and each
    training step must run them: `with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS))`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.build import as_tensor, convert_to_tensor, static_value
from weftwork.graph.layers.base import ONES, ZEROS, Layer
from weftwork.graph.nn import ops as nn_ops
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, math_ops
from weftwork.graph.ops.flow import stop_gradient
from weftwork.graph.ops.reductions import reduce_mean
from weftwork.graph.scopes import name_scope
from weftwork.graph.variables import writes as state_ops
from weftwork.graph.variables.variable import Variable


class BatchNormalization(Layer):
    """gamma (inputs - mean) / sqrt(variance + epsilon) + beta, one gamma and beta for each channel.

    axis: that of the channels; the statistics are over all others.  momentum: of the moving averages.
    renorm: renormalize; adds the variables moving_stddev, renorm_mean and renorm_stddev.   renorm_momentum: of the last
        two.   renorm_clipping: {"rmin": , "rmax": , "dmax": }, bounds of the correction x r + d; all are optional.
    virtual_batch_size: rows of a group; the batch must consist of whole groups.
    adjustment: a function from the shape of the inputs, as a tensor, to a factor and an offset, which are applied to
        the normalized inputs in training.
    Variables: gamma, beta, moving_mean, moving_variance, each [channels].
    Source: arXiv:1502.03167. As in TensorFlow 1, the moving variance of images (rank 4) is unbiased.
    Raises ValueError for other keys, and for fused=True with renorm, groups or an adjustment.
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
        renorm_clipping: Mapping[str, Any] | None = None,
        renorm_momentum: float = 0.99,
        fused: bool | None = None,
        trainable: bool = True,
        virtual_batch_size: int | None = None,
        adjustment: Callable[[Tensor], Any] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(trainable, name, **kwargs)
        unknown = {*(renorm_clipping or {})} - {"rmax", "rmin", "dmax"}
        if renorm and unknown:
            raise ValueError(f"renorm_clipping {renorm_clipping} contains keys not in ['rmax', 'rmin', 'dmax']")
        for word, given in (("renorm", renorm), ("virtual_batch_size", virtual_batch_size), ("adjustment", adjustment)):
            if fused and given:
                raise ValueError(f"Passing both fused=True and {word} is not supported")
        self.renorm, self.renorm_clipping, self.renorm_momentum = renorm, dict(renorm_clipping or {}), renorm_momentum
        self.virtual_batch_size, self.adjustment = virtual_batch_size, adjustment
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
            self.fused = len(raw) == 4 and not (self.renorm or self.virtual_batch_size or self.adjustment)
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

        if self.renorm:
            firsts = {"moving_stddev": self._first_stddev, "renorm_mean": self.moving_mean_initializer}
            self.moving_stddev, self.renorm_mean, self.renorm_stddev = (
                self.add_weight(word, size, self._wide(), first, trainable=False)
                for word, first in {**firsts, "renorm_stddev": self._first_stddev}.items()
            )

    def _first_stddev(self, shape: Any, **kwargs: Any) -> Tensor:
        return math_ops.sqrt(self.moving_variance_initializer(shape, **kwargs))

    def _wide(self) -> dtypes.DType | None:
        return dtypes.float32 if self.dtype is dtypes.float16 else self.dtype

    def call(self, inputs: Tensor, training: Any = False) -> Tensor:
        """training: a bool, or a scalar bool tensor. True uses the batch's statistics and adds the updates."""
        training = _decided(training)
        if training is False:
            return self._normalized(inputs, self.moving_mean.value(), self.moving_variance.value(), self._transform())
        widened = math_ops.cast(self._grouped(inputs), self.moving_mean.dtype.base_dtype)
        axes = [axis + self._shift for axis in range(self._rank) if axis != self._channel]
        mean, variance = nn_ops.moments(widened, axes)
        moved = [array_ops.identity(mean), array_ops.identity(variance)]
        if self._shift:
            moved = [reduce_mean(part, 0) for part in moved]
        transform = self._transform()
        if self.renorm:
            transform = self._renormalized(mean, variance, moved, transform, training)
        if self.adjustment is not None:
            transform = self._adjusted(inputs, transform, training)
        self.add_update(self._updates_of(inputs, moved[0], moved[1], training), inputs)
        if training is not True:
            mean = array_ops.where_v2(training, mean, self.moving_mean + array_ops.zeros_like(mean))
            variance = array_ops.where_v2(training, variance, self.moving_variance + array_ops.zeros_like(variance))
        return self._normalized(inputs, mean, variance, transform)

    @property
    def _shift(self) -> int:
        """The number of axes that groups add in front."""
        return 0 if self.virtual_batch_size is None else 1

    def _grouped(self, inputs: Tensor) -> Tensor:
        if self.virtual_batch_size is None:
            return inputs
        rest = array_ops.shape(inputs)[1:]
        return array_ops.reshape(inputs, array_ops.concat([[-1, self.virtual_batch_size], rest], 0))

    def _transform(self) -> tuple[Any, Any]:
        """(factor, offset) for normalized inputs: gamma and beta, or None without them."""
        parts = [None if part is None else self._spread(part.value()) for part in (self.gamma, self.beta)]
        return parts[0], parts[1]

    def _spread(self, part: Tensor) -> Tensor:
        """[channels] or [groups, channels], reshaped so that it broadcasts with grouped inputs."""
        last = self._channel == self._rank - 1
        if last and (self._shift == 0 or part.shape.ndims == 1):
            return part
        ones = [-1 if axis == self._channel else 1 for axis in range(self._rank)]
        if not self._shift:
            return array_ops.reshape(part, ones)
        ones[self._channel] = part.shape.as_list()[-1]  # type: ignore[call-overload]
        return array_ops.reshape(part, [1 if part.shape.ndims == 1 else -1, *ones])

    def _normalized(self, inputs: Tensor, mean: Tensor, variance: Tensor, transform: tuple[Any, Any]) -> Tensor:
        widened = math_ops.cast(self._grouped(inputs), self.moving_mean.dtype.base_dtype)
        factor, offset = transform
        outputs = nn_ops.batch_normalization(
            widened, self._spread(mean), self._spread(variance), offset, factor, variance_epsilon=self.epsilon
        )
        if self._shift:
            outputs = array_ops.reshape(outputs, array_ops.shape(inputs))
        outputs = math_ops.cast(outputs, inputs.dtype)
        outputs.set_shape(inputs.shape)
        return outputs

    def _renormalized(
        self, mean: Tensor, variance: Tensor, moved: list, transform: tuple[Any, Any], training: Any
    ) -> tuple[Any, Any]:
        """The transform after the correction x r + d; adds the updates of the slow statistics."""
        spread = math_ops.sqrt(variance + self.epsilon)
        slow = math_ops.maximum(self.renorm_stddev.value(), self.epsilon**0.5)
        bound = self.renorm_clipping
        r, d = spread / slow, (mean - self.renorm_mean.value()) / slow
        r = r if bound.get("rmin") is None else math_ops.maximum(r, bound["rmin"])
        r = r if bound.get("rmax") is None else math_ops.minimum(r, bound["rmax"])
        if bound.get("dmax") is not None:
            d = math_ops.minimum(math_ops.maximum(d, -bound["dmax"]), bound["dmax"])
        if training is not True:
            r = array_ops.where_v2(training, r, array_ops.ones_like(r))
            d = array_ops.where_v2(training, d, array_ops.zeros_like(d))
        stddev = math_ops.sqrt(moved[1] + self.epsilon)
        momentum = self.renorm_momentum
        self.add_update(
            [
                self._move(self.renorm_mean, moved[0], training, momentum),
                self._move(self.renorm_stddev, stddev, training, momentum),
            ]
        )
        return _composed(self._spread(stop_gradient(r)), self._spread(stop_gradient(d)), *transform)

    def _adjusted(self, inputs: Tensor, transform: tuple[Any, Any], training: Any) -> tuple[Any, Any]:
        assert self.adjustment is not None
        factor, offset = (convert_to_tensor(part) for part in self.adjustment(array_ops.shape(self._grouped(inputs))))
        if training is not True:
            factor = array_ops.where_v2(training, factor, array_ops.ones_like(factor))
            offset = array_ops.where_v2(training, offset, array_ops.zeros_like(offset))
        return _composed(factor, offset, *transform)

    def _updates_of(self, inputs: Tensor, mean: Tensor, variance: Tensor, training: Any) -> list[Tensor]:
        if self.fused:
            count = math_ops.cast(array_ops.size(inputs) // array_ops.size(mean), variance.dtype)
            variance = variance * (count / math_ops.maximum(count - 1.0, 1.0))
        moved_mean = self._move(self.moving_mean, mean, training, self.momentum)
        if not self.renorm:
            return [moved_mean, self._move(self.moving_variance, variance, training, self.momentum)]
        stddev = self._move(self.moving_stddev, math_ops.sqrt(variance + self.epsilon), training, self.momentum)
        new = math_ops.maximum(stddev * stddev - self.epsilon, 0.0)
        if training is not True:
            new = array_ops.where_v2(training, new, self.moving_variance.value())
        return [moved_mean, state_ops.assign(self.moving_variance, new)]

    def _move(self, variable: Variable, value: Tensor, training: Any, momentum: Any) -> Tensor:
        """variable -= (variable - value) (1 - momentum), in training."""
        with name_scope(None, "AssignMovingAvg", [variable, value]) as scope:
            step = (variable - value) * (1.0 - momentum)
            if training is not True:
                step = array_ops.where_v2(training, step, array_ops.zeros_like(step))
            return state_ops.assign_sub(variable, step, name=scope)


def _composed(factor: Tensor, offset: Tensor, then_factor: Any, then_offset: Any) -> tuple[Tensor, Tensor]:
    """The factor and offset of two transforms in succession; their parts may be None."""
    if then_factor is not None:
        factor, offset = factor * then_factor, offset * then_factor
    return factor, (offset if then_offset is None else offset + then_offset)


def _decided(training: Any) -> Any:
    """`training` as a bool if it is known now, else as a tensor."""
    tensor = as_tensor(training)
    if tensor is None:
        return bool(training)
    known = static_value(tensor)
    return math_ops.cast(tensor, dtypes.bool) if known is None else bool(known)
