"""The colors of images: dtypes, brightness, contrast, hue, saturation, gamma, color spaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.arguments import of_dtype
from weftwork.graph.build import apply, as_tensor, convert_to_tensor
from weftwork.graph.default_scopes import control_dependencies
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.images.tools import as_floats, image_of
from weftwork.graph.kernels import colors as kernels
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.array_ops import concat, expand_dims, ones, rank, shape
from weftwork.graph.ops.assertions import assert_non_negative
from weftwork.graph.ops.conversion import cast, saturate_cast
from weftwork.graph.ops.flow import identity
from weftwork.graph.ops.math_ops import maximum, multiply, pow, rsqrt, sqrt, square
from weftwork.graph.ops.products import tensordot
from weftwork.graph.ops.random_ops import random_uniform
from weftwork.graph.ops.rearranging import tile
from weftwork.graph.ops.reductions import reduce_mean, reduce_prod
from weftwork.graph.scopes import name_scope


def convert_image_dtype(image: Any, dtype: Any, saturate: bool = False, name: str | None = None) -> Tensor:
    """Convert images to another dtype and its range: floats from 0 to 1, integers from 0 to their largest value.

    saturate: clip values that are out of range.
    """
    x, wanted = convert_to_tensor(image, name="image"), as_dtype(dtype).base_dtype
    given = x.dtype.base_dtype
    change = saturate_cast if saturate else cast
    if given is wanted:
        return identity(x, name=name)
    with name_scope(name, "convert_image", [image]) as scope:
        if given.is_integer and wanted.is_integer:
            return _other_integers(x, wanted, change, saturate, scope)
        if given.is_floating and wanted.is_floating:
            return cast(x, wanted, name=scope)
        if given.is_integer:
            return multiply(cast(x, wanted), wanted.numpy.type(1.0 / given.max), name=scope)
        return change(x * given.numpy.type(wanted.max + 0.5), wanted, name=scope)


def _other_integers(x: Tensor, wanted: dtypes.DType, change: Callable, saturate: bool, name: str) -> Tensor:
    most, most_wanted = x.dtype.max, wanted.max
    if most > most_wanted:
        return change(x // x.dtype.numpy.type((most + 1) // (most_wanted + 1)), wanted, name=name)
    result = saturate_cast(x, wanted) if saturate else cast(x, wanted)
    return result * wanted.numpy.type((most_wanted + 1) // (most + 1))


def _on_floats(image: Any, name: str | None, scope: str, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply `change` to an image as floats from 0 to 1, and convert the result back to the image's dtype."""
    with name_scope(name, scope, [image]):
        x = convert_to_tensor(image, name="image")
        dtype = x.dtype.base_dtype
        floats = x if dtype in (dtypes.float16, dtypes.float32) else convert_image_dtype(x, dtypes.float32)
        return convert_image_dtype(change(floats), dtype, saturate=True)


def _amount(value: Any, x: Tensor) -> Any:
    """A number, or a scalar tensor, to combine with a tensor."""
    tensor = as_tensor(value)
    return x.dtype.numpy.type(value) if tensor is None else cast(tensor, x.dtype.base_dtype)


def adjust_brightness(image: Any, delta: Any) -> Tensor:
    """Add `delta` to all pixels, which count as floats from 0 to 1."""
    return _on_floats(image, None, "adjust_brightness", lambda x: x + _amount(delta, x))


def random_brightness(image: Any, max_delta: float, seed: int | None = None) -> Tensor:
    """Add a random number from [-max_delta, max_delta). Raises ValueError for a negative max_delta."""
    if max_delta < 0:
        raise ValueError("max_delta must be non-negative.")
    return adjust_brightness(image, random_uniform([], -max_delta, max_delta, seed=seed))


def adjust_contrast(images: Any, contrast_factor: Any) -> Tensor:
    """Scale the distance of all pixels from their channel's mean by `contrast_factor`."""

    def change(x: Tensor) -> Tensor:
        mean = reduce_mean(x, [-3, -2], keepdims=True)
        return (x - mean) * _amount(contrast_factor, x) + mean

    return _on_floats(image_of(images, "images"), None, "adjust_contrast", change)


