"""Checkpoints on a disk: what is written is read back, at every moment one is whole, and what is wrong is told."""

from __future__ import annotations

import errno
import io
import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weftwork as tf
from weftwork.actors.checkpoints.encoding import NUMBERS, decode, encode
from weftwork.actors.checkpoints.files import LocalFiles, absolute, files_of, is_absolute, join, split, write_whole
from weftwork.actors.checkpoints.reader import CheckpointReader, Wanted
from weftwork.actors.checkpoints.writer import exists, index_name, remove, write_index, write_shard

BAD = (tf.errors.DataLossError, tf.errors.InvalidArgumentError, tf.errors.NotFoundError)


def save(prefix, values, files=None, shards=1):
    """Write a checkpoint of {key: (type, value)}."""
    items = [(key, type_, value) for key, (type_, value) in values.items()]
    parts = [write_shard(prefix, items[i::shards], i, shards, files) for i in range(shards)]
    write_index(prefix, parts, files)


def load(prefix, files=None):
    """{key: value} of a checkpoint."""
    reader = CheckpointReader(prefix, files)
    return {key: reader.get_tensor(key) for key in reader.get_variable_to_shape_map()}


@pytest.fixture
def prefix(tmp_path):
    return str(tmp_path / "model")


def data_file(prefix):
    return f"{prefix}.data-00000-of-00001"


# What is written is read back


@pytest.mark.parametrize("type_", sorted(NUMBERS))
@pytest.mark.parametrize("shape", [(), (3,), (2, 0, 3), (4, 5)])
def test_numbers_of_every_type_and_shape_come_back_as_they_were(prefix, type_, shape):
    value = (np.arange(np.prod(shape)).reshape(shape) % 7).astype(NUMBERS[type_])
    save(prefix, {"before": ("int8", np.int8(1)), "w": (type_, value[()])})
    found = CheckpointReader(prefix).get_tensor("w")
    assert found.dtype == NUMBERS[type_]
    assert found.shape == shape
    np.testing.assert_array_equal(found, value)
    assert isinstance(found, np.ndarray) == (shape != ())


def test_what_is_not_contiguous_or_not_native_is_written_in_order(prefix):
    value = np.arange(12, dtype=">i4").reshape(3, 4).T
    save(prefix, {"w": ("int32", value)})
    np.testing.assert_array_equal(load(prefix)["w"], value)


def test_not_a_number_infinities_and_signed_zeros_keep_their_bits(prefix):
    value = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324])
    save(prefix, {"w": ("float64", value)})
    assert load(prefix)["w"].tobytes() == value.tobytes()


def test_text_comes_back_byte_by_byte(prefix):
    table = np.array([[b"", b"a\0"], [b"\xff" * 1000, "ü".encode()]], dtype=object)
    save(prefix, {"one": ("string", b"x\0"), "table": ("string", table), "none": ("string", np.empty((0, 2), object))})
    found = load(prefix)
    assert found["one"] == b"x\0"
    assert found["table"].tolist() == table.tolist()
    assert found["none"].shape == (0, 2)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])) | st.integers() | st.booleans(), inner)
    ),
    max_leaves=20,
)


def exact(value):
    """Tells what == does not: 1 from True and 1.0."""
    return repr(value)


@given(PLAIN)
@settings(deadline=None)
def test_plain_objects_come_back_with_their_types(value):
    assert exact(decode(bytes(encode(value, "object")), "object", None)) == exact(value)


def test_objects_may_hold_arrays(prefix):
    value = {"a": [np.arange(3, dtype=np.int16), np.float32(2)], ("k", 1): np.array([True, None, b"x"], dtype=object)}
    save(prefix, {"o": ("object", value)})
    found = load(prefix)["o"]
    assert found["a"][0].dtype == np.int16
    assert found["a"][0].tolist() == [0, 1, 2]
    assert type(found["a"][1]) is np.float32
    assert found["k", 1].tolist() == [True, None, b"x"]


def ring():
    value: list = []
    value.append(value)
    return value


class Own:
    pass


@pytest.mark.parametrize("value", [Own(), {"deep": [Own]}, ring(), {1, 2}, lambda: 1, np.array(["2000"], "M8[Y]")])
def test_an_object_that_is_no_plain_data_is_refused_by_name_and_nothing_is_left(prefix, value, tmp_path):
    with pytest.raises(tf.errors.InvalidArgumentError, match="The value of layer/w cannot be saved"):
        save(prefix, {"a": ("int8", np.int8(1)), "layer/w": ("object", value)})
    assert os.listdir(tmp_path) == []


