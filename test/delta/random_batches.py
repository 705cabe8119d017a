"""Random queries and changes: the delta strategy's own evaluation, batch by batch, against the whole query.

Usage: random_batches.py SEED CASES. A server with the build with fault points; connects by the environment."""
import json, random, sys, time, psycopg2
from collections import Counter
DSN = ""
def conn():
    c = psycopg2.connect(DSN); return c
TABLES = {"a": "id int primary key, x int, t text", "b": "id int primary key, a_id int, y int, t text",
          "c": "k1 int, k2 text, b_id int, z int, primary key (k1, k2)"}
COLS = {"a": [("id","int"),("x","int"),("t","text")], "b": [("id","int"),("a_id","int"),("y","int"),("t","text")],
        "c": [("k1","int"),("k2","text"),("b_id","int"),("z","int")]}
class Gen:
    def __init__(self, rng): self.r = rng; self.n = 0; self.subs = 2
    def fresh(self): self.n += 1; return "q%d" % self.n
    def base(self, depth):
        """returns (from item sql, alias, cols)"""
        r = self.r
        al = self.fresh()
        if depth > 0 and r.random() < 0.35:
            sql, cols = self.query(depth - 1, False)
            return "(%s) %s" % (sql, al), al, cols
        t = r.choice(list(TABLES))
        return "%s %s" % (t, al), al, COLS[t]
    def col(self, items, ty=None):
        ch = [("%s.%s" % (al, c), t) for al, cols in items for c, t in cols if ty in (None, t)]
        return self.r.choice(ch) if ch else None
    def sub(self, items, depth):
        """a boolean condition with a sub-select"""
        r = self.r
        if depth < 0: return "true"
        frm, inner = self.frm(depth - 1)
        x = self.col(items, "int"); y = self.col(inner, "int")
        if x is None or y is None: return "true"
        w = []
        if r.random() < .65: w.append("%s %s %s" % (self.col(inner, "int")[0], r.choice(["=", "=", "=", ">", "<>"]), x[0]))
        if r.random() < .4: w.append(self.cond(inner))
        if r.random() < .2: w.append(self.sub(inner, depth - 1))
        ws = " WHERE " + " AND ".join(w) if w else ""
        k = r.random()
        z = self.col(items, "int")[0]
        if k < .25: return "%sEXISTS (SELECT 1 FROM %s%s)" % (r.choice(["", "NOT "]), frm, ws)
        if k < .5: return "%s %sIN (SELECT %s FROM %s%s)" % (z, r.choice(["", "NOT "]), y[0], frm, ws)
        if k < .6: return "%s %s ANY (SELECT %s FROM %s%s)" % (z, r.choice(["=", ">", "<"]), y[0], frm, ws)
        if k < .7: return "%s %s ALL (SELECT %s FROM %s%s)" % (z, r.choice(["<>", ">=", "<"]), y[0], frm, ws)
        if k < .85: return "(SELECT %s FROM %s%s) %s %s" % (r.choice(["count(*)", "max(%s)" % y[0], "sum(%s)" % y[0]]), frm, ws, r.choice([">", "=", "<="]), z)
        if k < .93: return "%s IN (SELECT %s FROM %s%s GROUP BY %s HAVING count(*) > %d)" % (z, y[0], frm, ws, y[0], r.randint(0, 1))
        return "(%s OR %s)" % (self.cond(items), "EXISTS (SELECT 1 FROM %s%s)" % (frm, ws))
    def cond(self, items):
        r = self.r; k = r.random()
        if self.subs and r.random() < .25:
            self.subs -= 1
            return self.sub(items, 1)
        c = self.col(items, "int")
        if c is None: return "true"
        if r.random() < .15: return self.subselect(items, c[0])
        if k < 0.3:
            d = self.col(items, "int"); return "%s = %s" % (c[0], d[0])
        if k < 0.5: return "%s > %d" % (c[0], r.randint(0, 3))
        if k < 0.6: return "%s IS NULL" % c[0]
        if k < 0.7: return "NOT (%s = %d)" % (c[0], r.randint(0, 3))
        if k < 0.8: return "%s %% 2 = 1" % c[0]
        return "%s <= %d" % (c[0], r.randint(1, 4))
    def plain(self, items):
        keep, self.subs = self.subs, 0
        c = self.cond(items); self.subs = keep
        return c
    def subselect(self, items, c):
        r = self.r; t = r.choice(list(TABLES)); al = self.fresh()
        ints = ["%s.%s" % (al, n) for n, ty in COLS[t] if ty == "int"]
        x, y = r.choice(ints), r.choice(ints)
        where = r.choice(["", " WHERE %s = %s" % (y, self.col(items, "int")[0]), " WHERE %s > %d" % (y, r.randint(0, 2))])
        return r.choice([
            "EXISTS (SELECT 1 FROM %s %s WHERE %s = %s)" % (t, al, y, c), "NOT EXISTS (SELECT 1 FROM %s %s WHERE %s = %s)" % (t, al, y, c),
            "%s IN (SELECT %s FROM %s %s%s)" % (c, x, t, al, where), "%s NOT IN (SELECT %s FROM %s %s%s)" % (c, x, t, al, where),
            "%s >= ALL (SELECT %s FROM %s %s%s)" % (c, x, t, al, where), "%s = (SELECT max(%s) FROM %s %s%s)" % (c, x, t, al, where)])
    def frm(self, depth):
        r = self.r
        item, al, cols = self.base(depth); items = [(al, cols)]; sql = item
        for _ in range(r.choice([0, 0, 1, 1, 2])):
            it, al2, cols2 = self.base(depth); new = [(al2, cols2)]
            kind = r.choice(["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", ","])
            l, rr = self.col(items, "int"), self.col(new, "int")
            if kind == ",": sql = "%s CROSS JOIN %s" % (sql, it)
            else:
                on = "%s = %s" % (l[0], rr[0]) if l and rr else "true"
                if r.random() < 0.3: on += " AND " + self.plain(items + new)
                sql = "%s %s %s ON %s" % (sql, kind, it, on)
            items += new
        return sql, items
    def query(self, depth, top=True):
        r = self.r; k = r.random()
        if k < 0.15 and depth > 0:
            n = r.randint(1, 2)
            parts = []
            for _ in range(2):
                frm, items = self.frm(depth - 1)
                es = [self.col(items, "int")[0] if self.col(items, "int") else "1" for _ in range(n)]
                w = " WHERE " + self.cond(items) if r.random() < .5 else ""
                parts.append("SELECT %s FROM %s%s" % (", ".join("%s AS c%d" % (e, i) for i, e in enumerate(es)), frm, w))
            op = r.choice(["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL", "INTERSECT ALL"])
            return "%s %s %s" % (parts[0], op, parts[1]), [("c%d" % i, "int") for i in range(n)]
        frm, items = self.frm(depth)
        w = " WHERE " + " AND ".join(self.cond(items) for _ in range(r.randint(1, 2))) if r.random() < .6 else ""
        if k < 0.45:
            ks = [self.col(items)for _ in range(r.choice([0, 1, 1, 2]))]
            aggs = ["count(*)", "sum(%s)" % (self.col(items, "int") or ("1",))[0], "max(%s)" % (self.col(items, "int") or ("1",))[0]]
            ag = r.sample(aggs, r.randint(1, 2))
            sel = [(e, t) for e, t in ks] + [(a, "int") for a in ag]
            if not all(t == "int" for _, t in sel): pass
            text = ", ".join("%s AS c%d" % (("(%s)::int" % e if i >= len(ks) else e), i) for i, (e, t) in enumerate(sel))
            q = "SELECT %s FROM %s%s" % (text, frm, w)
            if ks: q += " GROUP BY " + ", ".join(dict.fromkeys(e for e, _ in ks))
            if r.random() < .3: q += " HAVING count(*) > %d" % r.randint(0, 2)
            cols = [("c%d" % i, t) for i, (e, t) in enumerate(sel)]
        else:
            n = r.randint(1, 3)
            es = [self.col(items) for _ in range(n)]
            if r.random() < .2:
                x = self.col(items, "int")
                if x: es[0] = ("(%s + 1)" % x[0], "int")
            if r.random() < .2:
                f2, i2 = self.frm(0)
                a, b = self.col(items, "int"), self.col(i2, "int")
                if a and b: es.append(("(SELECT %s FROM %s WHERE %s = %s)" % (r.choice(["count(*)::int", "max(%s)::int" % b[0]]), f2, self.col(i2, "int")[0], a[0]), "int"))
            win = ""
            if r.random() < .15:
                p = self.col(items); o = ", ".join("%s.%s" % (al, c) for al, cols in items for c, _ in cols)
                es.append(("(%s OVER (%s))::int" % (r.choice(["count(*)", "sum(1)"]), "PARTITION BY " + p[0] if r.random() < .8 else ""), "int"))
            d = "DISTINCT " if r.random() < .25 and not any("OVER" in e for e, _ in es) else ""
            q = "SELECT %s%s FROM %s%s" % (d, ", ".join("%s AS c%d" % (e, i) for i, (e, t) in enumerate(es)), frm, w)
            cols = [("c%d" % i, t) for i, (e, t) in enumerate(es)]
        if r.random() < .08:
            q = "%s ORDER BY %s LIMIT %d" % (q, ", ".join(str(i + 1) for i in range(len(cols))), r.randint(1, 4))
        return q, cols
