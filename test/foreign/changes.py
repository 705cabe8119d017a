"""Random changes of the rows of any table.

Owns: what a writer does to tables that nobody here made: rows are copied, changed by values of other rows, and removed, in
transactions of a few statements, some of which are rolled back. What a constraint forbids is left out.
"""

import psycopg2

COLUMNS = """SELECT attname, format_type(atttypid, atttypmod), attnotnull, attidentity = 'a',
  EXISTS (SELECT FROM pg_index WHERE indrelid = attrelid AND indisunique AND attnum = ANY (indkey)), typcategory
  FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
  WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum"""
SMALL = 400  # rows: a table that is put back after each query
ROWS = "(tableoid, ctid) IN (SELECT tableoid, ctid FROM {table} ORDER BY random() LIMIT {count})"


def quoted(name):
    """Returns a column's name as SQL has it."""
    return '"%s"' % name.replace('"', '""')


class Changes:
    """A connection that changes rows."""

    def __init__(self, connection, rng):
        self.connection = connection
        self.cursor = connection.cursor()
        self.rng = rng
        self.next = 100000   # for columns of a unique index
        self.done = []       # what was done to the tables at hand, for a report
        self.columns = {}
        self.kept = {}       # table -> a temporary one with its rows

    def about(self, tables):
        """Turns to other tables."""
        self.done, self.columns = [], {}
        self.cursor.execute("SELECT setseed(%s)", (self.rng.random(),))
        self.connection.commit()
        for table in tables:
            self.cursor.execute(COLUMNS, (table,))
            self.columns[table] = self.cursor.fetchall()
            self._keep(table)
        self.connection.commit()

    def _keep(self, table):
        """Keeps the rows of a small table, unless they are of its children."""
        self.cursor.execute("SELECT count(*) FROM (SELECT FROM %s LIMIT %d) few" % (table, SMALL))
        (count,), = self.cursor.fetchall()
        self.cursor.execute("SELECT relkind = 'r' AND EXISTS (SELECT FROM pg_inherits WHERE inhparent = oid) FROM pg_class"
                            " WHERE oid = %s::regclass", (table,))
        (parent,), = self.cursor.fetchall()
        if count < SMALL and not parent and self.columns[table]:
            name = "kept_%d" % len(self.kept)
            self.kept[table] = name
            names = ", ".join(quoted(column[0]) for column in self.columns[table])
            self.cursor.execute("CREATE TEMP TABLE %s AS SELECT %s FROM %s" % (name, names, table))

    def put_back(self):
        """Gives small tables the rows that they had, where that is allowed."""
        try:
            self._put_back()
            self.connection.commit()
        except psycopg2.Error:
            self.connection.rollback()
            for name in self.kept.values():
                self.cursor.execute("DROP TABLE %s" % name)
            self.connection.commit()
        self.kept = {}

    def _put_back(self):
        for table, name in self.kept.items():
            names = ", ".join(quoted(column[0]) for column in self.columns[table])
            self.cursor.execute("DELETE FROM %s" % table)
            self.cursor.execute("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT * FROM %s" % (table, names, name))
            self.cursor.execute("DROP TABLE %s" % name)

    def transaction(self, most=3):
        """Changes some rows of some tables in one transaction."""
        for _ in range(self.rng.randint(1, most)):
            table = self.rng.choice(list(self.columns))
            self._attempt(self.rng.choice((self._insert, self._insert, self._update, self._update, self._update, self._delete))(table))
        if self.rng.random() < .05:
            self.done.append("ROLLBACK")
            self.connection.rollback()
        else:
            self.done.append("COMMIT")
            self.connection.commit()

    def _attempt(self, text):
        if not text:
            return
        self.cursor.execute("SAVEPOINT one")
        try:
            self.cursor.execute(text)
            if self.cursor.rowcount:
                self.done.append("%s -- %d" % (text, self.cursor.rowcount))
            again = self.rng.random() < .05
            self.cursor.execute("ROLLBACK TO one" if again else "RELEASE one")
            if again:
                self.done.append("ROLLBACK TO SAVEPOINT")
        except psycopg2.Error:
            self.cursor.execute("ROLLBACK TO one")

    def _count(self):
        return self.rng.choice((1, 1, 1, 2, 3, 10))

    def _insert(self, table):
        names, values = [], []
        for name, kind, _, _, unique, category in self.columns[table]:
            names.append(quoted(name))
            value = quoted(name)
            if unique and category == "N" and self.rng.random() < .9:
                self.next += 10
                wide = {"smallint": self.next % 30000}.get(kind, self.next)
                value = "(%d + row_number() OVER ())::%s" % (wide, kind)
            elif unique and category == "S" and self.rng.random() < .9:
                self.next += 1
                value = "('x%d' || row_number() OVER ())::%s" % (self.next, kind)
            values.append(value)
        if not names:
            return "INSERT INTO %s DEFAULT VALUES" % table
        # Of an empty table, one row of defaults.
        return "INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM (SELECT * FROM %s ORDER BY random() LIMIT %d) one" \
            % (table, ", ".join(names), ", ".join(values), table, self._count()) if self.rng.random() < .9 else \
            "INSERT INTO %s DEFAULT VALUES" % table

    def _update(self, table):
        columns = [column for column in self.columns[table] if not column[3]]
        if not columns:
            return None
        sets = []
        for name, kind, required, _, unique, category in self.rng.sample(columns, min(len(columns), self.rng.choice((1, 1, 2)))):
            name = quoted(name)
            value = "(SELECT other.%s FROM %s other ORDER BY random() LIMIT 1)" % (name, table)
            chance = self.rng.random()
            if category == "N" and "(" not in kind and chance < .3:
                value = "%s %s" % (name, self.rng.choice(("+ 1", "- 1", "+ 0")))
            elif unique and category == "N":
                self.next += 1
                value = str(self.next % 30000 if kind == "smallint" else self.next)
            elif not required and chance < .45:
                value = "NULL"
            elif chance < .5:
                value = name
            sets.append("%s = %s" % (name, value))
        count = 1 if any(column[4] for column in columns) else self._count()
        return "UPDATE %s SET %s WHERE %s" % (table, ", ".join(sets), ROWS.format(table=table, count=count))

    def _delete(self, table):
        return "DELETE FROM %s WHERE %s" % (table, ROWS.format(table=table, count=self._count()))
