"""Advice: sentences on what would make a run faster, based on its measurements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from weftwork.graph.drawing.words import bytes_text, time_text
from weftwork.graph.operation import Kind
from weftwork.scheduler.compile.folding import merge_key
from weftwork.scheduler.views.account import Account, label
from weftwork.scheduler.views.pieces import Piece

_MUCH = 0.1
"""Minimum fraction of the run that justifies advice."""
_LONG = 0.8
_SHORT = 1e-3
"""A node of fewer seconds is not worth a thread or process."""
_WAYS = ("hop", "Ray", "pickling")
_LARGE = 1e6
"""Minimum bytes of a value whose transfer is worth a sentence."""
NOTHING = "Nothing stands out: no share but the work itself takes a tenth of the run."


def advice(account: Account) -> list[str]:
    """Sentences on what would make the run faster, and by how much; or one that says that nothing stands out."""
    return [sentence for rule in _RULES for sentence in rule(account)] or [NOTHING]


def _is_much(account: Account, *names: str) -> float:
    """The seconds of some shares, or 0 if they are a small part of the run."""
    seconds = sum([account.shares.get(name, 0.0) for name in names])
    return seconds if seconds >= _MUCH * account.seconds else 0.0


def _percent(account: Account, seconds: float) -> str:
    return f"{100 * seconds / account.seconds:.0f} %"


def _one_chain(account: Account) -> Iterator[str]:
    work = account.shares.get("work", 0.0)
    if work >= _LONG * account.seconds and account.totals and len(account.pieces) > 1:
        longest = account.totals[0]
        yield (
            f"{_percent(account, work)} of the run is work on the critical path, each node of which waits for the one "
            f"before: more cores gain nothing. {longest.label} ({longest.line}) takes {time_text(longest.waited)} of "
            "it: make that faster, or split it into nodes that can run side by side."
        )


def _more_cores(account: Account) -> Iterator[str]:
    if not (seconds := _is_much(account, "waiting for a core")):
        return
    usual = _usual(account.pieces)
    if len({piece.lane for piece in account.pieces}) == 1 and usual < _SHORT:
        yield (
            f"For {_percent(account, seconds)} of the run nodes that could run side by side ran one after another. "
            f"Most of that went into nodes of about {time_text(usual)}, too little for another thread or process: do "
            "more in each."
        )
    else:
        yield f"{_percent(account, seconds)} of the run waited for a core. {_with_more(account)}"


def _usual(pieces: Sequence[Piece]) -> float:
    """The seconds of a node in which a typical moment of work was spent: many short nodes count by their sum."""
    spent = sum([piece.seconds for piece in pieces])
    return sum([piece.seconds**2 / max(1, len(piece.ops)) for piece in pieces]) / spent if spent else 0.0


def _with_more(account: Account) -> str:
    """What more cores could gain: no run is shorter than its longest chain, or its work on all cores."""
    mean, most = account.at_work
    work, chain = mean * account.seconds, account.chain
    longest = f"The longest chain of nodes that need each other takes {time_text(chain)}"
    if chain >= account.seconds or not most:
        return f"{longest}, so more cores gain nothing."
    best = {count: max(chain, work / count) for count in (2 * most, 4 * most)}
    more = f", and {time_text(best[4 * most])} with {4 * most}" if best[4 * most] < best[2 * most] else ""
    return (
        f"At most {most} node{'s' * (most != 1)} ran at a time; with {2 * most} at a time it would take "
        f"{time_text(best[2 * most])} at best{more}. {longest}."
    )


def _ways(account: Account) -> Iterator[str]:
    if not (seconds := _is_much(account, *_WAYS)):
        return
    yield f"{_percent(account, seconds)} of the run went into moving values and messages between processes."
    travelled = [span.piece for span in account.path if span.piece is not None and span.share in _WAYS]
    largest = max(travelled, key=lambda piece: piece.bytes_in + piece.bytes_out)
    if largest.bytes_in + largest.bytes_out < _LARGE:
        yield "The values are small, so it is the number of nodes that counts: do more in each."
        return
    yield (
        f"{label(largest.ops)} takes {bytes_text(largest.bytes_in)} and returns {bytes_text(largest.bytes_out)}: NumPy "
        "arrays travel fastest, and what is not needed should not be returned."
    )
    yield from _readers(account, max(account.pieces, key=lambda piece: piece.bytes_out))


def _readers(account: Account, maker: Piece) -> Iterator[str]:
    """Advice on the largest output, if other machines read it."""
    ops = set(maker.ops)
    far = [
        piece
        for piece in account.pieces
        if piece.lane.machine != maker.lane.machine and any(t.op in ops for op in piece.ops for t in op.inputs)
    ]
    if far and maker.bytes_out >= _LARGE:
        count = sum([len(piece.ops) for piece in far])
        yield (
            f"{label(maker.ops)} returns {bytes_text(maker.bytes_out)} that {count} node{'s' * (count > 1)} on another "
            "machine read: put them on one machine with `tf.device`, or return less."
        )


def _planning(account: Account) -> Iterator[str]:
    if seconds := _is_much(account, "planning"):
        yield (
            f"{_percent(account, seconds)} of the run was planning. Later runs of the same fetches reuse the "
            "plan: keep the graph and the session, and feed what changes."
        )


def _starting(account: Account) -> Iterator[str]:
    if seconds := _is_much(account, "starting"):
        yield (
            f"{_percent(account, seconds)} of the run waited for processes to start and to load functions. Later runs "
            "find them ready."
        )


def _locks(account: Account) -> Iterator[str]:
    if seconds := _is_much(account, "lock"):
        names = ", ".join(dict.fromkeys([event.text for event in account.of_kinds("locked") if event.text]))
        yield (
            f"{_percent(account, seconds)} of the run waited for variables that another run writes"
            f"{f' ({names})' if names else ''}: combine runs that write the same variables, or write less often."
        )


def _queues(account: Account) -> Iterator[str]:
    if seconds := _is_much(account, "queue"):
        yield f"{_percent(account, seconds)} of the run waited in queues: what fills or empties them is slower."


def _losses(account: Account) -> Iterator[str]:
    for event in account.of_kinds("lost"):
        yield f"A process died while running {label(event.ops) or 'its nodes'}, which ran again: {event.text}"


def _stayed(account: Account) -> Iterator[str]:
    for event in account.of_kinds("stayed"):
        yield f"{label(event.ops)} runs only in the caller: {event.text}"


def _pure(account: Account) -> Iterator[str]:
    """Advice on functions that were called with the same arguments more than once."""
    calls: dict[Any, list[Piece]] = {}
    for piece in account.pieces:
        for op in piece.ops if len(piece.ops) == 1 else ():
            if op.kind is Kind.FUNCTION and op.inputs:
                key = merge_key(op, tuple(map(id, op.inputs)))
                if key is not None:
                    calls.setdefault(key, []).append(piece)
    for again in calls.values():
        saved = sum([piece.seconds for piece in again[1:]])
        if len(again) > 1 and saved >= _MUCH * account.seconds:
            yield (
                f"{label(again[0].ops)} was called {len(again)} times with the same arguments: if it returns the same "
                f"each time, declare it pure, `tf.op(pure=True)`. Called once, it takes {time_text(saved)} less."
            )


_RULES = (_one_chain, _more_cores, _ways, _planning, _starting, _locks, _queues, _losses, _stayed, _pure)
