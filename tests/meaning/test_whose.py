"""Whose code it is: what is the program's counts as its state, wherever it lies and whatever it is called."""

from __future__ import annotations

import functools
import importlib
import json
import sys
import types

import pytest

import weftwork as tf
from tests.meaning.places import PLACES, op_in, session_in, values
from weftwork.graph.python.captured_kinds import given
from weftwork.graph.python.modules import is_own

SHARING = [place for place in PLACES if place not in ("isolated", "actor")]
"""Places in which what a function writes lasts."""
NAMED_AS_PYTHONS = "this"
MODULE = """
LEVEL, ROWS = -1, []
class Settings:
    level = -1
    @classmethod
    def get(cls):
        return cls.level
def level():
    return LEVEL
def append():
    ROWS.append(1)
    return len(ROWS)
"""


def imports_it():
    import this as it

    return it.LEVEL, it.level()


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    """A module of the program that has the name of one of Python's."""
    folder = tmp_path_factory.mktemp("beside")
    (folder / f"{NAMED_AS_PYTHONS}.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    yield importlib.import_module(NAMED_AS_PYTHONS)
    sys.path.remove(str(folder))
    del sys.modules[NAMED_AS_PYTHONS]


@pytest.mark.parametrize("place", PLACES)
def test_a_module_with_the_name_of_pythons_is_the_programs(ray_session, place, module):
    """Named by the code, imported by it, and by its functions and classes."""
    settings = module.Settings

    def change(run):
        module.LEVEL = settings.level = run

    def read():
        return module.LEVEL, settings.level, settings.get(), type(settings()) is settings

    assert values(place, read, runs=3, between=change) == [(run, run, run, True) for run in range(3)]
    assert values(place, module.level, runs=3, between=change) == [0, 1, 2]
    assert values(place, imports_it, runs=3, between=change) == [(run, run) for run in range(3)]


@pytest.mark.parametrize("place", SHARING)
def test_what_such_a_module_writes_lasts(place, module):
    module.ROWS.clear()
    assert values(place, module.append, runs=4) == [1, 2, 3, 4]
    assert len(module.ROWS) == 4


class Renamed:
    """Says that it is of another module."""

    count = 0

    @classmethod
    def hit(cls):
        cls.count += 1
        return cls.count


Renamed.__module__ = "collections"
MADE = types.new_class("Made", (), {}, lambda space: space.update(vars(Renamed), __module__="types", __dict__={}))


@pytest.mark.parametrize("place", SHARING)
@pytest.mark.parametrize("kind", [Renamed, MADE])
def test_a_class_that_names_another_module_is_the_programs(place, kind):
    """One that was told so, and one that `types` made."""
    kind.count = 0
    with tf.Graph().as_default():
        nodes = [op_in(place, lambda: kind.hit())() for _ in range(2)]
        with session_in(place) as session:
            assert [session.run(nodes) for _ in range(4)] == [[2 * run + 1, 2 * run + 2] for run in range(4)]
    assert kind.count == 8


def test_a_function_named_after_one_of_pythons_is_the_programs():
    """Given as an argument, too: the code that wraps it is the program's."""
    calls: list = []

    @functools.wraps(json.dumps)
    def counted(value):
        calls.append(value)

    assert list(given([counted, json.dumps, [json.JSONEncoder(default=counted)]])) == [counted]


PACKAGES: dict[str, tuple[dict, str]] = {
    "weft_app": ({"dir_info": {}}, ""),
    "weft_user": ({}, "Requires-Dist: weftwork>=0.1"),
    "weft_library": ({"archive_info": {}}, 'Requires-Dist: weftwork ; extra == "speed"'),
    "weft_other": ({}, "Requires-Dist: weftwork-more"),
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Packages: one that was installed with `pip install .`, one that needs this one, and others from an index."""
    folder = tmp_path_factory.mktemp("env") / "site-packages"
    for name, (known, needs) in PACKAGES.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(MODULE)
        notes = folder / f"{name}-1.0.dist-info"
        notes.mkdir()
        (notes / "direct_url.json").write_text(json.dumps({"url": folder.parent.as_uri(), **known}))
        (notes / "METADATA").write_text(f"Name: {name}\nRequires-Dist: numpy\n{needs}\n\nRequires-Dist: weftwork\n")
        (notes / "RECORD").write_text(f"{name}/__init__.py,sha256=x,10\n")
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    found = [importlib.import_module(name) for name in PACKAGES]
    yield found
    sys.path.remove(str(folder))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", [0, 1])
def test_a_package_from_a_folder_or_one_that_needs_this_one_is_the_programs(ray_session, place, number, installed):
    """Others of an index are libraries: their functions have what each process has."""
    app = installed[number]
    app.ROWS.clear()

    def change(run):
        app.LEVEL = app.Settings.level = run
        app.ROWS[:] = range(run)

    def read():
        return app.LEVEL, app.level(), app.Settings.get(), len(app.ROWS)

    assert values(place, read, runs=3, between=change) == [(run, run, run, run) for run in range(3)]
    assert values(place, app.level, runs=3, between=change) == [0, 1, 2]
    assert list(map(is_own, PACKAGES)) == [True, True, False, False]


@pytest.mark.parametrize("place", SHARING)
def test_what_such_a_package_writes_lasts(place, installed):
    app = installed[0]
    app.ROWS.clear()
    assert values(place, lambda: app.append(), runs=4) == [1, 2, 3, 4]
    assert len(app.ROWS) == 4
