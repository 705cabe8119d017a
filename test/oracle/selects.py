"""Queries of several tables, as clients watch them.

Owns: how a random query of grammar.py becomes one that a user subscribes to, the few that are written by hand, and what
their results say of accounts. They stand beside shapes.Query, whose questions they answer.
"""

import itertools
import re
import threading
from collections import Counter
from dataclasses import dataclass, field, replace

import clocks
import grammar
import rates
import relations
import schema
import shapes
from clocks import NOW
from grammar import INT, TEXT
from rows import Number

SHAPE = shapes.Shape("any select", "", sometimes=True, pointwise=False)
LIST = re.compile(r" ORDER BY [^()]* LIMIT \$?\d+( OFFSET \$?\d+)?\Z")
MEMBERSHIPS = 0.08  # how often a query is one that each member of a team asks
LISTS = 0.09  # how often a query is one whose rows move without being changed themselves
SHARED = 0.2  # how often one that shares its evaluation with others of its shape
ACCOUNTS = 0.12  # how often a query is one of accounts
CLOCK = 0.12     # and how often it asks the clock, and tells it
RATES = 0.1      # and how often it compares numbers that are equal and not the same
WINDOWS = 0.12   # how often its rows come and go with the time, which it does not tell

# What all accounts hold together is always the same; these tell a part of it: the query, which part, the column that has it.
BALANCES = [
    ("SELECT id, amount FROM checking", "checking", "amount"), ("SELECT * FROM saving", "saving", "amount"),
    ("SELECT sum(amount) AS total FROM saving", "saving", "total"),
    ("SELECT sum(amount) AS total FROM checking", "checking", "total"),
    ("SELECT owner, sum(amount) AS total, count(*) AS n FROM saving GROUP BY owner", "saving", "total"),
    ("SELECT owner, sum(amount) AS total FROM checking GROUP BY owner", "checking", "total"),
    ("SELECT (SELECT sum(amount) FROM checking) + (SELECT sum(amount) FROM saving) AS total", "all", "total"),
    ("SELECT sum(amount) AS total FROM (SELECT amount FROM checking UNION ALL SELECT amount FROM saving) a", "all", "total"),
    ("SELECT a.part, sum(a.amount) AS total FROM (SELECT 'c' AS part, amount FROM checking UNION ALL SELECT 's', amount FROM saving) a"
     " GROUP BY a.part", "all", "total"),
    ("SELECT c.id, c.amount, (SELECT count(*) FROM saving s WHERE s.owner = c.owner) AS n FROM checking c", "checking", "amount"),
    ("SELECT DISTINCT id, owner, amount FROM saving", "saving", "amount"),
]

# Ordered by what is not shown: rows move that are not changed themselves. With the parameters that they begin with: pages that
# turn and grow, conditions that move, and an order.
MOVING = [
    ("SELECT id, state FROM task ORDER BY points DESC NULLS LAST, id LIMIT 3", (), {"task"}),
    ("SELECT label FROM tag ORDER BY n, label, task LIMIT 4", (), {"tag"}),
    ("SELECT t.name, k.state FROM team t JOIN task k ON k.team = t.id ORDER BY k.points, k.id DESC LIMIT 4", (), {"team", "task"}),
    ("SELECT who FROM member ORDER BY team, who LIMIT 5 OFFSET 1", (), {"member"}),
    ("SELECT id, state FROM task ORDER BY points DESC NULLS LAST, id LIMIT 4 OFFSET $1", ("0",), {"task"}),
    ("SELECT id, points FROM task WHERE team = $1 ORDER BY points, id LIMIT 3", ("1",), {"task"}),
    ("SELECT label FROM tag ORDER BY n, label, task LIMIT $1 OFFSET $2", ("3", "1"), {"tag"}),
    ("SELECT t.name, k.state FROM team t JOIN task k ON k.team = t.id WHERE k.points >= $1 ORDER BY k.points, k.id DESC LIMIT 5",
     ("0",), {"team", "task"}),
    ("SELECT who FROM member ORDER BY team = $1, who, team LIMIT 5", ("1",), {"member"}),
]

