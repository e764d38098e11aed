"""The house: imports go one way, the package builds, and nothing of ours lands where it does not belong."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import weftwork

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {"graph": {"graph"}, "actors": {"graph", "actors"}, "scheduler": {"graph", "actors", "scheduler"}}


def imports(path: Path) -> set[str]:
    """What a file imports, anywhere in it: `from a import b` as a.b, which may be a module; dots stay."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module + "." if node.module else "")
            found.update(start + alias.name for alias in node.names)
    return found


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_imports_go_one_way(folder):
    for path in sorted((ROOT / folder).rglob("*.py")):
        for module in imports(path):
            top, *rest = module.split(".")
            assert top, f"{folder}/{path.name} imports {module}: imports are absolute"
            assert top not in MAY_IMPORT, f"{path.name} imports {module} past the package"
            if top == "weftwork":
                assert "".join(rest[:1]) in MAY_IMPORT[folder], f"{folder}/{path.name} imports {module}"


def test_ray_is_called_in_the_files_behind_the_seam_only():
    users = {
        f"{folder}/{path.name}"
        for folder in MAY_IMPORT
        for path in (ROOT / folder).rglob("*.py")
        if any(module.split(".")[0] == "ray" for module in imports(path))
    }
    assert users <= {f"scheduler/{name}.py" for name in ("backend", "objects", "inventory", "hosts")}


def test_importing_the_package_does_not_import_ray():
    code = "import sys, weftwork; assert 'ray' not in sys.modules, 'ray was imported'"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_every_public_name_exists_and_the_list_is_sorted():
    assert list(weftwork.__all__) == sorted(weftwork.__all__)
    assert [name for name in weftwork.__all__ if not hasattr(weftwork, name)] == []


def test_every_public_function_and_class_says_what_it_does():
    undocumented = [
        name
        for name in weftwork.__all__
        if callable(getattr(weftwork, name)) and not (getattr(weftwork, name).__doc__ or "").strip()
    ]
    assert undocumented == []


def test_the_wheel_made_from_the_sdist_holds_the_package_and_nothing_else(tmp_path):
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"weftwork", next(t for t in tops if t.endswith(".dist-info"))}
    for path in ("weftwork/__init__.py", "weftwork/py.typed", "weftwork/graph/graph.py"):
        assert path in names
    for folder in MAY_IMPORT:
        for path in (ROOT / folder).glob("*.py"):
            assert f"weftwork/{folder}/{path.name}" in names
