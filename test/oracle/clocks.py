"""What time a live query shows that asks the clock.

Owns: what a client can know of that at a boundary, and random queries that compare times with it.

A query whose rows tell the time shows that one. Another one is told it by its messages alone (committed_at), which come where its
rows change: it shows the time of the last, or a later step. But all of a connection that have the same steps show the same
time; so beside one that tells it the time is known exactly. Otherwise it is one of those that are possible: the steps from the
last time that was known to the moment in which the boundary came.

One whose rows leave by an alarm shows finer steps. Beside one that tells the time of longer steps, it is one of those of the same
step. After a message it is the time of that, unless the point goes on behind it with a transaction on the query's tables: that was
evaluated when it had committed, to no difference.
"""

import json
from datetime import datetime, timedelta, timezone

import grammar
from grammar import INT, SORTED
from state import require

NOW = "now()"
MANY = 50  # steps: where more are possible, nothing is said
FINE = timedelta(milliseconds=20)  # the steps of one with an alarm (src/model/clock_steps.hpp)
LONG_AGO = datetime(2000, 1, 1, tzinfo=timezone.utc)  # from where on steps are counted

# What columns of times are compared with, and what does more with the time than that.
BOUNDS = [NOW, NOW, "now() - interval '1 s'", "now() - interval '3 s'", "now() + interval '0.5 s'", "date_trunc('second', now())"]
ELSEWHERE = ["{c} + interval '1 s' > now()", "{c} IN (now(), {b})"]
TIMES = ("since", "until")  # the columns, of lease

# The query, the types of its parameters. Some ask the time by a view or by row security alone.
WRITTEN = [
    ("SELECT id, n FROM lease WHERE until > now()", []), ("SELECT id FROM lease WHERE since > now() - interval '3 s'", []),
    ("SELECT id, until FROM lease WHERE now() BETWEEN since AND until", []), ("SELECT id, since <= now() AS begun FROM lease", []),
    ("SELECT count(*) AS n, max(id) AS last FROM lease WHERE until <= now()", []),
    ("SELECT team, count(*) FILTER (WHERE until > now()) AS n FROM lease GROUP BY team", []),
    ("SELECT id, n FROM lease WHERE until > now() ORDER BY until, id LIMIT 3", []),
    ("SELECT id FROM lease WHERE until > now() AND team = $1", [INT]),
    ("SELECT n, count(*) AS all FROM lease WHERE since < now() AND team = $1 GROUP BY n", [INT]),
    ("SELECT id, n FROM lease WHERE since <= now() AND team = $1 ORDER BY n DESC NULLS LAST, id LIMIT 2", [INT]),
    ("SELECT id, n FROM running", []), ("SELECT id, until FROM begun WHERE team = $1", [INT]), ("SELECT id, n FROM permit", []),
    ("SELECT team, n, last FROM shares", []), ("SELECT count(*) AS n, min(until) AS next FROM permit WHERE team = $1", [INT]),
    ("SELECT t.name, p.id FROM permit p JOIN team t ON t.id = p.team", []),
    ("SELECT id FROM team WHERE id NOT IN (SELECT team FROM running WHERE team IS NOT NULL)", []),
    ("SELECT id, n FROM permit ORDER BY until, id LIMIT 3", []),
]


class TimeGrammar(grammar.Grammar):
    """Queries with conditions that compare columns of times with the present."""

    def condition(self, scope):
        return (self.chance(.45) and self.comparison(scope)) or super().condition(scope)

    def column(self, scope, kind=None):
        made = kind is None and self.chance(.1) and self.comparison(scope)
        return ("(%s)" % made, SORTED) if made else super().column(scope, kind)

    def comparison(self, scope):
        """Returns a condition with the time, or None where there is no column of a time."""
        columns = [name for name, _ in scope.columns(SORTED) if name.rpartition(".")[2] in TIMES]
        if not columns:
            return None
        rng, bounds = self.rng, self.rng.choices(BOUNDS, k=2)
        column = rng.choice(columns)
        if self.chance(.08):
            return "(%s)" % rng.choice(ELSEWHERE).format(c=column, b=bounds[1])
        one = "%s %s %s" % (column, rng.choice(["<", "<=", ">", ">=", ">", "<=", "=", "<>"]), bounds[0])
        return rng.choices([one, "NOT (%s)" % one, "(%s) IS NOT TRUE" % one, "(%s) IS NULL" % one,
                            "%s BETWEEN %s AND %s" % (column, bounds[1], bounds[0])], [6, 1, 1, .4, 1])[0]