# Of one value at a time: what limits rows, makes one group, keeps groups from batch to batch, numbers rows or sorts equal ones
# out. The query, the types of its parameters, the tables below, what it does.
OF_VALUES = [
    ("SELECT id, state FROM task WHERE team = $1 ORDER BY points DESC NULLS LAST, id LIMIT 2", [INT], {"task"}, "LIMIT"),
    ("SELECT who FROM member WHERE team = $1 ORDER BY who LIMIT 2 OFFSET 1", [INT], {"member"}, "LIMIT"),
    ("SELECT n, label FROM tag WHERE task = $1 ORDER BY n, label LIMIT 2", [INT], {"tag"}, "LIMIT"),
    ("SELECT t.name, count(*) AS n FROM team t JOIN task k ON k.team = t.id WHERE k.state = $1 GROUP BY t.name ORDER BY n DESC, t.name"
     " LIMIT 2", [TEXT], {"team", "task"}, "LIMIT"),
    ("SELECT id, n FROM doc WHERE team = $1 ORDER BY n DESC NULLS LAST, id LIMIT 2", [INT], {"doc", "member"}, "LIMIT"),
    ("SELECT count(*) AS n, sum(points) AS points FROM task WHERE team = $1", [INT], {"task"}, "one group"),
    ("SELECT min(n) AS least, count(*) AS all FROM place WHERE region = $1 AND team = $2", [TEXT, INT], {"place"}, "one group"),
    ("SELECT max(k.points) AS most FROM team t LEFT JOIN task k ON k.team = t.id WHERE t.lead = $1 HAVING count(*) > 1", [INT],
     {"team", "task"}, "one group"),
    ("SELECT count(*) AS n FROM doc WHERE team = $1", [INT], {"doc", "member"}, "one group"),
    ("SELECT owner, sum(amount) AS total, count(*) AS n FROM saving WHERE owner = $1 GROUP BY owner", [INT], {"saving"}, "kept group"),
    ("SELECT owner, avg(amount) AS mean FROM checking WHERE owner = $1 GROUP BY owner HAVING count(*) > 1", [INT], {"checking"}, "kept group"),
    ("SELECT team, n, count(*) AS all, sum(id) AS ids FROM place WHERE team = $1 GROUP BY team, n", [INT], {"place"}, "kept group"),
    ("SELECT DISTINCT state, points FROM task WHERE team = $1", [INT], {"task"}, "DISTINCT"),
    ("SELECT DISTINCT n.weight FROM note n JOIN task k ON k.id = n.task WHERE k.team = $1", [INT], {"note", "task"}, "DISTINCT"),
    ("SELECT DISTINCT ON (state) state, id FROM task WHERE team = $1 ORDER BY state, points DESC, id", [INT], {"task"}, "DISTINCT ON"),
    ("SELECT id, row_number() OVER (ORDER BY points, id) AS nth FROM task WHERE team = $1", [INT], {"task"}, "window"),
    ("SELECT id, region, sum(n) OVER (PARTITION BY region) AS sum FROM place WHERE team = $1", [INT], {"place"}, "window"),
]

# What is asked with who asks: one evaluation for all. The condition on a team, and queries with one.
OF_WHO = ["{team} IN (SELECT m.team FROM member m WHERE m.who = $1)", "EXISTS (SELECT FROM member m WHERE m.team = {team} AND $1 = m.who)",
          "EXISTS (SELECT FROM member m WHERE m.who = $1 AND m.team = {team} AND m.team > 2)",
          "({team}, $1) IN (SELECT m.team, m.who FROM member m WHERE m.who = $1)",
          "{team} IN (SELECT d.team FROM doc d WHERE d.owner = $1)"]  # of whom there may be several
