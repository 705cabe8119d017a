"""The tables that random queries of several tables are about.

Owns: their definitions, which differ by seed in replica identity and in what a foreign key does, random rows of them, and
what a query may name: tables and views with their columns. They are small, so that joins meet and results are worked out
soon. Each is made twice: in public, where the writers write, and in the schema of past.py.
"""

import random
import re
from dataclasses import replace

import grammar
import rates
import schema
from clocks import NOW, TimeGrammar, random_time
from grammar import INT, SORTED, TEXT

CLOCK_SETTING = "oracle.clock"  # has the time, in the schema of past.py
TOTAL = 1000  # that checking and saving hold together, after every transaction
MOST = 8      # of what ids are drawn from

FOREIGN = ["ON DELETE CASCADE ON UPDATE CASCADE", "ON DELETE SET NULL ON UPDATE CASCADE", "ON DELETE CASCADE"]
IDENTITIES = {  # table -> which replica identities it may have; as the name of an index, that one
    "team": ["default", "full"], "task": ["default", "full", "task_alt", "nothing"], "note": ["default", "full", "nothing"],
    "tag": ["full", "nothing"], "code": ["default", "full", "code_alt"], "place": ["default", "full"], "member": ["default", "full"],
    "doc": ["default", "full"], "checking": ["default", "full"], "saving": ["default", "full"],
    "lease": ["default", "full"], "permit": ["default", "full"],
}
SEEN = {  # what a query may name, and its columns
    "team": [("id", INT), ("lead", INT), ("name", TEXT)],
    "task": [("id", INT), ("team", INT), ("state", TEXT), ("points", INT)],
    "note": [("task", INT), ("no", TEXT), ("weight", INT)],
    "tag": [("task", INT), ("label", TEXT), ("n", INT)],
    "code": [("code", TEXT), ("team", INT), ("n", INT)],
    "place": [("id", INT), ("region", TEXT), ("team", INT), ("n", INT)],
    "member": [("who", TEXT), ("team", INT)],
    "doc": [("id", INT), ("team", INT), ("owner", TEXT), ("n", INT)],
    "lease": [("id", INT), ("team", INT), ("n", INT), ("since", SORTED), ("until", SORTED)],
    "permit": [("id", INT), ("team", INT), ("n", INT), ("until", SORTED)],
    "running": [("id", INT), ("team", INT), ("n", INT), ("since", SORTED)],
    "begun": [("id", INT), ("team", INT), ("until", SORTED)],
    "shares": [("team", INT), ("n", INT), ("last", INT)],
    "team_load": [("team", INT), ("tasks", INT), ("points", INT)],
    "open_task": [("id", INT), ("team", INT), ("points", INT)],
    "noted": [("task", INT), ("points", INT), ("weight", INT)],
    "weighed": [("task", INT), ("weight", INT)],
    "idle": [("team", INT)],
}
VIEWS = {"team_load": ["task"], "open_task": ["task"], "noted": ["task", "note"], "weighed": ["task", "note"],  # and the tables below
         "idle": ["team", "task"], "running": ["lease"], "begun": ["lease"], "shares": ["permit"]}
FUNCTIONS = {  # what a FROM may call with a number, and the columns
    "tasks_of": [("id", INT), ("team", INT), ("state", TEXT), ("points", INT)],
    "noted_from": [("task", INT), ("weight", INT)],
}
BELOW = {**VIEWS, "tasks_of": ["task"], "noted_from": ["task", "note"]}
CLOCKED_VIEWS = frozenset({"running", "begun"})            # who names these asks the time,
CLOCKED = CLOCKED_VIEWS | {"permit", "shares"}              # and these, whom row security is for

