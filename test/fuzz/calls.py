"""Random calls of the functions of the extension.

Owns: how a call of any function of the schema live is made up: from the catalog, so that no function and no argument is
left out; and what a call that has succeeded means for the subscriptions of its session.
"""

import json
from dataclasses import dataclass

import queries
import values

# How often, where it is not once. All others of the schema are called as well.
WEIGHTS = {"subscribe": 9, "subscribe_many": 2, "snapshot": 5, "poll": 3, "refresh": 2, "set_params": 3, "unsubscribe": 2, "explain": 3,
           "unsubscribe_all": 0.3,
           "worker_states": 0.5, "stats": 0.5, "subscriptions": 0.5}
CATALOG = """
SELECT p.proname, p.proretset, p.pronargdefaults,
       ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY u(t, n) ORDER BY n),
       p.proargnames
FROM pg_proc p WHERE pronamespace = 'live'::regnamespace ORDER BY proname"""


@dataclass
class Call:
    """A call. body: what stands behind FROM or SELECT; id: the subscription that it is about, None for no certain one; ids: of several."""

    name: str
    body: str
    is_set: bool
    id: str = None
    ids: tuple = ()

    @property
    def text(self):
        """The call as a statement."""
        return "SELECT %s%s" % ("* FROM " if self.is_set else "", self.body)

    def subscribes(self):
        """Tells whether it makes subscriptions."""
        return self.name in ("subscribe", "subscribe_many")

    def changes(self):
        """Tells whether it may change which subscriptions there are, or whether one is paused."""
        return self.subscribes() or self.name in ("unsubscribe", "unsubscribe_all", "pause", "resume", "refresh", "set_params", "kill")


class Calls:
    """Makes calls."""

    def __init__(self, cursor):
        cursor.execute(CATALOG)
        self.functions = {name: (is_set, defaults, list(zip(names or [""] * len(types), types)))
                          for name, is_set, defaults, types, names in cursor}
        self.names = list(self.functions)

    def random(self, rng):
        """Returns a random Call."""
        name = rng.choices(self.names, [WEIGHTS.get(name, 1) for name in self.names])[0]
        return self.of(rng, name)

    def of(self, rng, name):
        """Returns a random Call of a function."""
        is_set, defaults, arguments = self.functions[name]
        if name in ("subscribe", "explain") and rng.random() < 0.5:
            return self._sensible(rng, name)
        if name == "subscribe_many" and rng.random() < 0.8:
            return self._several(rng)
        made, identity = [], None
        given = len(arguments) - rng.randint(0, defaults)
        for at, (argument, kind) in enumerate(arguments[:given]):
            if argument == "subscription_id":
                identity = values.identifier_text(rng)
                value = values.literal(identity)
            else:
                value = self._value(rng, argument, kind)
            named = at >= len(arguments) - defaults and rng.random() < 0.5 or (made and " => " in made[-1])
            made.append("%s => %s" % ('"%s"' % argument, value) if named else value)
        if rng.random() < 0.02:
            made = made[:-1] if rng.random() < 0.5 else made + ["NULL"]
        return Call(name, "live.%s(%s)" % (name, ", ".join(made)), is_set, identity)

    @staticmethod
    def _sensible(rng, name):
        """One that may well succeed."""
        identity, query = rng.choice(values.IDS), queries.plain_query(rng)
        arguments = [values.literal(query), "'{1}'" if "$1" in query else "'{}'"]
        if name == "explain":
            return Call(name, "live.explain(%s)" % ", ".join(arguments), True)
        arguments += ["delivery => '%s'" % rng.choice(["notify", "poll"])]
        return Call(name, "live.subscribe(%s, %s)" % (values.literal(identity), ", ".join(arguments)), True, identity)

    @staticmethod
    def _several(rng):
        """Some at once, of which seldom one is odd. As JSON they are in the encoding of the statement, as other ids are."""
        ids = tuple(rng.sample(values.IDS, rng.randint(1, 3)))
        objects = []
        for identity in ids:
            query = queries.plain_query(rng) if rng.random() < 0.9 else queries.random_query(rng)
            one = {"subscription_id": identity, "query": query, "params": ["1"] if "$1" in query else [],
                   "delivery": rng.choice(["notify", "poll"])}
            if rng.random() < 0.1:
                one[rng.choice(["params", "snapshot", "throttle", "refresh_every", "delivery", "more"])] = rng.choice(values.JSON)
            objects.append(one)
        array = values.literal(json.dumps(objects, ensure_ascii=False))
        return Call("subscribe_many", "live.subscribe_many(%s)" % array, True, ids=ids)

    @staticmethod
    def _value(rng, argument, kind):
        if argument == "query":
            return values.literal(queries.random_query(rng))
        if argument == "delivery":
            return values.literal(rng.choice(["notify", "poll", "poll", "poll", "Poll", "", None]))
        if argument == "live_id":
            chosen = "(SELECT live_id FROM live_queries%s LIMIT 1)"
            return rng.choice([chosen % "", chosen % " WHERE pid = pg_backend_pid()",
                               values.literal(values.odd_text(rng))])
        makers = {"integer": values.integer, "interval": values.interval, "boolean": values.boolean,
                  "pg_lsn": values.lsn,
                  "text[]": values.text_array}
        if kind in makers:
            return makers[kind](rng)
        return values.literal(values.odd_text(rng))
