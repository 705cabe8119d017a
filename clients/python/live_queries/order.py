"""How a query without LIMIT orders its rows, as far as the columns that it shows tell. Pure."""

from __future__ import annotations

from decimal import Decimal
from functools import total_ordering
from typing import Any, Callable, Mapping, Sequence

from .json_text import text_of

# Ranks of what is compared: nulls first or last, and between them numbers before texts (NaN and Infinity are texts).
_NULLS_FIRST, _NUMBER, _TEXT, _NULLS_LAST = 0, 1, 2, 3

SortKey = Callable[[Mapping[str, Any]], Any]


@total_ordering
class _Descending:
    """Compares the other way round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and bool(self.value == other.value)

    def __lt__(self, other: _Descending) -> bool:
        return bool(other.value < self.value)


def _sort_value(value: Any, descending: bool, nulls_first: bool) -> Any:
    if value is None:
        return (_NULLS_FIRST, 0) if nulls_first else (_NULLS_LAST, 0)
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return (_NUMBER if not descending else _TEXT, -value if descending else value)
    text = value if isinstance(value, str) else text_of(value)
    # Strings compare by their code points in Python, as the bytes of UTF-8 do.
    return (_NUMBER, _Descending(text)) if descending else (_TEXT, text)


def sort_key(columns: Sequence[Mapping[str, Any]]) -> SortKey | None:
    """What rows are compared by; None if no column tells."""
    by_place = {c["order"]: c for c in columns if "order" in c}
    terms: list[tuple[str, bool, bool]] = []
    # A place that no column has belongs to something that is not shown: what comes after it says nothing.
    while len(terms) in by_place:
        column = by_place[len(terms)]
        terms.append((column["name"], bool(column.get("descending")), bool(column.get("nulls_first"))))
    if not terms:
        return None

    def key(row: Mapping[str, Any]) -> Any:
        return tuple([_sort_value(row.get(name), descending, first) for name, descending, first in terms])

    return key
