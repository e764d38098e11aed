"""Things that a program's main function relies on: flags, logging, TensorFlow 2's switches."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

import weftwork as tf

ROOT = Path(__file__).parent.parent
PROGRAM = """
import weftwork as tf
tf.disable_v2_behavior()
flags = tf.app.flags
flags.DEFINE_integer("steps", 3, "how many")
flags.DEFINE_string("name", "x", "of what")
FLAGS = flags.FLAGS
if {early}:
    print("early", FLAGS.steps)
def main(_):
    tf.logging.set_verbosity(tf.logging.INFO)
    tf.logging.info("%d steps of %s", FLAGS.steps, tf.flags.FLAGS.name)
    count = tf.Variable(0)
    with tf.Session() as session:
        session.run(count.initializer)
        for _ in range(FLAGS.steps):
            session.run(count.assign_add(1))
        print(session.run(count))
if __name__ == "__main__":
    tf.app.run()
"""


@pytest.mark.parametrize(("early", "printed"), [(False, ["4"]), (True, ["early 4", "4"])])
def test_a_program_reads_its_command_line(tmp_path, early, printed):
    (tmp_path / "program.py").write_text(PROGRAM.format(early=early))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), "--steps=4", "--name", "y"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == printed, done.stderr
    assert "4 steps of y" in done.stderr


def test_logging_has_tensorflow_s_names(caplog):
    before = tf.logging.get_verbosity()
    tf.logging.set_verbosity(tf.logging.WARN)
    try:
        assert tf.logging.get_verbosity() == logging.WARNING
        tf.logging.info("not shown")
        tf.logging.warn("shown %d", 1)
        for number in range(5):
            tf.logging.log_first_n(tf.logging.ERROR, "first %d", 2, number)
            tf.logging.log_every_n(tf.logging.ERROR, "every %d", 3, number)
            tf.logging.log_if(tf.logging.ERROR, "if %d", number == 4, number)
    finally:
        tf.logging.set_verbosity(before)
    assert caplog.messages == ["shown 1", "first 0", "every 0", "first 1", "every 3", "if 4"]


def test_the_tests_hear_ctrl_c_where_the_shell_has_them_ignore_it():
    """As with `make test &` in a script; otherwise children would wait for an interrupt that never comes."""
    code = "import signal, tests.conftest; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    command = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "True\n", done.stderr
