"""A page that is served: to who has its address, until it is closed."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request

import pytest

from tests.waiting import until
from weftwork.scheduler.events.stream import Stream
from weftwork.scheduler.views.serving import Serving


class Shown:
    """The content of a page, and its listeners."""

    def __init__(self):
        self.content: str | None = "<p>first</p>"
        self.stream = Stream()

    def serve(self, port: int = 0) -> Serving:
        return Serving("A <title>", lambda: self.content, port, lambda: self.stream.listen(lambda event: None))


@pytest.fixture
def shown():
    return Shown()


@pytest.fixture
def serving(shown):
    with shown.serve() as serving:
        yield serving


def get(url: str):
    return urllib.request.urlopen(url, timeout=10)


def events(serving: Serving):
    """The stream of contents, as a tab reads it."""
    return get(serving.url.replace("/?", "/events?"))


def next_message(stream) -> tuple[str, str]:
    """(event, data) of the next message; signs of life are none."""
    lines = {}
    while line := stream.readline().decode().rstrip("\n"):
        name, _, value = line.partition(": ")
        lines[name] = value
    return (lines.get("event", ""), lines["data"]) if "data" in lines else next_message(stream)


def test_the_page_is_for_who_has_the_token(serving):
    answer = get(serving.url)
    assert answer.status == 200
    text = answer.read().decode()
    assert "<p>first</p>" in text
    assert "A &lt;title&gt;" in text
    for wrong in (serving.url.partition("?")[0], serving.url[:-1], serving.url + "%C3%A9"):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            get(wrong)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(serving.url.replace("/?", "/other?"))


def test_only_this_machine_is_served(serving):
    assert serving.url.startswith("http://127.0.0.1:")


def test_a_tab_is_sent_the_content_when_it_changes_and_told_the_end(shown, serving):
    with events(serving) as stream:
        assert json.loads(next_message(stream)[1]) == "<p>first</p>"
        shown.content = "<p>second\nline</p>"
        assert json.loads(next_message(stream)[1]) == "<p>second\nline</p>"
        shown.content = None
        assert next_message(stream)[0] == "over"


def test_closing_tells_the_tabs_and_frees_the_port(shown):
    serving = shown.serve()
    port = int(serving.url.partition("/?")[0].rpartition(":")[2])
    with events(serving) as stream:
        next_message(stream)
        assert shown.stream.is_heard
        serving.close()
        assert next_message(stream)[0] == "over"
    serving.close()
    assert not shown.stream.is_heard
    assert repr(serving) == "<Serving (closed)>"
    assert serving._repr_html_() == "closed"
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_a_tab_that_goes_away_harms_nobody(shown, serving, capfd):
    before = threading.active_count()
    gone, stays = events(serving), events(serving)
    next_message(gone)
    next_message(stays)
    gone.close()

    def grown() -> bool:
        shown.content = f"{shown.content}{'x' * 100_000}"
        next_message(stays)
        return threading.active_count() <= before + 1

    until(grown)
    stays.close()
    assert capfd.readouterr().err == ""


def test_several_pages_are_served_beside_each_other(shown, serving):
    with shown.serve() as other:
        assert other.url != serving.url
        assert get(other.url).status == get(serving.url).status == 200
        token = other.url.partition("token=")[2]
        with pytest.raises(urllib.error.HTTPError, match="403"):
            get(serving.url.partition("token=")[0] + "token=" + token)


def test_a_port_that_is_taken_is_named(shown, serving):
    port = int(serving.url.partition("/?")[0].rpartition(":")[2])
    with pytest.raises(OSError, match=f"Port {port} of 127.0.0.1 cannot be served: Address already in use"):
        shown.serve(port)


@pytest.mark.parametrize("port", [-1, 65536, "8000", None])
def test_what_is_no_port_is_refused(shown, port):
    with pytest.raises(ValueError, match=f"port must be a number from 0 to 65535, but got {port!r}"):
        shown.serve(port)
