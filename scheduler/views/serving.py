"""Serving: a page that shows what a session does while it does it, for browsers on this machine.

token    part of the address: who does not have it gets nothing, also from this machine
tab      a browser that has the page open: it is sent the page's content whenever that changes, as server-sent events
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

from weftwork.graph.forks import fresh
from weftwork.scheduler.events.stream import Listening
from weftwork.scheduler.views.page import page

_LOOPBACK = "127.0.0.1"
_EVERY = 0.5
"""Seconds between two looks at whether the content has changed."""
_SHARE = 0.05
"""Of a core, that a tab may take."""
_SIGN = 10
"""Looks without a change after which a tab is sent a sign of life: so we learn that it is gone."""
_POLL = 0.1


class Serving:
    """A page that is served: until `close`, the end of the session, or the end of the `with` block.

    url: its address, with the token in it.
    """

    def __init__(self, title: str, view: Callable[[], str | None], port: int, listen: Callable[[], Listening]):
        """view: the content as HTML; None once there is nothing more to show.   port: 0 takes a free one.

        listen: begins to listen to what the page shows.
        Raises OSError if the port cannot be had.
        """
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
        """True once nothing is served any more."""
        return self._server.over.is_set()

    def close(self) -> None:
        """Serve no more, and tell the tabs so. Safe to call twice."""
        with self._closing:
            if self.closed:
                return
            self._server.over.set()
            self._listening.close()
            if self._thread.is_alive():  # not in a process that was forked off
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
        """A tab that went away is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """The page, or the stream of its contents."""
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
            self._tell()
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

    def _tell(self) -> None:
        """Send the content whenever it has changed, until all is over or the tab is gone."""
        last, looks, pause = None, 0, 0.0
        while not self.server.over.wait(pause):
            start = monotonic()
            content = self.server.view()
            pause = max(_EVERY, (monotonic() - start) / _SHARE)
            if content is None:
                break
            looks += 1
            if content != last:
                self._send(f"data: {json.dumps(content)}\n\n")
                last = content
            elif looks % _SIGN == 0:
                self._send(":\n\n")
        self._send("event: over\ndata: {}\n\n")

    def _send(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        """Say nothing: the program's output is the user's."""
