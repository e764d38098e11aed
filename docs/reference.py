"""The reference: every public name of `weftwork`, by subject, with the text of its docstring.

python -m docs.reference     writes docs/api/index.md, which lists the names and where each is documented

The pages themselves are made when the site is built (`pages`, called by docs/site.py). They are read from the running
package, not from its source: many functions are made by other functions, and have their signature and text from these.

name       as a program writes it: `weftwork.train.Saver`
entry      what a name stands for. It may have several names; the first one is its heading, which lists the others
subject    a page of entries
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import weftwork
from docs.uses import use_of

ROOT = Path(__file__).parent.parent
INDEX = ROOT / "docs" / "api" / "index.md"
PARAMETERS = ROOT / "docs" / "parameters.md"
SUBJECTS = {
    "sessions": ("Sessions, runs and options", ["scheduler", "actors"]),
    "functions": ("Functions as nodes", ["graph.function"]),
    "variables": ("Variables", ["graph.variables"]),
    "control_flow": (
        "Branches, loops and order",
        ["graph.ops.control_flow", "graph.ops.loops", "graph.ops.functional", "graph.ops.flow"],
    ),
    "gradients": ("Derivatives", ["graph.gradients", "graph.ops.clipping"]),
    "arrays": (
        "Arrays: making, shaping, indexing",
        [
            *("graph.ops.array_ops", "graph.ops.filling", "graph.ops.indexing", "graph.ops.joining"),
            *("graph.ops.partitioning", "graph.ops.rearranging", "graph.ops.scattering", "graph.ops.spaces"),
            *("graph.ops.conversion", "graph.ops.selecting", "graph.ops.tensor_array"),
        ],
    ),
    "random_numbers": ("Random numbers", ["graph.ops.random_ops"]),
    "text": ("Text", ["graph.ops.strings"]),
    "sparse_tensors": ("Sparse tensors", ["graph.ops.sparse", "graph.ops.composite"]),
    "records": ("Files and records", ["graph.files"]),
    "queues": ("Queues and accumulators", ["graph.ops.queues", "graph.ops.accumulators"]),
    "checks": ("Checks and printing", ["graph.ops.assertions", "graph.ops.asking", "graph.ops.printing"]),
    "arithmetic": ("Arithmetic", ["graph.ops", "graph.training"]),
    "graphs": ("Graphs, tensors, scopes and dtypes", ["graph", ""]),
}
"""{page: (title, where its names are defined)} of the names that stand in `weftwork` itself; the first that fits."""
ALIKE = {
    "dtypes": "graphs",
    "errors": "errors",
    "nn.rnn_cell": "nn",
    "data.experimental": "data",
    "io.gfile": "gfile",
}
"""The pages of modules that have none of their own name."""
LEFT_OUT = {"app", "flags", "contrib", "raw_ops"}
"""Modules that are absl's, or stand for what lies elsewhere: types of operations, for `raw_ops`."""
HEADINGS = {"weftwork.ConfigProto"}
"""Names that come before others of the same thing."""


@dataclass
class Entry:
    """What a public name stands for. page: its page of the reference."""

    name: str
    value: Any
    page: str
    others: list[str] = field(default_factory=list)


def modules() -> dict[str, types.ModuleType]:
    """{dotted name: module} of all public modules, `weftwork` first."""
    found: dict[str, types.ModuleType] = {"weftwork": weftwork}
    for name in [name for name in weftwork.__all__ if name not in LEFT_OUT]:
        if isinstance(value := getattr(weftwork, name), types.ModuleType):
            found[f"weftwork.{name}"] = value
    for outer, inner in [("nn", "rnn_cell"), ("data", "experimental"), ("io", "gfile")]:
        found[f"weftwork.{outer}.{inner}"] = getattr(found[f"weftwork.{outer}"], inner)
    for name in ("weftwork.dask", "weftwork.joblib"):
        found[name] = importlib.import_module(name)
    return found


def names(module: types.ModuleType) -> Iterator[tuple[str, Any]]:
    """The public names of a module and their values, without modules."""
    for name in getattr(module, "__all__", None) or [name for name in dir(module) if not name.startswith("_")]:
        value = getattr(module, name)
        if not isinstance(value, types.ModuleType) and name != "annotations":
            yield name, value