def test_the_reader_tells_keys_shapes_and_dtypes(prefix):
    save(prefix, {"b": ("int32", np.int32(3)), "a": ("float32", np.zeros((2, 3), np.float32)), "o": ("object", None)})
    reader = tf.train.NewCheckpointReader(prefix)
    assert reader.get_variable_to_shape_map() == {"b": [], "a": [2, 3], "o": None}
    assert reader.get_variable_to_dtype_map() == {"b": tf.int32, "a": tf.float32, "o": tf.object}
    assert reader.has_tensor("a")
    assert not reader.has_tensor("c")
    assert reader.debug_string() == b"a (DT_FLOAT) [2,3]\nb (DT_INT32) []\no (DT_OBJECT) <unknown>\n"
    with pytest.raises(tf.errors.NotFoundError, match="Key c not found in checkpoint"):
        reader.get_tensor("c")


def test_values_lie_at_multiples_of_64_bytes_raw_and_little_endian(prefix):
    save(prefix, {"a": ("int8", np.int8(7)), "b": ("int32", np.array([1, 2], np.int32))})
    with open(data_file(prefix), "rb") as file:
        content = file.read()
    assert content == b"\x07" + bytes(63) + b"\1\0\0\0\2\0\0\0"


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_shards_are_files_of_their_own_and_one_checkpoint(prefix, tmp_path, shards):
    values = {str(i): ("int64", np.int64(i)) for i in range(7)}
    save(prefix, values, shards=shards)
    assert len(os.listdir(tmp_path)) == shards + 1
    assert load(prefix) == {key: value for key, (_, value) in values.items()}


# At every moment one is whole


class Crash(Exception):
    """The machine has lost its power."""


class Disk:
    """A disk that loses power at its n-th effect: what was not made safe is then there or not, as `keeps` says.

    A file's bytes are safe once it is finished, names once they are settled.
    """

    def __init__(self, effects=10**9, keeps=True):
        self.left, self.keeps = effects, keeps
        self.names, self.safe_names = {}, {}

    def _effect(self):
        if self.left <= 0:
            raise Crash
        self.left -= 1

    def create(self, path):
        self._effect()
        self.names[path] = {"now": b"", "safe": b""}
        return Writer(self.names[path])

    def write(self, writer, data):
        half = len(data) // 2
        writer.file["now"] += bytes(data[:half])
        self._effect()
        writer.file["now"] += bytes(data[half:])

    def finish(self, writer):
        self._effect()
        writer.file["safe"] = writer.file["now"]

    def publish(self, temporary, path):
        self._effect()
        self.names[path] = self.names.pop(temporary)

    def settle(self, path):
        self._effect()
        self.safe_names = dict(self.names)

    def remove(self, path):
        self._effect()
        del self.names[path]

    def open(self, path):
        return io.BytesIO(self.names[path]["now"])

    def size(self, path):
        if path not in self.names:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return len(self.names[path]["now"])

    def exists(self, path):
        return path in self.names

    def starting_with(self, prefix):
        return sorted(name for name in self.names if name.startswith(prefix))

    def back(self):
        """The disk after the power has come back."""
        found = Disk()
        for name, file in (self.names if self.keeps else self.safe_names).items():
            content = file["now" if self.keeps else "safe"]
            found.names[name] = {"now": content, "safe": content}
        found.safe_names = dict(found.names)
        return found


class Writer:
    def __init__(self, file):
        self.file = file

    def close(self):
        pass


def content(number, shards=1):
    return {str(i): ("int64", np.full(20, number + i)) for i in range(3 * shards)}


def values(number, shards=1):
    return {key: value.tolist() for key, (_, value) in content(number, shards).items()}


def loaded(disk):
    return {key: value.tolist() for key, value in load("model", disk).items()}


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("keeps", [True, False])
def test_a_crash_at_any_effect_of_a_save_leaves_the_old_checkpoint_or_the_new_one(shards, keeps):
    outcomes = []
    for effects in range(200):
        disk = Disk()
        save("model", content(100, shards), disk, shards)
        disk.left, disk.keeps = effects, keeps
        try:
            save("model", content(200, shards), disk, shards)
        except Crash:
            finished = False
        else:
            finished = True
        found = loaded(disk.back())
        outcomes.append(found)
        assert found in (values(100, shards), values(200, shards)), f"torn after {effects} effects"
        if finished:
            break
    assert finished
    assert found == values(200, shards)
    assert len(outcomes) > 8 * shards
    assert outcomes[0] == values(100, shards)
    assert sum(a != b for a, b in zip(outcomes, outcomes[1:], strict=False)) == 1, "it changes once"


