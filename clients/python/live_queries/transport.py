"""Carries out a core's commands on a socket that never blocks, by psycopg's binding of libpq.

Shared by the two shells, which only wait: `wants` says for what, and `pump` does all that can be done then. psycopg's own
cursors are not used, since they wait for an answer without end.
"""

from __future__ import annotations

import json
import logging
from typing import Any, Callable

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from . import pooler
from .commands import Answer, Command, Subscribed, WaitedFor
from .core import Core
from .errors import LiveQueryError
from .json_text import parse

logger = logging.getLogger("live_queries")

_PROGRESS = "100ms"
_OLDEST = (3, 2, 4)
_POOLER_SECONDS = 3.0
_NO_SUCH_LIVE_QUERY = "42704"
_Diagnostic = pq.DiagnosticField

Job = Callable[[], Any]


def check_psycopg(version: str = psycopg.__version__) -> None:
    """Raises ImportError for a psycopg that loses notifications which come along with the answer to a command."""
    numbers = []
    for part in version.split(".")[:3]:
        digits = "".join(character for character in part if character.isdigit())
        numbers.append(int(digits or 0))
    if tuple(numbers) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise ImportError(f"live_queries needs psycopg {oldest} or later: this is {version}, which loses notifications")


def check_lent(connection: psycopg.BaseConnection[Any]) -> pq.abc.PGconn:
    """Of a connection that the application has made: what libpq knows of it. Raises ValueError if it is of no use."""
    if connection.closed or connection.info.transaction_status != pq.TransactionStatus.IDLE or not connection.autocommit:
        raise ValueError("a connection that is lent has to be idle and in autocommit: inside a transaction nothing is told")
    if connection.info.encoding != "utf-8":
        raise ValueError("a connection that is lent has to have client_encoding UTF8")
    return connection.pgconn


def array_literal(params: tuple[str | None, ...]) -> str:
    """PostgreSQL's text form of an array of texts."""

    def item(text: str | None) -> str:
        if text is None:
            return "NULL"
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return "{" + ",".join(map(item, params)) + "}"


def statement(command: Command, batch: int) -> tuple[str, list[str | None]]:
    """The SQL of a command, and its parameters."""
    query = command.query
    if query is None:
        if command.kind == "subscribe_many":
            return "SELECT strategy, seq, history, columns FROM live.subscribe_many($1::jsonb)", [_definitions(command)]
        if command.kind == "progress":
            return f"SET live_queries.progress_interval = '{_PROGRESS}'", []
        if command.kind == "wait_for":
            return "SELECT pg_current_snapshot(), live.wait_for(timeout => '5s')", []
        return pooler.ASK, []
    if command.kind == "subscribe":
        arguments: list[str | None] = [query.id, query.sql, array_literal(command.params)]
        named = ""
        for name, value in query.options.items():
            arguments.append(value)
            named += f", {name} => ${len(arguments)}::interval"
        return f"SELECT strategy, seq, history, columns FROM live.subscribe($1, $2, $3::text[]{named})", arguments
    if command.kind == "snapshot":
        return 'SELECT key, "row" FROM live.snapshot($1, $2::int)', [query.id, str(batch)]
    if command.kind == "set_params":
        return "SELECT live.set_params($1, $2::text[])", [query.id, array_literal(command.params)]
    return f"SELECT live.{command.kind}($1)", [query.id]


def _definitions(command: Command) -> str:
    """Of the live queries that it begins, as live.subscribe_many takes them."""
    definitions = [
        {"subscription_id": query.id, "query": query.sql, "params": query.accepted_params, **query.options} for query in command.queries
    ]
    return json.dumps(definitions, ensure_ascii=False)


def answer_of(command: Command, rows: list[list[str]]) -> Answer:
    if command.kind in ("subscribe", "subscribe_many"):
        subscribed = [Subscribed(strategy, seq, history, parse(columns)) for strategy, seq, history, columns in rows]
        return subscribed if command.kind == "subscribe_many" else subscribed[0]
    if command.kind == "snapshot":
        return [(key, parse(row)) for key, row in rows]
    if command.kind == "wait_for":
        return WaitedFor(rows[0][0], rows[0][1] == "t")
    return None


