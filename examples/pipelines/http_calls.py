"""200 HTTP calls to a local server, ten at a time, and what their answers say, counted on all cores.

`main` gives the share of the calls that were answered as they should be.
"""

import asyncio
import contextlib
import threading
import time

import weftwork as tf

CALLS, AT_A_TIME, DELAY = 200, 10, 0.01


class Server:
    """A server that answers `GET /n` with n words after a moment, and knows how many it answered at a time."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.port = 0
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Server":
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
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(DELAY)
        body = " ".join(["word"] * int(request.split()[1][1:]))
        self.now -= 1
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()


@tf.op(limits={"server": 1}, retries=2, timeout=30)
async def fetch(port: int, path: str) -> str:
    """The body of a page. Any HTTP client will do; this one needs no package."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    _, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return body.decode()


@tf.op
def count(page: str) -> int:
    return len(page.split())


def main() -> float:
    with Server() as server, tf.Graph().as_default():
        counts = {k: count(fetch(server.port, f"/{k}")) for k in range(CALLS)}
        config = tf.ConfigProto(limits={"server": AT_A_TIME})
        start = time.monotonic()
        with tf.Session(config=config) as session:
            right = sum(k == found for k, found in session.stream(counts))  # as they come
        took = time.monotonic() - start
        print(f"{right} of {CALLS} answers are right, in {took:.2f} s, {server.most} at a time at most")
        return right / CALLS if server.most <= AT_A_TIME else 0.0


if __name__ == "__main__":
    main()
