"""Random queries and changes: the delta strategy's own evaluation, batch by batch, against the whole query.

Usage: random_batches.py SEED CASES [FORM,...]: without queries of these forms (test/oracle/grammar.py). A server with the build with fault points; connects by the environment.
The first case that differs in some way is shown small, for psql: what of its query and statements it differs without is left out, as far as
one comes in a minute.
ONLY_KEPT=1: only queries whose groups are kept from batch to batch; ONLY_LISTS=1: only lists, of which it is kept where they end; ONLY_HIDING=1:
only two sub-selects as conditions; ONLY_OUTER=1: only joins with conditions on their tables.
PLANTED=1: the client here loses all updates; it ends well if that was found and made small. CLOCKED: how many of the queries may ask the clock (0.3). ONLY_NEW: how many of the batches only insert (0.3). AWAY: in how
many of them who asks is away (0.1, of lists 0.2); then each list is told from others by values, if it can be.
MUTATION: a deliberate bug that is switched on; the first case that differs ends it."""
import json, os, random, re, sys, time, psycopg2, psycopg2.extras
from collections import Counter, namedtuple
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + "/../oracle")
from grammar import Grammar
from open_grammar import OpenGrammar
from clock_grammar import MINUTES, STEPS, TIMES, ZONES, ClockGrammar, OpenClockGrammar, at_time, condition, time_value, times
from shrinking import SECONDS, count_statements, shrink_case
ONLY_KEPT = os.environ.get("ONLY_KEPT") == "1"
ONLY_HIDING = os.environ.get("ONLY_HIDING") == "1"
ONLY_OUTER = os.environ.get("ONLY_OUTER") == "1"
ONLY_LISTS = os.environ.get("ONLY_LISTS") == "1"
PLANTED = os.environ.get("PLANTED") == "1"
MUTATION = os.environ.get("MUTATION", "")
ONLY_NEW = float(os.environ.get("ONLY_NEW", .3))
DSN = ""
def loads(text):
    """JSON in which 1.0 and 1 differ."""
    return json.loads(text, parse_float=lambda number: "float " + number)
psycopg2.extras.register_default_json(globally=True, loads=loads)
def conn():
    c = psycopg2.connect(DSN); return c
TABLES = {"a": "(id int primary key, x int, t text, at timestamptz)", "b": "(id int primary key, a_id int, y int, t text, day date)",
          "c": "(k1 int, k2 text, b_id int, z int, ts timestamp, primary key (k1, k2))",
          "d": "(p int, n numeric, f float8, m numeric(8,2), primary key (p)) PARTITION BY RANGE (p)",
          "s": "(u int, w int)"}
COLS = {"a": [("id","int"),("x","int"),("t","text")], "b": [("id","int"),("a_id","int"),("y","int"),("t","text")],
        "c": [("k1","int"),("k2","text"),("b_id","int"),("z","int")],
        "d": [("p","int"),("n","num"),("f","flt"),("m","fix")], "s": [("u","int"),("w","int")]}
TIMED = {t: cols + TIMES.get(t, []) for t, cols in COLS.items()}  # for queries that ask the clock
# Partitions, a table without a key, views, and row security that asks other tables.
MORE = """
CREATE TABLE d1 PARTITION OF d FOR VALUES FROM (0) TO (4);
CREATE TABLE d2 PARTITION OF d FOR VALUES FROM (4) TO (100);
CREATE INDEX ON a (at);
CREATE INDEX ON c (ts);
CREATE INDEX ON b (day);
ALTER TABLE s REPLICA IDENTITY FULL;
CREATE VIEW va WITH (security_barrier) AS SELECT id, x, t FROM a WHERE x <> 3 OR EXISTS (SELECT FROM c WHERE c.b_id = a.id);
CREATE VIEW vb AS SELECT b.id, b.y, a.t FROM b LEFT JOIN a ON a.id = b.a_id;
CREATE VIEW vu AS SELECT id, t FROM a UNION ALL SELECT y, t FROM b;
CREATE VIEW ve AS SELECT x AS y FROM a EXCEPT SELECT a_id FROM b;
ALTER TABLE b ENABLE ROW LEVEL SECURITY;
ALTER TABLE c ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON b USING (y IS NULL OR y < 4 OR a_id IN (SELECT x FROM a));
CREATE POLICY p ON c USING (z IS NULL OR z <> 2 OR EXISTS (SELECT FROM a WHERE a.id = c.b_id));
GRANT SELECT ON ALL TABLES IN SCHEMA public TO live_queries_reader;
"""
VIEWS = {"va": COLS["a"], "vb": [("id","int"),("y","int"),("t","text")],
         "vu": [("id","int"),("t","text")], "ve": [("y","int")]}
