"""Boxes in images: selecting, drawing and sampling them. A box is (y1, x1, y2, x2)."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply, apply_random, convert_to_tensor, static_value
from weftwork.graph.kernels import boxes as kernels
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.array_ops import reshape
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.indexing import gather
from weftwork.graph.ops.joining import concat, stack
from weftwork.graph.scopes import name_scope


def non_max_suppression(
    boxes: Any,
    scores: Any,
    max_output_size: Any,
    iou_threshold: Any = 0.5,
    score_threshold: Any = float("-inf"),
    name: str | None = None,
) -> Tensor:
    """The indices of high-scoring boxes that overlap little, best first: int32, at most `max_output_size`.

    boxes: [n, 4], corners in any order.   scores: [n].   iou_threshold: largest intersection over union of two boxes.
    score_threshold: boxes must have a higher score.
    Raises ValueError if shapes do not match.
    """
    inputs = _candidates(boxes, scores, 4, max_output_size, iou_threshold, score_threshold)
    return apply(kernels.pick, inputs, type="NonMaxSuppression", name=name, dtype=dtypes.int32, shape=(None,))


def _candidates(boxes: Any, scores: Any, columns: int | None, *limits: Any) -> list[Tensor]:
    """The inputs of a node that selects boxes: boxes, scores, the largest number, and floats."""
    places, given = convert_to_tensor(boxes, name="boxes"), convert_to_tensor(scores, name="scores")
    shapes.merge(shapes.merge(places.raw_shape, (None, columns))[:1], shapes.merge(given.raw_shape, (None,)))  # type: ignore[index]
    most, *floats = limits
    count = convert_to_tensor(most, dtypes.int32, name="max_output_size")
    return [places, given, count, *[convert_to_tensor(number, dtypes.float32) for number in floats]]


def non_max_suppression_padded(
    boxes: Any,
    scores: Any,
    max_output_size: Any,
    iou_threshold: Any = 0.5,
    score_threshold: Any = float("-inf"),
    pad_to_max_output_size: bool = False,
    name: str | None = None,
) -> tuple[Tensor, Tensor]:
    """(indices, their number) as in `non_max_suppression`. pad_to_max_output_size: pad the indices with zeros."""
    inputs = _candidates(boxes, scores, 4, max_output_size, iou_threshold, score_threshold)
    most = static_value(inputs[2])
    size = int(most) if pad_to_max_output_size and most is not None else None
    outputs: list = [(dtypes.int32, (size,)), (dtypes.int32, ())]
    attrs, kind = {"fill": bool(pad_to_max_output_size)}, "NonMaxSuppressionV4"
    picked, count = apply(kernels.pick_padded, inputs, attrs, type=kind, name=name, outputs=outputs)
    return picked, count


def non_max_suppression_with_scores(
    boxes: Any,
    scores: Any,
    max_output_size: Any,
    iou_threshold: Any = 0.5,
    score_threshold: Any = float("-inf"),
    soft_nms_sigma: Any = 0.0,
    name: str | None = None,
) -> tuple[Tensor, Tensor]:
    """(indices, scores) as in `non_max_suppression`.

    soft_nms_sigma: if not 0, overlap does not exclude a box but lowers its score; a larger sigma lowers it less.
    """
    inputs = _candidates(boxes, scores, 4, max_output_size, iou_threshold, score_threshold, soft_nms_sigma)
    outputs: list = [(dtypes.int32, (None,)), (dtypes.float32, (None,))]
    picked, new_scores = apply(kernels.pick_softly, inputs, type="NonMaxSuppressionV5", name=name, outputs=outputs)
    return picked, new_scores


def non_max_suppression_overlaps(
    overlaps: Any,
    scores: Any,
    max_output_size: Any,
    overlap_threshold: Any = 0.5,
    score_threshold: Any = float("-inf"),
    name: str | None = None,
) -> Tensor:
    """`non_max_suppression` for boxes whose pairwise overlaps are known: [n, n]."""
    inputs = _candidates(overlaps, scores, None, max_output_size, overlap_threshold, score_threshold)
    kind = "NonMaxSuppressionWithOverlaps"
    return apply(kernels.pick_by_overlaps, inputs, type=kind, name=name, dtype=dtypes.int32, shape=(None,))


def draw_bounding_boxes(images: Any, boxes: Any, name: str | None = None, colors: Any = None) -> Tensor:
    """Images with boxes drawn on them, in ten cycling colors.

    images: floats [batch, height, width, 1, 3 or 4 channels].   boxes: [batch, boxes, 4], fractions of their size.
    Raises ValueError if shapes do not match, and for `colors`, which are not supported.
    """
    if colors is not None:
        raise ValueError("draw_bounding_boxes does not support colors: it draws in TensorFlow 1's ten colors.")
    x, places = convert_to_tensor(images, name="images"), convert_to_tensor(boxes, dtypes.float32, name="boxes")
    if not x.dtype.is_floating:
        raise TypeError(f"Value passed to parameter 'images' has DataType {x.dtype.name}, which is not a float")
    shapes.merge(x.raw_shape, (None,) * 4)
    shapes.merge(places.raw_shape, (None, None, 4))
    inputs, kind = [x, places], "DrawBoundingBoxes"
    return apply(kernels.draw, inputs, type=kind, name=name, dtype=x.dtype.base_dtype, shape=x.raw_shape)


def sample_distorted_bounding_box(
    image_size: Any,
    bounding_boxes: Any,
    seed: int | None = None,
    seed2: int | None = None,
    min_object_covered: Any = 0.1,
    aspect_ratio_range: Any = None,
    area_range: Any = None,
    max_attempts: int | None = None,
    use_image_if_no_bounding_boxes: bool = False,
    name: str | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """(begin, size, box) of a random window of an image: arguments for `tf.slice`, and a box [1, 1, 4] to draw.

    image_size: [height, width, channels].   bounding_boxes: [..., 4], fractions; the window covers at least
    `min_object_covered` of one box.   aspect_ratio_range: range of width / height, by default [0.75, 1.33].
    area_range: range of the fraction of the image, by default [0.05, 1].   max_attempts: 100 by default; then the
    window is the whole image.   use_image_if_no_bounding_boxes: without boxes, use the whole image; else raise
    InvalidArgumentError at run time.
    """
    with name_scope(name, "sample_distorted_bounding_box", [image_size, bounding_boxes]):
        size = cast(convert_to_tensor(image_size, name="image_size"), dtypes.int32)
        places = convert_to_tensor(bounding_boxes, dtypes.float32, name="bounding_boxes")
        covered = convert_to_tensor(min_object_covered, dtypes.float32, name="min_object_covered")
        attrs = {
            "ratios": tuple([float(v) for v in aspect_ratio_range or (0.75, 1.33)]),
            "areas": tuple([float(v) for v in area_range or (0.05, 1)]),
            "attempts": int(max_attempts or 100),
            "whole": bool(use_image_if_no_bounding_boxes),
        }
        inputs, kind = [size, places, covered], "SampleDistortedBoundingBoxV2"
        result = apply_random(
            kernels.sample_distorted_box, inputs, attrs, seed=seed or None, type=kind, dtype=dtypes.int32, shape=(4,)
        )
        begin, extent = concat([result[:2], [0]], 0), concat([result[2:], [-1]], 0)
        corners = cast(stack([result[0], result[1], result[0] + result[2], result[1] + result[3]]), dtypes.float32)
        box = corners / cast(gather(size, np.array([0, 1, 0, 1])), dtypes.float32)
        return begin, extent, reshape(box, [1, 1, 4])
