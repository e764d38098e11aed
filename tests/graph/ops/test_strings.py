"""Operations on strings, with TensorFlow 1's values."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

WORDS = [b"", b"abc", b"hello", b"hello world!", b"x" * 20, b"y" * 50, bytes(range(100)), b"z" * 200]


def run(tensors, feed_dict=None):
    with tf.Session() as session:
        got = session.run(tensors, feed_dict)
    return got.tolist() if isinstance(got, np.ndarray) else got


def rows(sparse):
    """The strings of a sparse tensor, row by row."""
    with tf.Session() as session:
        indices, values, shape = session.run(sparse)
    found = [[] for _ in range(shape[0])]
    for (i, j), value in zip(indices, values, strict=True):
        assert j == len(found[i])
        found[i].append(value)
    assert shape[1] == max(map(len, found), default=0)
    return found


# What TensorFlow gives, for 2**61 - 1 buckets.
OLD = [
    *(105434511174508095, 1046625677629754808, 1331861223480393036, 488105371118328303),
    *(342970775939365684, 1064268466533028011, 1081194323400619247, 1552893526355744601),
]
FAST = [
    *(1936946117179621459, 334871249046467434, 1480529417359330541, 2272040852377292645),
    *(1315559201106775495, 1536034821532487699, 2089405830751150486, 1811361180787942239),
]
STRONG = [
    *(1055821211951074896, 1708915518571184984, 816086037857874156, 1171108621090963127),
    *(1770561018350234789, 2272307256323005581, 682193932646687223, 1897654186751634226),
]


def test_hashes_are_tensorflows(graph):
    count = 2**61 - 1
    assert run(tf.string_to_hash_bucket(WORDS, count)) == OLD
    assert run(tf.string_to_hash_bucket_fast(WORDS, count)) == FAST
    assert run(tf.strings.to_hash_bucket_strong(WORDS, count, [7, 11])) == STRONG
    with pytest.raises(ValueError, match="num_buckets"):
        tf.string_to_hash_bucket("a", 0)


def test_strings_are_numbers_and_back(graph):
    assert run(tf.string_to_number(["1.5", "-2e3", " 7 "])) == [1.5, -2000, 7]
    assert run(tf.strings.to_number("3000000000", tf.int64)) == 3_000_000_000
    for text, dtype in (("x", tf.float32), ("1_0", tf.float64), ("1.5", tf.int32), ("3000000000", tf.int32)):
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"could not correctly convert string: {text}"):
            run(tf.string_to_number(text, dtype))
    assert run(tf.as_string([1.5, 1e10])) == [b"1.500000", b"10000000000.000000"]
    assert run(tf.as_string([1.5], precision=2, width=6, fill="0")) == [b"001.50"]
    assert run(tf.as_string(1e10, shortest=True)) == b"1e+10"
    assert run(tf.as_string([True, False])) == [b"true", b"false"]
    assert run(tf.as_string(np.int64(2**60))) == b"1152921504606846976"


def test_strings_are_joined(graph):
    assert run(tf.string_join(["a", ["b", "c"]], separator="-")) == [b"a-b", b"a-c"]
    table = [["a", "b"], ["c", "d"]]
    assert run(tf.reduce_join(table, 0, separator=".")) == [b"a.c", b"b.d"]
    assert run(tf.reduce_join(table, -1, keep_dims=True)) == [[b"ab"], [b"cd"]]
    assert [run(tf.reduce_join(table, axes)) for axes in ([0, 1], [1, 0], None)] == [b"acbd", b"abcd", b"abcd"]
    assert tf.reduce_join(tf.placeholder(tf.string, [2, None, 3]), [1]).shape.as_list() == [2, 3]
    with pytest.raises(ValueError, match="not compatible"):
        tf.string_join([["a"], ["b", "c"]])
    with pytest.raises(ValueError, match="Invalid reduction dimension 2"):
        tf.reduce_join(table, 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Duplicate reduction dimension 0"):
        run(tf.reduce_join(table, [0, -2]))
    with pytest.raises(ValueError, match="Shape must be rank 0 but is rank 1 for the delimiter"):
        tf.string_split(["a"], [" ", ","])


def test_strings_are_split(graph):
    assert rows(tf.string_split(["hello  world", "", "a"])) == [[b"hello", b"world"], [], [b"a"]]
    assert rows(tf.string_split(["a,b;c,,"], ",;")) == [[b"a", b"b", b"c"]]
    assert rows(tf.string_split(["a,,b", ""], ",", skip_empty=False)) == [[b"a", b"", b"b"], []]
    assert rows(tf.string_split(["abc"], "")) == [[b"a", b"b", b"c"]]
    assert rows(tf.strings.split([" a  b "])) == [[b"a", b"b"]]
    assert rows(tf.strings.split(["a--b--c"], sep="--", maxsplit=1)) == [[b"a", b"b--c"]]
    with pytest.raises(ValueError, match="no ragged tensors"):
        tf.strings.split(["a"], result_type="RaggedTensor")


def test_parts_and_lengths(graph):
    words = tf.constant(["hello", "world"])
    assert run(tf.substr(words, 1, 3)) == [b"ell", b"orl"]
    assert run(tf.substr(words, [0, -2], [2, 9])) == [b"he", b"ld"]
    assert run(tf.strings.substr("häß", 1, 1, unit="UTF8_CHAR")) == "ä".encode()
    assert run([tf.strings.length("häß"), tf.strings.length("häß", unit="UTF8_CHAR")]) == [5, 3]
    with pytest.raises(tf.errors.InvalidArgumentError, match="pos 6 out of range for string 'hello' at index 0"):
        run(tf.substr(words, 6, 1))
    with pytest.raises(TypeError, match="'pos' has DataType float32 not in list of allowed values: int32, int64"):
        tf.substr(words, 1.0, 1)


def test_letters(graph):
    assert run(tf.strings.lower(["ABÄ", "x"])) == ["abÄ".encode(), b"x"]
    assert run(tf.strings.upper("abä", encoding="utf-8")) == "ABÄ".encode()
    assert run(tf.string_strip(["\t a \n"])) == [b"a"]
    assert run(tf.strings.unicode_transcode("aä", "UTF-8", "UTF-16-BE")) == b"\0a\0\xe4"
    assert run(tf.strings.unicode_transcode(b"a\xffb", "UTF-8", "UTF-8", replacement_char=63)) == b"a?b"
    with pytest.raises(tf.errors.InvalidArgumentError, match="Invalid formatting"):
        run(tf.strings.unicode_transcode(b"\xff", "UTF-8", "UTF-8", errors="strict"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Could not create converter for input encoding: foo"):
        run(tf.strings.unicode_transcode("a", "foo", "UTF-8"))


def test_regular_expressions(graph):
    assert run(tf.regex_replace(["a1b22"], r"([a-z])(\d+)", r"\2\1.")) == [b"1a.22b."]
    assert run(tf.strings.regex_replace("aaa", "a", r"<\0>", replace_global=False)) == b"<a>aa"
    assert run(tf.strings.regex_full_match(["abc", "abcd"], "ab.")) == [True, False]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Invalid pattern: \("):
        run(tf.regex_replace("a", "(", "b"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="asks for group 2"):
        run(tf.regex_replace("a", "(a)", r"\2"))


def test_base64_is_web_safe(graph):
    assert run(tf.encode_base64([b"a", b"\xff\xfe"])) == [b"YQ", b"__4"]
    assert run(tf.encode_base64("a", pad=True)) == b"YQ=="
    assert run(tf.decode_base64(["YQ", "YQ==", "__4"])) == [b"a", b"a", b"\xff\xfe"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="Invalid character found in base64: Y"):
        run(tf.decode_base64("Y+"))


def test_values_are_shown_in_a_template(graph):
    made = tf.strings.format("{} of {}", (tf.range(10), tf.constant([[1.5], [2.0]])))
    assert run(made) == b"[0 1 2 ... 7 8 9] of [[1.5]\n [2]]"
    assert run(tf.strings.format("%", tf.constant(["a"]), placeholder="%")) == b'["a"]'
    with pytest.raises(ValueError, match="placeholder"):
        tf.strings.format("{} {}", tf.range(3))


def test_what_is_no_string_is_refused(graph):
    with pytest.raises((TypeError, ValueError)):
        tf.string_split([1])
    with pytest.raises(ValueError, match="UTF8_CHAR"):
        tf.strings.length("a", unit="WORD")


@pytest.mark.parametrize(
    ("value", "options", "text"),
    [
        (1, {"fill": "q"}, 'Fill argument not supported: "q"'),
        (1, {"fill": "ab"}, "Fill string must be one or fewer characters"),
        (1.5, {"scientific": True, "shortest": True}, "Cannot select both scientific and shortest notation"),
        (1, {"scientific": True}, "scientific and shortest format not supported for datatype int32"),
        (True, {"shortest": True}, "scientific and shortest format not supported for datatype bool"),
        (1, {"precision": 2}, "precision not supported for datatype int32"),
    ],
)
def test_a_number_has_no_format_that_does_not_fit(graph, value, options, text):
    with pytest.raises(tf.errors.InvalidArgumentError, match=text):
        tf.as_string(value, **options)


def test_fingerprints_are_tensorflows(graph):
    with tf.Session() as session:
        texts, numbers = session.run(
            [tf.fingerprint(["abc", ""]), tf.fingerprint(np.arange(4, dtype=np.int32).reshape(2, 2))]
        )
    assert (texts.dtype, texts.shape, numbers.shape) == (np.uint8, (2, 8), (2, 8))
    bucket = tf.string_to_hash_bucket_fast(["abc"], 2**31)
    with tf.Session() as session:
        assert int.from_bytes(texts[0].tobytes(), "little") % 2**31 == session.run(bucket)[0]
    with pytest.raises(ValueError, match="at least rank 1"):
        tf.fingerprint("abc")


def test_strings_with_one_number_are_joined(graph):
    rows = [["Y", "q"], ["Y", "6"], ["p", "G"]]
    joined = tf.strings.unsorted_segment_join(rows, [1, 0, 1], 3, separator=":")
    assert joined.shape == (3, 2)
    left_out = tf.strings.unsorted_segment_join([["a", "b"], ["c", "d"]], [[0, -1], [0, 0]], tf.placeholder(tf.int32))
    outside = tf.strings.unsorted_segment_join(["a"], [2], 2)
    with tf.Session() as session:
        assert session.run(joined).tolist() == [[b"Y", b"6"], [b"Y:p", b"q:G"], [b"", b""]]
        assert session.run(left_out, {left_out.op.inputs[2]: 1}).tolist() == [b"acd"]
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"2 is not in \[0, 2\)"):
            session.run(outside)
    with pytest.raises(ValueError, match="do not fit"):
        tf.strings.unsorted_segment_join(["a", "b"], [0, 1, 2], 3)