VALUES = {"int": [None, 0, 1, 2, 3, 4], "text": [None, "x", "y", "z"], "num": [None, "1", "1.0", "1.00", "2", "3.5"],
          "flt": [None, "0", "-0", "1e20", "1", "-1e20", "0.1"], "fix": [None, "1", "2.50", "3"]}
# When a query is asked, at first and after each batch, and in which zone.
Clock = namedtuple("Clock", "asked zone times")
def value(r, t, clock): return r.choice(VALUES[t]) if t in VALUES else time_value(r, t, clock.zone, clock.times)
def row_of(r, t, clock):
    return row_without_times(r, t) + tuple(value(r, ty, clock) for _, ty in TIMES.get(t, []))
def row_without_times(r, t):
    value = lambda r, t: r.choice(VALUES[t])
    vals = {"a": lambda: (r.randint(1, 6), value(r, "int"), value(r, "text")),
            "b": lambda: (r.randint(1, 6), value(r, "int"), value(r, "int"), value(r, "text")),
            "c": lambda: (r.randint(1, 3), r.choice("pq"), value(r, "int"), value(r, "int")),
            "d": lambda: (r.randint(1, 6), value(r, "num"), value(r, "flt"), value(r, "fix")),
            "s": lambda: (value(r, "int"), value(r, "int"))}
    return vals[t]()
KEYS = {"a": ["id"], "b": ["id"], "c": ["k1", "k2"], "d": ["p"], "s": ["u"]}
def changes(r, clock, only_new=False, of=""):
    """Statements, each with its table and what it returns: the identities of the rows that it has changed. `of`: mostly of these tables, with more rows."""
    tables = "aabbccds" if not only_new or r.random() < .6 else "c"  # keys of two columns, of which new ones cross old ones
    if of and r.random() < .8: tables = of
    for _ in range(r.randint(1, 4)):
        t = r.choice(tables); k = 0 if only_new else r.random()
        key = KEYS[t]; ks = ", ".join(key)
        row = row_of(r, t, clock)
        if (only_new and t != "s" or of and t not in "sc") and r.random() < .5: row = (r.randint(1, 12),) + row[1:]
        if k < 0.45:
            yield t, "INSERT INTO %s VALUES (%s) ON CONFLICT DO NOTHING RETURNING %s" % (t, ", ".join(["%s"] * len(row)), ks), row
        elif k < 0.7:
            yield t, "DELETE FROM %s WHERE %s RETURNING %s" % (t, " AND ".join("%s = %%s" % c for c in key), ks), row[:len(key)]
        else:
            c, ty = r.choice([x for x in TIMED[t] if x[0] not in key])
            yield t, "UPDATE %s SET %s = %%s WHERE %s RETURNING %s" % (t, c, " AND ".join("%s = %%s" % c2 for c2 in key), ks), (value(r, ty, clock),) + row[:len(key)]
BATCHES = 3
# Of queries whose groups are kept from batch to batch.
KEPT_BATCHES = 8
# Of lists, which are known after one of them; these are small.
LIST_BATCHES = 20
CLOCKED = float(os.environ.get("CLOCKED", .3))
AWAY = os.environ.get("AWAY")
MANY = 300
def array(values): return "{%s}" % ",".join('"%s"' % str(v).replace("\\", "\\\\").replace('"', '\\"') for v in values)
def bulk(r):
    """Enough rows for a plan that is made for them."""
    lo = r.randint(10, 20)
    return "b", "INSERT INTO b SELECT n, n %% 7, n %% 5, 'x', date '2026-03-01' + n %% 60 FROM generate_series(%s, %s) n ON CONFLICT DO NOTHING RETURNING id", (lo, lo + MANY)
