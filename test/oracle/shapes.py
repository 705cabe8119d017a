"""The queries that clients watch.

Owns: the list of query shapes with their random parameters, and the two texts of each query: the one a client
subscribes to, and the one that evaluates the same query on a single row version of the reference.
"""

import re
from dataclasses import dataclass

import rights as rights_of
import schema

# Sources that are no table: SQL name, the table below, and what they are in terms of other sources.
VIEWS = {
    "open_items": ("items", "(SELECT id, customer_id, status, total FROM {items} WHERE open)"),
    "open_totals": ("items", "(SELECT customer_id AS customer, total * 2 AS twice FROM {open_items}"
                             " WHERE status <> 'void')"),
    "orders_south": ("orders", "(SELECT memo, amount, region, id FROM {orders} WHERE region = 'south')"),
}


@dataclass(frozen=True)
class Shape:
    """One form of query.

    sql names its sources as {source} or {source:alias}; params is a function(rng) that returns texts.
    sometimes: a refusal is no error. pointwise: its result on a table is the sum of its
    results on the single rows, so that it can be compared at each message, not at quiet points alone.
    """

    name: str
    sql: str
    params: object = lambda rng: ()
    sometimes: bool = False
    pointwise: bool = True
    guarded: str = ""  # the same, with NULL where an expression fails on a row of the result
    tenant: object = None  # function(query) that returns whose rows these are, None for everybody's

    @property
    def sources(self):
        """The sources that the query names."""
        return [name for name, _ in re.findall(r"\{(\w+)(?::(\w+))?\}", self.sql)]


@dataclass(frozen=True)
class Query:
    """A shape with its parameters, as one user asks it. Equal queries have equal results."""

    shape: Shape
    params: tuple
    user: schema.User

    whole = False  # see selects.Select

    def all_full(self, tables):
        """Tells whether the log has the old rows of the table."""
        return self.source_table(tables).full

    def source_table(self, tables):
        """Returns the table below the (first) source."""
        return tables[_table_below(self.shape.sources[0])]

    def table_names(self, tables):
        """Returns the names of the tables below all sources."""
        return frozenset(tables[_table_below(source)].name for source in self.shape.sources)

    def is_parted(self, tables):
        """Tells whether a source has several leaves."""
        return any(source in tables and (tables[source].leaves or tables[source].parted) for source in self.shape.sources)

    def endangered(self, tables):
        """Tells whether it may end without a call of the oracle's: a row of its own, or a right that it lost."""
        return bool(self.shape.guarded) or self.source_table(tables).rights

    def tenant(self):
        """Returns whose rows these are alone, or None."""
        return self.shape.tenant and self.shape.tenant(self)

    def subscribed_sql(self, tables):
        """Returns the text to subscribe to, with $1..$n."""
        return _with_sources(self.shape.sql, lambda name, alias: _named(_sql_name(name, tables), alias))

    def plain_sql(self, tables):
        """Returns the text to run as the same user, with the parameters in it."""
        return self._with_params(self.subscribed_sql(tables))

    def version_sql(self, tables, rights=None):
        """Returns a query over the row version "s" of the reference, with rights that are there: version_id, key, row."""
        table = self.source_table(tables)
        key = "NULL"
        if table.key:
            key = "json_build_array(%s)::text" % ", ".join("s.%s" % schema.identifier(c) for c in table.key)
        body = self._with_params(_with_sources(self.shape.guarded or self.shape.sql,
                                               self._reference_source(tables, rights)))
        return ("SELECT s.version_id, %s, row_to_json(q)::text FROM shadow.%s AS s CROSS JOIN LATERAL (%s) AS q"
                % (key, table.sql, body))

    def _reference_source(self, tables, rights):
        def source(name, alias):
            if name in VIEWS:
                body = _with_sources(VIEWS[name][1], source)
            else:
                table = tables[name]
                condition = rights_of.policy(self.user, rights) if table.rights else schema.policy(name, self.user)
                body = "(SELECT %s%s)" % (
                    ", ".join("s.%s" % schema.identifier(column) for column in visible_columns(table)),
                    " WHERE %s" % condition if condition else "")
            return "%s AS %s" % (body, alias or _sql_name(name, tables))
        return source

    def _with_params(self, text):
        return re.sub(r"\$(\d+)", lambda match: schema.literal(self.params[int(match.group(1)) - 1]), text)


