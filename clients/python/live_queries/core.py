"""The state machine of one connection and its live queries, without any input or output.

Its owner, a shell that does the input and output, tells it what has happened and what time it is, carries out the
command that is on its way (`command`), and comes back by `next_time()` at the latest (`tick`). docs/client.md is what this
does; clients/conformance is what holds it to that.
"""

from __future__ import annotations

import random as random_numbers
from collections import deque
from dataclasses import replace
from typing import Any, Callable, Sequence

from .calls import Call, Change, LiveQueryState, Phase
from .commands import LONG, NEVER, Answer, Command, SnapshotBatch, Subscribed, Times, WaitedFor, Waits
from .errors import LiveQueryClosed, LiveQueryError
from .message import Message, parse_message
from .point import Point
from .rows import Difference, DoesNotFit
from .starting import start_something

_SUBSCRIBES_ANEW = ("0A000", "54000", "55000")  # of live.set_params
_HAS_ENDED = "55000"  # of live.refresh
_IS_GONE = "34000"  # of live.snapshot


class Core:
    def __init__(
        self,
        times: Times = Times(),
        *,
        now: float = 0.0,
        batch: int = 1000,
        many: int = 100,
        lent: bool = False,
        random: Callable[[], float] = random_numbers.random,
    ) -> None:
        self.command: Command | None = None
        self.batch = batch
        self._many = many
        self._times = times
        self._now = now
        self._lent = lent
        self._connected = lent
        self._queries: list[LiveQueryState] = []
        self._changes: list[tuple[LiveQueryState, Change]] = []
        self._deadline = NEVER  # of the command's answer
        self._heard = now
        self._inbox: deque[str | bytes] = deque()
        self._point = Point()
        self._connecting = Waits(times, random)
        self._connected_at = now if lent else NEVER
        self._connect_at = now
        self._refreshing = Waits(times, random)
        self._refresh_at = NEVER
        self._progress_wanted = False
        self._progress_set = False
        self._ask_what_was_told = False
        self._next_id = 1

    # ---- what the owner asks

    def next_time(self) -> float:
        """When `tick` has something to do."""
        if self.command is not None:
            return min(self._deadline, self._refresh_at)
        if not self._open_queries():
            return NEVER
        if not self._connected:
            return self._connect_at
        return min(self._refresh_at, self._heard + self._times.heartbeat)

    @property
    def is_idle(self) -> bool:
        """Nothing is on its way, or would be without something new."""
        return self.command is None and not self._open_queries()

    def take_changes(self) -> list[tuple[LiveQueryState, Change]]:
        """The visible changes since the last time, in their order."""
        changes, self._changes = self._changes, []
        return changes

    # ---- what has happened

    def tick(self, now: float) -> None:
        """It is later now."""
        self._now = now
        if self.command is not None and now >= self._deadline:
            self._lose(LiveQueryError(f"no answer to {self.command.kind}"), disconnect=True)
        if now >= self._refresh_at:
            self._refresh_at = NEVER
            for query in self._queries:
                if query.phase is Phase.RESET:
                    query.phase = Phase.TO_REFRESH
        self._go_on()

    def answered(self, answer: Answer, now: float) -> None:
        """The command on its way has succeeded."""
        command, self.command, self._deadline = self.command, None, NEVER
        assert command is not None
        self._now = now
        self._heard = now
        if command.kind == "subscribe_many":
            self._subscribed_many(command, answer)
        elif command.query is not None:
            self._answered_of(command.query, command.kind, answer)
        elif command.kind == "connect":
            self._connected = True
            self._connected_at = now
        elif command.kind == "progress":
            self._progress_set = True
        elif command.kind == "wait_for" and isinstance(answer, WaitedFor) and answer.told:
            self._empty_inbox()
            self._told_up_to(Message("progress", snapshot=answer.snapshot))
        self._empty_inbox()
        if command.kind == "ping" and self._point.has_ended:
            self._apply_point()
        self._go_on()

    def refused(self, error: LiveQueryError, now: float) -> None:
        """The command on its way has failed, with the server's error, or for want of a network."""
        command, self.command, self._deadline = self.command, None, NEVER
        assert command is not None
        self._now = now
        self._heard = now
        self._refuse(command, error)
        self._empty_inbox()
        self._go_on()

    def notified(self, payload: str | bytes, now: float) -> None:
        """A notification came on the channel of the connection."""
        self._now = now
        self._heard = now
        self._inbox.append(payload)
        if self.command is None:
            self._empty_inbox()
            self._go_on()

    def lost(self, error: LiveQueryError, now: float) -> None:
        """The connection is no more."""
        self._now = now
        self._lose(error)
        self._go_on()

    def fail(self, error: LiveQueryError) -> None:
        """Ends all live queries with that error."""
        self.command, self._deadline = None, NEVER
        self._connected = False
        for query in self._open_queries():
            self._end(query, "error", error, error)
        self._queries = []

    # ---- what the application does

    def add(self, query: LiveQueryState) -> None:
        query.id = f"q{self._next_id}"
        self._next_id += 1
        if not self._open_queries() and not self._connected and self.command is None:
            self._connect_at = self._now
        self._queries.append(query)
        self._go_on()

    def close(self, query: LiveQueryState) -> None:
        if query.state == "closed":
            return
        self._end(query, "closed", query.error, LiveQueryClosed("the live query was closed"))
        self._point.leave_out(query)
        self._go_on()

    def set_params(self, query: LiveQueryState, params: Sequence[str | None]) -> Call:
        call = Call()
        if query.is_over:
            call.fail(query.reason())
            return call
        query.params = tuple(params)
        if query.phase is Phase.LIVE:
            query.param_calls.append(call)
        else:
            query.live_calls.append(call)
            self._begin_again(query)
        self._go_on()
        return call

    def includes(self, query: LiveQueryState, xid: int) -> Call:
        call = Call()
        if query.is_over:
            call.fail(query.reason())
            return call
        query.include_calls.append((xid, call))
        self._progress_wanted = True
        if query.phase is Phase.LIVE:
            self._ask_what_was_told = True
        self._go_on()
        return call

    def cancel(self, call: Call, error: BaseException | None = None) -> None:
        """Nobody waits for that call any more."""
        call.cancel(error)
        for query in self._queries:
            query.forget_finished_calls()

    # ---- answers

    def _answered_of(self, query: LiveQueryState, kind: str, answer: Any) -> None:
        if kind == "subscribe":
            self._subscribed(query, answer)
        elif kind == "snapshot":
            self._read(query, answer)
        elif kind == "refresh":
            # What came before this answer is of the time before.
            self._empty_inbox()
            if query.phase is Phase.REFRESHING:
                query.phase = Phase.READING
                query.batches = []
        elif kind == "set_params":
            query.params_accepted()
        elif kind == "unsubscribe":
            query.on_server = query.leaves = False

    def _subscribed_many(self, command: Command, answers: Any) -> None:
        for query, answer in zip(command.queries, answers):
            self._subscribed(query, answer)

    def _subscribed(self, query: LiveQueryState, answer: Subscribed) -> None:
        query.on_server = True
        query.alone = False
        if query.is_over or query.phase is not Phase.SUBSCRIBING:
            query.leaves = True
            return
        query.phase = Phase.READING
        query.batches = []
        query.strategy = answer.strategy
        query.next_seq = answer.seq
        query.next_history = answer.history
        query.next_columns = answer.columns

    def _read(self, query: LiveQueryState, batch: SnapshotBatch) -> None:
        if query.phase is not Phase.READING:
            return
        query.batches += batch
        if len(batch) == self.batch:
            return
        self._show(query, "live", None, query.take_first_result())
        query.refreshed_at = self._now
        for call in query.live_calls:
            call.succeed()
        query.live_calls = []
        if query.include_calls:
            self._ask_what_was_told = True

    def _refuse(self, command: Command, error: LiveQueryError) -> None:
        query = command.query
        if query is not None and self._is_expected(query, command.kind, error):
            return
        if command.kind == "subscribe_many" and (error.sqlstate or self._lent):
            for each in command.queries:
                if each.phase is Phase.SUBSCRIBING:
                    each.phase = Phase.NEW
            return
        was_live = query.was_live if query is not None else any(q.was_live for q in self._open_queries())
        if not self._lent and error.passes(was_live):
            self._lose(error, disconnect=command.kind != "connect")
        elif query is None:
            self._refuse_connection(command, error)
        elif command.kind == "unsubscribe":
            query.on_server = query.leaves = False
        elif command.kind == "set_params":
            query.params_refused(error)
        elif query.is_over or (command.kind == "subscribe" and query.phase is not Phase.SUBSCRIBING):
            pass  # nobody asks for that any more
        else:
            # What has no first result, or no new one, is still there.
            self._end(query, "error", error, error)

    def _is_expected(self, query: LiveQueryState, kind: str, error: LiveQueryError) -> bool:
        """Refusals that say what is to be done."""
        if kind == "refresh" and error.sqlstate == _HAS_ENDED:
            if query.phase is Phase.REFRESHING:
                query.phase = Phase.ENDING
            return True
        if kind == "snapshot" and error.sqlstate == _IS_GONE:
            self._reset(query, error)
            return True
        if kind == "set_params" and error.sqlstate in _SUBSCRIBES_ANEW:
            query.wait_to_be_live()
            if query.phase is Phase.LIVE:
                self._show(query, "stale", error)
                self._begin_again(query)
            return True
        return False

    def _refuse_connection(self, command: Command, error: LiveQueryError) -> None:
        if command.kind in ("connect", "ping"):
            for query in self._open_queries():
                self._end(query, "error", error, error)
            return
        self._progress_set = True
        for query in self._open_queries():
            for _, call in query.include_calls:
                call.fail(error)
            query.include_calls = []

    # ---- messages

    def _empty_inbox(self) -> None:
        while self._inbox:
            payload = self._inbox.popleft()
            try:
                message = parse_message(payload)
            except ValueError as error:
                for each in self._queries:
                    self._reset(each, LiveQueryError(f"a message of the server could not be read: {error}"))
                self._point.forget()
                continue
            if message.type == "progress":
                self._told_up_to(message)
                continue
            query = self._by_id(message.subscription_id)
            if message.type == "changes":
                for other in message.others:
                    self._gather(self._by_id(other), replace(message, more=True))
                self._gather(query, message)
            elif query is not None and message.type == "reset":
                query.next_seq = message.seq or query.next_seq
                self._reset(query, LiveQueryError(f"changes could not be kept: {message.reason}"))
                self._point.throw_away(query)
            elif query is not None and message.type == "terminated":
                query.on_server = False
                if not query.is_over:
                    self._end(query, "error", *[LiveQueryError(message.reason, message.code)] * 2)
                self._point.throw_away(query)

    def _by_id(self, subscription_id: str) -> LiveQueryState | None:
        return next((query for query in self._queries if query.id == subscription_id), None)

    def _gather(self, query: LiveQueryState | None, message: Message) -> None:
        self._point.go_on()
        if query is not None and query.phase is Phase.LIVE:
            self._point.add(query, message)
        elif query is not None and query.phase is Phase.READING:
            # Nothing is told before the first result has been read: something is wrong.
            self._reset(query, LiveQueryError("a message came before the first result was read"))
        if not message.more:
            self._apply_point()

    def _told_up_to(self, message: Message) -> None:
        self._point.snapshots.append(message.snapshot)
        if self._point.is_empty:
            self._apply_point()

    def _apply_point(self) -> None:
        of_query, snapshots = self._point.take()
        for query in list(self._queries):
            messages = of_query.get(id(query))
            if not messages or query.phase is not Phase.LIVE:
                continue
            try:
                difference = query.take_changes(messages)
            except DoesNotFit as error:
                query.next_seq = messages[-1].seq or query.next_seq
                self._reset(query, LiveQueryError(f"a message does not fit the result: {error}"))
                continue
            query.seq = messages[-1].seq or query.seq
            self._show(query, "live", None, difference)
        for snapshot in snapshots:
            self._note_snapshot(snapshot)

    def _note_snapshot(self, snapshot: str) -> None:
        for query in self._queries:
            if query.phase is Phase.LIVE:
                query.take_snapshot(snapshot)

    # ---- what becomes of a live query

    def _reset(self, query: LiveQueryState, error: LiveQueryError) -> None:
        if query.phase not in (Phase.LIVE, Phase.READING):
            return
        query.phase = Phase.RESET
        query.batches = []
        if self._refresh_at == NEVER:
            if query.refreshed_at is not None and self._now - query.refreshed_at >= self._times.calm:
                self._refreshing.tries = 0
            self._refresh_at = self._now + self._refreshing.next()
        self._show(query, "stale" if query.state == "live" else query.state, error)
        if query.param_calls or query.sent_calls:
            query.wait_to_be_live()
            self._begin_again(query)

    def _begin_again(self, query: LiveQueryState) -> None:
        """A new subscription, instead of what is there or on its way."""
        if query.phase is Phase.ENDING:
            return
        query.phase = Phase.NEW
        query.leaves = query.on_server
        query.batches = []
        self._point.leave_out(query)

    def _end(self, query: LiveQueryState, state: str, error: LiveQueryError | None, reason: LiveQueryError) -> None:
        query.phase = Phase.OVER
        query.leaves = query.on_server
        query.batches = []
        self._show(query, state, error)
        for call in query.take_calls():
            call.fail(reason)

    def _lose(self, error: LiveQueryError, disconnect: bool = False) -> None:
        was_connected = self._connected
        self.command, self._deadline = None, NEVER
        self._inbox.clear()
        self._point.forget()
        self._progress_set = False
        self._ask_what_was_told = False
        self._refresh_at = NEVER
        self._connected = False
        for query in self._queries:
            query.on_server = query.leaves = False
            if query.is_over:
                continue
            if self._lent:
                self._end(query, "error", error, error)
                continue
            query.phase = Phase.NEW
            query.batches = []
            query.wait_to_be_live()
            self._show(query, "stale" if query.state == "live" else query.state, error)
        if self._lent:
            return
        if was_connected and self._now - self._connected_at >= self._times.calm:
            self._connecting.tries = 0
        self._connect_at = self._now + self._connecting.next()
        if disconnect:
            self.command = Command("disconnect")

    def _show(
        self, query: LiveQueryState, state: str, error: LiveQueryError | None, difference: Difference = Difference()
    ) -> None:
        """Another state, error or rows; a visible change, if one of these differs."""
        if query.show(state, error) or difference:
            self._changes.append((query, Change(state, difference)))

    # ---- what to do next

    def _open_queries(self) -> list[LiveQueryState]:
        return [query for query in self._queries if not query.is_over]

    def _go_on(self) -> None:
        self._queries = [query for query in self._queries if not query.is_over or query.on_server or self._concerns(query)]
        if not self._open_queries() and not self._lent:
            # The end of the connection ends the subscriptions: no need to ask for that.
            busy = self._connected or (self.command is not None and self.command.kind == "connect")
            if busy:
                self._connected = False
                self._inbox.clear()
                self._point.forget()
                self._progress_set = False
                self.command, self._deadline = Command("disconnect"), NEVER
            for query in self._queries:
                query.on_server = query.leaves = False
            return
        if self.command is not None:
            return
        command = self._next_command()
        if command is None:
            return
        self.command = command
        if command.kind != "disconnect":
            self._deadline = self._now + (self._times.long_answer if command.kind in LONG else self._times.answer)

    def _concerns(self, query: LiveQueryState) -> bool:
        return self.command is not None and (self.command.query is query or query in self.command.queries)

    def _next_command(self) -> Command | None:
        if not self._connected:
            is_due = not self._lent and bool(self._open_queries()) and self._now >= self._connect_at
            return Command("connect") if is_due else None
        if self._point.may_have_ended:
            self._point.ask()
            return Command("ping")
        for query in self._queries:
            if query.leaves:
                return Command("unsubscribe", query)
        if self._progress_wanted and not self._progress_set and self._open_queries():
            return Command("progress")
        for query in self._queries:
            if query.phase is Phase.READING:
                return Command("snapshot", query)
        return start_something(self._queries, self._many) or self._ask_something()

    def _ask_something(self) -> Command | None:
        if self._ask_what_was_told:
            self._ask_what_was_told = False
            if any(query.phase is Phase.LIVE and query.include_calls for query in self._queries):
                return Command("wait_for")
        if self._now - self._heard >= self._times.heartbeat and self._open_queries():
            return Command("ping")
        return None
