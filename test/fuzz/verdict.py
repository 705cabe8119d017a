"""What has to hold when the sessions have come to rest.

Owns: the rules about the server as a whole: it is the one that was started, its log tells of nothing bad, nothing is left
over, and whoever subscribes now is served.
"""

import json
import re
import select
import time

import psycopg2

from session import Problem

# From the log of the server: never, whoever says it.
NEVER = re.compile(r"PANIC:|TRAP:|was terminated by signal|WARNING:.*(leak|still referenced|AbortTransaction while)"
                   r"|runtime error: |==ERROR: AddressSanitizer")
# An error that ends a process of ours. Only that the fuzz itself has wanted.
ENDED = re.compile(r"\] live_queries (launcher|decoder).*(ERROR|FATAL):")
MAY_END = [
    "terminating background worker",  # by DROP EXTENSION
]
LEFTOVERS = """CREATE FUNCTION pg_temp.leftovers() RETURNS text AS 'live_queries', 'live_queries_fault_leftovers'
    LANGUAGE C STRICT"""
STARTED = """SELECT pg_postmaster_start_time() || ' ' || string_agg(pid || ' ' || backend_start, ', ')
    FROM pg_stat_activity WHERE backend_type IN ('checkpointer', 'background writer')"""
LOCKS = """SELECT coalesce(string_agg(concat_ws(' ', backend_type, locktype, mode), ', '), '')
    FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE pid <> pg_backend_pid() AND backend_type LIKE 'live%'
        AND NOT (locktype = 'virtualxid' AND backend_type ~ '(evaluator|refresher)$')"""  # which is always in a transaction
EVALUATORS = """SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type ~ '^live_queries (evaluator|refresher)$'"""
CLIENTS = "SELECT count(*) FROM pg_stat_activity WHERE datname = '%s' AND backend_type = 'client backend'"
PATIENCE = 90


class Verdict:
    """The facts of a server at the start, and what they have to be at the end."""

    def __init__(self, world, log):
        self.world = world
        self.log = log
        self.from_byte = 0
        if log:
            with open(log, "rb") as file:
                self.from_byte = file.seek(0, 2)
        self.started = self._started()
        self.counts_shared_memory = True
        try:
            world.ask(LEFTOVERS)
        except psycopg2.Error:
            self.counts_shared_memory = False

    def _started(self):
        """When the server, and after a crash its other processes, came to life."""
        return self.world.ask(STARTED)

    def server_is_the_same(self):
        """Raises a Problem if it has crashed."""
        if self._started() != self.started:
            raise Problem("the server has crashed and started again")

    def fresh_subscriber_is_served(self):
        """Subscribes anew, both ways; writes; compares."""
        for delivery in ("poll", "notify"):
            connection, writer = self.world.connect(), self.world.connect()
            try:
                with connection.cursor() as cursor, writer.cursor() as other:
                    self._follow(connection, cursor, other, delivery)
            finally:
                connection.close()
                writer.close()

    @staticmethod
    def _follow(connection, cursor, writer, delivery):
        writer.execute("DELETE FROM fz.steady; INSERT INTO fz.steady SELECT i, 'row ' || i FROM generate_series(1, 9) i")
        cursor.execute("SELECT * FROM live.subscribe('fresh', 'SELECT id, txt FROM fz.steady', delivery => '%s')"
                       % delivery)
        cursor.execute('SELECT key::text, "row"::text FROM live.snapshot(\'fresh\')')
        state = {json.dumps(json.loads(key)): json.loads(row) for key, row in cursor}
        writer.execute("BEGIN; INSERT INTO fz.steady VALUES (10, 'new'); UPDATE fz.steady SET txt = 'other' WHERE id < 4;"
                       " DELETE FROM fz.steady WHERE id = 9; COMMIT")
        writer.execute("UPDATE fz.steady SET id = 11 WHERE id = 8")
        cursor.execute("SELECT live.wait_for(NULL, '%d s')" % PATIENCE)
        if cursor.fetchone()[0] is not True:
            raise Problem("a fresh subscriber: live.wait_for gave up")
        for message in _messages(connection, cursor, delivery):
            for change in message.get("changes", []):
                key = json.dumps(change["key"])
                if change["op"] == "delete":
                    del state[key]
                else:
                    state[key] = change["row"]
        cursor.execute("SELECT row_to_json(s)::text FROM fz.steady s ORDER BY id")
        expected = [json.loads(row) for (row,) in cursor]
        if sorted(state.values(), key=lambda row: row["id"]) != expected:
            raise Problem("a fresh subscriber (%s) has %s, and the table %s" % (delivery, state, expected))

    def decoders_are_well(self):
        """Raises a Problem if one has a problem."""
        for (problem,) in self.world.rows("SELECT problem FROM live.workers WHERE database = current_database()"
                                          " AND problem IS NOT NULL"):
            raise Problem("the decoder says: %s" % problem)

    def nothing_is_left(self):
        """Raises a Problem if something is left in shared memory, or of locks, once everybody is gone, evaluators too."""
        self.world.rows(EVALUATORS)
        questions = {"locks": (LOCKS, ""), "connections": (CLIENTS % self.world.name, "0")}
        if self.counts_shared_memory:
            questions["shared memory"] = ("SELECT regexp_replace(pg_temp.leftovers(), '[a-z ]+ 0(, |$)', '', 'g')", "")
        for what, (text, expected) in questions.items():
            deadline = time.monotonic() + PATIENCE
            while (got := str(self.world.ask(text))) != expected:
                if time.monotonic() > deadline:
                    raise Problem("left over of %s: %s" % (what, got))
                time.sleep(0.1)

    def log_is_clean(self):
        """Raises a Problem if the log tells of a crash, of a leak, or of a process of ours that ended with an error."""
        if not self.log:
            return
        with open(self.log, "rb") as file:
            file.seek(self.from_byte)
            for line in file.read().decode("utf-8", "replace").splitlines():
                if NEVER.search(line) or (ENDED.search(line) and not any(part in line for part in MAY_END)):
                    raise Problem("the server's log: %.500s" % line)


def _messages(connection, cursor, delivery):
    if delivery == "poll":
        cursor.execute("SELECT message::text FROM live.poll()")
        return [json.loads(text) for (text,) in cursor]
    found = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < 2 and time.monotonic() < deadline:
        if select.select([connection], [], [], 0.1)[0]:
            connection.poll()
        found += [json.loads(one.payload) for one in connection.notifies]
        del connection.notifies[:]
    return found

