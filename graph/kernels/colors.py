"""Colors as hue, saturation and value. Images are floats of shape [..., 3]."""

from __future__ import annotations

import numpy as np


def rgb_to_hsv(images):
    """Hue (1 is a full turn), saturation and value from red, green and blue."""
    red, green, blue = np.moveaxis(images, -1, 0)
    value, low = images.max(-1), images.min(-1)
    spread = value - low
    one = images.dtype.type(1)
    saturation = np.where(value > 0, spread / np.where(value > 0, value, one), 0)
    part = one / (6 * np.where(spread > 0, spread, one))
    hue = np.where(
        red == value,
        part * (green - blue),
        np.where(green == value, part * (blue - red) + one * 2 / 6, part * (red - green) + one * 4 / 6),
    )
    hue = np.where(spread > 0, hue, 0)
    hue = np.where(hue < 0, hue + 1, hue)
    return np.stack([hue, saturation, value], -1).astype(images.dtype, copy=False)


def hsv_to_rgb(images):
    """Red, green and blue from hue, saturation and value."""
    hue, saturation, value = np.moveaxis(images, -1, 0)
    place = hue * 6
    pure = np.stack([np.abs(place - 3) - 1, 2 - np.abs(place - 2), 2 - np.abs(place - 4)], -1)
    pure = np.clip(pure, 0, 1)
    saturation = saturation[..., None]
    return ((1 - saturation + saturation * pure) * value[..., None]).astype(images.dtype, copy=False)


def shift_hue(images, delta):
    """Rotate the hue by `delta` turns."""
    parts = rgb_to_hsv(images)
    parts[..., 0] = np.mod(parts[..., 0] + images.dtype.type(delta), 1)
    return hsv_to_rgb(parts)


def scale_saturation(images, factor):
    """Multiply the saturation, and clip it to [0, 1]."""
    parts = rgb_to_hsv(images)
    parts[..., 1] = np.clip(parts[..., 1] * images.dtype.type(factor), 0, 1)
    return hsv_to_rgb(parts)
