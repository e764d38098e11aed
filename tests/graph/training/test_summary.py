"""Summaries and event files, read back with TensorBoard."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.graph_pb2 import GraphDef

import weftwork as tf
from tests.programs import Program

ROOT = Path(__file__).parents[3]
RNG = np.random.default_rng(0)


def evaluate(tensor, feeds=None):
    with tf.Session() as session:
        return session.run(tensor, feeds)


def values(tensor, feeds=None):
    """The values of a summary node, read as TensorBoard does."""
    return list(tf.Summary.FromString(evaluate(tensor, feeds)).value)


def events(path):
    """The events of all files of a directory, file after file."""
    files = sorted(Path(path).glob("events.out.tfevents.*"), key=lambda file: file.stat().st_mtime_ns)
    return [Event.FromString(record) for file in files for record in RawEventFileLoader(str(file)).Load()]


def accumulated(path):
    accumulator = EventAccumulator(str(path), size_guidance={"tensors": 0, "histograms": 0, "images": 0})
    accumulator.Reload()
    return accumulator


# Nodes


def test_a_scalar_is_tagged_with_its_name_and_scopes(graph):
    x = tf.placeholder(tf.float64, None)
    with tf.name_scope("train"):
        first, second = tf.summary.scalar("loss", x), tf.summary.scalar("loss", x)
    assert (first.name, first.dtype, first.shape.as_list(), first.op.type) == (
        "train/loss:0", tf.string, [], "ScalarSummary",
    )  # fmt: skip
    for node, tag in ((first, "train/loss"), (second, "train/loss_1")):
        (value,) = values(node, {x: 0.5})
        assert (value.tag, value.simple_value) == (tag, 0.5)
    assert tf.get_collection(tf.GraphKeys.SUMMARIES) == [first, second]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[\] != \[2\] \(tag 'train/loss'\)"):
        evaluate(first, {x: [1, 2]})


def test_a_family_groups_and_a_bad_name_is_made_good(graph):
    (value,) = values(tf.summary.scalar("/a b:c", 1, family="group", collections=["mine"]))
    assert value.tag == "group/group/a_b_c"
    assert len(tf.get_collection("mine")) == 1
    assert tf.get_collection(tf.GraphKeys.SUMMARIES) == []


def test_a_histogram_counts_the_elements_of_growing_buckets(graph):
    x = tf.placeholder(tf.float32, None)
    node = tf.summary.histogram("weights", x)
    given = np.array([[-3.0, 0.0, 1.0], [1.05, 2e-13, 1e25]], np.float32)
    (value,) = values(node, {x: given})
    histogram = value.histo
    assert (histogram.num, histogram.min, histogram.max) == (6, -3, given.max())
    assert histogram.sum == pytest.approx(given.astype(float).sum())
    assert histogram.sum_squares == pytest.approx((given.astype(float) ** 2).sum())
    ends, counts = np.array(histogram.bucket_limit), np.array(histogram.bucket)
    assert (np.diff(ends) > 0).all()
    assert counts.sum() == 6
    assert not ((counts[:-1] == 0) & (counts[1:] == 0)).any()
    for element in given.ravel():
        at = np.searchsorted(ends, element, side="right")
        assert counts[at] > 0
        inside = np.abs([ends[at], ends[at - 1]])
        if 1e-12 < abs(element) < 1e20:
            assert inside.max() / inside.min() == pytest.approx(1.1)
    for wrong, word in ((np.nan, "Nan"), (np.inf, "Infinity")):
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"{word} in summary histogram for: weights"):
            evaluate(node, {x: [1.0, wrong]})


def test_a_histogram_of_nothing_is_empty(graph):
    (value,) = values(tf.summary.histogram("none", tf.zeros([0])))
    assert (value.histo.num, list(value.histo.bucket)) == (0, [0])


def pixels(image):
    read = np.array(Image.open(io.BytesIO(image.encoded_image_string)))
    return read.reshape(image.height, image.width, image.colorspace)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_are_png_files(graph, channels):
    given = RNG.integers(0, 256, (4, 5, 6, channels)).astype(np.uint8)
    found = values(tf.summary.image("pictures", given, max_outputs=2))
    assert [value.tag for value in found] == ["pictures/image/0", "pictures/image/1"]
    for value, wanted in zip(found, given, strict=False):
        np.testing.assert_array_equal(pixels(value.image), wanted)
    (one,) = values(tf.summary.image("one", given, max_outputs=1))
    assert one.tag == "one/image"


def test_float_images_are_scaled_to_bytes(graph):
    positive = np.linspace(0, 4, 12, dtype=np.float32).reshape(1, 3, 4, 1)
    (value,) = values(tf.summary.image("positive", positive, 1))
    np.testing.assert_array_equal(pixels(value.image), (positive[0] * (255 / 4)).astype(np.uint8))
    both = positive - 3
    (value,) = values(tf.summary.image("both", both, 1))
    np.testing.assert_array_equal(pixels(value.image), (both[0] * (127 / 3) + 128).astype(np.uint8))
    colour = np.zeros((1, 1, 2, 3), np.float32)
    colour[0, 0, 1, 2] = np.nan
    (value,) = values(tf.summary.image("colour", colour, 1))
    assert pixels(value.image).tolist() == [[[0, 0, 0], [255, 0, 0]]]
    with pytest.raises(ValueError, match="Tensor must be 4-D with last dim 1, 3, or 4"):
        tf.summary.image("flat", tf.zeros([2, 2]))


def test_merged_summaries_hold_the_values_of_all(graph):
    assert tf.summary.merge_all() is None
    a, b = tf.summary.scalar("a", 1.0), tf.summary.histogram("b", [1.0])
    with tf.name_scope("test"):
        tf.summary.scalar("c", 2.0)
    assert [v.tag for v in values(tf.summary.merge([b, a]))] == ["b", "a"]
    assert [v.tag for v in values(tf.summary.merge_all())] == ["a", "b", "test/c"]
    assert [v.tag for v in values(tf.summary.merge_all(scope="test"))] == ["test/c"]
    assert len(tf.get_collection(tf.GraphKeys.SUMMARIES)) == 3
    with pytest.raises(ValueError, match="at least one summary"):
        tf.summary.merge([])
    with pytest.raises(TypeError, match=r"have types \[int32\] that do not match expected type string"):
        tf.summary.merge([tf.constant(1)])
    with pytest.raises(tf.errors.InvalidArgumentError, match="Duplicate tag a found in summary inputs"):
        values(tf.summary.merge([a, b, a]))


def test_only_numbers_are_plotted(graph):
    for function in (tf.summary.scalar, tf.summary.histogram):
        for value in ("text", [b"text"], 1j):
            with pytest.raises(TypeError, match="Value passed to parameter 'values' has DataType"):
                function("name", value)
    with pytest.raises(TypeError, match="DataType bool"):
        tf.summary.scalar("name", True)


# Files


def test_tensorboard_reads_what_was_written(graph, tmp_path):
    x = tf.placeholder(tf.float32, [])
    tf.summary.scalar("loss", x)
    tf.summary.histogram("w", tf.stack([x, 2 * x]))
    tf.summary.image("picture", tf.ones([1, 2, 3, 3]) * x, 1)
    tf.summary.text("note", tf.constant("hello"))
    merged = tf.summary.merge_all()
    with tf.Session() as session, tf.summary.FileWriter(tmp_path / "deep" / "run", session.graph) as writer:
        for step in range(5):
            writer.add_summary(session.run(merged, {x: step / 2}), step)
        writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag="reward", simple_value=7)]), np.int64(9))
    assert writer.get_logdir() == str(tmp_path / "deep" / "run")
    read = accumulated(tmp_path / "deep" / "run")
    tags = read.Tags()
    assert (tags["scalars"], tags["histograms"], tags["images"]) == (["loss", "reward"], ["w"], ["picture/image"])
    assert [(event.step, event.value) for event in read.Scalars("loss")] == [(n, n / 2) for n in range(5)]
    assert [(event.step, event.value) for event in read.Scalars("reward")] == [(9, 7)]
    assert [event.histogram_value.max for event in read.Histograms("w")] == [0, 1, 2, 3, 4]
    assert [event.tensor_proto.string_val[0] for event in read.Tensors("note")] == [b"hello"] * 5
    assert read.SummaryMetadata("note").plugin_data.plugin_name == "text"
    assert (
        sum(value.HasField("metadata") for event in events(writer.get_logdir()) for value in event.summary.value) == 1
    )


def test_the_graph_is_written_with_inputs_controls_devices_and_shapes(graph, tmp_path):
    with tf.device("/cpu:0"):
        x = tf.placeholder(tf.float32, [None, 3], name="x")
    with tf.name_scope("layer"):
        w = tf.Variable(tf.zeros([3, 2]), name="w")
        parts = tf.unstack(tf.matmul(x, w), axis=1)
        with tf.control_dependencies([w.initializer]):
            y = tf.identity(parts[1], name="y")
    tf.summary.FileWriter(tmp_path, graph).close()
    read = accumulated(tmp_path)
    nodes = {node.name: node for node in read.Graph().node}
    assert {op.name for op in graph.get_operations()} <= nodes.keys()
    assert [*nodes] == [node.name for node in graph.as_graph_def(add_shapes=True).node]
    assert nodes["x"].device == "/device:CPU:0"
    assert (nodes["x"].op, [d.size for d in nodes["x"].attr["_output_shapes"].list.shape[0].dim]) == (
        "Placeholder",
        [-1, 3],
    )
    assert list(nodes[y.op.name].input) == [parts[1].name, "^layer/w/Assign"]
    assert list(nodes["layer/MatMul"].input) == ["x", "layer/w/read"]
    assert nodes["layer/w/read"].attr["_class"].list.s == [b"loc:@layer/w"]
    for node in nodes.values():
        assert all(name.lstrip("^").split(":")[0] in nodes for name in node.input)


def test_a_graph_is_a_graph_or_tensorboards_own(graph, tmp_path):
    with tf.summary.FileWriter(tmp_path, graph_def=GraphDef()) as writer:
        writer.add_graph(graph, global_step=3)
        with pytest.raises(TypeError, match="The passed graph must be an instance of `Graph`"):
            writer.add_graph("graph")
        with pytest.raises(ValueError, match="Please pass only graph, or graph_def"):
            writer.add_graph(graph, graph_def=GraphDef())
    assert [event.step for event in events(tmp_path) if event.HasField("graph_def")] == [0, 3]


def test_what_is_flushed_can_be_read_while_the_writer_goes_on(tmp_path):
    writer = tf.summary.FileWriter(tmp_path, max_queue=3)
    assert [event.file_version for event in events(tmp_path)] == ["brain.Event:2"]
    for step in range(3):
        writer.add_event(tf.Event(step=step))
    assert len(events(tmp_path)) == 1
    writer.flush()
    assert [event.step for event in events(tmp_path)[1:]] == [0, 1, 2]
    for step in range(3, 7):
        writer.add_event(tf.Event(step=step))
    assert [event.step for event in events(tmp_path)[1:]] == [0, 1, 2, 3, 4, 5, 6]  # more than max_queue were waiting
    with tf.summary.FileWriter(tmp_path / "other", flush_secs=0) as eager:
        eager.add_event(tf.Event(step=1))
        assert len(events(tmp_path / "other")) == 2
    writer.close()


def test_a_closed_writer_warns_and_a_reopened_one_begins_another_file(tmp_path):
    writer = tf.summary.FileWriter(tmp_path, filename_suffix=".mine")
    writer.add_event(tf.Event(step=1))
    writer.close()
    writer.close()
    writer.flush()
    with pytest.warns(UserWarning, match="Attempting to use a closed FileWriter"):
        writer.add_event(tf.Event(step=2))
    writer.reopen()
    writer.reopen()
    writer.add_event(tf.Event(step=3))
    writer.close()
    files = list(tmp_path.iterdir())
    assert len(files) == 2
    assert all(file.name.endswith(".mine") for file in files)
    assert sorted(event.step for event in events(tmp_path) if not event.file_version) == [1, 3]


def test_a_writer_writes_the_graph_with_its_meta_graph(graph, tmp_path):
    tf.constant(1.0, name="c")
    with tf.summary.FileWriter(tmp_path, graph) as writer:
        writer.add_meta_graph(tf.train.export_meta_graph(), 3)
        with pytest.raises(TypeError, match="meta_graph_def must be type MetaGraphDef"):
            writer.add_meta_graph("c")
    (path,) = tmp_path.iterdir()
    events = list(tf.train.summary_iterator(path))
    assert [(event.WhichOneof("what"), event.step) for event in events] == [
        ("file_version", 0), ("graph_def", 0), ("meta_graph_def", 0), ("meta_graph_def", 3),
    ]  # fmt: skip


def test_threads_may_share_a_writer(tmp_path):
    with tf.summary.FileWriter(tmp_path) as writer:
        threads = [
            threading.Thread(target=lambda: [writer.add_event(tf.Event(step=step)) for step in range(200)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    steps = [event.step for event in events(tmp_path) if not event.file_version]
    assert sorted(steps) == sorted([*range(200)] * 4)


def test_the_cache_has_one_writer_for_a_directory(graph, tmp_path):
    tf.constant(1, name="here")
    writer = tf.summary.FileWriterCache.get(str(tmp_path))
    assert tf.summary.FileWriterCache.get(str(tmp_path)) is writer
    tf.summary.FileWriterCache.clear()
    assert [node.name for node in accumulated(tmp_path).Graph().node] == ["here"]
    assert tf.summary.FileWriterCache.get(str(tmp_path)) is not writer
    tf.summary.FileWriterCache.clear()


def test_without_tensorboard_an_error_says_what_to_install(tmp_path):
    code = """