DEFINITIONS = """
CREATE {unlogged} TABLE team (id int PRIMARY KEY, lead int, name text);
CREATE {unlogged} TABLE task (id int PRIMARY KEY, alt int NOT NULL, team int REFERENCES team {one}, state text, points int);
CREATE UNIQUE INDEX task_alt ON task (alt);
CREATE {unlogged} TABLE note (task int REFERENCES task ON DELETE CASCADE ON UPDATE CASCADE, no text COLLATE "C", weight int,
    body text, PRIMARY KEY (task, no));
CREATE {unlogged} TABLE tag (task int, label text, n int, rate numeric);
CREATE {unlogged} TABLE code (code text PRIMARY KEY, alt int NOT NULL, team int REFERENCES team {two}, n int, rate numeric);
CREATE UNIQUE INDEX code_alt ON code (alt);
CREATE TABLE place (id int, region text, team int, n int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE {unlogged} TABLE place_north PARTITION OF place FOR VALUES IN ('north');
CREATE {unlogged} TABLE place_rest (n int, team int, region text NOT NULL, id int NOT NULL);
ALTER TABLE place ATTACH PARTITION place_rest DEFAULT;
CREATE {unlogged} TABLE member (who text, team int, PRIMARY KEY (who, team));
CREATE {unlogged} TABLE doc (id int PRIMARY KEY, team int, owner text, n int);
ALTER TABLE doc ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_team ON doc USING (team IN (SELECT m.team FROM member m WHERE m.who = current_user));
CREATE POLICY own ON doc FOR SELECT USING (owner = current_user);
CREATE {unlogged} TABLE checking (id int PRIMARY KEY, owner int, amount int);
CREATE {unlogged} TABLE saving (id int PRIMARY KEY, owner int, amount int);
CREATE {unlogged} TABLE lease (id int PRIMARY KEY, team int, n int, since timestamptz, until timestamptz);
CREATE INDEX ON lease (until);
CREATE {unlogged} TABLE permit (id int PRIMARY KEY, team int, n int, until timestamptz);
ALTER TABLE permit ENABLE ROW LEVEL SECURITY;
CREATE POLICY valid ON permit USING (until > now());
CREATE INDEX ON task (team); CREATE INDEX ON tag (task); CREATE INDEX ON doc (team);
CREATE VIEW team_load AS SELECT team, count(*)::int AS tasks, sum(points)::int AS points FROM task GROUP BY team;
CREATE VIEW open_task WITH (security_barrier) AS SELECT id, team, points FROM task WHERE state = 'open';
CREATE VIEW noted AS SELECT t.id AS task, t.points, n.weight FROM task t LEFT JOIN note n ON n.task = t.id;
CREATE VIEW weighed AS SELECT id AS task, points AS weight FROM task UNION ALL SELECT task, weight FROM note;
CREATE VIEW idle AS SELECT id AS team FROM team EXCEPT SELECT team FROM task;
CREATE VIEW running AS SELECT id, team, n, since FROM lease WHERE until > now();
CREATE VIEW begun WITH (security_barrier) AS SELECT id, team, until FROM lease WHERE since <= now() - interval '0.5 s';
CREATE VIEW shares WITH (security_invoker) AS SELECT team, count(*)::int AS n, max(id) AS last FROM permit WHERE n > 0 GROUP BY team;
CREATE FUNCTION tasks_of(int) RETURNS SETOF {schema}.task LANGUAGE sql STABLE AS 'SELECT * FROM {schema}.task WHERE team = $1';
CREATE FUNCTION noted_from(atleast int DEFAULT 1) RETURNS TABLE (task int, weight int) LANGUAGE sql STABLE
    AS 'SELECT t.id, n.weight FROM {schema}.task t LEFT JOIN {schema}.note n ON n.task = t.id AND n.weight >= atleast';
GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO PUBLIC;
"""
ROWS = """
INSERT INTO team SELECT n, n % 3, 'x' FROM generate_series(1, 6) n;
INSERT INTO task SELECT n, n, n % 5 + 1, 'open', n % 4 FROM generate_series(1, 10) n;
INSERT INTO lease SELECT n, n % 5, n % 4, now() + n * interval '0.3 s', now() + n * interval '0.4 s' FROM generate_series(1, 10) n;
INSERT INTO permit SELECT n, n % 5, n % 4, now() + n * interval '0.5 s' FROM generate_series(1, 10) n;
INSERT INTO checking SELECT n, n % 3, 100 FROM generate_series(1, 5) n;
INSERT INTO saving SELECT n, n % 3, 100 FROM generate_series(1, 5) n;
"""


def _of(*values, nulls=0.15):
    return lambda rng: None if rng.random() < nulls else str(rng.choice(values))