class Client:
    """What a subscriber has: it applies messages, and does not forgive."""
    def __init__(self, told, rows):
        self.bag, self.list = told["bag"], told["list"]
        self.state = [] if self.list else Counter() if self.bag else {}
        self.take([dict(change, position=n) for n, change in enumerate(rows)] if self.list else rows)
    def take(self, changes):
        """Of one message."""
        if not self.list: return [self.apply(change) for change in changes]
        for change in changes:
            if change["op"] == "insert": continue
            key = [one["key"] for one in self.state].index(change["key"])
            was = self.state.pop(key)["row"]
            assert change["op"] == "update" and change["old"] == {c: v for c, v in was.items() if v != change["row"][c]} or change["row"] == was, change
        for change in sorted((change for change in changes if change["op"] != "delete"), key=lambda change: change["position"]):
            assert self.bag or all(one["key"] != change["key"] for one in self.state), change
            assert change["position"] <= len(self.state), change
            self.state.insert(change["position"], {"key": change["key"], "row": change["row"]})
    def apply(self, change):
        if PLANTED and change["op"] == "update": return
        key, row = json.dumps(change["key"]), json.dumps(change["row"])
        if self.bag:
            self.state[key] += {"insert": 1, "delete": -1}[change["op"]]
            assert self.state[key] >= 0, change
            if not self.state[key]: del self.state[key]
            return
        if change["op"] == "insert":
            assert key not in self.state, change
            self.state[key] = row
        else:
            assert key in self.state, change
            if change["op"] == "delete":
                assert self.state.pop(key) == row, change
            else:
                before, after = json.loads(self.state[key]), change["row"]
                assert {c: v for c, v in before.items() if v != after[c]} == change["old"] and change["old"], change
                self.state[key] = row
PLANNER = ["hashagg", "sort", "seqscan", "nestloop", "hashjoin", "mergejoin", "indexscan", "bitmapscan", "material", "incremental_sort"]
def otherwise(cur, r, query):
    """The rows that another plan gives for the query of a plan, of which nothing may be left open."""
    cur.execute("".join("SET enable_%s = %s;" % (name, r.choice(["on", "off"])) for name in PLANNER))
    cur.execute("SELECT row_to_json(q) FROM (%s) q" % query)
    return Counter(json.dumps({c: v for c, v in row.items() if not c.startswith("?hidden")}) for row, in cur.fetchall())
# One level that groups, by aggregates that can be run backwards and one that cannot, of one table or several; or one group of each value of columns.
SOURCES = [("d", ["p % 3", "m"], ["n", "m"], ["p"]), ("b", ["a_id", "t", "a_id, t"], ["y"], ["id"]), ("s", ["w"], ["u"], []),
           ("b JOIN a ON a.id = b.a_id", ["a.x", "b.t, a.x"], ["b.y", "a.x"], ["b.id"]), ("b LEFT JOIN a ON a.id = b.a_id", ["a.x", "b.t"], ["a.id", "b.y"], ["b.id"]),
           ("d JOIN s ON s.u = d.p", ["s.w"], ["d.n", "d.m"], ["d.p"]), ("c WHERE EXISTS (SELECT FROM a WHERE a.id = c.b_id)", ["k2"], ["z"], ["k1"]),
           ("(SELECT DISTINCT x, t FROM a) a", ["t"], ["x"], []), ("va", ["t"], ["x"], ["id"])]
FUNCTIONS = ["min(%s)", "max(%s)", "max(%s::text)", "sum(%s)", "avg(%s)", "count(%s)", "count(*)", "sum(%s) FILTER (WHERE %s > 1)", "stddev(%s)", "var_pop(%s)", "bool_and(%s > 1)",
             "bool_or(%s = 2)", "coalesce(sum(%s), -1)", "sum(10 / %s) FILTER (WHERE %s <> 0)", "sum(%s::numeric / 3)", "round(avg(%s), 2)"]
