"""Glimpses of images, and the best boxes of several classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.images.tools import as_floats
from weftwork.graph.kernels import boxes as kernels
from weftwork.graph.known import whole_numbers
from weftwork.graph.operation import Tensor


def extract_glimpse(
    input: Any, size: Any, offsets: Any, centered: bool = True, normalized: bool = True, uniform_noise: bool = True,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Windows of images, each around a given point; pixels outside the image are noise, the same in each run.

    input: float32 [n, height, width, channels].   size: (height, width) of the windows. offsets: float32 [n, 2], the
    (y, x) of their centers. centered: offsets count from the center of the image, else from its top left corner.
    normalized: offsets are fractions of the image, from -1 to 1 if centered, else from 0 to 1; otherwise they are
    pixels. uniform_noise: the noise is uniform between the smallest and the largest pixel, else normal with the pixels'
    mean and deviation.
    """
    images, places = as_floats(convert_to_tensor(input)), convert_to_tensor(offsets, dtypes.float32)
    given = convert_to_tensor(size, dtypes.int32)
    known = whole_numbers(size)
    rows = list(known) if isinstance(known, (list, tuple)) else [None, None]
    raw = images.raw_shape
    shape = (None if raw is None else raw[0], *rows, None if raw is None else raw[3])
    attrs = {"centered": bool(centered), "normalized": bool(normalized), "noise": bool(uniform_noise)}
    inputs = [images, given, places]
    return apply(_glimpses, inputs, attrs, type="ExtractGlimpse", name=name, dtype=dtypes.float32, shape=shape)


def _glimpses(images: Any, size: Any, offsets: Any, *, centered: bool, normalized: bool, noise: bool) -> Any:
    """The kernel of ExtractGlimpse."""
    if images.ndim != 4 or offsets.shape != (len(images), 2) or np.shape(size) != (2,):
        shapes = f"{list(images.shape)}, {list(np.shape(size))}, {list(offsets.shape)}"
        raise InvalidArgumentError(None, None, f"extract_glimpse takes images, a size and offsets, not {shapes}")
    height, width = map(int, size)
    made = np.empty((len(images), height, width, images.shape[3]), np.float32)
    random = np.random.default_rng(0)
    whole = np.array(images.shape[1:3])
    for image, offset, window in zip(images, offsets, made, strict=True):
        if noise:
            window[:] = random.uniform(image.min(), image.max(), window.shape)
        else:
            window[:] = random.normal(image.mean(), image.std(), window.shape)
        place = offset * whole if normalized else offset
        if centered:
            place = (place + whole) / 2
        top, left = np.trunc(place - np.array([height, width]) / 2).astype(int)
        low = np.maximum([top, left], 0)
        high = np.minimum([top + height, left + width], whole)
        if (high > low).all():
            target = tuple([slice(a - start, b - start) for a, b, start in zip(low, high, (top, left), strict=True)])
            window[target] = image[low[0] : high[0], low[1] : high[1]]
    return made


def combined_non_max_suppression(
    boxes: Any, scores: Any, max_output_size_per_class: Any, max_total_size: Any, iou_threshold: Any = 0.5,
    score_threshold: Any = float("-inf"), pad_per_class: bool = False, clip_boxes: bool = True,
    name: str | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """(boxes, scores, classes, number of boxes) for the best boxes of all classes together, for each image of a batch.

    boxes: [n, boxes, 1 or classes, 4].   scores: [n, boxes, classes].
    max_output_size_per_class, max_total_size: the maximum number of boxes. pad_per_class: pad only to the maximum of
    all classes together, if that is less than max_total_size. clip_boxes: clip boxes to the range 0 to 1. Returns
    float32 [n, most, 4], [n, most] and [n, most], padded with zeros, and int32 [n].
    """
    inputs = [
        convert_to_tensor(boxes, dtypes.float32), convert_to_tensor(scores, dtypes.float32),
        convert_to_tensor(max_output_size_per_class, dtypes.int32), convert_to_tensor(max_total_size, dtypes.int32),
        convert_to_tensor(iou_threshold, dtypes.float32), convert_to_tensor(score_threshold, dtypes.float32),
    ]  # fmt: skip
    raw, total = inputs[0].raw_shape, whole_numbers(max_total_size)
    rows = None if raw is None else raw[0]
    each, classes = whole_numbers(max_output_size_per_class), inputs[1].shape[-1].value
    most = total if isinstance(total, int) and not pad_per_class else None
    if pad_per_class and isinstance(total, int) and isinstance(each, int) and classes is not None:
        most = min(total, each * classes)
    outputs: list = [
        (dtypes.float32, (rows, most, 4)), (dtypes.float32, (rows, most)), (dtypes.float32, (rows, most)),
        (dtypes.int32, (rows,)),
    ]  # fmt: skip
    attrs = {"pad": bool(pad_per_class), "clip": bool(clip_boxes)}
    made = apply(_best, inputs, attrs, type="CombinedNonMaxSuppression", name=name, outputs=outputs)
    return made[0], made[1], made[2], made[3]


def _best(boxes: Any, scores: Any, each: Any, total: Any, overlap: Any, least: Any, *, pad: bool, clip: bool) -> tuple:
    """The kernel of CombinedNonMaxSuppression."""
    classes = scores.shape[2]
    size = min(int(total), int(each) * classes) if pad else int(total)
    made = np.zeros((len(boxes), size, 6), np.float32)
    counts = np.zeros(len(boxes), np.int32)
    for number, (places, values) in enumerate(zip(boxes, scores, strict=True)):
        found = []
        for which in range(classes):
            mine = places[:, which if places.shape[1] > 1 else 0]
            picked = kernels.pick(mine, values[:, which], each, overlap, least)
            found += [(-values[i, which], which, i, mine[i]) for i in picked]
        found.sort(key=lambda item: item[:3])
        for row, (score, which, _, box) in enumerate(found[:size]):
            made[number, row] = [*(np.clip(box, 0, 1) if clip else box), -score, which]
        counts[number] = min(len(found), size)
    return made[..., :4], made[..., 4], made[..., 5], counts
