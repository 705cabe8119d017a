"""The session that test/valgrind/run runs: each way that a message can take, once, with small limits.

What arrives is looked at only as far as that it arrived: what it has to be is for the other tests.
"""

import json
import select
import time

import psycopg2

LONG = "string_agg(md5(%s::text || g::text), '')"


class Client:
    """One connection, and what it was notified of."""

    def __init__(self):
        self.connection = psycopg2.connect("")
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()

    def rows(self, statement, *values):
        """Runs one statement."""
        self.cursor.execute(statement, values or None)
        return self.cursor.fetchall() if self.cursor.description else []

    def subscribe(self, name, query, *params, delivery="notify"):
        """Subscribes, and reads the first rows to their end, in small batches."""
        self.rows("SELECT * FROM live.subscribe(%s, %s, %s, delivery => %s)", name, query, list(params), delivery)
        self.read_snapshot(name)

    def read_snapshot(self, name):
        """Reads what is left of a snapshot."""
        while len(self.rows("SELECT * FROM live.snapshot(%s, 2)", name)) == 2:
            pass

    def synced(self):
        """All messages until now."""
        assert self.rows("SELECT live.wait_for(timeout => '5min')") == [(True,)]
        self.connection.poll()
        messages = [json.loads(notify.payload) for notify in self.connection.notifies]
        self.connection.notifies.clear()
        return messages

    def next_message(self):
        """Waits for a message without asking for it."""
        end = time.monotonic() + 60
        while not self.connection.notifies:
            assert time.monotonic() < end, "no message came"
            select.select([self.connection], [], [], 1)
            self.connection.poll()
        return json.loads(self.connection.notifies.pop(0).payload)


def write(writer):
    """Transactions of every kind."""
    writer.rows("INSERT INTO t SELECT g, g %% 3, 'x' FROM generate_series(11, 20) g".replace("%%", "%"))
    writer.rows("""
        BEGIN;
        UPDATE t SET val = val + 1 WHERE id < 15;
        SAVEPOINT a;
        DELETE FROM t WHERE id = 12;
        SAVEPOINT b;
        UPDATE t SET id = id + 100 WHERE id = 13;
        RELEASE b;
        ROLLBACK TO a;
        DELETE FROM t WHERE id = 14;
        COMMIT""")
    writer.rows("BEGIN; DELETE FROM t; ROLLBACK")
    # Out of line, then updated without being touched.
    writer.rows("INSERT INTO t SELECT 30, 1, %s FROM generate_series(1, 400) g" % (LONG % "7"))
    writer.rows("UPDATE t SET val = 2 WHERE id = 30")
    writer.rows("BEGIN; INSERT INTO t VALUES (31, 1, 'prepared'); PREPARE TRANSACTION 'p'")
    writer.rows("COMMIT PREPARED 'p'")
    # More than a mailbox, a batch and the decoding have room for.
    writer.rows("INSERT INTO t SELECT g, 1, repeat('y', 100) FROM generate_series(1000, 2000) g")
    writer.rows("INSERT INTO parts VALUES (1, 'a'), (200, 'b'); UPDATE parts SET id = 150 WHERE id = 1")


def flow(client, writer):
    """Pause, resume, refresh, poll, and what breaks a subscription."""
    client.rows("SELECT live.pause('all')")
    writer.rows("UPDATE t SET val = 9 WHERE id < 20")
    client.synced()
    client.rows("SELECT live.resume('all')")
    assert client.synced(), "nothing came after resume"
    client.rows("SELECT live.refresh('all')")
    writer.rows("DELETE FROM t WHERE id > 1500")
    client.read_snapshot("all")
    client.synced()
    assert client.rows("SELECT * FROM live.poll(1, '1s')"), "nothing to poll"
    client.rows("SELECT * FROM live.poll()")
    writer.rows("TRUNCATE parts")
    client.synced()
    # Paused for too long: everything held is lost, and that is told.
    client.rows("SELECT live.pause('all')")
    writer.rows("UPDATE t SET note = repeat('z', 3000) WHERE id >= 1000")
    client.synced()
    client.rows("SELECT live.resume('all')")
    assert any(message["type"] == "reset" for message in client.synced()), "no reset"
    client.rows("SELECT live.refresh('all')")
    client.read_snapshot("all")


def refused(client, statement):
    """A statement that fails."""
    try:
        client.rows(statement)
    except psycopg2.Error:
        return
    raise AssertionError("not refused: " + statement)


def main():
    """One session from CREATE EXTENSION to DROP EXTENSION."""
    writer, client, other = Client(), Client(), Client()
    writer.rows("""
        CREATE EXTENSION live_queries;
        CREATE TABLE t (id int PRIMARY KEY, val int, note text);
        ALTER TABLE t REPLICA IDENTITY FULL;
        CREATE TABLE parts (id int PRIMARY KEY, note text) PARTITION BY RANGE (id);
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
        CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (100) TO (1000);
        ALTER TABLE parts_1 REPLICA IDENTITY FULL;
        ALTER TABLE parts_2 REPLICA IDENTITY FULL;
        CREATE VIEW v AS SELECT id, upper(note) AS note FROM t WHERE val > 0;
        INSERT INTO t SELECT g, g % 3, 'row ' || g FROM generate_series(1, 10) g""")
    client.subscribe("all", "SELECT * FROM t")
    client.subscribe("routed", "SELECT id, note FROM t WHERE val = $1", "1", delivery="poll")
    client.subscribe("view", "SELECT * FROM v WHERE id BETWEEN $1 AND $2", "5", "40", delivery="poll")
    client.subscribe("parts", "SELECT * FROM parts")
    other.subscribe("routed", "SELECT id, note FROM t WHERE val = $1", "2")
    refused(client, "SELECT live.subscribe('bad', 'SELECT random() FROM t')")
    refused(client, "SELECT live.subscribe('bad', 'SELECT nonsense')")
    client.rows("SELECT * FROM live.explain('SELECT id FROM t WHERE val = $1 AND id > 3', '{1}')")

    writer.rows("INSERT INTO t VALUES (10000, 2, E'first \\u00e4 \\t\"')")
    client.next_message()
    other.next_message()
    write(writer)
    client.synced()
    other.synced()
    flow(client, writer)

    client.rows("SELECT * FROM live_queries")
    client.rows("SELECT * FROM live.workers")
    client.rows("SELECT * FROM live.stats()")
    client.rows("BEGIN; SELECT live.unsubscribe('parts'); ROLLBACK")
    client.rows("SELECT live.unsubscribe('parts')")
    # The definition changes; an expression fails; the query's table goes.
    client.subscribe("fails", "SELECT id, 1 / val AS inverse FROM t WHERE id = 5", delivery="poll")
    writer.rows("UPDATE t SET val = 0 WHERE id = 5")
    client.synced()
    writer.rows("ALTER TABLE t ADD COLUMN more int DEFAULT 3")
    writer.rows("UPDATE t SET more = 4 WHERE id = 10000")
    client.synced()
    client.rows("SELECT * FROM live.poll()")
    writer.rows("DROP TABLE parts; DROP VIEW v")
    writer.rows("SELECT live.kill(live_id) FROM live_queries WHERE subscription_id = 'routed' LIMIT 1")
    client.synced()
    other.connection.close()
    writer.rows("UPDATE t SET val = 7 WHERE id = 10000")
    client.rows("SELECT live.unsubscribe_all()")
    client.connection.close()
    writer.rows("DROP EXTENSION live_queries")
    writer.connection.close()


main()
