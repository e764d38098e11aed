"""Makes the sdist, and the wheel from it, and tries the wheel where nothing else is: in a fresh environment.

python -m tests.wheel     writes dist/, and installs what the package depends on into .venv/clean
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
CLEAN = ROOT / ".venv" / "clean"
FIRST_PROGRAM = """
import weftwork

@weftwork.op
def square(value):
    return value * value

with weftwork.Session() as session:
    assert session.run(sum(square(n) for n in range(4))) == 14
print("weftwork", weftwork.__version__, "from", weftwork.__file__)
"""


def called(*command: object, folder: Path = ROOT) -> str:
    """The output of a command. Raises CalledProcessError if it fails."""
    return subprocess.run([*map(str, command)], cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def built() -> tuple[Path, Path]:
    """The sdist and the wheel, made anew; the wheel is made from the sdist."""
    for old in DIST.glob("weftwork-*"):
        old.unlink()
    called(sys.executable, "-m", "build", "--no-isolation", "--outdir", DIST, ROOT)
    (sdist,), (wheel,) = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
    return sdist, wheel


def main() -> None:
    """Make them, install the wheel, import it and run programs from a folder that has nothing of the checkout."""
    sdist, wheel = built()
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "pyproject.toml", "weftwork/graph/graph.py"} <= names, sorted(names)[:20]
    called(sys.executable, "-m", "venv", "--clear", CLEAN)
    python = CLEAN / "bin" / "python"
    called(python, "-m", "pip", "install", "--quiet", wheel)
    away = CLEAN / "tmp"
    away.mkdir()
    (away / "first.py").write_text(FIRST_PROGRAM)
    (away / "walkthrough.py").write_text((ROOT / "examples" / "walkthrough.py").read_text())
    print(called(python, "first.py", folder=away), end="")
    print(called(python, "walkthrough.py", folder=away), end="")
    version = called(python, "-m", "weftwork", "--version", folder=away)
    assert version.split() == ["weftwork", wheel.name.split("-")[1]], version
    called(python, "-m", "weftwork", "doctor", folder=away)


if __name__ == "__main__":
    main()
