"""The option messages."""

import ast
import copy
import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest

import weftwork as tf
from weftwork.scheduler.request import config
from weftwork.scheduler.request.config import (
    Config,
    ConfigProto,
    DeviceStepStats,
    GPUOptions,
    GraphDef,
    GraphOptions,
    JobDef,
    Message,
    NodeDef,
    OptimizerOptions,
    RewriterConfig,
    RunMetadata,
    RunOptions,
    StepStats,
    ThreadPoolOptionProto,
)
from weftwork.scheduler.request.message_text import merge_text


def full_config():
    """A config in which a field of every kind is set."""
    config = ConfigProto(
        device_count={"CPU": 2, "GPU": 0},
        allow_soft_placement=True,
        operation_timeout_in_ms=50,
        device_filters=["/job:ps", "/job:worker"],
        gpu_options=GPUOptions(per_process_gpu_memory_fraction=0.5),
        graph_options=GraphOptions(optimizer_options=OptimizerOptions(opt_level=OptimizerOptions.L0)),
    )
    config.session_inter_op_thread_pool.add(num_threads=3)
    config.cluster_def.job.add(name="ps", tasks={0: "a:1", 1: "b:2"})
    return config


def messages():
    """All message classes, nested ones too."""
    found, todo = [], [Message]
    while todo:
        for cls in todo.pop().__subclasses__():
            found.append(cls)
            todo.append(cls)
    return found


@pytest.mark.parametrize("cls", messages(), ids=lambda cls: cls.__qualname__)
def test_every_message_starts_empty_and_every_field_can_be_read(cls):
    message = cls()
    for name in cls._fields:
        getattr(message, name)
    assert message == cls()
    assert message.SerializeToString() in (b"{}", b"")  # as text, or on the wire


def test_fields_are_keywords_and_attributes():
    config = full_config()
    assert config.device_count["CPU"] == 2
    assert config.gpu_options.per_process_gpu_memory_fraction == 0.5
    assert config.graph_options.optimizer_options.opt_level == -1
    assert config.session_inter_op_thread_pool[0].num_threads == 3
    assert config.cluster_def.job[0].tasks[1] == "b:2"
    assert not config.log_device_placement
    assert ConfigProto(gpu_options=None, allow_soft_placement=None) == ConfigProto()


def test_our_fields_have_their_defaults():
    config = Config()
    assert (config.placement, config.copy, config.memory_budget, config.cancel_grace_in_ms) == ("auto", True, 0, 1000)
    with pytest.raises(ValueError, match="placement is one of auto, caller, .*, mixed, not 'gpu'"):
        Config(placement="gpu")


def test_the_constants_are_on_the_class():
    assert (RunOptions.NO_TRACE, RunOptions.SOFTWARE_TRACE) == (0, 1)
    assert (RunOptions.HARDWARE_TRACE, RunOptions.FULL_TRACE) == (2, 3)
    assert RunOptions(trace_level=RunOptions.FULL_TRACE).trace_level == 3
    assert RewriterConfig.OFF == 2


def test_reading_a_nested_message_does_not_make_it_present_but_setting_something_in_it_does():
    config = ConfigProto()
    assert not config.gpu_options.allow_growth
    assert list(config.graph_options.rewrite_options.optimizers) == []
    assert not config.HasField("gpu_options")
    assert not config.HasField("graph_options")
    assert config == ConfigProto()
    config.gpu_options.allow_growth = False
    config.graph_options.rewrite_options.optimizers.append("loop")
    assert config.HasField("gpu_options")
    assert config.HasField("graph_options")
    assert config != ConfigProto()


def test_a_runs_metadata_has_its_stats_once_they_are_written():
    metadata = RunMetadata()
    assert not metadata.HasField("step_stats")
    assert len(metadata.step_stats.dev_stats) == 0
    assert not metadata.HasField("step_stats")
    device = metadata.step_stats.dev_stats.add(device="/device:CPU:0")
    device.node_stats.add(node_name="w", all_start_micros=5)
    assert metadata.HasField("step_stats")
    assert metadata.step_stats.dev_stats[0].node_stats[0].node_name == "w"
    metadata.Clear()
    assert not metadata.HasField("step_stats")
    metadata.step_stats.CopyFrom(StepStats())
    assert metadata.HasField("step_stats")