def _table_below(source):
    return VIEWS[source][0] if source in VIEWS else source


def visible_columns(table):
    """Returns the columns in the order of SELECT *."""
    columns = list(table.columns)
    if table.generated:  # items alone: its generated column stands after body
        at = columns.index("body") + 1
        columns[at:at] = table.generated
    return columns


def _sql_name(name, tables):
    return tables[name].sql if name in tables else name


def _named(name, alias):
    return "%s AS %s" % (name, alias) if alias else name


def _with_sources(text, source):
    return re.sub(r"\{(\w+)(?::(\w+))?\}", lambda match: source(match.group(1), match.group(2)), text)


def _pick(*makers):
    return lambda rng: tuple(make(rng) for make in makers)


def _int(low, high):
    return lambda rng: str(rng.randint(low, high))


def _of(*values):
    return lambda rng: rng.choice(values)


def _ints(low, high):
    return lambda rng: "{%s}" % ",".join(str(rng.randint(low, high)) for _ in range(rng.randint(0, 4)))


def _list(*values):
    """Lists of some of these, with NULLs, one more than once, or empty; None is no list at all."""
    def make(rng):
        if rng.random() < 0.05:
            return None
        chosen = [rng.choice(values) for _ in range(rng.choice((0, 1, 2, 3, 5)))]
        chosen += ["NULL"] * (rng.random() < 0.3) + chosen[:1] * (rng.random() < 0.3)
        rng.shuffle(chosen)
        return "{%s}" % ",".join(chosen)
    return make


_STATUS = _of(*schema.STATUSES)
_REGION = _of(*schema.REGIONS)
_TENANT = _of(*map(str, schema.TENANTS))

