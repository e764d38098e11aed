"""Resizing: each axis of an image is a weighted sum over a few of its elements.

taps     the elements that contribute to one output element: indices [out, k], weights [out, k]
Images are [batch, height, width, channels]. A scale is input size over output size, as in TensorFlow: by default the
first elements coincide, with align_corners the last ones too, with half pixels the pixel centers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from weftwork.graph.errors import InvalidArgumentError, OutOfRangeError


class Way(NamedTuple):
    """The method of resizing ("bilinear", "bicubic", "area" or "nearest"), and where the elements lie."""

    method: str
    align_corners: bool = False
    half_pixels: bool = False


def _scale(size: int, wanted: int, way: Way) -> np.float32:
    if way.align_corners and wanted > 1:
        return np.float32((size - 1) / np.float32(wanted - 1))
    return np.float32(size / np.float32(wanted))


def _places(size: int, wanted: int, way: Way) -> np.ndarray:
    """The position of each output element on the input's axis."""
    numbers = np.arange(wanted, dtype=np.float32)
    half = np.float32(0.5 if way.half_pixels else 0)
    return (numbers + half) * _scale(size, wanted, way) - half


def nearest(size: int, wanted: int, way: Way) -> np.ndarray:
    """The input element copied to each output element."""
    at = np.arange(wanted, dtype=np.float32) + np.float32(0.5 if way.half_pixels else 0)
    at = at * _scale(size, wanted, way)
    at = np.floor(at + np.float32(0.5)) if way.align_corners else np.floor(at)
    return np.clip(at.astype(np.int64), 0, size - 1)


def _bilinear(size: int, wanted: int, way: Way) -> tuple[np.ndarray, np.ndarray]:
    at = _places(size, wanted, way)
    low = np.floor(at)
    part = at - low
    first = np.maximum(low, 0).astype(np.int64)
    second = np.minimum(low + 1, size - 1).astype(np.int64)
    return np.stack([first, np.maximum(second, 0)], 1), np.stack([1 - part, part], 1)


_STEPS = 1024


def _bicubic(size: int, wanted: int, way: Way) -> tuple[np.ndarray, np.ndarray]:
    """Four elements by Keys' kernel. Its argument is rounded to 1/1024, as in TensorFlow's table."""
    a = -0.5 if way.half_pixels else -0.75
    at = _places(size, wanted, way)
    low = np.floor(at)
    x = np.rint((at - low) * _STEPS) / _STEPS
    near, far = lambda d: ((a + 2) * d - (a + 3)) * d * d + 1, lambda d: ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    weights = np.stack([far(x + 1), near(x), near(1 - x), far(2 - x)], 1)
    indices = low.astype(np.int64)[:, None] + np.arange(-1, 3)
    inside = np.clip(indices, 0, size - 1)
    if way.half_pixels:
        weights = np.where(indices == inside, weights, 0)
        weights /= weights.sum(1, keepdims=True)
    return inside, weights


def _area(size: int, wanted: int, way: Way) -> tuple[np.ndarray, np.ndarray]:
    """All elements between one position and the next, weighted by the overlap."""
    scale = _scale(size, wanted, way)
    if not scale:  # aligned corners of a single element
        return np.zeros((wanted, 1), np.int64), np.ones((wanted, 1))
    start = np.arange(wanted, dtype=np.float32) * scale
    end = (np.arange(wanted, dtype=np.float32) + 1) * scale
    first = np.floor(start).astype(np.int64)
    count = int((np.ceil(end).astype(np.int64) - first).max(initial=1))
    indices = first[:, None] + np.arange(count)
    overlap = np.minimum(indices + 1, end[:, None]) - np.maximum(indices, start[:, None])
    return np.clip(indices, 0, size - 1), np.maximum(overlap, 0) / scale


_TAPS = {"bilinear": _bilinear, "bicubic": _bicubic, "area": _area}


def _sparse() -> Any:
    import scipy.sparse  # takes 0.1 s, half of a training program's import time

    return scipy.sparse


@lru_cache(maxsize=64)
def _matrix(size: int, wanted: int, way: Way, dtype: np.dtype) -> Any:
    """The taps as a matrix [wanted, size]."""
    indices, weights = _TAPS[way.method](size, wanted, way)
    rows = np.repeat(np.arange(wanted), indices.shape[1])
    matrix = _sparse().coo_array((weights.ravel(), (rows, indices.ravel())), shape=(wanted, size))
    return matrix.tocsr().astype(dtype)


