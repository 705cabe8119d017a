"""Random SELECTs to subscribe to and to explain, valid and not.

Owns: a small grammar over the tables of tables.py.
"""

import values

NUMBERS = {"items": ["id", "n"], "plain": ["id", "n"], "bag": ["n"], "parted": ["id", "n"], "secret": ["id"],
           "steady": ["id"],
           "shown": ["id", "n"], '"odd ☃ ""t"""': ['"it\'s"']}
TEXTS = {"items": ["txt"], "plain": ["txt"], "bag": ["txt"], "parted": ["region"], "secret": ["tenant", "txt"],
         "steady": ["txt"],
         "shown": ["txt"], '"odd ☃ ""t"""': ['"select"']}
OTHERS = {"items": ["flag", "doc", "tags", "mood", "big", "at", "pair", "small"]}
# What a function in a query may do to the session or worker that evaluates it. It declares itself IMMUTABLE.
NAUGHTY = [
    "SELECT count(*) FROM live.poll()", "SELECT live.unsubscribe('n0')", "SELECT live.pause('n0')",
    "SELECT live.refresh('n1')",
    "SELECT live.subscribe('n0', 'SELECT * FROM fz.bag', delivery => 'poll')",
    "SELECT count(*) FROM live.snapshot('n0')",
    "SELECT live.wait_for(timeout => '5 ms')", "SELECT live.kill('x')",
    "SELECT count(*) FROM live.explain('SELECT * FROM fz.bag')",
    "SELECT 1/0", "SELECT 'x'::int", "SET ROLE none", "SELECT set_config('app.tenant', 'z', false)",
    "CREATE TEMP TABLE x (n int)",
    "INSERT INTO fz.bag VALUES (1)", "NOTIFY x", "LISTEN x", "UNLISTEN *", "DISCARD ALL", "PREPARE p AS SELECT 1",
    "DEALLOCATE ALL",
    "SELECT pg_advisory_lock(1)", "SELECT lo_create(0)", "SAVEPOINT s", "COMMIT", "ROLLBACK",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "SELECT pg_export_snapshot()", "SELECT pg_current_xact_id()", "LOCK TABLE fz.bag IN ACCESS EXCLUSIVE MODE NOWAIT",
    "VACUUM",
    "COPY (SELECT 1) TO STDOUT", "DO 'BEGIN NULL; END'", "SET SESSION AUTHORIZATION DEFAULT", "RESET ALL",
    "SELECT pg_sleep(0.01)",
    "SELECT count(*) FROM live_queries", "SELECT count(*) FROM live.workers", "", "CLOSE ALL",
    "SELECT pg_cancel_backend(pg_backend_pid())", "ANALYZE fz.bag", "REINDEX TABLE fz.bag", "SELECT pg_notify('a', 'b')",
    "SELECT pg_logical_emit_message(true, 'a', 'b')", "SELECT pg_logical_emit_message(false, 'a', 'b')",
    "SELECT lo_from_bytea(0, 'x')", "SELECT pg_create_physical_replication_slot('fuzz')", "SET TRANSACTION READ WRITE",
    "SELECT pg_replication_origin_session_setup('x')", "SET transaction_read_only = off", "CHECKPOINT",
    "SELECT pg_prepare_xact()", "CREATE INDEX ON fz.bag (n)", "SELECT setseed(0.5)", "REFRESH MATERIALIZED VIEW x",
]


def random_query(rng):
    """Returns a text; about half of them can be watched."""
    kind = rng.random()
    if kind < 0.5:
        return plain_query(rng)
    if kind < 0.85:
        return _wrapped(rng)
    return _broken(rng)


def _table(rng):
    return rng.choice(list(NUMBERS))


def _number(rng, table, depth=0):
    column = rng.choice(NUMBERS[table])
    if depth > 2 or rng.random() < 0.5:
        return rng.choice([column, column, column, str(rng.randint(-3, 12)), "$1::int"])
    inner = _number(rng, table, depth + 1)
    return rng.choice(["(%s + %s)", "(%s / nullif(%s, 0))", "coalesce(%s, %s)", "(%s * %s)",
                       "CASE WHEN %s > %s THEN 1 END",
                       "(%s %% greatest(%s, 1))"]) % (inner, _number(rng, table, depth + 1))


