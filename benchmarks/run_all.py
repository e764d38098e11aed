"""Run benchmarks, each in a process of its own, and write their rows to RESULTS.md beside this file.

Each benchmark has a section with the machine and the date. Sections of benchmarks that are not run now are kept, and so
are the notes at the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

from benchmarks.common import machine

TARGET = Path(__file__).parent / "RESULTS.md"
BENCHMARKS = {
    "small": 300,
    "functions": 200,
    "training": 400,
    "metg": 3600,
    "coarse": 300,
    "data_parallel": 300,
    "mixed": 400,
    "bound": 900,
    "planning": 400,
    "big_arrays": 900,
    "values": 900,
    "doors": 1800,
    "memory": 600,
    "overheads": 300,
    "replays": 300,
    "oneshot": 2400,
    "ordinary": 600,
    "lanes": 600,
    "progress": 200,
}
"""Time limits in seconds."""
COLUMNS = ["name", "ours", "peer", "ratio", "goal", "reached"]
NOTES = "Notes"


def rows_of(name: str, limit: int) -> list[dict]:
    """The rows printed by a benchmark. If it fails, a last row says why."""
    root = TARGET.parent.parent
    try:
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            timeout=limit,
        )
        output, reason = done.stdout, "" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]
    except subprocess.TimeoutExpired as error:
        output, reason = (error.stdout or b"").decode(), f"took more than {limit} s"
    rows = [json.loads(line[4:]) for line in output.splitlines() if line.startswith("ROW ")]
    if reason:
        rows.append({"name": name, "ours": reason, "peer": "", "ratio": "", "goal": "", "reached": "NO"})
    return rows


def section(name: str) -> str:
    """Run a benchmark and return its section."""
    lines = [f"{machine()}; {date.today()}.", "", "| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for row in rows_of(name, BENCHMARKS[name]):
        lines.append("| " + " | ".join([row[key] for key in COLUMNS]) + " |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def main(names: list[str]) -> None:
    """Run benchmarks one after another. Each section is written as soon as it is done."""
    text = TARGET.read_text(encoding="utf-8") if TARGET.exists() else ""
    sections = {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in text.split("\n## ")[1:]}
    for name in names:
        sections[name] = section(name)
        kept = [key for key in (*BENCHMARKS, NOTES) if key in sections]
        parts = [f"## {key}\n\n{sections[key]}\n" for key in kept]
        head = "# Results\n\nMedians; ours and the peer's are interleaved in one run. `make bench` writes this file.\n"
        TARGET.write_text("\n".join([head, *parts]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:] or list(BENCHMARKS))
