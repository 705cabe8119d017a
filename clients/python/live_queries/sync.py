"""Live queries for programs that wait: `for rows in live(...)`.

A connection does its work while somebody waits on it, in iteration, `wait`, `ready`, `set_params` or `includes`, and
belongs to one thread. Only `stop` may be called from any other, or from a signal's handler.
"""

from __future__ import annotations

import selectors
import socket
import time
from typing import Any, Callable, Iterator, Mapping, Sequence, Union

import psycopg

from .calls import Call, LiveQueryState
from .client import BaseConnection, BaseLiveQuery, check_includes
from .commands import NEVER, Times
from .parameters import texts_of_params
from .rows import Row

Conninfo = Union[str, "psycopg.Connection[Any]"]


class LiveQuery(BaseLiveQuery):
    """A live query. Iterating gives its rows, and again whenever they have changed, the newest ones to who is slow."""

    def __init__(self, connection: Connection, state: LiveQueryState, owns_connection: bool) -> None:
        super().__init__(state)
        self._connection = connection
        self._owns_connection = owns_connection
        self._entered = False

    def ready(self, timeout: float | None = None) -> tuple[Row, ...]:
        """Waits until it is live. Raises its error if it ends before, and TimeoutError."""
        self._connection._wait_until(lambda: self.state == "live" or self._state.is_over, timeout)
        if self.state != "live":
            raise self._state.reason()
        return self.rows

    def __iter__(self) -> Iterator[tuple[Row, ...]]:
        """Ends when it is closed, and raises its error when it ends otherwise."""
        return self.iterate()

    def iterate(self, timeout: float | None = None) -> Iterator[tuple[Row, ...]]:
        """The same, which ends after that time, too, and leaves the live query as it is."""
        seen = 0
        deadline = NEVER if timeout is None else time.monotonic() + timeout
        try:
            while True:
                stopped = not self._connection._run(lambda: self._version > seen or self._state.is_over, deadline)
                if self._version > seen:
                    seen = self._version
                    yield self.rows
                elif self.state == "error":
                    raise self._state.reason()
                elif stopped or self._state.is_over:
                    return
        finally:
            # `for rows in live(...)` leaves nobody who could close it.
            if self._owns_connection and not self._entered:
                self._connection.close()

    def set_params(self, params: Sequence[Any], timeout: float | None = None) -> None:
        """Other parameters. Waits until the server has accepted them; the rows change with a message that follows."""
        self._connection._wait_for(self._connection._core.set_params(self._state, texts_of_params(params)), timeout)

    def includes(self, xid: int, timeout: float | None = None) -> None:
        """Waits until that transaction (a number that pg_current_xact_id() told) is in the rows."""
        check_includes(self._state)
        self._connection._wait_for(self._connection._core.includes(self._state, int(xid)), timeout)

    def close(self) -> None:
        self._connection._core.close(self._state)
        self._connection._step(0)

    def __enter__(self) -> LiveQuery:
        self._entered = True
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
        if self._owns_connection:
            self._connection.close()


class Connection(BaseConnection):
    """One connection to the server, and the live queries on it, which show one point in time."""

    def __init__(self, conninfo: Conninfo = "", *, times: Times = Times(), batch: int = 1000, **parameters: Any) -> None:
        """`conninfo` and `parameters` as psycopg.connect takes them; or a connection of psycopg, in autocommit, to be used."""
        super().__init__(conninfo, times, batch, parameters)
        self._wake_up, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._stopped = False

    def live(
        self,
        sql: str,
        params: Sequence[Any] = (),
        *,
        throttle: Any = None,
        refresh_every: Any = None,
        initial: Mapping[str, Any] | None = None,
    ) -> LiveQuery:
        """Another live query on this connection."""
        return self._add(sql, params, throttle, refresh_every, initial, False)

    def _add(self, sql: str, params: Sequence[Any], throttle: Any, refresh_every: Any, initial: Any, owns: bool) -> LiveQuery:
        state = self._make(sql, params, throttle, refresh_every, initial)
        query = LiveQuery(self, state, owns)
        self._register(query, time.monotonic())
        return query

    def wait(self, timeout: float | None = None) -> list[LiveQuery]:
        """Waits for visible changes: the live queries that have changed, at one moment; none after the time, or `stop`."""
        changed: list[LiveQuery] = []
        deadline = NEVER if timeout is None else time.monotonic() + timeout
        while not self._stopped:
            changed = self._step(deadline)
            if changed or time.monotonic() >= deadline or not self._queries:
                break
        return changed

    def stop(self) -> None:
        """Whatever waits on this connection ends, and nothing waits any more. From any thread, or a signal's handler."""
        self._stopped = True
        try:
            self._wake_up.send(b"x")
        except OSError:
            pass

    def close(self) -> None:
        """Closes all live queries, and the connection if it is not lent."""
        if self._stopped and self._woken.fileno() < 0:
            return
        self._stopped = False
        self._close_all()
        # A lent connection stays, so its subscriptions are ended one by one.
        self._run(lambda: self._core.is_idle, time.monotonic() + self._closing_time)
        self._transport.close()
        self._wake_up.close()
        self._woken.close()
        self._stopped = True

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # ---- input and output

    def _run(self, done: Callable[[], bool], deadline: float) -> bool:
        """False if it was not done by then, or is stopped."""
        while not done():
            if self._stopped or time.monotonic() >= deadline:
                return False
            self._step(deadline)
        return True

    def _wait_until(self, done: Callable[[], bool], timeout: float | None) -> None:
        if not self._run(done, NEVER if timeout is None else time.monotonic() + timeout):
            raise TimeoutError("stopped" if self._stopped else f"not within {timeout} s")

    def _wait_for(self, call: Call, timeout: float | None) -> None:
        try:
            self._wait_until(lambda: call.is_over, timeout)
        finally:
            self._core.cancel(call)
        if call.error is not None:
            raise call.error

    def _step(self, deadline: float) -> list[LiveQuery]:
        """Waits once, for the network, the next time of the core, or the deadline."""
        if self._stopped and self._woken.fileno() < 0:
            return []
        while (job := self._transport.start()) is not None:
            self._transport.finish(job())
        changed = self._tell_changes()
        now = time.monotonic()
        until = now if changed or self._core.is_idle else min(deadline, self._core.next_time())
        self._select(None if until == NEVER else max(0.0, until - now))
        self._transport.pump()
        self._core.tick(time.monotonic())
        changed += self._tell_changes()
        self._forget_ended()
        return changed

    def _select(self, timeout: float | None) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            read, write = self._transport.wants
            events = (selectors.EVENT_READ if read else 0) | (selectors.EVENT_WRITE if write else 0)
            if self._transport.fileno >= 0 and events:
                selector.register(self._transport.fileno, events)
            selector.select(timeout)
        try:
            self._woken.recv(100)
        except BlockingIOError:
            pass


def connect(conninfo: Conninfo = "", **options: Any) -> Connection:
    """A connection for several live queries. It is made with the first of them."""
    return Connection(conninfo, **options)


def live(
    conninfo: Conninfo,
    sql: str,
    params: Sequence[Any] = (),
    *,
    throttle: Any = None,
    refresh_every: Any = None,
    initial: Mapping[str, Any] | None = None,
    **options: Any,
) -> LiveQuery:
    """A live query on a connection of its own: `for rows in live("dbname=shop", "SELECT ...", [42])`."""
    return Connection(conninfo, **options)._add(sql, params, throttle, refresh_every, initial, True)
