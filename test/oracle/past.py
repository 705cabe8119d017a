"""The database as it was after a transaction.

Owns: a second set of the tables of relations.py, in a schema of its own, with the same views and row security, which is
moved from one position of the log to another by the row versions of reference.py; and what a query gives there to its user.
So the result of any SELECT is known at any position, by PostgreSQL's own execution of the whole query.
"""

from bisect import bisect_right
from collections import Counter

import psycopg2
import psycopg2.errors

import rows
import schema
from relations import CLOCK_SETTING

SCHEMA = "past"
PATIENCE = "5s"  # for one query


class Result(Counter):
    """How often each row is there, and all in their order."""

    def __init__(self, in_order):
        self.order = list(in_order)
        super().__init__(self.order)


class Past:
    """Used by the conductor's thread alone."""

    def __init__(self, reference, relations, server):
        self.reference = reference
        self.relations = relations
        self.server = server
        self.connection = server.database()
        self.users = {}       # User -> connection
        self.index = -1       # the transaction after which the tables stand
        self.held = {name: Counter() for name in relations.tables}  # table -> versions that are in it
        self.start = -1       # the last transaction before this interval: nothing is known of those before it
        self.touched = {}     # table -> indexes of the transactions of this interval that wrote to it
        self.cache = {}       # (query, index of the last transaction that it can have felt) -> result
        self._execute("CREATE SCHEMA %s" % SCHEMA)
        self._execute(relations.definitions(SCHEMA, real=False))
        self._execute("GRANT USAGE ON SCHEMA %s TO PUBLIC" % SCHEMA)
        self._execute("SET session_replication_role = replica")  # no foreign key asks or acts here
        self._move(reference.base)

    def begin(self):
        """Takes note of the transactions of a new interval, which the reference has read."""
        self.touched = {name: [] for name in self.relations.tables}
        transactions = self.reference.replay.transactions
        self.start = len(self.reference.replay.lsns) - len(transactions) - 1
        for done in transactions:
            for name in done.deltas:
                if name in self.touched and done.deltas[name]:
                    self.touched[name].append(done.index)

    def felt(self, query, index):
        """Returns the index of the last transaction up to a given one that wrote to the query's tables; of those before this
        interval, -1."""
        return max((found[at - 1] for found, at in ((self.touched[name], bisect_right(self.touched[name], index))
                                                    for name in query.below) if at), default=-1)

    def committed_at(self, index):
        """Returns when a transaction of this interval has committed."""
        return self.reference.replay.transactions[index - self.start - 1].time

    def result(self, query, index, clock=None):
        """Returns what the query gives after a transaction of this interval, and at a time if it asks that: a Counter of rows;
        None where that takes too long."""
        key = (query, self.felt(query, index), clock)
        if key not in self.cache:
            self.go(index)
            self.cache[key] = self._ask(query, clock)
        return self.cache[key]

    def go(self, index):
        """Moves the tables."""
        if index == self.index:
            return
        forward = index > self.index
        low, high = min(self.index, index), max(self.index, index)
        wanted = {name: Counter(counts) for name, counts in self.held.items()}
        for done in self.reference.replay.transactions:
            if low < done.index <= high:
                for name, delta in done.deltas.items():
                    if name in wanted:
                        (wanted[name].update if forward else wanted[name].subtract)(delta)
        self._move(wanted)
        self.index = index

    def rows_of(self, table):
        """Returns the rows that a table holds where it stands: column -> text or None."""
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT %s FROM %s.%s" % (", ".join("%s::text" % schema.identifier(column) for column in table.columns),
                                                     SCHEMA, table.name))
            return [dict(zip(table.columns, row)) for row in cursor]

    def end(self):
        """Ends the interval: the next one begins here."""
        transactions = self.reference.replay.transactions
        if transactions:
            self.go(transactions[-1].index)
        self.cache = {}
        for name in self.relations.tables:
            self._execute("VACUUM %s.%s" % (SCHEMA, name))

    def close(self):
        """Closes its connections."""
        for connection in [self.connection] + list(self.users.values()):
            connection.close()

    def _move(self, wanted):
        for name, table in self.relations.tables.items():
            now = Counter({version: count for version, count in wanted.get(name, {}).items() if count})
            before = self.held[name]
            if now == before:
                continue
            columns = ", ".join(map(schema.identifier, table.columns))
            if table.key:
                self._execute("DELETE FROM %s.%s p USING shadow.%s s WHERE s.version_id = ANY(%s) AND %s" % (
                    SCHEMA, name, name, array(before - now),
                    " AND ".join("p.{0} = s.{0}".format(schema.identifier(column)) for column in table.key)))
                come = now - before
            else:
                self._execute("DELETE FROM %s.%s" % (SCHEMA, name))
                come = now
            self._execute("INSERT INTO %s.%s (%s) SELECT %s FROM shadow.%s s JOIN unnest(%s, %s) u (version_id, times)"
                          " USING (version_id), generate_series(1, u.times)" % (
                              SCHEMA, name, columns, columns, name, array(come),
                              "ARRAY[%s]::int[]" % ",".join(str(count) for count in come.values())))
            self.held[name] = now

    def _ask(self, query, clock):
        connection = self.users.get(query.user)
        if connection is None:
            connection = self.users[query.user] = self.server.connect_as(query.user, "oracle past")
            with connection.cursor() as cursor:
                if query.user.login:
                    cursor.execute("SET ROLE %s" % schema.identifier(query.user.name))
                cursor.execute("SET search_path = %s" % SCHEMA)
                cursor.execute("SET statement_timeout = '%s'" % PATIENCE)
        try:
            with connection.cursor() as cursor:
                if clock and query.asks_below:
                    cursor.execute("SET %s = %s" % (CLOCK_SETTING, schema.literal(clock.isoformat())))
                cursor.execute("SELECT row_to_json(q)::text FROM (%s) AS q" % query.plain_sql(None, clock))
                return Result(rows.row_from(text) for (text,) in cursor)
        except psycopg2.errors.QueryCanceled:
            return None

    def _execute(self, text):
        with self.connection.cursor() as cursor:
            cursor.execute(text)


def array(versions):
    """Returns versions as SQL."""
    return "ARRAY[%s]::bigint[]" % ",".join(map(str, versions))
