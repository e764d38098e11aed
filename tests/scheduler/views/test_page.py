"""The page of a report: one file, whole, that asks for nothing but itself."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

import weftwork as tf
from tests.scheduler.views.made_events import moment, ran, whole, worker
from weftwork.scheduler.views.account import Account
from weftwork.scheduler.views.page import report

EMPTY = {"meta", "link", "input", "br", "rect", "path"}


class Page(HTMLParser):
    """Reads a page: whether its tags are in order, where they point to, what it says."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.addresses, self.said = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "data")]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "data")]

    def handle_endtag(self, tag):
        if tag not in EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.said.append(data)


def work(x=0):
    return x


@pytest.fixture(scope="module")
def account():
    """A run of 8,000 calls of a function in two processes, one of which died."""
    with tf.Graph().as_default(), tf.name_scope("part"):
        nodes = [tf.op(work)(tf.constant(0)) for _ in range(8000)]
    ends = [ran(node, n / 8000, 1 / 8000, worker(n % 2), kind="node") for n, node in enumerate(nodes)]
    lost = moment("lost", 0.5, ops=(nodes[0].op,), text="exit code -9 <script>")
    return Account(whole(1.1, moment("planned", 0, 0.001, text="shared out & more"), lost, *ends, error=""))


def test_a_report_is_one_page_in_order_that_points_nowhere(account):
    text = report([account])
    page = Page(text)
    assert page.open == []
    assert [address for address in page.addresses if not address.startswith("data:")] == []
    assert "http:" not in text
    assert "https:" not in text
    assert len(text) < 1_000_000


def test_a_report_says_what_ran_where_and_why(account):
    said = " ".join(Page(report([account])).said)
    for word in (
        "Run 1: y:0", "shared out & more", "work x 8,000", "local worker 100", "100.0 %", "test_page.py:", "exit code",
    ):  # fmt: skip
        assert word in said


def test_text_of_users_and_systems_is_escaped_on_the_page(account):
    assert "-9 <script>" not in report([account])
    failed = Account(whole(1.0, error="ValueError: <img src=x onerror=alert(1)>"))
    assert Page(report([failed])).addresses == ["data:,"]


def test_a_report_of_several_runs_shows_the_last_one_first(account):
    later = Account([event for event in whole(2.0, error="late")])
    text = report([account, later])
    assert text.index("late") < text.index("work x 8,000")
