"""Notebooks: what shows itself, and the magics of `%load_ext weftwork`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

NOTEBOOK = Path(__file__).parents[3] / "examples" / "pipelines" / "seeing.ipynb"


@pytest.fixture(scope="module")
def shell():
    """An IPython without a terminal, which has loaded the extension."""
    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False
    shell.run_cell("import weftwork as tf\n%load_ext weftwork")
    yield shell
    InteractiveShell.clear_instance()


def run(shell, cell: str) -> list:
    """The output of a cell: the text, and the HTML if there is any, of each object."""
    with capture_output() as captured:
        done = shell.run_cell(cell)
    done.raise_error()
    shown = [output.data for output in captured.outputs]
    return shown if done.result is None else [*shown, shell.display_formatter.format(done.result)[0]]


def test_the_example_notebook_runs(shell):
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    shown = [data for cell in cells for data in run(shell, "".join(cell["source"]))]
    pages = [data["text/html"] for data in shown if "text/html" in data]
    assert [("<svg" in page, "<table" in page) for page in pages] == [
        (True, False), (False, True), (True, False), (False, True),
    ]  # fmt: skip
    texts = [data["text/plain"] for data in shown]
    explained = next(text for text in texts if text.startswith("Run "))
    assert " of total:0: of " in explained
    assert "in `load` (cell:" in explained


def test_a_cell_in_which_nothing_ran_says_so(shell):
    shown = run(shell, "%%explain\nx = 1 + 1")
    assert [data["text/plain"] for data in shown] == ["No session ran anything in this cell."]
    assert shell.user_ns["x"] == 2


def test_an_error_in_a_cell_is_shown_as_usual(shell, capsys):
    shell.run_cell("%%timeline\ntf.Session(graph=tf.Graph()).run('x')")
    assert "The Session graph is empty" in capsys.readouterr().out


def test_the_magics_take_no_arguments(shell, capsys):
    done = shell.run_cell("%%explain session.run(y)\n0")
    assert "takes no arguments, but got 'session.run(y)'" in str(done.error_in_exec)
