"""Random queries over several tables.

Owns: the grammar of what a SELECT can be made of, over tables that the caller names with their columns. Each query has one
answer only: what SQL leaves open (ties, the order inside an array) is decided in its text. The oracle subscribes to these
queries; test/delta runs them through the evaluation alone. Pure: no server, everything random by the caller's rng.
"""

import re
from dataclasses import dataclass, field

INT, TEXT = "int", "text"
SORTED, OTHER = "sorted", "other"  # columns of other types: those by which rows are sorted, grouped and told apart, too, and others

JOINS = [("JOIN", 12), ("LEFT JOIN", 6), ("RIGHT JOIN", 3), ("FULL JOIN", 1), ("CROSS JOIN", 1), ("LATERAL", 1)]
SET_OPERATIONS = ["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL", "INTERSECT ALL"]
# Of floating point numbers, whose last digits depend on the order of the rows; none of them is near to where it is rounded.
ROUNDED = "round((%s * 1000 + 0.1234)::numeric, 3)"
AGGREGATES = [  # over an int column, a text column; the type
    ("count(*)::int", INT), ("count({i})::int", INT), ("sum({i})::int", INT), ("max({i})", INT), ("min({i})", INT),
    ("count(DISTINCT {i})::int", INT), ("count(*) FILTER (WHERE {i} > 1)::int", INT), ("max({t})", TEXT), ("min({t})", TEXT),
    ("avg({i})", OTHER), ("bool_and({i} > 1)", OTHER), ("bool_or({i} > 2)", OTHER), ("var_pop({i})", OTHER),
    ("bit_and({i})::int", INT), ("array_agg({i} ORDER BY {i})", OTHER), ("string_agg({t}, ',' ORDER BY {t})", TEXT),
    ("percentile_disc(0.5) WITHIN GROUP (ORDER BY {i})", INT),
    ("array_agg(DISTINCT {t})", OTHER), ("sum(DISTINCT {i})::int", INT), ("every({i} IS NOT NULL)", OTHER),
    ("count({t})::int", INT), ("stddev({i})", OTHER), ("stddev_pop({i})", OTHER), ("stddev_samp({i})", OTHER), ("variance({i})", OTHER),
    ("var_samp({i})", OTHER), ("bit_or({i})::int", INT), ("bit_xor({i})::int", INT), ("bit_or({i}::bit(8))", OTHER),
    ("sum({i}::numeric / 4)", OTHER), ("avg({i}::numeric / 4)", OTHER), ("sum({i}::float8)", OTHER), ("avg({i}::float4)", OTHER),
    ("max({i}::numeric)", OTHER), ("min({i}::smallint)", OTHER), ("max(date '2020-01-01' + {i})", OTHER), ("min(time '12:00' + {i} * interval '1 minute')", OTHER),
    ("max({i} * interval '1 day')", OTHER), ("sum({i} * interval '1 hour')", OTHER), ("avg({i} * interval '1 hour')", OTHER),
    ("max('10.0.0.0'::inet + {i})", OTHER), ("min({i}::oid)", OTHER), ("max(ARRAY[{i}, {j}])", OTHER),
    ("array_agg({t} ORDER BY {all})", OTHER), ("array_agg(ARRAY[{i}, {j}] ORDER BY {all})", OTHER), ("string_agg(DISTINCT {t}, '+')", TEXT),
    ("json_agg({t} ORDER BY {all})::text", TEXT), ("jsonb_agg({i} ORDER BY {all})", OTHER), ("jsonb_agg(DISTINCT {t})", OTHER),
    ("json_object_agg(coalesce({t}, '-'), {i} ORDER BY {all})::text", TEXT), ("jsonb_object_agg(coalesce({t}, '-'), {i} ORDER BY {all})", OTHER),
    ("range_agg(int4range({i}, {i} + 2))", OTHER), ("range_intersect_agg(int4range(0, greatest(0, {i}) + 1))", OTHER),
    ("percentile_cont(0.4) WITHIN GROUP (ORDER BY {i})", OTHER), ("percentile_cont(ARRAY[0.1, 0.75]) WITHIN GROUP (ORDER BY {i})", OTHER),
    ("percentile_disc(0.3) WITHIN GROUP (ORDER BY {t})", TEXT), ("percentile_disc(ARRAY[0.2, 0.9]) WITHIN GROUP (ORDER BY {i} DESC)", OTHER),
    ("mode() WITHIN GROUP (ORDER BY {i})", INT), ("mode() WITHIN GROUP (ORDER BY {t} DESC)", TEXT),
    ("rank(2) WITHIN GROUP (ORDER BY {i})::int", INT), ("dense_rank(2) WITHIN GROUP (ORDER BY {i} DESC)::int", INT),
    ("percent_rank(2) WITHIN GROUP (ORDER BY {i})", OTHER), ("cume_dist(2) WITHIN GROUP (ORDER BY {i})", OTHER),
    ("regr_count({i}, {j})::int", INT), ("regr_avgx({i}, {j})", OTHER), ("regr_avgy({i}, {j})", OTHER),
] + [(ROUNDED % (name + "({i}, {j})"), OTHER) for name in (
    "covar_pop", "covar_samp", "corr", "regr_slope", "regr_intercept", "regr_r2", "regr_sxx", "regr_sxy", "regr_syy")]
