"""JSON without loss: every digit of a number is kept, and a key has one text.

Pure. Numbers with a fraction or an exponent are read as Decimal; Floats turns those of columns that hold binary
floating-point numbers, or JSON, into what json.loads would have given.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Iterable, Mapping

_TYPES_OF_FLOATS = ("real", "double precision", "json", "jsonb")


def parse(text: str | bytes) -> Any:
    """Raises ValueError for what is no JSON."""
    return json.loads(text, parse_float=Decimal)


def text_of(value: Any) -> str:
    """The JSON text of what parse returned, without blanks or needless escapes."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except TypeError:  # a Decimal somewhere
        pass
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{text_of(name)}:{text_of(item)}" for name, item in value.items()) + "}"
    return "[" + ",".join(map(text_of, value)) + "]"


def key_text(text: str | bytes) -> str:
    """The one text of a key that is JSON text already."""
    return text_of(parse(text))


def same(left: Any, right: Any) -> bool:
    """Whether two values are the same JSON: 1, 1.0 and true are three, though they are equal to Python."""
    return left is right or (left == right and repr(left) == repr(right))


class Floats:
    """Knows by a result's columns where a number is a float."""

    def __init__(self, columns: Iterable[Mapping[str, Any]]) -> None:
        self._names = [c["name"] for c in columns if str(c.get("type", "")).rstrip("[]") in _TYPES_OF_FLOATS]

    def convert(self, row: dict[str, Any]) -> dict[str, Any]:
        """Changes the row, and returns it."""
        for name in self._names:
            if name in row:
                row[name] = _with_floats(row[name])
        return row


def _with_floats(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list):
        return [_with_floats(item) for item in value]
    if isinstance(value, dict):
        return {name: _with_floats(item) for name, item in value.items()}
    return value
