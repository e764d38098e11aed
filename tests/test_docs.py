"""The site: its navigation has every page, and the reference has every public name, with a text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import weftwork
from docs import notebook, reference
from docs.uses import use_of

ROOT = Path(__file__).parent.parent
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text())


@pytest.fixture(scope="module")
def entries():
    return reference.entries()


def pages(nav: Any) -> Iterator[str]:
    """The pages of a navigation, which is made of lists and dicts."""
    if isinstance(nav, str):
        yield nav
    else:
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from pages(part)


def test_the_navigation_has_every_page_and_no_other():
    written = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    outside = SITE["extra"]["outside"]
    assert [path for path in outside if not (ROOT / path).exists()] == []
    listed, there = list(pages(SITE["nav"])), {*written, *outside.values(), "source/examples.md"}
    assert sorted(there - set(listed)) == [], "put them into mkdocs.yml"
    assert sorted(page for page in listed if page not in there or listed.count(page) > 1) == []


def test_architecture_names_files_and_methods_that_exist():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    sources = [path for top in ("graph", "actors", "scheduler", "tests") for path in (ROOT / top).rglob("*.py")]
    files = re.findall(r"[\w/]+\.py\b", text)
    assert [name for name in files if not any(f"/{path}".endswith(f"/{name}") for path in sources)] == []
    folders = re.findall(r"`((?:graph|actors|scheduler|tests)/[\w/]*/)`", text)
    assert [name for name in folders if not (ROOT / name).is_dir()] == []
    code = "\n".join([path.read_text() for path in sources])
    methods = re.findall(r"\b([A-Z]\w+)\.(\w+)\b", re.sub(r"[\w/]+\.(?:md|py)\b", "", text))
    assert methods
    assert [pair for pair in methods if f"class {pair[0]}" not in code or f"def {pair[1]}(" not in code] == []


def test_every_public_name_says_what_it_does(entries):
    called = [entry for entry in entries if callable(entry.value)]
    assert [entry.name for entry in called if not (entry.value.__doc__ or "").strip()] == []
    assert len(called) > 900


def test_every_parameter_of_a_public_name_is_described_in_its_text_or_among_the_shared_ones(entries):
    known, left = reference.parameters(), {}
    for entry in [entry for entry in entries if callable(entry.value)]:
        members = reference.members(entry.value) if isinstance(entry.value, type) else []
        for name, value in [(entry.name, entry.value), *[(f"{entry.name}.{name}", value) for name, value in members]]:
            lacking = [word for word in reference.undescribed(value) if word not in known and word[0] != "_"]
            left.update({name: lacking} if lacking else {})
    assert left == {}, "say in the docstring what they are, or in docs/parameters.md if others have them too"


def test_every_public_name_has_an_example_that_runs(entries):
    called = [entry for entry in entries if callable(entry.value) and not reference.has_example(entry.value)]
    assert [entry.name for entry in called if use_of([entry.name, *entry.others]) is None] == [], (
        "use them in a page of docs/, an example or a test; docs/one_liners.md has the rest"
    )


def test_the_list_of_public_names_is_up_to_date():
    assert reference.INDEX.read_text() == reference.index(), "python -m docs.reference writes it anew"


def test_the_notebook_is_the_first_tutorial():
    text = notebook.notebook(notebook.PAGE.read_text())
    assert notebook.NOTEBOOK.read_text() == text, "python -m docs.notebook writes it anew"
    assert all(cell["source"] for cell in json.loads(text)["cells"])


def test_every_thing_has_one_page_of_the_reference(entries):
    made = reference.pages()
    for entry in entries:
        heading = f"## {entry.name} {{#" if callable(entry.value) else f"`{entry.name}`"
        assert heading in made[f"api/{entry.page}.md"]


def test_a_docstring_s_parameters_become_a_list_and_its_code_stays():
    text = "Adds up.\n\nx: a tensor.   axis: which, or None\nfor all. A `list`.\n\n    add(x)\n\nRaises *no* <error>."
    assert reference.markdown(text).splitlines() == [
        *("Adds up.", "", "- `x`: a tensor.", "- `axis`: which, or None", "for all. A `list`.", ""),
        *("    add(x)", "", "Raises \\*no\\* &lt;error>."),
    ]


def test_the_newest_section_of_the_changelog_has_the_version_and_a_date():
    newest = next(line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## "))
    assert re.fullmatch(rf"## {re.escape(weftwork.__version__)} \(20\d\d-\d\d-\d\d\)", newest)
