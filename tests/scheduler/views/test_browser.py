"""The pages in a real browser: they show, and nothing goes wrong in them."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.scheduler.views.test_page import account as account  # a fixture
from tests.scheduler.views.test_serving import serving as serving  # fixtures
from tests.scheduler.views.test_serving import shown as shown
from weftwork.scheduler.views.page import report

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed: apt-get install chromium")


def seen(address: str, tmp_path, milliseconds: int = 0) -> str:
    """What a browser makes of a page, as HTML. Fails if the page has said anything to its console."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--dump-dom"]
    command += [f"--timeout={milliseconds}"] if milliseconds else []
    done = subprocess.run([*command, address], capture_output=True, text=True, timeout=100)
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    return done.stdout


def test_a_report_shows_and_its_script_runs(account, tmp_path):
    path = tmp_path / "run.html"
    path.write_text(report([account]))
    dom = seen(path.as_uri(), tmp_path)
    assert "work x 8,000" in dom
    assert len(re.findall(r'<div class="graph" data-color="\w+"(?: hidden="")?>', dom)) == 2
    assert 'data-color="place" hidden=""' in dom, "one of the two pictures shows"
    assert 'style="width: 100%;"' in dom


def test_a_live_page_shows_what_it_is_sent(shown, serving, tmp_path):
    shown.content = '<p>first</p><div class="wide"></div>'
    assert '<span id="state">live</span>' in seen(serving.url, tmp_path, milliseconds=2000)
