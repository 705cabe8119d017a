"""The writers.

Owns: the thread that runs random transactions: savepoints, rollbacks, prepared transactions, every kind of
statement. What fails for a good reason (a key that is there, a lock that is not to be had) is rolled back. What
was done is kept by transaction id for a report; what is true is read from the log, see reference.py.
"""

import re
import threading
import time
from collections import OrderedDict

import psycopg2

import migrations
import relations
import rows
import schema
import statements
from gate import Actor
from server import clashed

# unique, check, not null and the like; serialization, deadlock; lock timeout; twice in one command; no prepared slot
EXPECTED = ("23", "40", "55P03", "21000", "53400", "57014")
# and in a migration: no key to conflict with, a cursor of a client's on the table
EXPECTED_IN_MIGRATION = EXPECTED + ("42P10", "55006")
KEPT = 3000
READ_COMMITTED = "READ COMMITTED"
LONG_LOCK = 0.1  # seconds; the decoder waits for more than this, but several locks may follow each other
LONG = re.compile(r"(?<=[A-Za-z0-9+/]{20})[A-Za-z0-9+/]{40,}")  # the middle of a long random text


class WriteLog:
    """What each transaction did, for the reader of a report; the last ones only. Shared by the writers."""

    def __init__(self):
        self.texts = OrderedDict()
        self.lock = threading.Lock()

    def add(self, xid, text):
        """Keeps the text of a transaction."""
        with self.lock:
            self.texts[xid] = text
            while len(self.texts) > KEPT:
                self.texts.popitem(last=False)

    def get(self, xid):
        """Returns the text of a transaction."""
        return self.texts.get(xid, "(not kept)")


class Alterations:
    """When which table's definition was changed, or who may see it. Shared by the writers."""

    def __init__(self):
        self.spans = []  # (table name, from, to)
        self.lock = threading.Lock()

    def add(self, name, since, until):
        """Notes a transaction that did so, at least for a while."""
        with self.lock:
            self.spans.append((name, since, until))

    def between(self, names, since, until):
        """Tells whether one of the tables was being altered at some time between."""
        with self.lock:
            return any(name in names and begun <= until and ended >= since for name, begun, ended in self.spans)


class Prepared:
    """Prepared transactions that wait for whoever ends them. Shared by the writers."""

    def __init__(self, enabled):
        self.enabled = enabled
        self.names = []
        self.lock = threading.Lock()

    def add(self, name):
        """Leaves one to be ended later."""
        with self.lock:
            self.names.append(name)

    def take(self, rng):
        """Returns one to end now, or None."""
        with self.lock:
            return self.names.pop(rng.randrange(len(self.names))) if self.names else None


