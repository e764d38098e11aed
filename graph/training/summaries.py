"""Summaries: what a training program reports to TensorBoard, as nodes whose value is a serialized `Summary` (bytes).

tag          the name under which TensorBoard shows a value: the node's name, with its scopes
family       a group of tags that are shown together
The protocol buffers are TensorBoard's own, so creating a summary requires the package `tensorboard`.
"""

from __future__ import annotations

import io
import re
import wave
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.arguments import of_dtype
from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.errors import InvalidArgumentError, RefusedError
from weftwork.graph.graph import GraphKeys
from weftwork.graph.operation import Tensor
from weftwork.graph.protos import protos
from weftwork.graph.scopes import name_scope
from weftwork.graph.stacks import get_default_graph

_NUMBERS = (
    "float32", "float64", "int32", "uint8", "int16", "int8", "int64", "uint16", "float16", "uint32", "uint64", "object",
)  # fmt: skip

# Kinds of summaries


def scalar(name: str, tensor: Any, collections: Any = None, family: str | None = None) -> Tensor:
    """A number, plotted over the steps. The run fails if it is not a scalar. Raises TypeError unless it is a number."""
    tensor = of_dtype(tensor, "values", _NUMBERS)
    return _summary(_scalar_summary, "ScalarSummary", name, tensor, family, collections)


def histogram(name: str, values: Any, collections: Any = None, family: str | None = None) -> Tensor:
    """The distribution of a tensor's elements. The run fails if one is not finite. Raises TypeError unless they are
    numbers.
    """
    values = of_dtype(values, "values", (*_NUMBERS, "bool"))
    return _summary(_histogram_summary, "HistogramSummary", name, values, family, collections)


def image(name: str, tensor: Any, max_outputs: int = 3, collections: Any = None, family: str | None = None) -> Tensor:
    """Images: the first `max_outputs` of a batch.

    tensor: [batch, height, width, channels] with 1 (gray), 3 or 4 channels; uint8, or floats, which are scaled: to
        0 .. 255 if none is negative, else so that 0 becomes 127.
    Raises ValueError for another rank.
    """
    tensor = convert_to_tensor(tensor)
    if tensor.shape.ndims not in (None, 4):
        text = f"Tensor must be 4-D with last dim 1, 3, or 4, not {shapes.bracket_text(tensor.raw_shape)}"
        raise RefusedError(None, None, text)
    attrs = {"count": int(max_outputs)}
    return _summary(_image_summary, "ImageSummary", name, tensor, family, collections, attrs)


def text(name: str, tensor: Any, collections: Any = None) -> Tensor:
    """Text, interpreted as Markdown. tensor: strings of any shape. Raises ValueError for another dtype."""
    tensor = convert_to_tensor(tensor)
    if tensor.dtype.base_dtype is not dtypes.string:
        raise ValueError(f"Expected tensor {tensor.name} to have dtype string, got {tensor.dtype.name}")
    return _summary(_text_summary, "TensorSummaryV2", name, tensor, None, collections)


def audio(
    name: str,
    tensor: Any,
    sample_rate: Any,
    max_outputs: int = 3,
    collections: Any = None,
    family: str | None = None,
) -> Tensor:
    """Sound: the first `max_outputs` clips of a batch.

    tensor: [batch, frames, channels] or [batch, frames], floats from -1 to 1; the run fails for another rank.
    sample_rate: in Hz.
    """
    rate = convert_to_tensor(sample_rate, dtypes.float32, name="sample_rate")
    attrs = {"count": int(max_outputs)}
    return _summary(_audio_summary, "AudioSummaryV2", name, tensor, family, collections, attrs, [rate])


def tensor_summary(
    name: str,
    tensor: Any,
    summary_description: str | None = None,
    collections: Any = None,
    summary_metadata: Any = None,
    family: str | None = None,
    display_name: str | None = None,
) -> Tensor:
    """Any tensor, with a description for TensorBoard's plugins.

    summary_description: a string, interpreted as Markdown.   display_name: shown instead of the tag.
    summary_metadata: a SummaryMetadata, which says what plugin shows it.
    """
    metadata = protos("summary").SummaryMetadata() if summary_metadata is None else summary_metadata
    if summary_description is not None:
        metadata.summary_description = summary_description
    if display_name is not None:
        metadata.display_name = display_name
    attrs = {"metadata": metadata.SerializeToString()}
    return _summary(_tensor_summary, "TensorSummaryV2", name, tensor, family, collections, attrs)


