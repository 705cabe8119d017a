"""What goes wrong with a live query."""

from __future__ import annotations


# Classes of SQLSTATE that pass by themselves; the second ones, once the live query has been live.
_PASSES = ("08", "40", "53", "57")
_PASSES_LATER = ("55", "58")


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

    def passes(self, was_live: bool) -> bool:
        """Whether what was refused may succeed when it is tried again: docs/client.md, "Refusals"."""
        if self.sqlstate is None:
            return True
        return self.sqlstate.startswith(_PASSES) or (was_live and self.sqlstate.startswith(_PASSES_LATER))

    def __str__(self) -> str:
        more = [f"{name}: {text}" for name, text in (("DETAIL", self.detail), ("HINT", self.hint)) if text]
        return "\n".join([self.message, *more])


class LiveQueryClosed(LiveQueryError):
    """Something was asked of a live query that the application has closed."""
