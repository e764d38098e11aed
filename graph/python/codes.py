"""Analysis of a code object: the names that it looks up, rebinds, mutates and passes on (`following`)."""

from __future__ import annotations

from types import CodeType

from weftwork.graph.python.following import Follower
from weftwork.graph.python.origins import ROOT_SELF, UNKNOWN, Call, Change, Origin, Passing, Path, Root, joined

_ASKING = frozenset(
    """getattr hasattr vars __dict__ __getattribute__ attrgetter methodcaller getattr_static
    agg aggregate apply transform""".split()
)
"""Functions, and methods of frames, that take the name of an attribute as text, or give a dict of attributes."""


class Facts:
    """The facts about a code object and those nested in it.

    globals, attributes, imports: names.   stored_globals, stored_free: names that it rebinds.   changes: mutations.
    stores: names of attributes that it sets on anything.   asks: (root, attribute) that it reads from roots.
    looks: (root, path) of attributes that it gets to from its names, such as `os.path.sep`.
    named: (root, path) of texts by which it imports modules.
    passings: calls that get what it refers to as arguments.   returns: origins of what it returns or yields.
    """

    def __init__(self, code: CodeType):
        self.code = code
        self.globals: list[str] = []
        self.imports: list[str] = []
        self.stored_globals: set[str] = set()
        self.stored_free: set[str] = set()
        self.changes: set[Change] = set()
        self.stores: set[str] = set()
        self.asks: set[tuple[Root, str]] = set()
        self.looks: set[Origin] = set()
        self.named: set[Origin] = set()
        self.passings: set[Passing] = set()
        self.returns: set[Origin] = set()
        attributes: set[str] = set()
        follower = Follower(self, code, attributes)
        follower.follow()
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                self._take(facts_of(inner), follower)
        self.globals = list(dict.fromkeys(self.globals))
        self.imports = list(dict.fromkeys(self.imports))
        if not _ASKING.isdisjoint(attributes.union(self.globals)):
            attributes.update([text for text in code.co_consts if type(text) is str and text.isidentifier()])
        self.attributes = frozenset(attributes)

    def _take(self, inner: Facts, around: Follower) -> None:
        """Merge the facts of a nested function, class or comprehension."""
        self.globals += inner.globals
        self.imports += inner.imports
        self.stored_globals |= inner.stored_globals
        self.stores |= inner.stores
        self.asks |= inner.asks
        self.looks |= inner.looks
        self.stored_free |= inner.stored_free & around.free
        for change in inner.changes:
            for root, path in around.origins_of(change.root):
                whole = joined(path, without_given(change.path))
                if whole is not None:
                    self.changes.add(change._replace(root=root, path=whole))
        for root, path in inner.named:
            self.named.update([(each, first + path) for each, first in around.origins_of(root)] or [UNKNOWN])
        for passing in inner.passings:
            given = [(at, *known, path) for at, root, path in passing.given for known in around.origins_of(root)]
            whole = [(at, root, joined(first, without_given(rest))) for at, root, first, rest in given]
            known = tuple([(at, root, path) for at, root, path in whole if path is not None])
            for root, path in around.origins_of(passing.root) if known else ():
                called = joined(path, passing.path)
                if called is not None:
                    self.passings.add(Passing(root, called, known))
        around.attributes.update(inner.attributes)

    def of(self, code: CodeType) -> Facts:
        """The facts about a function that the code defines."""
        return facts_of(code)


def without_given(path: Path) -> Path:
    """A path for other code: the arguments of its calls have no origin there."""
    return tuple([Call() if type(step) is Call else step for step in path])


_facts: dict[int, Facts] = {}
_MOST_KNOWN = 4096


def facts_of(code: CodeType) -> Facts:
    """The facts about a code object, cached."""
    facts = _facts.get(id(code))
    if facts is None or facts.code is not code:
        if len(_facts) >= _MOST_KNOWN:
            _facts.clear()
        facts = _facts[id(code)] = Facts(code)
    return facts


def changes_arguments(code: CodeType) -> bool:
    """True for code that changes one of its arguments in place, or a part of one."""
    return any([change.root[0] in ("local", ROOT_SELF[0]) for change in facts_of(code).changes])
