"""Boxes in images: selecting, drawing and sampling them. A box is (y1, x1, y2, x2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph.errors import InvalidArgumentError


def overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of one box with others. Their corners may be in any order."""
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    mine_low, mine_high = np.minimum(box[:2], box[2:]), np.maximum(box[:2], box[2:])
    intersection = np.maximum(np.minimum(high, mine_high) - np.maximum(low, mine_low), 0).prod(1)
    areas, mine = (high - low).prod(1), (mine_high - mine_low).prod()
    union = areas + mine - intersection
    real = (areas > 0) & (mine > 0)
    return np.where(real, intersection / np.where(real, union, 1), 0)


def pick(boxes: Any, scores: Any, most: Any, overlap: Any, least: Any) -> Any:
    """The kernel of NonMaxSuppression: pick boxes by score, best first, skipping those that overlap a picked one."""
    _check(scores, boxes.shape, 4, overlap)
    return _greedy(scores, most, overlap, least, lambda best, others: overlaps(boxes[best], boxes[others]))


def pick_by_overlaps(shared: Any, scores: Any, most: Any, overlap: Any, least: Any) -> Any:
    """The kernel of NonMaxSuppressionWithOverlaps. shared: the overlap of each pair of boxes."""
    _check(scores, shared.shape, len(scores), 0)
    return _greedy(scores, most, overlap, least, lambda best, others: shared[others, best])


def _check(scores: Any, shape: tuple, columns: int, overlap: Any) -> None:
    if shape != (len(scores), columns):
        raise InvalidArgumentError(None, None, f"scores has incompatible shape: {len(scores)} for {list(shape)}")
    if not 0 <= overlap <= 1:
        raise InvalidArgumentError(None, None, f"iou_threshold must be in [0, 1], but is {overlap}")


def _greedy(scores: Any, most: Any, overlap: Any, least: Any, shared: Callable[[int, np.ndarray], np.ndarray]) -> Any:
    candidates = np.flatnonzero(scores > least)
    candidates = candidates[np.argsort(-scores[candidates], kind="stable")]
    picked: list[int] = []
    while len(candidates) and len(picked) < most:
        picked.append(candidates[0])
        candidates = candidates[1:][shared(candidates[0], candidates[1:]) <= overlap]
    return np.array(picked, np.int32)


def pick_padded(boxes: Any, scores: Any, most: Any, overlap: Any, least: Any, *, fill: bool) -> tuple:
    """The kernel of NonMaxSuppressionV4: also returns the number of boxes, and pads with zeros to the maximum."""
    picked = pick(boxes, scores, most, overlap, least)
    count = np.int32(len(picked))
    return (np.pad(picked, (0, int(most) - len(picked))) if fill else picked), count


def pick_softly(boxes: Any, scores: Any, most: Any, overlap: Any, least: Any, sigma: Any) -> tuple:
    """The kernel of NonMaxSuppressionV5: overlap lowers a score (soft NMS, arXiv:1704.04503)."""
    _check(scores, boxes.shape, 4, overlap)
    candidates, now = np.flatnonzero(scores > least), np.array(scores, np.float32)
    picked: list[tuple[int, Any]] = []
    while len(candidates) and len(picked) < most:
        best = int(candidates[np.argmax(now[candidates])])
        picked.append((best, np.float32(now[best])))
        candidates = candidates[candidates != best]
        shared = overlaps(boxes[best], boxes[candidates])
        if sigma > 0:
            now[candidates] *= np.exp(-0.5 / sigma * shared**2).astype(np.float32)
            candidates = candidates[now[candidates] > least]
        else:
            candidates = candidates[shared <= overlap]
    return np.array([n for n, _ in picked], np.int32), np.array([s for _, s in picked], np.float32)


_COLORS = np.array(
    [
        *([1, 1, 0, 1], [0, 0, 1, 1], [1, 0, 0, 1], [0, 1, 0, 1], [0.5, 0, 0.5, 1], [0.5, 0.5, 0, 1]),
        *([0.5, 0, 0, 1], [0, 0, 0.5, 1], [0, 1, 1, 1], [1, 0, 1, 1]),
    ]
)


def draw(images: Any, boxes: Any) -> Any:
    """The kernel of DrawBoundingBoxes: one-pixel lines in ten cycling colors, on copies of the images."""
    drawn = images.copy()
    _, height, width, depth = images.shape
    for image, some in zip(drawn, boxes, strict=True):
        for number, box in enumerate(some):
            ends = (box * np.array([height - 1, width - 1, height - 1, width - 1], np.float32)).astype(np.int64)
            top, left, bottom, right = (int(end) for end in ends)
            if top > bottom or left > right or top >= height or bottom < 0 or left >= width or right < 0:
                continue
            color = np.ones(depth) if depth == 1 else _COLORS[number % len(_COLORS), :depth]
            rows = slice(max(top, 0), min(bottom, height - 1) + 1)
            columns = slice(max(left, 0), min(right, width - 1) + 1)
            for line in (top, bottom):
                if 0 <= line < height:
                    image[line, columns] = color
            for line in (left, right):
                if 0 <= line < width:
                    image[rows, line] = color
    return drawn


def sample_distorted_box(
    generator: np.random.Generator, size: Any, boxes: Any, covered: Any, *,
    ratios: tuple[float, float], areas: tuple[float, float], attempts: int, whole: bool,
) -> Any:  # fmt: skip
    """The kernel of SampleDistortedBoundingBox: (y, x, height, width) of a window, the whole image if none fits."""
    height, width = int(size[0]), int(size[1])
    boxes = boxes.reshape(-1, 4)
    if not len(boxes):
        if not whole:
            text = "No bounding boxes provided as input, and use_image_if_no_bounding_boxes is not set."
            raise InvalidArgumentError(None, None, text)
        boxes = np.array([[0, 0, 1, 1]], np.float32)
    for _ in range(attempts):
        found = _attempt(generator, height, width, ratios, areas)
        if found is not None and _covers(found, boxes * np.array([height, width] * 2), float(covered)):
            return np.array(found, np.int32)
    return np.array([0, 0, height, width], np.int32)


lot = sample_distorted_box  # the name in graphs that older versions wrote


def _attempt(generator: np.random.Generator, height: int, width: int, ratios: tuple, areas: tuple) -> Any:
    ratio, area = generator.uniform(*ratios), height * width
    low, high = (np.sqrt(share * area / ratio) for share in areas)
    high = min(high, height, width / ratio)
    tall = int(np.rint(generator.uniform(low, high) if low < high else high))
    wide = int(np.rint(tall * ratio))
    share = tall * wide / area
    if not (0 < tall <= height and 0 < wide <= width and areas[0] <= share <= areas[1]):
        return None
    return int(generator.integers(height - tall + 1)), int(generator.integers(width - wide + 1)), tall, wide


def _covers(part: tuple, boxes: np.ndarray, least: float) -> bool:
    """True if the window covers at least this fraction of any box."""
    y, x, tall, wide = part
    low, high = np.maximum(boxes[:, :2], [y, x]), np.minimum(boxes[:, 2:], [y + tall, x + wide])
    intersection, box_areas = np.maximum(high - low, 0).prod(1), (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return bool(np.any((box_areas > 0) & (intersection >= least * box_areas)))
