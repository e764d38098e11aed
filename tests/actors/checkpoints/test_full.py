"""Disks, folders and object stores that are full or closed: a clear error, nothing lost, and the session goes on."""

from __future__ import annotations

import errno
import os
from itertools import count

import numpy as np
import pytest

import weftwork as tf
from tests.programs import Program
from weftwork.actors.checkpoints.files import LocalFiles

FULL = Program("tests.full_program")
WRITES = ("create", "write", "finish", "publish", "settle")
"""The effects for which a full disk may have no room."""


@tf.op
def costly(x):
    """A user's function that other processes can import."""
    return x


class Full:
    """A disk with room for so many writes, counted through all of `LocalFiles`; entered, it is full after them."""

    def __init__(self, monkeypatch, room: int, number: int = errno.ENOSPC):
        self.left, self.refused = room, 0
        self._number = number
        for name in WRITES:
            monkeypatch.setattr(LocalFiles, name, self._limited(getattr(LocalFiles, name)))

    def _limited(self, real):
        def limited(files, *args):
            if self.left <= 0:
                self.refused += 1
                raise OSError(self._number, os.strerror(self._number))
            self.left -= 1
            return real(files, *args)

        return limited


def at_every_write(monkeypatch, action, check):
    """Do `action` with room for 0, 1, 2 ... writes, until there is enough; `check` what is left after each failure.

    Returns how often it failed.
    """
    for room in count():
        with monkeypatch.context() as patch:
            full = Full(patch, room)
            try:
                action()
            except tf.errors.ResourceExhaustedError as error:
                raised = error
            else:
                raised = None
        if raised is None and not full.refused:
            return room
        check(raised)
    raise AssertionError("it never had enough room")


def data_files(folder):
    """The data files of a folder, and what was being written."""
    return sorted(name for name in os.listdir(folder) if ".data-" in name or name.endswith(".tmp"))


# Savers


@pytest.mark.parametrize("sharded", [False, True])
def test_wherever_a_disk_is_full_the_last_checkpoint_loads_and_nothing_piles_up(graph, tmp_path, monkeypatch, sharded):
    large = [tf.Variable(np.zeros(3 << 19, np.int64), name=name) for name in "ab"]
    step = tf.group(*[v.assign_add(tf.ones([3 << 19], tf.int64)) for v in large])
    saver = tf.train.Saver(sharded=sharded, max_to_keep=2)
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:  # where the disk is full
        session.run(tf.global_variables_initializer())
        saver.save(session, str(tmp_path / "m"), 0)
        number, runs = 0, 0

        def save():
            nonlocal number
            number += 1
            saver.save(session, str(tmp_path / "m"), number)

        def check(error):
            nonlocal runs
            assert "No space left on device" in error.message
            assert str(tmp_path) in error.message
            latest = tf.train.latest_checkpoint(str(tmp_path))
            values = [tf.train.load_variable(latest, name) for name in "ab"]
            assert len({int(v) for value in values for v in value[::1000]}) == 1
            prefixes = {name.partition(".")[0] for name in os.listdir(tmp_path) if name.endswith(".index")}
            assert {name.partition(".")[0] for name in data_files(tmp_path)} == prefixes
            session.run(step)
            runs += 1
            assert [int(v) for v in session.run([large[0][0], large[1][-1]])] == [runs, runs]

        failures = at_every_write(monkeypatch, save, check)
        files = len(["data", "index", "state", "graph"]) + sharded
        assert failures >= files * len(WRITES)
        latest = tf.train.latest_checkpoint(str(tmp_path))
        assert latest == str(tmp_path / f"m-{number}")
        assert tf.train.load_variable(latest, "b")[7] == runs


def test_a_path_under_a_file_is_refused_and_the_session_goes_on(graph, tmp_path):
    """Whoever may write anywhere, as root may, cannot write there."""
    w = tf.Variable(1)
    saver = tf.train.Saver()
    (tmp_path / "file").write_text("")
    with tf.Session() as session:
        session.run(w.initializer)
        with pytest.raises(tf.errors.FailedPreconditionError, match="file/x.*; Not a directory"):
            saver.export_meta_graph(str(tmp_path / "file" / "x"))
        assert session.run(w.assign_add(1)) == 2
    for place in ("file", "file/x"):
        with pytest.raises((tf.errors.FailedPreconditionError, tf.errors.AlreadyExistsError), match=f"{place}; "):
            tf.Session(config=tf.ConfigProto(checkpoint_dir=str(tmp_path / place)))