def _applied(rows: Any, columns: Any, images: np.ndarray) -> np.ndarray:
    """Multiply each column of pixels, then each row, by a matrix; image by image, which fits into the cache."""
    (height, given), (width, across), channels = rows.shape, columns.shape, images.shape[3]
    resized = np.empty((len(images), height, width, channels), images.dtype)
    for one, image in zip(resized, images, strict=True):
        lines = (rows @ image.reshape(given, across * channels)).reshape(height, across, channels)
        transposed = lines.transpose(1, 0, 2).reshape(across, height * channels)
        one[...] = (columns @ transposed).reshape(width, height, channels).transpose(1, 0, 2)
    return resized


def _sizes(images: np.ndarray, size: Any) -> tuple[int, int]:
    height, width = (int(n) for n in np.ravel(size))
    if images.ndim != 4:
        raise InvalidArgumentError(
            None, None, f"input must be 4-dimensional [batch, y, x, c], not {list(images.shape)}"
        )
    if height <= 0 or width <= 0:
        raise InvalidArgumentError(None, None, f"output dimensions must be positive, but are {[height, width]}")
    if not images.shape[1] or not images.shape[2]:
        raise InvalidArgumentError(None, None, "input image must be of non-zero size")
    return height, width


def resize(images: Any, *given: Any, way: Way, size: Any = None) -> Any:
    """The kernel of ResizeBilinear, ResizeBicubic and ResizeArea."""
    height, width = _sizes(images, given[0] if given else size)
    dtype = np.dtype(np.float64 if images.dtype == np.float64 else np.float32)
    converted = images if images.dtype == dtype else images.astype(dtype)
    rows, columns = _matrix(images.shape[1], height, way, dtype), _matrix(images.shape[2], width, way, dtype)
    return _applied(rows, columns, converted).astype(np.float32, copy=False)


def resize_nearest(images: Any, *given: Any, way: Way, size: Any = None) -> Any:
    """The kernel of ResizeNearestNeighbor."""
    height, width = _sizes(images, given[0] if given else size)
    rows, columns = nearest(images.shape[1], height, way), nearest(images.shape[2], width, way)
    return images[:, rows[:, None], columns]


def resize_gradient(grad: Any, shape: Any, *, way: Way, dtype: np.dtype) -> Any:
    """The gradient with respect to images of `shape`: the transposed matrices."""
    _, height, width, _ = (int(n) for n in shape)
    rows, columns = _transposed_matrix(height, grad.shape[1], way), _transposed_matrix(width, grad.shape[2], way)
    return _applied(rows, columns, grad).astype(dtype, copy=False)


def _transposed_matrix(size: int, wanted: int, way: Way) -> Any:
    dtype = np.dtype(np.float32)
    if way.method != "nearest":
        return _matrix(size, wanted, way, dtype).T
    ones = np.ones(wanted, dtype)
    return _sparse().coo_array((ones, (nearest(size, wanted, way), np.arange(wanted))), shape=(size, wanted)).tocsr()


# Cropping and resizing boxes


def _lines(low: Any, high: Any, size: int, wanted: int) -> np.ndarray:
    """The positions of a box's `wanted` lines on an axis of `size`; the box ends at fractions of the axis."""
    if wanted == 1:
        return np.array([0.5 * (low + high) * (size - 1)], np.float32)
    step = (high - low) * np.float32(size - 1) / np.float32(wanted - 1)
    return low * np.float32(size - 1) + np.arange(wanted, dtype=np.float32) * step


def _crops(images: Any, boxes: Any, box_ind: Any, size: tuple[int, int]) -> Any:
    """For each valid box: (its number, its image's number, y of its lines, x of its lines)."""
    if np.size(box_ind) and not (0 <= np.min(box_ind) and np.max(box_ind) < len(images)):
        raise OutOfRangeError(
            None, None, f"box_index has values outside [0, batch_size): there are {len(images)} images"
        )
    for b, (box, image) in enumerate(zip(boxes, box_ind, strict=True)):
        ys = _lines(box[0], box[2], images.shape[1], size[0])
        yield b, image, ys, _lines(box[1], box[3], images.shape[2], size[1])


