"""The pages in a real browser: they show, and nothing goes wrong in them."""

from __future__ import annotations

import pytest

from tests.browser import PROGRAM, Browser
from tests.scheduler.views.test_page import account as account  # fixtures
from tests.scheduler.views.test_serving import serving as serving
from tests.scheduler.views.test_serving import shown as shown
from tests.waiting import until
from weftwork.scheduler.views.page import report

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed: apt-get install chromium")


@pytest.fixture(scope="module")
def browser():
    browser = Browser()
    yield browser
    browser.close()


def test_a_report_shows_and_its_script_runs(browser, account, tmp_path):
    path = tmp_path / "run.html"
    path.write_text(report([account]))
    browser.open(path.as_uri())
    assert "work x 8,000" in browser.value("document.querySelector('.graph').textContent")
    lanes = "document.querySelector('.lanes svg').getBoundingClientRect().width"
    width = browser.value(lanes)
    assert 300 < width < 1200
    browser.value("zoom.value = 3; zoom.dispatchEvent(new Event('input'))")
    assert browser.value(lanes) == pytest.approx(3 * width)
    shows = "[...document.querySelectorAll('.graph')].map((graph) => graph.checkVisibility())"
    assert browser.value(shows) == [True, False]
    browser.value("color.value = 'place'; color.dispatchEvent(new Event('change'))")
    assert browser.value(shows) == [False, True]
    assert browser.picture().startswith(b"\x89PNG")
    assert browser.complaints == []


_CUT = """[...document.querySelectorAll("main :not(.graph *, .scroll *, table *, title, style)")]
  .filter((part) => part.getBoundingClientRect().right > innerWidth + 1).map((part) => part.outerHTML)"""
"""What a narrow window cuts off, but for tables, lanes and graphs, which scroll by themselves."""
_LIGHT = """(() => {
  const light = (color) => color.match(/[0-9.]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 765;
  const style = getComputedStyle(document.body);
  return [light(style.backgroundColor), light(style.color)];
})()"""


def test_a_report_fits_a_narrow_window_and_a_dark_one(browser, account, tmp_path):
    path = tmp_path / "run.html"
    name = "a_function_with_a_name_as_long_as_people_make_them_in_programs"
    path.write_text(report([account]).replace("work</", f"{name}</").replace("caller", f"caller_on_{name}"))
    browser.open(path.as_uri())
    ticks = "[...document.querySelectorAll('.ticks span')].filter((tick) => tick.checkVisibility()).length"
    wide = browser.value(ticks)
    for dark in (False, True):
        browser.look_as(380, 800, dark)
        assert browser.value("document.documentElement.scrollWidth") == 380
        assert browser.value(_CUT) == []
        assert 1 < browser.value(ticks) < wide, "their texts would overlap"
        ground, ink = browser.value(_LIGHT)
        assert (ground < 0.2, ink > 0.7) == (dark, dark)
    browser.look_as(1200, 900, False)
    assert browser.complaints == []


def test_a_live_page_shows_what_it_is_sent_until_the_end(browser, shown, serving):
    browser.open(serving.url)
    until(lambda: browser.value("state.textContent") == "live")
    shown.content = "<p id=second>second</p>"
    until(lambda: browser.value("view.textContent") == "second")
    shown.content = None
    until(lambda: browser.value("state.textContent") == "The session has ended.")
    assert browser.complaints == []
