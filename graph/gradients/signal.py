"""Derivatives of Fourier and cosine transforms: these are matrices, so derivatives use the transposes."""

from __future__ import annotations

from typing import Any

from weftwork.graph.build import apply
from weftwork.graph.gradients.registry import not_differentiable, rule
from weftwork.graph.kernels import fourier as kernels
from weftwork.graph.operation import Operation, Tensor

not_differentiable("CosineWindow")


def _like(kernel: Any, inputs: list, attrs: Any, kind: str, x: Tensor) -> Tensor:
    return apply(kernel, inputs, attrs, type=kind, dtype=x.dtype.base_dtype, shape=x.raw_shape)


@rule("FFT", "IFFT")
def _fft(op: Operation, g: Tensor):
    attrs = {"rank": op.attrs["rank"], "forward": op.type == "IFFT"}
    return [_like(kernels.fft_scaled, [g], attrs, "FFTGrad", op.inputs[0])]


@rule("FFTGrad")
def _fft_again(op: Operation, g: Tensor):
    kernel, kind = (kernels.ifft, "IFFT") if op.attrs["forward"] else (kernels.fft, "FFT")
    return [_like(kernel, [g], {"rank": op.attrs["rank"]}, kind, op.inputs[0])]


_BACK = {"RFFT": kernels.rfft_back, "IRFFT": kernels.irfft_back}
_FORTH = {"RFFTGrad": kernels.rfft, "IRFFTGrad": kernels.irfft}


@rule(*_BACK)
def _real(op: Operation, g: Tensor):
    x, *length = op.inputs
    found = _like(_BACK[op.type], [g, x, *length], op.attrs, f"{op.type}Grad", x)
    return [found, *[None] * len(length)]


@rule(*_FORTH)
def _real_again(op: Operation, g: Tensor):
    before, _, *length = op.inputs
    return [
        _like(_FORTH[op.type], [g, *length], op.attrs, op.type.removesuffix("Grad"), before),
        None,
        *[None] * len(length),
    ]


@rule("DCT")
def _dct(op: Operation, g: Tensor):
    return [_like(kernels.dct_back, [g], op.attrs, "DCTGrad", op.inputs[0])]


@rule("DCTGrad")
def _dct_again(op: Operation, g: Tensor):
    return [_like(kernels.dct, [g], op.attrs, "DCT", op.inputs[0])]