def random_contrast(image: Any, lower: float, upper: float, seed: int | None = None) -> Tensor:
    """Adjust the contrast by a random factor from [lower, upper). Raises ValueError unless 0 <= lower < upper."""
    return adjust_contrast(image, _factor(lower, upper, seed))


def _factor(lower: float, upper: float, seed: int | None) -> Tensor:
    if upper <= lower:
        raise ValueError("upper must be > lower.")
    if lower < 0:
        raise ValueError("lower must be non-negative.")
    return random_uniform([], lower, upper, seed=seed)


def _three_channels(x: Tensor) -> Tensor:
    if x.raw_shape is not None and (not x.raw_shape or x.raw_shape[-1] not in (None, 3)):
        raise ValueError(f"Images must have 3 channels in their last dimension, not shape {x.shape}.")
    return x


def _colored(kernel: Callable, kind: str, x: Tensor, *more: Tensor) -> Tensor:
    floats = as_floats(_three_channels(x))
    inputs = [floats, *more]
    return apply(kernel, inputs, type=kind, dtype=floats.dtype.base_dtype, shape=floats.raw_shape)


def adjust_hue(image: Any, delta: Any, name: str | None = None) -> Tensor:
    """Rotate the hue of all pixels by `delta`; a full turn is 1."""
    number = cast(delta, dtypes.float32)
    x = image_of(image)
    return _on_floats(x, name, "adjust_hue", lambda y: _colored(kernels.shift_hue, "AdjustHue", y, number))


def random_hue(image: Any, max_delta: float, seed: int | None = None) -> Tensor:
    """Rotate the hue by a random number from [-max_delta, max_delta), at most half a turn.

    Raises ValueError for a max_delta outside [0, 0.5].
    """
    if max_delta > 0.5:
        raise ValueError("max_delta must be <= 0.5.")
    if max_delta < 0:
        raise ValueError("max_delta must be non-negative.")
    return adjust_hue(image, random_uniform([], -max_delta, max_delta, seed=seed))


def adjust_saturation(image: Any, saturation_factor: Any, name: str | None = None) -> Tensor:
    """Multiply the saturation of all pixels by a factor.

    saturation_factor: a float, 0 for grey, 1 for no change.
    """
    number = cast(saturation_factor, dtypes.float32)

    def change(x: Tensor) -> Tensor:
        return _colored(kernels.scale_saturation, "AdjustSaturation", x, number)

    return _on_floats(image_of(image), name, "adjust_saturation", change)


def random_saturation(image: Any, lower: float, upper: float, seed: int | None = None) -> Tensor:
    """Multiply the saturation by a random factor from [lower, upper). Raises ValueError unless 0 <= lower < upper."""
    return adjust_saturation(image, _factor(lower, upper, seed))


def adjust_gamma(image: Any, gamma: Any = 1, gain: Any = 1) -> Tensor:
    """gain * image ** gamma, for images as floats from 0 to 1. Raises ValueError for a negative gamma."""

    def change(x: Tensor) -> Tensor:
        power = as_tensor(gamma)
        if power is None:
            if gamma < 0:
                raise ValueError("Gamma should be a non-negative real number.")
            return pow(x, _amount(gamma, x)) * _amount(gain, x)
        with control_dependencies([assert_non_negative(power, message="Gamma should be a non-negative real number.")]):
            return pow(x, cast(identity(power), x.dtype.base_dtype)) * _amount(gain, x)

    return _on_floats(image, None, "adjust_gamma", change)


def per_image_standardization(image: Any) -> Tensor:
    """Each image, float32, with mean 0 and standard deviation 1, which counts as at least 1 / sqrt(elements)."""
    with name_scope(None, "per_image_standardization", [image]) as scope:
        x = cast(image_of(image), dtypes.float32)
        axes = [-1, -2, -3]
        if x.raw_shape is None or None in x.raw_shape[-3:]:
            least = rsqrt(cast(reduce_prod(shape(x)[-3:]), dtypes.float32))
        else:
            least = np.float32(1 / np.sqrt(np.prod(x.raw_shape[-3:])))  # type: ignore[arg-type]
        mean = reduce_mean(x, axes, keepdims=True)
        deviation = sqrt(reduce_mean(square(x - mean), axes, keepdims=True))
        result = (x - mean) / maximum(deviation, least)
        return identity(result, name=scope)


