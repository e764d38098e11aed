"""Runs `test_tiny.py`, the whole system without Ray, on every Python of those promised that this machine has.

pyproject.toml promises them. A Python is looked for on the PATH, and where pyenv and uv keep theirs. Each has an
environment of its own in .venv.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

ROOT = Path(__file__).parent.parent
MINORS = [int(minor) for minor in re.findall(r":: Python :: 3\.(\d+)", (ROOT / "pyproject.toml").read_text())]
KEEPERS = (
    Path(os.environ.get("PYENV_ROOT", "~/.pyenv"), "versions").expanduser(),
    Path(os.environ.get("UV_PYTHON_INSTALL_DIR", "~/.local/share/uv/python")).expanduser(),
)


def candidates(minor: int) -> Iterator[str]:
    """Where a Python 3.`minor` may lie; who is there need not be one, or not work."""
    name = f"python3.{minor}"
    if on_path := shutil.which(name):
        yield on_path
    for keeper in KEEPERS:
        yield from map(str, sorted(keeper.glob(f"*/bin/{name}"), reverse=True))


def found(minor: int) -> str | None:
    """The first Python 3.`minor` that works, and can make environments."""
    code = f"import sys, venv, ensurepip; assert sys.version_info[:2] == (3, {minor})"
    for path in candidates(minor):
        if subprocess.run([path, "-c", code], capture_output=True).returncode == 0:
            return path
    return None


def environment(minor: int, path: str) -> str:
    """The Python of an environment that has what the package needs without Ray; made where it is missing."""
    folder = ROOT / ".venv" / "pythons" / f"3.{minor}"
    ready = folder / ".ready"
    if not ready.exists():
        needed = [text for text in requires("weftwork") or () if "extra ==" not in text]
        needed = [text for text in needed if re.match(r"[\w-]+", text)[0] != "ray"]  # type: ignore[index]
        subprocess.run([path, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", *needed, "pytest>=9.0"], check=True)
        ready.touch()
    return str(folder / "bin" / "python")


def main() -> int:
    """A line for each Python; 1 when one failed, or there was none."""
    failed, ran = 0, 0
    for minor in MINORS:
        path = found(minor)
        if path is None:
            print(f"3.{minor}: this machine has none")
            continue
        test = [environment(minor, path), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_tiny.py"]
        done = subprocess.run(test, cwd=ROOT, capture_output=True, text=True, timeout=300)
        print(f"3.{minor}: {done.stdout.splitlines()[-1] if done.stdout else done.stderr}", flush=True)
        if done.returncode:
            print(done.stdout)
        failed, ran = failed or done.returncode, ran + 1
    return int(failed != 0 or not ran)


if __name__ == "__main__":
    sys.exit(main())
