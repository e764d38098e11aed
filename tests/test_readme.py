"""Every code block of the README and of docs/ runs, as a reader would type it, and every link leads somewhere."""

from __future__ import annotations

import codeop
import re
from pathlib import Path

import pytest

import weftwork as tf

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCS = sorted((ROOT / "docs").rglob("*.md"))
OUTSIDE = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "deploy/README.md", "benchmarks/README.md"]
PAGES = [ROOT / name for name in OUTSIDE] + DOCS
FENCED = re.compile(r"^```(\w*)(?: title=\"([^\"]*)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")


def blocks(page: Path) -> list[str]:
    """The Python code of a page, without what it quotes from a file."""
    return [code for language, title, code in FENCED.findall(page.read_text()) if (language, title) == ("python", "")]


def expected(line: str) -> str | None:
    """What a line's comment says is printed: a value. None for a comment that begins as a sentence does, in lower case.

    Of an error without the lines where its nodes were made, and of what ends in "..." none.
    """
    match = re.search(r"print\(.*\)\s+# ([\[{(\dA-Z-].*)$", line)
    return match.group(1).split(" [[node")[0] if match and not match.group(1).endswith("...") else None


def typed(code: str) -> None:
    """Type lines at Python's prompt, without running them. Raises SyntaxError for one that it does not expect."""
    waiting: list[str] = []
    for line in [*code.splitlines(), ""]:
        waiting.append(line)
        if codeop.compile_command("\n".join(waiting), "<prompt>", "single") is not None:
            waiting = []


def anchors(page: Path) -> set[str]:
    """The valid anchors of a page."""
    text = FENCED.sub("", page.read_text())
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_the_readme_has_code_blocks():
    assert len(blocks(ROOT / "README.md")) >= 5


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=name_of)
def test_every_code_block_runs_and_prints_what_its_comments_say(page, ray_session, capsys):
    names: dict = {}
    with tf.Graph().as_default():
        for number, block in enumerate(blocks(page)):
            exec(compile(block, f"{page.name} block {number}", "exec"), names)
            printed = capsys.readouterr().out.splitlines()
            promised = [text for text in map(expected, block.splitlines()) if text]
            missing = [text for text in promised if not any(line.startswith(text) for line in printed)]
            assert missing == [], printed
    if isinstance(names.get("session"), tf.Session):
        names["session"].close()


def test_every_code_block_can_be_typed_at_a_prompt():
    for code in [code for page in PAGES for code in blocks(page)]:
        typed(code)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page):
    broken = []
    for link in LINK.findall(FENCED.sub("", page.read_text())):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not link.startswith("https://") and not (target.exists() and (not anchor or anchor in anchors(target))):
            broken.append(link)
    assert broken == []


def test_what_a_page_quotes_from_a_file_stands_there():
    quoted = [(title, code) for page in PAGES for _, title, code in FENCED.findall(page.read_text()) if title]
    assert [title for title, code in quoted if code not in (ROOT / title).read_text()] == []
    assert quoted


def test_every_page_of_the_docs_that_code_or_pages_name_is_there():
    tops = [ROOT / top for top in ("graph", "actors", "scheduler", "weftwork", "examples", "benchmarks")]
    files = [*PAGES, *(path for top in tops for path in top.rglob("*.py"))]
    named = {name for path in files for name in re.findall(r"\bdocs/[\w/]+\.md\b", path.read_text())}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_index_lists_every_page():
    listed = {*LINK.findall((ROOT / "docs/index.md").read_text()), "index.md"}
    assert [page for page in DOCS if page.relative_to(ROOT / "docs").as_posix() not in listed] == []


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_the_two_commands_stand_in_the_first_screen(command):
    assert command in "\n".join(README.splitlines()[:25])


def test_the_readme_can_be_read_in_one_sitting():
    assert len(README.splitlines()) <= 120
