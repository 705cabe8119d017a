"""Whether a failing case is made small: failures are planted, and what is left of them is known.

Owns: those of the self-test's cases that are about shrinking.py; no server, but sqlite for statements that are really run.
"""

# pylint: disable=missing-function-docstring
import random
import sqlite3
from collections import Counter, namedtuple

from relations import Relations
from selftest_script import USER
from shrinking import count_statements, shrink_case, shrink_list, shrink_query, text_of, tree_of
from story import statement

QUERY = ("SELECT q1.id AS c0, (SELECT max(q9.z) FROM c q9 WHERE q9.b_id = q1.id) AS c1, count(*) FILTER (WHERE q1.x > 1) AS c2 FROM a q1 "
         "LEFT JOIN (SELECT q2.y AS c0, q2.t AS c1 FROM b q2 WHERE q2.y <= 3 AND NOT EXISTS (SELECT 1 FROM c q3 WHERE q3.z = q2.id)) q4"
         " ON q4.c0 = q1.x AND q1.t = 'it''s (' "
         "JOIN d q5 ON q5.p = q1.id WHERE q1.x > 0 AND q4.c1 IS NULL GROUP BY q1.id, q1.x HAVING count(*) > 1 ORDER BY 1, 2 LIMIT 3")


def is_select(text):
    """Enough of a syntax for what is planted: whole selects, with something to select and to read."""
    def fine(level):
        if level[:1] == ["SELECT"] and ("FROM" not in level or level.index("FROM") == 1 or level[-1] == "FROM"):
            return False
        if any(isinstance(t, str) and t in ("WHERE", "ON", "AND", ",", "=", "JOIN", "HAVING") for t in level[-1:]):
            return False
        return all(fine(t) for t in level if isinstance(t, list))
    tree = tree_of(text)
    return tree[:1] == ["SELECT"] and fine(tree)


def same(got, expected):
    assert got == expected, "got %s, expected %s" % (got, expected)


def shrinks_queries():
    same(tree_of(text_of(tree_of(QUERY))), tree_of(QUERY))
    same(shrink_query(QUERY, lambda q: is_select(q) and "NOT EXISTS" in q), "SELECT q2.t FROM NOT EXISTS")
    same(shrink_query(QUERY, lambda q: is_select(q) and "FROM a q1" in q and "JOIN d q5" in q), "SELECT c2 FROM a q1 JOIN d q5")
    same(shrink_query(QUERY, lambda q: is_select(q) and "LEFT JOIN (SELECT" in q and "q2.y <= 3" in q),
         "SELECT count FROM LEFT JOIN (SELECT q2.t FROM q2.y <= 3)")
    same(shrink_query("SELECT q2.x FROM a q1 LEFT JOIN b q2 ON q1.x = q2.y WHERE true", lambda q: q in (
        "SELECT q2.x FROM a q1 LEFT JOIN b q2 ON q1.x = q2.y", "SELECT q2.x FROM b q2")), "SELECT q2.x FROM b q2")
    same(shrink_query("SELECT 1", lambda q: q == "SELECT 1"), "SELECT 1")


def shrinks_lists():
    statements = list(range(40))
    same(shrink_list(statements, lambda s: 7 in s and 31 in s), [7, 31])
    same(shrink_list(statements, lambda s: [x for x in s if x in (3, 4, 5)] == [3, 4, 5]), [3, 4, 5])
    same(shrink_list(statements, lambda s: True), [])
    same(shrink_list([1, 2, 3], lambda s: len(s) == 3), [1, 2, 3])


Case = namedtuple("Case", "sql setup batches role")
Batch = namedtuple("Batch", "statements")
SQL = ("SELECT q1.id AS c0, (SELECT max(q9.z) FROM c q9 WHERE q9.b_id = q1.id) AS c1, q4.c1 AS c2 FROM a q1 LEFT JOIN (SELECT q2.y AS c0, q2.id AS c1"
       " FROM b q2 WHERE q2.y <= 3 AND NOT EXISTS (SELECT 1 FROM c q3 WHERE q3.z = q2.id AND q3.z > 0)) q4 ON q4.c0 = q1.x JOIN d q5 ON q5.p <> q1.id"
       " WHERE q1.x > 0 AND EXISTS (SELECT 1 FROM e q6 WHERE q6.id = q1.id OR q6.x IS NOT NULL) ORDER BY q1.id, q4.c1")
