"""Random statements that write.

Owns: how one random INSERT, UPDATE, DELETE, COPY, MERGE... looks for any of the tables. All values are text
literals with their types, so that what a report prints can be run as it stands.
"""

import io

import schema
from reference import copy_line

KINDS = {  # name -> how often
    "insert": 10, "insert_some": 5, "upsert": 8, "update": 22, "update_range": 6, "update_key": 6, "touch": 4,
    "delete": 9, "delete_range": 3, "copy": 4, "merge": 5, "bulk_insert": 1, "bulk_delete": 2.5, "update_all": 0.7,
    "truncate": 0.35,
}


class Statement:
    """A text to execute, with the data of a COPY; truncates: the names of the tables that it locks and empties."""

    def __init__(self, text, data=None, truncates=()):
        self.text = text
        self.data = data
        self.truncates = truncates

    def run(self, cursor):
        """Executes it."""
        if self.data is None:
            cursor.execute(self.text)
        else:
            cursor.copy_expert(self.text, io.StringIO(self.data))


def random_statement(rng, tables, name=None):
    """Returns a random Statement for a table, by default a random one."""
    names = list(tables)
    table = tables[name or rng.choices(names, [tables[name].weight for name in names])[0]]
    kinds = list(KINDS)
    kind = rng.choices(kinds, [KINDS[name] for name in kinds])[0]
    if not table.key and kind in ("upsert", "merge", "update_key"):
        kind = "update"
    if len(table.key) == len(table.columns) and kind not in ("insert", "insert_some", "update_key", "delete", "delete_range",
                                                             "copy", "truncate"):
        kind = "insert"  # there is no other column to set
    return globals()["_" + kind](rng, table)


def _columns(table, columns=None):
    return ", ".join(map(schema.identifier, columns or table.columns))


def _typed(table, column, value):
    return "%s::%s" % (schema.literal(value), table.columns[column])


def _values(table, row):
    return "(%s)" % ", ".join(_typed(table, column, row[column]) for column in table.columns)


def _some(rng, table, most, far=False):
    return [table.random_row(rng, far) for _ in range(rng.randint(1, most))]


def _insert_text(table, made):
    return "INSERT INTO %s (%s) VALUES %s" % (table.sql, _columns(table), ", ".join(_values(table, r) for r in made))


def _insert_new(table, made):
    return Statement(_insert_text(table, made) + (" ON CONFLICT DO NOTHING" if table.key else ""))


def _insert(rng, table):
    """Mostly of a key that is free: the others end their transaction or savepoint."""
    made = _some(rng, table, 1)
    return _insert_new(table, made) if rng.random() < 0.8 else Statement(_insert_text(table, made))


def _insert_some(rng, table):
    return _insert_new(table, _some(rng, table, 6))


def _upsert(rng, table):
    changed = _changed_columns(rng, table)
    return Statement("%s ON CONFLICT (%s) DO UPDATE SET %s" % (
        _insert_text(table, _some(rng, table, 2)), _columns(table, table.key),
        ", ".join("{0} = EXCLUDED.{0}".format(schema.identifier(column)) for column in changed)))


def _changed_columns(rng, table):
    """Columns to update: mostly one or two, seldom a long one."""
    others = [column for column in table.columns if column not in table.key]
    short = [column for column in others if column not in ("body", "profile") or rng.random() < 0.15]
    chosen = rng.sample(short, min(len(short), rng.choice([1, 1, 2, 3])))
    return chosen if set(chosen).isdisjoint(table.together) else list(table.together)


def _set(rng, table, columns):
    row = table.random_row(rng)
    return ", ".join("%s = %s" % (schema.identifier(c), _typed(table, c, row[c])) for c in columns)


def _one_row(rng, table):
    row = table.random_row(rng)
    columns = table.key or rng.sample(list(table.columns), 2)
    return " AND ".join("%s IS NOT DISTINCT FROM %s" % (schema.identifier(c), _typed(table, c, row[c]))
                        if not table.key else "%s = %s" % (schema.identifier(c), _typed(table, c, row[c]))
                        for c in columns)