MEMBERS = [
    ("SELECT k.id, k.state, k.points FROM task k WHERE {k.team}", {"task"}), ("SELECT p.region, p.n FROM place p WHERE {p.team}", {"place"}),
    ("SELECT k.state, count(*) AS n, sum(k.points)::int AS points FROM task k WHERE {k.team} GROUP BY k.state", {"task"}),
    ("SELECT k.id, k.points FROM task k WHERE {k.team} ORDER BY k.points DESC NULLS LAST, k.id LIMIT 3", {"task"}),
    ("SELECT count(*) AS n, max(n.weight) AS most FROM task k JOIN note n ON n.task = k.id WHERE {k.team}", {"task", "note"}),
    ("SELECT k.id, t.name, n.no FROM task k JOIN team t ON t.id = k.team LEFT JOIN note n ON n.task = k.id WHERE {t.id}", {"task", "team", "note"}),
    ("SELECT DISTINCT k.state FROM task k WHERE {k.team} AND k.points > 0", {"task"}),
    ("SELECT c.code, rank() OVER (ORDER BY c.n) AS at FROM code c WHERE {c.team}", {"code"}),
]


@dataclass(frozen=True)
class Select:
    """One query, as one user asks it. Equal queries have equal results."""

    text: str
    params: tuple
    user: schema.User
    below: frozenset = field(compare=False)              # the names of the tables that it reads
    forms: frozenset = field(default=frozenset(), compare=False)
    balance: tuple = field(default=(), compare=False)    # of accounts: (which part, column)
    refresh_every: str = field(default="", compare=False)  # where it asks the clock
    shows_clock: bool = field(default=True, compare=False)  # then each row has the column "clock"
    equal: tuple = field(default=(), compare=False)      # (index of a parameter, type): others of its shape have another there

    shape = SHAPE
    whole = True

    @property
    def ordered(self):
        """Whether its result is a list: the query itself has ORDER BY and LIMIT."""
        return LIST.search(self.text) is not None

    def another(self, rng):
        """Returns one of the same shape, with other values where those may differ."""
        params = list(self.params)
        for index, kind in self.equal:
            params[index] = grammar.equal_value(rng, kind)
        return replace(self, params=tuple(params))

    def source_table(self, tables):
        """As of a shapes.Query: one of the tables, of which none is under rights."""
        return tables[min(self.below)]

    def table_names(self, _):
        """Returns the names of the tables below."""
        return self.below

    @property
    def asks_below(self):
        """Whether it asks the time by a view or by row security."""
        return relations.asks_time(set(re.findall(r"\w+", self.text)), self.user)

    def is_parted(self, tables):
        """Tells whether a table has several leaves."""
        return any(tables[name].leaves for name in self.below)

    def all_full(self, tables):
        """Tells whether the log has the old rows of all tables."""
        return all(tables[name].full for name in self.below)

    def endangered(self, _):
        """It does not end by itself."""
        return False

    def tenant(self):
        """Its rows are nobody's alone."""
        return None

    def subscribed_sql(self, _):
        """Returns the text to subscribe to, with $1..$n."""
        return self.text

    def step(self):
        """Returns the seconds of refresh_every."""
        return float(self.refresh_every.split()[0])

    def plain_sql(self, _, clock=None):
        """Returns the text to run as the same user, with the parameters in it, and the time (a datetime), if it is given: what
        views and row security ask is not in it."""
        text = self.text.replace(NOW, "'%s'::timestamptz" % clock.isoformat()) if clock else self.text
        return re.sub(r"\$(\d+)", lambda match: schema.literal(self.params[int(match.group(1)) - 1]), text)


