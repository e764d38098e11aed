"""Readers and writers of special functions, Fourier transforms, functions of matrices, and places in sorted numbers."""

from __future__ import annotations

from typing import Any, NoReturn

from weftwork.graph.interchange.given import Given, read_by, reads
from weftwork.graph.interchange.nodes import Inexpressible, Part
from weftwork.graph.interchange.writing import Node, writes
from weftwork.graph.ops import factoring, linalg_ops, signal, spaces, special
from weftwork.graph.ops import scipy_functions as scipy

read_by(
    {
        "Erfinv": special.erfinv,
        "Ndtri": special.ndtri,
        "BesselI0": special.bessel_i0,
        "BesselI0e": special.bessel_i0e,
        "BesselI1": special.bessel_i1,
        "BesselI1e": special.bessel_i1e,
        "BesselJ0": scipy.bessel_j0,
        "BesselJ1": scipy.bessel_j1,
        "BesselK0": scipy.bessel_k0,
        "BesselK0e": scipy.bessel_k0e,
        "BesselK1": scipy.bessel_k1,
        "BesselK1e": scipy.bessel_k1e,
        "BesselY0": scipy.bessel_y0,
        "BesselY1": scipy.bessel_y1,
        "Dawsn": scipy.dawsn,
        "Expint": scipy.expint,
        "FresnelCos": scipy.fresnel_cos,
        "FresnelSin": scipy.fresnel_sin,
        "Spence": scipy.spence,
        "Xlog1py": special.xlog1py,
        "NextAfter": special.nextafter,
        "FFT": signal.fft,
        "FFT2D": signal.fft2d,
        "FFT3D": signal.fft3d,
        "IFFT": signal.ifft,
        "IFFT2D": signal.ifft2d,
        "IFFT3D": signal.ifft3d,
        "RFFT": signal.rfft,
        "RFFT2D": signal.rfft2d,
        "RFFT3D": signal.rfft3d,
        "IRFFT": signal.irfft,
        "IRFFT2D": signal.irfft2d,
        "IRFFT3D": signal.irfft3d,
        "MatrixExponential": linalg_ops.expm,
        "MatrixLogarithm": factoring.logm,
        "MatrixSquareRoot": factoring.sqrtm,
        "UnravelIndex": spaces.unravel_index,
        "GuaranteeConst": spaces.guarantee_const,
    }
)


@reads("Lu")
def _lu(given: Given) -> Any:
    return list(factoring.lu(given.inputs[0], given["output_idx_type"], name=given.name))


@reads("EuclideanNorm")
def _norm(given: Given) -> Any:
    x, axes = given.inputs
    return special.reduce_euclidean_norm(x, axes, given["keep_dims"], name=given.name[:-1])


@reads("LowerBound", "UpperBound")
def _bound(given: Given) -> Any:
    side = "left" if given.type == "LowerBound" else "right"
    return spaces.searchsorted(*given.inputs, side=side, out_type=given["out_type"], name=given.name)


@writes("Lu")
def _write_lu(node: Node) -> tuple[list[Part], dict[str, Any]]:
    return node.inputs(), {"output_idx_type": node.op.outputs[1].dtype}


@writes("FFT", "IFFT")
def _transform(node: Node) -> tuple[list[Part], dict[str, Any]]:
    node.type += ("", "2D", "3D")[node.attrs["rank"] - 1]
    return node.inputs(), {}


@writes("RFFT", "IRFFT")
def _real_transform(node: Node) -> NoReturn:
    """TensorFlow's take no lengths beyond the size of the input, and need them."""
    raise Inexpressible