class Writer(Actor):
    """One writer with one connection."""

    def __init__(self, name, world, gate):
        super().__init__(name, world, gate)
        self.connection = world.server.database()
        self.done = []    # texts of the open transaction
        self.locked = {}  # the tables that it truncates: name -> since when
        self.isolation = READ_COMMITTED
        self.prepared = 0
        with self.connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '500ms'")
            cursor.execute("SET deadlock_timeout = '50ms'")

    def act(self):
        """Writes a transaction, and now and then ends a prepared one or vacuums."""
        if self.rng.random() < self.world.options.migrations:
            self._migration()
        else:
            self._transaction()
        self.world.pace.between(self.rng)
        if self.rng.random() < 0.25:
            self._end_prepared(self.world.prepared.take(self.rng))
        if self.rng.random() < 0.01:
            self._vacuum()

    def close(self):
        """Closes the connection; to be called when the thread has ended."""
        self.connection.close()

    def _transaction(self):
        self.done = []
        try:
            self.isolation = self.rng.choice([READ_COMMITTED] * 4 + ["REPEATABLE READ", "SERIALIZABLE"])
            self._execute("BEGIN ISOLATION LEVEL %s" % self.isolation)
            self._execute("SET LOCAL synchronous_commit = %s" % self.rng.choice(["on", "off", "local"]))
            self._block(0)
            self._end()
        except psycopg2.Error as error:
            self._check_expected(error)
            self.world.count("transactions failed")
            self._execute("ROLLBACK")
        self._unlocked()

    def _migration(self):
        """A transaction that changes a table's definition on its way."""
        self.done, self.isolation = [], READ_COMMITTED
        name = self.rng.choice(migrations.TABLES)
        since = time.monotonic()
        try:
            self._execute("BEGIN")
            migrations.Migration(self.rng, self._execute, self._ask, self._statement).perform(name)
            self._end(prepare=False)
            self.world.count("migrations")
        except psycopg2.Error as error:
            self._check_expected(error, EXPECTED_IN_MIGRATION)
            self.world.count("migrations failed")
            self._execute("ROLLBACK")
        self.world.altered.add(self.world.tables[name].name, since, time.monotonic())
        self.locked = {}

    def _unlocked(self, late=False):
        """Notes which tables nobody could look at for long; late: a prepared transaction keeps them."""
        for name, since in self.locked.items():
            if late or time.monotonic() - since > LONG_LOCK:
                self.world.locked.add(name)
        self.locked = {}

    def _vacuum(self):
        """Removes what is dead at once: old rows, and the long values that only a decoder still wants."""
        table = self.world.tables[self.rng.choice(list(self.world.tables))]
        try:
            self._execute("VACUUM %s" % table.sql)
        except psycopg2.Error as error:
            self._check_expected(error)

    def _block(self, depth):
        for _ in range(self.rng.choice([1, 1, 1, 2, 3, 5])):
            if depth < 3 and self.rng.random() < 0.12:
                self._savepoint(depth)
            else:
                self._statement()
            self.world.pace.within(self.rng)

    def _savepoint(self, depth):
        name = "s%d" % self.rng.randint(0, 1)  # a name again hides the one before
        self._execute("SAVEPOINT %s" % name)
        try:
            self._block(depth + 1)
        except psycopg2.Error as error:
            self._check_expected(error)
            self._execute("ROLLBACK TO %s" % name)
            return
        self._execute("%s %s" % (self.rng.choice(["RELEASE", "ROLLBACK TO"]), name))

    def _statement(self, table=None):
        if table is None and self.world.relations and self.rng.random() < 0.1:
            for text in relations.transfer(self.rng):
                self._execute(text)
            return
        statement = statements.random_statement(self.rng, self.world.tables, table)
        if (any(self.world.journaled(name) for name in statement.truncates)
                and self.isolation != READ_COMMITTED):
            return  # it would empty what the journal's trigger cannot see
        self.done.append(rows.shorten(LONG.sub("…", statement.text), 1000))
        for name in statement.truncates:
            self.locked.setdefault(name, time.monotonic())
            self.world.truncated.add(name)
        with self.connection.cursor() as cursor:
            statement.run(cursor)

    def _end(self, prepare=True):
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id_if_assigned()::text")
            xid = int(cursor.fetchone()[0] or 0) & 0xFFFFFFFF
        choice = self.rng.random()
        if choice < 0.08:
            self._execute("ROLLBACK")
            self.world.count("transactions rolled back")
        elif choice < 0.2 and prepare and self.world.prepared.enabled:
            self.prepared += 1
            name = "%s %s %d" % (self.world.server.name, self.name, self.prepared)
            self._execute("PREPARE TRANSACTION %s" % schema.literal(name))
            self.world.count("transactions prepared")
            if self.rng.random() < 0.5:
                self._end_prepared(name)
            else:
                self._unlocked(late=True)
                self.world.prepared.add(name)
        else:
            self._execute("COMMIT")
        if xid:
            self.world.write_log.add(xid, "%s: %s" % (self.name, "; ".join(self.done)))

    def _end_prepared(self, name):
        if name is not None:
            self._execute("%s PREPARED %s" % (self.rng.choice(["COMMIT", "COMMIT", "ROLLBACK"]),
                                              schema.literal(name)))

    def _execute(self, text):
        self.done.append(text)
        with self.connection.cursor() as cursor:
            cursor.execute(text)

    def _ask(self, text):
        with self.connection.cursor() as cursor:
            cursor.execute(text)
            row = cursor.fetchone()
            return row and row[0]

    @staticmethod
    def _check_expected(error, expected=EXPECTED):
        if not clashed(error) and (error.pgcode is None or not error.pgcode.startswith(expected)):
            raise error