def get_summary_description(node_def: Any) -> Any:
    """The SummaryDescription of a NodeDef of type `TensorSummary`. Raises ValueError for another node.

    node_def: a node of a GraphDef.
    """
    if node_def.op != "TensorSummary":
        raise ValueError(f"Can't get_summary_description on {node_def.op}")
    from google.protobuf import json_format

    return json_format.Parse(node_def.attr["description"].s.decode(), protos("summary").SummaryDescription())


def merge(inputs: Any, collections: Any = None, name: str | None = None) -> Tensor:
    """Combine several summaries. Raises ValueError if there are none, TypeError for anything but summaries.

    At run time, raises InvalidArgumentError if two of them have a tag in common.
    """
    inputs = [convert_to_tensor(summary) for summary in inputs]
    if not inputs:
        raise ValueError("Inputs to merge must be a list of at least one summary.")
    if not {dtypes.string, dtypes.object}.issuperset([tensor.dtype.base_dtype for tensor in inputs]):
        raise TypeError(
            "Tensors in list passed to 'inputs' of 'MergeSummary' Op have types "
            f"[{', '.join([tensor.dtype.name for tensor in inputs])}] that do not match expected type string."
        )
    with name_scope(_clean(name), "Merge", inputs):
        merged = apply(
            _merged, inputs, type="MergeSummary", name=_clean(name) or "MergeSummary", dtype=dtypes.string, shape=()
        )
    return _collected(merged, collections, ())


def merge_all(key: Any = GraphKeys.SUMMARIES, scope: str | None = None, name: str | None = None) -> Tensor | None:
    """Combine all summaries of the default graph (of a collection, in a name scope); None if there are none."""
    found = get_default_graph().get_collection(key, scope)
    return merge(found, name=name) if found else None


def _summary(
    kernel: Callable,
    kind: str,
    name: str,
    tensor: Any,
    family: str | None,
    collections: Any,
    attrs: dict[str, Any] | None = None,
    further: Sequence[Tensor] = (),
) -> Tensor:
    protos("summary")
    tensor = convert_to_tensor(tensor)
    with _tagged(name, family, tensor) as (tag, scope):
        attrs = {"tag": tag, **(attrs or {})}
        result = apply(kernel, [tensor, *further], attrs, type=kind, name=scope, dtype=dtypes.string, shape=())
    return _collected(result, collections, (GraphKeys.SUMMARIES,))


@contextmanager
def _tagged(name: str, family: str | None, tensor: Tensor) -> Iterator[tuple[str, str]]:
    """(tag, name scope) of a summary; both include the family, the tag twice, so that TensorBoard groups by it."""
    name, family = _clean(name), _clean(family)
    with name_scope(f"{family}/{name}" if family else name, None, [tensor]) as scope:
        tag = scope.rstrip("/")
        yield (f"{family}/{tag}" if family else tag), scope


def _clean(name: Any) -> Any:
    """A name of letters, digits and `-_./` that does not begin with a slash."""
    return name if name is None else re.sub(r"[^-/\w.]", "_", name).lstrip("/")


def _collected(tensor: Tensor, collections: Any, default: tuple) -> Tensor:
    get_default_graph().add_to_collections(default if collections is None else collections, tensor)
    return tensor


# Kernels


def _scalar_summary(value, *, tag):
    if np.ndim(value):
        raise ValueError(f"tags and values not the same shape: [] != {list(np.shape(value))} (tag '{tag}')")
    return _value(tag, simple_value=float(value))


def _histogram_summary(values, *, tag):
    values = np.ravel(values).astype(np.float64)
    if not np.isfinite(values).all():
        word = "Nan" if np.isnan(values).any() else "Infinity"
        raise ValueError(f"{word} in summary histogram for: {tag}")
    return _value(tag, histo=_histogram(values))


@lru_cache(maxsize=1)
def _limits() -> np.ndarray:
    """The upper bounds of the buckets: 0, +-1e-12 times the powers of 1.1 below 1e20, and the largest float."""
    bounds = [1e-12]
    while bounds[-1] * 1.1 < 1e20:
        bounds.append(bounds[-1] * 1.1)
    positive = np.append(bounds, np.finfo(np.float64).max)
    return np.concatenate([-positive[::-1], [0.0], positive])


def _histogram(values: np.ndarray) -> Any:
    """The number of elements in each bucket; runs of empty buckets are merged.  values: float64 [n]."""
    limits = _limits()
    counts = np.bincount(np.searchsorted(limits, values, side="right"), minlength=len(limits))[: len(limits)]
    # Of neighbors that are both empty, only keep the last.
    kept = np.append((counts[:-1] > 0) | (counts[1:] > 0), True)
    biggest = np.finfo(np.float64).max
    return protos("summary").HistogramProto(
        min=values.min(initial=biggest),
        max=values.max(initial=-biggest),
        num=len(values),
        sum=values.sum(),
        sum_squares=np.vdot(values, values),
        bucket_limit=limits[kept],
        bucket=counts[kept],
    )