STREAM = [
    Shape("equality", "SELECT id, customer_id, total FROM {items} WHERE customer_id = $1 AND status = $2",
          _pick(_of("1", "2", "3", "4", None), _STATUS)),
    Shape("whole table", "SELECT * FROM {items}"),
    Shape("whole rows", "SELECT * FROM {items} WHERE customer_id = $1", _pick(_int(1, 8))),
    Shape("by key", "SELECT * FROM {items} WHERE id = $1", _pick(_int(1, 120))),
    Shape("range", "SELECT id, total FROM {items:i} WHERE i.total > $1 AND i.total <= $2",
          _pick(_int(0, 50), _of("60", "80.5", "NaN"))),
    Shape("any", "SELECT id, status FROM {items} WHERE customer_id = ANY($1)", _pick(_ints(1, 8))),
    Shape("in", "SELECT id, status, open FROM {items} WHERE status IN ('new', 'open', $1)", _pick(_STATUS)),
    Shape("any, equality", "SELECT id, total FROM {items} WHERE customer_id = $1 AND status = ANY($2)",
          _pick(_int(1, 4), _list(*schema.STATUSES))),
    Shape("any, any", "SELECT id, open FROM {items} WHERE status = ANY($1) AND customer_id = ANY($2)",
          _pick(_list(*schema.STATUSES), _list(*map(str, range(1, 9))))),
    Shape("any, range", "SELECT id, grade FROM {items} WHERE customer_id = ANY($1) AND grade >= $2 AND total < $3",
          _pick(_list(*map(str, range(1, 9))), _int(5, 8), _of("20", "60", "NaN"))),
    Shape("not any", "SELECT id, status FROM {items} WHERE status <> ALL($1)", _pick(_list(*schema.STATUSES))),
    Shape("in, twice", "SELECT id, customer_id FROM {items} WHERE customer_id IN ($1, $2, 3, $1)", _pick(_int(1, 8), _int(1, 8))),
    Shape("between", "SELECT id, customer_id FROM {items} WHERE customer_id BETWEEN $1 AND $2", _pick(_int(0, 9), _int(0, 9))),
    Shape("between, exclusive", "SELECT id, grade FROM {items} WHERE grade > $1 AND $2 > grade", _pick(_int(4, 8), _int(5, 9))),
    Shape("between, equality", "SELECT id, total FROM {items} WHERE status = $1 AND customer_id BETWEEN $2 AND $3",
          _pick(_STATUS, _int(1, 6), _int(3, 9))),
    Shape("between, two columns", "SELECT id FROM {items} WHERE customer_id BETWEEN $1 AND $2 AND grade <= $3 AND 5 < grade",
          _pick(_int(1, 5), _int(3, 9), _int(5, 9))),
    Shape("bounds", "SELECT id, customer_id FROM {items} WHERE customer_id > $1 AND customer_id >= $2 AND customer_id < 8",
          _pick(_int(0, 7), _int(0, 7))),
    Shape("from", "SELECT id, status FROM {items} WHERE customer_id >= $1", _pick(_of("1", "4", "7", "8", "9", None))),
    Shape("until", "SELECT id, note FROM {items} WHERE status < $1", _pick(_of("new", "open", "paid", "void", "w"))),
    Shape("times", "SELECT id, due FROM {items} WHERE due BETWEEN $1 AND $2",
          _pick(_of("2026-01-05 00:00+00", "-infinity"), _of("2026-01-15 00:00+00", "infinity"))),
    Shape("like", "SELECT id, note FROM {items} WHERE note LIKE $1", _pick(_of("a%", "%a%", "x\\%%", "%"))),
    Shape("like, prefix", "SELECT id, note FROM {items} WHERE note LIKE $1",
          _pick(_of("alpha%", "alph_", "Alpha%", "b%a", "it's", "näher%", 'a "q%', "tab%", "x\\%\\_%"))),
    Shape("like, status", "SELECT id, status FROM {items} WHERE status LIKE $1",
          _pick(_of("new%", "o%", "p_id", "paid%", "void", "v%d", "op\\en%", None))),
    Shape("like, equality", "SELECT id, note FROM {items} WHERE customer_id = $1 AND note LIKE $2",
          _pick(_int(1, 4), _of("a%", "alpha%", "Al%", "%a"))),
    Shape("like, range", "SELECT id, total FROM {items} WHERE status LIKE $1 AND customer_id > $2 AND note LIKE $3",
          _pick(_of("n%", "o%", "paid%"), _int(0, 5), _of("%", "a%"))),
    Shape("like, big values", "SELECT id, status FROM {items} WHERE body LIKE $1", _pick(_of("a%", "A%", "be%", "alpha%"))),
    Shape("starts with", "SELECT id, status FROM {items} WHERE status ^@ $1", _pick(_of("o", "new", "p", "", "paid!"))),
    Shape("ilike", "SELECT id, note FROM {items} WHERE note ILIKE $1", _pick(_of("a%", "%ph%"))),
    Shape("null", "SELECT id, note FROM {items} WHERE note IS NULL AND open"),
    Shape("not null", "SELECT id, due FROM {items} WHERE due IS NOT NULL AND due < $1",
          _pick(_of("2026-01-15 00:00+00", "infinity"))),
    Shape("case", "SELECT id, CASE WHEN total > 50 THEN 'big' WHEN total IS NULL THEN NULL ELSE 'small' END AS size"
                  " FROM {items} WHERE CASE WHEN open THEN customer_id ELSE 0 END = $1", _pick(_int(0, 8))),
    Shape("contains", "SELECT id, attrs FROM {items} WHERE attrs @> $1",
          _pick(_of('{"color": "red"}', '{"nested": {"a": [1]}}', '{"size": 3}', '{"color": "blue", "size": 1.0}',
                    '{"nested": {"a": [null]}}', '"text"', '{}', None))),
    Shape("in a range", "SELECT id, customer_id FROM {items} WHERE customer_id <@ $1::int4range",
          _pick(_of("[2,5)", "(1,3]", "[4,)", "(,2)", "empty", "(,)", None))),
    Shape("json keys", "SELECT id, attrs FROM {items} WHERE attrs ? $1", _pick(_of("color", "size", "text", "none", "nested"))),
    Shape("json keys, any", "SELECT id, attrs FROM {items} WHERE attrs ?| $1 AND NOT attrs ?& $2",
          _pick(_of("{color,text}", "{none,text}", "{size}", "{}"), _of("{color,none}", "{}", "{text}"))),
    Shape("array contains", "SELECT id, tags FROM {items} WHERE tags @> $1", _pick(_ints(1, 6))),
    Shape("array contains, equality", "SELECT id, tags FROM {items} WHERE customer_id = $1 AND tags @> $2",
          _pick(_int(1, 8), _ints(1, 6))),
    Shape("json field", "SELECT id, attrs->'nested' AS nested, attrs->>'size' AS size FROM {items}"
                        " WHERE attrs->>'color' = $1", _pick(_of("red", "blue"))),
    Shape("in array", "SELECT id, tags, tags[1] AS first FROM {items} WHERE $1 = ANY(tags)", _pick(_int(1, 6))),
    Shape("overlap", "SELECT id, tags FROM {items} WHERE tags && $1", _pick(_ints(1, 6))),
    Shape("expressions", "SELECT id, upper(note) AS shout, total * 2 AS doubled, coalesce(note, '?') AS note,"
                         " label FROM {items} WHERE open"),
    Shape("key not selected", "SELECT total, status FROM {items} WHERE NOT open"),
    Shape("big values", "SELECT id, body FROM {items} WHERE customer_id = $1", _pick(_int(1, 8))),
    Shape("big condition", "SELECT id, md5(body) AS digest FROM {items} WHERE length(body) > $1",
          _pick(_of("5", "9000", "11000"))),
    Shape("generated", "SELECT id, label FROM {items} WHERE label = $1", _pick(_of("new:1", "open:2", "paid:0"))),
    Shape("or", "SELECT id, customer_id, status FROM {items} WHERE customer_id = $1 OR status = $2",
          _pick(_int(1, 8), _STATUS)),
    Shape("or, equalities", "SELECT id, status FROM {items} WHERE status = $1 OR $2 = status", _pick(_STATUS, _STATUS)),
    Shape("or, lists", "SELECT id, customer_id FROM {items} WHERE customer_id = $1 OR customer_id IN ($2, 3) OR customer_id = ANY($3)",
          _pick(_of("1", "2", "9", None), _int(1, 8), _list(*map(str, range(1, 9))))),
    Shape("or, equality", "SELECT id, total FROM {items} WHERE (grade = $1 OR grade = $2) AND status = $3 AND (total = 0 OR total = 'NaN' OR open)",
          _pick(_int(5, 8), _int(4, 8), _STATUS)),
    Shape("or, any", "SELECT id, grade FROM {items} WHERE (grade = $1 OR grade = $2) AND customer_id = ANY($3)",
          _pick(_int(5, 8), _int(4, 8), _list(*map(str, range(1, 9))))),
    Shape("late column", "SELECT id, grade FROM {items} WHERE grade = $1", _pick(_int(5, 8))),
    Shape("not distinct", "SELECT id, customer_id FROM {items} WHERE customer_id IS NOT DISTINCT FROM $1",
          _pick(_of("1", "2", None))),
    Shape("computed", "SELECT id, customer_id + 1 AS next FROM {items} WHERE customer_id + 1 = $1", _pick(_int(2, 9))),
    Shape("other type", "SELECT id, customer_id FROM {items} WHERE customer_id = $1::bigint", _pick(_int(1, 8))),
    Shape("contradiction", "SELECT id FROM {items} WHERE customer_id = $1 AND customer_id = $2",
          _pick(_int(1, 3), _int(1, 3))),
    Shape("constant", "SELECT id, open FROM {items} WHERE $1::boolean", _pick(_of("t", "f"))),
    Shape("floats", "SELECT id, score FROM {items} WHERE score >= $1", _pick(_of("0", "5", "1e300"))),
    Shape("renamed", 'SELECT status AS s, id AS "Id", total "t""t" FROM {items:x} WHERE x.status <> $1',
          _pick(_STATUS)),
    Shape("constants in text", "SELECT id, status FROM {items} WHERE status = 'open' AND customer_id = 3"),
    Shape("view", "SELECT * FROM {open_items}"),
    Shape("view, condition", "SELECT id, total FROM {open_items:v} WHERE v.customer_id = $1", _pick(_int(1, 8))),
    Shape("view on view", "SELECT twice FROM {open_totals} WHERE customer = $1", _pick(_int(1, 8))),
    Shape("partitioned", "SELECT * FROM {orders}"),
    Shape("partition key", "SELECT id, amount FROM {orders} WHERE region = $1", _pick(_REGION)),
    Shape("partitioned, range", "SELECT id, region, memo FROM {orders} WHERE amount >= $1", _pick(_int(0, 49))),
    Shape("partitioned, key range", "SELECT amount FROM {orders} WHERE id BETWEEN $1 AND $2",
          _pick(_int(1, 30), _int(20, 60))),
    Shape("one partition", "SELECT * FROM {orders_south} WHERE amount > $1", _pick(_int(0, 40))),
    Shape("bag", "SELECT * FROM {events}"),
    Shape("bag, condition", "SELECT kind, level FROM {events} WHERE level > $1", _pick(_int(0, 3))),
    Shape("bag, equality", "SELECT level FROM {events} WHERE kind = $1", _pick(_of("a", "b", "c"))),
    Shape("default identity", "SELECT id, name, city FROM {customers}"),
    Shape("default identity, big", "SELECT * FROM {customers}", sometimes=True),
    Shape("default identity, key", "SELECT id, city, balance FROM {customers} WHERE id = $1", _pick(_int(1, 40))),
    Shape("default identity, keys", "SELECT name, city FROM {customers} WHERE id = ANY($1)", _pick(_ints(1, 40))),
    Shape("default identity, key range", "SELECT id, name FROM {customers} WHERE id BETWEEN $1 AND $2",
          _pick(_int(1, 20), _int(10, 40))),
    Shape("names", "SELECT * FROM {bestellung}"),
    Shape("names, equality", 'SELECT "Größe", "it\'s ""quoted""" FROM {bestellung} WHERE "order" = $1',
          _pick(_of("asc", "desc", "ö"))),
    Shape("names, text key", 'SELECT "Nr.", "Größe" AS "größe" FROM {bestellung} WHERE "Nr." = $1',
          lambda rng: ("№ %d '\"\\" % rng.randint(1, 30),)),
    Shape("row security, setting", "SELECT * FROM {accounts}"),
    Shape("row security, setting, range", "SELECT id, amount FROM {accounts} WHERE amount > $1", _pick(_int(0, 19))),
    Shape("row security, setting, any", "SELECT id, tenant FROM {accounts} WHERE amount = ANY($1)",
          _pick(_list(*map(str, range(0, 20, 3))))),
    Shape("row security, setting, or", "SELECT id, amount FROM {accounts} WHERE amount = $1 OR amount = $2",
          _pick(_int(0, 19), _int(0, 19))),
    Shape("row security, setting, between", "SELECT id, amount FROM {accounts} WHERE id BETWEEN $1 AND $2 AND amount < $3",
          _pick(_int(1, 20), _int(10, 40), _int(5, 20))),
    Shape("row security, role, any", "SELECT id, public FROM {letters} WHERE id = ANY($1)",
          _pick(_list(*map(str, range(1, 41, 2))))),
    Shape("row security, role, like", "SELECT id, owner_name FROM {letters} WHERE body LIKE $1", _pick(_of("a%", "alpha%", "b%"))),
    Shape("row security, role, starts with", "SELECT id, public FROM {letters} WHERE body ^@ $1", _pick(_of("alpha", "Al", "b", "x%"))),
    Shape("row security, role, range", "SELECT id, body FROM {letters} WHERE id >= $1", _pick(_int(1, 40))),
    Shape("row security, other tenant", "SELECT id, tenant FROM {accounts} WHERE tenant = $1", _pick(_TENANT)),
    Shape("row security, role", "SELECT * FROM {letters}"),
    Shape("row security, role, key", "SELECT owner_name, public FROM {letters} WHERE id = $1", _pick(_int(1, 40))),
    Shape("row security, role alone", "SELECT * FROM {drafts}"),
    Shape("row security, role alone, folder", "SELECT id, body FROM {drafts} WHERE folder = $1", _pick(_int(0, 3))),
    Shape("row security, role alone, folders", "SELECT id, owner_name FROM {drafts} WHERE folder = ANY($1)", _pick(_ints(0, 3))),
    Shape("row security, role alone, key", "SELECT owner_name, no FROM {memos}"),
    Shape("row security, role alone, default identity", "SELECT * FROM {memos} WHERE no > $1", _pick(_int(1, 12)), sometimes=True),
    Shape("errors of a tenant", "SELECT id, txt::int AS n FROM {wallets}", sometimes=True,
          guarded="SELECT id, CASE WHEN txt ~ '^[0-9]+$' THEN txt::int END AS n FROM {wallets}",
          tenant=lambda query: None if query.user.superuser else str(query.user.tenant)),
    Shape("errors of a tenant, by parameter", "SELECT id, txt::int AS n FROM {wallets} WHERE tenant = $1",
          _pick(_TENANT), sometimes=True,
          guarded="SELECT id, CASE WHEN txt ~ '^[0-9]+$' THEN txt::int END AS n FROM {wallets} WHERE tenant = $1",
          tenant=lambda query: query.params[0]),
    Shape("rights", "SELECT * FROM {files}", sometimes=True),
    Shape("rights, condition", "SELECT id, txt FROM {files} WHERE level > $1", _pick(_int(0, 2)), sometimes=True),
    Shape("rights, key", "SELECT level, txt FROM {files} WHERE id BETWEEN $1 AND $2",
          _pick(_int(1, 20), _int(10, 40)), sometimes=True),
    Shape("migrated", "SELECT * FROM {moves}"),
    Shape("migrated, condition", "SELECT id, txt FROM {moves} WHERE owner = $1", _pick(_int(0, 4))),
    Shape("migrated, key", "SELECT owner, txt FROM {moves} WHERE id = ANY($1)", _pick(_ints(1, 40))),
    Shape("migrated, default identity", "SELECT * FROM {tokens}"),
    Shape("migrated, default identity, key", "SELECT id, n FROM {tokens} WHERE id BETWEEN $1 AND $2",
          _pick(_int(1, 20), _int(10, 40))),
    Shape("migrated partitions", "SELECT * FROM {regions}"),
    Shape("migrated partitions, condition", "SELECT id, txt FROM {regions} WHERE n > $1", _pick(_int(0, 3))),
    Shape("two keys", "SELECT * FROM {lines}"),
    Shape("two keys, equality", "SELECT quantity * 2 AS twice FROM {lines} WHERE order_id = $1 AND line_no = $2",
          _pick(_int(1, 12), _int(1, 5))),
    Shape("two keys, other column", "SELECT line_no, order_id FROM {lines} WHERE product = $1",
          _pick(_of("nut", "bolt"))),
]

# What one row alone does not decide: compared at quiet points.
OTHER = [
    Shape("join", "SELECT i.id, l.line_no, l.product FROM {items:i} JOIN {lines:l} ON l.order_id = i.customer_id"
                  " WHERE i.status = $1", _pick(_STATUS), sometimes=True, pointwise=False),
    Shape("aggregate", "SELECT customer_id, count(*) AS n, max(grade) AS best FROM {items} GROUP BY customer_id",
          sometimes=True, pointwise=False),
    Shape("distinct", "SELECT DISTINCT status, open FROM {items} WHERE customer_id = $1", _pick(_int(1, 8)),
          sometimes=True, pointwise=False),
    Shape("exists", "SELECT c.id, c.name FROM {customers:c} WHERE EXISTS"
                    " (SELECT FROM {items:i} WHERE i.customer_id = c.id AND i.open)", sometimes=True, pointwise=False),
    Shape("default identity, condition", "SELECT id, city FROM {customers} WHERE city = $1", _pick(_of("Ulm", "Bonn")),
          sometimes=True, pointwise=False),
    Shape("top", "SELECT id, total FROM {items} WHERE total <> 'NaN' ORDER BY total DESC, id LIMIT 5",
          sometimes=True, pointwise=False),
]