def test_what_a_crashed_save_has_left_goes_with_the_next_one():
    for effects in range(100):
        disk = Disk()
        save("model", content(1), disk)
        disk.left = effects
        try:
            save("model", content(2), disk)
        except Crash:
            disk = disk.back()
            save("model", content(3), disk)
            assert loaded(disk) == values(3)
            assert len(disk.names) == 2, sorted(disk.names)
        else:
            return
    raise AssertionError("it never finished")


def test_a_crash_while_a_first_checkpoint_is_written_leaves_none():
    disk = Disk(effects=3)
    with pytest.raises(Crash):
        save("model", content(1), disk)
    with pytest.raises(tf.errors.NotFoundError, match="Failed to find any matching files for model"):
        CheckpointReader("model", disk.back())


def test_a_crash_while_a_checkpoint_is_removed_leaves_it_whole_or_none():
    for effects in range(10):
        disk = Disk()
        save("model", content(1, 2), disk, 2)
        disk.left = effects
        try:
            remove("model", disk)
        except Crash:
            found = disk.back()
            if exists("model", found):
                assert loaded(found) == values(1, 2)
        else:
            assert disk.names == {}
            return
    raise AssertionError("it never finished")


def test_another_checkpoint_of_a_longer_name_is_not_touched(tmp_path):
    for name in ("model-1", "model-10", "model-1.data"):
        save(str(tmp_path / name), content(5))
    remove(str(tmp_path / "model-1"))
    assert not exists(str(tmp_path / "model-1"))
    assert {k: v.tolist() for k, v in load(str(tmp_path / "model-10")).items()} == values(5)
    assert {k: v.tolist() for k, v in load(str(tmp_path / "model-1.data")).items()} == values(5)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, tf.errors.ResourceExhaustedError),
        (errno.EDQUOT, tf.errors.ResourceExhaustedError),
        (errno.EROFS, tf.errors.PermissionDeniedError),
        (errno.EACCES, tf.errors.PermissionDeniedError),
        (errno.ENOENT, tf.errors.NotFoundError),
        (errno.EIO, tf.errors.UnknownError),
    ],
)
@pytest.mark.parametrize("effect", ["create", "write", "finish", "publish", "settle"])
def test_what_the_system_refuses_is_told_and_the_old_checkpoint_stays(tmp_path, number, kind, effect):
    prefix = str(tmp_path / "model")
    save(prefix, content(1))

    class Refusing(LocalFiles):
        pass

    def refuse(*args):
        raise OSError(number, os.strerror(number))

    setattr(Refusing, effect, refuse)
    with pytest.raises(kind, match=os.strerror(number)) as raised:
        save(prefix, content(2), Refusing())
    assert prefix in raised.value.message
    assert {k: v.tolist() for k, v in load(prefix).items()} == values(1)
    assert [name for name in os.listdir(tmp_path) if name.endswith(".tmp")] == []


def test_an_index_is_not_written_for_shards_that_are_not_there(prefix):
    part = write_shard(prefix, [("a", "int8", np.int8(1))])
    os.remove(data_file(prefix))
    with pytest.raises(tf.errors.NotFoundError, match="model.data-00000-of-00001; No such file"):
        write_index(prefix, [part])
    assert not exists(prefix)


# What is wrong is told


VALUES = {
    "w": ("float32", np.arange(50, dtype=np.float32)),
    "flags": ("bool", np.array([True, False])),
    "text": ("string", np.array([b"one", b"two"], dtype=object)),
    "object": ("object", {"a": (1, [2.5, None])}),
}