def test_a_message_given_to_another_is_copied():
    gpu = GPUOptions(allow_growth=True)
    config = ConfigProto(gpu_options=gpu)
    gpu.allow_growth = False
    assert config.gpu_options.allow_growth
    pool = ThreadPoolOptionProto(num_threads=1)
    config.session_inter_op_thread_pool.append(pool)
    pool.num_threads = 2
    assert config.session_inter_op_thread_pool[0].num_threads == 1


def test_whole_fields_can_be_assigned_and_are_copied():
    config, names = ConfigProto(device_count={"GPU": 1}), ["/job:ps"]
    config.device_filters = names
    config.device_count = {"CPU": 4}
    config.gpu_options = GPUOptions(allow_growth=True)
    names.append("/job:w")
    assert config == ConfigProto(
        device_filters=["/job:ps"], device_count={"CPU": 4}, gpu_options=GPUOptions(allow_growth=True)
    )
    with pytest.raises(TypeError, match="device_count"):
        config.device_count = {"CPU": "four"}
    assert dict(config.device_count) == {"CPU": 4}


def test_a_cleared_nested_message_no_longer_belongs_to_its_parent():
    config = ConfigProto()
    old = config.graph_options.optimizer_options
    config.graph_options.ClearField("optimizer_options")
    old.opt_level = OptimizerOptions.L0
    assert not config.HasField("graph_options")
    assert config == ConfigProto()


def test_lists_are_changed_in_all_the_ways_of_lists():
    config = ConfigProto()
    filters = config.device_filters
    filters.append("a")
    filters.extend(["b", "c"])
    filters += ["d"]
    del filters[0]
    filters[0] = "B"
    filters.insert(0, "x")
    assert config.device_filters == ["x", "B", "c", "d"]
    assert filters.pop() == "d"
    del filters[:]
    assert config == ConfigProto()
    with pytest.raises(AttributeError, match="append"):
        filters.add()


def test_maps_are_dicts():
    config = ConfigProto()
    config.device_count["CPU"] = 1
    config.device_count.update(GPU=2)
    del config.device_count["CPU"]
    assert dict(config.device_count) == {"GPU": 2}
    assert "CPU" not in config.device_count
    assert (config.device_count.get("CPU"), config.device_count["CPU"]) == (None, 0)
    config.device_count["TPU"] += 3
    assert dict(config.device_count) == {"GPU": 2, "CPU": 0, "TPU": 3}


def test_merging_replaces_values_and_extends_lists():
    config = ConfigProto(device_filters=["a"], device_count={"CPU": 1}, operation_timeout_in_ms=5, copy=False)
    config.MergeFrom(ConfigProto(device_filters=["b"], device_count={"GPU": 1}, operation_timeout_in_ms=7))
    assert config == ConfigProto(
        device_filters=["a", "b"], device_count={"CPU": 1, "GPU": 1}, operation_timeout_in_ms=7, copy=False
    )
    config.gpu_options.allow_growth = True
    config.MergeFrom(ConfigProto(gpu_options=GPUOptions(visible_device_list="0")))
    assert config.gpu_options == GPUOptions(allow_growth=True, visible_device_list="0")


