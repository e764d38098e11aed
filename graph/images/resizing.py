"""Resizing images: `resize_images` and its variants, `crop_and_resize`.

Images are [batch, height, width, channels], or [height, width, channels] where stated.
"""

from __future__ import annotations

from typing import Any

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.images.tools import batched, unbatched
from weftwork.graph.kernels import resizing as kernels
from weftwork.graph.kernels.resizing import Way
from weftwork.graph.known import renamed, shape_argument
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.array_ops import shape
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.flow import identity
from weftwork.graph.ops.math_ops import maximum, minimum
from weftwork.graph.ops.math_ops import round as rounded
from weftwork.graph.ops.rearranging import pad
from weftwork.graph.scopes import name_scope


class ResizeMethod:
    """Methods of resizing images."""

    BILINEAR = 0
    NEAREST_NEIGHBOR = 1
    BICUBIC = 2
    AREA = 3


_METHODS = {0: "bilinear", 1: "nearest", 2: "bicubic", 3: "area"}
_CROPS = ("bilinear", "nearest")
_TYPES = {"bilinear": "ResizeBilinear", "nearest": "ResizeNearestNeighbor", "bicubic": "ResizeBicubic"}


def _resized(images: Any, size: Any, way: Way, name: str | None) -> Tensor:
    x = convert_to_tensor(images, name="images")
    if x.raw_shape is not None and len(x.raw_shape) != 4:
        raise ValueError(f"Shape must be rank 4 but is rank {len(x.raw_shape)}: {x!r}")
    if x.dtype.numpy.kind not in "fiu":
        raise TypeError(f"Value passed to parameter 'images' has DataType {x.dtype.name}, which is not a real number")
    _, vector, known = shape_argument(size)
    if known is not None and len(known) != 2:
        raise ValueError(f"'size' must be a 1-D Tensor of 2 elements: new_height, new_width, not {shapes.text(known)}")
    batch, _, _, channels = x.raw_shape or (None,) * 4
    raw = (batch, *(known or (None, None)), channels)
    inputs, attrs = ([x], {"way": way, "size": known}) if vector is None else ([x, vector], {"way": way})
    kernel = kernels.resize_nearest if way.method == "nearest" else kernels.resize
    dtype = x.dtype.base_dtype if way.method == "nearest" else dtypes.float32
    kind = _TYPES.get(way.method, "ResizeArea")
    return apply(kernel, inputs, attrs, type=kind, name=name, dtype=dtype, shape=raw)


def resize_bilinear(
    images: Any, size: Any, align_corners: bool = False, name: str | None = None, half_pixel_centers: bool = False
) -> Tensor:
    """Resize images to (height, width) `size`, float32, bilinearly. align_corners: the corner pixels coincide."""
    return _resized(images, size, Way("bilinear", bool(align_corners), bool(half_pixel_centers)), name)


def resize_nearest_neighbor(
    images: Any, size: Any, align_corners: bool = False, name: str | None = None, half_pixel_centers: bool = False
) -> Tensor:
    """Resize images to (height, width) `size`, keeping the dtype: each pixel is the nearest of the originals."""
    return _resized(images, size, Way("nearest", bool(align_corners), bool(half_pixel_centers)), name)


def resize_bicubic(
    images: Any, size: Any, align_corners: bool = False, name: str | None = None, half_pixel_centers: bool = False
) -> Tensor:
    """Resize images to (height, width) `size`, float32, bicubically, with Keys' kernel."""
    return _resized(images, size, Way("bicubic", bool(align_corners), bool(half_pixel_centers)), name)


def resize_area(images: Any, size: Any, align_corners: bool = False, name: str | None = None) -> Tensor:
    """Resize images to (height, width) `size`, float32: each pixel is the mean of the area it covers. No gradient."""
    return _resized(images, size, Way("area", bool(align_corners)), name)


def resize_images(
    images: Any,
    size: Any,
    method: Any = ResizeMethod.BILINEAR,
    align_corners: bool = False,
    preserve_aspect_ratio: bool = False,
    name: str | None = None,
) -> Tensor:
    """Resize images, or one image [height, width, channels], to (height, width) `size`.

    method: a ResizeMethod, or "bilinear", "nearest", "bicubic", "area".   align_corners: the corner pixels coincide.
    preserve_aspect_ratio: make it as large as fits into `size`.
    Returns float32, but nearest pixels keep the dtype; images that have the size already are returned unchanged.
    Raises ValueError for another rank or method.
    """
    method = _METHODS.get(method, method)
    if method not in _METHODS.values():
        raise ValueError("Resize method is not implemented.")
    with name_scope(name, "resize", [images, size]):
        x = convert_to_tensor(images, name="images")
        one, x = batched(x, "images", ranked=True)
        if preserve_aspect_ratio:
            size = _fitted(x, size)
        wanted = shape_argument(size)[2]
        if wanted is not None and len(wanted) != 2:
            raise ValueError("'size' must be a 1-D Tensor of 2 elements: new_height, new_width")
        if wanted is None or None in wanted or x.raw_shape is None or x.raw_shape[1:3] != wanted:
            x = _resized(x, size, Way(method, bool(align_corners)), None)
        else:
            x = identity(x)
        return unbatched(one, x)


