#!/usr/bin/python3
"""Keeps live queries open in a database in which another program runs its tests, and checks what they deliver.

    holder.py DATABASE REPORT [TABLE...]

Waits for the database, creates the extension there, and from then on watches every plain table with a primary key, and those that
are named, which get REPLICA IDENTITY FULL. What is reset is refreshed, what is terminated is subscribed to again. When there is a
file REPORT.stop, it compares what it was told of each table with the table, and writes to the file REPORT what it saw; the last
line is `held` if all was well. It does not keep the tests waiting: it gives up on a table that is locked, and tries again. It leaves partitions
alone: whoever reads a partitioned table while the tests attach and detach partitions of it may end up in a deadlock with them.
"""

import json
import os
import select
import sys
import time
from collections import Counter

import psycopg2

# Objects of the extension are in schemas that the tests do not list.
SCHEMA = "live_view"
PAUSE = 0.1
TABLES = """
    SELECT c.oid, format('%%I.%%I', n.nspname, c.relname), c.relreplident = 'f' OR k.indexrelid IS NOT NULL
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_index k ON k.indrelid = c.oid AND k.indisprimary AND k.indimmediate AND c.relreplident = 'd'
    WHERE c.relkind = 'r' AND NOT c.relispartition AND c.relpersistence = 'p' AND n.nspname !~ '^(pg_|information_schema|live)'
      AND (k.indexrelid IS NOT NULL OR n.nspname = 'public' AND c.relname = ANY (%s)) ORDER BY c.oid"""


def canonical(value):
    """Returns JSON in a form that can be compared; numbers stay text, so that none is rounded."""
    return json.dumps(json.loads(value, parse_float=str, parse_int=str), sort_keys=True)


class Watch:
    """One live query on a whole table: the rows as they are known, by key."""

    def __init__(self, oid, table):
        self.oid = oid
        self.table = table
        self.columns = None
        self.rows = {}  # lists; equal rows without a primary key have one key
        self.missing = 0  # rows that were said to change, and were not known

    def fill(self, rows):
        """Begins with a first result."""
        self.rows = {}
        for key, row in rows:
            self.rows.setdefault(canonical(key), []).append(canonical(row))

    def apply(self, change):
        """Does to the rows what a change says."""
        if change["op"] == "clear":
            self.rows = {}
            return
        key = json.dumps(change["key"])
        if change["op"] != "insert":
            known = self.rows.pop(key, [])
            self.missing += not known
            if len(known) > 1:
                self.rows[key] = known[1:]
        if change["op"] != "delete":
            self.rows.setdefault(key, []).append(json.dumps(change["row"], sort_keys=True))


