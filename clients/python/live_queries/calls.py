"""What the core knows of a live query, and of the calls that wait for something of it. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Sequence

from .errors import LiveQueryClosed, LiveQueryError
from .initial import initial_rows
from .json_text import Floats, key_text
from .message import Message, sees
from .order import sort_key
from .rows import Difference, Rows


class Call:
    """Something that the application waits for."""

    def __init__(self) -> None:
        self.state = "waiting"
        self.error: BaseException | None = None
        self.when_over: Callable[[], None] | None = None

    @property
    def is_over(self) -> bool:
        return self.state != "waiting"

    def succeed(self) -> None:
        self._finish("done", None)

    def fail(self, error: BaseException) -> None:
        self._finish("failed", error)

    def cancel(self, error: BaseException | None) -> None:
        self._finish("cancelled", error)

    def _finish(self, state: str, error: BaseException | None) -> None:
        if self.is_over:
            return
        self.state, self.error = state, error
        if self.when_over is not None:
            self.when_over()


@dataclass(frozen=True)
class Change:
    """A visible change: the state that the live query has now, and by which rows the result differs from before."""

    state: str
    difference: Difference

    @property
    def entered(self) -> Sequence[str]:
        return self.difference.entered

    @property
    def changed(self) -> Sequence[str]:
        return self.difference.changed

    @property
    def left(self) -> Sequence[str]:
        return self.difference.left


class Phase(enum.Enum):
    """How far a live query is on its connection."""

    NEW = enum.auto()  # to be subscribed
    SUBSCRIBING = enum.auto()
    READING = enum.auto()  # the snapshot
    LIVE = enum.auto()
    RESET = enum.auto()  # waits to be refreshed, together with others
    TO_REFRESH = enum.auto()  # that wait is over
    REFRESHING = enum.auto()
    ENDING = enum.auto()  # has ended; its last message is yet to come
    OVER = enum.auto()  # its state is error or closed


class LiveQueryState:
    """A live query as the core keeps it: `rows`, `state`, `error` and `seq` are what is shown."""

    def __init__(self, sql: str, params: Sequence[str | None] = (), options: Mapping[str, str] | None = None) -> None:
        self.sql = sql
        self.params = tuple(params)
        self.options = dict(options or {})
        self.owner: Any = None  # the object of the shell
        self.id = ""
        self.state = "connecting"
        self.error: LiveQueryError | None = None
        self.rows = Rows()
        self.seq: str | None = None
        self.history: str | None = None
        self.columns: list[Mapping[str, Any]] = []
        self.strategy: str | None = None
        self.floats = Floats(())
        # What is under way.
        self.phase = Phase.NEW
        self.on_server = False
        self.leaves = False  # to be unsubscribed
        self.alone = False  # to be subscribed by a call of its own
        self.was_live = False
        self.refreshed_at: float | None = None
        self.batches: list[Any] = []
        self.next_seq: str | None = None
        self.next_history: str | None = None
        self.next_columns: list[Mapping[str, Any]] | None = None
        # Parameters that the server goes by, and those that it is told; the calls that wait for that to be sent, for its
        # answer, for the live query to be live, and for a transaction to be in it.
        self.accepted_params = self.params
        self.sent_params = self.params
        self.param_calls: list[Call] = []
        self.sent_calls: list[Call] = []
        self.live_calls: list[Call] = []
        self.include_calls: list[tuple[int, Call]] = []

    @property
    def is_over(self) -> bool:
        return self.phase is Phase.OVER

    def reason(self) -> LiveQueryError:
        """Why nothing can be asked of it any more."""
        return self.error if self.state == "error" and self.error else LiveQueryClosed("the live query was closed")

    def begin_with(self, data: Mapping[str, Any]) -> None:
        """What has been read already, before it is live (docs/client.md, "Initial data")."""
        self.rows.replace(initial_rows(data))
        self.seq, self.history = data.get("seq"), data.get("history")
        self.state = "stale"

    def show(self, state: str, error: LiveQueryError | None) -> bool:
        """Another state, or error; whether that can be seen."""
        before = self.state, self.error and self.error.message, self.error and self.error.sqlstate
        self.state, self.error = state, error
        return before != (state, error and error.message, error and error.sqlstate)

    def take_first_result(self) -> Difference:
        """It is live, with the rows of all batches."""
        batches, self.batches = self.batches, []
        if self.next_columns is not None:
            self.columns, self.next_columns = self.next_columns, None
            self.rows.sort_key = sort_key(self.columns)
            self.floats = Floats(self.columns)
            self.history = self.next_history
        self.seq = self.next_seq
        self.phase = Phase.LIVE
        self.was_live = True
        return self.rows.replace((key_text(key), self.floats.convert(row)) for key, row in batches)

    def take_changes(self, messages: Sequence[Message]) -> Difference:
        """Of one point. Raises DoesNotFit, and then nothing of it is applied."""
        for message in messages:
            for change in message.changes:
                if change.row is not None:
                    self.floats.convert(change.row)
        return self.rows.apply([message.changes for message in messages])

    def take_snapshot(self, snapshot: str) -> None:
        """All that it sees has been told."""
        for xid, call in self.include_calls:
            if sees(snapshot, xid):
                call.succeed()
        self.forget_finished_calls()

    def params_accepted(self) -> None:
        self.accepted_params = self.sent_params
        calls, self.sent_calls = self.sent_calls, []
        for call in calls:
            call.succeed()

    def params_refused(self, error: LiveQueryError) -> None:
        """The old ones go on, unless there are newer ones already."""
        if not self.param_calls:
            self.params = self.accepted_params
        calls, self.sent_calls = self.sent_calls, []
        for call in calls:
            call.fail(error)

    def wait_to_be_live(self) -> None:
        """The parameters come with a new subscription: calls that would have sent them wait for that."""
        self.live_calls += self.sent_calls + self.param_calls
        self.sent_calls, self.param_calls = [], []

    def forget_finished_calls(self) -> None:
        self.include_calls = [(xid, call) for xid, call in self.include_calls if not call.is_over]
        self.live_calls = [call for call in self.live_calls if not call.is_over]

    def take_calls(self) -> list[Call]:
        calls = [*self.param_calls, *self.sent_calls, *self.live_calls, *[call for _, call in self.include_calls]]
        self.param_calls, self.sent_calls, self.live_calls, self.include_calls = [], [], [], []
        return calls