def value(r, t): return r.choice([None, 0, 1, 2, 3, 4]) if t == "int" else r.choice([None, "x", "y", "z"])
def row_of(r, t):
    vals = {"a": lambda: (r.randint(1, 6), value(r, "int"), value(r, "text")),
            "b": lambda: (r.randint(1, 6), value(r, "int"), value(r, "int"), value(r, "text")),
            "c": lambda: (r.randint(1, 3), r.choice("pq"), value(r, "int"), value(r, "int"))}
    return vals[t]()
KEYS = {"a": ["id"], "b": ["id"], "c": ["k1", "k2"]}
def change(cur, r, dirty):
    for _ in range(r.randint(1, 4)):
        t = r.choice(list(TABLES)); k = r.random()
        key = KEYS[t]; ks = ", ".join(key)
        if k < 0.45:
            row = row_of(r, t)
            cur.execute("INSERT INTO %s VALUES (%s) ON CONFLICT DO NOTHING RETURNING %s" % (t, ", ".join(["%s"] * len(row)), ks), row)
            dirty[t] |= set(cur.fetchall())
        elif k < 0.7:
            row = row_of(r, t)
            cur.execute("DELETE FROM %s WHERE %s RETURNING %s" % (t, " AND ".join("%s = %%s" % c for c in key), ks), row[:len(key)])
            dirty[t] |= set(cur.fetchall())
        else:
            row = row_of(r, t); c, ty = r.choice([x for x in COLS[t] if x[0] not in key])
            cur.execute("UPDATE %s SET %s = %%s WHERE %s RETURNING %s" % (t, c, " AND ".join("%s = %%s" % c2 for c2 in key), ks), (value(r, ty),) + row[:len(key)])
            dirty[t] |= set(cur.fetchall())
