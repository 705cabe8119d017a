"""The clients.

Owns: the thread that subscribes, reads, waits, pauses, leaves and disconnects at random, as its seed says, and
that comes to rest at a quiet point with everything received. What it does goes through session.py, which
records it; nothing is judged here but what a call itself returns or raises.
"""

import re
import time
from dataclasses import replace

import psycopg2

import schema
import selects
import shapes
from gate import Actor
from session import Session
from state import FAILING, FORBIDDEN, Violation

REFUSED = ("0A000", "55000")  # not supported; not with this replica identity
UNKNOWN = "42704"  # no such live query on this connection
LOCKED = "another session waits to lock it"
LIMIT = 9  # subscriptions of a client
LONGEST = "300ms"  # that a query takes, when it is chosen
MOST_ROWS = 400    # and that it has

ACTIONS = {  # name -> how often
    "subscribe": 12, "subscribe_many": 2, "read": 22, "listen": 30, "pause": 4, "resume": 6, "refresh": 3, "set_params": 12, "leave": 5, "leave_all": 0.4,
    "transaction": 5, "rolled_back": 3, "rolled_back_savepoint": 3, "in_vain": 4, "twice": 1.5,
    "read_in_vain": 6, "tell_time": 6, "after_writing": 1, "long": 1, "stall": 1, "kill": 1, "disconnect": 0.8, "unlisten": 0.5, "wait": 3,
}


def has_ended(error):
    """Tells whether the live query is over, which its client is yet to be told."""
    return error.pgcode == "55000" and "has ended" in str(error)


