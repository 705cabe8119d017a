"""What has been told of one point, until all of it is there: docs/client.md, "One point". Pure."""

from __future__ import annotations

from .calls import LiveQueryState
from .message import Message


class Point:
    def __init__(self) -> None:
        self.snapshots: list[str] = []  # of the messages of progress that are true once it is applied
        self._parts: list[tuple[LiveQueryState, Message]] = []
        # Whether it may have ended with what was thrown away: "", "open" or, where a ping is to find out, "asked".
        self._doubt = ""

    @property
    def is_empty(self) -> bool:
        return not self._parts

    @property
    def may_have_ended(self) -> bool:
        return self._doubt == "open"

    @property
    def has_ended(self) -> bool:
        """At the answer to the ping: no part has come since it was asked."""
        return self._doubt == "asked"

    def ask(self) -> None:
        self._doubt = "asked"

    def go_on(self) -> None:
        """A part has come: it has not ended."""
        self._doubt = ""

    def add(self, query: LiveQueryState, message: Message) -> None:
        self._parts.append((query, message))

    def leave_out(self, query: LiveQueryState) -> None:
        self._parts = [part for part in self._parts if part[0] is not query]

    def throw_away(self, query: LiveQueryState) -> None:
        """The parts of one that is reset or has ended; with it the point may have ended for the others."""
        self.leave_out(query)
        self._doubt = "open" if self._parts or self.snapshots else ""

    def forget(self) -> None:
        self.take()

    def take(self) -> tuple[dict[int, list[Message]], list[str]]:
        """The messages of each live query, by its id(), and the snapshots. Begins another point."""
        messages: dict[int, list[Message]] = {}
        for query, message in self._parts:
            messages.setdefault(id(query), []).append(message)
        snapshots = self.snapshots
        self._parts, self.snapshots, self._doubt = [], [], ""
        return messages, snapshots
