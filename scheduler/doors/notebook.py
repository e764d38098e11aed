"""Notebooks: `%load_ext weftwork` adds the magics `%%explain` and `%%timeline` to IPython."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from typing import Any

from weftwork.scheduler.events.event import Event
from weftwork.scheduler.events.stream import listen
from weftwork.scheduler.views.account import Account, accounts, summary
from weftwork.scheduler.views.advice import advice
from weftwork.scheduler.views.lanes import STYLE, lanes_html
from weftwork.scheduler.views.page import advice_html, shares_html

_NOTHING = "No session ran anything in this cell."
_MOST = 5
"""Maximum number of runs of a cell that are shown; the longest ones."""


class Shown:
    """A view of a cell's runs: HTML in a notebook, text in a shell."""

    def __init__(self, text: str, html: str):
        self.text, self.html = text, html

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f'<style>{STYLE}</style><div class="weft-run">{self.html}</div>'


def load_ipython_extension(shell: Any) -> None:
    """Register the cell magics in this shell. `%load_ext weftwork` calls it.

    %%explain     runs the cell, then shows where the time of its runs went, and how to make them faster
    %%timeline    runs the cell, then shows what ran where and when
    """
    for name, show in (("explain", _explained), ("timeline", _timeline)):
        shell.register_magic_function(partial(_run, shell, show), "cell", name)


def _run(shell: Any, show: Callable[[Account], tuple[str, str]], line: str, cell: str) -> None:
    """Run a cell and show its runs. The shell shows an error of the cell, as for any cell."""
    if line.strip():
        raise ValueError(f"This magic takes no arguments, but got {line.strip()!r}: the code belongs below it.")
    from IPython.display import display  # pyright: ignore[reportMissingImports]  # its caller is IPython

    events: list[Event] = []
    with listen(events.append, nodes=True):
        shell.run_cell(cell)
    display(_shown(accounts(events), show))


def _shown(runs: Sequence[Account], show: Callable[[Account], tuple[str, str]]) -> Shown:
    parts = []
    longest = sorted(runs, key=lambda run: run.seconds)[-_MOST:]
    for run in [run for run in runs if run in longest]:
        text, html = show(run)
        head = f"Run {run.run} of {run.fetches}"
        parts.append((f"{head}: {text}", f"<h4>{escape(head)}</h4>{html}"))
    if not runs:
        parts = [(_NOTHING, f"<p>{_NOTHING}</p>")]
    elif len(runs) > len(parts):
        more = f"The {len(parts)} longest of {len(runs):,} runs:"
        parts.insert(0, (more, f"<p>{more}</p>"))
    return Shown("\n".join([text for text, _ in parts]), "".join([html for _, html in parts]))


def _explained(run: Account) -> tuple[str, str]:
    return "\n  ".join([summary(run), *advice(run)]), shares_html(run) + advice_html(run)


def _timeline(run: Account) -> tuple[str, str]:
    return summary(run), lanes_html(run)
