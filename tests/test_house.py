"""The house: imports go one way, the package builds, and the wheel contains nothing else."""

from __future__ import annotations

import ast
import functools
import importlib
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import weftwork
from weftwork.graph.interchange import native
from weftwork.graph.moved import _MOVED
from weftwork.graph.seams import _HOMES, Seams

ROOT = Path(__file__).parent.parent
FLOORS = [
    "graph/python",
    "graph",
    "graph/kernels",
    "graph/ops",
    "graph/linear",
    "graph/files",
    "graph/variables",
    "graph/lookup",
    "graph/nn",
    "graph/images",
    "graph/distributions",
    "graph/gradients",
    "graph/layers",
    "graph/recurrent",
    "graph/training",
    "graph/data",
    "graph/interchange",
    "graph/drawing",
    "graph/contrib",
    "actors",
    "actors/programs",
    "actors/processes",
    "actors/queues",
    "actors/checkpoints",
    "actors/data",
    "scheduler",
    "scheduler/events",
    "scheduler/request",
    "scheduler/machines",
    "scheduler/compile",
    "scheduler/state",
    "scheduler/plan",
    "scheduler/run",
    "scheduler/segments",
    "scheduler/sharing",
    "scheduler/core",
    "scheduler/views",
    "scheduler/session",
    "scheduler/functions",
    "scheduler/input",
    "scheduler/saving",
    "scheduler/training",
    "scheduler/testing",
    "scheduler/doors",
    "scheduler/command",
]
"""The wings from the ground up. A file imports only from its own wing and from those before it."""
TEXTS = {".md", ".toml", ".yml"}
"""The endings of files in the root."""
TOPS = ("graph", "actors", "scheduler")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for top in TOPS
    for path in sorted((ROOT / top).rglob("*.py"))
}


def imports(code: ast.AST, types: bool = True) -> set[str]:
    """All imports in a tree. `from a import b` is listed as a.b, which may be a module; leading dots are kept.

    types: also those for type checkers only, which cause no circle at run time.
    """
    found: set[str] = set()
    left = [code]
    while left:
        node = left.pop()
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module + "." if node.module else "")
            found.update(start + alias.name for alias in node.names)
        elif types or not (isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"):
            left += [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr)]
    return found


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@functools.cache
def ours(path: Path) -> frozenset[str]:
    """The modules of this package that a file imports."""
    found = set()
    for name in imports(tree(path), types=False):
        name = name.removeprefix("weftwork.") if name.startswith("weftwork.") else ""
        while name and name not in MODULES:
            name = name.rpartition(".")[0]
        if name:
            found.add(name)
    return frozenset(found)


def loaded(path: Path) -> set[str]:
    """The packages that a file imports."""
    return {name.split(".")[0] for name in imports(tree(path), types=False)}


def wing(module: str) -> str:
    return MODULES[module].parent.relative_to(ROOT).as_posix()


def test_every_file_lies_in_a_wing_of_the_list():
    assert {wing(module) for module in MODULES} == set(FLOORS)


