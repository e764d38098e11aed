"""The stream of a session's events: who listens is called, in order; what is kept is bounded. No Ray, no session."""

from __future__ import annotations

import logging

import pytest

from weftwork.scheduler.events.event import KINDS, Event
from weftwork.scheduler.events.stream import Stream, listen


def test_a_listener_is_called_with_each_event_until_it_is_closed():
    stream, heard = Stream(), []
    with stream.listen(heard.append):
        stream.tell(Event("began", 1, 10.0))
    stream.tell(Event("ended", 1, 10.0, 0.5))
    assert [event.kind for event in heard] == ["began"]


def test_nodes_are_told_only_to_who_asked_for_them_and_are_kept_apart():
    stream, few, all_ = Stream(), [], []
    with stream.listen(few.append), stream.listen(all_.append, nodes=True):
        assert stream.wants_nodes
        stream.tell(Event("segment", 1, 0.0))
        stream.tell(Event("node", 1, 0.0))
    assert [event.kind for event in few] == ["segment"]
    assert [event.kind for event in all_] == ["segment", "node"]
    assert [event.kind for event in stream.recent()] == ["segment"]
    assert [event.kind for event in stream.recent(nodes=True)] == ["segment", "node"]


def test_a_listener_that_raises_hears_no_further_node():
    stream, heard = Stream(), []

    def raises(event):
        heard.append(event)
        raise ValueError("no")

    with stream.listen(raises, nodes=True):
        stream.tell_nodes([Event("node", 1, 0.0), Event("node", 1, 1.0)])
    assert len(heard) == 1
    assert not stream.wants_nodes


def test_a_listener_to_all_sessions_hears_every_stream():
    one, other, heard = Stream(), Stream(), []
    with listen(heard.append):
        assert one.is_heard
        assert other.is_heard
        one.tell(Event("began", 1, 0.0))
        other.tell(Event("began", 2, 0.0))
    assert [event.run for event in heard] == [1, 2]
    assert not one.is_heard


def test_only_the_last_events_are_kept():
    stream = Stream(kept=3)
    for run in range(10):
        stream.tell(Event("ended", run, 0.0))
    assert [event.run for event in stream.recent()] == [7, 8, 9]
    assert [event.run for event in stream.recent(run=8)] == [8]


def test_a_listener_that_raises_is_logged_once_and_the_others_go_on(caplog: pytest.LogCaptureFixture):
    stream, heard = Stream(), []

    def fails(event: Event) -> None:
        raise RuntimeError("no")

    with caplog.at_level(logging.ERROR, "weftwork"), stream.listen(fails), stream.listen(heard.append):
        stream.tell(Event("began", 1, 0.0))
        stream.tell(Event("ended", 1, 0.0))
    assert len(heard) == 2
    assert len([record for record in caplog.records if "failed and was removed" in record.message]) == 1


def test_each_kind_of_event_is_explained():
    assert all(KINDS.values())
    assert Event("ended", 1, 2.0, 0.5).end == 2.5
