"""Makes the pictures of the README and of docs/seeing.md: `python -m tests.pictures`, where Chromium is installed."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

import weftwork as tf
from tests.browser import Browser
from tests.perfetto import Perfetto
from tests.waiting import until

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures"


@tf.op
def load(number):
    """Waits, as for a disk."""
    time.sleep(0.02)
    return list(range(100 * number))


@tf.op
def parse(lines):
    """Keeps a core busy."""
    return sum(x * x for line in lines for x in range(line % 60))


def draw(tensor: tf.Tensor, name: str, **how: str) -> None:
    """Keep the picture of a graph. It says where in the repository nodes were made, not where that lies here."""
    picture = tensor.graph.visualize(tensor, **how)
    (PICTURES / name).write_text(picture.replace(f"{ROOT}/", ""))


def first_program() -> None:
    """Keep the graph of the README's first program as a picture."""
    names: dict = {}
    block = re.search(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert block is not None
    with tf.Graph().as_default():
        exec(compile(block[1], "README.md", "exec"), names)
        draw(names["week"], "first_program.svg", by="node")


def settled(browser: Browser) -> bytes:
    """A picture of a page that no longer changes, and whose queries are answered."""
    last, still = b"", 0
    while still < 3:
        time.sleep(1)
        picture, busy = browser.picture(), browser.value("app.trace.engine.engine.numRequestsPending > 0")
        still = still + 1 if picture == last and not busy else 0
        last = picture
    return last


def timeline(trace: str) -> None:
    """Keep a timeline in Perfetto as a picture."""
    perfetto = Perfetto(height=540)
    perfetto.read(trace)
    tracks = "(app.trace.currentWorkspace ?? app.trace.workspace)?.flatTracks"
    until(lambda: perfetto.browser.value(f"{tracks}?.length > 0"))
    perfetto.browser.value(f"void {tracks}.forEach((track) => track.expand?.())")
    (PICTURES / "timeline.png").write_bytes(settled(perfetto.browser))
    perfetto.close()


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
        session.timeline(f"{folder}/run.json", run=session.events()[-1].run)
        timeline(Path(f"{folder}/run.json").read_text())
        session.report(f"{folder}/run.html")
        draw(total, "graph.svg", by="function", color="seconds")
        browser = Browser(width=1000, height=1100)
        browser.open(f"file://{folder}/run.html")
        browser.look_as(1000, browser.value("document.documentElement.scrollHeight"), dark=False)
        (PICTURES / "report.png").write_bytes(browser.picture())
        browser.close()


if __name__ == "__main__":
    first_program()
    main()