def _id(most=MOST):
    return lambda rng: str(rng.randint(1, most))


_SMALL = _of(0, 1, 2, 3, 4)
_WORD = _of("x", "y", "z")


def tables(users):
    """Returns the tables by name, without what differs by seed."""
    team, owners = _of(*range(1, MOST + 1)), [user.name for user in users] + ["nobody"]
    return {table.name: replace(table, small=True) for table in [
        schema.Table("team", {"id": "int", "lead": "int", "name": "text"}, ("id",),
                     {"id": _id(), "lead": _SMALL, "name": _WORD}, cascades=("task", "note", "code"), weight=5),
        schema.Table("task", {"id": "int", "alt": "int", "team": "int", "state": "text", "points": "int"}, ("id",),
                     {"id": _id(12), "alt": _id(4000), "team": team, "state": _of("open", "done", "x"), "points": _SMALL},
                     cascades=("note",), weight=8),
        schema.Table("note", {"task": "int", "no": "text", "weight": "int", "body": "text"}, ("task", "no"),
                     {"task": _id(12), "no": _of("p", "q", "Q", nulls=0), "weight": _SMALL, "body": _WORD}, weight=6),
        schema.Table("tag", {"task": "int", "label": "text", "n": "int", "rate": "numeric"}, (),
                     {"task": _of(*range(1, 13)), "label": _WORD, "n": _SMALL, "rate": _of(*rates.VALUES)}, weight=5),
        schema.Table("code", {"code": "text", "alt": "int", "team": "int", "n": "int", "rate": "numeric"}, ("code",),
                     {"code": _of("x", "y", "z", "it's", "☃", nulls=0), "alt": _id(4000), "team": team, "n": _SMALL,
                      "rate": _of(*rates.VALUES)}, weight=4),
        schema.Table("place", {"id": "int", "region": "text", "team": "int", "n": "int"}, ("id", "region"),
                     {"id": _id(), "region": _of("north", "south", "x", nulls=0), "team": team, "n": _SMALL},
                     leaves=("place_north", "place_rest"), weight=5),
        schema.Table("member", {"who": "text", "team": "int"}, ("who", "team"),
                     {"who": _of(*owners, nulls=0), "team": _id()}, weight=4),
        schema.Table("doc", {"id": "int", "team": "int", "owner": "text", "n": "int"}, ("id",),
                     {"id": _id(15), "team": team, "owner": _of(*owners), "n": _SMALL}, weight=5),
        schema.Table("lease", {"id": "int", "team": "int", "n": "int", "since": "timestamptz", "until": "timestamptz"}, ("id",),
                     {"id": _id(14), "team": team, "n": _SMALL, "since": random_time, "until": random_time}, weight=7),
        schema.Table("permit", {"id": "int", "team": "int", "n": "int", "until": "timestamptz"}, ("id",),
                     {"id": _id(14), "team": team, "n": _SMALL, "until": random_time}, weight=5),
        schema.Table("checking", {"id": "int", "owner": "int", "amount": "int"}, ("id",), {}, weight=0),
        schema.Table("saving", {"id": "int", "owner": "int", "amount": "int"}, ("id",), {}, weight=0)]}


