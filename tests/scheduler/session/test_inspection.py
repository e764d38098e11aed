"""How a session shows what it does: reports, a live page, the line of `explain`, and itself in a notebook."""

from __future__ import annotations

import errno
import gc
import json
import os
import re
import stat
import threading
import time
import urllib.error

import pytest

import weftwork as tf
from tests.scheduler.views.test_page import Page
from tests.scheduler.views.test_serving import get
from tests.waiting import until
from weftwork.actors.checkpoints.files import LocalFiles
from weftwork.scheduler.views.account import accounts

CALLER = tf.ConfigProto(placement="caller")


def load(number):
    time.sleep(0.005)
    return number


@pytest.fixture
def total(graph):
    """The sum of what four calls of a function return."""
    return tf.op(lambda *numbers: sum(numbers), name="total")(*[tf.op(load)(n) for n in range(4)])


@pytest.fixture
def session(total):
    """A session that has run `total`."""
    with tf.Session(config=CALLER) as session:
        session.run(total)
        yield session


def test_a_report_tells_of_the_last_runs(session, total, tmp_path):
    path = tmp_path / "run.html"
    session.report(path)
    page = Page(path.read_text())
    assert page.open == []
    said = " ".join(page.said)
    assert "total:0" in said
    assert "test_inspection.py:" in said
    assert "100.0 %" in said
    session.run(total)
    session.report(path, runs=2)
    assert path.read_text().count("Where the time went") == 2
    session.report(path, runs=100)
    assert [file.name for file in tmp_path.iterdir()] == ["run.html"]


def test_the_shares_of_a_run_are_its_wall_time(total):
    told, walls = [], []
    with tf.Session(config=CALLER) as session, session.listen(told.append, nodes=True):
        for _ in range(4):
            start = time.perf_counter()
            session.run(total)
            walls.append(time.perf_counter() - start)
    account, *others = accounts(told)
    for run, wall in zip([account, *others], walls, strict=True):
        assert sum(run.shares.values()) == pytest.approx(run.seconds)
        assert run.seconds <= wall
    covered = [run.seconds / wall for run, wall in zip([account, *others], walls, strict=True)]
    assert max(covered) > 0.98, "what is missing is what `session.run` does before and after the run: microseconds"
    assert account.shares["work"] >= 0.005, "one of the calls is on the critical path"
    assert account.shares["waiting for a core"] >= 0.015, "the others ran before it in the only lane"
    assert account.totals[0].label == "`load`"
    assert account.totals[0].calls == 4


def test_a_report_that_cannot_be_written_leaves_what_was_there(session, tmp_path, monkeypatch):
    path = tmp_path / "run.html"
    with pytest.raises(tf.errors.NotFoundError, match="nowhere"):
        session.report(tmp_path / "nowhere" / "run.html")
    session.report(path)
    before = path.read_text()

    def write(self, writer, data):
        writer.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LocalFiles, "write", write)
    with pytest.raises(tf.errors.ResourceExhaustedError, match="run.html; No space left on device"):
        session.report(path)
    assert path.read_text() == before
    assert [file.name for file in tmp_path.iterdir()] == ["run.html"]


def test_a_report_or_a_timeline_of_nothing_says_what_to_do(graph, tmp_path):
    with tf.Session() as session:
        with pytest.raises(tf.errors.FailedPreconditionError, match="No run of this session is remembered"):
            session.report(tmp_path / "run.html")
        with pytest.raises(tf.errors.FailedPreconditionError, match="No run of this session is remembered"):
            session.timeline(tmp_path / "run.json")
        with pytest.raises(tf.errors.FailedPreconditionError, match="Run 10000000 is not remembered"):
            session.timeline(tmp_path / "run.json", run=10_000_000)
        assert list(tmp_path.iterdir()) == []
        for runs in (0, -1, 1.5, "2"):
            with pytest.raises(ValueError, match="runs must be at least 1"):
                session.report(tmp_path / "run.html", runs)


def test_a_closed_session_still_reports(total, tmp_path):
    with tf.Session(config=CALLER) as session:
        session.run(total)
    session.report(tmp_path / "run.html")


def test_explain_tells_of_the_last_run_of_the_same_fetches(session, total):
    last = str(session.explain(total)).splitlines()[-1]
    assert last.startswith("last run: of ")
    assert "in `load`, `total` (test_inspection.py:" in last, "what ran as one segment is reported together"
    first = total.op.inputs[0]
    assert "last run" not in str(session.explain(first))
    session.run(first)
    assert "last run" in str(session.explain(first))
    assert "last run: of " in session.explain(total)._repr_html_()


def test_a_graph_is_coloured_by_what_its_sessions_measured(session, total):
    assert re.search(r">load \d+(\.\d+)? ms<", total.graph.visualize(color="seconds"))
    assert "caller" in total.graph.visualize(color="place")
    with tf.Graph().as_default() as other:
        tf.constant(1.0)
        with pytest.raises(ValueError, match="No run of this graph has been measured"):
            other.visualize(color="place")


