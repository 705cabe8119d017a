"""A result as plain data, with which another live query can begin: docs/client.md, "Initial data". Pure.

Plain JSON has neither Decimal nor whole numbers that every reader keeps. So a row with such a number is given with texts in
their place, and its own JSON text beside it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Mapping, Sequence

from .json_text import key_text, parse, text_of

_EVERY_READER_KEEPS = 2**53 - 1


def _plain(value: Any) -> Any:
    """The value with texts for what is no plain JSON; itself, if there is none."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, int) and abs(value) > _EVERY_READER_KEEPS:
        return str(value)
    if isinstance(value, list):
        items = [_plain(item) for item in value]
        return items if any(new is not old for new, old in zip(items, value)) else value
    if isinstance(value, Mapping):
        members = {name: _plain(member) for name, member in value.items()}
        return members if any(members[name] is not value[name] for name in value) else value
    return value


def _restored(value: Any, exact: Any) -> Any:
    """The value with the numbers of `exact` where it has texts."""
    if isinstance(value, str):
        is_number = isinstance(exact, (int, Decimal)) and not isinstance(exact, bool)
        return exact if is_number else value
    if isinstance(value, list) and isinstance(exact, list) and len(value) == len(exact):
        return [_restored(item, other) for item, other in zip(value, exact)]
    if isinstance(value, Mapping) and isinstance(exact, Mapping):
        return {name: _restored(member, exact.get(name)) for name, member in value.items()}
    return value


def plain_data(rows: Sequence[Any], keys: Sequence[str], seq: str | None, history: str | None) -> dict[str, Any]:
    """Of rows as a live query shows them: what json.dumps takes."""
    given = [_plain(row) for row in rows]
    exact = {str(place): text_of(row) for place, (row, new) in enumerate(zip(rows, given)) if new is not row}
    data = {"rows": given, "keys": list(keys), "seq": seq, "history": history}
    return {**data, "exact": exact} if exact else data


def initial_rows(data: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The rows as they were, whichever client has given them, with their keys."""
    exact = data.get("exact") or {}
    rows = [
        _restored(row, parse(exact[str(place)])) if str(place) in exact else row for place, row in enumerate(data["rows"])
    ]
    return [(key_text(key), row) for key, row in zip(data["keys"], rows)]
