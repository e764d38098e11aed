"""200 HTTP requests, at most ten at a time, whose answers are processed on all cores.

Coroutines wait for the server, a limit protects it, and `stream` yields each result as soon as it is there. Prints how
many answers are right and how many requests the server saw at the same time.
"""

import asyncio
import time

import weftwork as tf
from examples.local_server import LocalServer

REQUESTS, AT_A_TIME = 200, 10


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
    """The number of words on a page."""
    return len(page.split())


def main() -> float:
    """Make the requests, and return the share of right answers."""
    with LocalServer(delay=0.01) as server, tf.Graph().as_default():
        counts = {n: count(fetch(server.port, f"/{n}")) for n in range(REQUESTS)}  # page n has n words
        config = tf.ConfigProto(limits={"server": AT_A_TIME})
        start = time.monotonic()
        with tf.Session(config=config) as session:
            right = sum(n == found for n, found in session.stream(counts))
        seconds = time.monotonic() - start
    print(f"{right} of {REQUESTS} answers are right, in {seconds:.2f} s, at most {server.most} at a time")
    return right / REQUESTS if server.most <= AT_A_TIME else 0.0


if __name__ == "__main__":
    main()
