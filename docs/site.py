"""MkDocs' hooks for this repository; see `hooks` in mkdocs.yml.

- The reference's pages are made by docs/reference.py.
- Pages that lie outside of docs/ (ARCHITECTURE.md and others: `outside` in mkdocs.yml) are pages of the site.
- So is the text of each file that a page links to, such as an example or a file of deploy/.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from docs import reference  # noqa: E402  MkDocs runs this file by its path

WORDS = {".py": "python", ".yaml": "yaml", ".ipynb": "json"}
QUOTED = ["examples/**/*.py", "examples/**/*.ipynb", "deploy/*.yaml"]
LINK = re.compile(r"(?<=\]\()(?!https?://)([^()\s#]+)")


def on_config(config: Any) -> Any:
    """Put the reference's pages after its index in the navigation."""
    made = [{title: f"api/{page}.md"} for page, title in reference.titles().items()]
    for section in config.nav:
        if "Reference" in section:
            section["Reference"] += made
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are not files in docs/."""
    for path, text in {**reference.pages(), "api/index.md": reference.index(link=True)}.items():
        add(files, config, path, text)
    for path, page in config.extra["outside"].items():
        add(files, config, page, (ROOT / path).read_text())
    for path in [found for kind in QUOTED for found in sorted(ROOT.glob(kind))]:
        name = path.relative_to(ROOT).as_posix()
        if path.stem != "__init__":
            add(files, config, source(name), f"# {name}\n\n```{WORDS[path.suffix]}\n{path.read_text()}```\n")
    programs = [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("examples/**/[!_]*.py"))]
    listed = "\n".join(f"- [{name}](../{source(name)})" for name in programs)
    add(files, config, source("examples"), f"# Examples\n\n{listed}\n")
    return files


def add(files: Files, config: Any, path: str, text: str) -> None:
    old = files.get_file_from_path(path)
    if old is not None:
        files.remove(old)
    files.append(File.generated(config, path, content=text))


def source(name: str) -> str:
    """The page of a file's text."""
    return f"source/{name.replace('.', '_').replace('/', '-')}.md"


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Redirect links to files outside of docs/ to the pages made from them."""
    here, outside = page.file.src_uri, config.extra["outside"]
    real = {made: path for path, made in outside.items()}.get(here, f"docs/{here}")

    def led(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(real), match[1]))
        if target.startswith("docs/"):
            found = target.removeprefix("docs/")
        else:
            found = outside.get(target, source(target))
        return posixpath.relpath(found, posixpath.dirname(here) or ".")

    return markdown if here.startswith(("source/", "api/")) else LINK.sub(led, markdown)
