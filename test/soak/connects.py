"""Ways to come, to receive something, and to go."""

import select
import socket
import time

from world import Failed

WAYS = ["unsubscribes", "closes", "half_read", "uncommitted", "unread", "terminated", "hangs_up", "closes", "unsubscribes"]


class Visitor:
    """Opens connections one after the other, beside one of its own that writes what they are to receive."""

    def __init__(self, world):
        self.world = world
        self.writer = world.connect()

    def close(self):
        """Ends the writer."""
        self.writer.close()

    def visit(self, number):
        """One connection, from coming to going."""
        way = "spilled" if number % 50 == 0 else WAYS[number % len(WAYS)]
        owner = 100000 + number
        connection = self.world.connect()
        with connection.cursor() as cursor:
            if way == "uncommitted":
                cursor.execute("BEGIN")
            cursor.execute("SELECT live.subscribe('visit', 'SELECT id, body FROM soak_rows WHERE owner = $1', ARRAY[%s])",
                           (str(owner),))
            if way not in ("half_read", "uncommitted"):
                cursor.execute("SELECT count(*) FROM live.snapshot('visit')")
            if number % 3 == 0:
                cursor.execute("SELECT live.subscribe('other', 'SELECT * FROM soak_parts', \"snapshot\" => false)")
            getattr(self, "_" + way)(connection, cursor, owner)
        connection.close()

    def _write(self, owner, size=10):
        with self.writer.cursor() as cursor:
            cursor.execute("INSERT INTO soak_rows VALUES (nextval('soak_ids'), %s, 'visit', 1, repeat('x', %s))", (owner, size))
            cursor.execute("DELETE FROM soak_rows WHERE owner = %s", (owner,))

    def _receive(self, connection, owner):
        self._write(owner)
        deadline = time.monotonic() + 60
        while len([one for one in connection.notifies if '"visit"' in one.payload]) < 2:
            select.select([connection], [], [], 1)
            connection.poll()
            if time.monotonic() > deadline:
                raise Failed("no message for a new connection")

    def _unsubscribes(self, connection, cursor, owner):
        self._receive(connection, owner)
        cursor.execute("SELECT live.unsubscribe('visit')")

    def _closes(self, connection, cursor, owner):
        self._receive(connection, owner)

    def _half_read(self, connection, cursor, owner):
        self._write(owner)
        cursor.execute("SELECT count(*) FROM live.snapshot('visit', 1)")

    def _uncommitted(self, connection, cursor, owner):
        self._write(owner)

    def _unread(self, connection, cursor, owner):
        self._write(owner)

    def _terminated(self, connection, cursor, owner):
        self._receive(connection, owner)
        with self.writer.cursor() as other:
            other.execute("SELECT pg_terminate_backend(%s, 60000)", (connection.info.backend_pid,))

    def _hangs_up(self, connection, cursor, owner):
        self._receive(connection, owner)
        with socket.socket(fileno=connection.fileno()) as end:
            end.shutdown(socket.SHUT_RDWR)
            end.detach()

    def _spilled(self, connection, cursor, owner):
        """In a transaction it receives nothing: past live_queries.mailbox_size its messages wait in a file."""
        cursor.execute("BEGIN; SELECT 1")
        for _ in range(3):
            self._write(owner, 100000)
        self.world.caught_up()
