"""Sockets lie where their paths fit, whatever TMPDIR says."""

from __future__ import annotations

import tempfile

import pytest

from weftwork.scheduler.machines.folders import socket_folder


@pytest.fixture
def temporary(monkeypatch):
    """Makes a folder the one for temporary files."""
    monkeypatch.delenv("RAY_TMPDIR", raising=False)

    def use(folder):
        monkeypatch.setattr(tempfile, "tempdir", None)
        monkeypatch.setenv("TMPDIR", str(folder))

    yield use
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_the_folder_for_temporary_files_is_used_where_it_suits(temporary):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        temporary(folder)
        assert socket_folder() == folder


@pytest.mark.parametrize("name", ["x" * 60, "\u00fc", "missing/x"])
def test_another_one_is_used_where_the_path_is_long_or_not_ascii_or_nothing(temporary, tmp_path, name):
    if "/" not in name:
        (tmp_path / name).mkdir()
    temporary(tmp_path / name)
    assert socket_folder() == "/tmp"


def test_the_error_says_what_to_set_where_no_folder_can_be_written_to(temporary, monkeypatch):
    monkeypatch.setattr("weftwork.scheduler.machines.folders.is_writable", lambda folder: False)
    with pytest.raises(OSError, match="Set TMPDIR to"):
        socket_folder()


def test_a_folder_that_is_named_relative_to_the_current_one_has_an_absolute_path(temporary, monkeypatch):
    """Ray takes no other."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.chdir(folder)
        temporary(".")
        assert socket_folder() == folder