def kept_query(r, asks_clock):
    """asks_clock: in conditions, filters of aggregates, and by what it groups, if the source has times"""
    source, groups, values, rare = r.choice(SOURCES)
    timed = ["%s.%s" % (t, c) for t in re.findall(r"\b[abc]\b", source.split(" WHERE ")[0]) * (source[0] != "(") for c, _ in TIMES[t]] if asks_clock else []
    moment = lambda: condition(r, [(c, dict(TIMES[c[0]])[c[2:]]) for c in timed])
    filtered = lambda f: "%s FILTER (WHERE %s)" % (f, moment()) if timed and re.fullmatch(r"[a-z_]+\([^()]*\)", f) and r.random() < .3 else f
    # Which of equal numbers is the greatest is left open.
    of = lambda f, v: f.replace("%s", rare[0] if f[:3] in ("min", "max") and v[-1] == "n" else v)
    function = lambda: (lambda f: filtered(of(f, r.choice(values + rare))))(r.choice(FUNCTIONS + ["string_agg(%s::text, ',' ORDER BY %s)"] * (r.random() < .1)))
    group = r.choice(groups + [None])
    if group and timed and r.random() < .3: group += ", (%s)" % moment()
    shown = ["%s AS f%d" % (function(), i) for i in range(r.randint(1, 4))]
    if r.random() < .3: shown.append("'%s' AS fixed" % r.choice("xy"))
    sql = "SELECT " + ", ".join(([group] if group and r.random() < .8 else []) + shown) + " FROM " + source
    conditions = [moment()] if timed and r.random() < .7 else []
    if r.random() < (.3 if group else .6):
        columns = [c for one in groups + rare for c in one.split(", ") if re.fullmatch(r"[a-z0-9.]+", c)]
        equal = lambda c: "%s = '%s'" % (c, r.choice({"t": "xyz", "k2": "pq"}.get(c.split(".")[-1], "01234")))
        conditions += [equal(c) for c in r.sample(columns, min(len(columns), r.choice([1, 1, 2])))]
    if conditions: sql += (" AND " if "WHERE" in source else " WHERE ") + " AND ".join(conditions)
    if group: sql += " GROUP BY " + group
    if r.random() < .3: sql += " HAVING " + r.choice(["count(*) > 1", "sum(%s) > 2" % values[0], "count(%s) = 0" % values[0], function() + " IS NOT NULL"])
    return sql
# One level that orders rows of one table or several and counts them off: what it is of, what it may be ordered by, what names a row, and
# conditions, equalities and others.
LISTS = [("a", ["x", "t", "id"], ["id"], ["x", "t"], ["x > 0", "t IS NOT NULL", "EXISTS (SELECT FROM c WHERE c.b_id = a.id)"]),
         ("b", ["y", "t", "a_id"], ["id"], ["a_id", "y"], ["y > 1", "a_id IN (SELECT x FROM a)"]),
         ("c", ["z", "b_id", "k2", "k1"], ["k1", "k2"], ["k2", "b_id"], ["z IS NOT NULL", "z < 3"]),
         ("d", ["m", "n", "f", "p"], ["p"], ["m"], ["n > 1", "p > 2"]),
         ("s", ["u", "w"], [], ["w", "u"], ["u > 0"]),
         ("va", ["x", "t"], ["id"], ["x", "t"], ["x > 1"]), ("vb", ["y", "t"], ["id"], ["y", "t"], ["y > 0"]),
         ("b JOIN a ON a.id = b.a_id", ["a.x", "b.y", "b.t"], ["b.id"], ["a.x", "b.t"], ["b.y > 0", "a.t IS NOT NULL"]),
         ("b LEFT JOIN a ON a.id = b.a_id", ["a.x", "b.y", "a.t"], ["b.id"], ["b.t", "b.y"], ["b.y > 0", "a.x IS NULL"]),
         ("a FULL JOIN b ON b.a_id = a.x", ["a.x", "b.y", "a.t"], ["a.id", "b.id"], [], []),
         ("b", ["y", "id"], ["id"], [], ["a_id IN (SELECT b_id FROM c WHERE k1 = 2)", "EXISTS (SELECT FROM a WHERE a.id = b.a_id AND a.x = 1)"]),
         ("(SELECT DISTINCT x, t FROM a) a", ["x", "t"], ["x", "t"], ["t"], ["x > 0"]),
         ("(SELECT a_id, count(*) AS n, max(y) AS y FROM b GROUP BY a_id) g", ["n", "y"], ["a_id"], [], ["n > 1"])]
def list_query(r, asks_clock):
    """And whether SQL leaves its answer open."""
    source, orders, key, equal, others = r.choice(LISTS)
    timed = ["%s.%s" % (t, c) for t in re.findall(r"\b[abc]\b", source) * (source[0] != "(") for c, _ in TIMES[t]] if asks_clock else []
    order = r.sample(orders, r.choice([1, 1, 1, min(2, len(orders))]))
    if timed and r.random() < .3: order[0] = r.choice(timed)
    if r.random() < .1: order[-1] = r.choice(["coalesce(%s::text, 'y')", "(%s) IS NULL", "(%s)::text || 'x'"]) % order[-1]
    is_open = not key or r.random() < .3
    if not is_open: order += [k for k in key if k not in order]
    shown = r.sample(orders + key, r.randint(1, len(orders + key)))
    if r.random() < .2: shown += ["(SELECT count(*) FROM c q WHERE q.z = %s)" % r.choice(["1", orders[0]]) if orders[0] in ("x", "y", "z") else "1"]
    sql = "SELECT %s FROM %s" % (", ".join("%s AS l%d" % (e, i) for i, e in enumerate(shown)), source)
    conditions = [condition(r, [(c, dict(TIMES[c[0]])[c[2:]]) for c in timed])] if timed and r.random() < .7 else []
    if equal and r.random() < (1 if AWAY else .6):
        conditions += ["%s = '%s'" % (c, r.choice({"t": "xyz", "k2": "pq"}.get(c.split(".")[-1], "01234"))) for c in r.sample(equal, r.choice([1, 1, 1, min(2, len(equal))]))]
    if others and r.random() < .4: conditions.append(r.choice(others))
    if conditions: sql += " WHERE " + " AND ".join(conditions)
    way = lambda: r.choice(["", "", " DESC"]) + r.choice(["", "", " NULLS FIRST", " NULLS LAST"])
    if key and r.random() < .05: is_open = True  # the key decides
    else: sql += " ORDER BY " + ", ".join(c + way() for c in order)
    sql += " LIMIT %d" % r.choice([1, 1, 2, 2, 3])
    if r.random() < .25: sql += " OFFSET %d" % r.choice([1, 1, 2, 4])
    return sql, is_open
