"""The server as the stages see it: a database of the soak's own, and connections that live as long as it does.

Owns: everything that has to be undone at the end, and undoes it.
"""

import os
import select
import threading
import time

import psycopg2
from psycopg2 import extensions

REST = 180  # seconds that everything has to come to rest
# So that messages go to files all the time.
SETTINGS = {"live_queries.mailbox_size": "64kB",
            # What the first live join has started is there until the end.
            "live_queries.idle_timeout": "1h"}
RETAINED = 32 * 1024 * 1024  # bytes of WAL that the slots may retain at rest
PROGRESS = 15

SCHEMA = """
CREATE EXTENSION live_queries;
CREATE TABLE soak_rows (id bigint PRIMARY KEY, owner int NOT NULL, kind text, amount numeric(10,2), body text);
ALTER TABLE soak_rows REPLICA IDENTITY FULL;
CREATE INDEX ON soak_rows (owner);
CREATE TABLE soak_bulk (id bigint PRIMARY KEY, body text);
ALTER TABLE soak_bulk REPLICA IDENTITY FULL;
CREATE TABLE soak_other (id bigint, body text);
CREATE TABLE soak_parts (id bigint, owner int, body text, PRIMARY KEY (id)) PARTITION BY HASH (id);
CREATE TABLE soak_part_0 PARTITION OF soak_parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE soak_part_1 PARTITION OF soak_parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
ALTER TABLE soak_parts REPLICA IDENTITY FULL;
ALTER TABLE soak_part_0 REPLICA IDENTITY FULL;
ALTER TABLE soak_part_1 REPLICA IDENTITY FULL;
CREATE VIEW soak_view AS SELECT id, owner, upper(kind) AS kind FROM soak_rows WHERE amount > 0;
CREATE FUNCTION soak_twice(numeric) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 2 * $1; END';
CREATE TABLE soak_secrets (id bigint PRIMARY KEY, tenant int, body text);
ALTER TABLE soak_secrets REPLICA IDENTITY FULL;
ALTER TABLE soak_secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY soak_tenants ON soak_secrets USING (tenant = current_setting('app.tenant')::int);
GRANT SELECT ON soak_secrets TO %(role)s;
INSERT INTO soak_rows SELECT n, n %% 5, 'k' || n %% 3, n, md5(n::text) FROM generate_series(1, 50) n;
INSERT INTO soak_parts SELECT n, n %% 5, md5(n::text) FROM generate_series(1, 50) n;
INSERT INTO soak_secrets SELECT n, n %% 5, md5(n::text) FROM generate_series(1, 50) n;
CREATE SEQUENCE soak_ids START 1000;
"""


class CannotRun(Exception):
    """The server lacks what was asked for."""


class Failed(Exception):
    """Something did not work as it has to."""


class Client:
    """A connection that may be used by several threads, one at a time."""

    def __init__(self, name, connection):
        self.name = name
        self.connection = connection
        self.pid = connection.info.backend_pid
        self.lock = threading.Lock()

    def ask(self, text, *arguments):
        """Runs statements; returns the first value of the last one, if it has any."""
        row = self.row(text, *arguments)
        return row[0] if row else None

    def row(self, text, *arguments):
        """Runs statements; returns the first row of the last one, if it has any."""
        with self.lock, self.connection.cursor() as cursor:
            cursor.execute(text, arguments or None)
            return cursor.fetchone() if cursor.description else None

    def context_bytes(self):
        """Returns what the memory contexts of its backend have taken."""
        return int(self.ask("SELECT sum(total_bytes) FROM pg_backend_memory_contexts"))


