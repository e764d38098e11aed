"""The command: what it says, and that wrong input is one line and status 2."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import weftwork as tf
from weftwork.actors.checkpoints.files import LocalFiles
from weftwork.scheduler.command import doctor
from weftwork.scheduler.command.main import main

ROOT = Path(__file__).parents[3]


def said(capsys, *args, status=0):
    """The lines on standard output."""
    assert main(args) == status
    captured = capsys.readouterr()
    assert captured.err == "" or status
    return captured.out.splitlines()


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["nothing"],
        ["replay"],
        ["replay", "/nowhere"],
        ["replay", __file__],
        ["replay", "/"],
        ["checkpoint"],
        ["checkpoint", "ls"],
        ["checkpoint", "ls", "/nowhere"],
        ["checkpoint", "ls", __file__],
        ["checkpoint", "ls", str(ROOT / "tests")],
        ["checkpoint", "show", "/nowhere"],
        ["checkpoint", "show", str(ROOT / "tests")],
        ["trace"],
        ["trace", "/nowhere.py"],
        ["trace", "--out", "/nowhere/name", __file__],
        ["doctor", "more"],
        ["doctor", "--nothing"],
    ],
    ids=lambda args: " ".join(args).replace(str(ROOT), "") or "nothing at all",
)
def test_wrong_input_is_one_line_and_status_2(args, capsys):
    try:
        status = main(args)
    except SystemExit as end:
        status = end.code
    captured = capsys.readouterr()
    assert (status, captured.out, captured.err.count("\n")) == (2, "", 1)


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("weftwork ")


def test_doctor_says_what_there_is_tries_a_worker_and_ends_with_what_to_do(capsys, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    lines = said(capsys, "doctor")
    assert [line for line in lines if not line.startswith(" ")] == [
        *["installed:", "this machine:", "Ray:", "a session:", "what to do:"]
    ]
    assert any(re.match(r"  numpy \d", line) for line in lines)
    assert any(re.match(r"  a local worker started and ran a function in [\d.]+ s", line) for line in lines)
    assert lines[-1].strip()


def test_doctor_says_what_to_do_about_a_ray_that_does_not_answer(capsys, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setattr(doctor, "_trial", lambda *_: doctor.Finding("a local worker is not tried here"))
    lines = said(capsys, "doctor", status=1)
    assert lines[lines.index("what to do:") + 1 :][-1] == (
        "  start the Ray at 127.0.0.1:1, or unset RAY_ADDRESS: sessions that need it fail"
    )


def test_doctor_says_what_to_do_where_large_values_go_to_disk(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "_trial", lambda *_: doctor.Finding("a local worker is not tried here"))
    monkeypatch.setattr(doctor, "is_writable", lambda folder: False)  # as in a container with a read-only system
    lines = said(capsys, "doctor")
    assert "  /dev/shm cannot be written to" in lines
    assert "  make /dev/shm writable: else Ray's store is on disk, and slow" in lines[lines.index("what to do:") :]


def test_doctor_knows_the_extras_of_the_package():
    section = (ROOT / "pyproject.toml").read_text().split("[project.optional-dependencies]")[1].split("\n[")[0]
    declared = set(re.findall(r"^(\w+) = \[", section, re.MULTILINE))
    assert declared - {"examples", "test", "lint", "dev", "docs", "bench"} == set(doctor.EXTRAS)


def test_checkpoints_are_listed_and_shown(capsys, tmp_path, graph):
    tf.Variable(tf.ones([3, 4]), name="weights")
    tf.Variable("text", name="words")
    step = tf.Variable(0, name="step")
    saver = tf.train.Saver()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(2):
            saver.save(session, str(tmp_path / "model"), global_step=session.run(step.assign_add(5)))
    first, second = said(capsys, "checkpoint", "ls", str(tmp_path))
    assert re.fullmatch(r"model-5  .*  3 values", first)
    assert re.fullmatch(r"model-10 .*  3 values, the newest", second)
    for path in (tmp_path, tmp_path / "model-10"):
        lines = said(capsys, "checkpoint", "show", str(path))
        assert [line.split() for line in lines[:-1]] == [
            ["step", "int32", "[]", "4", "B"],
            ["weights", "float32", "[3,", "4]", "48", "B"],
            ["words", "string", "[]"],
        ]
        assert lines[-1] == "3 values, 52 B"
    (tmp_path / "model-5.index").write_bytes(b"cut")
    assert any("cannot be read" in line for line in said(capsys, "checkpoint", "ls", str(tmp_path)))


PROGRAM = """
import sys
import weftwork as tf
from weftwork.actors.checkpoints.files import LocalFiles