import sys
sys.modules["tensorboard"] = None
import weftwork as tf
for attempt in (lambda: tf.summary.scalar("a", 1.0), lambda: tf.summary.FileWriter(sys.argv[1]), lambda: tf.Summary):
    try:
        attempt()
    except (ImportError, AttributeError) as error:
        assert "pip install 'weftwork[tensorboard]'" in str(error), error
    else:
        raise AssertionError("no error")
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], check=True, cwd=ROOT)
    assert not (tmp_path / "run").exists()


WITHOUT_EXTRAS = Program(
    script="""
import inspect, pydoc, sys
sys.modules["tensorboard"] = sys.modules["absl"] = None
import weftwork as tf
for module, name in [(tf, "Summary"), (tf, "Event"), (tf.summary, "SessionLog"), (tf, "flags"), (tf, "app")]:
    assert not hasattr(module, name), name
    assert getattr(module, name, 5) == 5
    try:
        getattr(module, name)
    except AttributeError as error:
        assert f"{name!r}" in str(error) and "pip install 'weftwork[" in str(error), error
for module in (tf, tf.summary):
    assert inspect.getmembers(module) and pydoc.render_doc(module)
help(tf.summary)
"""
)


def test_without_its_extras_the_package_can_still_be_looked_at():
    done = WITHOUT_EXTRAS.done()
    assert done.returncode == 0, done.stderr


