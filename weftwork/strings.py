"""tf.strings: operations on strings, which are bytes; text is UTF-8."""

from weftwork.graph.ops.strings import (
    as_string,
    format,
    join,
    lower,
    reduce_join,
    regex_full_match,
    regex_replace,
    split,
    substr,
    to_number,
    unicode_transcode,
    unsorted_segment_join,
    upper,
)
from weftwork.graph.ops.strings import string_length as length
from weftwork.graph.ops.strings import string_strip as strip
from weftwork.graph.ops.strings import string_to_hash_bucket as to_hash_bucket
from weftwork.graph.ops.strings import string_to_hash_bucket_fast as to_hash_bucket_fast
from weftwork.graph.ops.strings import string_to_hash_bucket_strong as to_hash_bucket_strong

__all__ = [
    "as_string",
    "format",
    "join",
    "length",
    "lower",
    "reduce_join",
    "regex_full_match",
    "regex_replace",
    "split",
    "strip",
    "substr",
    "to_hash_bucket",
    "to_hash_bucket_fast",
    "to_hash_bucket_strong",
    "to_number",
    "unicode_transcode",
    "unsorted_segment_join",
    "upper",
]
