"""Runs every benchmark in a process of its own and writes their rows to RESULTS.md beside this file."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

from benchmarks.common import machine

HERE = Path(__file__).parent
BENCHMARKS = {
    "small": 300,
    "metg": 900,
    "coarse": 300,
    "mixed": 300,
    "bound": 400,
    "planning": 300,
    "big_arrays": 900,
    "memory": 600,
    "overheads": 300,
    "replays": 300,
}
"""Seconds that each may take."""


def rows_of(name: str, limit: int) -> list[dict]:
    """The rows that a benchmark printed; one that says why when it failed."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"], cwd=HERE.parent, capture_output=True, text=True, timeout=limit
        )
        output, reason = done.stdout, "" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]
    except subprocess.TimeoutExpired as error:
        output, reason = (error.stdout or b"").decode(), f"took more than {limit} s"
    rows = [json.loads(line[4:]) for line in output.splitlines() if line.startswith("ROW ")]
    if reason:
        rows.append({"name": name, "ours": reason, "peer": "", "ratio": "", "goal": "", "reached": "NO"})
    return rows


def main(names: list[str]) -> None:
    """Run them, print the table, write it with the machine and the day; notes that stand below it are kept."""
    header = ["name", "ours", "peer", "ratio", "goal", "reached"]
    lines = [f"# Results\n\n{machine()}; {date.today()}. Medians, ours and the peer's interleaved in one run.\n"]
    lines.append("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    for name in names:
        for row in rows_of(name, BENCHMARKS[name]):
            lines.append("| " + " | ".join(row[key] for key in header) + " |")
            print(lines[-1], flush=True)
    target = HERE / "RESULTS.md"
    notes = target.read_text().partition("\n## ")[2] if target.exists() else ""
    target.write_text("\n".join(lines) + "\n" + (f"\n## {notes}" if notes else ""))


if __name__ == "__main__":
    main(sys.argv[1:] or list(BENCHMARKS))
