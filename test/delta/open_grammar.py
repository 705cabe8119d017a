"""Random queries of which SQL leaves the answer open: ties, orders within arrays, values that are equal and not the same; and
much else besides (test/oracle/grammar.py has only those that have one answer). Over the tables and views of random_batches.py.
Pure: no server, everything random by the caller's rng."""
import re
def outside(text):
    """A text without what it has in parentheses."""
    while (inner := re.search(r"\([^()]*\)", text)): text = text[:inner.start()] + text[inner.end():]
    return text
class OpenGrammar:
    def __init__(self, rng, tables, views):
        self.r = rng; self.n = 0; self.subs = 2
        self.tables = tables; self.views = views
        self.open = False  # whether SQL leaves the answer open
    def fresh(self): self.n += 1; return "q%d" % self.n
    def base(self, depth):
        """returns (from item sql, alias, cols)"""
        r = self.r
        al = self.fresh()
        if depth > 0 and r.random() < 0.35:
            sql, cols = self.query(depth - 1, False)
            return "(%s) %s" % (sql, al), al, cols
        k = r.random()
        if k < .06: return "%s %s" % (t := r.choice(list(self.views)), al), al, self.views[t]
        if k < .09: return "(VALUES (1, 'x'), (2, NULL), (3, 'y')) %s(v, t)" % al, al, [("v","int"),("t","text")]
        if k < .11: return "generate_series(1, 4) %s(g)" % al, al, [("g","int")]
        t = r.choice(["a", "a", "b", "b", "c", "c", "d"] + ["s"] * (r.random() < .1))
        return "%s %s" % (t, al), al, self.tables[t]
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
        if r.random() < .12: return self.equality(items)
        if k < 0.3:
            d = self.col(items, "int"); return "%s = %s" % (c[0], d[0])
        if k < 0.5: return "%s > %d" % (c[0], r.randint(0, 3))
        if k < 0.6: return "%s IS NULL" % c[0]
        if k < 0.7: return "NOT (%s = %d)" % (c[0], r.randint(0, 3))
        if k < 0.8: return "%s %% 2 = 1" % c[0]
        return "%s <= %d" % (c[0], r.randint(1, 4))
    def equality(self, items):
        """with a constant: what a result is routed by, where it is a condition of the whole query"""
        r = self.r; c = self.col(items, r.choice(["int", "int", "int", "text"])) or self.col(items)
        return "%s = %s" % (c[0], {"int": "%d" % r.randint(0, 4), "text": "'%s'" % r.choice("xyz"), "num": r.choice(["1", "1.0", "2"]), "flt": r.choice(["0", "1"]), "fix": "1"}.get(c[1], c[0]))
    def membership(self, items):
        """that a table holds the row of one key; a constant in it is what a result is routed by, where it is a condition of the whole query"""
        r = self.r; m = self.fresh(); c = (self.col(items, "int") or ("1",))[0]
        more = " AND " + self.plain([(m, self.tables["c"])]) if r.random() < .3 else ""
        return r.choice(["EXISTS (SELECT FROM c {m} WHERE {m}.k1 = {c} AND {m}.k2 = '{k}'{more})", "{c} IN (SELECT {m}.k1 FROM c {m} WHERE {m}.k2 = '{k}'{more})",
            "EXISTS (SELECT 1 FROM c {m} WHERE '{k}' = {m}.k2 AND {c} + 1 = {m}.k1{more})", "('{k}', {c}) IN (SELECT {m}.k2, {m}.k1 FROM c {m} WHERE {m}.k2 = 'p'{more})",
            "{c} IN (SELECT {m}.y FROM b {m} WHERE {m}.id = {n})", "EXISTS (SELECT FROM a {m} WHERE {m}.id = {n} AND {m}.x = {c})", "{c} IN (SELECT {m}.b_id FROM c {m} WHERE {m}.k2 = '{k}')"]
            ).format(m=m, c=c, k=r.choice("pqq"), n=r.randint(1, 6), more=more)
    def plain(self, items):
        keep, self.subs = self.subs, 0
        c = self.cond(items); self.subs = keep
        return c
    def subselect(self, items, c):
        r = self.r; t = r.choice(list(self.tables)); al = self.fresh()
        ints = ["%s.%s" % (al, n) for n, ty in self.tables[t] if ty == "int"]
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
            kind = r.choice(["JOIN", "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", ",", "FULL JOIN" if r.random() < .5 else "JOIN"])
            l, rr = self.col(items, "int"), self.col(new, "int")
            if kind == ",": sql = "%s CROSS JOIN %s" % (sql, it)
            elif r.random() < .06 and l:
                inner = self.fresh()
                it = "LATERAL (SELECT count(*)::int AS n, max(%s.y) AS y FROM b %s WHERE %s.a_id = %s) %s" % (inner, inner, inner, l[0], al2)
                new = [(al2, [("n", "int"), ("y", "int")])]
                if r.random() < .5: it = "LATERAL (SELECT %s.id AS n, %s.y FROM b %s WHERE %s.a_id %s %s ORDER BY 2, 1 LIMIT %d) %s" % (inner, inner, inner, inner, r.choice(["=", ">"]), l[0], r.randint(1, 2), al2)
                elif r.random() < .2: it, new = "LATERAL generate_series(1, %s) %s(n)" % (l[0], al2), [(al2, [("n", "int")])]
                sql = "%s %s %s ON true" % (sql, r.choice(["JOIN", "LEFT JOIN"]), it)
            else:
                on = "%s = %s" % (l[0], rr[0]) if l and rr else "true"
                if r.random() < 0.3: on += " AND " + (self.plain(items + new) if kind == "FULL JOIN" or r.random() < .7 else self.cond(items + new))
                sql = "%s %s %s ON %s" % (sql, kind, it, on)
            items += new
        return sql, items
    def set_operation(self, depth):
        r = self.r; n = r.randint(1, 2); parts = []
        types = [r.choice(["int", "int", "int", "text"]) for _ in range(n)]
        for _ in range(r.choice([2, 2, 2, 3])):
            frm, items = self.frm(depth - 1)
            es = [(self.col(items, t) or ("1" if t == "int" else "'x'",))[0] for t in types]
            if r.random() < .1: es = [e + "::bigint" if t == "int" else e + "::varchar" for e, t in zip(es, types)]
            w = " WHERE " + self.cond(items) if r.random() < .5 else ""
            part = "SELECT %s FROM %s%s" % (", ".join("%s AS c%d" % (e, i) for i, e in enumerate(es)), frm, w)
            if r.random() < .1: part = "(%s ORDER BY %s LIMIT 3)" % (part, ", ".join(str(i + 1) for i in range(n)))
            parts.append(part)
        op = lambda: r.choice(["UNION", "UNION ALL", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL", "INTERSECT ALL"])
        q = "%s %s %s" % (parts[0], op(), parts[1])
        if len(parts) > 2: q = "%s %s (%s)" % (parts[2], op(), q) if r.random() < .5 else "(%s) %s %s" % (q, op(), parts[2])
        return q, [("c%d" % i, t) for i, t in enumerate(types)]
    def aggregate(self, items):
        """returns (expression, type)"""
        r = self.r
        x = (self.col(items, "int") or ("1",))[0]
        o = self.col(items)[0]
        if r.random() < .6: return ("(%s)::int" % r.choice(["count(*)", "count(DISTINCT %s)" % x, "sum(%s)" % x, "max(%s)" % x, "min(%s)" % x, "sum(%s) FILTER (WHERE %s > 1)" % (x, x)]), "int")
        y = self.col(items, r.choice(["num", "flt", "fix", "text", "int"])) or (x, "int")
        if r.random() < .3: return ("(%s)::text" % r.choice(["max(%s)", "min(%s)", "count(DISTINCT %s)", "count(%s)"]) % y[0], "text") if y[1] in ("int", "text", "fix") else self.opened(("(%s)::text" % r.choice(["max(%s)", "min(%s)", "sum(%s)", "avg(%s)"]) % y[0], "text"))
        return self.opened(("(%s)::text" % r.choice(["array_agg(%s)" % y[0], "array_agg(%s ORDER BY %s)" % (y[0], o), "array_agg(DISTINCT %s)" % y[0], "string_agg(%s::text, ',')" % y[0], "json_agg(%s)" % y[0],
            "percentile_disc(.5) WITHIN GROUP (ORDER BY %s)" % y[0], "mode() WITHIN GROUP (ORDER BY %s)" % y[0], "json_object_agg(coalesce(%s, 0), %s)" % (x, o), "array_agg(%s) FILTER (WHERE %s > 0)" % (y[0], x)]), "text"))
    def opened(self, thing):
        self.open = True
        return thing
    def window(self, items):
        r = self.r
        p = "PARTITION BY " + self.col(items)[0] if r.random() < .8 else ""
        o = "ORDER BY %s" % self.col(items)[0]
        x = (self.col(items, "int") or ("1",))[0]
        k = r.random()
        if k < .3: return ("(%s OVER (%s))::int" % (r.choice(["count(*)", "sum(1)", "max(%s)" % x]), p), "int")
        if k < .5: return ("(%s OVER (%s %s))::int" % (r.choice(["rank()", "dense_rank()", "count(*)", "sum(%s)" % x]), p, o), "int")
        if k < .8: return self.opened(("(%s OVER (%s %s))::int" % (r.choice(["row_number()", "row_number()", "lag(%s)" % x, "lead(%s)" % x, "ntile(2)", "first_value(%s)" % x]), p, o if r.random() < .9 else ""), "int"))
        return self.opened(("(%s OVER (%s %s ROWS BETWEEN 1 PRECEDING AND CURRENT ROW))::int" % (r.choice(["sum(%s)" % x, "first_value(%s)" % x, "last_value(%s)" % x]), p, o), "int"))
    def scalar(self, items):
        """a sub-select that is a value"""
        r = self.r; f2, i2 = self.frm(0)
        a, b, c = self.col(items, "int"), self.col(i2, "int"), self.col(i2, "int")
        if not (a and b): return ("1", "int")
        w = " WHERE %s = %s" % (c[0], a[0]) if r.random() < .7 else ""
        if r.random() < .15: return self.opened(("ARRAY(SELECT %s FROM %s%s)::text" % (self.col(i2)[0], f2, w), "text"))
        if r.random() < .2: return ("(SELECT %s FROM %s%s ORDER BY 1 LIMIT 1)" % (b[0], f2, w), "int")
        if r.random() < .2: return ("(SELECT (count(*) + coalesce((SELECT max(x) FROM a), 0))::int FROM %s%s)" % (f2, w), "int")
        return ("(SELECT %s FROM %s%s)" % (r.choice(["count(*)::int", "max(%s)::int" % b[0]]), f2, w), "int")
    def grouped(self, frm, items, w):
        r = self.r
        ks = [self.col(items) for _ in range(r.choice([0, 1, 1, 2]))]
        if any(t in ("num", "flt") for _, t in ks): self.open = True
        sel = ks + [self.aggregate(items) for _ in range(r.randint(1, 2))]
        if r.random() < .1: sel.append(("(SELECT max(z) FROM c)", "int"))
        elif r.random() < .1 and ks and not any("(" in e for e, _ in ks): sel.append(self.scalar([(e.split(".")[0], [(e.split(".")[1], t)]) for e, t in ks]))
        q = "SELECT %s FROM %s%s" % (", ".join("%s AS c%d" % (e, i) for i, (e, t) in enumerate(sel)), frm, w)
        names = list(dict.fromkeys(e for e, _ in ks))
        if ks: q += " GROUP BY " + (r.choice(["ROLLUP(%s)", "GROUPING SETS ((), (%s))"]) if r.random() < .05 else "%s") % ", ".join(names)
        if r.random() < .3: q += " HAVING " + r.choice(["count(*) > %d" % r.randint(0, 2), "count(*) > %d" % r.randint(0, 2), "count(*) >= (SELECT count(*) FROM a WHERE x = 1)", "EXISTS (SELECT FROM c WHERE z = 1)"])
        return q, [("c%d" % i, t) for i, (e, t) in enumerate(sel)]
    def query(self, depth, top=True):
        r = self.r
        if r.random() < .06 and depth > 0:
            inner, cols = self.query(depth - 1, False); name, al = self.fresh(), self.fresh()
            body = r.choice(["SELECT * FROM %s" % name, "SELECT %s.* FROM %s %s JOIN a ON a.id = %s.%s" % (al, name, al, al, cols[0][0]) if cols[0][1] == "int" else "SELECT * FROM %s" % name,
                "SELECT * FROM %s UNION ALL SELECT * FROM %s" % (name, name), "SELECT * FROM %s EXCEPT SELECT * FROM %s WHERE %s IS NOT NULL" % (name, name, cols[0][0])])
            return "WITH %s AS (%s) %s" % (name, inner, body), cols
        q, cols = self.body(depth, top)
        if r.random() < .04 and "ORDER BY" not in q:
            al = self.fresh()
            self.open = True
            q, cols = "SELECT (%s(%s))::text AS c0 FROM (%s ORDER BY %d DESC) %s" % (r.choice(["json_agg", "array_agg"]), r.choice([al, al + ".c0", al + ".c0"]), q, r.randint(1, len(cols)), al), [("c0", "text")]
        if r.random() < .05:
            al = self.fresh()
            q, cols = "SELECT row_to_json(%s)::text AS c0 FROM (%s) %s" % (al, q, al), [("c0", "text")]
        if r.random() < .1:
            order = [str(i + 1) for i in range(len(cols))]
            if r.random() < .3: order = order[:1]; self.open = True
            else: self.open = self.open or any(t in ("num", "flt") for _, t in cols)
            tail = r.choice(["LIMIT %d", "LIMIT %d OFFSET 1", "FETCH FIRST %d ROWS WITH TIES"]) % r.randint(1, 4)
            q = "SELECT * FROM (%s) %s ORDER BY %s %s" % (q, self.fresh(), ", ".join(order), tail) if r.random() < .3 else "%s ORDER BY %s %s" % (q, ", ".join(order), tail) if "ORDER BY" not in outside(q) else q
        return q, cols
    def body(self, depth, top=False):
        r = self.r; k = r.random()
        if k < 0.15 and depth > 0: return self.set_operation(depth)
        frm, items = self.frm(depth)
        w = " WHERE " + " AND ".join(self.cond(items) for _ in range(r.randint(1, 2))) if r.random() < .6 else ""
        if top and r.random() < .35: w += (" AND " if w else " WHERE ") + " AND ".join(self.equality(items) for _ in range(r.choice([1, 1, 2])))
        if top and r.random() < .2: w += (" AND " if w else " WHERE ") + self.membership(items)
        if k < 0.42: return self.grouped(frm, items, w)
        es = [self.col(items) for _ in range(r.randint(1, 3))]
        x = self.col(items, "int")
        if x and r.random() < .2: es[0] = ("(%s + 1)" % x[0], "int")
        if r.random() < .2: es.append(self.scalar(items))
        if r.random() < .15: es.append(self.window(items))
        if r.random() < .03: es.append(self.window(items))
        if r.random() < .02: es.append(("generate_series(1, 2)", "int"))
        d, order = "", ""
        if r.random() < .25:
            if r.random() < .25:
                on = self.col(items)[0]
                d, order = "DISTINCT ON (%s) " % on, " ORDER BY %s, %s DESC" % (on, self.col(items)[0]); self.open = True
            elif not any("OVER" in e for e, _ in es):
                d = "DISTINCT "
                if any(t in ("num", "flt") for _, t in es): self.open = True
        q = "SELECT %s%s FROM %s%s%s" % (d, ", ".join("%s AS c%d" % (e, i) for i, (e, t) in enumerate(es)), frm, w, order)
        return q, [("c%d" % i, t) for i, (e, t) in enumerate(es)]