class Client(Actor):
    """One client; it has one connection at a time."""

    def __init__(self, name, world, gate):
        super().__init__(name, world, gate)
        self.session = None
        self.side = None  # another connection of the same role, to kill from
        self.planner = None  # another one, to try queries
        self.connections = 0
        self.weights = dict(ACTIONS)
        if world.options.tiny_mailboxes:
            self.weights.update(stall=8, long=4, pause=8)
        for action in world.options.skip:
            self.weights[action] = 0

    def act(self):
        """Does what a client does, at random."""
        if self.session is None:
            self._connect()
        try:
            self._answer_resets()
            names = list(self.weights)
            action = self.rng.choices(names, [self.weights[name] for name in names])[0]
            getattr(self, "_" + action)()
        except psycopg2.errors.LockNotAvailable as error:
            # Its worker waits for who waits for this client's own locks. It gives up, transaction and all.
            if LOCKED not in str(error):
                raise
            self.world.count("locked by who waits for the client")
            self._disconnect_now(abruptly=False)
        self.world.pace.between(self.rng)

    def trace(self):
        """Returns that of its present connection."""
        return self.session and self.session.trace

    def close(self):
        """Closes what the thread left open; to be called when it has ended."""
        for session in (self.session, self.side):
            if session:
                session.connection.close()
        if self.planner:
            self.planner.close()

    def _connect(self):
        self.connections += 1
        user, delivery = self.rng.choice(self.world.users), self.rng.choice(self.world.deliveries)
        name = "%s.%d" % (self.name, self.connections)
        while True:
            try:
                self.session = Session(self.world.server, self.world.tables, user, delivery, name)
                break
            except psycopg2.Error:
                if not user.renamed:
                    raise
                user = self.world.users[0]
        self.world.traces.append(self.session.trace)
        if self.rng.random() < 0.4:
            self.session.run("SET live_queries.progress_interval = '%d ms'" % self.rng.choice([1, 20, 200]))
        if self.rng.random() < 0.4:
            self.session.share_messages()
        if self.side:
            self.side.close()
            self.side = None

    def come_to_rest(self):
        """Everything committed is received; a few subscriptions stay paused or unread."""
        session = self.session
        if session is None:
            return
        for subscription in self._those():
            if subscription.paused and self.rng.random() < 0.8:
                session.resume(subscription)
        while True:
            for subscription in self._those(True, broken=True, paused=False):
                self._refresh_it(subscription)
            for subscription in self._those(True, unread=True):
                while subscription.unread and not subscription.over and self.rng.random() < 0.95:
                    self._read_batch(subscription, self.rng.choice([None, 50]))
            session.drain()
            if not self._those(True, broken=True, paused=False):
                break
        session.check_view()

    def _those(self, endangered=False, **flags):
        """Returns the subscriptions with these flags; with endangered, those too that may have ended unnoticed."""
        return [s for s in list(self.session.subscriptions.values())
                if not s.over and not s.killed and (endangered or not s.endangered)
                and all(getattr(s, name) == value for name, value in flags.items())]

    def _one(self, endangered=False, **flags):
        found = self._those(endangered, **flags)
        return self.rng.choice(found) if found else None

    def _free_id(self):
        free = [n for n in range(1, 2 * LIMIT) if str(n) not in {s.rpartition("-")[2] for s in
                                                                 self.session.subscriptions}]
        return "%s-%d" % (self.rng.choice(["orders", "ü ☃", "it's", '"x"']), self.rng.choice(free))

    def _throttle(self):
        """Mostly none. Few different ones, so that several of a connection have the same."""
        if self.rng.random() >= self.world.options.throttled:
            return 0
        self.world.count("throttled")
        return self.rng.choice([0.02, 0.3, 0.3])

    def _query(self, certain=False):
        user = self.session.trace.user
        if self.session.shares and not certain and self.rng.random() < 0.3:
            known = self._one()
            if known:  # which is told the same
                return known.query
        if self.world.relations and self.rng.random() < (0.9 if self.world.options.shapes == "any" else 0.6):
            found = self._select(user, certain)
            if found:
                return found
        choices = [shape for shape in self.world.shapes if not (certain and shape.sometimes)
                   and not (user.renamed and "role" in shape.name)]
        shape = self.rng.choice(choices)
        return shapes.Query(shape, shape.params(self.rng), user)

    def _select(self, user, certain):
        """Returns a query of several tables, at times one that was there before; certain: that was accepted."""
        known = self.world.accepted.one(self.rng, user) if certain or self.rng.random() < 0.25 else None
        if known or certain:
            return known
        if self.rng.random() < 0.4:
            known = self.world.accepted.one(self.rng, user, shared=True)
            query = known and known.another(self.rng)
            if query and self._problem(query) is None:
                return query
        wanted = self.world.options.form
        for _ in range(200 if wanted else 10):
            query = selects.random_select(self.rng, user, self.world)
            if wanted and not any(re.search(wanted, form) for form in query.forms):
                continue
            if any(re.search(self.world.options.without or "(?!)", form) for form in query.forms):
                continue
            problem = self._problem(query)
            if problem is None:
                return query
            self.world.count("no query: %s" % problem)
        return None

    def _planner_cursor(self):
        if self.planner is None:
            self.planner = self.world.server.database()
            with self.planner.cursor() as cursor:
                cursor.execute("SET statement_timeout = '%s'" % LONGEST)
        return self.planner.cursor()

    def _problem(self, query):
        """Runs a query; returns why it is none for a test, or None."""
        try:
            with self._planner_cursor() as cursor:
                cursor.execute("SELECT row_to_json(q) FROM (%s) q" % query.plain_sql(None))
                return "too many rows" if cursor.rowcount > MOST_ROWS else None
        except psycopg2.errors.QueryCanceled:
            return "too slow"
        except psycopg2.Error as error:
            return "%s %s" % (error.pgcode, str(error).split("\n", maxsplit=1)[0])

    def _shares(self, query, strategy):
        """Tells whether the evaluation of a query is that of a live one with another value, too."""
        if not query.equal or strategy != "delta":
            return False
        try:
            with self._planner_cursor() as cursor:
                cursor.execute("SELECT EXISTS (SELECT FROM live_queries WHERE query = %s AND username = %s AND params <> %s::text[] AND"
                               " status = 'active') AND EXISTS (SELECT FROM live.explain(%s, %s::text[]) WHERE property = 'routing')",
                               (query.text, query.user.name, list(query.params), query.text, list(query.params)))
                return cursor.fetchone()[0]
        except psycopg2.Error:  # too slow, or the superuser is refused
            return False

    def _answer_resets(self):
        for subscription in self._those(True, broken=True, paused=False):
            if self.rng.random() < 0.5:
                self._refresh_it(subscription)

    def _subscribe(self):
        if len(self.session.subscriptions) >= LIMIT:
            return self._leave()
        query, throttle = self._query(), self._throttle()
        self._tell_time_of(query, throttle)
        keyed = query.shape.pointwise and query.source_table(self.world.tables).key
        try:
            # Without a first result, what came and went between two messages would be missing.
            snapshot = not (keyed and self.rng.random() < 0.08)
            subscription = self.session.subscribe(self._free_id(), query, snapshot, throttle if snapshot else 0)
        except psycopg2.Error as error:
            self._check_refusal(query, error)
            return None
        self._note_accepted(subscription)
        if subscription.unread and self.rng.random() < 0.6:
            self._read(subscription)
        return None

    def _check_refusal(self, query, error):
        """Counts a query that was refused; raises the error if it should not have been."""
        if not self._may_fail(query, error) and not (
                query.shape.sometimes and not query.endangered(self.world.tables) and error.pgcode in REFUSED):
            raise error
        self.world.count("refused: %s" % query.shape.name)
        if query.whole:
            self.world.accepted.refused(query, str(error))

    def _note_accepted(self, subscription):
        query = subscription.query
        self.world.count("subscriptions")
        self.world.count("strategy %s" % subscription.strategy)
        if query.whole:
            self.world.accepted.add(query, subscription.strategy, self._shares(query, subscription.strategy))

    def _subscribe_many(self):
        """Several at once: all of them, or none, for which the error names the one that it is about."""
        chosen = [(self._query(), self._throttle()) for _ in range(self.rng.randint(1, 4))]
        # Those take ids, too: names come after that.
        for query, throttle in chosen:
            self._tell_time_of(query, throttle)
        asked = {}
        for query, throttle in chosen:
            name = self._free_id()
            asked.setdefault(name, (name, query, True, throttle))
        if len(self.session.subscriptions) + len(asked) > LIMIT:
            return self._leave()
        try:
            subscriptions = self.session.subscribe_many(list(asked.values()))
        except psycopg2.Error as error:
            named = [query for name, query, *_ in asked.values() if 'live query "%s"' % name in (error.diag.context or "")]
            # What is left of a first result is read at the commit, of which an error names none.
            failing = [query for _, query, *_ in asked.values() if self._may_fail(query, error)]
            if len(named) != 1 and not failing:
                raise
            self._check_refusal((named if len(named) == 1 else failing)[0], error)
            return None
        self.world.count("several at once")
        for subscription in subscriptions:
            self._note_accepted(subscription)
            if subscription.unread and self.rng.random() < 0.6:
                self._read(subscription)
        return None

    def _tell_time_of(self, query, throttle):
        """Mostly, one that shows the time goes with those that do not."""
        if not (query.whole and query.refresh_every and not query.shows_clock) or self.rng.random() < 0.15:
            return
        hand = selects.clock_hand(query.user, query.refresh_every)
        known = [s.query for s in self._those(throttle=throttle, unread=False) if s.query == hand and s.query.refresh_every == hand.refresh_every]
        if not known and len(self.session.subscriptions) < LIMIT:
            self._read_batch(self.session.subscribe(self._free_id(), hand, throttle=throttle), None)

    def _tell_time(self):
        subscription = self._one()
        if subscription:
            self._tell_time_of(subscription.query, subscription.throttle)

    def _read(self, subscription=None):
        subscription = subscription or self._one(not self.session.in_transaction, unread=True)
        if subscription:
            for _ in range(self.rng.choice([1, 1, 3, 20])):
                if subscription.unread and not subscription.broken and not subscription.over:
                    self._read_batch(subscription, self.rng.choice([None, None, 1, 7, 30]))

    def _read_batch(self, subscription, max_rows):
        self._venture(subscription, lambda: self.session.read(subscription, max_rows))

    def _refresh_it(self, subscription):
        self._venture(subscription, lambda: self.session.refresh(subscription))

    def _venture(self, subscription, call):
        """Makes a call that fails where the subscription has ended, or cannot be shown; then it is given up."""
        if subscription.over or subscription.killed:
            return
        try:
            call()
        except psycopg2.Error as error:
            if subscription.over:
                return
            if (subscription.endangered and error.pgcode == UNKNOWN) or has_ended(error):
                subscription.killed = True  # not by us, but its client will be told as well
            elif self._may_fail(subscription.query, error):
                self._leave_it(subscription)
            else:
                raise

    def _leave_it(self, subscription):
        if not subscription.over:
            self.session.leave(subscription)

    def _may_fail(self, query, error):
        """Tells whether an error may come: for a row of its own, and then it tells nothing of another tenant; or for a
        right that is not there."""
        if query.source_table(self.world.tables).rights and error.pgcode == FORBIDDEN:
            return True
        if not query.shape.guarded or error.pgcode != FAILING:
            return False
        told = set(re.findall(schema.SECRET + r"(\w+)", str(error))) - {query.tenant()}
        if told and query.tenant() is not None:
            raise Violation("an error for tenant %s tells a secret of tenant %s" % (query.tenant(), sorted(told)))
        return True

    def _listen(self):
        if self.session.trace.delivery == "poll":
            self.session.poll(self.rng.choice([None, None, 1, 3]), self.rng.choice([0, 0.05, 0.3]))
        else:
            until = time.monotonic() + self.rng.choice([0, 0.05, 0.3])
            while not self.gate.closed():
                self.session.receive(max(0, until - time.monotonic()))
                if time.monotonic() >= until:
                    break

    def _pause(self):
        subscription = self._one(paused=False, broken=False)
        if subscription:
            self.session.pause(subscription)

    def _resume(self):
        subscription = self._one(paused=True)
        if subscription:
            self.session.resume(subscription)

    def _refresh(self):
        subscription = self._one(True, paused=False)
        if subscription:
            self._refresh_it(subscription)

    def _set_params(self):
        subscription = self._one(unread=False, broken=False)
        if subscription is None or subscription.id in self.session.renewing:
            return
        query = None if subscription.throttle else self._other_params(subscription.query)
        if query is None:
            return
        if self.session.in_transaction:
            self.session.run("SAVEPOINT p")
        accepted = self.session.set_params(subscription, query)
        if self.session.in_transaction:
            self.session.run("RELEASE p" if accepted else "ROLLBACK TO p")
        self.world.count("other parameters %s" % ("asked for" if accepted else "refused"))

    def _other_params(self, query):
        """Returns a query with other parameters, or None."""
        if not query.params or (query.whole and query.refresh_every):
            return None
        if not query.whole:
            return replace(query, params=query.shape.params(self.rng))
        query = replace(query, params=tuple(str(self.rng.randint(0, 5)) for _ in query.params))
        return query if self._problem(query) is None else None

    def _leave(self):
        subscription = self._one(True)
        if subscription:
            self._leave_it(subscription)

    def _leave_all(self):
        self.session.leave_all()

    def _unlisten(self):
        self.session.unlisten(self.rng.choice(["UNLISTEN *", "DISCARD ALL"]))

    def _wait(self):
        self.session.wait()

    def _kill(self):
        subscription = self._one(paused=False, broken=False)
        if subscription is None or subscription.query.user.renamed:  # and its live_id with it
            return
        if self.rng.random() < 0.5:
            self.session.kill(subscription)
            return
        if self.side is None:
            self.side = Session(self.world.server, self.world.tables, self.session.trace.user, "notify",
                                self.session.trace.name + " (side)")
        self.session.kill(subscription, self.side)

    def _transaction(self):
        """Several calls in one transaction that commits."""
        self.session.begin()
        for _ in range(self.rng.randint(1, 4)):
            choice = self.rng.choice(["subscribe", "read", "savepoint", "leave", "sleep", "poll", "pause", "resume", "set_params"])
            if choice == "subscribe" and len(self.session.subscriptions) < LIMIT:
                self._subscribe_within()
            elif choice == "read":
                self._read()
            elif choice == "savepoint":
                self.session.run("SAVEPOINT a")
                if len(self.session.subscriptions) < LIMIT:
                    self._subscribe_within()
                self.session.run("RELEASE a")
            elif choice == "sleep":
                time.sleep(self.rng.random() * 0.2)
            elif choice == "poll" and self.session.trace.delivery == "poll":
                self.session.poll()
            elif choice == "set_params":
                self._set_params()
            elif choice in ("pause", "resume", "leave"):
                subscription = self._one(paused=choice == "resume", broken=False)
                if subscription and subscription not in self.session.uncommitted + self.session.asked:
                    getattr(self.session, choice)(subscription)
        self.session.commit()

    def _subscribe_within(self):
        subscription = self.session.subscribe(self._free_id(), self._query(certain=True), throttle=self._throttle())
        self.world.count("subscriptions")
        if self.rng.random() < 0.5:
            self.session.read(subscription, self.rng.choice([None, 5]))

    def _rolled_back(self):
        self.session.begin()
        for _ in range(self.rng.randint(1, 2)):
            self._subscribe_within()
        self.session.rollback()
        self.world.count("subscriptions rolled back")

    def _rolled_back_savepoint(self):
        self.session.begin()
        self.session.run("SAVEPOINT a")
        self._subscribe_within()
        self.session.rollback("a")
        self.session.commit()
        self.world.count("subscriptions rolled back")

    def _in_vain(self):
        """Calls on what is there, which are taken back."""
        choices = self._those(broken=False)
        if not choices:
            return
        savepoint = self.rng.choice([None, "a"])
        self.session.begin()
        if savepoint:
            self.session.run("SAVEPOINT a")
        for _ in range(self.rng.randint(1, 4)):
            subscription = self.rng.choice(choices)
            function = self.rng.choice(["pause", "resume", "unsubscribe", "refresh", "set_params", "poll", "sleep"])
            if function == "sleep":
                time.sleep(self.rng.random() * 0.2)
            elif function == "poll":
                if self.session.trace.delivery == "poll":
                    self.session.poll_in_vain(self.rng.choice([1, 3, 100]))
            elif function == "set_params":
                self._set_params_in_vain(subscription)
            elif function == "refresh":
                self._refresh_in_vain(subscription)
            elif self.session.in_vain.get(subscription) != "unsubscribe":
                self.session.call_in_vain(subscription, function)
        self.session.take_back(savepoint)
        if savepoint:
            self.session.commit()
        self.world.count("calls rolled back")

    def _refresh_in_vain(self, subscription):
        if self.session.in_vain.get(subscription) == "unsubscribe":
            return
        self.session.run("SAVEPOINT p")
        try:
            self.session.call_in_vain(subscription, "refresh")
            self.session.run("RELEASE p")
        except psycopg2.Error as error:
            if not has_ended(error):
                raise
            self.session.run("ROLLBACK TO p")

    def _set_params_in_vain(self, subscription):
        query = self._other_params(subscription.query)
        if query is None or subscription.throttle or subscription.unread or self.session.in_vain.get(subscription) in ("unsubscribe", "refresh"):
            return
        self.session.run("SAVEPOINT p")
        try:
            self.session.call_in_vain(subscription, "set_params", query)
            self.session.run("RELEASE p")
        except psycopg2.Error as error:
            if error.pgcode not in REFUSED + ("54000",):
                raise
            self.session.run("ROLLBACK TO p")

    def _read_in_vain(self):
        """Reads a first result in statements, savepoints and transactions that do not last; then again, perhaps."""
        subscription = self._one(unread=True, broken=False)
        if subscription is None:
            return
        session, rng = self.session, self.rng
        max_rows = rng.choice([None, 1, 7, 30])
        how = rng.choice(["statement", "transaction", "savepoint", "new"])
        if how == "statement":
            session.read(subscription, max_rows, failing_row=rng.choice([1, 2, 7]))
            return
        session.begin()
        if how == "new" and len(session.subscriptions) < LIMIT:
            subscription = session.subscribe(self._free_id(), self._query(certain=True))
            self.world.count("subscriptions")
        if how != "transaction":
            session.run("SAVEPOINT a")
        for _ in range(rng.choice([1, 1, 3])):
            session.read(subscription, max_rows, failing_row=0)
        if how == "transaction":
            session.rollback()
            return
        session.run("ROLLBACK TO a")
        if rng.random() < 0.5 and subscription.unread:
            session.read(subscription, max_rows)
        session.commit()

    def _twice(self):
        subscription = self._one()
        if subscription:
            self._expect_error(self.session.subscribe_text(subscription.id, self._query(certain=True)),
                               "a second subscribe of %s" % subscription.id)

    def _after_writing(self):
        """A transaction that has written may not subscribe."""
        self.session.begin()
        self.session.run("INSERT INTO scratch VALUES (1)")
        self._expect_error(self.session.subscribe_text(self._free_id(), self._query(certain=True)),
                           "a subscribe after writing")
        self.session.rollback()

    def _expect_error(self, text, what):
        try:
            self.session.run(text)
        except psycopg2.Error as error:
            if error.pgcode is None or error.pgcode.startswith("XX"):
                raise
            return
        raise Violation("%s was accepted" % what)

    def _long(self):
        """Sits in a transaction without reading."""
        self.session.begin()
        self.session.run("SELECT 1")
        self._sleep(2)
        self.session.commit()

    def _stall(self):
        """Does not read what comes."""
        self._sleep(3)

    def _sleep(self, most):
        until = time.monotonic() + self.rng.random() * most
        while time.monotonic() < until and not self.gate.closed():
            time.sleep(0.05)

    def _disconnect(self):
        if self.rng.random() < 0.3:
            self.session.begin()
            if len(self.session.subscriptions) < LIMIT:
                self._subscribe_within()
        self._disconnect_now(abruptly=self.rng.random() < 0.5)

    def _disconnect_now(self, abruptly):
        self.session.close(abruptly)
        self.world.count("disconnects")
        self.session = None
