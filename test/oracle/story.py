"""A difference of any SELECT, told once more by one client and one writer, and made small.

Owns: the story of what differed: the rows before, and the transactions that the query can have felt; its play through the
extension, on the run's own tables when all others have left them; its text for psql. What needs transactions at one time, or a
position of the log between two of them, does not differ so.
"""

import re
from collections import Counter, namedtuple
from dataclasses import replace

import psycopg2

import rows
import schema
from clocks import NOW
from rows import Malformed
from shrinking import count_statements, shrink_case
from state import ListResult, Violation, WholeResult

MOST = 40  # transactions of a story
PATIENCE = "10 s"  # for one statement, and for messages

Batch = namedtuple("Batch", "statements")
# query: a selects.Select; sql and params are in the place of its own. tables: by name, those below it.
Story = namedtuple("Story", "query sql params tables setup batches")


def _equals(columns, row, types):
    # Equal numbers may not be the same.
    return " AND ".join("%s%s %s" % (schema.identifier(column), "::text" if types[column] == "numeric" else "",
                                     "IS NULL" if row[column] is None else "= " + schema.literal(row[column])) for column in columns)


def _insert(name, row):
    return "INSERT INTO %s (%s) VALUES (%s)" % (name, ", ".join(map(schema.identifier, row)), ", ".join(map(schema.literal, row.values())))


def statement(table, change):
    """Returns the statement for one change of a table's row, as the reference has it: (op, leaf, row before, row after)."""
    op, leaf, before, after = change
    if op == "insert":
        return _insert(table.name, after)
    if op == "truncate":
        return "DELETE FROM %s" % leaf
    where = _equals(table.key, before, table.columns) if table.key else "ctid = (SELECT ctid FROM %s WHERE %s LIMIT 1)" % (
        table.name, _equals(table.columns, before, table.columns))
    if op == "delete":
        return "DELETE FROM %s WHERE %s" % (table.name, where)
    changed = ["%s = %s" % (schema.identifier(column), schema.literal(value)) for column, value in after.items()
               if value != before[column]]
    return "UPDATE %s SET %s WHERE %s" % (table.name, ", ".join(changed) or "{0} = {0}".format(schema.identifier(next(iter(after)))), where)


def story_of(past, query, index, clock):
    """Returns the Story of what a query felt in this interval up to a transaction, at one time if it asks that; None: of nothing, or of
    one whose time it does not choose."""
    tables = {name: past.relations.tables[name] for name in query.below}
    leaves = {leaf: table for table in tables.values() for leaf in table.leaves or (table.name,)}
    felt = [done for done in past.reference.replay.transactions
            if done.index <= index and any(change[1] in leaves for change in done.changes)][-MOST:]
    if not felt or query.asks_below:  # views and row security would ask another time
        return None
    query = replace(query, text=query.text.replace(NOW, "timestamptz '%s'" % clock), refresh_every="")
    past.go(felt[0].index - 1)
    setup = [_insert(name, row) for name, table in tables.items() for row in past.rows_of(table)]
    batches = [Batch([statement(leaves[change[1]], change) for change in done.changes if change[1] in leaves]) for done in felt]
    return Story(query, query.text, query.params, tables, setup, batches)


