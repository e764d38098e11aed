"""Initializers: the initial values of variables.

An initializer is a small immutable description (a dataclass). Called with a shape, it returns the tensor of initial
values.
fans: the number of inputs and outputs of one unit, for a weight of that shape, channels last.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply_random, as_tensor, constant
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, random_ops

# The standard deviation of a standard normal distribution truncated at two: scipy.stats.truncnorm.std(-2, 2).
TRUNCATED_STDDEV = 0.8796256610342398


@dataclass(frozen=True)
class Initializer:
    """The base class of all initializers. Subclasses compute the values in `_make(shape, dtype)`."""

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        """The initial values of a variable, or of a part of one, whose full shape is `partition_info.full_shape`.

        dtype: None for the initializer's own.
        """
        dtype = as_dtype(getattr(self, "dtype", dtypes.float32) if dtype is None else dtype).base_dtype
        return self._make(shape, dtype, shape if partition_info is None else partition_info.full_shape)

    def _make(self, shape: Any, dtype: dtypes.DType, full_shape: Any) -> Tensor:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The arguments of an equal initializer: `type(self)(**config)`."""
        return {key: value.name if isinstance(value, dtypes.DType) else value for key, value in asdict(self).items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """The inverse of `get_config`."""
        return cls(**config)


def _check_floating(dtype: Any) -> None:
    """Raise ValueError for a dtype that is not of floating point."""
    if not as_dtype(dtype).is_floating:
        raise ValueError(f"Expected floating point type, got {as_dtype(dtype)!r}.")


@dataclass(frozen=True)
class Zeros(Initializer):
    """All 0 (False, empty strings)."""

    dtype: Any = dtypes.float32

    def _make(self, shape, dtype, full_shape):
        return array_ops.zeros(shape, dtype)


@dataclass(frozen=True)
class Ones(Initializer):
    """All 1 (True)."""

    dtype: Any = dtypes.float32

    def _make(self, shape, dtype, full_shape):
        return array_ops.ones(shape, dtype)


@dataclass(frozen=True, eq=False)
class Constant(Initializer):
    """One number everywhere, or the elements of a list or array in order, the last one repeated to fill the shape.

    verify_shape: raise TypeError if `value` has another shape.
    """

    value: Any = 0
    dtype: Any = dtypes.float32
    verify_shape: bool = False

    def __post_init__(self):
        if not (np.isscalar(self.value) or isinstance(self.value, (list, tuple, np.ndarray))):
            raise TypeError(
                f"Invalid type for initial value: {type(self.value)} (expected Python scalar, list or array)."
            )

    def _make(self, shape, dtype, full_shape):
        return constant(self.value, dtype, shape, verify_shape=self.verify_shape)


@dataclass(frozen=True)
class RandomNormal(Initializer):
    """Normal distribution."""

    mean: Any = 0.0
    stddev: Any = 1.0
    seed: int | None = None
    dtype: Any = dtypes.float32

    def __post_init__(self):
        _check_floating(self.dtype)

    def _make(self, shape, dtype, full_shape):
        return random_ops.random_normal(shape, self.mean, self.stddev, dtype, seed=self.seed)


@dataclass(frozen=True)
class TruncatedNormal(Initializer):
    """Normal distribution; values more than two standard deviations from the mean are drawn again."""

    mean: Any = 0.0
    stddev: Any = 1.0
    seed: int | None = None
    dtype: Any = dtypes.float32

    def __post_init__(self):
        _check_floating(self.dtype)

    def _make(self, shape, dtype, full_shape):
        return random_ops.truncated_normal(shape, self.mean, self.stddev, dtype, seed=self.seed)


@dataclass(frozen=True)
class RandomUniform(Initializer):
    """Uniform distribution on [minval, maxval); integers require maxval."""

    minval: Any = 0
    maxval: Any = None
    seed: int | None = None
    dtype: Any = dtypes.float32

    def _make(self, shape, dtype, full_shape):
        return random_ops.random_uniform(shape, self.minval, self.maxval, dtype, seed=self.seed)


@dataclass(frozen=True)
class UniformUnitScaling(Initializer):
    """Uniform on +-factor sqrt(3 / fan_in), fan_in the product of all axes but the last: keeps the input's scale."""

    factor: float = 1.0
    seed: int | None = None
    dtype: Any = dtypes.float32

    def _make(self, shape, dtype, full_shape):
        inputs = math.prod(_dims(full_shape)[:-1])
        limit = math.sqrt(3 / max(1, inputs)) * self.factor
        return random_ops.random_uniform(shape, -limit, limit, dtype, seed=self.seed)


@dataclass(frozen=True)
class VarianceScaling(Initializer):
    """Zero mean and variance scale / n, n the fan_in, fan_out or their mean (fan_avg).

    distribution: "truncated_normal" (or "normal"), "untruncated_normal" or "uniform".
    mode: "fan_in", "fan_out" or "fan_avg".
    Sources: Glorot and Bengio 2010 (fan_avg), He et al. arXiv:1502.01852 (fan_in, scale 2), LeCun 1998 (fan_in).
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"
    seed: int | None = None
    dtype: Any = dtypes.float32

    def __post_init__(self):
        if self.scale <= 0.0:
            raise ValueError("`scale` must be positive float.")
        if self.mode not in {"fan_in", "fan_out", "fan_avg"}:
            raise ValueError("Invalid `mode` argument:", self.mode)
        if self.distribution.lower() not in {"normal", "uniform", "truncated_normal", "untruncated_normal"}:
            raise ValueError("Invalid `distribution` argument:", self.distribution)

    def _make(self, shape, dtype, full_shape):
        fan_in, fan_out = _fans(_dims(full_shape))
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        kind = self.distribution.lower()
        if kind == "uniform":
            limit = math.sqrt(3 * variance)
            return random_ops.random_uniform(shape, -limit, limit, dtype, seed=self.seed)
        if kind == "untruncated_normal":
            return random_ops.random_normal(shape, 0.0, math.sqrt(variance), dtype, seed=self.seed)
        stddev = math.sqrt(variance) / TRUNCATED_STDDEV
        return random_ops.truncated_normal(shape, 0.0, stddev, dtype, seed=self.seed)


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """gain times a random matrix with orthonormal rows or columns, uniformly distributed (arXiv:1312.6120).

    All axes but the last are combined into the rows. Raises ValueError for fewer than two axes.
    """

    gain: float = 1.0
    seed: int | None = None
    dtype: Any = dtypes.float32

    def _make(self, shape, dtype, full_shape):
        dims = _dims(shape)
        if len(dims) < 2:
            raise ValueError("The tensor to initialize must be at least two-dimensional")
        attrs = {"shape": dims, "gain": self.gain, "dtype": dtype.numpy}
        return apply_random(_orthogonal, [], attrs, seed=self.seed, type="Orthogonal", dtype=dtype, shape=dims)


@dataclass(frozen=True)
class Identity(Initializer):
    """gain times the identity matrix. Raises ValueError if the shape is not that of a matrix."""

    gain: float = 1.0
    dtype: Any = dtypes.float32

    def _make(self, shape, dtype, full_shape):
        dims = _dims(shape)
        if len(dims) != 2:
            raise ValueError("Identity matrix initializer can only be used for 2D matrices.")
        return constant(np.eye(*dims, dtype=dtype.numpy) * dtype.numpy.type(self.gain), dtype)


@dataclass(frozen=True)
class GlorotUniform(VarianceScaling):
    """Uniform on +-sqrt(6 / (fan_in + fan_out)); also known as Xavier (Glorot and Bengio 2010)."""

    def __init__(self, seed: int | None = None, dtype: Any = dtypes.float32):
        super().__init__(1.0, "fan_avg", "uniform", seed, dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments of an equal initializer: `type(self)(**config)`."""
        return {"seed": self.seed, "dtype": as_dtype(self.dtype).name}


@dataclass(frozen=True)
class GlorotNormal(VarianceScaling):
    """Truncated normal with variance 2 / (fan_in + fan_out); also known as Xavier (Glorot and Bengio 2010)."""

    def __init__(self, seed: int | None = None, dtype: Any = dtypes.float32):
        super().__init__(1.0, "fan_avg", "truncated_normal", seed, dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments of an equal initializer: `type(self)(**config)`."""
        return {"seed": self.seed, "dtype": as_dtype(self.dtype).name}


def he_normal(seed: int | None = None) -> VarianceScaling:
    """Truncated normal with variance 2 / fan_in (arXiv:1502.01852)."""
    return VarianceScaling(2.0, "fan_in", "truncated_normal", seed)


def he_uniform(seed: int | None = None) -> VarianceScaling:
    """Uniform on +-sqrt(6 / fan_in) (arXiv:1502.01852)."""
    return VarianceScaling(2.0, "fan_in", "uniform", seed)


def lecun_normal(seed: int | None = None) -> VarianceScaling:
    """Truncated normal with variance 1 / fan_in (LeCun et al. 1998, Efficient BackProp)."""
    return VarianceScaling(1.0, "fan_in", "truncated_normal", seed)


def lecun_uniform(seed: int | None = None) -> VarianceScaling:
    """Uniform on +-sqrt(3 / fan_in) (LeCun et al. 1998, Efficient BackProp)."""
    return VarianceScaling(1.0, "fan_in", "uniform", seed)


def xavier_initializer(uniform: bool = True, seed: int | None = None, dtype: Any = dtypes.float32) -> VarianceScaling:
    """`GlorotUniform` or `GlorotNormal`, under the name of tf.contrib."""
    return GlorotUniform(seed, dtype) if uniform else GlorotNormal(seed, dtype)


def _dims(shape: Any) -> tuple[int, ...]:
    if as_tensor(shape) is not None:
        raise ValueError("An initializer that depends on the shape needs it to be known, not a tensor.")
    raw = shapes.as_raw(shape.tolist() if isinstance(shape, np.ndarray) else shape)
    if not shapes.is_full(raw):
        raise ValueError(f"Shape of a new variable must be fully defined, but instead was {shapes.text(raw)}.")
    return raw  # type: ignore[return-value]


def _fans(dims: tuple[int, ...]) -> tuple[float, float]:
    if len(dims) < 2:
        return (dims[0], dims[0]) if dims else (1, 1)
    field = math.prod(dims[:-2])
    return dims[-2] * field, dims[-1] * field


def _orthogonal(rng, shape, gain, dtype):
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    # The signs of r's diagonal make q uniform among the orthogonal matrices: arXiv:math-ph/0609050, section 5.
    q *= np.sign(np.diagonal(r))
    return (gain * (q if rows >= columns else q.T)).reshape(shape).astype(dtype)


# TensorFlow 1's other names

zeros_initializer = Zeros
ones_initializer = Ones
constant_initializer = Constant
random_normal_initializer = RandomNormal
random_uniform_initializer = RandomUniform
truncated_normal_initializer = TruncatedNormal
uniform_unit_scaling_initializer = UniformUnitScaling
variance_scaling_initializer = VarianceScaling
orthogonal_initializer = Orthogonal
identity_initializer = Identity
glorot_uniform_initializer = GlorotUniform
glorot_normal_initializer = GlorotNormal
