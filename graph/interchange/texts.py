"""Readers and writers of operations on strings."""

from __future__ import annotations

import re
from typing import Any

from weftwork.graph.files import nodes
from weftwork.graph.interchange.given import Given, read_by, reads
from weftwork.graph.interchange.nodes import Inexpressible, Part
from weftwork.graph.interchange.writing import Node, writes, written_with
from weftwork.graph.ops import strings

Written = tuple[list[Part], dict[str, Any]]

read_by({"StringStrip": strings.string_strip, "DecodeBase64": strings.decode_base64, "ReadFile": nodes.read_file})
read_by({"RegexFullMatch": strings.regex_full_match, "DecodeJSONExample": nodes.decode_json_example})
read_by({"WriteFile": nodes.write_file, "MatchingFiles": nodes.matching_files})
read_by({"UnsortedSegmentJoin": strings.unsorted_segment_join}, separator="separator")
read_by({"RegexReplace": strings.regex_replace}, replace_global="replace_global")
read_by({"StringLower": strings.lower, "StringUpper": strings.upper}, encoding="encoding")
read_by({"StringLength": strings.string_length, "Substr": strings.substr}, unit="unit")
read_by({"EncodeBase64": strings.encode_base64}, pad="pad")
read_by({"StringToHashBucket": strings.string_to_hash_bucket}, num_buckets="num_buckets")
read_by({"StringToHashBucketFast": strings.string_to_hash_bucket_fast}, num_buckets="num_buckets")
read_by({"StringToHashBucketStrong": strings.string_to_hash_bucket_strong}, num_buckets="num_buckets", key="key")
read_by({"StringToNumber": strings.string_to_number}, out_type="out_type")
read_by({"DecodeRaw": nodes.decode_raw}, out_type="out_type", little_endian="little_endian")
read_by({"DecodeCompressed": nodes.decode_compressed}, compression_type="compression_type")
read_by({"ReduceJoin": strings.reduce_join}, keep_dims="keep_dims", separator="separator")
read_by({"StringSplit": strings.string_split}, skip_empty="skip_empty")
_FORMAT = ("precision", "scientific", "shortest", "width", "fill")
read_by({"AsString": strings.as_string}, **{word: word for word in _FORMAT})
_CODES = ("input_encoding", "output_encoding", "errors", "replacement_char", "replace_control_characters")
read_by({"UnicodeTranscode": strings.unicode_transcode}, **{word: word for word in _CODES})


@reads("StringSplitV2")
def _split(given: Given) -> Any:
    return strings.split(*given.inputs, maxsplit=given["maxsplit"], name=given.name)


@reads("StringJoin")
def _join(given: Given) -> Any:
    return strings.string_join(given.inputs, given["separator"], name=given.name)


@reads("StringFormat")
def _format(given: Given) -> Any:
    words = {word: given[word] for word in ("placeholder", "summarize")}
    return strings.format(given["template"], given.inputs, **words, name=given.name)


@reads("StaticRegexFullMatch")
def _full_match(given: Given) -> Any:
    return strings.regex_full_match(given.inputs[0], given["pattern"], name=given.name)


@reads("StaticRegexReplace")
def _static_replace(given: Given) -> Any:
    words = [given[word] for word in ("pattern", "rewrite", "replace_global")]
    return strings.regex_replace(given.inputs[0], *words, name=given.name)


@reads("Fingerprint")
def _fingerprint(given: Given) -> Any:
    data, method = given.inputs
    del method  # there is one
    return strings.fingerprint(data, name=given.name)


@reads("DecodeCSV")
def _csv(given: Given) -> Any:
    lines, *defaults = given.inputs
    return nodes.decode_csv(
        lines, defaults, given["field_delim"], given["use_quote_delim"], given.name, given["na_value"],
        given["select_cols"] or None,
    )  # fmt: skip


# Writing

written_with("StringToNumber", "Fingerprint")


def _unit(attrs: Any) -> str:
    return "UTF8_CHAR" if attrs["by_character"] else "BYTE"


written_with("StringLength", "Substr", unit=_unit)
written_with("StringLower", "StringUpper", encoding=lambda attrs: "utf-8" if attrs["unicode"] else "")
written_with("RegexReplace", replace_global=lambda attrs: attrs["everywhere"])
written_with("EncodeBase64", pad=lambda attrs: attrs["pad"])
written_with("StringToHashBucket", "StringToHashBucketFast", num_buckets=lambda attrs: attrs["count"])
written_with("StringSplit", skip_empty=lambda attrs: attrs["skip_empty"])
written_with("StringSplitV2", maxsplit=lambda attrs: attrs["maxsplit"])
written_with("StringJoin", "UnsortedSegmentJoin", separator=lambda attrs: attrs["separator"])
written_with(
    "StringToHashBucketStrong",
    num_buckets=lambda attrs: attrs["count"],
    key=lambda attrs: [k - (1 << 64 if k >= 1 << 63 else 0) for k in attrs["key"][0]],
)
written_with(
    "StringFormat",
    template=lambda attrs: attrs["template"],
    placeholder=lambda attrs: attrs["placeholder"],
    summarize=lambda attrs: attrs["summarize"],
)
written_with(
    "DecodeCSV",
    field_delim=lambda attrs: attrs["delim"],
    use_quote_delim=lambda attrs: attrs["quotes"],
    na_value=lambda attrs: attrs["missing"],
    select_cols=lambda attrs: list(attrs["columns"] or ()),
)
written_with("DecodeRaw", little_endian=lambda attrs: attrs["dtype"].str[0] != ">")
written_with("DecodeCompressed", compression_type=lambda attrs: {15: "ZLIB", 31: "GZIP"}[attrs["window"]])
written_with(
    "UnicodeTranscode",
    input_encoding=lambda attrs: attrs["source"].upper(),
    output_encoding=lambda attrs: attrs["target"].upper(),
    errors=lambda attrs: attrs["errors"],
    replacement_char=lambda attrs: ord(attrs["replacement"]),
    replace_control_characters=lambda attrs: attrs["control"],
)


@writes("Fingerprint")
def _write_fingerprint(node: Node) -> Written:
    return [*node.inputs(), node.constant("method", b"farmhash64", "string")], {}


@writes("AsString")
def _write_as_string(node: Node) -> Written:
    pattern = node.attrs["pattern"]
    found = re.fullmatch(r"%([ +\-0#]?)(\d*)(?:\.(\d+))?([dfeg])", pattern)
    if found is None:
        if pattern:
            raise Inexpressible
        return node.inputs(), {}
    fill, width, precision, letter = found.groups()
    attrs = {"fill": fill, "width": int(width or -1), "precision": int(precision or -1)}
    return node.inputs(), {**attrs, "scientific": letter == "e", "shortest": letter == "g"}


@writes("ReduceJoin")
def _write_reduce_join(node: Node) -> Written:
    inputs = node.inputs()
    shape, axes = node.op.inputs[0].raw_shape, node.attrs["axis"]
    if len(inputs) == 1:
        if axes is None and shape is not None:
            axes = range(len(shape))[::-1]  # the last axis first
        inputs.append(node.axes("reduction_indices", axes))
    return inputs, {"keep_dims": node.attrs["keepdims"], "separator": node.attrs["separator"]}
