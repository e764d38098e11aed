"""Derivatives of resizing images: all are linear in the pixels."""

from __future__ import annotations

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import apply
from weftwork.graph.gradients.registry import not_differentiable, rule
from weftwork.graph.kernels import resizing as kernels
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops.array_ops import shape
from weftwork.graph.ops.conversion import cast

not_differentiable("NonMaxSuppression", "DrawBoundingBoxes", "ExtractGlimpse", "HSVToRGB")


@rule("ResizeBilinear", "ResizeBicubic", "ResizeNearestNeighbor")
def _resize(op: Operation, grad: Tensor):
    x = op.inputs[0]
    dtype = x.dtype.base_dtype
    if not dtype.is_floating:
        return [None] * len(op.inputs)
    attrs = {"way": op.attrs["way"], "dtype": dtype.numpy}
    inputs = [cast(grad, dtypes.float32), shape(x)]
    result = apply(kernels.resize_gradient, inputs, attrs, type=f"{op.type}Grad", dtype=dtype, shape=x.raw_shape)
    return [result] + [None] * (len(op.inputs) - 1)


@rule("ResizeBilinearGrad", "ResizeBicubicGrad", "ResizeNearestNeighborGrad")
def _resize_grad(op: Operation, grad: Tensor):
    g, way = op.inputs[0], op.attrs["way"]
    kernel = kernels.resize_nearest if way.method == "nearest" else kernels.resize
    inputs = [cast(grad, dtypes.float32), shape(g)[1:3]]
    kind = op.type.removesuffix("Grad")
    return [apply(kernel, inputs, {"way": way}, type=kind, dtype=g.dtype.base_dtype, shape=g.raw_shape), None]


@rule("CropAndResize")
def _crop_and_resize(op: Operation, grad: Tensor):
    x, boxes, numbers = op.inputs[:3]
    dtype, attrs = x.dtype.base_dtype, {"method": op.attrs["method"]}
    of_images, of_boxes = "CropAndResizeGradImage", "CropAndResizeGradBoxes"

    def images() -> Tensor | None:
        if not dtype.is_floating:
            return None
        inputs = [grad, x, boxes, numbers]
        return apply(kernels.crop_gradient, inputs, attrs, type=of_images, dtype=dtype, shape=x.raw_shape)

    def places() -> Tensor:
        inputs = [grad, x, boxes, numbers]
        return apply(kernels.boxes_gradient, inputs, type=of_boxes, dtype=np.float32, shape=boxes.raw_shape)

    return [images, places] + [None] * (len(op.inputs) - 2)
