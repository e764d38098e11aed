"""Serving: a live page about a session, for browsers on this machine.

token    part of the address; requests without it are refused, even from this machine
tab      a browser that has the page open; it is sent new content, as server-sent events, whenever that changes
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlsplit

from weftwork.graph.python.forks import fresh
from weftwork.scheduler.events.stream import Listening
from weftwork.scheduler.views.page import page

_LOOPBACK = "127.0.0.1"
_CHECK_SECONDS = 0.5
"""Seconds between two checks whether the content has changed."""
_MAX_SHARE = 0.05
"""Maximum share of a core that a tab may use."""
_HEARTBEAT_CHECKS = 10
"""Number of checks without a change after which a tab is sent a heartbeat, which reveals whether it is gone."""
_POLL = 0.1


class Serving:
    """A served page, until `close`, the end of the session, or the end of the `with` block.

    url: its address, including the token.
    """

    def __init__(self, title: str, view: Callable[[], str | None], port: int, listen: Callable[[], Listening]):
        """view: returns the content as HTML; None once there is nothing more to show.   port: 0 picks a free one.

        listen: starts listening to the events that the page shows.
        Raises ValueError if `port` is no port, and OSError if it is not available.
        """
        if not isinstance(port, int) or not 0 <= port < 1 << 16:
            raise ValueError(f"port must be a number from 0 to 65535, but got {port!r}.")
        try:
            self._server = _Server(title, view, port)
        except OSError as error:
            raise OSError(error.errno, f"Port {port} of {_LOOPBACK} cannot be served: {error.strerror}") from error
        self.url = f"http://{_LOOPBACK}:{self._server.server_address[1]}/?token={self._server.token}"
        self._closing, self._listening = fresh(threading.Lock()), listen()
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL,), name="weftwork-serve", daemon=True
        )
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether serving has ended."""
        return self._server.over.is_set()

    def close(self) -> None:
        """Stop serving, and tell the tabs. A second call does nothing."""
        with self._closing:
            if self.closed:
                return
            self._server.over.set()
            self._listening.close()
            if self._thread.is_alive():  # it is not in a forked child
                self._server.shutdown()
            self._server.server_close()

    def __enter__(self) -> Serving:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Serving {'(closed)' if self.closed else self.url}>"

    def _repr_html_(self) -> str:
        return "closed" if self.closed else f'<a href="{self.url}" target="_blank" rel="noreferrer">{self.url}</a>'


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, title: str, view: Callable[[], str | None], port: int):
        super().__init__((_LOOPBACK, port), _Handler)
        self.title, self.view = title, view
        self.token = secrets.token_urlsafe(24)
        self.over = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors of tabs that were closed."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """Send the page, or the stream of its contents."""
        address = urlsplit(self.path)
        token = parse_qs(address.query).get("token", [""])[0]
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self.send_error(HTTPStatus.FORBIDDEN, "The token is missing or wrong: use the address that serve() gave")
        elif address.path == "/":
            body = page(self.server.title, self.server.view() or "", f"events?token={token}").encode()
            self._begin("text/html; charset=utf-8", len(body))
            self.wfile.write(body)
        elif address.path == "/events":
            self._begin("text/event-stream")
            self._send_changes()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _begin(self, kind: str, length: int | None = None) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _send_changes(self) -> None:
        """Send the content whenever it has changed, until serving ends or the tab is gone."""
        last, looks, pause = None, 0, 0.0
        while not self.server.over.wait(pause):
            start = monotonic()
            content = self.server.view()
            pause = max(_CHECK_SECONDS, (monotonic() - start) / _MAX_SHARE)
            if content is None:
                break
            looks += 1
            if content != last:
                self._send(f"data: {json.dumps(content)}\n\n")
                last = content
            elif looks % _HEARTBEAT_CHECKS == 0:
                self._send(":\n\n")
        self._send("event: over\ndata: {}\n\n")

    def _send(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        """Print nothing: the program's output is the user's."""