def _fitted(x: Tensor, size: Any) -> Any:
    """The largest (height, width) with the images' aspect ratio that fits into `size`."""
    height, width = (x.raw_shape or (None,) * 4)[1:3]
    known = shape_argument(size)[2]
    if None not in (height, width) and known is not None and None not in known:
        scale = min(known[0] / height, known[1] / width)  # type: ignore[operator]
        return [int(round(scale * height)), int(round(scale * width))]  # type: ignore[operator]
    given = cast(shape(x)[1:3], dtypes.float32)
    scales = cast(convert_to_tensor(size, name="size"), dtypes.float32) / given
    return cast(rounded(given * minimum(scales[0], scales[1])), dtypes.int32)


def resize_image_with_pad(
    image: Any, target_height: int, target_width: int, method: Any = ResizeMethod.BILINEAR, align_corners: bool = False
) -> Tensor:
    """Resize images, or one, without distortion to fit into a size, and pad with zeros.

    method: of `ResizeMethod`.
    Raises ValueError for another rank, or a size that is not positive.
    """
    if target_height <= 0 or target_width <= 0:
        raise ValueError(f"target_height and target_width must be > 0, not {target_height}, {target_width}.")
    with name_scope(None, "resize_image_with_pad", [image]):
        one, x = batched(image)
        channels = x.raw_shape[3]  # type: ignore[index]
        size, above, left = _centered(x, target_height, target_width)
        x = resize_images(x, size, method, align_corners)
        below, right = target_height - size[0] - above, target_width - size[1] - left
        x = pad(x, [[0, 0], [above, below], [left, right], [0, 0]])
        x.set_shape([None, target_height, target_width, channels])
        return unbatched(one, x)


def _centered(x: Tensor, height: int, width: int) -> tuple[Any, Any, Any]:
    """((height, width), rows above, columns before) for images centered in a frame; tensors where unknown."""
    given_height, given_width = (x.raw_shape or (None,) * 4)[1:3]
    if given_height is not None and given_width is not None:
        ratio = max(given_width / width, given_height / height)
        exact = (given_height / ratio, given_width / ratio)
        above, left = (max(0, int((room - n) / 2)) for room, n in zip((height, width), exact, strict=True))
        return [int(n) for n in exact], above, left
    given, frame = cast(shape(x)[1:3], dtypes.float64), convert_to_tensor([height, width], dtypes.float64)
    ratios = given / frame
    wanted = given / maximum(ratios[0], ratios[1])
    room = cast(maximum(0.0, (frame - wanted) / 2.0), dtypes.int32)
    return cast(wanted, dtypes.int32), room[0], room[1]


def crop_and_resize(
    image: Any,
    boxes: Any,
    box_ind: Any = None,
    crop_size: Any = None,
    method: str = "bilinear",
    extrapolation_value: float = 0,
    name: str | None = None,
    box_indices: Any = None,
) -> Tensor:
    """Crop boxes from images and resize each: [batch, height, width, channels] -> [boxes, *crop_size, channels].

    boxes: [boxes, 4], (y1, x1, y2, x2) as fractions of height - 1 and width - 1; y1 > y2 flips it upside down.
    box_ind: the index of each box's image.   method: "bilinear" or "nearest".   extrapolation_value: the value outside
    the image. Returns float32.
    box_indices: a newer name of box_ind.
    Raises ValueError if shapes do not match. At run time, raises OutOfRangeError for an index without an image.
    """
    x = convert_to_tensor(image, name="image")
    places = convert_to_tensor(boxes, dtypes.float32, name="boxes")
    numbers = convert_to_tensor(renamed("box_indices", box_indices, "box_ind", box_ind), dtypes.int32, name="box_ind")
    if method not in _CROPS:
        raise ValueError(
            f"Value for attr 'method' of {method!r} is not in the list of allowed values: bilinear, nearest"
        )
    batch, height, width, channels = shapes.merge(x.raw_shape, (None,) * 4)  # type: ignore[misc]
    count = shapes.merge(shapes.merge(places.raw_shape, (None, 4))[:1], numbers.raw_shape)  # type: ignore[index]
    _, vector, size = shape_argument(crop_size)
    if size is not None and (len(size) != 2 or any(n is not None and n <= 0 for n in size)):
        raise ValueError(f"crop_size must be two positive numbers, not {shapes.text(size)}")
    inputs = [x, places, numbers, *([] if vector is None else [vector])]
    attrs = {"size": size if vector is None else None, "method": method, "outside": float(extrapolation_value)}
    raw = (*(count or (None,)), *(size or (None, None)), channels)
    return apply(
        kernels.crop_and_resize, inputs, attrs, type="CropAndResize", name=name, dtype=dtypes.float32, shape=raw
    )