class Listener(threading.Thread):
    """Subscribes, and receives everything for as long as the soak lasts: by notifications, or by live.poll."""

    QUERIES = [("rows", "SELECT * FROM soak_rows WHERE owner = 0"),
               ("bulk", "SELECT id, length(body) AS length FROM soak_bulk WHERE id % 100 = 0"),
               ("secrets", "SELECT id, body FROM soak_secrets WHERE tenant = 1"),
               ("never", "SELECT id FROM soak_parts WHERE owner = -7")]

    def __init__(self, client, delivery):
        super().__init__(daemon=True)
        self.client = client
        self.delivery = delivery
        self.messages = self.changes = 0
        self.unexpected = ""
        self.stopping = False
        for name, query in self.QUERIES:
            client.ask('SELECT live.subscribe(%s, %s, delivery => %s)', name, query, delivery)
            client.ask("SELECT count(*) FROM live.snapshot(%s)", name)

    def run(self):
        """Reads until it is told to stop, or the connection ends."""
        try:
            while not self.stopping:
                (self._poll if self.delivery == "poll" else self._read)()
        except psycopg2.Error as error:
            if not self.stopping:
                self.unexpected = str(error).strip()

    def _read(self):
        connection = self.client.connection
        select.select([connection], [], [], 0.05)
        with self.client.lock:
            connection.poll()
            while connection.notifies:
                self._take(connection.notifies.pop(0).payload)

    def _poll(self):
        with self.client.lock, self.client.connection.cursor() as cursor:
            cursor.execute("SELECT message::text FROM live.poll(50, '50ms')")
            for row in cursor:
                self._take(row[0])
        time.sleep(0.005)  # so that others may have the connection

    def _take(self, message):
        self.messages += 1
        if '"type":"changes"' in message[:20]:
            self.changes += message.count('{"op":"')
        else:
            self.unexpected = message[:200]

    def has_all(self):
        """Whether it has received as much as the server says it was sent, and nothing that it should not have."""
        row = self.client.row("SELECT sum(messages), sum(changes), sum(pending_messages) FROM live_queries"
                              " WHERE pid = pg_backend_pid()")
        return not self.unexpected and row == (self.messages, self.changes, 0)