def random_time(rng):
    """Returns a time near the present, as a text, at times one at which a step is."""
    choice = rng.random()
    if choice < .1:
        return rng.choice([None, "infinity", "-infinity"])
    ahead = rng.uniform(-86400, 86400) if choice < .15 else rng.uniform(-10, 10) if choice < .3 else rng.uniform(-1.5, 3)
    made = datetime.now(timezone.utc) + timedelta(seconds=ahead)
    if rng.random() < .5:
        made = made.replace(microsecond=made.microsecond // 100000 * 100000)
    return made.isoformat(" ")


def times(bag):
    """Returns the times that the rows of a query tell which shows them."""
    return {datetime.fromisoformat(json.loads(dict(row)["clock"])) for row in bag}


class Clock:
    """What is known of the time that one subscription shows."""

    def __init__(self, query, alarm=False):
        self.step = timedelta(seconds=query.step())  # that it was asked for with
        self.alarm = alarm
        self.is_shown = query.shows_clock
        self.told = None    # by the last message
        self.least = None   # it shows this time or a later one; None: nothing is known since the first result
        self.possible = ()  # the times that it may show

    def forget(self):
        """It begins anew."""
        self.told = self.least = None
        self.possible = ()

    def look(self, bag, is_told, now, others, since=None):
        """At a boundary that came at a time. is_told: it has a message for it; others: what another one shows that has the
        same steps and tells it, or None; since: when the last transaction committed that the query can have felt without a
        message, or None. Returns what this one tells, or None."""
        if self.alarm:
            self._look_finely(is_told, now, others, since)
            return others
        shown = times(bag) if self.is_shown else set()
        require(len(shown) <= 1, "the rows show several times: %s", sorted(shown))
        if is_told:
            require(shown <= {self.told}, "committed_at is %s, and the rows show %s", self.told, shown)
            require(self.least is None or self.told >= self.least, "the time goes back from %s to %s", self.least, self.told)
            self.least = self.told
        require(others is None or shown <= {others}, "the rows show %s, and those of another live query with the same steps %s",
                shown, others)
        shown = next(iter(shown), others)
        require(None in (shown, self.least) or shown >= self.least, "it shows %s, when it has been at %s already", shown, self.least)
        self.least = shown or self.least
        self.possible = (shown,) if shown else self._steps(now)
        return shown

    def _look_finely(self, is_told, now, others, since):
        """The same for one with an alarm, which shows no time itself. The others may have moved on after its message, at the same
        position: then that has made no difference."""
        if is_told:
            require(self.least is None or self.told >= self.least, "the time goes back from %s to %s", self.least, self.told)
            self.least = self.told
        last = now
        if others is not None:
            require(self.least is None or self.least < others + self.step, "it has been at %s already, when another live query shows %s",
                    self.least, others)
            self.least = max(self.least or others, others)
            last = min(now, others + self.step - FINE)
        self.possible = (self.told,) if is_told and since is None else self._steps(last, FINE, since)

    def _steps(self, now, step=None, since=None):
        """Those that may have come since the last that is known, and the one of a moment."""
        if self.least is None:
            return ()
        step = step or self.step
        first = max(self.least, since - (since - LONG_AGO) % step) if since else self.least
        count = max(now - first, timedelta()) // step + 1
        return tuple(first + number * step for number in range(count)) if count <= MANY else ()