def _text(rng, table):
    column = rng.choice(TEXTS[table])
    return rng.choice([column, column, "upper(%s)" % column, "left(%s, 3)" % column, column + " || 'x'",
                       "md5(%s)" % column,
                       "substr(%s, 2)" % column, "fz.calm(%s)" % column, column + " COLLATE \"C\""])


def _condition(rng, table, depth=0):
    if depth < 3 and rng.random() < 0.3:
        return "(%s %s %s)" % (_condition(rng, table, depth + 1), rng.choice(["AND", "OR", "AND NOT"]),
                               _condition(rng, table, depth + 1))
    number, text = _number(rng, table), _text(rng, table)
    return rng.choice([
        "%s = %d" % (number, rng.randint(0, 9)), "%s > %s" % (number, _number(rng, table)),
        "%s = $1" % rng.choice(NUMBERS[table]),
        "%s = ANY($1)" % rng.choice(NUMBERS[table]), "%s IN (1, 2, NULL)" % number, "%s IS NULL" % number,
        "%s = 'x'" % text,
        "%s LIKE $1" % text, "%s ~ '^[a-z]'" % text, "%s IS NOT DISTINCT FROM $1" % text, "true", "NULL",
        "%s BETWEEN 1 AND 5" % number,
        "%s = current_user" % text, "%s = current_setting('app.tenant', true)" % text,
        "(%s)::text = %s" % (number, text)])


def _targets(rng, table):
    others = OTHERS.get(table, ["1"])
    made = [rng.choice([_number(rng, table), _text(rng, table), rng.choice(others)]) for _ in range(rng.randint(1, 3))]
    named = ", ".join("%s AS c%d" % (one, at) for at, one in enumerate(made))
    return rng.choice(["*", named, named, "%s, *" % named, table + ".*"])


def plain_query(rng):
    """Returns a text that can mostly be watched."""
    table = _table(rng)
    where = " WHERE %s" % _condition(rng, table) if rng.random() < 0.7 else ""
    return "SELECT %s FROM fz.%s%s" % (_targets(rng, table), table, where)


def _wrapped(rng):
    """What may or may not be supported."""
    table, query = _table(rng), plain_query(rng)
    number, text = rng.choice(NUMBERS[table]), rng.choice(TEXTS[table])
    return rng.choice([
        "SELECT * FROM (%s) q" % query, "SELECT * FROM (SELECT * FROM (%s) q) p WHERE true" % query,
        "%s ORDER BY 1" % query,
        "%s LIMIT 3" % query, "%s OFFSET 0" % query, "%s LIMIT ALL" % query, "%s FOR UPDATE" % query,
        "WITH w AS (%s) SELECT * FROM w" % query,
        "%s UNION ALL %s" % (query, query), "%s EXCEPT %s" % (query, plain_query(rng)),
        "SELECT DISTINCT %s FROM fz.%s" % (text, table),
        "SELECT count(*) FROM fz.%s" % table, "SELECT %s, count(*) FROM fz.%s GROUP BY 1 HAVING count(*) > 1" % (text,
                                                                                                                 table),
        "SELECT sum(%s) OVER (PARTITION BY %s) FROM fz.%s" % (number, text, table), "SELECT q FROM fz.%s q" % table,
        "SELECT q.*, q FROM fz.%s q" % table, "SELECT row(%s, %s) AS r FROM fz.%s" % (number, text, table),
        "SELECT ctid, xmin, tableoid FROM fz.%s" % table, "SELECT tableoid::regclass FROM fz.%s" % table,
        "SELECT %s AS a, %s AS a FROM fz.%s" % (number, text, table), "SELECT FROM fz.%s" % table,
        "SELECT 1 FROM fz.%s a JOIN fz.%s b USING (n)" % (table, _table(rng)),
        "SELECT * FROM fz.%s, generate_series(1, 2)" % table,
        "SELECT * FROM fz.%s a, LATERAL (SELECT a.*) b" % table, "SELECT * FROM fz.%s TABLESAMPLE SYSTEM (50)" % table,
        "SELECT generate_series(1, %s) FROM fz.%s" % (number, table), "SELECT * FROM ONLY fz.%s" % table,
        "TABLE fz.%s" % table,
        "SELECT %s FROM fz.%s WHERE %s IN (SELECT n FROM fz.bag)" % (number, table, number),
        "SELECT %s FROM fz.%s WHERE EXISTS (SELECT)" % (number, table), "SELECT random(), now() FROM fz.%s" % table,
        "SELECT %s FROM fz.%s WHERE now() > '2000-01-01'" % (number, table),
        "SELECT (%s)::text::int FROM fz.%s" % (text, table),
        "SELECT %s::regclass FROM fz.%s" % (text, table), "SELECT nextval('fz.s') FROM fz.%s" % table,
        "SELECT live.poll() FROM fz.%s" % table,
        "SELECT fz.naughty(%s) FROM fz.%s" % (values.literal(rng.choice(NAUGHTY)), table),
        "SELECT %s FROM fz.%s WHERE fz.naughty(%s) IS NULL" % (number, table, values.literal(rng.choice(NAUGHTY))),
        "SELECT %s FROM fz.%s WHERE fz.naughty(%s, %s) IS NULL" % (number, table, values.literal(rng.choice(NAUGHTY)),
                                                                   number),
        "SELECT (%s).* FROM (SELECT pair FROM fz.items) q" % "pair",
        "SELECT (pair).a, doc -> 'a', tags[1], tags[2:] FROM fz.items",
        "SELECT %s FROM fz.%s WHERE %s = $1 AND %s = $2 AND %s = $3" % (number, table, number, text, text),
        "SELECT xmlelement(name x, %s) FROM fz.%s" % (text, table), "SELECT jsonb_path_query(doc, '$.a') FROM fz.items",
        "SELECT %s FROM fz.%s -- comment" % (number, table), "/* %s */ SELECT 1 AS x FROM fz.%s" % ("☃" * 50, table)])


