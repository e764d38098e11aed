"""Image files: JPEG, PNG, GIF and BMP, decoded and encoded by Pillow (the extra `images`).

contents   the bytes of such a file, a string
channels   of the decoded image: 1 gray, 3 color, 4 color and opacity, 0 as many as the file has
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.images.colors import convert_image_dtype
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.indexing import slice as part
from weftwork.graph.ops.random_ops import random_uniform
from weftwork.graph.scopes import name_scope


def pillow() -> Any:
    """Pillow's image module. Raises ImportError, with advice on what to install."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "Decoding and encoding images needs Pillow: pip install 'weftwork[images]', or pip install pillow."
        ) from error
    return Image


# Decoding

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def _opened(contents: bytes, formats: tuple[str, ...]) -> Any:
    try:
        return pillow().open(io.BytesIO(contents), formats=formats)
    except Exception as error:  # Pillow has many exceptions for broken files
        word = " or ".join(formats)
        raise InvalidArgumentError(None, None, f"Invalid {word} data, data size {len(contents)}") from error


def _pixels(picture: Any, channels: int) -> np.ndarray:
    """A picture as uint8 [height, width, channels]."""
    try:
        if picture.mode.startswith("I;16") or picture.mode == "I":
            return _with_channels((np.asarray(picture).astype(np.uint32) >> 8).astype(np.uint8), channels)
        mode = _MODES.get(channels) or _own_mode(picture)
        if picture.mode == "P" and mode in ("L", "LA"):
            picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
        array = np.asarray(picture if picture.mode == mode else picture.convert(mode))
    except InvalidArgumentError:
        raise
    except Exception as error:
        raise InvalidArgumentError(None, None, f"Invalid {picture.format} data: {error}") from error
    return np.array(array[..., None] if array.ndim == 2 else array, np.uint8)


def _own_mode(picture: Any) -> str:
    if picture.mode == "P":
        return "RGBA" if "transparency" in picture.info else "RGB"
    return {"1": "L", "L": "L", "LA": "LA", "RGBA": "RGBA"}.get(picture.mode, "RGB")


def _with_channels(grey: np.ndarray, channels: int) -> np.ndarray:
    """Gray pixels [height, width] with this many channels."""
    maximum = np.iinfo(grey.dtype).max
    opaque = np.full_like(grey, maximum)
    return np.stack([*[grey] * (1 if channels < 3 else 3), *([opaque] if channels in (2, 4) else [])], -1)


