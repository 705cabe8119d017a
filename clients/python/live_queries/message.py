"""What the server tells: the payload of a notification. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .json_text import parse, text_of
from .rows import RowChange


@dataclass
class Message:
    """Members that the type does not have are as here."""

    type: str
    subscription_id: str = ""
    seq: str | None = None
    more: bool = False
    changes: list[RowChange] = field(default_factory=list)
    reason: str = ""
    code: str | None = None
    snapshot: str = ""
    others: list[str] = field(default_factory=list)  # the ids of further live queries that get the same changes


def _change(item: dict[str, Any]) -> RowChange:
    op = item["op"]
    if op == "clear":
        return RowChange("clear")
    if op not in ("insert", "update", "delete") or not isinstance(item["key"], list) or not isinstance(item["row"], dict):
        raise ValueError("no change of a row")
    position = item.get("position")
    if position is not None and not isinstance(position, int):
        raise ValueError("a position is a whole number")
    return RowChange(op, text_of(item["key"]), item["row"], position)


def parse_message(payload: str | bytes) -> Message:
    """Raises ValueError for what is none."""
    try:
        value = parse(payload)
        message = Message(
            value["type"],
            value.get("subscription_id", ""),
            value.get("seq"),
            value.get("more") is True,
            reason=value.get("reason", ""),
            code=value.get("code"),
            snapshot=value.get("snapshot", ""),
        )
        if message.type == "changes":
            if "subscription_ids" in value:
                message.subscription_id, *message.others = value["subscription_ids"]
            message.changes = [_change(item) for item in value["changes"]]
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a message: {error}") from error
    return message


def sees(snapshot: str, xid: int) -> bool:
    """Whether a snapshot, in the text form of pg_snapshot, sees a transaction as having ended."""
    xmin, xmax, running = snapshot.split(":")
    if xid < int(xmin):
        return True
    return xid < int(xmax) and str(xid) not in running.split(",")