class World:
    """A server reached by a dsn, as a superuser."""

    def __init__(self, options):
        self.options = options
        self.started = time.monotonic()
        self.told = self.started
        self.settings = []
        self.listeners = []
        self.name = "soak_%d" % os.getpid()
        self.role = self.name + "_reader"
        self.admin = Client("admin", self.connect(dbname=None))
        if not self.admin.ask("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
            raise CannotRun("it has to connect as a superuser")
        if self.admin.ask("SHOW wal_level") != "logical":
            raise CannotRun("wal_level has to be logical")
        if self.admin.ask("SELECT count(*) FROM pg_settings WHERE name = 'live_queries.mailbox_size'") == 0:
            raise CannotRun("live_queries has to be in shared_preload_libraries")
        self._create()

    def _create(self):
        try:
            self.set(SETTINGS)
            self.admin.ask("CREATE ROLE %s" % self.role)
            self.admin.ask("CREATE DATABASE %s" % self.name)
            self.writer = Client("writer", self.connect())
            self.writer.ask(SCHEMA % {"role": self.role})
            self.subscribers = [Client("subscriber", self.connect()) for _ in range(4)]
            for name, delivery in (("listener", "notify"), ("poller", "poll")):
                self.listeners.append(Listener(Client(name, self.connect()), delivery))
            for listener in self.listeners:
                listener.start()
        except psycopg2.Error:
            self.close()
            raise

    # ---- connections ----

    def connect(self, **more):
        """Returns a connection in autocommit mode to the soak's database."""
        arguments = {"dbname": self.name, "application_name": "soak"}
        arguments.update(more)
        arguments = {name: value for name, value in arguments.items() if value is not None}
        connection = psycopg2.connect(extensions.make_dsn(self.options.dsn, **arguments))
        connection.autocommit = True
        return connection

    def ask(self, text, *arguments):
        """Runs a statement as the superuser in the maintenance database; returns the first value, if any."""
        return self.admin.ask(text, *arguments)

    def lasting_clients(self):
        """Returns those whose backends are measured: two that listen, one that comes and goes, one that never subscribed."""
        return [listener.client for listener in self.listeners] + [self.subscribers[0], self.writer]

    def set(self, settings):
        """Sets server settings until close()."""
        for name, value in settings.items():
            self.ask("ALTER SYSTEM SET %s = '%s'" % (name, value))
            self.settings.append(name)
        self.ask("SELECT pg_reload_conf()")

    def reset(self, names):
        """Takes these back before."""
        for name in names:
            self.ask("ALTER SYSTEM RESET %s" % name)
        self.ask("SELECT pg_reload_conf()")

    # ---- what the server says ----

    def worker(self, column):
        """Returns a column of live.workers, for the soak's database."""
        return self.writer.ask("SELECT %s FROM live.workers"
                               " WHERE database = current_database() AND kind = 'decoder'" % column)

    def decoder_pid(self):
        """Returns the process of the soak's decoder."""
        pid = self.worker("pid")
        if pid is None:
            raise Failed("the decoder does not run: %s" % self.worker("problem"))
        return pid

    def launcher_pid(self):
        """Returns the launcher's process."""
        return self.ask("SELECT pid FROM pg_stat_activity WHERE backend_type = 'live_queries launcher'") or 0

    def decoder_memory(self):
        """Returns the bytes of the decoder's memory contexts, which it adds up once a second where something happens."""
        for _ in range(2):
            time.sleep(1.1)
            self.write("INSERT INTO soak_rows VALUES (nextval('soak_ids'), 0, 'rest', 1, '')")
        return int(self.worker("memory_bytes"))

    def write(self, text, *arguments):
        """Runs a statement in the lasting writer, and returns once the listeners have been sent what it changed."""
        self.writer.ask(text, *arguments)
        self.caught_up()

    def caught_up(self):
        """Returns once the decoder has handled all that has been committed."""
        for listener in self.listeners:
            if not listener.client.ask("SELECT live.wait_for(timeout => '%ds')" % REST):
                raise Failed("the decoder is late")

    def slot_count(self):
        """Returns how many replication slots exist."""
        return self.ask("SELECT count(*) FROM pg_replication_slots")

    def counts(self):
        """Returns measures that the server itself counts."""
        row = self.writer.row("""
            SELECT (SELECT count(*) FROM pg_stat_activity
                    WHERE backend_type IN ('client backend', 'live_queries launcher', 'live_queries decoder')),
              (SELECT count(*) FROM live_queries WHERE status <> 'terminated'),
              (SELECT count(*) FROM live_queries WHERE status = 'terminated'),
              subscriptions, databases, retained_wal_bytes / 1048576 FROM live.stats()""")
        names = ["processes", "view's subscriptions", "terminated shown", "counted subscriptions", "databases",
                 "WAL retained MB"]
        return dict(zip(names + ["slots"], [int(value) for value in row] + [self.slot_count()]))

    def consistency(self):
        """Returns what has to hold of the server's counters at rest: a list of (what, whether it does)."""
        checks = [("%s: received what the server counts" % listener.client.name,
                   self.comes_true(listener.has_all)) for listener in self.listeners]
        decoded, ignored, matched, messages, resets = self.writer.row(
            "SELECT changes_decoded, changes_ignored, changes_matched, messages, resets FROM live.stats()")
        sent = sum(listener.messages for listener in self.listeners)
        checks.append(("counters agree: %d decoded, %d ignored, %d matched, %d messages" % (
            decoded, ignored, matched, messages), decoded >= ignored and messages >= sent and matched >= 0 <= resets))
        problem = self.worker("problem")
        checks.append(("no problem of the decoder" + (": " + problem if problem else ""), problem is None))
        return checks

    # ---- rest ----

    def come_to_rest(self):
        """Returns once nothing is under way any more: connections ended, all delivered, WAL given back."""
        ours = 1 + 1 + len(self.subscribers) + len(self.listeners)
        watched = len(self.listeners) * len(Listener.QUERIES)
        self.caught_up()
        self.write("DELETE FROM soak_rows WHERE id >= 1000")
        self._wait_until("connections ended", lambda: self.writer.ask(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'soak'") == ours)
        self._wait_until("subscriptions ended", lambda: self.counts()["view's subscriptions"] == watched
                         and self.counts()["counted subscriptions"] == watched)
        self._wait_until("messages read", lambda: all(listener.has_all() or listener.unexpected
                                                      for listener in self.listeners))
        self._wait_until("WAL given back", self._checkpoint)
        self.ask("CHECKPOINT")

    def _checkpoint(self):
        # Each notes which transactions run: what lets slots move on.
        self.ask("CHECKPOINT")
        self.write("INSERT INTO soak_rows VALUES (nextval('soak_ids'), 0, 'rest', 1, '')")
        return self.writer.ask("SELECT coalesce(max(retained_wal_bytes), 0) FROM live.workers") < RETAINED

    @staticmethod
    def comes_true(condition, patience=10):
        """Whether a condition holds within so many seconds."""
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def _wait_until(self, what, condition):
        if not self.comes_true(condition, REST):
            raise Failed("not at rest after %d s: %s" % (REST, what))

    # ---- progress, end ----

    def progress(self, text):
        """Prints a line with the time."""
        self.told = time.monotonic()
        print("%5d s  %s" % (self.told - self.started, text), flush=True)

    def tick(self, text):
        """The same, but not too often."""
        if time.monotonic() - self.told > PROGRESS:
            self.progress(text)

    def close(self):
        """Drops and resets everything; returns a list of what could not be."""
        left = []
        for listener in self.listeners:
            listener.stopping = True
        for listener in self.listeners:
            if listener.is_alive():
                listener.join(10)
        try:
            self.admin = Client("admin", self.connect(dbname=None))
            for name in self.settings:
                self.ask("ALTER SYSTEM RESET %s" % name)
            self.ask("SELECT pg_reload_conf()")
            self.ask("DROP DATABASE IF EXISTS %s WITH (FORCE)" % self.name)
            self.ask("DROP ROLE IF EXISTS %s" % self.role)
        except psycopg2.Error as error:
            left.append(str(error).strip())
        return left
