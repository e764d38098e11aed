"""Every code block of the README runs, one after another, as a reader would type them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import weftwork as tf

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def expected(line: str) -> str | None:
    """What a line's comment says is printed, or None."""
    match = re.search(r"print\(.*\)\s+# ([\[{'\d].*)$", line)
    return match.group(1) if match else None


def test_the_readme_has_code_blocks():
    assert len(BLOCKS) >= 5


def test_every_code_block_runs_and_prints_what_its_comments_say(ray_session, capsys):
    names: dict = {}
    with tf.Graph().as_default():
        for number, block in enumerate(BLOCKS):
            exec(compile(block, f"README block {number}", "exec"), names)
            printed = capsys.readouterr().out.splitlines()
            promised = [text for text in map(expected, block.splitlines()) if text and "..." not in text]
            for text in promised:
                value = text.split("  ")[0].split(": the failed")[0]
                assert any(value in line for line in printed), (value, printed)


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_the_two_commands_stand_in_the_first_screen(command):
    assert command in "\n".join(README.splitlines()[:25])
