"""Progress of runs: what is shown, and that the seconds left are right."""

from __future__ import annotations

import asyncio
import re
import sys
import time

import pytest

import weftwork as tf
from tests.waiting import until
from weftwork.scheduler.events.event import Event
from weftwork.scheduler.views import cpu_clock, progress


@tf.op
def nap(seconds):
    """Takes so many seconds."""
    time.sleep(seconds)
    return seconds


@tf.op
def spare(seconds):
    """Like `nap`."""
    time.sleep(seconds)
    return seconds


@pytest.fixture
def looks(monkeypatch):
    """Every look at a run, as it is made."""
    made = []
    look = progress.Meter.look

    def noting(meter, runs=()):
        made.append(look(meter, runs))
        return made[-1]

    monkeypatch.setattr(progress.Meter, "look", noting)
    monkeypatch.setattr(progress, "_EVERY", 0.05)
    return made


@pytest.fixture
def line(monkeypatch, capsys):
    """tqdm is not installed: what stands on standard error."""
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    return lambda: capsys.readouterr().err


def errors(session, nodes, looks) -> list[float]:
    """How far the seconds left were off from a quarter of a run on, as parts of what it took; 1 if not known."""
    looks.clear()
    begin = time.monotonic()
    session.run(nodes, progress=True)
    took = time.monotonic() - begin
    late = [look for look in looks[:-1] if look.seconds > took / 4]
    return [1.0 if look.left is None else abs(look.seconds + look.left - took) / took for look in late]


def test_tasks_that_wait_in_ray_for_a_cpu_are_not_taken_to_work(graph, looks, line, ray_session, monkeypatch, tmp_path):
    """There are 4 CPUs: of eight tasks four have begun, and the others wait until one of them has ended."""
    seen, begun, end = [], progress._Tasks.begun, tmp_path / "end"

    def noted(tasks, attempts):
        found = list(begun(tasks, attempts))
        seen.append((len(attempts), len(found)))
        return found

    @tf.op(isolated=True)
    def task(_):
        while not end.exists():
            time.sleep(0.01)

    monkeypatch.setattr(progress._Tasks, "begun", noted)
    with tf.Session() as session:
        future = session.submit([task(n) for n in range(8)], progress=True)
        until(lambda: any(sent == 8 and begun >= 3 for sent, begun in seen))  # one CPU may be at work for another test
        end.touch()
        future.result(60)
    assert max([found for _, found in seen]) <= 4


def test_what_others_have_computed_is_known_by_the_cpu_time_that_the_run_has_used(
    graph, looks, line, monkeypatch, ray_session
):
    """The clock of a run is slower than usual, as on a busy machine: half of its usual CPU time is half of the run."""

    @tf.op(isolated=True)
    def task(_):
        time.sleep(0.6)

    monkeypatch.setattr(cpu_clock.CpuClock, "usual", lambda clock, fetched: 8.0)
    monkeypatch.setattr(cpu_clock.CpuClock, "used", lambda clock: 2.0)
    with tf.Session() as session:
        node = task(1)
        session.run(node)
        session.run(node, progress=True)
    late = [look for look in looks if look.left is not None and look.seconds > 0.3 and look.done < look.total]
    assert late
    assert all(2 * look.seconds < look.left < 4 * look.seconds for look in late), [(x.seconds, x.left) for x in late]