# Checkpoints that a session makes by itself


def saving(folder):
    """A session that saves by itself when it is told to, and a step of it."""
    graph = tf.Graph()
    with graph.as_default():
        w = tf.Variable(np.int64(0), name="w")
        step = w.assign_add(1)
        initialise = w.initializer
    session = tf.Session(graph=graph, config=tf.ConfigProto(checkpoint_dir=str(folder), checkpoint_every=3600))
    return session, w, step, initialise


def test_a_session_that_finds_the_disk_full_saves_once_there_is_room(tmp_path, monkeypatch):
    session, w, step, initialise = saving(tmp_path)
    session.run(initialise)
    session._engine._autosave.save()
    runs = 0

    def save():
        nonlocal runs
        session.run(step)
        runs += 1
        session._engine._autosave.save()

    def check(error):
        assert "No space left on device" in error.message
        found = tf.train.load_variable(tf.train.latest_checkpoint(str(tmp_path)), "w")
        assert found in (runs, last[0])
        last[0] = found
        assert len(data_files(tmp_path)) <= 4
        assert session.run(w) == runs

    last = [0]
    assert at_every_write(monkeypatch, save, check) >= 10
    session.run(step)
    session.close()
    session, w, *_ = saving(tmp_path)
    with session:
        assert session.run(w) == runs + 1
    assert len(data_files(tmp_path)) <= 3


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_session_whose_folder_is_closed_to_it_warns_and_works_to_its_end(tmp_path, monkeypatch, number):
    session, w, step, initialise = saving(tmp_path)
    session.run(initialise)
    session._engine._autosave.save()
    session.run(step)
    with monkeypatch.context() as patch:
        Full(patch, 0, number)
        with pytest.warns(UserWarning, match=f"could not write a checkpoint to {tmp_path}.*{os.strerror(number)}"):
            session.close()
    session, w, *_ = saving(tmp_path)
    with session:
        assert session.run(w) == 0


# What was learned of costs


def test_a_full_disk_leaves_the_file_of_costs_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "costs.json"
    with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        session.run(costly(tf.constant(3)))
    tf.save_costs(str(path))
    before = path.read_bytes()

    def check(error):
        assert f"{path}" in error.message
        assert "No space left on device" in error.message
        assert path.read_bytes() == before or settled == [True]
        assert os.listdir(tmp_path) == [path.name]

    settled = []
    real = LocalFiles.publish
    monkeypatch.setattr(LocalFiles, "publish", lambda *args: (real(*args), settled.append(True))[0])
    assert at_every_write(monkeypatch, lambda: tf.save_costs(str(path)), check) == len(WRITES)
    tf.load_costs(str(path))


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_file_of_costs_that_may_not_be_written_is_told_with_its_name(tmp_path, monkeypatch, number):
    Full(monkeypatch, 0, number)
    with pytest.raises(tf.errors.PermissionDeniedError, match=f"costs.json.*; {os.strerror(number)}"):
        tf.save_costs(str(tmp_path / "costs.json"))
    assert os.listdir(tmp_path) == []


# Object stores


@pytest.fixture(scope="module")
def seen():
    """The output of a program whose object store is full."""
    return FULL.seen()


@pytest.mark.parametrize("placement", ["auto", "actor", "task"])
@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("fed", "An input of total does not fit"),
        ("fetched", "The output of fetched does not fit"),
        ("assigned", "The output of assigned does not fit"),
        ("grown", "The output of grown does not fit"),
    ],
)
def test_a_value_for_which_no_store_has_room_is_told_with_its_node_and_nothing_is_lost(seen, placement, what, text):
    if (what, placement) == ("grown", "auto"):
        assert what not in seen[placement]
        return
    found = seen[placement][what]
    kind, message = found["error"]
    assert kind == "ResourceExhaustedError"
    assert message.startswith(text)
    assert "full_program.py:" in message
    assert found["after"] == found["before"]


@pytest.mark.parametrize("placement", ["auto", "actor", "task"])
def test_a_session_that_met_a_full_store_goes_on(seen, placement):
    for found in seen[placement].values():
        assert found["next"] == [found["before"][0] + 1, found["before"][1], found["before"][2] + 1]
