"""Readers and writers of special functions, Fourier transforms, functions of matrices, and places in sorted numbers."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from weftwork.graph.interchange.given import Given, read_by, reads
from weftwork.graph.interchange.nodes import Inexpressible, Part
from weftwork.graph.interchange.writing import Node, writes
from weftwork.graph.ops import factoring, linalg_ops, signal, sorting, spaces, special
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
    return sorting.searchsorted(*given.inputs, side=side, out_type=given["out_type"], name=given.name)


@writes("Lu")
def _write_lu(node: Node) -> tuple[list[Part], dict[str, Any]]:
    return node.inputs(), {"output_idx_type": node.op.outputs[1].dtype}


@writes("FFT", "IFFT")
def _transform(node: Node) -> tuple[list[Part], dict[str, Any]]:
    node.type += ("", "2D", "3D")[node.attrs["rank"] - 1]
    return node.inputs(), {}


@writes("MatrixExponential")
def _exponential(node: Node) -> NoReturn:
    """TensorFlow had this operation only once."""
    raise Inexpressible


@writes("RFFT", "IRFFT")
def _real_transform(node: Node) -> tuple[list[Part], dict[str, Any]]:
    """TensorFlow's needs lengths, by default those of the input's last axes, and an input that is not shorter."""
    inputs, rank, inverse = node.inputs(), node.attrs["rank"], node.type == "IRFFT"
    x, shape = inputs[0], node.op.inputs[0].raw_shape
    sizes = node.make("StridedSlice", node.make("Shape", x), [-rank], [0], [1], end_mask=1)
    last = [0] * (rank - 1) + [1]
    if len(inputs) > 1:
        if shape is None:
            raise Inexpressible
        wanted = inputs[1]
        if inverse:  # the input's last axis has half of the length and one
            half = node.make("Add", node.make("FloorDiv", wanted, node.constant("half", [1] * (rank - 1) + [2])), last)
        else:
            half = wanted
        more = node.make("Maximum", node.make("Sub", half, sizes), 0)
        before = node.make("ConcatV2", [0] * (len(shape) - rank), more, np.array(0, np.int32))
        zeros = node.make("ZerosLike", before)
        x = node.make("Pad", x, node.make("Pack", zeros, before, axis=1))
    elif inverse:
        doubled = node.make("Mul", node.make("Sub", sizes, last), node.constant("double", [1] * (rank - 1) + [2]))
        wanted = node.make("Maximum", doubled, 0)
    else:
        wanted = sizes
    node.type += ("", "2D", "3D")[rank - 1]
    return [x, wanted], {}