def of_who(rng, user):
    """Returns a Select of what somebody may see by his teams; most often of one of few."""
    text, below = rng.choice(MEMBERS)
    asked = rng.choice(OF_WHO + OF_WHO[-1:] * 2)
    text = re.sub(r"{([a-z.]+)}", lambda match: asked.format(team=match.group(1)), text)
    who = rng.choice([user.name, user.name, "nobody", "it's ☃"])
    below = below | ({"doc", "member"} if "doc" in asked else {"member"})
    forms = {"membership", "parameters"} | ({"membership of several"} if "doc" in asked else set())
    return Select(text, (who,), user, frozenset(below), frozenset(forms))


def random_select(rng, user, world):
    """Returns a Select; whether it is valid is for the server to say."""
    if rng.random() < ACCOUNTS:
        text, part, column = rng.choice(BALANCES)
        below = {"all": {"checking", "saving"}}.get(part) or {part} | ({"saving"} if "saving s" in text else set())
        return Select(text, (), user, frozenset(below), frozenset({"accounts"}), (part, column))
    if rng.random() < LISTS:
        text, params, below = rng.choice(MOVING)
        return Select(text, params, user, frozenset(below), frozenset({"LIMIT"}))
    if rng.random() < SHARED:
        text, kinds, below, what = rng.choice(OF_VALUES)
        if not (user.renamed and below & {"doc", "member"}):
            forms = {"equality: " + what} | ({"row security"} if "doc" in below else set())
            refresh_every = rng.choice(["0.1 s", "0.3 s"]) if rng.random() < CLOCK else ""
            if refresh_every:
                text = text.replace(" FROM ", ", %s AS clock FROM " % NOW, 1)
                forms.add("clock")
            return Select(text, (None,) * len(kinds), user, frozenset(below), frozenset(forms), refresh_every=refresh_every,
                          equal=tuple(enumerate(kinds))).another(rng)
    if not user.renamed and rng.random() < MEMBERSHIPS:
        return of_who(rng, user)
    windows = rng.random() < WINDOWS
    if windows and rng.random() < .4:
        return written_window(rng, user, world)
    of_rates = not windows and rng.random() < RATES
    if of_rates and rng.random() < .5:
        text, kinds = rng.choice(rates.WRITTEN)
        return Select(text, (None,) * len(kinds), user, frozenset(set(re.findall(r"\w+", text)) & set(rates.RATED)),
                      frozenset({"equal numbers"}), equal=tuple(enumerate(kinds))).another(rng)
    if windows:
        made = relations.time_grammar_for(rng)
    else:
        made = relations.rate_grammar_for(rng) if of_rates else relations.grammar_for(rng, role=not user.renamed)
    text, columns = made.statement()
    # What was made and not taken may have used more.
    windows = NOW in text or relations.asks_time(set(re.findall(r"\w+", text)), user)
    refresh_every = rng.choice(["0.1 s", "0.3 s", "1 s"]) if windows or rng.random() < CLOCK else ""
    if windows:
        made.form("time window")
    elif refresh_every:
        text = with_clock(rng, text, columns)
        made.form("clock")
    below = world.relations.below(made.used)
    if not below:
        return random_select(rng, user, world)
    forms = set(made.forms)
    forms.update(forms_of(made.used, below, user))
    forms.update({"partitions"} if "place" in below else set())
    # And it may have had a parameter of its own.
    used = sorted({int(number) for number in re.findall(r"\$(\d+)", text)})
    text = re.sub(r"\$(\d+)", lambda match: "$%d" % (used.index(int(match.group(1))) + 1), text)
    equal = tuple((used.index(number), kind) for number, kind in made.equal if number in used)
    return Select(text, tuple(made.params_made[number - 1] for number in used), user, below, frozenset(forms),
                  refresh_every=refresh_every, shows_clock=not windows, equal=equal)


def forms_of(names, below, user):
    """Returns what a query of tables and views is made of by these; below: all tables that it reads."""
    return ({"view"} if any(name in relations.VIEWS for name in names) else set()) | ({"row security"} if "doc" in below else set()) | (
        {"time in a view or row security"} if relations.asks_time(names, user) else set())


