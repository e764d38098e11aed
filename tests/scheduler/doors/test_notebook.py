"""Notebooks: what shows itself, and the magics of `%load_ext weftwork`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[3] / "examples" / "seeing.ipynb"


@pytest.fixture(scope="module")
def shell():
    """An IPython without a terminal, which has loaded the extension."""
    testing = pytest.importorskip("IPython.core.interactiveshell", reason="IPython is not installed")
    shell = testing.InteractiveShell()
    shell.history_manager.enabled = False
    shell.run_cell("import weftwork as tf\n%load_ext weftwork")
    return shell


def run(shell, cell: str):
    """What a cell shows."""
    done = shell.run_cell(cell)
    done.raise_error()
    return done.result


def test_the_example_notebook_runs(shell, ray_session, capsys):
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    shown = [run(shell, "".join(cell["source"])) for cell in cells]
    pages = [result._repr_html_() for result in shown if hasattr(result, "_repr_html_")]
    assert [("<svg" in page, "<table" in page) for page in pages] == [
        (True, False), (False, True), (True, False), (False, True),
    ]  # fmt: skip
    explained = [repr(result) for result in shown if type(result).__name__ == "Shown"][0]
    assert explained.startswith("Run ")
    assert " of total:0: of " in explained
    assert "in `load` (cell:" in explained


def test_a_cell_in_which_nothing_ran_says_so(shell):
    assert repr(run(shell, "%%explain\n1 + 1")) == "No session ran anything in this cell."


def test_what_goes_wrong_in_a_cell_is_shown_as_ever(shell, capsys):
    shown = run(shell, "%%timeline\ntf.Session(graph=tf.Graph()).run('x')")
    assert "The Session graph is empty" in capsys.readouterr().out
    assert "No session ran" in repr(shown)


def test_the_magics_take_no_arguments(shell, capsys):
    assert "takes no arguments, but got 'session.run(y)'" in str(
        shell.run_cell("%%explain session.run(y)\n0").error_in_exec
    )