# Sounds and tensors


@pytest.mark.parametrize("stereo", [False, True])
def test_a_sound_is_a_wav_file_of_sixteen_bits(graph, stereo):
    clips = np.array([[0.0, 0.5, -1.0], [2.0, -2.0, 0.25]])
    given = np.stack([clips, -clips], -1) if stereo else clips
    node = tf.summary.audio("clip", given, 8000.0, max_outputs=2)
    assert node.op.type == "AudioSummaryV2"
    found = values(node)
    assert [value.tag for value in found] == ["clip/audio/0", "clip/audio/1"]
    sound = found[0].audio
    channels = 2 if stereo else 1
    assert (sound.sample_rate, sound.num_channels, sound.length_frames) == (8000, channels, 3)
    assert sound.content_type == "audio/wav"
    with wave.open(io.BytesIO(found[1].audio.encoded_audio_string)) as file:
        samples = np.frombuffer(file.readframes(3), "<i2").reshape(3, channels)
    assert samples[:, 0].tolist() == [32767, -32768, 8192]


def test_only_the_first_sounds_of_a_batch_are_shown(graph):
    (value,) = values(tf.summary.audio("clip", np.zeros((4, 3)), 8000, max_outputs=1, family="all"))
    assert value.tag == "all/all/clip/audio"
    with pytest.raises(tf.errors.OpError, match="Tensor must be 3-D or 2-D"):
        evaluate(tf.summary.audio("clip", np.zeros(3), 8000))


def test_any_tensor_has_a_summary_with_a_description(graph):
    numbers = tf.summary.tensor_summary("t", np.arange(6.0).reshape(2, 3), "Six numbers.", display_name="six")
    (value,) = values(numbers)
    assert tf.make_ndarray(value.tensor).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (value.tag, value.metadata.display_name, value.metadata.summary_description) == ("t", "six", "Six numbers.")
    metadata = tf.SummaryMetadata(plugin_data=tf.SummaryMetadata.PluginData(plugin_name="mine"))
    (value,) = values(tf.summary.tensor_summary("words", ["a", "b"], summary_metadata=metadata))
    assert tf.make_ndarray(value.tensor).tolist() == [b"a", b"b"]
    assert value.metadata.plugin_data.plugin_name == "mine"
    node = tf.NodeDef(op="TensorSummary", name="n")
    node.attr["description"].s = b'{"typeHint": "scalar"}'
    assert tf.summary.get_summary_description(node).type_hint == "scalar"
    with pytest.raises(ValueError, match="Can't get_summary_description on NoOp"):
        tf.summary.get_summary_description(tf.NodeDef(op="NoOp"))
