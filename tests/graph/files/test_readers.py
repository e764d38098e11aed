"""Readers: file names come from a queue, records go out."""

from __future__ import annotations

import threading

import pytest

import weftwork as tf
from tests.waiting import LONG


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, data in (("a", b"h\none\r\ntwo"), ("b", b"x\n\ny\n"), ("empty", b""), ("fixed", b"HH0123456789F")):
        (tmp_path / name).write_bytes(data)
    return tmp_path


def queue_of(*names):
    """A queue, and what fills and closes it."""
    queue = tf.FIFOQueue(100, [tf.string], [[]])
    with tf.control_dependencies([queue.enqueue_many([list(names)])]):
        return queue, queue.close()


def until_the_end(session, fetch):
    """What each run gives until there is no more."""
    while True:
        try:
            yield session.run(fetch)
        except tf.errors.OutOfRangeError:
            return


def everything(reader, *names, up_to=None):
    """All that a reader gives of some files."""
    queue, fill = queue_of(*names)
    record = reader.read(queue) if up_to is None else reader.read_up_to(queue, up_to)
    found = []
    with tf.Session() as session:
        session.run(fill)
        for key, value in until_the_end(session, record):
            found.append((key, value) if up_to is None else (key.tolist(), value.tolist()))
        counts = session.run([reader.num_records_produced(), reader.num_work_units_completed()])
    return found, counts


def test_lines(graph, folder):
    found, counts = everything(tf.TextLineReader(skip_header_lines=1), "a", "empty", "b")
    assert found == [(b"a:2", b"one"), (b"a:3", b"two"), (b"b:2", b""), (b"b:3", b"y")]
    assert counts == [4, 3]


def test_whole_files_and_the_names_themselves(graph, folder):
    assert everything(tf.WholeFileReader(), "b", "empty")[0] == [(b"b", b"x\n\ny\n"), (b"empty", b"")]
    assert everything(tf.IdentityReader(), "b", "nothing") == ([(b"b", b"b"), (b"nothing", b"nothing")], [2, 2])


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_tf_records(graph, folder, compression):
    options = tf.python_io.TFRecordOptions(compression)
    with tf.python_io.TFRecordWriter("records", options) as writer:
        for record in (b"one", b"three"):
            writer.write(record)
    found, _ = everything(tf.TFRecordReader(options=options), "records", "records")
    assert found == [(b"records:0", b"one"), (b"records:19", b"three")] * 2


def test_records_of_fixed_length(graph, folder):
    reader = tf.FixedLengthRecordReader(4, header_bytes=2, footer_bytes=1)
    assert everything(reader, "fixed")[0] == [(b"fixed:0", b"0123"), (b"fixed:1", b"4567")]
    apart = tf.FixedLengthRecordReader(2, header_bytes=2, footer_bytes=1, hop_bytes=5)
    assert everything(apart, "fixed", "fixed")[0] == [(b"fixed:0", b"01"), (b"fixed:1", b"56")] * 2
    with pytest.raises(ValueError, match="record_bytes must be > 0"):
        tf.FixedLengthRecordReader(0)


def test_several_records_are_of_one_file(graph, folder):
    found, counts = everything(tf.TextLineReader(), "a", "b", up_to=2)
    assert found == [
        ([b"a:1", b"a:2"], [b"h", b"one"]), ([b"a:3"], [b"two"]), ([b"b:1", b"b:2"], [b"x", b""]), ([b"b:3"], [b"y"])
    ]  # fmt: skip
    assert counts == [6, 2]


def test_many_empty_files_are_passed_over(graph, folder):
    assert everything(tf.TextLineReader(), *["empty"] * 99, "b")[0] == [(b"b:1", b"x"), (b"b:2", b""), (b"b:3", b"y")]


def test_a_file_that_is_not_there_is_told_and_the_next_one_is_read(graph, folder):
    queue, fill = queue_of("none", "b")
    key, _ = tf.TextLineReader().read(queue)
    with tf.Session() as session:
        session.run(fill)
        with pytest.raises(tf.errors.NotFoundError, match=r"(?s)none; No such file.*test_readers.py"):
            session.run(key)
        assert session.run(key) == b"b:1"