SINCE_16 = [("any_value({g})", INT)]  # of what is one value in each group
WINDOWS = [  # over a partition, all columns in order
    "count(*) OVER ({p})", "sum({i}) OVER ({p})", "max({i}) OVER ({p})", "row_number() OVER ({p} ORDER BY {all})",
    "lead({i}) OVER ({p} ORDER BY {all})", "lead({i}, 2, -1) OVER ({p} ORDER BY {all})", "ntile(3) OVER ({p} ORDER BY {all})",
    "first_value({i}) OVER ({p} ORDER BY {all})", "nth_value({i}, 2) OVER ({p} ORDER BY {all})",
    "last_value({i}) OVER ({p} ORDER BY {all} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)",
    "percent_rank() OVER ({p} ORDER BY {i}) * 1000", "cume_dist() OVER ({p} ORDER BY {i}) * 1000",
    "sum({i}) OVER ({p} ORDER BY {all} ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
    "max({i}) OVER ({p} ORDER BY {all} ROWS BETWEEN CURRENT ROW AND 2 FOLLOWING EXCLUDE CURRENT ROW)",
    "sum({i}) OVER ({p} ORDER BY {i} RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING)",
    "count(*) OVER ({p} ORDER BY {i} GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES)",
    "count(*) FILTER (WHERE {i} > 1) OVER ({p} ORDER BY {i})",
    "rank() OVER ({p} ORDER BY {i})", "lag({i}) OVER ({p} ORDER BY {all})", "dense_rank() OVER ({p} ORDER BY {i} DESC)",
]


@dataclass
class Scope:
    """What a FROM offers: (alias, [(column, type), ...])."""

    items: list = field(default_factory=list)

    def columns(self, kind=None):
        """Returns the names of all columns, or those of a type, with their types."""
        return [("%s.%s" % (alias, column), of) for alias, columns in self.items for column, of in columns
                if kind in (None, of)]

    def and_also(self, other):
        """Returns a scope that has another's items too."""
        return Scope(self.items + other.items)


