"""Parameters of a query as the texts that the server takes. Pure."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from typing import Any, Sequence
from uuid import UUID


def _in_array(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, (list, tuple)):
        return _array(value)
    return '"' + str(text_of_param(value)).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _array(values: Sequence[Any]) -> str:
    return "{" + ",".join(map(_in_array, values)) + "}"


def text_of_param(value: Any) -> str | None:
    """None is NULL, a list an array, a dict JSON; a string is taken as it is, whatever the type of its parameter."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal, UUID)):
        return str(value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "\\x" + bytes(value).hex()
    if isinstance(value, (list, tuple)):
        return _array(value)
    if isinstance(value, dict):
        return json.dumps(value)
    raise TypeError(f"a parameter of type {type(value).__name__}: give it as text, as PostgreSQL writes it")


def texts_of_params(values: Sequence[Any]) -> tuple[str | None, ...]:
    if isinstance(values, (str, bytes)):
        raise TypeError("parameters are a list or a tuple")
    return tuple([text_of_param(value) for value in values])


def interval(value: Any) -> str:
    """Seconds, a timedelta, or PostgreSQL's text."""
    return f"{value} seconds" if isinstance(value, (int, float)) else str(text_of_param(value))
