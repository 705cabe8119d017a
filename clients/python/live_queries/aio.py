"""Live queries for asyncio: `async for rows in live(...)`.

A connection is kept up by a task of its own, so `rows` and `state` are current whether somebody waits or not. All of it
belongs to one event loop. Timeouts are asyncio's (`asyncio.wait_for`), and cancelling what waits disturbs nothing else.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, AsyncIterator, Mapping, Sequence, Union

import psycopg

from .calls import Call, Change, LiveQueryState
from .client import BaseConnection, BaseLiveQuery, check_includes, logger
from .commands import NEVER, Times
from .errors import LiveQueryError
from .parameters import texts_of_params
from .rows import Row

Conninfo = Union[str, "psycopg.AsyncConnection[Any]", "psycopg.Connection[Any]"]


class LiveQuery(BaseLiveQuery):
    """A live query. Iterating gives its rows, and again whenever they have changed, the newest ones to who is slow."""

    def __init__(self, connection: Connection, state: LiveQueryState, owns_connection: bool) -> None:
        super().__init__(state)
        self._connection = connection
        self._owns_connection = owns_connection
        self._entered = False
        self._waiting: set[asyncio.Future[None]] = set()

    async def ready(self) -> tuple[Row, ...]:
        """Waits until it is live. Raises its error if it ends before."""
        while self.state != "live":
            if self._state.is_over:
                raise self._state.reason()
            await self._next_change()
        return self.rows

    async def __aiter__(self) -> AsyncIterator[tuple[Row, ...]]:
        """Ends when it is closed, and raises its error when it ends otherwise."""
        seen = 0
        try:
            while True:
                if self._version > seen:
                    seen = self._version
                    yield self.rows
                elif self.state == "error":
                    raise self._state.reason()
                elif self._state.is_over:
                    return
                else:
                    await self._next_change()
        finally:
            # `async for rows in live(...)` leaves nobody who could close it.
            if self._owns_connection and not self._entered:
                self._connection.close()

    async def set_params(self, params: Sequence[Any]) -> None:
        """Other parameters. Waits until the server has accepted them; the rows change with a message that follows."""
        await self._connection._wait_for(self._connection._core.set_params(self._state, texts_of_params(params)))

    async def includes(self, xid: int) -> None:
        """Waits until that transaction (a number that pg_current_xact_id() told) is in the rows."""
        check_includes(self._state)
        await self._connection._wait_for(self._connection._core.includes(self._state, int(xid)))

    def close(self) -> None:
        """At once; the server is told by the connection's task."""
        self._connection._core.close(self._state)
        self._connection._notice()

    async def __aenter__(self) -> LiveQuery:
        self._entered = True
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.close()
        if self._owns_connection:
            await self._connection.aclose()

    async def _next_change(self) -> None:
        change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(change)
        try:
            await change
        finally:
            self._waiting.discard(change)

    def _tell(self, change: Change) -> None:
        super()._tell(change)
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)


class Connection(BaseConnection):
    """One connection to the server, and the live queries on it, which show one point in time."""

    def __init__(self, conninfo: Conninfo = "", *, times: Times = Times(), batch: int = 1000, **parameters: Any) -> None:
        """`conninfo` and `parameters` as psycopg.connect takes them; or a connection of psycopg, in autocommit, to be used."""
        super().__init__(conninfo, times, batch, parameters)
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    def live(
        self,
        sql: str,
        params: Sequence[Any] = (),
        *,
        throttle: Any = None,
        refresh_every: Any = None,
        initial: Mapping[str, Any] | None = None,
    ) -> LiveQuery:
        """Another live query on this connection. Called where an event loop runs."""
        return self._add(sql, params, throttle, refresh_every, initial, False)

    def _add(self, sql: str, params: Sequence[Any], throttle: Any, refresh_every: Any, initial: Any, owns: bool) -> LiveQuery:
        query = LiveQuery(self, self._make(sql, params, throttle, refresh_every, initial), owns)
        loop = asyncio.get_running_loop()
        self._register(query, time.monotonic())
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._work())
        self._notice()
        return query

    def close(self) -> None:
        """Closes all live queries at once; the task does the rest by itself."""
        self._close_all()
        self._notice()

    async def aclose(self) -> None:
        """Closes all live queries, and the connection if it is not lent."""
        self.close()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=self._closing_time)
            self._task.cancel()
        self._transport.close()

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    # ---- input and output

    def _notice(self) -> None:
        """Something was asked of the core: its changes are told, and its task has a look."""
        self._tell_changes()
        self._forget_ended()
        self._wake.set()

    async def _wait_for(self, call: Call) -> None:
        self._notice()
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        call.when_over = lambda: None if over.done() else over.set_result(None)
        try:
            if not call.is_over:
                await over
        finally:
            self._core.cancel(call)
        if call.error is not None:
            raise call.error

    async def _work(self) -> None:
        """Until no live query is left. An error here is one of this package, and ends them all."""
        job: asyncio.Future[Any] | None = None
        try:
            while not self._core.is_idle:
                started = self._transport.start()
                if started is not None:
                    if job is not None:
                        job.add_done_callback(_finish_opened)
                    job = asyncio.get_running_loop().run_in_executor(None, started)
                if self._core.is_idle:
                    break
                await self._wait(job)
                if job is not None and job.done():
                    self._transport.finish(job.result())
                    job = None
                self._transport.pump()
                self._core.tick(time.monotonic())
                self._tell_changes()
                self._forget_ended()
        except asyncio.CancelledError:
            self._transport.close()
            raise
        except Exception as error:
            logger.exception("a connection of live queries has failed")
            self._transport.close()
            self._core.fail(LiveQueryError(f"{type(error).__name__}: {error}"))
            self._tell_changes()
        finally:
            if job is not None:
                job.add_done_callback(_finish_opened)

    async def _wait(self, job: asyncio.Future[Any] | None) -> None:
        """For the network, the next time of the core, what the application asks, or a job in a thread."""
        loop = asyncio.get_running_loop()
        wake = self._wake
        read, write = self._transport.wants
        fileno = self._transport.fileno
        if fileno >= 0 and read:
            loop.add_reader(fileno, wake.set)
        if fileno >= 0 and write:
            loop.add_writer(fileno, wake.set)
        if job is not None:
            job.add_done_callback(lambda _: wake.set())
        until = self._core.next_time()
        timer = None if until == NEVER else loop.call_later(max(0.0, until - time.monotonic()), wake.set)
        try:
            await wake.wait()
            wake.clear()
        finally:
            if timer is not None:
                timer.cancel()
            if fileno >= 0:
                loop.remove_reader(fileno)
                loop.remove_writer(fileno)


def _finish_opened(job: asyncio.Future[Any]) -> None:
    """A connection that nobody waits for any more."""
    if not job.cancelled() and job.exception() is None and hasattr(job.result(), "finish"):
        job.result().finish()


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
    """A live query on a connection of its own: `async for rows in live("dbname=shop", "SELECT ...", [42])`."""
    return Connection(conninfo, **options)._add(sql, params, throttle, refresh_every, initial, True)