def _inside(lines: np.ndarray, size: int) -> np.ndarray:
    return (lines >= 0) & (lines <= size - 1)


def _corners(ys: np.ndarray, xs: np.ndarray) -> tuple:
    top, left = np.floor(ys).astype(np.int64), np.floor(xs).astype(np.int64)
    bottom, right = np.ceil(ys).astype(np.int64), np.ceil(xs).astype(np.int64)
    return top, bottom, left, right, (ys - top)[:, None, None], (xs - left)[:, None]


def _rounded(lines: np.ndarray) -> np.ndarray:
    return np.floor(lines + np.float32(0.5)).astype(np.int64)


def crop_and_resize(
    images: Any, boxes: Any, box_ind: Any, *given: Any, size: tuple[int, int] | None, method: str, outside: float
) -> Any:
    """The kernel of CropAndResize."""
    height, width = (int(n) for n in (given[0] if given else size))  # type: ignore[union-attr]
    result = np.full((len(boxes), height, width, images.shape[3]), outside, np.float32)
    for b, image, ys, xs in _crops(images, boxes, box_ind, (height, width)):
        rows, columns = _inside(ys, images.shape[1]), _inside(xs, images.shape[2])
        ys, xs = ys[rows], xs[columns]
        if method == "nearest":
            found = images[image][_rounded(ys)[:, None], _rounded(xs)]
        else:
            top, bottom, left, right, down, across = _corners(ys, xs)
            pixels = images[image].astype(np.float32, copy=False)
            above = pixels[top[:, None], left] * (1 - across) + pixels[top[:, None], right] * across
            below = pixels[bottom[:, None], left] * (1 - across) + pixels[bottom[:, None], right] * across
            found = above + (below - above) * down
        result[b][np.ix_(rows, columns)] = found
    return result


def crop_gradient(grad: Any, images: Any, boxes: Any, box_ind: Any, *, method: str) -> Any:
    """The gradient with respect to the images."""
    result = np.zeros(images.shape, np.float32)
    for b, image, ys, xs in _crops(images, boxes, box_ind, grad.shape[1:3]):
        rows, columns = _inside(ys, images.shape[1]), _inside(xs, images.shape[2])
        ys, xs, one = ys[rows], xs[columns], grad[b][np.ix_(rows, columns)]
        if method == "nearest":
            np.add.at(result[image], (_rounded(ys)[:, None], _rounded(xs)), one)
            continue
        top, bottom, left, right, down, across = _corners(ys, xs)
        for line, part in ((top, 1 - down), (bottom, down)):
            np.add.at(result[image], (line[:, None], left), one * part * (1 - across))
            np.add.at(result[image], (line[:, None], right), one * part * across)
    return result.astype(images.dtype, copy=False)


def boxes_gradient(grad: Any, images: Any, boxes: Any, box_ind: Any) -> Any:
    """The gradient with respect to the boxes of bilinear crops."""
    result = np.zeros(boxes.shape, np.float32)
    height, width = images.shape[1] - 1, images.shape[2] - 1
    for b, image, ys, xs in _crops(images, boxes, box_ind, grad.shape[1:3]):
        rows, columns = _inside(ys, height + 1), _inside(xs, width + 1)
        top, bottom, left, right, down, across = _corners(ys[rows], xs[columns])
        one, pixels = grad[b][np.ix_(rows, columns)], images[image].astype(np.float32, copy=False)
        a, c = pixels[top[:, None], left], pixels[top[:, None], right]
        d, e = pixels[bottom[:, None], left], pixels[bottom[:, None], right]
        by_y = (one * ((1 - across) * (d - a) + across * (e - c))).sum((1, 2))
        by_x = (one * ((1 - down) * (c - a) + down * (e - d))).sum((0, 2))
        for low, high, slope, count, kept, size in (
            (0, 2, by_y, grad.shape[1], rows, height),
            (1, 3, by_x, grad.shape[2], columns, width),
        ):
            share = np.flatnonzero(kept) / (count - 1) if count > 1 else np.full(len(slope), 0.5)
            result[b, low] = (slope * (1 - share)).sum() * size
            result[b, high] = (slope * share).sum() * size
    return result