class Holder:
    """The connection and all that it watches."""

    def __init__(self, database, named, stop):
        self.named = named
        self.stop = stop
        self.watched = {}  # by subscription id
        self.passed_by = {}  # tables that could not be watched, and until when to leave them alone
        self.counts = Counter()
        self.reasons = Counter()
        self.wrong = []
        self.connection = self._connect(database)

    def _stopping(self):
        return os.path.exists(self.stop)

    def _connect(self, database):
        deadline = time.monotonic() + 120
        while not self._stopping() and time.monotonic() < deadline:
            try:
                connection = psycopg2.connect(dbname=database, application_name="holder")
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute("SET lock_timeout = '500ms'; SET client_min_messages = error")
                    cursor.execute("CREATE SCHEMA %s; CREATE EXTENSION live_queries SCHEMA %s" % (SCHEMA, SCHEMA))
                return connection
            except psycopg2.OperationalError:
                time.sleep(0.02)  # not made yet
        raise SystemExit("the database was never made")

    def ask(self, text, *arguments, before=None):
        """Runs a statement; its rows, which it returns, are shown to `before`, and then come the notifications after it."""
        with self.connection.cursor() as cursor:
            cursor.execute(text, arguments or None)
            rows = cursor.fetchall() if cursor.description else []
        if before:
            before(rows)
        self._take()
        return rows

    def run(self):
        """Watches what there is, until it is told to stop."""
        while not self._stopping():
            for oid, table, has_key in self.ask(TABLES, self.named):
                if not any(one.oid == oid for one in self.watched.values()) and self.passed_by.get(oid, 0) < time.monotonic():
                    self._watch(oid, table, has_key)
            # Not too often: while it looks, VACUUM must keep what the tests have deleted, and some print that.
            deadline = time.monotonic() + PAUSE
            while time.monotonic() < deadline:
                select.select([self.connection], [], [], PAUSE / 4)
                self.connection.poll()
                self._take()

    def _watch(self, oid, table, has_key):
        name = "t%d" % oid
        watch = self.watched[name] = Watch(oid, table)
        try:
            if not has_key:
                self.ask("ALTER TABLE %s REPLICA IDENTITY FULL" % table)
            self.ask("SELECT live.subscribe(%s, %s)", name, "SELECT * FROM %s" % table)
            self._read(name, watch)
            watch.columns = self._columns(oid)
            self.counts["subscribed"] += 1
        except psycopg2.Error as error:
            # Locked, gone meanwhile, of a kind that cannot be watched.
            self._pass_by(name, watch, error)

    def _columns(self, oid):
        return self.ask("SELECT attname, atttypid FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped"
                        " ORDER BY attnum", oid)

    def _pass_by(self, name, watch, error):
        if self.connection.closed:
            raise error
        self.watched.pop(name, None)
        self.reasons[str(error).split("\n")[0]] += 1
        self.passed_by[watch.oid] = time.monotonic() + (0.5 if error.pgcode == "55P03" else 60)
        self.ask("SELECT live.unsubscribe(%s)", name)

    def _read(self, name, watch):
        def fill(rows):
            if watch.rows:
                self.wrong.append("%s: changes came before the first result was read" % watch.table)
            watch.fill(rows)

        self.ask("SELECT key::text, row::text FROM live.snapshot(%s)", name, before=fill)

    def _take(self):
        again = []
        notifies, self.connection.notifies[:] = list(self.connection.notifies), []
        for notify in notifies:
            message = json.loads(notify.payload, parse_float=str, parse_int=str)
            self.counts[message["type"]] += 1
            name = message["subscription_id"]
            if name not in self.watched:
                continue
            if message["type"] == "changes":
                self.counts["rows changed"] += len(message["changes"])
                for change in message["changes"]:
                    self.watched[name].apply(change)
            elif message["type"] == "terminated":
                self.reasons["terminated: " + message["reason"].split(" ", 1)[-1][:60]] += 1
                del self.watched[name]
            else:
                again.append(name)
        for name in again:
            self._refresh(name)

    def _refresh(self, name):
        watch = self.watched.get(name)
        if watch is None:
            return
        try:
            watch.rows = {}
            self.ask("SELECT live.refresh(%s)", name)
            self._read(name, watch)
        except psycopg2.Error as error:
            self._pass_by(name, watch, error)

    def compare(self):
        """What is known of each table, and the table."""
        if self.ask("SELECT live.wait_for(timeout => '120s')") != [(True,)]:
            self.wrong.append("the decoder is late")
        self.ask("SELECT 1")
        for watch in list(self.watched.values()):
            if self._columns(watch.oid) != watch.columns:
                # `*` stands for the columns that there were when it was subscribed to.
                self.counts["tables altered since, not compared"] += 1
                continue
            true = Counter(canonical(row) for row, in self.ask("SELECT row_to_json(t)::text FROM %s t" % watch.table))
            known = Counter(row for rows_of_key in watch.rows.values() for row in rows_of_key)
            self.counts["tables compared"] += 1
            self.counts["rows compared"] += sum(true.values())
            if watch.missing:
                self.wrong.append("%s: %d changes of rows that were not known" % (watch.table, watch.missing))
            for row, count in ((known - true) + (true - known)).items():
                self.wrong.append("%s: known %d, true %d times: %s" % (watch.table, known[row], true[row], row[:200]))

    def report(self):
        """Returns the lines of the report."""
        lines = ["%d %s" % (count, name) for name, count in sorted(self.counts.items())]
        lines += ["%d times: %s" % (count, reason) for reason, count in self.reasons.most_common(20)]
        for database, errors, problem in self.ask("SELECT database, errors, problem FROM live.workers"):
            lines.append("decoder of %s: %d errors, problem: %s" % (database, errors, problem))
            if problem:
                self.wrong.append("a decoder had a problem: %s" % problem)
        if not self.counts["changes"]:
            self.wrong.append("no change was ever delivered")
        return lines + self.wrong[:20] + (["%d wrong" % len(self.wrong)] if self.wrong else ["held"])


def main():
    """Holds until it is told to stop."""
    database, report, *named = sys.argv[1:]
    lines = ["it ended early"]
    try:
        holder = Holder(database, named, report + ".stop")
        holder.run()
        holder.compare()
        lines = holder.report()
    except psycopg2.Error as error:
        lines = ["the connection was lost: %s" % str(error).strip()]
    finally:
        with open(report, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    return 0 if lines[-1] == "held" else 1


if __name__ == "__main__":
    sys.exit(main())
