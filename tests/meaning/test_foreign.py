"""What the program sets in modules of Python's and of packages: code that names it finds it in every place."""

from __future__ import annotations

import calendar
import csv
import html
import importlib
import json
import logging
import reprlib
import string
import sys
import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

import weftwork as tf
from tests.meaning.places import PLACES, op_in, session_in
from weftwork.graph.python.captured import Captured
from weftwork.graph.python.captured_kinds import is_put_in

SHARING = [place for place in PLACES if place not in ("isolated", "actor")]
"""Places in which what a function writes lasts."""
HERE = {"calendar", "fields", "texts", "namespaces", "separator"}
"""What only the program has: functions that depend on it run there, which `isolated` ones cannot."""
TABLE = "LEVEL, TABLE, ROWS, SEEN = 1, {'run': -1}, [], set()\ndef look():\n    return TABLE['run']\n"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """An installed package."""
    folder = tmp_path_factory.mktemp("env") / "site-packages"
    (folder / "weft_table").mkdir(parents=True)
    for name in ("__init__", "inner"):
        (folder / "weft_table" / f"{name}.py").write_text(TABLE)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    importlib.import_module("weft_table.inner")
    yield sys.modules["weft_table"]
    sys.path.remove(str(folder))


@pytest.fixture
def _restored(monkeypatch):
    monkeypatch.setattr(string, "digits", string.digits)
    monkeypatch.setattr(json.JSONEncoder, "item_separator", json.JSONEncoder.item_separator)
    monkeypatch.setattr(reprlib, "aRepr", reprlib.Repr())
    monkeypatch.setattr(logging, "_levelToName", logging._levelToName.copy())
    monkeypatch.setattr(urllib.parse, "uses_query", urllib.parse.uses_query[:])
    yield
    calendar.setfirstweekday(0)
    csv.field_size_limit(131072)
    for table, name in ((logging._nameToLevel, "MEANING"), (ET._namespace_map, "weft-here")):  # type: ignore
        table.pop(name, None)


def changes(library) -> dict[str, tuple[Callable, Callable]]:
    """How to change something, and what looks at it."""
    return {
        "constant": (lambda run: setattr(string, "digits", str(run)), lambda: string.digits),
        "list": (lambda run: urllib.parse.uses_query.append(str(run)), lambda: urllib.parse.uses_query[-1]),
        "of a package": (lambda run: setattr(library, "LEVEL", run), lambda: library.LEVEL),
        "in a package": (lambda run: library.TABLE.update(run=run), lambda: library.TABLE["run"]),
        "set": (lambda run: library.inner.SEEN.add(run), lambda: len(library.inner.SEEN)),
        "level": (lambda run: logging.addLevelName(25 + run, "MEANING"), lambda: logging.getLevelName(27)),
        "calendar": (lambda run: calendar.setfirstweekday(run), lambda: calendar.weekheader(1)),
        "fields": (lambda run: csv.field_size_limit(100 + run), lambda: csv.field_size_limit()),
        "texts": (lambda run: setattr(reprlib.aRepr, "maxlist", run), lambda: reprlib.repr([1] * 9)),
        "namespaces": (
            lambda run: ET.register_namespace(f"p{run}", "weft-here"),
            lambda: ET.tostring(ET.Element("{weft-here}a")),
        ),
        "separator": (
            lambda run: setattr(json.JSONEncoder, "item_separator", str(run)),
            lambda: json.JSONEncoder.item_separator,
        ),
    }


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.usefixtures("_restored")
def test_what_the_program_sets_in_foreign_modules_is_seen(ray_session, place, library):
    library.inner.SEEN.clear()
    cases = {name: case for name, case in changes(library).items() if place != "isolated" or name not in HERE}
    with tf.Graph().as_default():
        nodes = {name: op_in(place, look)() for name, (_, look) in cases.items()}
        with session_in(place) as session:
            for run in range(3):
                for change, _ in cases.values():
                    change(run)
                assert session.run(nodes) == {name: look() for name, (_, look) in cases.items()}


@pytest.mark.parametrize("place", SHARING)
def test_what_a_function_writes_there_lasts(place, library):
    library.ROWS.clear()

    def write():
        library.ROWS.append(1)
        calendar.setfirstweekday(len(library.ROWS) % 7)
        return len(library.ROWS)

    with tf.Graph().as_default():
        nodes = [op_in(place, write)() for _ in range(2)]
        with session_in(place) as session:
            assert [session.run(nodes) for _ in range(3)] == [[2 * run + 1, 2 * run + 2] for run in range(3)]
    assert (len(library.ROWS), calendar.firstweekday()) == (6, 6)
    calendar.setfirstweekday(0)


def test_what_nobody_has_set_keeps_no_function_in_the_program():
    def use():
        look = json.JSONEncoder.item_separator, string.octdigits, calendar.month(2020, 1), html.escape("a")
        return look, reprlib.repr([]), csv.reader([]), ET.Element("a"), calendar.JANUARY

    captured = Captured(use)
    assert not captured.writes
    assert not [name for module, name, _ in captured.names if module in (json, string, calendar, csv)]


@pytest.mark.parametrize(
    ("module", "path", "value", "is_put"),
    [
        *[("string", "digits", "0123456789", False), ("string", "digits", "01", True), ("string", "new", 1, True)],
        *[("json.encoder", "JSONEncoder.item_separator", text, text == ";") for text in (", ", ";")],
        ("logging", "raiseExceptions", 1, True),  # of another type
        ("calendar", "EPOCH", 1970, False),
        ("string", "ascii_letters", "a", False),  # computed: it may be anything
        ("math", "pi", 3, False),  # no code shows it
    ],
)
def test_the_code_of_a_module_tells_what_it_gives_a_name(module, path, value, is_put):
    assert is_put_in(module, path, value) is is_put