# Color spaces


def rgb_to_grayscale(images: Any, name: str | None = None) -> Tensor:
    """The luma of colors: [..., 3] -> [..., 1], in the images' dtype."""
    weights = np.array([0.2989, 0.5870, 0.1140], np.float32)
    with name_scope(name, "rgb_to_grayscale", [images]) as scope:
        x = _three_channels(convert_to_tensor(images, name="images"))
        dtype = x.dtype.base_dtype
        floats = convert_image_dtype(x, dtypes.float32)
        result = expand_dims(tensordot(floats, weights, [[-1], [-1]]), -1)
        return convert_image_dtype(result, dtype, name=scope)


def grayscale_to_rgb(images: Any, name: str | None = None) -> Tensor:
    """Repeat gray as three channels: [..., 1] -> [..., 3].

    Raises ValueError for more than one channel.
    """
    with name_scope(name, "grayscale_to_rgb", [images]) as scope:
        x = convert_to_tensor(images, name="images")
        if x.raw_shape is None:
            return tile(x, concat([ones([rank(x) - 1], dtypes.int32), [3]], 0), name=scope)
        if not x.raw_shape or x.raw_shape[-1] not in (None, 1):
            raise ValueError(f"A grayscale image (shape {x.shape}) must have last dimension of size 1.")
        result = tile(x, [1] * (len(x.raw_shape) - 1) + [3], name=scope)
        result.set_shape([*x.raw_shape[:-1], 3])
        return result


def _space(kernel: Callable, kind: str, images: Any, name: str | None) -> Tensor:
    x = _three_channels(of_dtype(images, "images", default="float32"))
    shape = None if x.raw_shape is None else (*x.raw_shape[:-1], 3)
    return apply(kernel, [x], type=kind, name=name, dtype=x.dtype.base_dtype, shape=shape)


def rgb_to_hsv(images: Any, name: str | None = None) -> Tensor:
    """Convert colors to hue (a full turn is 1), saturation and value: floats in [..., 3]."""
    return _space(kernels.rgb_to_hsv, "RGBToHSV", images, name)


def hsv_to_rgb(images: Any, name: str | None = None) -> Tensor:
    """Convert hue, saturation and value to colors: floats in [..., 3]."""
    return _space(kernels.hsv_to_rgb, "HSVToRGB", images, name)


_YIQ = [[0.299, 0.59590059, 0.2115], [0.587, -0.27455667, -0.52273617], [0.114, -0.32134392, 0.31119955]]
_YUV = [[0.299, -0.14714119, 0.61497538], [0.587, -0.28886916, -0.51496512], [0.114, 0.43601035, -0.10001026]]


def _mixed(images: Any, table: Any) -> Tensor:
    x = _three_channels(convert_to_tensor(images, name="images"))
    result = tensordot(x, np.asarray(table, x.dtype.numpy), [[-1], [0]])
    result.set_shape(x.raw_shape)
    return result


def rgb_to_yiq(images: Any) -> Tensor:
    """Convert colors to YIQ: floats in [..., 3]."""
    return _mixed(images, _YIQ)


def yiq_to_rgb(images: Any) -> Tensor:
    """Convert YIQ to colors: floats in [..., 3]."""
    return _mixed(images, [[1, 1, 1], [0.95598634, -0.27201283, -1.10674021], [0.6208248, -0.64720424, 1.70423049]])


def rgb_to_yuv(images: Any) -> Tensor:
    """Convert colors to YUV: floats in [..., 3]."""
    return _mixed(images, _YUV)


def yuv_to_rgb(images: Any) -> Tensor:
    """Convert YUV to colors: floats in [..., 3]."""
    return _mixed(images, [[1, 1, 1], [0, -0.394642334, 2.03206185], [1.13988303, -0.58062185, 0]])