def test_architecture_lists_the_wings_in_their_order():
    """Each top folder has a table, whose first column names its wings. The root of graph/ is one of them."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    found = []
    for top in TOPS:
        rows = re.findall(r"^\| (`.*?) \|", text.partition(f"**`{top}/`:")[2].partition("\n\n**")[0], re.MULTILINE)
        names = [name for row in rows for name in re.findall(r"`(\w+)/`", row)]
        found += [name if name == top else f"{top}/{name}" for name in names if name not in {*TOPS} - {top}]
    assert [name for name in FLOORS if name not in ("actors", "scheduler")] == found


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no clone of the repository")
def test_no_file_that_a_program_wrote_is_in_the_repository():
    kept = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    texts = {".gitignore", "LICENSE", "Makefile"}
    assert [name for name in kept if "/" not in name and name not in texts and Path(name).suffix not in TEXTS] == []


@pytest.mark.parametrize("floor", FLOORS)
def test_a_wing_imports_only_from_wings_before_it(floor):
    for module, path in MODULES.items():
        if wing(module) == floor:
            above = {other for other in ours(path) if FLOORS.index(wing(other)) > FLOORS.index(floor)}
            assert not above, f"{module} imports {sorted(above)}"


def test_imports_are_absolute_and_go_through_the_package():
    for module, path in MODULES.items():
        for name in imports(tree(path)):
            assert not name.startswith("."), f"{module} imports {name}: imports are absolute"
            assert name.split(".")[0] not in TOPS, f"{module} imports {name} past the package"
            assert not name.startswith("weftwork.") or name.split(".")[1] in TOPS, f"{module} imports {name}"


def test_no_module_of_ours_is_imported_inside_a_function():
    for module, path in MODULES.items():
        for node in ast.walk(tree(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                inside = {name for name in imports(node) if name.startswith("weftwork")}
                assert not inside, f"{module}:{node.lineno} {node.name} imports {sorted(inside)}"


def test_there_is_no_circle_of_imports():
    left = {module: ours(path) - {module} for module, path in MODULES.items()}
    while free := {module for module, others in left.items() if not others & left.keys()}:
        left = {module: others for module, others in left.items() if module not in free}
    assert not left, f"these modules import each other, or what does: {sorted(left)}"


def test_ray_is_imported_in_one_wing():
    users = {wing(m) for m, path in MODULES.items() if "ray" in loaded(path)}
    assert users == {"scheduler/machines"}


def test_a_module_that_has_moved_is_found_by_its_old_name():
    old = importlib.import_module("weftwork.graph.kernels_math")
    assert old is importlib.import_module("weftwork.graph.kernels.elementwise")
    assert old.__spec__.name == "weftwork.graph.kernels.elementwise"
    for name in _MOVED:
        assert importlib.import_module(f"weftwork.{name}").__name__ != f"weftwork.{name}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("build:as_it_is", "build:pass_through"),
        ("kernels.boxes:lot", "kernels.boxes:sample_distorted_box"),
        ("kernels.cells:none_of", "kernels.cells:emptied"),
        ("kernels.cells:parted", "kernels.cells:write_parts"),
        ("lookup.mutable:nobody", "lookup.mutable:empty_entries"),
        ("ops.cases:one_of_them", "ops.cases:assert_any"),
        ("kernels_math:arange", "kernels.elementwise:arange"),
    ],
)
def test_a_kernel_is_found_by_the_name_that_an_older_graph_has(old: str, new: str):
    module, _, name = f"weftwork.graph.{new}".partition(":")
    kernel = getattr(importlib.import_module(module), name)
    assert native.loads(json.dumps(["function", f"weftwork.graph.{old}"]).encode()) is kernel


def _loaded(line: str) -> set[str]:
    """The modules that a fresh program has after a line."""
    code = f"import sys\n{line}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    return set(done.stdout.split())


def test_importing_the_package_imports_what_is_used_alone():
    assert not _loaded("import weftwork") & {"ray", "numpy", "weftwork.graph.operation"}
    assert not _loaded("import weftwork as tf; tf.Session, tf.train, tf.nn, tf.image") & {"ray", "scipy", "autograd"}


@pytest.mark.parametrize("process", ["worker", "local_worker"])
def test_a_worker_starts_without_the_library_and_the_scheduler(process: str):
    wings = {name.rpartition(".")[0] for name in _loaded(f"import weftwork.actors.processes.{process}")}
    assert "weftwork.actors.programs" in wings
    assert not {name for name in wings if name.startswith(("weftwork.scheduler", "weftwork.graph.ops"))}


def test_what_the_language_calls_of_the_library_is_set_by_the_module_that_is_said_to():
    assert set(_HOMES) == {name for name in Seams.__annotations__}
    for name, module in _HOMES.items():
        targets = [
            target
            for node in ast.parse(MODULES[module].read_text(encoding="utf-8")).body
            if isinstance(node, ast.Assign)
            for target in ast.walk(node.targets[0])
        ]
        assert [t for t in targets if isinstance(t, ast.Attribute) and t.attr == name], name


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
    assert wheel.name.startswith(f"weftwork-{weftwork.__version__}-")
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names}
    assert tops == {"weftwork", next(t for t in tops if t.endswith(".dist-info"))}
    assert {"weftwork/__init__.py", "weftwork/py.typed", "weftwork/graph/interchange/signatures.txt"} <= names
    assert "weftwork/scheduler/views/page.html" in names
    for path in MODULES.values():
        assert f"weftwork/{path.relative_to(ROOT).as_posix()}" in names


SHARED_PRIVATES = {
    *("_as_graph_element", "_as_ref", "_by_name", "_collections", "_is_ref_dtype", "_last_id", "_put", "_ref"),
    *("_transpose_conj", "_unsafe_unfinalize", "_variable"),
    *("_parent", "_present"),  # of one message's parts
    *("_asdict", "_at_fork_reinit", "_current_frames", "_exit", "_getframe", "_node", "_on_ready", "_replace"),
    "_trace",  # these are of Python, autograd and Ray
    *("_cls", "_obj", "_unbound"),  # of a bound generic method, from Python 3.14 on
}
"""Private names of one module that others use. The list may become shorter."""


def private_names_of_others(code: ast.Module) -> set[str]:
    """The private attributes that a module uses but does not define."""
    own = {node.name for node in ast.walk(code) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    own |= {node.id for node in ast.walk(code) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    attributes = [node for node in ast.walk(code) if isinstance(node, ast.Attribute)]
    own |= {node.attr for node in attributes if isinstance(node.ctx, ast.Store)}
    taken = {node.attr for node in attributes if not (isinstance(node.value, ast.Name) and node.value.id == "self")}
    return {name for name in taken - own if name.startswith("_") and not name.startswith("__")}


def test_no_module_reaches_into_another_one():
    used = {name: path.relative_to(ROOT) for path in MODULES.values() for name in private_names_of_others(tree(path))}
    assert {name: path for name, path in used.items() if name not in SHARED_PRIVATES} == {}