def hiding_query(r):
    """Two sub-selects as conditions, which change in one batch: each could hide the other."""
    one = lambda sub, column: r.choice(["", "NOT "]) + r.choice(["EXISTS (%s AND %s)" % (sub, column), "a.id IN (SELECT %s FROM %s)" % (column.split(" = ")[0], sub.split("FROM ")[1])])
    return "SELECT id, x FROM a WHERE %s AND %s" % (one("SELECT FROM b WHERE y = %d" % r.randint(0, 4), "a_id = a.id"), one("SELECT FROM c WHERE z = %d" % r.randint(0, 4), "b_id = a.id"))
def outer_query(r):
    """A join, mostly an outer one, with conditions on either side of it, in it and behind it; of its rows, or of groups of them."""
    conditions = {"a": ["a.x IS NULL", "a.t IS NULL", "a.x IS DISTINCT FROM 1", "a.x = 1", "a.t IN ('x', 'y')"],
                  "b": ["b.y IS NULL", "b.t IS NULL", "b.y IS DISTINCT FROM 2", "b.y > 1", "b.t = 'x'"],
                  "c": ["c.z IS NULL", "c.b_id IS NULL", "c.z IS DISTINCT FROM 3", "c.z < 3", "c.k2 = 'p'"]}
    some = lambda tables, chance: [r.choice(conditions[t]) for t in tables if r.random() < chance]
    kind = r.choice(["LEFT", "LEFT", "RIGHT", "FULL", "INNER"])
    sql, tables = "FROM a %s JOIN b ON %s" % (kind, " AND ".join([r.choice(["b.a_id = a.id", "b.a_id = a.x"])] + some("ab" * (kind != "FULL"), .3))), "ab"
    if r.random() < .4:
        sql, tables = sql + " %s JOIN c ON %s" % (r.choice(["LEFT", "LEFT", "RIGHT", "INNER"]), " AND ".join([r.choice(["c.b_id = b.id", "c.z = b.y"])] + some("abc", .2))), "abc"
    behind = some(tables, .6)
    if behind: sql += " WHERE " + " AND ".join(behind)
    if r.random() < .3: return "SELECT a.x, count(*) AS n, max(b.y) AS y %s GROUP BY a.x" % sql
    return "SELECT %s %s" % (", ".join("%s.%s AS %s%s" % (t, c, t, c) for t in tables for c in KEYS[t] + [conditions[t][0][2]]), sql)