def _broken(rng):
    """What no parser, analyser or stack takes."""
    text = values.odd_text(rng)
    deep = rng.choice([100, 3000, 50000])
    return rng.choice([
        text, text, "SELECT", "", ";", "SELECT 1", "SELECT * FROM fz.nowhere", "SELECT nothing FROM fz.items",
        "SELECT * FROM fz.items;",
        "SELECT * FROM fz.items; SELECT 1", "INSERT INTO fz.bag VALUES (1) RETURNING *", "DELETE FROM fz.bag",
        "VALUES (1)",
        "EXPLAIN SELECT 1", "COPY fz.bag TO STDOUT", "DROP TABLE fz.items", "SELECT * INTO x FROM fz.items",
        "DECLARE c CURSOR FOR SELECT 1",
        "CREATE TABLE x ()", "SELECT * FROM pg_class", "SELECT * FROM live_queries",
        "SELECT * FROM information_schema.tables",
        "SELECT %s FROM fz.items" % ("(" * deep + "1" + ")" * deep),
        "SELECT n FROM fz.items WHERE %strue" % ("NOT " * deep),
        "SELECT n FROM fz.items WHERE %s" % " OR ".join(["n = 1"] * min(deep, 20000)),
        "SELECT n FROM fz.items WHERE n IN (%s)" % ", ".join(map(str, range(min(deep, 20000)))),
        "SELECT %s FROM fz.items" % ", ".join("n AS c%d" % at for at in range(rng.choice([1599, 1700]))),
        "SELECT n /* %s */ FROM fz.items" % ("z" * values.MB), "SELECT '%s' AS t FROM fz.items" % ("z" * values.MB),
        "SELECT n + $%d FROM fz.items" % rng.choice([0, 2, 65535, 65536, 99999999999]), "SELECT $1 FROM fz.items",
        "SELECT $1 = $2 FROM fz.items", "SELECT n FROM fz.items WHERE ($1::xml) IS NULL",
        "SELECT n FROM %s.fz.items" % "postgres",
        "SELECT U&'\\FFFF' FROM fz.items", "SELECT n FROM fz.items WHERE 1/0 = 1",
        "SELECT n FROM fz.items WHERE n = 99999999999999999999",
        "SELECT array_fill(1, '{1000000}') AS wide FROM fz.items"])