def test_a_copy_is_equal_and_apart():
    config = full_config()
    for twin in (copy.copy(config), copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert twin == config
        twin.cluster_def.job[0].tasks[1] = "c:3"
        twin.device_count["CPU"] = 9
        assert config == full_config()
        assert twin != config
    twin = ConfigProto(log_device_placement=True)
    twin.CopyFrom(config)
    assert twin == config
    twin.CopyFrom(twin)
    assert twin == config


def test_metadata_pickles_and_serialises():
    metadata = RunMetadata(partition_graphs=[GraphDef(node=[NodeDef(name="w", op="Add", input=["x", "y:1"])])])
    assert pickle.loads(pickle.dumps(metadata)) == metadata
    assert RunMetadata.FromString(metadata.SerializeToString()) == metadata


def test_serialising_is_stable_and_reads_back():
    config = full_config()
    data = config.SerializeToString()
    assert data == full_config().SerializeToString() == ConfigProto.FromString(data).SerializeToString()
    assert ConfigProto.FromString(data) == config
    assert ConfigProto(device_count={"A": 1, "B": 2}).SerializeToString() == (
        ConfigProto(device_count={"B": 2, "A": 1}).SerializeToString()
    )


def test_fields_are_cleared_one_by_one_or_all_at_once():
    config = full_config()
    config.ClearField("cluster_def")
    assert not config.HasField("cluster_def")
    assert config.HasField("gpu_options")
    config.Clear()
    assert config == ConfigProto()


def test_unknown_fields_are_refused_by_name():
    config = ConfigProto()
    with pytest.raises(ValueError, match='no "nonsense" field'):
        ConfigProto(nonsense=1)
    with pytest.raises(AttributeError, match="nonsense"):
        config.nonsense = 1
    with pytest.raises(AttributeError, match="nonsense"):
        _ = config.nonsense
    for method in (config.HasField, config.ClearField):
        with pytest.raises(ValueError, match='"nonsense" field'):
            method("nonsense")
    with pytest.raises(ValueError, match='no "nonsense" field'):
        config.session_inter_op_thread_pool.add(nonsense=1)
    with pytest.raises(ValueError, match='no singular "device_filters" field'):
        config.HasField("device_filters")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("allow_soft_placement", "yes"),
        ("operation_timeout_in_ms", 1.5),
        ("operation_timeout_in_ms", "5"),
        ("operation_timeout_in_ms", None),
        ("gpu_options", RunOptions()),
        ("gpu_options", 3),
        ("device_filters", "abc"),
        ("device_filters", [1]),
        ("device_filters", 1),
        ("placement", 3),
        ("limits", 3),
        ("limits", {"api": "5"}),
    ],
)
def test_a_value_of_another_type_is_refused_and_changes_nothing(field, value):
    config = ConfigProto()
    with pytest.raises(TypeError, match=field):
        setattr(config, field, value)
    assert config == ConfigProto()


@pytest.mark.parametrize(
    ("field", "least", "value"),
    [
        ("limits", 1, {"api": 0}),
        ("memory_budget", 0, -1),
        ("replicas", 1, 0),
        ("checkpoint_every", 0, -1),
        ("checkpoint_every", 0, float("nan")),
        ("cancel_grace_in_ms", 0, -5),
    ],
)
def test_a_value_that_is_too_small_is_refused_and_changes_nothing(field, least, value):
    config = ConfigProto()
    with pytest.raises(ValueError, match=f"{field} must be at least {least}, not"):
        setattr(config, field, value)
    with pytest.raises(ValueError, match=f"{field} must be at least {least}, not"):
        ConfigProto(**{field: value})
    with pytest.raises(ValueError, match="limits must be at least 1, not 0"):
        config.limits["api"] = 0
    assert config == ConfigProto()


def test_a_copy_of_another_class_is_refused():
    for method in (ConfigProto().CopyFrom, ConfigProto().MergeFrom):
        with pytest.raises(TypeError, match="must be an instance of ConfigProto"):
            method(RunOptions())


def test_numbers_of_numpy_are_numbers():
    config = ConfigProto(operation_timeout_in_ms=np.int64(5), allow_soft_placement=np.bool_(True))
    assert (config.operation_timeout_in_ms, config.allow_soft_placement) == (5, True)
    assert GPUOptions(per_process_gpu_memory_fraction=np.float32(0.5)).per_process_gpu_memory_fraction == 0.5
    with pytest.raises(ValueError, match="out of range"):
        config.operation_timeout_in_ms = 2**64