# A query, who asks, whether the dirty log is read, whether SQL leaves the answer open; statements before it, its batches, and when it is asked
# at first. Of a batch: statements, a table of which nobody knows what has changed, and when it is asked then.
# Whether who asks is away meanwhile, and reads the result anew.
Case = namedtuple("Case", "sql role logged left_open setup batches clock")
Batch = namedtuple("Batch", "statements unknown moment away")
def make_case(r, without):
    others = ONLY_HIDING or ONLY_OUTER
    listed = ONLY_LISTS or not ONLY_KEPT and not others and r.random() < .2
    kept = not listed and not others and (ONLY_KEPT or r.random() < .25)
    clock = Clock(r.random() < CLOCKED, r.choice(ZONES), times(r, LIST_BATCHES + 1))
    often = clock.asked and not (listed or kept or others) and r.random() < .5
    if often: clock = clock._replace(times=times(r, KEPT_BATCHES + 1, STEPS + MINUTES))
    tables = TIMED if clock.asked else COLS
    if listed:
        sql, left_open = list_query(r, clock.asked)
    elif kept:
        sql, left_open = kept_query(r, clock.asked), False
    elif ONLY_HIDING or not ONLY_OUTER and r.random() < .05:
        sql, left_open = hiding_query(r), False
    elif ONLY_OUTER or r.random() < .1:
        sql, left_open = outer_query(r), False
    elif r.random() < .4:
        made = (ClockGrammar if clock.asked else Grammar)(r, {t: tables[t] for t in "abc"}, equalities=.4)
        sql, _ = made.statement()
        if made.forms & without: return None
        left_open = False
    else:
        made = (OpenClockGrammar if clock.asked else OpenGrammar)(r, tables, VIEWS)
        sql, _ = made.query(2)
        left_open = made.open
    of = "".join(sorted(set(re.sub("va", "ac", re.sub("vb", "ab", " ".join(re.findall(r"\b(?:[abcds]|va|vb)\b", sql))))) - {" "})) if listed else ""
    setup = [one for _ in range(30 if listed else 14) for one in changes(r, clock, of=of)]
    role, logged = r.choice(["none", "none", "live_queries_reader"]), r.random() < .7
    batches = [[one for _ in range(1 if listed else r.randint(1, 4)) for one in changes(r, clock, only_new, of)] + ([bulk(r)] if r.random() < .05 else [])
               for only_new in (r.random() < ONLY_NEW for _ in range(LIST_BATCHES if listed else KEPT_BATCHES if kept or often else BATCHES))]
    away = float(AWAY) if AWAY else .2 if listed else .1
    batches = [Batch(statements, r.choice(list(TABLES)) if r.random() < .05 else None, moment, r.random() < away) for statements, moment in zip(batches, clock.times[1:])]
    return Case(sql, role, logged, left_open, setup, batches, clock)