COLUMNS = {"a": ("id", "x"), "b": ("id", "y"), "c": ("b_id", "z"), "d": ("p",), "e": ("id", "x")}


def _statement(rng):
    table, columns = rng.choice(list(COLUMNS.items()))
    choice = rng.random()
    if choice < .7:
        return "INSERT INTO %s VALUES (%s)" % (table, ", ".join(rng.choice("1234") for _ in columns))
    if choice < .85:
        return "DELETE FROM %s WHERE %s = %d" % (table, columns[0], rng.randint(1, 4))
    return "UPDATE %s SET %s = %d WHERE %s = %d" % (table, columns[-1], rng.randint(1, 4), columns[0], rng.randint(1, 4))


def _differs(case):
    """Tells whether a client sees a wrong result, of an evaluation that does not look again where a query has EXISTS and nothing
    but c has changed."""
    database = sqlite3.connect(":memory:")
    try:
        def result():
            return Counter(database.execute(case.sql))
        for table, columns in COLUMNS.items():
            database.execute("CREATE TABLE %s (%s)" % (table, ", ".join(columns)))
        for statement in case.setup:
            database.execute(statement)
        shown = result()
        for batch in case.batches:
            for statement in batch.statements:
                database.execute(statement)
            forgets = "EXISTS (SELECT" in case.sql and all(" c " in statement for statement in batch.statements)
            shown = shown if forgets else result()
            if shown != result():
                return True
        return False
    except sqlite3.Error:
        return False
    finally:
        database.close()


def _case(seed):
    rng = random.Random(seed)
    return Case(SQL, [_statement(rng) for _ in range(40)], [Batch([_statement(rng) for _ in range(rng.randint(1, 5))]) for _ in range(4)], "reader")


def shrinks_cases():
    found = [case for case in map(_case, range(60)) if _differs(case)][:3]
    assert len(found) == 3, "only %d cases differ" % len(found)
    for case in found:
        least = shrink_case(case, _differs, 60, (lambda one: one._replace(role="none"),))
        named = {token for token in least.sql.split() if token in COLUMNS}
        assert _differs(least) and least.role == "none", least
        assert len(named) <= 3 and count_statements(least) <= 6 and len(least.sql) < 120, least


def keeps_to_its_time():
    case = _case(1)
    same(shrink_case(case, lambda one: True, 0), case)
    same(shrink_case(case, lambda one: False, 60), case)


def tells_changes_as_statements():
    tag, task = Relations(1, [USER]).tables["tag"], Relations(1, [USER]).tables["task"]
    row = {"task": "1", "label": "it's", "n": None, "rate": "1.0"}
    same(statement(tag, ("insert", "tag", None, row)), """INSERT INTO tag ("task", "label", "n", "rate") VALUES ('1', 'it''s', NULL, '1.0')""")
    same(statement(tag, ("delete", "tag", row, None)),
         """DELETE FROM tag WHERE ctid = (SELECT ctid FROM tag WHERE "task" = '1' AND "label" = 'it''s' AND "n" IS NULL AND "rate"::text = '1.0' LIMIT 1)""")
    row = {"id": "3", "alt": "7", "team": "1", "state": "x", "points": "1"}
    same(statement(task, ("update", "task", row, {**row, "team": None})), """UPDATE task SET "team" = NULL WHERE "id" = '3'""")
    same(statement(task, ("update", "task", row, row)), """UPDATE task SET "id" = "id" WHERE "id" = '3'""")


def defines_what_is_named():
    relations = Relations(1, [USER])
    same(relations.with_those_below(["SELECT", "noted", "doc"]), {"noted", "task", "note", "doc", "member"})
    made = relations.definitions_of({"task"})
    same([text.partition(" (")[0] for text in made if text.startswith("CREATE")],
         ["CREATE TABLE task", "CREATE UNIQUE INDEX task_alt ON task", "CREATE INDEX ON task"])
    assert not any("REFERENCES" in text for text in made), made


CASES = [tells_changes_as_statements, defines_what_is_named, shrinks_queries, shrinks_lists, shrinks_cases, keeps_to_its_time]