class Transport:
    """One connection of a core; made again as often as the core says."""

    def __init__(self, core: Core, conninfo: str, parameters: dict[str, Any], lent: pq.abc.PGconn | None, clock: Callable[[], float]) -> None:
        self._core = core
        self._clock = clock
        self._conninfo = conninfo
        self._parameters = parameters
        self._lent = lent
        self._pgconn = lent
        self._started: Command | None = None
        self._polling: pq.PollingStatus | None = None
        self._must_flush = False
        self._result: pq.abc.PGresult | None = None
        self._job: Job | None = None
        self._pid = 0  # of the process that the connection reaches, if that is not the one that it began with

    # ---- for the shell

    @property
    def fileno(self) -> int:
        """Of the socket to wait for; -1: there is none."""
        if self._pgconn is None or self._pgconn.status == pq.ConnStatus.BAD:
            return -1
        try:
            return self._pgconn.socket
        except psycopg.Error:
            return -1

    @property
    def wants(self) -> tuple[bool, bool]:
        """Whether to wait until the socket can be read, and until it can be written to."""
        if self._polling is not None:
            return self._polling == pq.PollingStatus.READING, self._polling == pq.PollingStatus.WRITING
        return True, self._must_flush

    def start(self) -> Job | None:
        """Begins the command on its way, if that is another one. What is returned waits: it is to be called, in a thread or not,
        and its result given to `finish`."""
        while self._core.command is not self._started:
            self._started = command = self._core.command
            self._result = None
            self._job = None
            if command is None:
                break
            if command.kind == "disconnect":
                self._disconnect()
                self._core.answered(None, self._clock())
            elif command.kind == "connect":
                self._disconnect()
                self._job = self._open
            else:
                self._send(*statement(command, self._core.batch))
        job, self._job = self._job, None
        return job

    def finish(self, result: Any) -> None:
        """Goes on with what a job returned, if that is still wanted."""
        wanted = self._core.command is self._started and self._started is not None and self._started.kind == "connect"
        if isinstance(result, bool):
            if wanted and result:
                self._disconnect()
                self._core.refused(pooler.ERROR, self._clock())
            elif wanted:
                self._core.answered(None, self._clock())
        elif isinstance(result, LiveQueryError):
            if wanted:
                self._core.refused(result, self._clock())
        elif not wanted:
            result.finish()
        else:
            self._opened(result)

    def pump(self) -> None:
        """Does what can be done without waiting."""
        if self._pgconn is None:
            return
        try:
            if self._polling is not None:
                self._go_on_connecting()
                return
            if self._must_flush:
                self._must_flush = self._pgconn.flush() == 1
            self._pgconn.consume_input()
            self._take_input()
        except psycopg.Error as error:
            # What came before the end is told before it.
            self._take_notifications()
            self._lose(str(error))

    def close(self) -> None:
        """For good, and not in an orderly way."""
        if self._lent is None:
            self._disconnect()
        self._pgconn = None

    # ---- connecting

    def _open(self) -> pq.abc.PGconn | LiveQueryError:
        """Begins to connect. Changes nothing here, so that it may run in a thread: libpq looks up names, and waits for that."""
        try:
            return pq.PGconn.connect_start(self._whole_conninfo().encode())
        except psycopg.Error as error:
            return LiveQueryError(str(error).strip())

    def _whole_conninfo(self) -> str:
        defaults = {"fallback_application_name": "live_queries", "client_encoding": "UTF8"}
        return make_conninfo(self._conninfo, **{**defaults, **self._parameters})

    def _opened(self, pgconn: pq.abc.PGconn) -> None:
        self._pgconn = pgconn
        self._pid = 0
        if pgconn.status == pq.ConnStatus.BAD:
            self._refuse_connection()
            return
        pgconn.notice_handler = _notice
        self._polling = pq.PollingStatus.WRITING

    def _go_on_connecting(self) -> None:
        assert self._pgconn is not None
        self._polling = pq.PollingStatus(self._pgconn.connect_poll())
        if self._polling == pq.PollingStatus.OK:
            self._polling = None
            self._pgconn.nonblocking = 1
            self._send(pooler.ASK, [])
        elif self._polling == pq.PollingStatus.FAILED:
            self._refuse_connection()

    def _refuse_connection(self) -> None:
        """libpq tells of a refused connection no SQLSTATE: it is looked for in the text."""
        assert self._pgconn is not None
        text = self._pgconn.error_message.decode("utf-8", "replace").strip()
        self._disconnect()
        self._core.refused(LiveQueryError(text, _sqlstate_of_refusal(text)), self._clock())

    def _disconnect(self) -> None:
        self._polling = None
        self._must_flush = False
        pgconn, self._pgconn = self._pgconn, None
        if pgconn is not None and pgconn is not self._lent:
            pgconn.finish()

    # ---- commands

    def _send(self, sql: str, arguments: list[str | None]) -> None:
        try:
            if self._pgconn is None:
                raise psycopg.OperationalError("the connection is closed")
            values = [None if value is None else value.encode() for value in arguments]
            self._pgconn.send_query_params(sql.encode(), values)
            self._must_flush = self._pgconn.flush() == 1
        except psycopg.Error as error:
            self._lose(str(error))

    def _take_input(self) -> None:
        """Results before notifications: what was told before an answer is looked at after it anyway."""
        assert self._pgconn is not None
        command = self._core.command
        done = False
        while command is not None and command is self._started and not self._pgconn.is_busy():
            result = self._pgconn.get_result()
            if result is None:
                done = True
                break
            if self._result is None or result.status == pq.ExecStatus.FATAL_ERROR:
                self._result = result
        self._take_notifications()
        if done and command is not None:
            self._answer(command)

    def _take_notifications(self) -> None:
        while self._pgconn is not None:
            notification = self._pgconn.notifies()
            if notification is None:
                return
            self._core.notified(notification.extra, self._clock())

    def _answer(self, command: Command) -> None:
        result, self._result = self._result, None
        assert self._pgconn is not None
        if result is None:
            return
        if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            rows = _rows(result)
            if command.kind == "connect":
                self._connected_to(int(rows[0][0]))
            elif command.kind == "ping" and self._pid and int(rows[0][0]) != self._pid:
                self._core.refused(pooler.ERROR, self._clock())
            else:
                self._core.answered(answer_of(command, rows), self._clock())
            return
        error = _error(result)
        if self._pid and error.sqlstate == _NO_SUCH_LIVE_QUERY:
            error = pooler.ERROR
        if self._pgconn.status == pq.ConnStatus.BAD:
            self._lose(error.message)
        else:
            self._core.refused(error, self._clock())

    def _connected_to(self, pid: int) -> None:
        assert self._pgconn is not None
        if pid == self._pgconn.backend_pid:
            self._core.answered(None, self._clock())
            return
        self._pid = pid
        conninfo = self._whole_conninfo()
        self._job = lambda: pooler.shares_processes(conninfo, pid, _POOLER_SECONDS)

    def _lose(self, reason: str) -> None:
        self._disconnect()
        self._started = None
        self._core.lost(LiveQueryError(reason.strip() or "the connection was closed"), self._clock())


