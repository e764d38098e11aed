"""Smoothness and similarity of images (total variation, PSNR, SSIM), and their gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import constant, convert_to_tensor
from weftwork.graph.images.colors import convert_image_dtype
from weftwork.graph.images.tools import batched, image_of, size_of
from weftwork.graph.nn.convolutions import depthwise_conv2d
from weftwork.graph.nn.windows import avg_pool
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.array_ops import reshape, shape, zeros
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.joining import concat, stack
from weftwork.graph.ops.math_ops import abs as magnitude
from weftwork.graph.ops.math_ops import log, maximum, pow, square, squared_difference
from weftwork.graph.ops.rearranging import pad, tile
from weftwork.graph.ops.reductions import reduce_mean, reduce_prod, reduce_sum
from weftwork.graph.scopes import name_scope


def total_variation(images: Any, name: str | None = None) -> Tensor:
    """The sum of absolute differences between neighboring pixels, of an image, or of each of a batch."""
    with name_scope(name, "total_variation", [images]):
        one, x = batched(images, "images", ranked=True)
        parts = [magnitude(x[:, 1:] - x[:, :-1]), magnitude(x[:, :, 1:] - x[:, :, :-1])]
        sums = [reduce_sum(part, [1, 2, 3]) for part in parts]
        both = sums[0] + sums[1]
        return both[0] if one else both


def psnr(a: Any, b: Any, max_val: Any, name: str | None = None) -> Tensor:
    """The peak signal-to-noise ratio of images [..., height, width, channels], in dB. max_val: the range of values."""
    with name_scope(name, "PSNR", [a, b]):
        most, x, y = _of_range(max_val, a, b)
        error = reduce_mean(squared_difference(x, y), [-3, -2, -1])
        return 20 * log(most) / np.float32(math.log(10)) - np.float32(10 / math.log(10)) * log(error)


def _of_range(max_val: Any, a: Any, b: Any) -> tuple[Tensor, Tensor, Tensor]:
    x, y = image_of(a, "img1"), image_of(b, "img2")
    if not shapes.compatible(x.raw_shape and x.raw_shape[-3:], y.raw_shape and y.raw_shape[-3:]):
        raise ValueError(f"Two images are not compatible: {x.shape} and {y.shape}.")
    most = cast(convert_to_tensor(max_val), x.dtype.base_dtype)
    floats = [convert_image_dtype(v, dtypes.float32) for v in (most, x, y)]
    return floats[0], floats[1], floats[2]


def _for_each_channel(filters: np.ndarray, x: Tensor) -> Tensor:
    """Filters [height, width, 1, n] for each channel of images."""
    channels = None if x.raw_shape is None else x.raw_shape[-1]
    if channels is None:
        return tile(constant(filters, x.dtype.base_dtype), stack([1, 1, shape(x)[-1], 1]))
    return constant(np.tile(filters, [1, 1, channels, 1]), x.dtype.base_dtype)


def _window(size: int, sigma: float) -> np.ndarray:
    at = np.arange(size, dtype=np.float32) - np.float32((size - 1) / 2)
    line = np.square(at) * np.float32(-0.5 / sigma**2)
    weights = np.exp(line[:, None] + line[None, :])
    return (weights / weights.sum())[:, :, None, None].astype(np.float32)


def _by_channel(x: Tensor, y: Tensor, most: Tensor, size: int, sigma: float, k1: float, k2: float) -> tuple:
    """(SSIM, contrast-structure) of each channel, averaged over all windows."""
    window = _for_each_channel(_window(size, sigma), x)

    def smooth(z: Tensor) -> Tensor:
        given = z.raw_shape
        flat = z if given and len(given) == 4 else reshape(z, concat([[-1], shape(z)[-3:]], 0))
        result = depthwise_conv2d(flat, window, [1, 1, 1, 1], "VALID")
        return result if flat is z else reshape(result, concat([shape(z)[:-3], shape(result)[1:]], 0))

    first, second = square(most * k1), square(most * k2)
    mean_x, mean_y = smooth(x), smooth(y)
    product, squares = mean_x * mean_y * 2.0, square(mean_x) + square(mean_y)
    luminance = (product + first) / (squares + first)
    structure = (smooth(x * y) * 2.0 - product + second) / (smooth(square(x) + square(y)) - squares + second)
    return reduce_mean(luminance * structure, [-3, -2]), reduce_mean(structure, [-3, -2])


def ssim(
    img1: Any,
    img2: Any,
    max_val: Any,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
) -> Tensor:
    """The structural similarity of images [..., height, width, channels], 1 if equal. max_val: the range of values.

    Raises ValueError if the images' shapes do not match, or their channels are unknown.
    """
    with name_scope(None, "SSIM", [img1, img2]):
        most, x, y = _of_range(max_val, img1, img2)
        by_channel, _ = _by_channel(x, y, most, filter_size, filter_sigma, k1, k2)
        return reduce_mean(by_channel, [-1])


_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def ssim_multiscale(
    img1: Any,
    img2: Any,
    max_val: Any,
    power_factors: Any = _SCALES,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
) -> Tensor:
    """The structural similarity of images [batch, height, width, channels] at several scales, each half the previous.

    power_factors: the weight of each scale.   Raises ValueError if the images' shapes do not match.
    """
    with name_scope(None, "MS-SSIM", [img1, img2]):
        most, x, y = _of_range(max_val, img1, img2)
        parts = []
        for number, power in enumerate(power_factors):
            if number:
                x, y = _halved(x), _halved(y)
            similarity, structure = _by_channel(x, y, most, filter_size, filter_sigma, k1, k2)
            value = similarity if number == len(power_factors) - 1 else structure
            parts.append(pow(maximum(value, 0.0), np.float32(power)))
        return reduce_mean(reduce_prod(stack(parts, -1), [-1]), [-1])


def _halved(x: Tensor) -> Tensor:
    """Halve the size by averaging blocks of two by two; the last line of an odd size is repeated."""
    height, width = size_of(x)
    x = pad(x, [[0, 0], [0, height % 2], [0, width % 2], [0, 0]], mode="SYMMETRIC")
    return avg_pool(x, [1, 2, 2, 1], [1, 2, 2, 1], "VALID")


def image_gradients(image: Any) -> tuple[Tensor, Tensor]:
    """(dy, dx) of images [batch, height, width, channels]: the next pixel minus this one; 0 for the last.

    Raises ValueError for another rank.
    """
    x = convert_to_tensor(image, name="image")
    if x.raw_shape is None or len(x.raw_shape) != 4:
        raise ValueError(f"image_gradients expects a 4D tensor [batch_size, h, w, d], not {x.shape}.")
    batch, height, width, depth = (shape(x)[i] for i in range(4))
    down, across = x[:, 1:] - x[:, :-1], x[:, :, 1:] - x[:, :, :-1]
    dtype = x.dtype.base_dtype
    down = concat([down, zeros(stack([batch, 1, width, depth]), dtype)], 1)
    across = concat([across, zeros(stack([batch, height, 1, depth]), dtype)], 2)
    return reshape(down, shape(x)), reshape(across, shape(x))


def sobel_edges(image: Any) -> Tensor:
    """Sobel filters of images: [batch, height, width, channels] -> [batch, height, width, channels, 2], dy and dx."""
    x = convert_to_tensor(image, name="image")
    down = np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], np.float32)
    kernels = np.stack([down, down.T], -1)[:, :, None, :]
    padded = pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="REFLECT")
    result = depthwise_conv2d(padded, _for_each_channel(kernels, x), [1, 1, 1, 1], "VALID")
    result = reshape(result, concat([shape(x), [2]], 0))
    if x.raw_shape is not None:
        result.set_shape([*x.raw_shape, 2])
    return result