def written_window(rng, user, world):
    """Returns a Select of rows that come and go with the time."""
    text, kinds = rng.choice(clocks.WRITTEN)
    names = set(re.findall(r"\w+", text)) & set(relations.SEEN)
    if NOW not in text and not relations.asks_time(names, user):
        return written_window(rng, user, world)
    below = world.relations.below(names)
    return Select(text, (None,) * len(kinds), user, below, frozenset({"time window"} | forms_of(names, below, user)),
                  refresh_every=rng.choice(["0.1 s", "0.3 s", "1 s"]), shows_clock=False, equal=tuple(enumerate(kinds))).another(rng)


def clock_hand(user, refresh_every):
    """Returns a Select that tells what time those of the same steps show, always."""
    return Select("SELECT count(*) AS n, now() AS clock FROM saving", (), user, frozenset({"saving"}), frozenset({"clock"}),
                  refresh_every=refresh_every)


def with_clock(rng, text, columns):
    """Returns a query whose rows come and go with the time, and tell it."""
    numbers = [name for name, kind in columns if kind == relations.INT]
    where = ""
    if numbers and rng.random() < .8:
        where = " WHERE " + rng.choice(["{0} %% 3 = extract(second FROM {1})::int %% 3", "{0} > extract(second FROM {1})::int %% 4",
                                        "({0} IS NULL OR make_interval(secs => {0}) < make_interval(secs => extract(second FROM {1})::int %% 5))"]
                                       ).replace("%%", "%").format("q." + rng.choice(numbers), NOW)
    if rng.random() < .4:
        return "SELECT count(*) AS n, %s AS clock FROM (%s) q%s" % (NOW, text, where)
    return "SELECT q.*, %s AS clock FROM (%s) q%s" % (NOW, text, where)


def held(select, bag):
    """Returns what a result of accounts says that they hold."""
    total = 0
    for row, count in bag.items():
        text = dict(row)[select.balance[1]]
        total += (0 if text == "null" else int(Number(text))) * count
    return total


class Accepted:
    """Which queries the extension took, and which not. Shared by the clients."""

    MOST = 60

    def __init__(self):
        self.queries = []
        self.delta = []           # of each shape that may be shared one
        self.taken = Counter()    # (form, strategy) -> how many
        self.pairs = set()        # pairs of forms in a query that is followed by differences
        self.reasons = Counter()  # why others were not
        self.shared = Counter()   # form -> how many shared their evaluation with a live one that has another value
        self.lock = threading.Lock()

    def add(self, query, strategy, shares):
        """Notes one; shares: whether its evaluation is that of others with another value."""
        with self.lock:
            if shares:
                self.shared.update(form for form in query.forms if form.startswith("equality: "))
            if query not in self.queries:
                self.queries.append(query)
            del self.queries[:-self.MOST]
            shape = (query.text, query.user)
            if query.equal and strategy == "delta" and shape not in [(one.text, one.user) for one in self.delta]:
                self.delta.append(query)
            del self.delta[:-self.MOST]
            self.taken.update((form, strategy) for form in query.forms or ["plain"])
            if strategy != "stream":
                self.pairs.update(itertools.combinations(sorted(query.forms), 2))

    def refused(self, query, text):
        """Notes one that was not."""
        with self.lock:
            self.reasons[text.split("\n", maxsplit=1)[0]] += 1
            self.taken.update((form, "refused") for form in query.forms or ["plain"])

    def one(self, rng, user, shared=False):
        """Returns one that was accepted of this user, or None. An equal one of another's is as good for most. shared: one that
        can share its evaluation with others."""
        with self.lock:
            found = [query for query in (self.delta if shared else self.queries)
                     if query.user == user or not query.below & {"doc", "permit"}]
            if shared:  # with one of the last of his own, which is live most likely
                found = [query for query in found if query.user == user][-8:] or found
        return replace(rng.choice(found), user=user) if found else None