def page_of(module: str, value: Any) -> str:
    """The page of a value that is first found in a module."""
    if module != "weftwork":
        name = module.removeprefix("weftwork.")
        return ALIKE.get(name, name.replace(".", "_"))
    home = str(getattr(value, "__module__", "")).removeprefix("weftwork.")
    return next(page for page, (_, homes) in SUBJECTS.items() if any(home == at or home.startswith(at) for at in homes))


def entries() -> list[Entry]:
    """Every public name, once for each thing that it stands for; sorted by name."""
    found: dict[Any, Entry] = {}
    for module, place in modules().items():
        for name, value in names(place):
            full = f"{module}.{name}"
            same = id(value) if callable(value) else full
            entry = found.setdefault(same, Entry(full, value, page_of(module, value)))
            if full in HEADINGS:
                entry.name, full = full, entry.name
            if full != entry.name:
                entry.others.append(full)
    return sorted(found.values(), key=lambda entry: entry.name.lower())


def titles() -> dict[str, str]:
    """{page: its title}, in the order of the site."""
    pages = {page: title for page, (title, _) in SUBJECTS.items()}
    for entry in entries():
        pages.setdefault(entry.page, f"weftwork.{entry.page}")
    return pages


def index(link: bool = False) -> str:
    """The list of all names, as Markdown. link: to the pages, which only the site has."""
    found = entries()
    count = sum(1 + len(entry.others) for entry in found)
    lines = ["# Reference: all public names", ""]
    lines += wrapped(
        f"Made by `python -m docs.reference`: {count} names for {len(found)} things. The site (`make docs`) has a page "
        "for each heading below, with the signature and the docstring of each name; in Python `help(name)` shows the "
        "same. Names in parentheses are further names of the thing before them."
    )
    for page, title in titles().items():
        lines += [f"## {title}", "", f"Documented in [{title}]({page}.md)." if link else f"Page: `api/{page}`.", ""]
        here = [entry for entry in found if entry.page == page]
        lines += wrapped(", ".join(listed(entry, link) for entry in here) + ".")
    return "\n".join(lines).rstrip() + "\n"


def short(name: str) -> str:
    return name.removeprefix("weftwork.")


def listed(entry: Entry, link: bool) -> str:
    """A name as the index shows it, with its other names."""
    others = ", ".join(f"`{short(name)}`" for name in entry.others)
    return (linked(entry, entry.name) if link else f"`{short(entry.name)}`") + (f" ({others})" if others else "")


def linked(entry: Entry, name: str) -> str:
    """A link from one page of the reference to where an entry is described."""
    return f"[`{short(name)}`]({entry.page}.md" + (f"#{entry.name})" if callable(entry.value) else ")")


def wrapped(text: str) -> list[str]:
    """A paragraph of the page."""
    return [*textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False), ""]


def pages() -> dict[str, str]:
    """{path in docs/: Markdown} of the reference's pages."""
    found = entries()
    return {f"api/{page}.md": "\n".join([f"# {title}", "", *body(page, found)]) for page, title in titles().items()}


def body(page: str, found: list[Entry]) -> Iterator[str]:
    """What stands below a page's title."""
    here = [entry for entry in found if entry.page == page]
    module = modules().get(f"weftwork.{page}")
    if module is not None and page not in SUBJECTS:
        yield from [markdown(inspect.getdoc(module) or ""), ""]
        elsewhere = [
            linked(entry, name)
            for entry in found
            for name in entry.others
            if entry.page != page and name.rpartition(".")[0] == module.__name__
        ]
        if elsewhere:
            yield from ["Described with other names: " + ", ".join(sorted(elsewhere)) + ".", ""]
    plain = [entry for entry in here if not callable(entry.value)]
    if plain:
        yield from ["Constants: " + ", ".join(f"`{entry.name}`" for entry in plain) + ".", ""]
    for entry in here:
        if callable(entry.value):
            yield from described(entry)


def described(entry: Entry) -> Iterator[str]:
    """The section of an entry: heading, signature and text; for a class, its members too."""
    yield from [f"## {entry.name} {{#{entry.name}}}", "", *code(short(entry.name), entry.value)]
    yield from [markdown(inspect.getdoc(entry.value) or ""), "", *shared(entry.value)]
    yield from used(entry)
    if entry.others:
        yield from ["Also " + ", ".join(f"`{name}`" for name in entry.others) + ".", ""]
    if inspect.isclass(entry.value):
        for name, member in members(entry.value):
            yield from [f"### {entry.name.rpartition('.')[2]}.{name}", "", *code(name, member)]
            yield from [markdown(inspect.getdoc(member) or ""), ""]