class Relations:
    """The tables of one seed."""

    def __init__(self, seed, users):
        rng = random.Random("%s/relations" % seed)
        self.identities = {name: rng.choice(choices) for name, choices in IDENTITIES.items()}
        self.foreign = {"one": rng.choice(FOREIGN), "two": rng.choice(FOREIGN)}
        self.tables = {}
        for name, table in tables(users).items():
            identity = self.identities[name]
            # pgoutput tells no old row of these, or one without the key
            journal = identity not in ("default", "full")
            self.tables[name] = replace(table, full=identity == "full", journal=journal)

    def definitions(self, schema_name, real):
        """Returns the statements that make them in a schema; real: for the writers."""
        text = "SET search_path = %s;" % schema_name + DEFINITIONS.format(
            unlogged="" if real else "UNLOGGED", schema=schema_name, **self.foreign)
        if not real:  # the time that is asked for
            text = text.replace(NOW, "current_setting('%s')::timestamptz" % CLOCK_SETTING)
        if real:
            for name, table in self.tables.items():
                identity = self.identities[name]
                for leaf in (name,) + table.leaves:
                    text += "ALTER TABLE %s REPLICA IDENTITY %s;" % (
                        leaf, identity if identity in ("default", "full", "nothing") else "USING INDEX " + identity)
            text += ROWS
        return text + "RESET search_path;"

    def definitions_of(self, names):
        """Returns the statements that make these alone in public, without foreign keys."""
        text = re.sub(r" REFERENCES \w+( ON (DELETE|UPDATE) (CASCADE|SET NULL))+", "", self.definitions("public", real=True).replace(ROWS, ""))
        known = {leaf: name for name, table in self.tables.items() for leaf in (name,) + table.leaves}
        known.update((name, name) for name in BELOW)
        found = []
        for statement in filter(None, map(str.strip, text.split(";"))):
            about = next((known[word] for word in re.findall(r"\w+", statement) if word in known), None)
            if about in names or (about is None and statement.startswith("GRANT")):
                found.append(re.sub(r"\s+", " ", statement))
        return found

    def with_those_below(self, words):
        """Returns those of some words that are the names of tables and views, and the tables below these."""
        names = {word for word in words if word in self.tables or word in BELOW}
        return names | self.below(names)

    def below(self, names):
        """Returns the names of the tables below what a query names, and those that its row security asks."""
        found = {table for name in names for table in BELOW.get(name, [name])}
        return frozenset(found | ({"member"} if "doc" in found else set()))


def asks_time(names, user):
    """Tells whether a query that names these tables and views asks the time by a view or by row security."""
    return bool(names & (CLOCKED_VIEWS if user.superuser else CLOCKED))


def grammar_for(rng, role):
    """Returns a Grammar over these tables; role: also over those that ask who asks."""
    seen = {name: columns for name, columns in SEEN.items() if name not in CLOCKED and (role or name not in ("doc", "member"))}
    return grammar.Grammar(rng, seen, params=.15, seldom=("tag",), equalities=.3, functions=FUNCTIONS)


def time_grammar_for(rng):
    """Returns a Grammar over tables whose rows come and go with the time, or such that have columns of times, and a few others."""
    chosen = rng.sample(["team", "task", "place", "noted", "code"], 2)
    timed = rng.choice([["lease"], ["lease"], rng.sample(["lease"] + sorted(CLOCKED), 2)])
    return TimeGrammar(rng, {name: SEEN[name] for name in timed + chosen}, params=.15, seldom=chosen, equalities=.3, most_joins=2)


def rate_grammar_for(rng):
    """Returns a Grammar over the tables with numbers that are equal and not the same, and a few others."""
    chosen = rng.sample(["team", "task", "place", "noted", "note"], 2)
    return rates.RateGrammar(rng, {name: SEEN[name] for name in list(rates.RATED) + chosen}, params=.15, seldom=chosen, equalities=.3,
                             most_joins=2)


def transfer(rng):
    """Returns the statements that move an amount between two accounts; all together they hold what they held. Those up to 5
    are always there."""
    amount = rng.randint(1, 20)
    (one, first), (two, second) = rng.sample([(table, n) for table in ("checking", "saving") for n in range(1, 6)], 2)
    texts = ["UPDATE %s SET amount = amount - %d WHERE id = %d" % (one, amount, first),
             "UPDATE %s SET amount = amount + %d WHERE id = %d" % (two, amount, second)]
    choice = rng.random()
    if choice < .15:
        texts.append("INSERT INTO %s VALUES (%d, %d, 0) ON CONFLICT DO NOTHING" % (one, rng.randint(6, 12), rng.randint(0, 3)))
    elif choice < .3:
        texts.append("DELETE FROM %s WHERE amount = 0 AND id > 5" % two)
    elif choice < .5:
        texts.append("UPDATE %s SET owner = %d WHERE id = %d" % (one, rng.randint(0, 3), rng.randint(1, 5)))
    elif choice < .6:
        texts.append("UPDATE %s SET id = id + 20 WHERE id BETWEEN 6 AND 12" % two)
    elif choice < .65:
        texts.append("DELETE FROM %s WHERE id > 5 AND amount = 0" % one)
    return texts
