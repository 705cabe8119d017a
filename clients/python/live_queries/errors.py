"""What goes wrong with a live query."""

from __future__ import annotations


class LiveQueryError(Exception):
    """A refusal or an end that the server told, or a connection that is lost.

    `sqlstate` is None where it is not the server that says so.
    """

    def __init__(self, message: str, sqlstate: str | None = None, detail: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate
        self.detail = detail
        self.hint = hint

    def __str__(self) -> str:
        more = [f"{name}: {text}" for name, text in (("DETAIL", self.detail), ("HINT", self.hint)) if text]
        return "\n".join([self.message, *more])


class LiveQueryClosed(LiveQueryError):
    """Something was asked of a live query that the application has closed."""
