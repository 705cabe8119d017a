"""Finds out whether a pooler stands before the server that gives each transaction another connection.

Through such a one (PgBouncer with pool_mode = transaction) subscribing succeeds, and then nothing is ever told. That
cannot be seen from the server; but a client can: the process that it reaches is not the one that its connection began
with, and another client reaches that one too.
"""

from __future__ import annotations

import select
import time

import psycopg
from psycopg import pq

from .errors import LiveQueryError

ASK = "SELECT pg_backend_pid()"

ERROR = LiveQueryError(
    "a pooler gives each transaction another connection, so live queries cannot work through it",
    "0A000",
    hint="Let it give each session one connection (PgBouncer: pool_mode = session), or connect to the server itself.",
)


def _wait(pgconn: pq.abc.PGconn, for_reading: bool, end: float) -> bool:
    read, write = ([pgconn.socket], []) if for_reading else ([], [pgconn.socket])
    return any(select.select(read, write, [], max(0.0, end - time.monotonic())))


def _connect(conninfo: str, end: float) -> pq.abc.PGconn | None:
    pgconn = pq.PGconn.connect_start(conninfo.encode())
    status = pq.PollingStatus.WRITING
    while pgconn.status != pq.ConnStatus.BAD and status in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
        if not _wait(pgconn, status == pq.PollingStatus.READING, end):
            break
        status = pq.PollingStatus(pgconn.connect_poll())
    if status == pq.PollingStatus.OK:
        return pgconn
    pgconn.finish()
    return None


def shares_processes(conninfo: str, pid: int, seconds: float) -> bool:
    """Whether another client reaches the process of that number, while the first one is not in a transaction.

    Waits, so it is for a thread. False if nothing is known within the time.
    """
    end = time.monotonic() + seconds
    pgconn = None
    try:
        pgconn = _connect(conninfo, end)
        if pgconn is None:
            return False
        pgconn.send_query(ASK.encode())
        while pgconn.is_busy():
            if not _wait(pgconn, True, end):
                return False
            pgconn.consume_input()
        result = pgconn.get_result()
        return result is not None and result.status == pq.ExecStatus.TUPLES_OK and int(result.get_value(0, 0) or 0) == pid
    except (psycopg.Error, OSError, ValueError):
        return False
    finally:
        if pgconn is not None:
            pgconn.finish()