BATCHES = 3
MANY = 300
def array(values): return "{%s}" % ",".join('"%s"' % str(v).replace("\\", "\\\\").replace('"', '\\"') for v in values)
def bulk(cur, r, dirty):
    """Enough rows for a plan that is made for them."""
    lo = r.randint(10, 20)
    cur.execute("INSERT INTO b SELECT n, n %% 7, n %% 5, 'x' FROM generate_series(%s, %s) n ON CONFLICT DO NOTHING RETURNING id", (lo, lo + MANY))
    dirty["b"] |= set(cur.fetchall())
class Client:
    """What a subscriber has: it applies messages, and does not forgive."""
    def __init__(self, bag, rows):
        self.bag, self.state = bag, Counter() if bag else {}
        for change in rows: self.apply(change)
    def apply(self, change):
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
def main():
    seed, cases = int(sys.argv[1]), int(sys.argv[2])
    admin = conn(); admin.autocommit = True; ac = admin.cursor()
    ac.execute("DROP TABLE IF EXISTS a, b, c CASCADE; CREATE EXTENSION IF NOT EXISTS live_queries")
    for name, arguments, result in (("begin", "text", "void"), ("move", "", "void"), ("result", "", "text"), ("changes", "oid[], text[]", "text"),
                                    ("watch", "", "void"), ("logged", "", "text"), ("read_log", "", "text")):
        ac.execute("CREATE OR REPLACE FUNCTION delta_%s(%s) RETURNS %s LANGUAGE c STRICT AS 'live_queries', 'live_queries_delta_%s'" % (name, arguments, result, name))
    for t, d in TABLES.items(): ac.execute("CREATE TABLE %s (%s)" % (t, d))
    ac.execute("ALTER SYSTEM SET live_queries.databases = %s", (admin.info.dbname,)); ac.execute("SELECT pg_reload_conf()")
    for _ in range(100):
        ac.execute("SELECT count(*) FROM live.workers WHERE state = 'running'")
        if ac.fetchone()[0]: break
        time.sleep(.1)
    ac.execute("SELECT relname, oid FROM pg_class WHERE relname IN ('a','b','c')")
    oids = dict(ac.fetchall())
    evaluator, check = conn(), conn()
    check.autocommit = True
    stats = Counter()
    for case in range(cases):
        r = random.Random("%d/%d" % (seed, case))
        ac.execute("TRUNCATE a, b, c")
        for _ in range(14): change(ac, r, {t: set() for t in TABLES})
        sql, _ = Gen(r).query(2)
        e, cc = evaluator.cursor(), check.cursor()
        batch = "start"
        try:
            try:
                e.execute("SELECT delta_begin(%s)", (sql,))
                logged = r.random() < .7
                if logged: e.execute("SELECT delta_watch()")
            except psycopg2.Error as error:
                stats["refused: " + str(error).split("\n")[0][:60]] += 1
                continue
            e.execute("SELECT delta_result()")
            rows, client = json.loads(e.fetchone()[0]), None
            for batch in range(BATCHES):
                dirty = {t: set() for t in TABLES}
                for _ in range(r.randint(1, 4)): change(ac, r, dirty)
                if r.random() < .05: bulk(ac, r, dirty)
                given = [(oids[t], array(i)) for t in TABLES for i in dirty[t]]
                if r.random() < .05: given.append((oids[r.choice(list(TABLES))], None))
                e.execute("SELECT delta_move()")
                if logged: e.execute("SELECT delta_logged()")
                else: e.execute("SELECT delta_changes(%s::oid[], %s)", ([o for o, _ in given], [i for _, i in given]))
                told = json.loads(e.fetchone()[0])
                client = client or Client(told["bag"], rows)
                for one in told["changes"]: client.apply(one)
                e.execute("SELECT delta_result()")
                now = json.loads(e.fetchone()[0])
                assert client.state == Client(told["bag"], now).state, "the client has %s\nthe result is %s" % (client.state, Client(told["bag"], now).state)
                cc.execute("SELECT row_to_json(q) FROM (%s) q" % sql)
                truth = Counter(json.dumps(row) for row, in cc.fetchall())
                assert Counter(json.dumps(one["row"]) for one in now) == truth, "%s\nnot %s" % (now, truth)
                stats["batches"] += 1; stats["whole"] += told["whole"]; stats["bag"] += told["bag"]
                stats["changed"] += bool(told["changes"]); stats["partial"] += told["rows"] < 2 * len(now)
        except (psycopg2.Error, AssertionError) as error:
            print("DIFFERENCE", seed, case, "batch", batch, sql, "\n", error)
            stats["different"] += 1
            if stats["different"] > 3: break
        finally:
            evaluator.rollback()
    print(dict(stats))
    sys.exit(1 if stats["different"] else 0)
main()
