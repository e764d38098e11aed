"""tf.math.special: functions that SciPy computes."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.math_ops import of_scipy

bessel_j0 = of_scipy("bessel_j0", "j0", "BesselJ0", "The Bessel function of the first kind of order 0.")
bessel_j1 = of_scipy("bessel_j1", "j1", "BesselJ1", "The Bessel function of the first kind of order 1.")
bessel_y0 = of_scipy("bessel_y0", "y0", "BesselY0", "The Bessel function of the second kind of order 0.")
bessel_y1 = of_scipy("bessel_y1", "y1", "BesselY1", "The Bessel function of the second kind of order 1.")
bessel_k0 = of_scipy("bessel_k0", "k0", "BesselK0", "The modified Bessel function of the second kind of order 0.")
bessel_k1 = of_scipy("bessel_k1", "k1", "BesselK1", "The modified Bessel function of the second kind of order 1.")
bessel_k0e = of_scipy("bessel_k0e", "k0e", "BesselK0e", "exp(x) bessel_k0(x).")
bessel_k1e = of_scipy("bessel_k1e", "k1e", "BesselK1e", "exp(x) bessel_k1(x).")
dawsn = of_scipy("dawsn", "dawsn", "Dawsn", "Dawson's integral.")
expint = of_scipy("expint", "expi", "Expint", "The exponential integral Ei.")
spence = of_scipy("spence", "spence", "Spence", "Spence's integral, the dilogarithm of 1 - x.")


def fresnel_sin(x: Any, name: str | None = None) -> Tensor:
    """Fresnel's sine integral."""
    return _fresnel(x, 0, "FresnelSin", name)


def fresnel_cos(x: Any, name: str | None = None) -> Tensor:
    """Fresnel's cosine integral."""
    return _fresnel(x, 1, "FresnelCos", name)


def _fresnel(x: Any, which: int, kind: str, name: str | None) -> Tensor:
    given = convert_to_tensor(x)
    dtype, shape = given.dtype.base_dtype, given.raw_shape
    return apply(_one_of_fresnel, [given], {"which": which}, type=kind, name=name, dtype=dtype, shape=shape)


def _one_of_fresnel(x: Any, *, which: int) -> Any:
    import scipy.special  # imported here because it is slow, and few programs need it

    return np.asarray(scipy.special.fresnel(x)[which], x.dtype)[()]
