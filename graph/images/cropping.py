"""Cropping and padding images."""

from __future__ import annotations

from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.default_scopes import control_dependencies
from weftwork.graph.images.tools import Size, batched, image_of, known, number_or_none, size_of, unbatched
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.assertions import assert_greater_equal
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.flow import identity
from weftwork.graph.ops.indexing import slice
from weftwork.graph.ops.math_ops import maximum, minimum
from weftwork.graph.ops.rearranging import pad
from weftwork.graph.ops.spaces import extract_image_patches as extract_image_patches
from weftwork.graph.scopes import name_scope


def _checked(x: Tensor, *conditions: tuple[Size, Size, str]) -> Tensor:
    """Return x if each first size is at least the second. Raises ValueError, at run time InvalidArgumentError."""
    later = []
    for a, b, text in conditions:
        if known(a, b):
            if a < b:
                raise ValueError(text)
        else:
            later.append(assert_greater_equal(a, b, message=text))
    if not later:
        return x
    with control_dependencies(later):
        return identity(x)


def central_crop(image: Any, central_fraction: float) -> Tensor:
    """The center of an image, or of each of a batch: `central_fraction` of its height and width.

    Raises ValueError for a fraction outside (0, 1].
    """
    if central_fraction <= 0 or central_fraction > 1:
        raise ValueError("central_fraction must be within (0, 1]")
    with name_scope(None, "central_crop", [image]):
        x = image_of(image)
        if central_fraction == 1:
            return x
        one, x = batched(x, ranked=True)
        height, width = size_of(x)
        top, left = _margin(height, central_fraction), _margin(width, central_fraction)
        return unbatched(one, _cropped(x, top, left, height - 2 * top, width - 2 * left))


def _margin(size: Size, fraction: float) -> Size:
    if known(size):
        return int((size - size * fraction) / 2)
    exact = cast(size, dtypes.float64)
    return cast((exact - exact * fraction) / 2.0, dtypes.int32)


def _cropped(x: Tensor, top: Size, left: Size, height: Size, width: Size) -> Tensor:
    return _known(x, slice(x, [0, top, left, 0], [-1, height, width, -1]), height, width)


def _known(x: Tensor, result: Tensor, height: Size, width: Size) -> Tensor:
    """Set the shape of cropped or padded images: batch and channels are those of the original images."""
    batch, _, _, channels = x.raw_shape or (None,) * 4
    result.set_shape([batch, number_or_none(height), number_or_none(width), channels])
    return result


def crop_to_bounding_box(
    image: Any, offset_height: Size, offset_width: Size, target_height: Size, target_width: Size
) -> Tensor:
    """Crop an image, or each of a batch, to a box with this offset and size.

    Raises ValueError for a box that exceeds the image, or InvalidArgumentError if that is only known at run time.
    """
    with name_scope(None, "crop_to_bounding_box", [image]):
        one, x = batched(image)
        height, width = size_of(x)
        x = _checked(
            x,
            (offset_width, 0, "offset_width must be >= 0."),
            (offset_height, 0, "offset_height must be >= 0."),
            (target_width, 1, "target_width must be > 0."),
            (target_height, 1, "target_height must be > 0."),
            (width, offset_width + target_width, "width must be >= target + offset."),
            (height, offset_height + target_height, "height must be >= target + offset."),
        )
        return unbatched(one, _cropped(x, offset_height, offset_width, target_height, target_width))


def pad_to_bounding_box(
    image: Any, offset_height: Size, offset_width: Size, target_height: Size, target_width: Size
) -> Tensor:
    """Place an image, or each of a batch, at an offset in a larger one filled with zeros.

    Raises ValueError if the image does not fit, or InvalidArgumentError if that is only known at run time.
    """
    with name_scope(None, "pad_to_bounding_box", [image]):
        one, x = batched(image)
        height, width = size_of(x)
        below, right = target_height - offset_height - height, target_width - offset_width - width
        x = _checked(
            x,
            (offset_height, 0, "offset_height must be >= 0"),
            (offset_width, 0, "offset_width must be >= 0"),
            (right, 0, "width must be <= target - offset"),
            (below, 0, "height must be <= target - offset"),
        )
        result = pad(x, [[0, 0], [offset_height, below], [offset_width, right], [0, 0]])
        return unbatched(one, _known(x, result, target_height, target_width))


def resize_image_with_crop_or_pad(image: Any, target_height: Size, target_width: Size) -> Tensor:
    """Crop an image, or each of a batch, centrally to this size, or pad it with zeros on both sides.

    Raises ValueError for a size that is not positive.
    """
    with name_scope(None, "resize_image_with_crop_or_pad", [image]):
        one, x = batched(image)
        x = _checked(
            x,
            (target_width, 1, "target_width must be > 0."),
            (target_height, 1, "target_height must be > 0."),
        )
        height, width = size_of(x)
        over_height, over_width = _half(height - target_height), _half(width - target_width)
        kept = _least(target_height, height), _least(target_width, width)
        x = crop_to_bounding_box(x, over_height, over_width, *kept)
        under_height, under_width = _half(target_height - height), _half(target_width - width)
        result = pad_to_bounding_box(x, under_height, under_width, target_height, target_width)
        return unbatched(one, result)


def _half(size: Size) -> Size:
    """Half of an excess, 0 if it is negative."""
    return max(size // 2, 0) if known(size) else maximum(size // 2, 0)


def _least(a: Size, b: Size) -> Size:
    return min(a, b) if known(a, b) else minimum(a, b)