class Refused(Exception): "The query is not watched."
class Lab:
    """Connections to one server, on which cases are played."""
    def __init__(self, ac):
        self.ac = ac
        ac.execute("SELECT relname, oid FROM pg_class WHERE relname = ANY (%s)", (list(TABLES),))
        self.oids = dict(ac.fetchall())
        self.connect()
    def connect(self):
        self.evaluator, self.check = conn(), conn()
        self.check.autocommit = True
    def play(self, case, stats, r, longest="0"):
        """Raises what is wrong."""
        try: self.play_open(case, stats, r, longest)
        except psycopg2.errors.DatetimeFieldOverflow: raise Refused("it raises an error by itself")  # infinite times
        finally:
            if self.evaluator.closed or self.check.closed: self.connect()
            else: self.evaluator.rollback()
    def play_open(self, case, stats, r, longest):
        ac, sql, role = self.ac, case.sql, case.role
        e, cc = self.evaluator.cursor(), self.check.cursor()
        ac.execute("TRUNCATE a, b, c, d, s")
        for _, statement, values in case.setup: ac.execute(statement, values)
        # As text, a plan loses the names in rows, conditions of security barriers, and whose rights a view has.
        shown = role == "none" and not re.search(r"row_to_json|_agg\(q\d+\)| va ", sql)
        try:
            e.execute("SET LOCAL ROLE " + role); cc.execute("RESET ALL; SET ROLE " + role)
            e.execute("SET LOCAL statement_timeout = %s", (longest,)); cc.execute("SET statement_timeout = %s", (longest,))
            e.execute("SET LOCAL TimeZone = %s", (case.clock.zone,)); cc.execute("SET TimeZone = %s", (case.clock.zone,))
            e.execute("SELECT delta_clock(%s)", (case.clock.times[0],))
            e.execute("SELECT delta_begin(%s)", (sql,))
            e.execute("SELECT delta_plan(%s)", (sql,)); plan = loads(e.fetchone()[0])
            if case.logged: e.execute("SELECT delta_watch()")
        except psycopg2.Error as error:
            if error.pgcode != "0A000": raise
            raise Refused("refused: " + str(error).split("\n")[0][:90])
        stats["windowed"] += plan["windows"] > 0
        if plan["why"]: stats["whole: " + plan["why"]] += 1
        try: e.execute("SELECT delta_result()")
        except psycopg2.errors.FeatureNotSupported as error:
            raise Refused("no plan: " + str(error).split("\n")[0])
        rows, client = loads(e.fetchone()[0]), None
        for statements, unknown, moment, away in case.batches:
            dirty = {t: set() for t in TABLES}
            for t, statement, values in statements:
                ac.execute(statement, values)
                dirty[t] |= set(ac.fetchall())
            given = [(self.oids[t], array(i)) for t in TABLES for i in dirty[t]]
            if unknown: given.append((self.oids[unknown], None))
            e.execute("SELECT delta_clock(%s)", (moment,))
            e.execute("SELECT delta_move()")
            e.execute("SELECT delta_away(%s)", (away,))
            away = away and e.fetchone()[0]
            if case.logged: e.execute("SELECT delta_logged()")
            else: e.execute("SELECT delta_changes(%s::oid[], %s)", ([o for o, _ in given], [i for _, i in given]))
            told = loads(e.fetchone()[0])
            if away:
                assert not told["changes"], "somebody is away, and told %s" % told["changes"]
                e.execute("SELECT delta_away(false)")
                e.execute("SELECT delta_result()")
                rows, client = loads(e.fetchone()[0]), None
            client = client or Client(told, rows)
            client.take(told["changes"])
            e.execute("SELECT delta_result()")
            now = loads(e.fetchone()[0])
            assert client.state == Client(told, now).state, "the client has %s\nthe result is %s" % (client.state, Client(told, now).state)
            found = Counter(json.dumps(one["row"]) for one in now)
            truth = found
            if case.left_open and shown: truth = otherwise(cc, r, at_time(plan["query"], moment) if case.clock.asked else plan["query"])
            # The text of a plan can be ambiguous: ORDER BY prefers the names of result columns.
            if not case.left_open or found != truth:
                cc.execute("SELECT row_to_json(q) FROM (%s) q" % at_time(sql, moment))
                truth = Counter(json.dumps(row) for row, in cc.fetchall())
            assert found == truth, "not as the query: %s\nnot %s" % (now, truth)
            stats["batches"] += 1; stats["whole"] += told["whole"]; stats["by windows"] += plan["windows"] > 0 and not told["whole"]; stats["bag"] += told["bag"]
            stats["changed"] += bool(told["changes"]); stats["spared"] += bool(told["spared"]); stats["moved"] += bool(told["moved"]); stats["groups moved"] += told["moved"]; stats["beyond"] += bool(told["beyond"]); stats["rows beyond"] += told["beyond"]; stats["irrelevant"] += bool(told["irrelevant"]); stats["nothing"] += told["nothing"]; stats["quiet"] += told["quiet"]; stats["quiet and changed"] += told["quiet"] and bool(told["changes"]); stats["only beyond"] += bool(told["beyond"]) and not told["rows"]; stats["away"] += away
            stats["partial"] += told["rows"] < 2 * len(now)
    def how(self, case):
        """How a case fails: a word for it, or None."""
        try: self.play(case, Counter(), random.Random(0), "5s")
        except (AssertionError, psycopg2.Error) as error: return kind_of(error)
        except Refused: pass
        return None
    def small(self, case, how):
        """What is left of a case that fails in this way. Of what it has become, SQL may leave the answer open."""
        case = case._replace(left_open=True)
        fails = lambda one: self.how(one) == how
        return shrink_case(case, fails, SECONDS, SIMPLER) if fails(case) else None
SIMPLER = (lambda case: case._replace(role="none"), lambda case: case._replace(logged=False),
           lambda case: case._replace(batches=[batch._replace(unknown=None, away=False) for batch in case.batches]))
def kind_of(error):
    """What errors of one cause have in common."""
    return getattr(error, "pgcode", None) or re.sub(r"[^a-z ].*", "", str(error), flags=re.S)[:30]
def shown_small(ac, case):
    """The text of a case, for psql: by live.subscribe, not by this program's own functions."""
    text = lambda one: ac.mogrify(one[1], one[2]).decode() + ";"
    become, again = ("SET ROLE %s;" % case.role, "RESET ROLE;") if case.role != "none" else (None, None)
    lines = ["-- %d statements%s%s" % (count_statements(case), ", by the dirty log" if case.logged else "",
                                       ", asked in %s at %s and then as below" % (case.clock.zone, case.clock.times[0]) if case.clock.asked else "")]
    lines += definitions(case) + [text(one) for one in case.setup]
    lines += [become, "SELECT strategy FROM live.subscribe('small', $q$%s$q$, delivery => 'poll'%s);" % (case.sql, ", refresh_every => '1 s'" if case.clock.asked else ""),
              "SELECT * FROM live.snapshot('small');", again]
    for batch in case.batches:
        if batch.statements: lines += ["BEGIN;"] + [text(one) for one in batch.statements] + ["COMMIT;"]
        if batch.unknown: lines.append("-- of %s nobody knows what has changed" % batch.unknown)
        if batch.away: lines.append("-- who asks is away meanwhile, and reads the result anew")
        lines.append("SELECT live.wait_for(); SELECT message FROM live.poll();" + (" -- at %s" % batch.moment if case.clock.asked else ""))
    return "\n".join(line for line in lines + [become, case.sql + ";", again] if line)