def used(entry: Entry) -> Iterator[str]:
    """A line of a program that uses the name, unless its docstring has an example."""
    use = use_of([entry.name, *entry.others])
    if use is not None and not has_example(entry.value):
        yield from [f"For example, in `{use.path}`:", "", "```python", use.text, "```", ""]


def has_example(value: Any) -> bool:
    """True if the docstring ends in lines of code, or has some between its paragraphs."""
    return re.search(r"\n\n {4,}\S", inspect.getdoc(value) or "") is not None


@functools.cache
def parameters() -> dict[str, str]:
    """{name: what it means} of the parameters that many functions share, from docs/parameters.md."""
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", PARAMETERS.read_text(), re.MULTILINE)
    return {name: meaning for names, meaning in rows for name in re.findall(r"`(\w+)`", names)}


def undescribed(value: Any) -> list[str]:
    """The parameters that a docstring does not mention."""
    made = value.__init__ if inspect.isclass(value) else value
    try:
        names = [name for name, one in inspect.signature(made).parameters.items() if one.kind not in _REST]
    except (TypeError, ValueError):
        return []
    text = f"{inspect.getdoc(value)} {made.__doc__}"
    return [name for name in names if name != "self" and not re.search(rf"\b{re.escape(name)}\b", text)]


_REST = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def shared(value: Any) -> Iterator[str]:
    """The parameters that a docstring leaves out, because many functions have them."""
    known = [name for name in undescribed(value) if name in parameters()]
    if known:
        listed = ", ".join(f"`{name}`" for name in known)
        yield from [f"As in [other functions](../parameters.md): {listed}.", ""]


def members(kind: type) -> list[tuple[str, Any]]:
    """The methods and properties of a class that have a docstring of their own, except those that all messages have."""
    ours = [base for base in kind.__mro__ if base.__module__.startswith("weftwork") and base.__name__ != "Message"]
    return [
        (name, value)
        for name, value in inspect.getmembers(kind)
        if not name.startswith("_")
        and (callable(value) or isinstance(value, property))
        and any(name in vars(base) for base in ours)
        and (inspect.getdoc(value) or "").strip()
    ]


def code(name: str, value: Any) -> list[str]:
    """The signature, as a block of code; empty if there is none."""
    if not callable(value):
        return []
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return []
    shown = [
        re.sub(r"=<.*>$", "=...", str(one.replace(annotation=inspect.Parameter.empty)))
        for one in parameters
        if one.name != "self"
    ]
    line = f"{name}({', '.join(shown)})"
    return ["```python", *textwrap.wrap(line, 100, subsequent_indent=" " * 4, break_long_words=False), "```", ""]


PARAMETER = re.compile(r"^(\*{0,2}[a-z_]\w*(?:, \*{0,2}[a-z_]\w*)*): (?=\S)")


def markdown(text: str) -> str:
    """A docstring as Markdown: lines that begin with `name: ` are a list, indented lines are code."""
    lines: list[str] = []
    for line in re.sub(r"(?<=\S) {3,}(?=\*{0,2}[a-z_]\w*: \S)", "\n", text).splitlines():
        begins = PARAMETER.match(line)
        if not begins and lines and lines[-1].startswith("- ") and lines[-1].endswith("."):
            lines.append("")
        if line.startswith("    "):
            lines += ["", line] if lines and lines[-1].strip() and not lines[-1].startswith("    ") else [line]
        elif begins:
            lines += [""] if lines and lines[-1].strip() and not lines[-1].startswith("- ") else []
            lines.append(f"- `{begins[1]}`: {escaped(line[begins.end() :])}")
        else:
            lines.append(escaped(line))
    return "\n".join(lines)


def escaped(line: str) -> str:
    """Escape a line of text so that only backticks have a meaning in Markdown."""
    parts = line.split("`")
    parts[::2] = [re.sub(r"([*_\[\]])", r"\\\1", part).replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


if __name__ == "__main__":
    INDEX.write_text(index())
