"""Circulant linear operators: convolutions, which Fourier transforms make diagonal. See `operator`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.linear.description import promised
from weftwork.graph.linear.kinds import OfTensor, parameter
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops import array_ops, conversion, math_ops, signal, spaces
from weftwork.graph.ops.assertions import assert_less
from weftwork.graph.shapes import RawShape, TensorShape


class _Circulant(OfTensor):
    """A matrix that a Fourier transform makes diagonal: `spectrum` is that diagonal, over `_axes` axes."""

    _axes = 1

    def __init__(self, spectrum: Any, input_output_dtype: Any, name: str, promises: dict[str, Any]):
        if promises.pop("is_square", True) is False:
            raise ValueError("A circulant operator is always square.")
        self._taken = self._axes
        self._forward = {1: signal.fft, 2: signal.fft2d, 3: signal.fft3d}[self._axes]
        self._back = {1: signal.ifft, 2: signal.ifft2d, 3: signal.ifft3d}[self._axes]
        given = parameter(spectrum, "spectrum", self._axes)
        wide = dtypes.complex128 if given.dtype.base_dtype.name in ("float64", "complex128") else dtypes.complex64
        super().__init__(conversion.cast(given, wide), "spectrum", {"name": name, "is_square": True, **promises})
        self._dtype = dtypes.as_dtype(input_output_dtype)

    @property
    def spectrum(self) -> Tensor:
        """The transform of the convolution kernel."""
        return self._value

    @property
    def block_depth(self) -> int:
        """The number of axes of the transform."""
        return self._axes

    @property
    def block_shape(self) -> TensorShape:
        """The sizes of the axes of the transform."""
        return self._value.shape[-self._axes :]

    def assert_hermitian_spectrum(self, name: str = "assert_hermitian_spectrum") -> Operation:
        """An operation that fails unless the convolution kernel is real."""
        with self._scope(name):
            apart = math_ops.abs(conversion.imag(self._back(self._value)))
            limit = np.finfo(apart.dtype.numpy).eps * conversion.cast(self.domain_dimension_tensor(), apart.dtype)
            return assert_less(apart, limit, message="Spectrum was not Hermitian")

    def _matrix_shape(self) -> tuple[RawShape, Any]:
        raw, depth = self._value.raw_shape, self._axes

        def made() -> Tensor:
            given = array_ops.shape(self._value)
            count = math_ops.reduce_prod(given[-depth:])
            return array_ops.concat([given[:-depth], array_ops.stack([count, count])], 0)

        if raw is None:
            return None, made
        known = [size for size in raw[-depth:] if size is not None]
        count = math.prod(known) if len(known) == depth else None
        return (*raw[:-depth], count, count), made

    def _apply(self, x: Tensor, factor: Tensor) -> Tensor:
        columns = spaces.matrix_transpose(conversion.cast(x, self._value.dtype.base_dtype))
        given, block = array_ops.shape(columns), array_ops.shape(self._value)[-self._axes :]
        blocks = array_ops.reshape(columns, array_ops.concat([given[:-1], block], 0))
        if self._value.raw_shape is None or len(self._value.raw_shape) > self._axes:
            factor = array_ops.expand_dims(factor, -self._axes - 1)
        mixed = self._back(self._forward(blocks) * factor)
        whole = array_ops.reshape(mixed, array_ops.concat([array_ops.shape(mixed)[: -self._axes], given[-1:]], 0))
        made = spaces.matrix_transpose(whole)
        return made if self.dtype.is_complex else conversion.cast(conversion.real(made), self.dtype)

    def _product(self, x: Tensor, adjoint: bool) -> Tensor:
        return self._apply(x, conversion.conj(self._value) if adjoint else self._value)

    def _solution(self, rhs: Tensor, adjoint: bool) -> Tensor:
        spectrum = conversion.conj(self._value) if adjoint else self._value
        return self._apply(rhs, math_ops.divide(1.0, spectrum))

    def convolution_kernel(self, name: str = "convolution_kernel") -> Tensor:
        """The kernel of the convolution: the inverse transform of the spectrum."""
        with self._scope(name):
            kernel = self._back(self._value)
            return kernel if self.dtype.is_complex else conversion.cast(conversion.real(kernel), self.dtype)

    def _determinant(self) -> Tensor:
        made = math_ops.reduce_prod(self._value, axis=list(range(-self._axes, 0)))
        return conversion.cast(made if self.dtype.is_complex else conversion.real(made), self.dtype)

    def _log_abs_determinant(self) -> Tensor:
        sizes = math_ops.log(math_ops.abs(self._value))
        return conversion.cast(math_ops.reduce_sum(sizes, axis=list(range(-self._axes, 0))), self.dtype.real_dtype)


class LinearOperatorCirculant(_Circulant):
    """A circulant matrix: each column is the previous one, rotated by one. spectrum: [..., n], the transform of the
    first column.

    input_output_dtype: the dtype of its factors and products; if real, the real part of a product is taken.
    """

    def __init__(
        self, spectrum: Any, input_output_dtype: Any = dtypes.complex64,
        is_non_singular: bool | None = None, is_self_adjoint: bool | None = None,
        is_positive_definite: bool | None = None, is_square: bool | None = None, name: str = "LinearOperatorCirculant",
    ):  # fmt: skip
        promises = promised(is_non_singular, is_self_adjoint, is_positive_definite, is_square)
        super().__init__(spectrum, input_output_dtype, name, promises)


class LinearOperatorCirculant2D(_Circulant):
    """A block circulant matrix of circulant blocks: spectrum [..., n0, n1]. See LinearOperatorCirculant."""

    _axes = 2

    def __init__(
        self, spectrum: Any, input_output_dtype: Any = dtypes.complex64,
        is_non_singular: bool | None = None, is_self_adjoint: bool | None = None,
        is_positive_definite: bool | None = None, is_square: bool | None = None,
        name: str = "LinearOperatorCirculant2D",
    ):  # fmt: skip
        promises = promised(is_non_singular, is_self_adjoint, is_positive_definite, is_square)
        super().__init__(spectrum, input_output_dtype, name, promises)


class LinearOperatorCirculant3D(_Circulant):
    """A matrix that is block circulant twice: spectrum [..., n0, n1, n2]. See LinearOperatorCirculant."""

    _axes = 3

    def __init__(
        self, spectrum: Any, input_output_dtype: Any = dtypes.complex64,
        is_non_singular: bool | None = None, is_self_adjoint: bool | None = None,
        is_positive_definite: bool | None = None, is_square: bool | None = None,
        name: str = "LinearOperatorCirculant3D",
    ):  # fmt: skip
        promises = promised(is_non_singular, is_self_adjoint, is_positive_definite, is_square)
        super().__init__(spectrum, input_output_dtype, name, promises)
