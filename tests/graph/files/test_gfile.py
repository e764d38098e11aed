"""The file system by TensorFlow 1's names."""

from __future__ import annotations

import pytest

import weftwork as tf


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory: a.txt of three lines, d/x.txt, d/e/y.txt."""
    monkeypatch.chdir(tmp_path)
    tf.gfile.MakeDirs("d/e")
    for name, text in (("a.txt", "hé\nzwei\ndrei"), ("d/x.txt", "x"), ("d/e/y.txt", "y")):
        with tf.gfile.GFile(name, "w") as file:
            file.write(text)
    return tmp_path


def test_text_is_utf_8_and_bytes_are_bytes(folder):
    assert tf.gfile.GFile("a.txt").read() == "hé\nzwei\ndrei"
    assert tf.gfile.Open("a.txt", "rb").read(3) == b"h\xc3\xa9"
    with tf.gfile.FastGFile("a.txt") as file:
        assert file.readline() == "hé\n"
        assert list(file) == ["zwei\n", "drei"]
        assert (file.size(), file.tell(), file.readline()) == (13, 13, "")
        file.seek(-4, 2)
        assert file.readlines() == ["drei"]
        file.seek(position=4)
        assert next(file) == "zwei\n"


def test_a_file_is_made_by_its_first_write(folder):
    tf.gfile.GFile("new", "w").close()
    assert not tf.gfile.Exists("new")
    with tf.gfile.GFile(folder / "new", "w") as file:
        file.write(b"one")
        file.flush()
        assert (folder / "new").read_bytes() == b"one"
    with tf.gfile.GFile("new", "a") as file:
        file.write(" two")
    with tf.gfile.GFile("new", "r+") as file:
        assert file.read() == "one two"


def test_the_mode_says_what_may_be_done(folder):
    with pytest.raises(tf.errors.PermissionDeniedError, match="isn't open for writing: a.txt"):
        tf.gfile.GFile("a.txt").write("x")
    with pytest.raises(tf.errors.PermissionDeniedError, match="isn't open for reading"):
        tf.gfile.GFile("a.txt", "w").read()
    with pytest.raises(tf.errors.InvalidArgumentError, match="mode"):
        tf.gfile.GFile("a.txt", "x")
    assert tf.gfile.GFile("a.txt").size() == 13


def test_directories_are_listed_walked_and_removed(folder):
    assert tf.gfile.ListDirectory("d") == ["e", "x.txt"]
    assert list(tf.gfile.Walk("d")) == [("d", ["e"], ["x.txt"]), ("d/e", [], ["y.txt"])]
    assert list(tf.gfile.Walk("d", in_order=False)) == list(tf.io.gfile.walk("d"))[::-1]
    assert list(tf.gfile.Walk("nothing")) == []
    tf.gfile.DeleteRecursively("d")
    assert not tf.gfile.Exists("d")
    tf.gfile.MkDir("d")
    tf.gfile.MkDir("d")
    assert tf.gfile.IsDirectory("d")
    tf.io.gfile.rmtree("d")


def test_patterns_match_parts_of_one_name(folder):
    assert tf.gfile.Glob("d/*") == ["d/e", "d/x.txt"]
    assert tf.gfile.Glob(["*.txt", "d/*/[w-y].???"]) == ["./a.txt", "d/e/y.txt"]
    assert tf.gfile.Glob("nothing/*") == tf.gfile.Glob("nothing") == []
    assert tf.gfile.Glob(str(folder / "d" / "?.txt")) == [str(folder / "d" / "x.txt")]


def test_files_are_copied_and_moved_but_not_over_others(folder):
    with pytest.raises(tf.errors.AlreadyExistsError, match="d/x.txt"):
        tf.gfile.Copy("a.txt", "d/x.txt")
    with pytest.raises(tf.errors.AlreadyExistsError, match="d/x.txt"):
        tf.gfile.Rename("a.txt", "d/x.txt")
    tf.gfile.Copy("a.txt", "d/x.txt", overwrite=True)
    tf.gfile.Rename("d/x.txt", "b.txt")
    assert tf.gfile.Stat("b.txt").length == 13
    assert not tf.gfile.Stat("b.txt").is_directory
    assert tf.io.gfile.listdir(".") == ["a.txt", "b.txt", "d"]
    tf.gfile.Remove("b.txt")
    assert not tf.io.gfile.exists("b.txt")


@pytest.mark.parametrize(
    "act",
    [
        lambda: tf.gfile.GFile("none").read(),
        lambda: tf.gfile.GFile("none/x", "w").write("x"),
        lambda: tf.gfile.Stat("none"),
        lambda: tf.gfile.Copy("none", "b"),
        lambda: tf.gfile.Rename("none", "b"),
        lambda: tf.gfile.Remove("none"),
        lambda: tf.gfile.DeleteRecursively("none"),
        lambda: tf.gfile.ListDirectory("none"),
        lambda: tf.gfile.MkDir("none/x"),
    ],
)
def test_what_is_not_there_is_not_found(folder, act):
    with pytest.raises(tf.errors.NotFoundError, match="none"):
        act()


def test_a_directory_is_no_file(folder):
    with pytest.raises(tf.errors.FailedPreconditionError, match="d"):
        tf.gfile.Remove("d")
    with pytest.raises(tf.errors.FailedPreconditionError, match="d"):
        tf.gfile.GFile("d").read()
    with pytest.raises(tf.errors.FailedPreconditionError, match="a.txt is not a directory"):
        tf.gfile.MakeDirs("a.txt")


def test_urls_go_through_fsspec():
    pytest.importorskip("fsspec")
    tf.gfile.MakeDirs("memory://box/in")
    with tf.gfile.GFile("memory://box/in/a.txt", "w") as file:
        file.write("text")
    tf.gfile.Copy("memory://box/in/a.txt", "memory://box/in/b.txt")
    assert tf.gfile.ListDirectory("memory://box/in") == ["a.txt", "b.txt"]
    assert tf.gfile.Glob("memory://box/*/b*") == ["memory://box/in/b.txt"]
    assert tf.gfile.Stat("memory://box/in/b.txt").length == 4
    with tf.python_io.TFRecordWriter("memory://box/records") as writer:
        writer.write(b"one")
    assert list(tf.python_io.tf_record_iterator("memory://box/records")) == [b"one"]
    tf.gfile.DeleteRecursively("memory://box")
    assert not tf.gfile.Exists("memory://box/in/a.txt")
