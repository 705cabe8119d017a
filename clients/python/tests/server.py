"""What tests on a real server share: the server is the one that libpq's environment names.

    test/run --with-server env PYTHONPATH=clients/python python3 -m unittest discover -s clients/python/tests
"""

import asyncio
import os
import pathlib
import subprocess
import sys
import time

import psycopg
from psycopg import sql as composing

from live_queries import aio, sync
from live_queries.json_text import parse, text_of

SECONDS = 120
CONFORMANCE = pathlib.Path(__file__).resolve().parents[2] / "conformance"


def execute(*statements):
    """Each in a transaction of its own."""
    with psycopg.connect("", autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def value(statement):
    """The first column of the only row."""
    with psycopg.connect("", autocommit=True) as connection:
        return connection.execute(statement).fetchone()[0]


def write(statement):
    """The number of the transaction that did it."""
    with psycopg.connect("") as connection:
        connection.execute(statement)
        return int(connection.execute("SELECT pg_current_xact_id()::text").fetchone()[0])


def result_now(statement, params=()):
    """The rows of a query, as a live query has them."""
    with psycopg.connect("") as connection:
        for number, param in enumerate(params, 1):
            statement = statement.replace(f"${number}", composing.Literal(param).as_string(connection))
        cursor = connection.execute(f"SELECT row_to_json(q)::text FROM ({statement}) q".encode())
        return [parse(row) for (row,) in cursor]


def texts(rows):
    return [text_of(row) for row in rows]


def is_equal(query, statement, params=()):
    """Whether a live query shows what its query returns now, in its order if it has one."""
    shown = texts(query.rows)
    now = texts(map(query._state.floats.convert, result_now(statement, params)))
    return shown == now if "ORDER BY" in statement else sorted(shown) == sorted(now)


class SyncShell:
    """Drives live queries as a program that waits."""

    def __init__(self, conninfo, **options):
        self.connection = sync.connect(conninfo, **options)

    def add(self, statement, params=(), **options):
        return self.connection.live(statement, params, **options)

    def add_all(self, definitions):
        return [self.add(statement, params, **options) for statement, params, options in definitions]

    def until(self, done, seconds=SECONDS):
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                return False
            self.connection.wait(0.05)
        return True

    def includes(self, query, xid):
        query.includes(xid, SECONDS)

    def set_params(self, query, params):
        query.set_params(params, SECONDS)

    def ready(self, query):
        return query.ready(SECONDS)

    def close(self):
        self.connection.close()


class AsyncShell:
    """The same by asyncio."""

    def __init__(self, conninfo, **options):
        self.loop = asyncio.new_event_loop()

        async def make():
            return aio.connect(conninfo, **options)

        try:
            self.connection = self.run(make())
        except ValueError:
            self.loop.close()
            raise

    def run(self, coroutine):
        return self.loop.run_until_complete(asyncio.wait_for(coroutine, SECONDS))

    def add(self, statement, params=(), **options):
        return self.add_all([(statement, params, options)])[0]

    def add_all(self, definitions):
        """With nothing in between."""

        async def add():
            return [self.connection.live(statement, params, **options) for statement, params, options in definitions]

        return self.run(add())

    def until(self, done, seconds=SECONDS):
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                return False
            self.loop.run_until_complete(asyncio.sleep(0.02))
        return True

    def includes(self, query, xid):
        self.run(query.includes(xid))

    def set_params(self, query, params):
        self.run(query.set_params(params))

    def ready(self, query):
        return self.run(query.ready())

    def close(self):
        self.run(self.connection.aclose())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


SHELLS = {"sync": SyncShell, "async": AsyncShell}


class Proxy:
    """clients/conformance/proxy.py, between a client and the server."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, str(CONFORMANCE / "proxy.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.port = int(self.process.stdout.readline().split()[1])

    @property
    def conninfo(self):
        return f"host=127.0.0.1 port={self.port} dbname={os.environ['PGDATABASE']} user={os.environ['PGUSER']} sslmode=disable gssencmode=disable"

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        assert self.process.stdout.readline() == "ok\n"

    def close(self):
        self.process.stdin.close()
        self.process.wait(SECONDS)
        self.process.stdout.close()