def fails(n, text):
    return int(n) // len(text)

try:
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        session.run(tf.op(fails)(tf.constant(3), ""))
except tf.errors.OpError as error:
    error.save(sys.argv[1])
"""


def test_a_saved_call_is_replayed_in_another_program(tmp_path):
    path, bundle = tmp_path / "program.py", tmp_path / "call"
    path.write_text(PROGRAM)
    subprocess.run([sys.executable, path, bundle], check=True, timeout=100)
    command = [sys.executable, "-m", "weftwork", "replay", bundle]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=ROOT)
    assert ended.returncode == 1
    assert ended.stdout.startswith("fails (defined at ")
    assert ended.stderr.splitlines()[-1].startswith("ZeroDivisionError")
    assert ended.stderr.splitlines()[1] == f'  File "{path}", line 7, in fails'
    debugged = subprocess.run(
        [*command, "--debug"], input="p n, text\nq\n", capture_output=True, text=True, timeout=100, cwd=ROOT
    )
    assert "(np.int32(3), '')" in debugged.stdout


TRACED = """
import sys
import weftwork as tf
from weftwork.actors.checkpoints.files import LocalFiles

def double(n):
    return 2 * n

if __name__ == "__main__":
    with tf.Session(config=tf.ConfigProto(placement="dynamic")) as session:
        print(sys.argv[1:], session.run(tf.op(double)(tf.op(double)(5))))
    raise SystemExit(int(sys.argv[1]))
"""


def test_a_trace_that_cannot_be_written_is_one_line_and_leaves_what_was_there(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.py").write_text("import weftwork as tf\nprint(tf.Session().run(tf.op(lambda: 3)()))")
    (tmp_path / "old.timeline.json").write_text("old")

    def write(self, writer, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(LocalFiles, "write", write)
        assert main(["trace", "--out", "old", "program.py"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "3\n"
    assert captured.err == "weftwork: old.timeline.json; No space left on device\n"
    assert (tmp_path / "old.timeline.json").read_text() == "old"
    (tmp_path / "other.timeline.json").mkdir()
    assert main(["trace", "--out", "other", "program.py"]) == 2
    assert capsys.readouterr().err == "weftwork: other.timeline.json: Is a directory\n"


def test_a_program_is_traced_and_ends_as_it_ends(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.py").write_text(TRACED)
    lines = said(capsys, "trace", "program.py", "3", "--more", status=3)
    assert lines[0] == "['3', '--more'] 20"
    assert lines[1] == "1 run."
    assert lines[2].startswith("Timeline: program.timeline.json")
    assert lines[3].startswith("Report of all runs: program.report.html")
    assert "double" in (tmp_path / "program.report.html").read_text()
    events = json.loads((tmp_path / "program.timeline.json").read_text())["traceEvents"]
    assert {"double", "double_1"} <= {event["name"] for event in events}
    (tmp_path / "program.py").write_text("def f():\n    raise KeyError(3)\nf()")
    assert main(["trace", "--out", "other", "program.py"]) == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines()[:2] == [
        "Traceback (most recent call last):",
        '  File "program.py", line 3, in <module>',
    ]
    assert (tmp_path / "other.timeline.json").exists()