def _image_summary(images, *, tag, count):
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
        raise ValueError(f"Tensor must be 4-D with last dim 1, 3, or 4, not {list(images.shape)}")
    images = images[:count]
    names = [f"{tag}/image"] if count == 1 else [f"{tag}/image/{i}" for i in range(len(images))]
    return b"".join([_value(name, image=_picture(one)) for name, one in zip(names, images, strict=False)])


def _picture(pixels: np.ndarray) -> Any:
    from PIL import Image

    if pixels.dtype != np.uint8:
        pixels = _bytes_of(pixels)
    height, width, channels = pixels.shape
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(file, format="PNG")
    return protos("summary").Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=file.getvalue()
    )


def _bytes_of(pixels: np.ndarray) -> np.ndarray:
    """Floats as 0 .. 255; in color images, a pixel that is not finite is red."""
    finite = np.asarray(np.isfinite(pixels).all(axis=-1))
    low, high = (f(pixels[finite], initial=0) for f in (np.min, np.max))
    if low < 0:
        scale, offset = 127 / max(-low, high), 128.0
    else:
        scale, offset = (255 / high if high > 0 else 0.0), 0.0
    scaled = np.where(finite[:, :, np.newaxis], pixels, 0) * scale + offset
    out = scaled.astype(np.uint8)
    out[~finite] = ([255, 0, 0, 255] if pixels.shape[-1] > 1 else [255])[: pixels.shape[-1]]
    return out


def _text_summary(value, *, tag):
    summary = protos("summary")
    plugin = summary.SummaryMetadata.PluginData(plugin_name="text")
    metadata = summary.SummaryMetadata(plugin_data=plugin)
    return _value(tag, tensor=_content(np.asarray(value, object)), metadata=metadata)


def _tensor_summary(value, *, tag, metadata):
    return _value(
        tag, tensor=_content(np.asarray(value)), metadata=protos("summary").SummaryMetadata.FromString(metadata)
    )


def _content(value: np.ndarray) -> Any:
    """An array as a TensorProto."""
    tensor, types = protos("tensor"), protos("types")
    dims = protos("tensor_shape").TensorShapeProto
    shape = dims(dim=[dims.Dim(size=size) for size in np.shape(value)])
    if value.dtype == object:
        return tensor.TensorProto(dtype=types.DT_STRING, tensor_shape=shape, string_val=value.ravel().tolist())
    kind = dtypes.as_dtype(value.dtype).as_datatype_enum
    return tensor.TensorProto(dtype=kind, tensor_shape=shape, tensor_content=value.tobytes())


def _audio_summary(clips, rate, *, tag, count):
    if clips.ndim not in (2, 3):
        raise ValueError(f"Tensor must be 3-D or 2-D, got: {list(clips.shape)}")
    if not rate > 0:
        raise ValueError(f"sample_rate must be > 0, got {rate} (tag '{tag}')")
    clips = clips[:count].reshape(*clips[:count].shape[:2], -1)
    names = [f"{tag}/audio"] if count == 1 else [f"{tag}/audio/{i}" for i in range(len(clips))]
    return b"".join([_value(name, audio=_sound(one, float(rate))) for name, one in zip(names, clips, strict=False)])


def _sound(frames: np.ndarray, rate: float) -> Any:
    """A clip [frames, channels] as a WAV file of 16 bits."""
    samples = np.clip(np.rint(frames.astype(np.float32) * 2**15), -(2**15), 2**15 - 1).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((frames.shape[1], 2, int(rate), 0, "NONE", ""))
        writer.writeframes(samples.tobytes())
    return protos("summary").Summary.Audio(
        sample_rate=rate,
        num_channels=frames.shape[1],
        length_frames=len(frames),
        encoded_audio_string=file.getvalue(),
        content_type="audio/wav",
    )


def _value(tag: str, **content: Any) -> bytes:
    summary = protos("summary").Summary
    return summary(value=[summary.Value(tag=tag, **content)]).SerializeToString()


def _merged(*summaries):
    """Concatenate the messages' bytes, which gives a message with the elements of all in its repeated field."""
    data, seen = b"".join(summaries), set()
    for value in protos("summary").Summary.FromString(data).value:
        if value.tag and value.tag in seen:
            raise InvalidArgumentError(None, None, f"Duplicate tag {value.tag} found in summary inputs")
        seen.add(value.tag)
    return data
