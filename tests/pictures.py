"""Makes the pictures of docs/seeing.md: run it as `python -m tests.pictures` where Chromium is installed."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import weftwork as tf
from tests.browser import Browser

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"


@tf.op
def load(number):
    """Waits, as for a disk."""
    time.sleep(0.02)
    return list(range(100 * number))


@tf.op
def parse(lines):
    """Keeps a core busy."""
    return sum(x * x for line in lines for x in range(line % 60))


def main() -> None:
    """Run a program, and keep its report and its graph as pictures."""
    with tf.name_scope("files"):
        loaded = [load(number) for number in range(12)]
    with tf.name_scope("lines"):
        parsed = [parse(lines) for lines in loaded]
    total = tf.op(lambda *sums: sum(sums), name="total")(*parsed)
    PICTURES.mkdir(exist_ok=True)
    with tf.Session() as session, tempfile.TemporaryDirectory() as folder:
        for _ in range(8):
            session.run(total)
        with session.listen(lambda event: None, nodes=True):
            session.run(total)
        session.report(f"{folder}/run.html")
        total.graph.visualize(total, by="function", color="seconds", path=PICTURES / "graph.svg")
        browser = Browser(width=1000, height=1100)
        browser.open(f"file://{folder}/run.html")
        (PICTURES / "report.png").write_bytes(browser.picture())
        browser.close()


if __name__ == "__main__":
    main()