def burn(seconds):
    """Uses so much CPU time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return seconds


@pytest.mark.parametrize("placement", ["caller", "dynamic"])
def test_the_cpu_time_of_a_run_is_that_of_its_processes(placement, graph, line):
    node = tf.op(burn)(0.3)
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        for _ in range(3):
            session.run(node, progress=True)
        stream = session._engine.events
        usual = cpu_clock.CpuClock(stream).usual((node.op,))
    assert usual is None or 0.25 < usual < 0.9  # a busy machine may make it wait more than it works


def test_a_run_that_waits_more_than_it_works_tells_nothing_by_its_cpu_time(graph, line):
    node = nap(0.3)
    with tf.Session() as session:
        for _ in range(2):
            session.run(node, progress=True)
        assert cpu_clock.CpuClock(session._engine.events).usual((node.op,)) is None


def test_of_earlier_runs_those_of_the_same_fetches_count_that_ended_well_without_their_starts(graph):
    one, other = (tf.op(lambda: 0)().op, tf.op(lambda: 0)().op)
    took = [
        (one, 9.0, 7.0, ""),
        (other, 50.0, 0.0, ""),
        (one, 3.0, 0.0, ""),
        (one, 70.0, 0.0, "failed"),
        (one, 2.5, 0, ""),
    ]
    events = []
    for run, (op, seconds, apart, error) in enumerate(took):
        events += [Event("began", run, 0.0, ops=(op,)), Event("started", run, 0.0, apart)]
        events += [Event("ended", run, 0.0, seconds, text=error)]
    assert progress._usual_seconds(events, (one,)) == 2.5
    assert progress._usual_seconds(events, (other,)) == 0.0, "one run alone tells too little"


def test_a_branch_is_taken_to_go_as_it_went_before(graph, looks, line):
    yes = tf.placeholder_with_default(True, [])
    nodes = [tf.cond(yes, lambda k=k: nap(0.2 + k), lambda: nap(0.0)) for k in (0.0, 0.1)]
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        session.run(nodes)
        worst = [max(errors(session, nodes, looks), default=0.0)]
        while worst[-1] >= 0.2 and len(worst) < 3:  # the machine may have stood still
            worst.append(max(errors(session, nodes, looks), default=0.0))
    assert worst[-1] < 0.2


def test_a_first_run_counts_nodes_until_the_first_of_them_has_told_what_it_costs(graph, looks, line):
    def fresh(n):
        time.sleep(0.15)
        return n

    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        session.run([tf.op(fresh)(n) for n in range(4)], progress=True)
    assert looks[0].left is None
    assert (looks[0].done, looks[0].total) == (0, 4)
    assert [look.done for look in looks[:-1]] == sorted([look.done for look in looks[:-1]])
    assert 0 < looks[-2].done < 4


def test_nodes_are_counted_by_function_the_one_with_most_left_first(graph, looks, line):
    nodes = [spare(0.02), *[nap(0.04) for _ in range(6)]]
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:

        def run():
            looks.clear()
            session.run(nodes, progress=True)
            return len(looks) > 2  # else the machine has stood still

        run()
        until(run)
    first = looks[0].functions
    assert [(name, total) for name, _, total in first] in ([("nap", 6), ("spare", 1)], [("nap", 6)])
    assert re.match(r"[\d.]+ s left; nap \d/6", str(looks[1]))


def test_without_tqdm_it_is_a_line_on_standard_error(graph, line):
    with tf.Session() as session:
        session.run([nap(0.001) for _ in range(3)], progress=True)
        assert re.fullmatch(r"nap:0, nap_1:0, nap_2:0: done after [\d.]+ s\n", line())
        session.run(nap(0.001))
        assert line() == ""


def test_a_terminal_shows_one_line_that_changes(graph, looks, line, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        session.run([nap(0.05) for _ in range(5)], progress=True)
    shown = line()
    assert shown.count("\n") == 1
    assert re.search(r"\r\x1b\[Knap:0, nap_1:0, nap_2:0 and 2 more: \d/5 nodes", shown)


def test_tqdm_draws_a_bar_where_it_is_installed(graph, capsys):
    with tf.Session() as session:
        session.run([nap(0.001) for _ in range(3)], progress=True)
    assert "3/3" in capsys.readouterr().err


def test_a_run_that_fails_says_so(graph, line):
    with tf.Session() as session, pytest.raises(tf.errors.OpError):
        session.run(tf.op(here=True)(lambda: 1 // 0)(), progress=True)
    assert re.search(r": failed: .*ZeroDivisionError.*\n$", line())


def test_all_runs_inside_the_context_show_theirs_also_in_the_background(graph, line):
    nodes = [nap(0.001), nap(0.002)]
    with tf.Session() as session:
        with tf.progress():
            session.run(nodes[0])
            session.make_callable(nodes[1])()
        assert line().count(": done after") == 2
        session.submit(nodes[0], progress=True).result(30)
        asyncio.run(session.run_async(nodes[1], progress=True))
        assert line().count(": done after") == 2


def test_what_hands_a_streamed_value_on_does_not_count(graph, looks, line):
    with tf.Session() as session, tf.progress():
        assert len(list(session.stream([nap(0.001 * k) for k in range(5)]))) == 5
    assert (looks[-1].done, looks[-1].total) == (5, 5)


def test_what_cannot_be_shown_does_not_end_the_run(graph, line, looks, monkeypatch, caplog):
    monkeypatch.setattr(progress._Line, "show", lambda *_: 1 // 0)
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        assert session.run(nap(0.2), progress=True) == 0.2
    assert [r.getMessage() for r in caplog.records] == ["The progress of a run cannot be shown"]


def test_anything_but_a_truth_value_is_refused(graph):
    with tf.Session() as session, pytest.raises(TypeError, match="progress must be True or False, not 'x'"):
        session.run(tf.constant(1), progress="x")
