"""The HTTP server that the example of HTTP calls talks to."""

import asyncio
import contextlib
import threading


class LocalServer:
    """Answers `GET /n` with n words after `delay` seconds, from a thread, while its `with` block is open.

    `port` is its port, `most` the largest number of requests that it served at the same time.
    """

    def __init__(self, delay: float) -> None:
        self.port = self.most = self._active = 0
        self._delay = delay
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "LocalServer":
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._answer, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(server.wait_closed())
        self._loop.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        self._active += 1
        self.most = max(self.most, self._active)
        await asyncio.sleep(self._delay)
        self._active -= 1
        body = " ".join(["word"] * int(request.split()[1][1:]))
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()
