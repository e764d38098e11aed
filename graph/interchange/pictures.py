"""Readers and writers of operations on images and boxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.build import apply
from weftwork.graph.images import boxes, coding, colors, glimpses, resizing
from weftwork.graph.interchange.given import Given, read_by, reads
from weftwork.graph.interchange.nodes import Inexpressible, Part
from weftwork.graph.interchange.writing import Node, writes, written_with
from weftwork.graph.kernels import colors as color_kernels
from weftwork.graph.kernels import resizing as kernels
from weftwork.graph.kernels.resizing import Way
from weftwork.graph.ops import array_ops, conversion, math_ops
from weftwork.graph.scopes import name_scope

Written = tuple[list[Part], dict[str, Any]]

# Sizes

_ALIGNED = {"align_corners": "align_corners"}
_CENTERED = {**_ALIGNED, "half_pixel_centers": "half_pixel_centers"}
read_by({"ResizeBilinear": resizing.resize_bilinear, "ResizeBicubic": resizing.resize_bicubic}, **_CENTERED)
read_by({"ResizeNearestNeighbor": resizing.resize_nearest_neighbor}, **_CENTERED)
read_by({"ResizeArea": resizing.resize_area}, **_ALIGNED)
read_by({"CropAndResize": resizing.crop_and_resize}, method="method", extrapolation_value="extrapolation_value")


@writes("ResizeBilinear", "ResizeBicubic", "ResizeNearestNeighbor", "ResizeArea")
def _write_resized(node: Node) -> Written:
    way, inputs = node.attrs["way"], node.inputs()
    if len(inputs) == 1:
        inputs.append(node.constant("size", node.attrs["size"]))
    centers = {} if node.type == "ResizeArea" else {"half_pixel_centers": way.half_pixels}
    return [inputs[0], _int32(node, inputs[1])], {"align_corners": way.align_corners, **centers}


def _int32(node: Node, part: Part) -> Part:
    if part.dtype is dtypes.int32:
        return part
    return node.helper("Cast", "Cast", [part], {"SrcT": part.dtype, "DstT": dtypes.int32}, dtypes.int32)


@writes("CropAndResize")
def _write_crops(node: Node) -> Written:
    attrs, inputs = node.attrs, node.inputs()
    if len(inputs) == 3:
        inputs.append(node.constant("crop_size", attrs["size"]))
    return inputs, {"method": attrs["method"], "extrapolation_value": attrs["outside"]}


_METHODS = {"ResizeBilinear": "bilinear", "ResizeBicubic": "bicubic", "ResizeNearestNeighbor": "nearest"}


@reads("ResizeBilinearGrad", "ResizeBicubicGrad", "ResizeNearestNeighborGrad")
def _resized_back(given: Given) -> Any:
    grad, of = given.inputs
    method = _METHODS[given.type.removesuffix("Grad")]
    way, dtype = Way(method, given["align_corners"], given["half_pixel_centers"]), given.outputs[0]
    with name_scope(given.name):
        if method == "nearest":  # `of` is the size
            ends = array_ops.shape(grad)
            dims = array_ops.stack([ends[0], of[0], of[1], ends[3]])
            grad, raw = conversion.cast(grad, dtypes.float32), None
        else:
            dims, raw = array_ops.shape(of), of.raw_shape
        attrs = {"way": way, "dtype": dtype.numpy}
        return apply(
            kernels.resize_gradient, [grad, dims], attrs, type=given.type, name=given.name, dtype=dtype, shape=raw
        )


@writes("ResizeBilinearGrad", "ResizeBicubicGrad", "ResizeNearestNeighborGrad")
def _write_resized_back(node: Node) -> Written:
    """Only the shape of the images is known to the derivative, and TensorFlow takes it from images, or a size."""
    grad, dims = node.inputs()
    way, dtype = node.attrs["way"], node.op.outputs[0].dtype.base_dtype
    if node.type == "ResizeNearestNeighborGrad":
        if dtype is not grad.dtype:
            raise Inexpressible
        ends = [node.constant("begin", [1]), node.constant("size", [2])]
        of = node.helper("Slice", "Slice", [dims, *ends], {}, dtypes.int32)
    else:
        of = node.helper("Fill", "Fill", [dims, node.constant("value", 0, dtype)], {}, dtype)
    return [grad, of], {"align_corners": way.align_corners, "half_pixel_centers": way.half_pixels}


# Colors

read_by({"RGBToHSV": colors.rgb_to_hsv, "HSVToRGB": colors.hsv_to_rgb})


def _colored(kernel: Callable[..., Any]) -> Callable[[Given], Any]:
    def read(given: Given) -> Any:
        x, number = given.inputs
        dtype, shape = x.dtype.base_dtype, x.raw_shape
        return apply(kernel, [x, number], type=given.type, name=given.name, dtype=dtype, shape=shape)

    return read


reads("AdjustHue")(_colored(color_kernels.shift_hue))
reads("AdjustSaturation")(_colored(color_kernels.scale_saturation))


@reads("AdjustContrastv2")
def _contrast(given: Given) -> Any:
    x, factor = given.inputs
    with name_scope(given.name):
        mean = math_ops.reduce_mean(x, [-3, -2], keepdims=True)
        return math_ops.add((x - mean) * conversion.cast(factor, x.dtype), mean, name=given.name)


# Boxes

read_by({"NonMaxSuppressionV2": boxes.non_max_suppression, "NonMaxSuppressionV3": boxes.non_max_suppression})
read_by({"NonMaxSuppression": boxes.non_max_suppression}, iou_threshold="iou_threshold")
read_by({"NonMaxSuppressionV4": boxes.non_max_suppression_padded}, pad_to_max_output_size="pad_to_max_output_size")
read_by({"NonMaxSuppressionWithOverlaps": boxes.non_max_suppression_overlaps})
read_by({"DrawBoundingBoxes": boxes.draw_bounding_boxes})
read_by(
    {"CombinedNonMaxSuppression": glimpses.combined_non_max_suppression},
    pad_per_class="pad_per_class",
    clip_boxes="clip_boxes",
)
written_with("NonMaxSuppression", to="NonMaxSuppressionV3")
written_with("NonMaxSuppressionV4", pad_to_max_output_size=lambda attrs: attrs["fill"])
written_with(
    "CombinedNonMaxSuppression", pad_per_class=lambda attrs: attrs["pad"], clip_boxes=lambda attrs: attrs["clip"]
)


@reads("NonMaxSuppressionV5")
def _scored(given: Given) -> Any:
    if given["pad_to_max_output_size"]:
        raise ValueError("pad_to_max_output_size is not supported")
    picked, scores = boxes.non_max_suppression_with_scores(*given.inputs, name=given.name)
    return [picked, scores, array_ops.size(picked)]


read_by(
    {"ExtractGlimpse": glimpses.extract_glimpse},
    centered="centered",
    normalized="normalized",
    uniform_noise="uniform_noise",
)
written_with(
    "ExtractGlimpse",
    centered=lambda attrs: attrs["centered"],
    normalized=lambda attrs: attrs["normalized"],
    uniform_noise=lambda attrs: attrs["noise"],
)

# Files

_JPEG = {"channels": "channels", "ratio": "ratio"}
read_by({"DecodeJpeg": coding.decode_jpeg, "DecodeAndCropJpeg": coding.decode_and_crop_jpeg}, **_JPEG)
read_by({"DecodePng": coding.decode_png}, channels="channels", dtype="dtype")
read_by({"DecodeGif": coding.decode_gif})
read_by({"DecodeBmp": coding.decode_bmp}, channels="channels")
read_by({"DecodeImage": coding.decode_image}, channels="channels", dtype="dtype", expand_animations="expand_animations")
read_by({"ExtractJpegShape": coding.extract_jpeg_shape}, output_type="output_type")
read_by({"EncodePng": coding.encode_png}, compression="compression")
_WORDS = "format quality progressive optimize_size chroma_downsampling x_density y_density".split()
read_by({"EncodeJpeg": coding.encode_jpeg}, **{word: word for word in _WORDS})
written_with("DecodeJpeg", channels=lambda attrs: attrs["channels"], ratio=lambda attrs: attrs["ratio"])
written_with("DecodePng", "DecodeBmp", channels=lambda attrs: attrs["channels"])
written_with("ExtractJpegShape")
written_with("EncodePng", compression=lambda attrs: attrs["compression"])
written_with(
    "DecodeImage", channels=lambda attrs: attrs["channels"], expand_animations=lambda attrs: not attrs["single"]
)


@writes("EncodeJpeg")
def _write_jpeg(node: Node) -> Written:
    attrs = node.attrs
    words = {word: attrs[word] for word in ("format", "quality", "progressive")}
    words |= dict(zip(("x_density", "y_density"), attrs["dpi"], strict=True))
    return node.inputs(), {**words, "optimize_size": attrs["optimize"], "chroma_downsampling": attrs["subsampling"] > 0}