def test_messages_cannot_be_hashed_and_print_what_is_set():
    with pytest.raises(TypeError, match="unhashable"):
        hash(ConfigProto())
    assert repr(JobDef(name="ps", tasks={0: "a:1"})) == "JobDef(name='ps', tasks={0: 'a:1'})"
    assert repr(DeviceStepStats()) == "DeviceStepStats()"


def fields_of(tree):
    """(class, field, whether it has a text) of every field of the options, but for what holds further options."""
    for cls in [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]:
        for field, following in itertools.zip_longest(cls.body, cls.body[1:]):
            if isinstance(field, ast.AnnAssign) and (field.value or isinstance(field.annotation, ast.Subscript)):
                has_text = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
                yield cls.name, field.target.id, has_text


def test_a_field_of_the_options_has_a_text_if_it_is_read_and_only_then():
    options = {"OptimizerOptions", "RewriterConfig", "GraphOptions", "ConfigProto", "RunOptions", "GPUOptions"}
    folder = Path(config.__file__).parent.parent
    read = {
        node.attr
        for path in folder.rglob("*.py")
        if path.name != "config.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    fields = [field for field in fields_of(ast.parse(Path(config.__file__).read_text())) if field[0] in options]
    assert len(fields) > 50
    assert [f"{cls}.{name}" for cls, name, has_text in fields if has_text != (name in read)] == []


def test_the_text_of_a_message_is_that_of_protocol_buffers():
    cluster = tf.train.ClusterSpec({"ps": ["a:1"], "w": {2: 'b"c:1'}}).as_cluster_def()
    text = """job {
  name: "ps"
  tasks {
    key: 0
    value: "a:1"
  }
}
job {
  name: "w"
  tasks {
    key: 2
    value: "b\\"c:1"
  }
}
"""
    assert str(cluster) == text
    options = tf.ConfigProto(allow_soft_placement=True, device_count={"CPU": 2}, operation_timeout_in_ms=5)
    again = merge_text(str(options), tf.ConfigProto())
    assert again == options
    assert str(tf.ConfigProto()) == ""
    assert repr(tf.ConfigProto()) == "ConfigProto()"


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), "trace_level: FULL_TRACE\n"),
        (tf.RunOptions(trace_level=7), "trace_level: 7\n"),
        (
            tf.train.SaverDef(version=tf.train.SaverDef.V2, keep_checkpoint_every_n_hours=10000),
            "keep_checkpoint_every_n_hours: 10000\nversion: V2\n",
        ),
        (tf.OptimizerOptions(opt_level=-1, global_jit_level=1), "opt_level: L0\nglobal_jit_level: ON_1\n"),
        (tf.GPUOptions(per_process_gpu_memory_fraction=0.5), "per_process_gpu_memory_fraction: 0.5\n"),
    ],
    ids=str,
)
def test_the_text_names_the_numbers_of_enumerations(message, text):
    assert str(message) == text
    assert merge_text(text, type(message)()) == message


@pytest.mark.parametrize(
    "message",
    [
        full_config(),
        tf.train.ClusterSpec({"ps": ["a:1"]}).as_cluster_def(),
        tf.RunOptions(timeout_in_ms=3),
        tf.train.ServerDef(job_name="ps", task_index=1),
        tf.train.SaverDef(max_to_keep=3),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_is_read_from_its_bytes(message):
    data = message.SerializeToString()
    assert message.ByteSize() == len(data)
    parsed, merged = type(message)(), type(message)()
    assert parsed.ParseFromString(data) == merged.MergeFromString(data) == len(data)
    assert parsed == merged == message == type(message).FromString(data)
    fields = message.ListFields()
    assert fields
    assert all([getattr(message, field.name) == value and message.IsInitialized() for field, value in fields])
    with pytest.raises(ValueError, match='has no "choice" field'):
        message.WhichOneof("choice")


def test_a_text_may_name_the_constants_of_a_message():
    assert merge_text("max_to_keep: 3 version: V2", tf.train.SaverDef()) == tf.train.SaverDef(max_to_keep=3, version=2)