def fingerprint(found):
    return {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in found.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The prefix of a checkpoint, and the content of its files by name."""
    prefix = str(tmp_path_factory.mktemp("whole") / "model")
    save(prefix, VALUES)
    names = {"index": index_name(prefix), "data": files_of(prefix).starting_with(f"{prefix}.data-")[0]}
    return prefix, {kind: (Path(name), Path(name).read_bytes()) for kind, name in names.items()}


@given(st.sampled_from(["index", "data"]), st.integers(0, 10_000), st.integers(1, 255))
@settings(deadline=None, max_examples=300)
def test_any_changed_byte_gives_an_error_or_changes_nothing(whole, which, at, change):
    prefix, files = whole
    for kind, (path, content) in files.items():
        changed = bytearray(content)
        if kind == which:
            changed[at % len(content)] ^= change
        path.write_bytes(changed)
    try:
        found = load(prefix)
    except BAD:
        return
    assert fingerprint(found) == fingerprint({key: value for key, (_, value) in VALUES.items()})


def test_a_file_cut_anywhere_gives_data_loss(prefix):
    save(prefix, VALUES)
    for name in (index_name(prefix), data_file(prefix)):
        with open(name, "rb") as file:
            whole = file.read()
        for length in [*range(0, len(whole), 17), len(whole) - 1]:
            with open(name, "wb") as file:
                file.write(whole[:length])
            with pytest.raises(tf.errors.DataLossError):
                load(prefix)
        with open(name, "wb") as file:
            file.write(whole)
    assert len(load(prefix)) == 4


def test_a_changed_value_says_which_shard_and_both_checksums(prefix):
    save(prefix, {"w": ("int32", np.arange(4, dtype=np.int32))})
    with open(data_file(prefix), "r+b") as file:
        file.write(b"\x09")
    with pytest.raises(
        tf.errors.DataLossError,
        match=r"shard 0 \(16 bytes\): Checksum does not match: stored \d+ vs. calculated on the restored bytes \d+",
    ):
        load(prefix)


def test_the_data_of_another_checkpoint_is_noticed(tmp_path):
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    save(one, content(1))
    save(two, content(2))
    os.replace(data_file(two), data_file(one))
    with pytest.raises(tf.errors.DataLossError, match="Checksum does not match"):
        load(one)
    with pytest.raises(tf.errors.NotFoundError, match="two.data-00000-of-00001; No such file"):
        load(two)


@pytest.mark.parametrize(
    "foreign", [b"", b"hello" * 100, b"{}\n{}", b"[[" * 9000, b"\x80\x04\x95.", b"null\n", b"\xff\n"]
)
def test_a_foreign_file_is_told_from_a_checkpoint(prefix, foreign):
    with open(index_name(prefix), "wb") as file:
        file.write(foreign)
    with pytest.raises(tf.errors.DataLossError, match="not a Weftwork checkpoint"):
        CheckpointReader(prefix)
    os.rename(index_name(prefix), prefix)
    with pytest.raises(tf.errors.DataLossError, match=f"Unable to open table file {prefix}"):
        CheckpointReader(prefix)


def forge(prefix, change):
    """Rewrite an index with a right checksum after `change(body)`: a stranger can do that."""
    with open(index_name(prefix), "rb") as file:
        head, body = file.read().split(b"\n", 1)
    about, index = json.loads(head), json.loads(body)
    body = change(index)
    body = body if isinstance(body, bytes) else json.dumps(index).encode()
    about |= {"bytes": len(body), "crc32": zlib.crc32(body)}
    with open(index_name(prefix), "wb") as file:
        file.write(json.dumps(about).encode() + b"\n" + body)


def setting(key, **changes):
    def change(index):
        index["tensors"][key] |= changes

    return change


def with_token(token):
    def change(index):
        index["shards"][0]["token"] = token

    return change


@pytest.mark.parametrize(
    "change",
    [
        setting("w", dtype="resource"),
        setting("w", dtype="O"),
        setting("w", dtype=["float32"]),
        setting("w", shape=[10**12], bytes=4 * 10**12),
        setting("w", shape=[-50]),
        setting("w", shape=[50.0]),
        setting("w", shape=None),
        setting("w", offset=-1),
        setting("w", offset=10**6),
        setting("w", shard=7),
        setting("w", shard=-1),
        setting("w", shard=True),
        setting("w", bytes=1),
        setting("flags", dtype="int64"),
        with_token("/../../secret"),
        with_token("../x"),
        with_token(None),
        lambda index: index.pop("tensors"),
        lambda index: index.update(tensors=[1]),
        lambda index: index.update(shards={}),
        lambda index: b"[" * 100_000,
        lambda index: b"17",
        lambda index: b"\xff\xfe",
    ],
)
def test_an_impossible_index_with_a_right_checksum_is_refused(prefix, change):
    save(prefix, VALUES)
    forge(prefix, change)
    with pytest.raises(tf.errors.DataLossError):
        load(prefix)


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("object", b"["),
        ("object", b"{}"),
        ("object", b'["exec",["1"]]'),
        ("object", b'["list"]'),
        ("object", b'["dict",[[["list",[]],1]]]'),
        ("object", b'["array",["object",[1],"AAAAAAAAAAA="]]'),
        ("object", b'["array",["bool",[1],"Bw=="]]'),
        ("object", b'["array",["int8",[-1],"Bw=="]]'),
        ("object", b'["array",["int8",[1000000000000],"Bw=="]]'),
        ("object", b'["objects",[[5],[1]]]'),
        ("object", b'["int","zz"]'),
        ("object", b'["list",[' * 100_000),
        ("object", b"\xff"),
        ("object", b"\x80\x04K\x01."),
        ("string", b"\xff" * 16),
        ("string", b"1234567"),
        ("bool", b"\x02\x01"),
    ],
)
def test_data_that_no_save_writes_is_refused_and_runs_nothing(prefix, type_, data):
    save(prefix, {"x": ("uint8", np.frombuffer(data, np.uint8))})
    shape = {"object": None, "string": [2], "bool": [2]}[type_]
    forge(prefix, setting("x", dtype=type_, shape=shape))
    with pytest.raises(tf.errors.DataLossError, match="model.data-00000-of-00001"):
        load(prefix)


def test_a_checkpoint_of_a_later_version_says_so(prefix):
    save(prefix, VALUES)
    with open(index_name(prefix), "r+b") as file:
        content = file.read().replace(b'"version": 1', b'"version": 9')
        file.seek(0)
        file.write(content)
    with pytest.raises(tf.errors.InvalidArgumentError, match="version 9; this program reads version 1"):
        CheckpointReader(prefix)


def test_keys_types_and_shapes_are_checked_before_any_data_is_read(prefix):
    save(prefix, {"w": ("float32", np.zeros((2, 3), np.float32)), "n": ("int32", np.int32(1))})
    os.remove(data_file(prefix))
    reader = CheckpointReader(prefix)
    good = Wanted("n", "int32", ())
    for want, kind, text in [
        (Wanted("x", "int32", ()), tf.errors.NotFoundError, "Key x not found in checkpoint"),
        (
            Wanted("w", "int32", (2, 3)),
            tf.errors.InvalidArgumentError,
            "tensor_name = w; expected dtype int32 does not equal original dtype float",
        ),
        (
            Wanted("w", "float32", (3, 2)),
            tf.errors.InvalidArgumentError,
            r"Assign requires shapes of both tensors to match. lhs shape= \[3,2\] rhs shape= \[2,3\]",
        ),
        (
            Wanted("w", "float32", (7,), True),
            tf.errors.InvalidArgumentError,
            "Input to reshape is a tensor with 6 values, but the requested shape has 7",
        ),
    ]:
        with pytest.raises(kind, match=text):
            reader.read([good, want])


def test_a_value_is_read_in_the_shape_asked_for_into_memory_of_its_own(prefix):
    save(prefix, {"w": ("float32", np.arange(6, dtype=np.float32))})
    found = CheckpointReader(prefix).read([Wanted("w", "float32", (2, 3), True)])[0]
    assert found.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found.base is None
    assert found.flags.owndata


# Paths and URLs


@pytest.mark.parametrize("prefix", ["memory://model", "memory://deep/er/model-1"])
def test_a_url_of_fsspec_is_a_place_like_any_other(prefix):
    pytest.importorskip("fsspec")
    for number in (1, 2):
        save(prefix, content(number, 2), shards=2)
        assert {key: value.tolist() for key, value in load(prefix).items()} == values(number, 2)
    files = files_of(prefix)
    assert len(files.starting_with(prefix)) == 3
    assert files.modified(index_name(prefix)) > 0
    remove(prefix)
    assert not exists(prefix)
    with pytest.raises(tf.errors.NotFoundError):
        CheckpointReader(prefix)


def test_a_url_without_fsspec_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(ImportError, match=r"pip install 'weftwork\[fsspec\]'"):
        files_of("memory://x")


@pytest.mark.parametrize(
    ("path", "folder", "name"),
    [("a/b", "a", "b"), ("b", "", "b"), ("memory://b", "memory://", "b"), ("s3://x/y/z", "s3://x/y", "z")],
)
def test_paths_and_urls_split_and_join(path, folder, name):
    assert split(path) == (folder, name)
    assert join(folder, name) == path
    assert join("elsewhere", absolute(path)) == absolute(path)
    assert is_absolute(absolute(path))


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    name = str(tmp_path / "state")
    write_whole(name, b"old", LocalFiles())

    class Full(LocalFiles):
        def write(self, writer, data):
            writer.write(data[:1])
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(tf.errors.ResourceExhaustedError, match="state; No space left on device"):
        write_whole(name, b"new", Full())
    assert (tmp_path / "state").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["state"]