def _range(rng, table):
    row, other = table.random_row(rng), table.random_row(rng)
    column = rng.choice(list(table.columns))
    if rng.random() < 0.5:
        return "%s = %s" % (schema.identifier(column), _typed(table, column, row[column]))
    column = (table.key or list(table.columns))[0]
    low, high = sorted([row[column] or "", other[column] or ""], key=lambda text: (len(text), text))
    if not low:
        return "%s IS NULL" % schema.identifier(column)
    return "%s BETWEEN %s AND %s" % (schema.identifier(column), _typed(table, column, low),
                                     _typed(table, column, high))


def _update(rng, table):
    return Statement("UPDATE %s SET %s WHERE %s" % (
        table.sql, _set(rng, table, _changed_columns(rng, table)), _one_row(rng, table)))


def _update_range(rng, table):
    return Statement("UPDATE %s SET %s WHERE %s" % (
        table.sql, _set(rng, table, _changed_columns(rng, table)), _range(rng, table)))


def _update_key(rng, table):
    """Another key, or for a partitioned table maybe another leaf."""
    columns = rng.sample(table.key, rng.randint(1, len(table.key)))
    return Statement("UPDATE %s SET %s WHERE %s" % (table.sql, _set(rng, table, columns), _one_row(rng, table)))


def _touch(rng, table):
    """Writes rows without a change."""
    column = schema.identifier(rng.choice([c for c in table.columns if c not in table.key]))
    return Statement("UPDATE %s SET %s = %s WHERE %s" % (table.sql, column, column, _range(rng, table)))


def _update_all(rng, table):
    return Statement("UPDATE %s SET %s" % (table.sql, _set(rng, table, table.together or _changed_columns(rng, table)[:1])))


def _delete(rng, table):
    return Statement("DELETE FROM %s WHERE %s" % (table.sql, _one_row(rng, table)))


def _delete_range(rng, table):
    return Statement("DELETE FROM %s WHERE %s" % (table.sql, _range(rng, table)))


def _bulk_insert(rng, table):
    if table.small:
        return _insert_new(table, _some(rng, table, 30))
    return _insert_new(table, [table.random_row(rng, far=True) for _ in range(rng.randint(50, 200))])


def _bulk_delete(rng, table):
    """Deletes what bulk inserts left; a table that they cannot reach loses part of its rows."""
    if table.key and table.columns[table.key[0]] in ("int", "bigint") and not table.small:
        return Statement("DELETE FROM %s WHERE %s >= %d" % (table.sql, schema.identifier(table.key[0]), schema.FAR))
    return _delete_range(rng, table)


def _copy(rng, table):
    made = _some(rng, table, 3, far=rng.random() < 0.8 and not table.small)
    return Statement("COPY %s (%s) FROM STDIN" % (table.sql, _columns(table)),
                     "".join(copy_line([row[c] for c in table.columns]) for row in made))


def _merge(rng, table):
    made = _some(rng, table, 4)
    sets = ", ".join("{0} = s.{0}".format(schema.identifier(c)) for c in _changed_columns(rng, table))
    return Statement("MERGE INTO %s AS t USING (VALUES %s) AS s (%s) ON %s WHEN MATCHED AND %s THEN DELETE"
                     " WHEN MATCHED THEN UPDATE SET %s WHEN NOT MATCHED THEN INSERT (%s) VALUES (%s)" % (
                         table.sql, ", ".join(_values(table, row) for row in made), _columns(table),
                         " AND ".join("t.{0} = s.{0}".format(schema.identifier(c)) for c in table.key),
                         "true" if rng.random() < 0.2 else "false", sets, _columns(table),
                         ", ".join("s.%s" % schema.identifier(c) for c in table.columns)))


def _truncate(rng, table):
    if table.small and rng.random() < 0.7:
        return Statement("DELETE FROM %s" % table.sql)  # which is no reset for those who watch
    leaf = rng.choice(table.leaves) if table.leaves and rng.random() < 0.5 else None
    return Statement("TRUNCATE %s%s" % (leaf or table.sql, " CASCADE" if table.cascades else ""),
                     truncates=(table.name,) + table.cascades)
