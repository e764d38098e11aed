"""The elements of datasets, stage by stage."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf
from tests.actors.data.reading import numbers, read
from weftwork.graph.files.records import TFRecordWriter

Dataset, experimental = tf.data.Dataset, tf.data.experimental
pytestmark = pytest.mark.usefixtures("graph")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Dataset.range(5, 0, -2), [5, 3, 1]),
        (lambda: Dataset.range(3).repeat(2), [0, 1, 2, 0, 1, 2]),
        (lambda: Dataset.range(3).repeat(0), []),
        (lambda: Dataset.range(0).repeat(), []),
        (lambda: Dataset.range(3).take(-1), [0, 1, 2]),
        (lambda: Dataset.range(9).skip(7), [7, 8]),
        (lambda: Dataset.range(9).skip(-1), []),
        (lambda: Dataset.range(10).shard(3, 1), [1, 4, 7]),
        (lambda: Dataset.range(2).concatenate(Dataset.range(5, 7)), [0, 1, 5, 6]),
        (lambda: Dataset.range(9).filter(lambda x: tf.equal(x % 3, 0)), [0, 3, 6]),
        (lambda: Dataset.range(4).flat_map(lambda x: Dataset.from_tensors(x).repeat(x)), [1, 2, 2, 3, 3, 3]),
        (lambda: Dataset.range(3).map(lambda x: x * x).cache().repeat(2), [0, 1, 4, 0, 1, 4]),
        (lambda: Dataset.range(7).batch(3), [[0, 1, 2], [3, 4, 5], [6]]),
        (lambda: Dataset.range(7).batch(3, drop_remainder=True), [[0, 1, 2], [3, 4, 5]]),
        (lambda: Dataset.from_tensor_slices([[1, 2], [3, 4]]).unbatch(), [1, 2, 3, 4]),
        (lambda: Dataset.range(20).prefetch(3).take(4), [0, 1, 2, 3]),
        (lambda: Dataset.range(3).prefetch(0).prefetch(-1).repeat(2), [0, 1, 2, 0, 1, 2]),
        (lambda: experimental.Counter(5, 3).take(3), [5, 8, 11]),
        (lambda: Dataset.range(9).apply(experimental.take_while(lambda x: x < 3)), [0, 1, 2]),
        (lambda: Dataset.range(5).apply(experimental.scan(np.int64(0), lambda s, x: (s + x, s))), [0, 0, 1, 3, 6]),
        (
            lambda: Dataset.range(9).apply(experimental.group_by_window(lambda x: x % 2, lambda k, w: w.batch(9), 3)),
            [[0, 2, 4], [1, 3, 5], [6, 8], [7]],
        ),
        (
            lambda: experimental.choose_from_datasets(
                [Dataset.range(3), Dataset.range(7, 9)], Dataset.range(2).repeat()
            ),
            [0, 7, 1, 8, 2],
        ),
    ],
)
def test_a_stage_gives_what_it_says(make, expected):
    found = numbers(make(), most=len(expected) + 1 if expected else 5)
    assert found == expected


@pytest.mark.parametrize(
    ("cycle", "block", "parallel", "expected"),
    [
        (1, 1, None, [0, 1, 1, 2, 2, 2, 3, 3, 3, 3]),
        (2, 1, None, [0, 1, 1, 2, 2, 3, 2, 3, 3, 3]),
        (3, 2, None, [0, 1, 1, 2, 2, 3, 3, 2, 3, 3]),
        (2, 2, 2, [0, 1, 1, 2, 2, 2, 3, 3, 3, 3]),
    ],
)
def test_interleave_takes_blocks_in_turn(cycle, block, parallel, expected):
    def some(x):
        return Dataset.from_tensors(x).repeat(x + 1)

    assert numbers(Dataset.range(4).interleave(some, cycle, block, parallel)) == expected


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ((3,), [[0, 1, 2], [3, 4, 5], [6]]),
        ((3, 2), [[0, 1, 2], [2, 3, 4], [4, 5, 6], [6]]),
        ((2, 3), [[0, 1], [3, 4], [6]]),
        ((2, 1, 3, True), [[0, 3], [1, 4], [2, 5], [3, 6]]),
    ],
)
def test_a_window_is_a_dataset_of_some_elements(window, expected):
    assert numbers(Dataset.range(7).window(*window).flat_map(lambda w: w.batch(9))) == expected


def test_components_of_windows_are_datasets_of_their_own():
    pairs = Dataset.zip((Dataset.range(4), Dataset.range(10, 14)))
    sums = pairs.window(2).flat_map(lambda a, b: Dataset.zip((a.batch(2), b.batch(2)))).map(lambda a, b: a + b)
    assert numbers(sums) == [[10, 12], [14, 16]]


def test_structures_go_through_whole_pipelines():
    dataset = Dataset.from_tensor_slices({"x": np.arange(4), "name": ["a", "b", "c", "d"]})
    dataset = dataset.map(lambda d: (d["x"] * 2, {"label": d["name"]})).batch(3)
    first, second = read(dataset)
    assert first[0].tolist() == [0, 2, 4]
    assert first[1]["label"].tolist() == [b"a", b"b", b"c"]
    assert second[0].tolist() == [6]
    assert second[1]["label"].tolist() == [b"d"]


def test_sparse_rows_are_taken_apart_and_stacked():
    sparse = tf.SparseTensor([[0, 0], [1, 2]], [1, 2], [3, 4])
    first, second = read(Dataset.from_tensor_slices(sparse).batch(2))
    assert first.indices.tolist() == [[0, 0], [1, 2]]
    assert first.dense_shape.tolist() == [2, 4]
    assert second.values.tolist() == []
    assert second.dense_shape.tolist() == [1, 4]


def test_padded_batches_are_as_large_as_they_must_be():
    dataset = Dataset.range(1, 4).map(lambda x: (tf.fill([x], x), tf.fill([x], "s")))
    first, second = read(dataset.padded_batch(2, ([None], [4]), (np.int64(-1), "-")))
    assert first[0].tolist() == [[1, -1], [2, 2]]
    assert first[1].tolist() == [[b"s", b"-", b"-", b"-"], [b"s", b"s", b"-", b"-"]]
    assert second[0].tolist() == [[3, 3, 3]]


def test_buckets_hold_elements_of_about_one_length():
    dataset = Dataset.range(1, 6).map(lambda x: tf.fill([x], x))
    transform = experimental.bucket_by_sequence_length(lambda x: tf.size(x), [3], [2, 2])
    assert [batch.shape for batch in read(dataset.apply(transform))] == [(2, 2), (2, 4), (1, 5)]


def test_a_bucket_may_be_padded_to_its_boundary():
    def bucketed(count):
        dataset = Dataset.range(1, count).map(lambda x: {"long": tf.fill([x], x), "text": tf.fill([x, 1], "s"), "n": x})
        filled = {"long": np.int64(-1), "text": "-", "n": np.int64(0)}
        return read(dataset.apply(experimental.bucket_by_sequence_length(
            lambda element: tf.size(element["long"]), [3, 6], [2, 2, 2], {"long": [None], "text": [None, 2], "n": []},
            filled, True,
        )))  # fmt: skip

    short, long, last = bucketed(6)
    assert short["long"].tolist() == [[1, -1], [2, 2]]
    assert long["long"].tolist() == [[3, 3, 3, -1, -1], [4, 4, 4, 4, -1]]
    assert last["long"].tolist() == [[5] * 5]
    assert long["text"][0].tolist() == [[b"s", b"-"]] * 3 + [[b"-", b"-"]] * 2
    assert long["n"].tolist() == [3, 4]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"elements must have length < max\(bucket_boundaries\)"):
        bucketed(7)


def test_a_shuffle_gives_each_element_once_by_its_seed():
    def shuffled(seed, again=None):
        return numbers(Dataset.range(20).shuffle(7, seed, again).repeat(2))

    first = shuffled(3)
    assert sorted(first) == sorted([*range(20)] * 2)
    assert first[:20] != first[20:] != sorted(first[20:])
    assert shuffled(3) == first != shuffled(4)
    same = shuffled(3, again=False)
    assert same[:20] == same[20:]


def test_a_sample_draws_from_all_until_they_are_empty():
    found = numbers(experimental.sample_from_datasets([Dataset.range(20), Dataset.range(50, 60)], [0.5, 0.5], seed=1))
    assert sorted(found) == [*range(20), *range(50, 60)] != found
    assert [n for n in found if n < 50] == list(range(20))


def test_a_dataset_of_weight_zero_is_never_drawn():
    assert numbers(experimental.sample_from_datasets([Dataset.range(3), Dataset.range(9)], [1.0, 0.0])) == [0, 1, 2]


def test_an_error_of_a_generator_does_not_end_the_dataset():
    def failing():
        yield 1
        raise tf.errors.OutOfRangeError(None, None, "no more")

    with pytest.raises(tf.errors.UnknownError, match="OutOfRangeError: no more"):
        numbers(Dataset.from_generator(failing, tf.int32, []))


def test_a_generator_is_called_for_each_time_through_it():
    calls = []

    def pairs(count):
        calls.append(int(count))
        for n in range(count):
            yield n, [n] * n

    dataset = Dataset.from_generator(pairs, (tf.int32, tf.float32), ([], [None]), args=(2,))
    assert [(n, v.tolist()) for n, v in read(dataset.repeat(2))] == [(0, []), (1, [1.0])] * 2
    assert calls == [2, 2]


@pytest.mark.parametrize(
    ("items", "text"),
    [
        (["a"], "could not be converted to the expected type"),
        ([[1]], r"element of shape \(1,\) where an element of shape \(\) was expected"),
    ],
)
def test_a_generator_that_yields_what_was_not_said_is_named(items, text):
    with pytest.raises(tf.errors.InvalidArgumentError, match=text) as caught:
        read(Dataset.from_generator(lambda: items, tf.int32, []))
    assert "test_stages.py" in str(caught.value)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda d: d.batch(0), tf.errors.InvalidArgumentError, "Batch size must be greater than zero."),
        (
            lambda d: d.interleave(Dataset.from_tensors, 0),
            tf.errors.InvalidArgumentError,
            "cycle_length must be greater",
        ),
        (lambda d: d.interleave(Dataset.from_tensors, 2, 0), tf.errors.InvalidArgumentError, "block_length must be"),
        (lambda d: d.interleave(Dataset.from_tensors, 2, 0, 2), tf.errors.InvalidArgumentError, "block_length must be"),
        (lambda d: d.interleave(Dataset.from_tensors, 2, 1, -2), tf.errors.InvalidArgumentError, "num_parallel_calls"),
        (lambda d: d.map(lambda x: x, 0), tf.errors.InvalidArgumentError, "num_parallel_calls must be greater"),
        (
            lambda d: tf.data.FixedLengthRecordDataset(__file__, 1, header_bytes=-1),
            tf.errors.InvalidArgumentError,
            "`header_bytes` must be >= 0",
        ),
        (lambda d: d.shuffle(0), tf.errors.InvalidArgumentError, "buffer_size must be greater than zero."),
        (lambda d: d.prefetch(-2), tf.errors.InvalidArgumentError, "buffer_size must be >= 0"),
        (lambda d: d.shard(2, 2), tf.errors.InvalidArgumentError, "Index must be between 0 and 1"),
        (lambda d: d.window(0).flat_map(lambda w: w), tf.errors.InvalidArgumentError, "greater than zero"),
        (lambda d: d.map(lambda x: tf.fill([x], x)).batch(3), tf.errors.InvalidArgumentError, "different shapes"),
        (
            lambda d: d.map(lambda x: tf.fill([x], x)).padded_batch(5, [2]),
            tf.errors.DataLossError,
            "pad to a smaller size than the input element",
        ),
        (lambda d: Dataset.list_files("/no/such/*"), tf.errors.InvalidArgumentError, "No files matched pattern"),
        (lambda d: tf.data.TextLineDataset("/no/such/file"), tf.errors.NotFoundError, "/no/such/file"),
    ],
)
def test_what_cannot_be_made_is_an_error_of_the_run_that_names_its_node(make, error, text):
    with pytest.raises(error, match=text) as caught:
        read(make(Dataset.range(5)))
    assert "(defined at" in str(caught.value)


def test_an_error_of_one_element_names_the_line_and_the_next_ones_follow():
    element = Dataset.range(4).map(lambda x: 6 // (x - 1)).make_one_shot_iterator().get_next()
    with tf.Session() as session:
        assert session.run(element) == -6
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"Integer division by zero[^@]*test_stages.py"):
            session.run(element)
        assert session.run(element) == 6
    ignoring = Dataset.range(4).map(lambda x: 6 // (x - 1)).apply(experimental.ignore_errors())
    assert numbers(ignoring) == [-6, 6, 3]


def test_lines_and_records_of_files_are_read(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\r\n\ntwo")
    (tmp_path / "b.txt").write_bytes(b"x\ny\n")
    pattern = str(tmp_path / "*.txt")
    files = Dataset.list_files(pattern, shuffle=False)
    assert read(tf.data.TextLineDataset(files)) == [b"one", b"", b"two", b"x", b"y"]
    parallel = tf.data.TextLineDataset(files, num_parallel_reads=2)
    assert read(parallel) == [b"one", b"x", b"", b"y", b"two"]
    assert read(files.flat_map(lambda f: tf.data.TextLineDataset(f).skip(1))) == [b"", b"two", b"y"]
    (tmp_path / "c.bin").write_bytes(b"HabcdefFF")
    path = str(tmp_path / "c.bin")
    assert read(tf.data.FixedLengthRecordDataset(path, 3, 1, 2)) == [b"abc", b"def"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="not an exact multiple of the record length"):
        read(tf.data.FixedLengthRecordDataset(path, 4, 1, 2))


def test_records_of_tfrecord_files_are_read(tmp_path):
    path = str(tmp_path / "records")
    with TFRecordWriter(path, "GZIP") as writer:
        writer.write(b"one")
        writer.write(b"two" * 9)
    assert read(tf.data.TFRecordDataset([path], compression_type="GZIP").repeat(2)) == [b"one", b"two" * 9] * 2
    with pytest.raises(tf.errors.DataLossError):
        read(tf.data.TFRecordDataset(path))


def test_a_cache_in_a_file_outlives_its_session(tmp_path):
    calls = []

    def counted(x):
        calls.append(int(x))
        return x

    dataset = Dataset.range(3).map(lambda x: (tf.py_func(counted, [x], tf.int64), "text")).cache(str(tmp_path / "kept"))
    once, again = read(dataset.repeat(2)), read(dataset)
    assert once == again * 2
    assert calls == [0, 1, 2]


def test_elements_belong_to_who_takes_them():
    element = Dataset.from_tensors(np.zeros(3)).repeat().make_one_shot_iterator().get_next()
    with tf.Session() as session:
        session.run(element)[:] = 7
        assert session.run(element).tolist() == [0, 0, 0]


def test_python_objects_are_elements_too():
    pairs = Dataset.range(3).map(tf.op(lambda n: {"n": int(n)}))
    assert read(pairs) == [{"n": 0}, {"n": 1}, {"n": 2}]
    arrays = Dataset.range(3).map(tf.op(lambda n: np.full(2, n))).batch(3)
    assert read(arrays)[0].tolist() == [[0, 0], [1, 1], [2, 2]]


def test_a_dataset_is_reduced_to_one_value():
    with tf.Session() as session:
        total, count = Dataset.range(5).reduce((np.int64(0), 0), lambda s, x: (s[0] + x, s[1] + 1))
        assert session.run([total, count]) == [10, 5]
        grown = Dataset.range(3).reduce(tf.zeros([0], tf.int64), lambda s, x: tf.concat([s, [x]], 0))
        assert session.run(grown).tolist() == [0, 1, 2]
        assert session.run(experimental.get_single_element(Dataset.range(3).batch(5))).tolist() == [0, 1, 2]
        with pytest.raises(tf.errors.InvalidArgumentError, match="more than one element"):
            session.run(experimental.get_single_element(Dataset.range(3)))