class Grammar:
    """Makes one query. server_version: of the server that it is for. tables: name -> [(column, type), ...]; seldom: those of them that are named half as
    often as the others; params: how often a constant becomes a parameter; equalities: how often a whole query has those that
    live queries of one shape differ in (with params they are parameters always).

    After statement(): forms, the names of what the query is made of; used, the tables that it names; params_made, the texts
    of the parameters; equal, the numbers of those in such equalities, with the type.
    """

    server_version = 15

    def __init__(self, rng, tables, params=0.0, most_joins=3, seldom=(), equalities=0.0, functions=()):
        self.rng = rng
        self.seldom = seldom
        self.tables = dict(tables)
        self.functions = dict(functions)  # of one number
        self.names = 0
        self.sub_selects = 2  # how many conditions with sub-selects are left
        self.share = params
        self.most_joins = most_joins
        self.equalities = equalities
        self.params_made = []
        self.equal = []
        self.step = "rows"  # what the level that was made last does to rows
        self.forms = set()
        self.used = set()
        self.with_query = None  # (name, columns), to be used by the next FROM

    def statement(self):
        """Returns a query's text and its columns."""
        prefix = ""
        if self.chance(.1):
            text, columns = self.query(self.rng.randint(0, 1))
            how = self.rng.choice(["", "", "MATERIALIZED ", "NOT MATERIALIZED "])
            prefix = "WITH w AS %s(%s) " % (how, text)
            self.with_query = ("w", columns)
            self.form("CTE")
        elif self.chance(.05):
            prefix = self.recursive()
        text, columns = self.query(self.rng.choice([0, 0, 1, 1, 2]), outermost=True)
        if self.params_made:
            self.form("parameters")
        return prefix + text, columns

    def recursive(self):
        """Returns a WITH RECURSIVE, to be used by the next FROM: where one comes to in few steps."""
        (name, columns), (other, others) = self.rng.choices(list(self.tables.items()), k=2)
        first, step = Scope([("f", columns)]), Scope([("s", others)])
        if not (first.columns(INT) and step.columns(INT)):
            return ""
        self.used.update((name, other))
        self.with_query = ("r", [("v", INT), ("step", INT)])
        self.form("RECURSIVE")
        return "WITH RECURSIVE r(v, step) AS (SELECT %s, 0 FROM %s f%s UNION %sSELECT %s, r.step + 1 FROM r JOIN %s s ON %s = r.v WHERE r.step < 2) " % (
            self.number(first), name, self.rng.choice(["", " WHERE %s > 1" % self.number(first)]), self.rng.choice(["", "", "ALL "]),
            self.number(step), other, self.number(step))

    def chance(self, share):
        """Tells at random."""
        return self.rng.random() < share

    def form(self, name):
        """Notes what the query is made of."""
        self.forms.add(name)

    def fresh(self):
        """Returns an alias."""
        self.names += 1
        return "q%d" % self.names

    def column(self, scope, kind=None):
        """Returns a column (name, type), or None."""
        found = scope.columns(kind)
        return self.rng.choice(found) if found else None

    def number(self, scope):
        """Returns the name of an int column, or a constant."""
        found = self.column(scope, INT)
        return found[0] if found else "1"

    def text(self, scope):
        """Returns the name of a text column, or a constant."""
        found = self.column(scope, TEXT)
        return found[0] if found else "'x'::text"

    def constant(self, low, high):
        """Returns a number, or a parameter that has it."""
        value = str(self.rng.randint(low, high))
        if not self.chance(self.share):
            return value
        self.params_made.append(value)
        return "$%d" % len(self.params_made)

    # FROM

    def item(self, depth):
        """Returns an item of FROM: text, Scope."""
        alias = self.fresh()
        if self.with_query and self.chance(.6):
            name, columns = self.with_query
            return "%s %s" % (name, alias), Scope([(alias, columns)])
        if depth > 0 and self.chance(.3):
            text, columns = self.query(depth - 1)
            self.form("sub-select in FROM")
            return "(%s) %s" % (text, alias), Scope([(alias, columns)])
        if self.chance(.03):
            self.form("VALUES")
            return ("(VALUES (1, 'x'), (2, NULL), (NULL, 'y')) %s(v, w)" % alias), Scope([(alias, [("v", INT), ("w", TEXT)])])
        if self.chance(.03):
            self.form("series")
            return "generate_series(0, %d) %s(g)" % (self.rng.randint(1, 4), alias), Scope([(alias, [("g", INT)])])
        if self.functions and self.chance(.04):
            return self.function(self.constant(0, 4))
        name = self.rng.choice(list(self.tables) + [name for name in self.tables if name not in self.seldom])
        if name in self.used:
            self.form("a table twice")
        self.used.add(name)
        return "%s %s" % (name, alias), Scope([(alias, self.tables[name])])

    def function(self, argument):
        """Returns an item of FROM that is a function, whose body is a query: text, Scope."""
        alias, (name, columns) = self.fresh(), self.rng.choice(list(self.functions.items()))
        self.used.add(name)
        self.form("function in FROM")
        return "%s(%s) %s" % (name, argument, alias), Scope([(alias, columns)])

    def source(self, depth):
        """Returns a FROM: text, Scope."""
        text, scope = self.item(depth)
        joins = min(self.most_joins, self.rng.choice([0, 0, 1, 1, 1, 2, 2, 3]))
        for _ in range(joins):
            kind = self.rng.choices([name for name, _ in JOINS], [often for _, often in JOINS])[0]
            self.form(kind)
            if kind == "LATERAL":
                text, new = self.lateral(text, scope)
            elif self.chance(.04):
                text, new = self.natural(text, scope, depth)
                self.forms.update({"NATURAL"} if new.items else set())
            else:
                item, new = self.item(depth)
                text = "%s %s %s%s" % (text, kind, item, self.join_condition(kind, scope, new))
            scope = scope.and_also(new)
        if joins > 1:
            self.form("joins of %d" % (joins + 1))
        return text, scope

    def join_condition(self, kind, scope, new):
        """Returns the ON of a join, if it has one."""
        if kind == "CROSS JOIN":
            return ""
        if self.chance(.1):
            shared = self.shared_names(scope, new)
            if shared:
                return self.formed("USING", " USING (%s)" % ", ".join(self.rng.sample(shared, self.rng.randint(1, len(shared)))))
        left, right = self.column(scope, INT), self.column(new, INT)
        if not (left and right):
            left, right = self.column(scope, TEXT), self.column(new, TEXT)
        if not (left and right):
            return " ON true"
        condition = "%s = %s" % (left[0], right[0])
        if kind != "FULL JOIN" and self.chance(.3):
            if self.sub_selects and self.chance(.25):
                self.sub_selects -= 1
                condition += " AND " + self.formed("sub-select in ON", self.with_sub_select(scope.and_also(new), 0))
            else:
                condition += " AND " + self.plain(scope.and_also(new))
        return " ON " + condition

    @staticmethod
    def shared_names(scope, new):
        """Returns the columns of a new item of FROM that one of those before has, and no other, with the same type."""
        before = [(column, kind) for _, columns in scope.items for column, kind in columns]
        names = [column for column, _ in before]
        return [column for _, columns in new.items for column, kind in columns if kind in (INT, TEXT) and (column, kind) in before
                and names.count(column) == 1]

    def natural(self, text, scope, depth):
        """Returns a FROM with one more item by NATURAL, if it has columns by which it can be joined, and else as it was."""
        item, new = self.item(depth)
        names = {column for _, columns in scope.items for column, _ in columns}
        shared = self.shared_names(scope, new)
        if not shared or len(shared) != len([column for _, columns in new.items for column, _ in columns if column in names]):
            return text, Scope()
        return "%s NATURAL %s %s" % (text, self.rng.choice(["JOIN", "LEFT JOIN", "FULL JOIN"]), item), new

    def lateral(self, text, scope):
        """Returns a FROM with one more item, which asks for what stands before it."""
        if self.functions and self.chance(.25):
            item, new = self.function(self.number(scope))
            return "%s %s" % (text, self.rng.choice(["CROSS JOIN LATERAL %s", "LEFT JOIN LATERAL %s ON true"]) % item), new
        alias, inner, (name, columns) = self.fresh(), self.fresh(), self.rng.choice(list(self.tables.items()))
        self.used.add(name)
        mine = Scope([(inner, columns)])
        where = "%s = %s" % (self.number(mine), self.number(scope))
        if self.chance(.5):
            body = "SELECT count(*)::int AS n, max(%s) AS m FROM %s %s WHERE %s" % (self.number(mine), name, inner, where)
            made = [("n", INT), ("m", INT)]
        else:
            names = [column for column, _ in mine.columns()]
            body = "SELECT %s AS l0, %s AS l1 FROM %s %s WHERE %s ORDER BY %s LIMIT %d" % (
                names[0], names[-1], name, inner, where, ", ".join(names), self.rng.randint(1, 2))
            made = [("l0", columns[0][1]), ("l1", columns[-1][1])]
        how = self.rng.choice(["CROSS JOIN LATERAL (%s) %s", "LEFT JOIN LATERAL (%s) %s ON true"])
        return "%s %s" % (text, how % (body, alias)), Scope([(alias, made)])

    # conditions

    def plain(self, scope):
        """Returns a condition without a sub-select."""
        kept, self.sub_selects = self.sub_selects, 0
        made = self.condition(scope)
        self.sub_selects = kept
        return made

    def condition(self, scope):
        """Returns a condition."""
        if self.sub_selects and self.chance(.35):
            self.sub_selects -= 1
            return self.with_sub_select(scope, 1)
        column = self.column(scope, INT)
        if column is None:
            column = self.column(scope, TEXT)
            return self.of_text(column[0]) if column else "true"
        return self.rng.choice([
            lambda: "%s = %s" % (column[0], self.number(scope)), lambda: "%s = %s" % (column[0], self.constant(0, 3)),
            lambda: "%s > %s" % (column[0], self.constant(0, 3)), lambda: "%s IS NULL" % column[0],
            lambda: "NOT (%s = %s)" % (column[0], self.constant(0, 3)), lambda: "%s %% 2 = 1" % column[0],
            lambda: "%s <= %s" % (column[0], self.constant(1, 4)),
            lambda: "%s IS DISTINCT FROM %s" % (column[0], self.number(scope)),
            lambda: "(%s OR %s IS NULL)" % (self.plain(scope), column[0]),
            lambda: "coalesce(%s, 0) < %s" % (column[0], self.constant(1, 5)),
            lambda: "(%s = %s OR %s = %s)" % (column[0], self.constant(0, 3), column[0], self.constant(1, 4)),
            lambda: "CASE WHEN %s > 1 THEN %s ELSE %s END = %s" % (
                column[0], self.number(scope), self.number(scope), self.constant(0, 3)),
            lambda: "%s >= 'x'" % self.text(scope)])()

    def of_text(self, column):
        """Returns a condition on a column of that type."""
        return self.rng.choice(["{0} > 'w'", "({0} = 'x' OR {0} = 'z')", "{0} LIKE 'o%'", "{0} ^@ 'x'"]).format(column)

    def equality(self, scope):
        """Returns a condition by which the rows of live queries of one shape can be told apart."""
        column = self.column(scope, self.rng.choice([INT, INT, INT, TEXT])) or self.column(scope, INT) or self.column(scope, TEXT)
        value = equal_value(self.rng, column[1])
        if not self.share:
            return "%s = %s" % (column[0], value if column[1] == INT else "'%s'" % value)
        self.params_made.append(value)
        self.equal.append((len(self.params_made), column[1]))
        return "%s = $%d" % (column[0], len(self.params_made))

    def with_sub_select(self, scope, depth):
        """Returns a condition with a sub-select."""
        if depth < 0:
            return "true"
        source, inner = self.source(depth - 1)
        if not (inner.columns(INT) and scope.columns(INT)):
            return "true"
        conditions = []
        if self.chance(.65):
            conditions.append("%s %s %s" % (self.number(inner), self.rng.choice(["=", "=", "=", ">", "<>"]), self.number(scope)))
            self.form("correlated")
        if self.chance(.4):
            conditions.append(self.condition(inner))
        if self.chance(.2):
            conditions.append(self.with_sub_select(inner, depth - 1))
            self.form("nested sub-selects")
        body = source + (" WHERE " + " AND ".join(conditions) if conditions else "")
        given, found, choice = self.number(scope), self.number(inner), self.rng.random()
        if choice < .12:
            return self.formed("EXISTS", "EXISTS (SELECT 1 FROM %s)" % body)
        if choice < .24:
            return self.formed("NOT EXISTS", "NOT EXISTS (SELECT 1 FROM %s)" % body)
        if choice < .38:
            return self.formed("IN", "%s IN (SELECT %s FROM %s)" % (given, found, body))
        if choice < .50:
            return self.formed("NOT IN", "%s NOT IN (SELECT %s FROM %s)" % (given, found, body))
        if choice < .56:
            return self.formed("IN of rows", "(%s, %s) IN (SELECT %s, %s FROM %s)" % (
                given, self.number(scope), found, self.number(inner), body))
        if choice < .64:
            return self.formed("ANY", "%s %s ANY (SELECT %s FROM %s)" % (given, self.rng.choice(["=", ">", "<"]), found, body))
        if choice < .72:
            return self.formed("ALL", "%s %s ALL (SELECT %s FROM %s)" % (given, self.rng.choice(["<>", ">=", "<"]), found, body))
        if choice < .85:
            return self.formed("scalar", "(SELECT %s FROM %s) %s %s" % (
                self.rng.choice(["count(*)", "max(%s)" % found, "sum(%s)" % found]), body, self.rng.choice([">", "=", "<="]),
                given))
        if choice < .93:
            return self.formed("IN of groups", "%s IN (SELECT %s FROM %s GROUP BY %s HAVING count(*) > %d)" % (
                given, found, body, found, self.rng.randint(0, 1)))
        return self.formed("OR EXISTS", "(%s OR EXISTS (SELECT 1 FROM %s))" % (self.plain(scope), body))

    def formed(self, name, text):
        """Notes a form; returns its text."""
        self.form(name)
        return text

    def where(self, scope, often):
        """Returns a WHERE, or nothing."""
        if self.chance(.06) and scope.columns(INT):
            return " WHERE " + self.formed("two sub-selects", self.two_sub_selects(self.number(scope)))
        if not self.chance(often):
            return ""
        return " WHERE " + " AND ".join(self.condition(scope) for _ in range(self.rng.choice([1, 1, 2])))

    def two_sub_selects(self, given):
        """Returns two of a kind about one value, which may change together."""
        how = self.rng.choice(["NOT EXISTS (SELECT 1 FROM {0} {1} WHERE {2} = {3})", "EXISTS (SELECT 1 FROM {0} {1} WHERE {2} = {3})",
                               "{3} NOT IN (SELECT {2} FROM {0} {1} WHERE {2} IS NOT NULL)"])
        made = []
        for name, columns in self.rng.sample(list(self.tables.items()), 2):
            alias = self.fresh()
            self.used.add(name)
            made.append(how.format(name, alias, self.number(Scope([(alias, columns)])), given))
        return " AND ".join(made)

    # SELECT

    def query(self, depth, outermost=False):
        """Returns a query's text and its columns [(name, type), ...]."""
        choice = self.rng.random()
        if choice < .15 and depth > 0:
            return self.set_operation(depth)
        source, scope = self.source(depth)
        where = self.where(scope, .6)
        shared = outermost and self.equalities and self.chance(self.equalities) and scope.columns(INT) + scope.columns(TEXT)
        if shared:
            equal = [self.equality(scope) for _ in range(self.rng.choice([1, 1, 1, 2]))]
            where = (where + " AND " if where else " WHERE ") + " AND ".join(equal)
        if choice < .45:
            text, columns = self.grouped(source, scope, where)
        else:
            text, columns = self.selected(source, scope, where, shared)
        limited = self.chance(.35 if shared else .1) and self.step != "DISTINCT ON"
        limited = limited and not any(kind == OTHER for _, kind in columns)
        if shared:
            self.form("equality: %s" % ("LIMIT" if limited else self.step))
        if limited:
            order = self.rng.choice(["%d", "%d DESC", "%d DESC NULLS LAST"])
            if columns[0][1] == INT and not shared and self.chance(.3):
                return self.limited_by_sub_selects(text, columns, order), columns
            text = "%s ORDER BY %s LIMIT %d%s" % (text, ", ".join(order % (n + 1) for n in range(len(columns))),
                                                  self.rng.randint(1, 4), self.rng.choice(["", "", " OFFSET 1"]))
            self.form("LIMIT")
        return text, columns

    def limited_by_sub_selects(self, text, columns, order):
        """Returns the first rows of a query, in an order, and as many, as sub-selects say."""
        alias, by, count = self.fresh(), self.fresh(), self.fresh()
        (name, others), (counted, _) = self.rng.choices(list(self.tables.items()), k=2)
        names = ", ".join(order.replace("%d", "%s") % ("%s.%s" % (alias, column)) for column, _ in columns)
        limit = str(self.rng.randint(1, 4))
        self.used.add(name)
        first = "(SELECT count(*) FROM %s %s WHERE %s = %s.%s)" % (name, by, self.number(Scope([(by, others)])), alias, columns[0][0])
        self.form("sub-select in ORDER BY")
        if self.chance(.4):
            self.used.add(counted)
            limit = self.formed("sub-select in LIMIT", "(SELECT count(*) %% 3 + 1 FROM %s %s)" % (counted, count))
        self.form("LIMIT")
        return "SELECT * FROM (SELECT * FROM (%s) %s ORDER BY %s, %s LIMIT %s) %s" % (text, alias, first, names, limit, self.fresh())

    def set_operation(self, depth):
        """Two or three queries of ints."""
        width = self.rng.randint(1, 2)
        text = ""
        for n in range(self.rng.choice([2, 2, 3])):
            source, scope = self.source(depth - 1)
            part = "SELECT %s FROM %s%s" % (named([self.number(scope) for _ in range(width)]), source, self.where(scope, .5))
            operation = self.rng.choice(SET_OPERATIONS)
            if n:
                self.form(operation)
            text = "(%s) %s %s" % (text, operation, part) if n > 1 else "%s %s %s" % (text, operation, part) if n else part
        return text, [("c%d" % n, INT) for n in range(width)]

    def grouped(self, source, scope, where):
        """GROUP BY, or an aggregate over all."""
        keys = list(dict.fromkeys(self.column(scope) for _ in range(self.rng.choice([0, 1, 1, 1, 2]))))
        keys = [key for key in keys if key and key[1] != OTHER]
        known = AGGREGATES + (SINCE_16 * 2 if self.server_version >= 16 else [])
        aggregates = self.rng.sample(AGGREGATES[:20] * 2 + known, self.rng.randint(1, 2))
        ordered = ", ".join(name for name, kind in scope.columns() if kind != OTHER) or "1"
        of_group = next((name for name, kind in keys if kind == INT), "1")
        made = [(text.format(i=self.number(scope), j=self.number(scope), t=self.text(scope), all=ordered, g=of_group), kind) for text, kind in aggregates]
        for text, _ in aggregates:
            self.form("aggregate " + next(name for name in re.findall(r"([a-z_0-9]+)\(", text) if name != "round"))
        columns = [(name, kind) for name, kind in keys] + made
        text = "SELECT %s FROM %s%s" % (named([expression for expression, _ in columns]), source, where)
        names = ", ".join(name for name, _ in keys)
        self.step = "GROUP BY" if keys else "one group"
        if not keys:
            self.form("one group")
        elif len(keys) > 1 and self.chance(.15) and not any(text.startswith("any_value") for text, _ in made):  # of all rows it may be any
            text += self.formed("GROUPING SETS", " GROUP BY %s(%s)" % (self.rng.choice(["ROLLUP", "CUBE"]), names))
        else:
            text += self.formed("GROUP BY", " GROUP BY " + names)
        if self.chance(.3):
            text += self.formed("HAVING", " HAVING %s > %s" % (
                self.rng.choice(["count(*)", "sum(%s)" % self.number(scope)]), self.constant(0, 2)))
        elif self.sub_selects and self.chance(.12):
            self.sub_selects -= 1
            numbers = [name.split(".") for name, kind in keys if kind == INT]
            of_keys = Scope([(alias, [(column, INT)]) for alias, column in numbers])
            condition = self.with_sub_select(of_keys, 0) if numbers and self.chance(.6) else "count(*) >= (SELECT count(*) FROM %s)" % self.condition_source()
            text += self.formed("sub-select in HAVING", " HAVING " + condition)
        return text, [("c%d" % n, kind) for n, (_, kind) in enumerate(columns)]

    def condition_source(self):
        """Returns a FROM and WHERE of their own."""
        source, inner = self.source(0)
        return source + self.where(inner, .7)

    def selected(self, source, scope, where, shared=False):
        """A projection, with windows, DISTINCT and sub-selects at times; shared: there are equalities."""
        made = [self.column(scope) or ("1", INT) for _ in range(self.rng.randint(1, 3))]
        if self.chance(.2):
            made[0] = self.rng.choice([("(%s + 1)" % self.number(scope), INT), ("upper(%s)" % self.text(scope), TEXT),
                                       ("coalesce(%s, -1)" % self.number(scope), INT)])
        elif self.chance(.06):
            made[0] = (self.formed("sub-select as an argument", self.rng.choice(["greatest(%s, (%s))", "coalesce(nullif(%s, 1), (%s))"]) % (
                self.number(scope), "SELECT count(*)::int FROM " + self.condition_source())), INT)
        if self.chance(.2):
            made.append(self.scalar(scope))
        windows = self.chance(.25 if shared else .15)
        if windows:
            made.append(self.window(scope))
        distinct = ""
        if not windows and not any(kind == OTHER for _, kind in made) and self.chance(.25):
            distinct = self.formed("DISTINCT", "DISTINCT ")
            if len(made) > 1 and self.chance(.3):
                text = "SELECT DISTINCT ON (c0) %s" % ", ".join("c%d" % n for n in range(len(made)))
                text += " FROM (SELECT %s FROM %s%s) d ORDER BY %s" % (
                    named([expression for expression, _ in made]), source, where,
                    ", ".join("c%d" % n for n in range(len(made))))
                self.form("DISTINCT ON")
                self.step = "rows"
                return "SELECT * FROM (%s) o" % text, [("c%d" % n, kind) for n, (_, kind) in enumerate(made)]
        self.step = "window" if windows else "DISTINCT" if distinct else "rows"
        if distinct and shared and self.chance(.3):
            # The first of each in an order that leaves no tie.
            self.step = self.formed("DISTINCT ON", "DISTINCT ON")
            order = [expression for expression, _ in made] + [name for name, kind in scope.columns() if kind != OTHER]
            distinct = "DISTINCT ON (%s) " % made[0][0]
            where += " ORDER BY " + ", ".join(order)
        text = "SELECT %s%s FROM %s%s" % (distinct, named([expression for expression, _ in made]), source, where)
        return text, [("c%d" % n, kind) for n, (_, kind) in enumerate(made)]

    def scalar(self, scope):
        """A sub-select in the select list."""
        source, inner = self.source(0)
        self.form("sub-select in the list")
        body = "FROM %s WHERE %s = %s" % (source, self.number(inner), self.number(scope))
        if self.chance(.3):
            return self.listed(inner, body)
        return self.rng.choice([("(SELECT count(*)::int %s)" % body, INT), ("(SELECT max(%s) %s)" % (self.number(inner), body), INT),
                                ("EXISTS (SELECT 1 %s)" % body, OTHER),
                                ("ARRAY(SELECT %s %s ORDER BY 1)" % (self.number(inner), body), OTHER)])

    def listed(self, scope, body):
        """The first rows of a body, or two bodies together, as an array."""
        values, order = self.number(scope), ", ".join(name for name, kind in scope.columns() if kind != OTHER)
        rows = "SELECT %s AS v %s" % (values, body)
        if self.chance(.3):
            rows = "%s UNION %sSELECT %s %s" % (rows, self.rng.choice(["ALL ", ""]), self.number(scope), body)
        elif self.chance(.7):
            rows += " ORDER BY %s LIMIT %d" % (order, self.rng.randint(1, 3))
        self.form("rows of what is around")
        return "(SELECT array_agg(x.v ORDER BY x.v) FROM (%s) x)" % rows, OTHER

    def window(self, scope):
        """A window function whose answer no tie leaves open."""
        self.form("window")
        ordered = ", ".join(name for name, kind in scope.columns() if kind != OTHER) or "1"
        partition = self.column(scope)
        part = "PARTITION BY " + partition[0] if partition and partition[1] != OTHER and self.chance(.8) else ""
        return ("(%s)::int" % self.rng.choice(WINDOWS).format(p=part, i=self.number(scope), all=ordered), INT)


def equal_value(rng, kind):
    """Returns a value of a column of a type, which rows have often."""
    return str(rng.randint(0, 4)) if kind == INT else rng.choice(["x", "y", "z", "open", "north", "p"])


def named(expressions):
    """Returns a select list: c0, c1, ..."""
    return ", ".join("%s AS c%d" % (expression, n) for n, expression in enumerate(expressions))