def test_a_page_shows_runs_while_they_go_on_and_ends_with_the_session(graph):
    begun, goes_on = threading.Event(), threading.Event()

    def wait():
        begun.set()
        goes_on.wait(60)

    waits = tf.op(wait, here=True)()
    session = tf.Session(config=CALLER)
    page = session.serve()
    assert "No run has begun" in get(page.url).read().decode()
    future = session.submit(waits)
    assert begun.wait(60)
    shown = get(page.url).read().decode()
    assert "<h2>In flight</h2>" in shown
    assert "<h2>Nodes under way</h2>" in shown
    assert "this program" in shown
    goes_on.set()
    future.result(60)
    shown = get(page.url).read().decode()
    assert "In flight" not in shown
    assert "Last runs" in shown
    session.close()
    assert page.closed
    with pytest.raises(urllib.error.URLError, match="refused"):
        get(page.url)
    with pytest.raises(RuntimeError, match="closed"):
        session.serve()


def test_short_runs_are_told_while_a_page_is_open(graph, tmp_path):
    y = tf.add(tf.placeholder_with_default(1.0, []), 1.0)
    with tf.Session(config=CALLER) as session:
        with session.serve():
            session.run(y)
        session.report(tmp_path / "run.html")


def test_two_sessions_serve_pages_of_their_own(session, graph):
    with tf.Session(config=CALLER) as other, session.serve() as one, other.serve() as two:
        assert "Last runs" in get(one.url).read().decode()
        assert "No run has begun" in get(two.url).read().decode()


def test_a_page_does_not_keep_its_session_alive(total):
    session = tf.Session(config=CALLER)
    page = session.serve()
    del session
    gc.collect()
    until(lambda: page.closed)


def test_sessions_futures_and_waits_show_themselves_in_a_notebook(session, total):
    assert "<td>caller</td>" in session._repr_html_()
    future = session.submit(total)
    future.result(60)
    assert future._repr_html_() == "<code>RunFuture</code>: done"
    failed = session.submit(tf.op(lambda: 1 / 0)())
    failed.exception(60)
    assert "failed: " in failed._repr_html_()
    assert "ZeroDivisionError" in failed._repr_html_()
    cancelled = session.submit(tf.op(time.sleep)(60.0))
    assert "running" in cancelled._repr_html_()
    until(session.waiting)
    assert "sleep" in session.waiting()[0]._repr_html_()
    assert session.waiting()._repr_html_().count("sleep") == len(session.waiting()) == 1
    cancelled.cancel()
    assert "cancelled" in cancelled._repr_html_()
    until(lambda: not session.waiting())
    assert session.waiting()._repr_html_() == "<p>Nothing is being waited for.</p>"
    session.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_what_is_no_regular_file_is_written_to_and_not_replaced(session, tmp_path):
    for write in (session.report, session.timeline):
        with pytest.raises(tf.errors.ResourceExhaustedError, match="/dev/full"):
            write("/dev/full")
        assert stat.S_ISCHR(os.stat("/dev/full").st_mode)
    pipe, lines = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: lines.append(pipe.read_text(encoding="utf-8")))
    reader.start()
    session.timeline(pipe)
    reader.join()
    assert json.loads(lines[0])


def test_a_path_that_cannot_be_written_is_named_as_it_was_given(session, tmp_path):
    for write in (session.report, session.timeline):
        with pytest.raises(tf.errors.NotFoundError, match=r"no_folder/run\.html; No such file"):
            write(tmp_path / "no_folder" / "run.html")
        with pytest.raises(tf.errors.FailedPreconditionError, match=tmp_path.name):
            write(tmp_path)


def test_a_picture_shows_what_each_node_took_if_that_was_measured(graph):
    slow = tf.op(lambda: time.sleep(0.02), name="slow")()
    quick = tf.op(lambda x: x, name="quick")(slow)
    with tf.Session(config=CALLER) as session:
        session.run(quick)
        together = graph.visualize(quick, color="seconds")
        with session.listen(lambda event: None, nodes=True):
            session.run(quick)
        apart = graph.visualize(quick, color="seconds")
    assert re.search(r"quick</text><text[^>]*>[\d.]+ ms<", together), "nodes of a segment share its seconds"
    assert re.search(r"quick</text><text[^>]*>[\d.]+ us<", apart)


def test_a_run_whose_results_were_taken_as_they_came_is_reported_too(graph, tmp_path):
    parts = [tf.op(lambda k=k: time.sleep(0.002) or k, name=f"part_{k}")() for k in range(4)]
    with tf.Session() as session, session.listen(lambda event: None, nodes=True):
        assert sorted(value for _, value in session.stream(parts)) == [0, 1, 2, 3]
        tf.op(lambda: 0, name="later")()
        session.report(tmp_path / "run.html")
        session.timeline(tmp_path / "run.json")
    page = (tmp_path / "run.html").read_text()
    assert "part_3" in page
    assert "later" not in page