def test_a_reader_belongs_to_its_session_and_can_begin_anew(graph, folder):
    queue, fill = queue_of("b", "a")
    reader = tf.TextLineReader()
    (key, _), reset, count = reader.read(queue), reader.reset(), reader.num_records_produced()
    assert [key.name, reset.name, count.name] == ["ReaderReadV2:0", "ReaderResetV2", "ReaderNumRecordsProducedV2:0"]
    with tf.Session() as one, tf.Session() as two:
        for session in (one, two):
            session.run(fill)
            assert session.run(key) == b"b:1"
        one.run(reset)
        assert one.run([key, count])[0] == b"a:1"
        assert two.run(key) == b"b:2"
        assert two.run(count) == 2


def test_a_read_waits_for_a_name_and_gives_up_without_taking_one(graph, folder):
    queue = tf.FIFOQueue(9, [tf.string], [[]])
    key, _ = tf.TextLineReader().read(queue)
    add, size = queue.enqueue("b"), queue.size()
    with tf.Session() as session:
        with pytest.raises(tf.errors.DeadlineExceededError):
            session.run(key, options=tf.RunOptions(timeout_in_ms=100))
        later = threading.Timer(0.1, session.run, [add])
        later.start()
        assert session.run(key, options=tf.RunOptions(timeout_in_ms=1000 * LONG)) == b"b:1"
        later.join()
        assert session.run([key, size]) == [b"b:2", 0]


def test_a_pipeline_of_queue_runners_reads_each_line_once_in_each_epoch(graph, folder):
    names = tf.train.string_input_producer(["a", "b"], num_epochs=2, shuffle=False)
    _, line = tf.TextLineReader().read(names)
    batch = tf.train.batch([line], 4, allow_smaller_final_batch=True)
    with tf.Session() as session:
        session.run(tf.local_variables_initializer())
        coordinator = tf.train.Coordinator()
        threads = tf.train.start_queue_runners(session, coordinator)
        found = [line for lines in until_the_end(session, batch) for line in lines]
        coordinator.request_stop()
        coordinator.join(threads)
    assert found == [b"h", b"one", b"two", b"x", b"", b"y"] * 2


def test_a_reader_wants_a_queue_of_strings(graph):
    with pytest.raises(TypeError, match="one component, of strings"):
        tf.WholeFileReader().read(tf.FIFOQueue(1, [tf.int32], [[]]))
    with pytest.raises(TypeError, match="from a queue"):
        tf.WholeFileReader().read(["a"])


def test_the_state_of_an_identity_reader_is_a_string(graph):
    reader, state = tf.IdentityReader(name="same"), tf.placeholder(tf.string, [])
    queue, fill = queue_of("x", "y", "z")
    (key, _), kept, restore = reader.read(queue), reader.serialize_state(), reader.restore_state(state)
    assert reader.supports_serialize
    assert (reader.reader_ref.op.type, reader.reader_ref.op.name) == ("IdentityReaderV2", "same")
    with tf.Session() as session:
        session.run(fill)
        assert session.run(key) == b"x"
        saved = session.run(kept)
        assert [session.run(key), session.run(reader.num_records_produced())] == [b"y", 2]
        session.run(restore, {state: saved})
        assert session.run([reader.num_records_produced(), reader.num_work_units_completed()]) == [1, 1]
        assert session.run(key) == b"z"
        for wrong in (saved[1:], saved[:-1], saved + b"BOGUS"):
            with pytest.raises(tf.errors.InvalidArgumentError, match="Could not parse state for IdentityReader 'same'"):
                session.run(restore, {state: wrong})


def test_a_reader_of_files_has_no_state_to_keep(graph):
    reader = tf.TextLineReader()
    assert not reader.supports_serialize
    with tf.Session() as session:
        for operation in (reader.serialize_state(), reader.restore_state("x")):
            with pytest.raises(tf.errors.UnimplementedError, match="Reader"):
                session.run(operation)