class Stage:
    """Connections on which stories are played."""

    def __init__(self, server):
        self.server = server
        self.writer = server.database()
        self.clients = {}  # User -> connection
        self.client = None
        self.plays = 0
        _run(self.writer, "SET session_replication_role = replica")  # what a foreign key does is in the story

    def close(self):
        """Closes them."""
        for connection in self._connections():
            connection.close()

    def _connections(self):
        return [self.writer] + list(self.clients.values())

    def differs(self, story):
        """Plays a story; tells whether the client's result differs from the query's, or breaks a rule."""
        try:
            return self._play(story)
        except (Violation, Malformed):
            return True
        except psycopg2.Error:  # no query that is watched, or no statements in this order
            for connection in self._connections():
                if not connection.closed:
                    _run(connection, "ROLLBACK")
            return False

    def _play(self, story):
        self.plays += 1
        user = story.query.user
        if user not in self.clients:
            self.clients[user] = self.server.connect_as(user, "oracle story")
            _run(self.clients[user], "SET statement_timeout = '%s'" % PATIENCE)
        for self.client in self.clients.values():
            _run(self.client, "SELECT live.unsubscribe_all()")
        self.client = self.clients[user]
        self._write(["DELETE FROM %s" % name for name in story.tables] + story.setup)
        query = replace(story.query, text=story.sql, params=story.params)
        result = self._subscribe("small %d" % self.plays, query, story.tables)
        for batch in story.batches:
            self._write(batch.statements)
            if not self._listen(result):
                return False
            if not self._is_right(query, result, story.tables):
                return True
        return False

    def _write(self, statements):
        _run(self.writer, ";".join(["BEGIN"] + statements + ["COMMIT"]))

    def _as_role(self, query, text):
        role = "SET LOCAL ROLE %s;" % schema.identifier(query.user.name) if query.user.login else ""
        _run(self.client, "BEGIN;" + role)
        found = _run(self.client, text)
        _run(self.client, "COMMIT")
        return found

    def _subscribe(self, name, query, tables):
        found = self._as_role(query, "SELECT strategy FROM live.subscribe(%s, %s, ARRAY[%s]::text[], delivery => 'poll')" % (
            schema.literal(name), schema.literal(query.text), ", ".join(map(schema.literal, query.params))))
        ((strategy,),) = found
        result = (ListResult if query.ordered else WholeResult)(strategy != "stream" or query.all_full(tables))
        for key, row in _run(self.client, "SELECT key::text, \"row\"::text FROM live.snapshot(%s)" % schema.literal(name)):
            result.load(rows.key_from(key), rows.row_from(row))
        return result

    def _listen(self, result):
        """Applies what comes; returns whether it tells the result."""
        if _run(self.client, "SELECT live.wait_for(timeout => '%s')" % PATIENCE)[0][0] is not True:
            return False
        while True:
            messages = _run(self.client, "SELECT message::text FROM live.poll()")
            if not messages:
                return True
            for message in [rows.parse(text) for (text,) in messages]:
                if message["type"] in ("reset", "terminated"):
                    return False
                if message["type"] == "changes":
                    for change in message["changes"]:
                        result.apply(change)
                    if isinstance(result, ListResult):
                        result.place(message["changes"])

    def _is_right(self, query, result, tables):
        """As the query is now; of what it has become, SQL may leave the answer open: then as a first result is now."""
        found = [rows.row_from(text) for (text,) in self._as_role(query, "SELECT row_to_json(q)::text FROM (%s) AS q" % query.plain_sql(None))]
        order = result.order() if isinstance(result, ListResult) else None
        if result.as_bag() == Counter(found) and order in (None, found):
            return True
        again = self._subscribe("again %d" % self.plays, query, tables)
        _run(self.client, "SELECT live.unsubscribe(%s)" % schema.literal("again %d" % self.plays))
        return result.as_bag() == again.as_bag() and (order is None or order == again.order())


def _run(connection, text):
    with connection.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchall() if cursor.description else []


def _with_values(story):
    return story._replace(sql=replace(story.query, text=story.sql, params=story.params).plain_sql(None), params=())


def _tellings(story):
    """The story, and with several of its transactions in one, as a batch may have them."""
    yield story
    for count in (2, 3, 5, 10, 20, MOST):
        first = len(story.batches) % count
        yield story._replace(batches=[Batch(sum((one.statements for one in story.batches[max(at, 0):at + count]), []))
                                      for at in range(first - count if first else 0, len(story.batches), count)])


def told_small(server, relations, superuser, story, seconds):
    """Returns what is left of a story that is made small, for psql."""
    stage = Stage(server)
    try:
        told = next(filter(stage.differs, _tellings(story)), None)
        if told is None:
            return ("oracle: it does not differ where one client and one writer play it again (%d transactions): it may need"
                    " transactions at one time" % len(story.batches))
        least = shrink_case(told, stage.differs, seconds, (_with_values, lambda one: one._replace(query=replace(one.query, user=superuser))))
        named = _named(relations, least)
        return "oracle: small: %d tables, %d statements\n%s" % (
            len(named & set(relations.tables)), count_statements(least), "\n".join(_shown(relations, least, named)))
    finally:
        stage.close()


def _named(relations, story):
    """The names of the tables and views that it needs."""
    words = re.findall(r"(?<![.\"\w])\w+", " ".join([story.sql] + story.setup + [one for batch in story.batches for one in batch.statements]))
    return relations.with_those_below(words)


def _shown(relations, story, named):
    """For psql."""
    user = story.query.user
    become, again = ["SET ROLE %s;" % schema.identifier(user.name)] * (not user.superuser), ["RESET ROLE;"] * (not user.superuser)
    lines = ["CREATE EXTENSION IF NOT EXISTS live_queries;"] + ["CREATE ROLE %s;" % schema.identifier(user.name)] * (not user.superuser)
    lines += [text + ";" for text in relations.definitions_of(named) + story.setup] + become
    lines += ["SELECT strategy FROM live.subscribe('small', $q$%s$q$, ARRAY[%s]::text[], delivery => 'poll');" % (
        story.sql, ", ".join(map(schema.literal, story.params))), "SELECT * FROM live.snapshot('small');"] + again
    for batch in story.batches:
        if batch.statements:
            lines.append("BEGIN; %s; COMMIT;" % "; ".join(batch.statements))
        lines.append("SELECT live.wait_for(); SELECT message FROM live.poll();")
    return lines + become + [replace(story.query, text=story.sql, params=story.params).plain_sql(None) + ";"]