def decoded_jpeg(contents: bytes, *, channels: int, ratio: int) -> np.ndarray:
    """The kernel of DecodeJpeg."""
    picture = _opened(contents, ("JPEG",))
    width, height = picture.size
    wanted = (-(-width // ratio), -(-height // ratio))
    picture.draft({1: "L", 3: "RGB"}.get(channels, picture.mode), wanted)
    return _pixels(picture, channels if channels or picture.mode != "CMYK" else 3)


def decoded_png(contents: bytes, *, channels: int, dtype: np.dtype) -> np.ndarray:
    """The kernel of DecodePng."""
    picture = _opened(contents, ("PNG",))
    if dtype == np.uint8:
        return _pixels(picture, channels)
    if picture.mode.startswith("I;16") or picture.mode == "I":
        return _with_channels(np.asarray(picture).astype(np.uint16), channels)
    return _pixels(picture, channels).astype(np.uint16) * np.uint16(257)


def decoded_gif(contents: bytes) -> np.ndarray:
    """The kernel of DecodeGif."""
    picture = _opened(contents, ("GIF",))
    frames = []
    for number in range(getattr(picture, "n_frames", 1)):
        picture.seek(number)
        frames.append(_pixels(picture, 3))
    return np.stack(frames)


def decoded_bmp(contents: bytes, *, channels: int) -> np.ndarray:
    """The kernel of DecodeBmp."""
    return _pixels(_opened(contents, ("BMP",)), channels)


def kind_of(contents: bytes) -> str:
    """The format of a file, from its first bytes: JPEG, PNG, GIF, BMP or none."""
    marks = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF8": "GIF", b"BM": "BMP"}
    return next((word for mark, word in marks.items() if contents.startswith(mark)), "")


def decoded(contents: bytes, *, channels: int, dtype: np.dtype) -> np.ndarray:
    """The kernel of DecodeImage."""
    kind = kind_of(contents)
    if kind == "PNG":
        return decoded_png(contents, channels=channels, dtype=dtype)
    if kind == "GIF":
        if channels not in (0, 3):
            raise InvalidArgumentError(None, None, f"channels must be 0 or 3 for a GIF, not {channels}")
        result = decoded_gif(contents)
    elif kind == "JPEG":
        result = decoded_jpeg(contents, channels=channels, ratio=1)
    elif kind == "BMP":
        result = decoded_bmp(contents, channels=channels)
    else:
        raise InvalidArgumentError(None, None, "Unable to decode bytes as JPEG, PNG, GIF, or BMP")
    return result.astype(np.uint16) * np.uint16(257) if dtype == np.uint16 else result


def _contents(value: Any) -> Tensor:
    pillow()
    x = convert_to_tensor(value, dtypes.string, name="contents")
    if x.raw_shape not in (None, ()):
        raise ValueError(f"Shape must be rank 0 but is rank {len(x.raw_shape)}: contents {x!r}")  # type: ignore[arg-type]
    return x


def _channels(number: int | None, *allowed: int) -> int:
    number = int(number or 0)
    if number not in allowed:
        raise ValueError(f"channels must be one of {', '.join(map(str, allowed))}, not {number}")
    return number


def _decode(kernel: Any, kind: str, contents: Any, name: str | None, dtype: Any, attrs: dict[str, Any]) -> Tensor:
    raw = (None, None, attrs["channels"] or None)
    return apply(kernel, [_contents(contents)], attrs, type=kind, name=name, dtype=dtype, shape=raw)


def decode_jpeg(
    contents: Any,
    channels: int = 0,
    ratio: int = 1,
    fancy_upscaling: bool = True,
    try_recover_truncated: bool = False,
    acceptable_fraction: float = 1,
    dct_method: str = "",
    name: str | None = None,
) -> Tensor:
    """Decode a JPEG to uint8 [height, width, channels]. ratio: 1, 2, 4 or 8, a factor to shrink it by.

    Pixels may differ slightly from TensorFlow's, because decoders differ. The other options are accepted and ignored.
    Raises ImportError without Pillow. At run time, raises InvalidArgumentError for an invalid JPEG.
    """
    if ratio not in (1, 2, 4, 8):
        raise ValueError(f"ratio must be 1, 2, 4, or 8, not {ratio}")
    attrs = {"channels": _channels(channels, 0, 1, 3), "ratio": int(ratio)}
    return _decode(decoded_jpeg, "DecodeJpeg", contents, name, dtypes.uint8, attrs)


def decode_png(contents: Any, channels: int = 0, dtype: Any = dtypes.uint8, name: str | None = None) -> Tensor:
    """Decode a PNG to uint8 or uint16 [height, width, channels]; only gray images keep all of 16 bits.

    Raises ImportError without Pillow. At run time, raises InvalidArgumentError for an invalid PNG.
    """
    wanted, number = as_dtype(dtype), _channels(channels, 0, 1, 2, 3, 4)
    if wanted not in (dtypes.uint8, dtypes.uint16):
        raise TypeError(f"Value passed to parameter 'dtype' has DataType {wanted.name}, not uint8 or uint16")
    return _decode(decoded_png, "DecodePng", contents, name, wanted, {"channels": number, "dtype": wanted.numpy})


def decode_gif(contents: Any, name: str | None = None) -> Tensor:
    """Decode the frames of a GIF to uint8 [frames, height, width, 3]. Raises the same errors as `decode_png`."""
    raw = (None, None, None, 3)
    return apply(decoded_gif, [_contents(contents)], type="DecodeGif", name=name, dtype=dtypes.uint8, shape=raw)


def decode_bmp(contents: Any, channels: int = 0, name: str | None = None) -> Tensor:
    """Decode a BMP to uint8 [height, width, channels]. Raises the same errors as `decode_png`."""
    attrs = {"channels": _channels(channels, 0, 1, 3, 4)}
    return _decode(decoded_bmp, "DecodeBmp", contents, name, dtypes.uint8, attrs)


def decode_image(
    contents: Any,
    channels: int | None = None,
    dtype: Any = dtypes.uint8,
    name: str | None = None,
    expand_animations: bool = True,
) -> Tensor:
    """Decode a JPEG, PNG, GIF or BMP, whichever it is. The shape is unknown, because a GIF has one more axis.

    dtype: uint8, uint16, or float32, from 0 to 1.   expand_animations=False: only the first frame of a GIF.
    Raises the same errors as `decode_png`.
    """
    number, wanted = _channels(channels, 0, 1, 3, 4), as_dtype(dtype)
    image_dtype = dtypes.uint16 if wanted is dtypes.uint16 else dtypes.uint8
    with name_scope(name, "decode_image", [contents]):
        attrs = {"channels": number, "dtype": image_dtype.numpy, "single": not expand_animations}
        raw = None if expand_animations else (None, None, number or None)
        result = apply(decoded_one, [_contents(contents)], attrs, type="DecodeImage", dtype=image_dtype, shape=raw)
        return result if wanted is image_dtype else convert_image_dtype(result, wanted)


def decoded_one(contents: bytes, *, channels: int, dtype: np.dtype, single: bool) -> np.ndarray:
    """The kernel of DecodeImage, optionally for the first frame only."""
    result = decoded(contents, channels=channels, dtype=dtype)
    return result[0] if single and result.ndim == 4 else result


def decode_and_crop_jpeg(
    contents: Any, crop_window: Any, channels: int = 0, name: str | None = None, **options: Any
) -> Tensor:
    """Decode a part of a JPEG. crop_window: (y, x, height, width). Otherwise as `decode_jpeg`."""
    with name_scope(name, "DecodeAndCropJpeg", [contents, crop_window]):
        picture = decode_jpeg(contents, channels, **options)
        window = convert_to_tensor(crop_window, dtypes.int32, name="crop_window")
        result = part(picture, [window[0], window[1], 0], [window[2], window[3], -1])
        result.set_shape(picture.raw_shape)
        return result


def found_jpeg(contents: bytes) -> np.bool_:
    """The kernel of IsJpeg."""
    return np.bool_(contents.startswith(b"\xff\xd8\xff"))


def is_jpeg(contents: Any, name: str | None = None) -> Tensor:
    """Whether the bytes are a JPEG, judged by the first of them."""
    x = convert_to_tensor(contents, dtypes.string, name="contents")
    return apply(found_jpeg, [x], type="IsJpeg", name=name or "is_jpeg", dtype=dtypes.bool, shape=())


def jpeg_shape(contents: bytes, *, dtype: np.dtype) -> np.ndarray:
    """The kernel of ExtractJpegShape."""
    picture = _opened(contents, ("JPEG",))
    return np.array([*picture.size[::-1], len(picture.getbands())], dtype)


def extract_jpeg_shape(contents: Any, output_type: Any = dtypes.int32, name: str | None = None) -> Tensor:
    """[height, width, channels] of a JPEG, without decoding it."""
    wanted = as_dtype(output_type)
    attrs, kind = {"dtype": wanted.numpy}, "ExtractJpegShape"
    return apply(jpeg_shape, [_contents(contents)], attrs, type=kind, name=name, dtype=wanted, shape=(3,))


# Encoding


def _picture(image: np.ndarray, allowed: tuple[int, ...]) -> Any:
    if image.ndim != 3 or image.shape[2] not in allowed:
        text = f"image must be 3-dimensional with {', '.join(map(str, allowed))} channels, not {list(image.shape)}"
        raise InvalidArgumentError(None, None, text)
    return pillow().fromarray(np.ascontiguousarray(image[..., 0] if image.shape[2] == 1 else image))


def encoded_jpeg(image: np.ndarray, *, format: str, **options: Any) -> bytes:
    """The kernel of EncodeJpeg."""
    picture = _picture(image, {"": (1, 3), "grayscale": (1,), "rgb": (3,)}[format])
    file = io.BytesIO()
    picture.save(file, "JPEG", **options)
    return file.getvalue()


def encoded_png(image: np.ndarray, *, compression: int) -> bytes:
    """The kernel of EncodePng."""
    picture = _picture(image, (1,) if image.dtype == np.uint16 else (1, 2, 3, 4))
    file = io.BytesIO()
    picture.save(file, "PNG", **({} if compression < 0 else {"compress_level": compression}))
    return file.getvalue()


def _image(value: Any, *allowed: Any) -> Tensor:
    pillow()
    x = convert_to_tensor(value, name="image")
    if x.dtype.base_dtype not in allowed:
        names = " or ".join([dtype.name for dtype in allowed])
        raise TypeError(
            f"Value passed to parameter 'image' has DataType {x.dtype.name} not in list of allowed values: {names}"
        )
    if x.raw_shape is not None and len(x.raw_shape) != 3:
        raise ValueError(f"Shape must be rank 3 but is rank {len(x.raw_shape)}: {x!r}")
    return x


def encode_jpeg(
    image: Any,
    format: str = "",
    quality: int = 95,
    progressive: bool = False,
    optimize_size: bool = False,
    chroma_downsampling: bool = True,
    density_unit: str = "in",
    x_density: int = 300,
    y_density: int = 300,
    xmp_metadata: str = "",
    name: str | None = None,
) -> Tensor:
    """Encode a uint8 image [height, width, 1 or 3] as a JPEG, a string.

    format: "grayscale", "rgb", or "" to choose by channels.   quality: 0 to 100.
    progressive, optimize_size: as in the JPEG format.
    chroma_downsampling: store colours at half the size.
    x_density, y_density: pixels per inch.
    density_unit, xmp_metadata: accepted as in TensorFlow, without effect.
    Raises ImportError without Pillow, ValueError for invalid options.
    """
    if format not in ("", "grayscale", "rgb") or not 0 <= quality <= 100:
        raise ValueError(f"format must be '', 'grayscale' or 'rgb', and quality 0 to 100, not {format!r}, {quality}.")
    attrs = {"format": format, "quality": int(quality), "progressive": progressive, "optimize": optimize_size}
    attrs |= {"subsampling": 2 if chroma_downsampling else 0, "dpi": (x_density, y_density)}
    x = _image(image, dtypes.uint8)
    return apply(encoded_jpeg, [x], attrs, type="EncodeJpeg", name=name, dtype=dtypes.string, shape=())


def encode_png(image: Any, compression: int = -1, name: str | None = None) -> Tensor:
    """Encode a uint8 image [height, width, 1 to 4], or a uint16 one with one channel, as a PNG, a string.

    compression: 0 to 9, -1 for the default.   Raises ImportError without Pillow.
    """
    x = _image(image, dtypes.uint8, dtypes.uint16)
    attrs = {"compression": int(compression)}
    return apply(encoded_png, [x], attrs, type="EncodePng", name=name, dtype=dtypes.string, shape=())


def through_jpeg(image: np.ndarray, quality: Any) -> np.ndarray:
    """The kernel of AdjustJpegQuality."""
    data = encoded_jpeg(image, format="", quality=int(quality), subsampling=2)
    return decoded_jpeg(data, channels=image.shape[2], ratio=1)


def adjust_jpeg_quality(image: Any, jpeg_quality: Any, name: str | None = None) -> Tensor:
    """The image after encoding it as a JPEG of this quality, 0 to 100, and decoding it."""
    pillow()
    with name_scope(name, "adjust_jpeg_quality", [image]):
        x = convert_to_tensor(image, name="image")
        pixels = convert_image_dtype(x, dtypes.uint8, saturate=True)
        quality = convert_to_tensor(jpeg_quality, dtypes.int32)
        inputs, kind = [pixels, quality], "AdjustJpegQuality"
        result = apply(through_jpeg, inputs, type=kind, dtype=dtypes.uint8, shape=x.raw_shape)
        return convert_image_dtype(result, x.dtype.base_dtype, saturate=True)


def random_jpeg_quality(image: Any, min_jpeg_quality: int, max_jpeg_quality: int, seed: int | None = None) -> Tensor:
    """`adjust_jpeg_quality` with a random quality. Raises ValueError unless 0 <= min < max <= 100."""
    if not 0 <= min_jpeg_quality < max_jpeg_quality <= 100:
        raise ValueError(
            "min_jpeg_quality and max_jpeg_quality must be between 0 and 100, and the first the smaller one."
        )
    quality = random_uniform([], min_jpeg_quality, max_jpeg_quality, dtypes.int32, seed)
    return adjust_jpeg_quality(image, quality)