def _rows(result: pq.abc.PGresult) -> list[list[str]]:
    columns = range(result.nfields)
    return [[(result.get_value(row, column) or b"").decode() for column in columns] for row in range(result.ntuples)]


def _error(result: pq.abc.PGresult) -> LiveQueryError:
    def of(diagnostic: pq.DiagnosticField) -> str | None:
        value = result.error_field(diagnostic)
        return value.decode("utf-8", "replace") if value else None

    message = of(_Diagnostic.MESSAGE_PRIMARY) or result.error_message.decode("utf-8", "replace").strip()
    return LiveQueryError(message, of(_Diagnostic.SQLSTATE), of(_Diagnostic.MESSAGE_DETAIL), of(_Diagnostic.MESSAGE_HINT))


# What libpq says of a refusal is the server's text, in the server's language; these are refusals that no retry cures.
_REFUSALS = (
    ("28P01", "password authentication failed"),
    ("28000", "no pg_hba.conf entry"),
    ("28000", 'role "'),
    ("28P01", "no password supplied"),
    ("3D000", 'database "'),
)


def _sqlstate_of_refusal(text: str) -> str | None:
    for sqlstate, phrase in _REFUSALS:
        if phrase in text and (not phrase.endswith('"') or "does not exist" in text):
            return sqlstate
    return None


def _notice(result: pq.abc.PGresult) -> None:
    """Such as that the server waits for older transactions."""
    error = _error(result)
    logger.info("%s", ". ".join(filter(None, (error.message, error.detail, error.hint))))
