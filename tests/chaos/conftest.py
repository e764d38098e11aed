"""At the end: how many processes and machines were killed, and at which stage of a run."""

from __future__ import annotations

from tests.chaos.stages import KILLS


def pytest_terminal_summary(terminalreporter):
    """One line, if anything was killed."""
    if KILLS:
        stages = ", ".join(f"{count} {stage}" for stage, count in sorted(KILLS.items(), key=lambda kill: -kill[1]))
        terminalreporter.write_line(f"{sum(KILLS.values())} kills: {stages}")