def definitions(case):
    """The statements that make what a case is about."""
    named = set(re.findall(r"\w+", " ".join([case.sql] + [one[1] for one in case.setup] + [one[1] for batch in case.batches for one in batch.statements]).replace("%s", "")))
    hidden = case.role != "none"
    if hidden or named & set(VIEWS): named |= {"a", "b", "c"}
    made = ["CREATE TABLE %s %s;" % (t, d) for t, d in TABLES.items() if t in named]
    for line in MORE.strip().split("\n"):
        about = re.search(r"PARTITION OF (\w+)|^CREATE VIEW (\w+)|^ALTER TABLE (\w+)|^CREATE \w+ (?:p )?ON (\w+)", line)
        if about and set(about.groups()) & named and (hidden or not re.search("POLICY|ROW LEVEL", line)): made.append(line)
    return ["CREATE EXTENSION IF NOT EXISTS live_queries;"] + ["CREATE ROLE %s;" % case.role] * hidden + made + [
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO %s;" % case.role] * hidden
def main():
    seed, cases = int(sys.argv[1]), int(sys.argv[2])
    without = set(sys.argv[3].split(",")) if len(sys.argv) > 3 else set()
    told_before = Counter()
    admin = conn(); admin.autocommit = True; ac = admin.cursor()
    ac.execute("DROP TABLE IF EXISTS a, b, c, d, s CASCADE; CREATE EXTENSION IF NOT EXISTS live_queries")
    ac.execute("DO $$ BEGIN IF to_regrole('live_queries_reader') IS NULL THEN CREATE ROLE live_queries_reader; END IF; END $$")
    for name, arguments, result in (("begin", "text", "void"), ("move", "", "void"), ("clock", "timestamptz", "void"), ("result", "", "text"), ("changes", "oid[], text[]", "text"),
                                    ("watch", "", "void"), ("logged", "", "text"), ("read_log", "", "text"), ("plan", "text", "text"), ("away", "boolean", "boolean")):
        ac.execute("CREATE OR REPLACE FUNCTION delta_%s(%s) RETURNS %s LANGUAGE c STRICT AS 'live_queries', 'live_queries_delta_%s'" % (name, arguments, result, name))
    for t, d in TABLES.items(): ac.execute("CREATE TABLE %s %s" % (t, d))
    ac.execute(MORE)
    ac.execute("ALTER SYSTEM SET live_queries.databases = %s", (admin.info.dbname,))
    ac.execute("ALTER SYSTEM SET live_queries.debug_mutation = %s", (MUTATION,)); ac.execute("SELECT pg_reload_conf()")
    for _ in range(100):
        ac.execute("SELECT count(*) FROM live.workers WHERE state = 'running'")
        if ac.fetchone()[0]: break
        time.sleep(.1)
    Grammar.server_version = admin.info.server_version // 10000
    lab, stats, least = Lab(ac), Counter(), None
    for number in range(cases):
        r = random.Random("%d/%d" % (seed, number))
        case = make_case(r, without)
        if case is None: continue
        try: lab.play(case, stats, r)
        except Refused as why: stats[str(why)] += 1
        except (psycopg2.Error, AssertionError) as error:
            how = kind_of(error)
            told_before[how] += 1
            if told_before[how] <= 2: print("DIFFERENCE", seed, number, case.sql, "\n", error)
            if told_before[how] == 1 and not MUTATION and getattr(error, "pgcode", "") is not None:
                least = lab.small(case, how)
                print("Small:\n" + shown_small(ac, least) if least else "It does not differ when it is played again.")
            stats["different"] += 1
            if stats["different"] > 30 or PLANTED or MUTATION: break
    for setting in "databases", "debug_mutation": ac.execute("ALTER SYSTEM RESET live_queries.%s" % setting)
    ac.execute("SELECT pg_reload_conf()")
    print(dict(stats))
    if PLANTED: sys.exit(0 if least and len(least.sql) < 60 and count_statements(least) <= 2 else 1)
    sys.exit(1 if stats["different"] else 0)
main()
