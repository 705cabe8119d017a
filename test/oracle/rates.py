"""Random queries that compare numbers which can be equal and not the same: 1.0 and 1.00.

Owns: such conditions and joins, over the tables that have a column "rate", and the queries that are written by hand. SQL leaves
open which of equal numbers a group or a set operation shows, so none of these shows one of several: it counts them, shows them
all or as text. Set operations of such numbers are refused, unless they keep all rows; that is counted.
"""

import grammar
from grammar import INT

RATED = ("code", "tag")  # the tables
VALUES = ("1", "1.0", "1.00", "2", "2.5", "2.50")

# The query, the types of its parameters.
WRITTEN = [
    ("SELECT rate FROM code UNION ALL SELECT rate FROM tag", []), ("SELECT DISTINCT rate::text AS rate FROM tag", []),
    ("SELECT rate::text AS rate FROM code UNION SELECT rate::text FROM tag", []),
    ("SELECT rate::text AS rate, n FROM tag EXCEPT ALL SELECT rate::text, n FROM code", []),
    ("SELECT rate::float8 AS rate FROM code INTERSECT SELECT rate::float8 FROM tag", []),
    ("SELECT rate FROM code UNION SELECT rate FROM tag", []),
    ("SELECT code FROM code WHERE rate IN (SELECT rate FROM tag INTERSECT SELECT rate FROM code WHERE n > 1)", []),
    ("SELECT count(*) AS n, sum(n) AS sum FROM tag GROUP BY rate", []), ("SELECT n FROM (SELECT DISTINCT rate, n FROM tag) d", []),
    ("SELECT count(DISTINCT rate) AS n, sum(rate) AS sum FROM code WHERE team = $1", [INT]),
    ("SELECT team, sum(rate) AS sum, avg(rate) AS mean FROM code GROUP BY team", []),
    ("SELECT count(*) AS n FROM (SELECT rate FROM code UNION ALL SELECT rate FROM tag) r GROUP BY rate HAVING count(*) > 1", []),
    ("SELECT c.code, g.label, g.rate FROM code c JOIN tag g ON g.rate = c.rate", []),
    ("SELECT c.code, c.rate, g.n FROM code c LEFT JOIN tag g ON g.rate = c.rate AND g.task = c.team", []),
    ("SELECT c.code, g.label FROM code c FULL JOIN tag g ON g.rate = c.rate", []),
    ("SELECT c.code, (SELECT count(*) FROM tag g WHERE g.rate = c.rate) AS n FROM code c", []),
    ("SELECT code, rate FROM code WHERE (rate, n) IN (SELECT rate, n FROM tag)", []),
    ("SELECT code, rank() OVER (ORDER BY rate) AS nth, count(*) OVER (PARTITION BY rate) AS n FROM code", []),
    ("SELECT code, rate FROM code ORDER BY rate NULLS LAST, code LIMIT 3", []),
    ("SELECT code, rate FROM code WHERE team = $1 ORDER BY rate DESC, code LIMIT 2", [INT]),
]


class RateGrammar(grammar.Grammar):
    """Queries with conditions and joins by such numbers, which are not shown."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.rated = set()  # aliases of the tables

    def item(self, depth):
        text, scope = super().item(depth)
        name, _, alias = text.partition(" ")
        if name in RATED:
            self.rated.add(alias)
        return text, scope

    def rates(self, scope):
        """Returns the numbers in a scope."""
        return ["%s.rate" % alias for alias, _ in scope.items if alias in self.rated]

    def join_condition(self, kind, scope, new):
        left, right = self.rates(scope), self.rates(new)
        if kind == "CROSS JOIN" or not (left and right) or self.chance(.4):
            return super().join_condition(kind, scope, new)
        self.form("equal numbers")
        return " ON %s = %s" % (self.rng.choice(left), self.rng.choice(right))

    def condition(self, scope):
        return (self.chance(.45) and self.comparison(scope)) or super().condition(scope)

    def comparison(self, scope):
        """Returns a condition, or None where there is no such number."""
        found = self.rates(scope)
        if not found:
            return None
        self.form("equal numbers")
        one, other, name, alias = self.rng.choice(found), self.rng.choice(found), self.rng.choice(RATED), self.fresh()
        value, of = self.rng.choice(VALUES), "%s %s" % (name, alias)
        simple = ["%s = %s" % (one, value), "%s = %s" % (one, other), "%s <> %s" % (one, value), "%s IS DISTINCT FROM %s" % (one, other),
                  "%s IN (%s, 2)" % (one, value), "%s > %s" % (one, value), "%s::text = '%s'" % (one, value)]
        if not self.sub_selects or self.chance(.5):
            return self.rng.choice(simple)
        self.sub_selects -= 1
        self.used.add(name)
        return self.rng.choice([
            "{one} IN (SELECT {a}.rate FROM {of})", "{one} NOT IN (SELECT {a}.rate FROM {of} WHERE {a}.rate <> {value})",
            "EXISTS (SELECT FROM {of} WHERE {a}.rate = {one} AND {a}.n > 1)", "NOT EXISTS (SELECT FROM {of} WHERE {a}.rate = {one})",
            "(SELECT count(DISTINCT {a}.rate) FROM {of}) > 2", "{one} = ANY (SELECT {a}.rate FROM {of} GROUP BY {a}.rate HAVING count(*) > 1)",
            "{one} >= ALL (SELECT {a}.rate FROM {of} WHERE {a}.rate IS NOT NULL)"]).format(one=one, a=alias, of=of, value=value)
