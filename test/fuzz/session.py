"""One session that is fuzzed.

Owns: the thread, its connection, the rules for every answer of the server, and the account of what its calls have said
of its subscriptions. What is called is for calls.py, in which surroundings for contexts.py.
"""

import json
import random
import re
import select
import threading
import time
from collections import deque

import psycopg2
from psycopg2 import extensions

import contexts
import values
import world as definitions
from calls import Call

INTERNAL = ("XX", "58")
# An SQLSTATE that says "should not happen", where it may: (code, part of the message, why).
ALLOWED = [
    ("XX000", "tuple concurrently", "PostgreSQL says so where two change one catalog row"),
    ("XX000", "cache lookup failed for function", "and where DROP EXTENSION comes between the parsing of a statement and"
     " its execution, since a statement locks no function that it calls"),
]
KEPT = 40  # statements for a report


class Problem(Exception):
    """Something that must not be."""


def check_error(code, message, allowed=()):
    """Raises a Problem if an error must not be, or tells nothing."""
    if code is None or len(code) != 5 or not (message or "").strip():
        raise Problem("an error without a code or a message: %s %s" % (code, message))
    if code.startswith(INTERNAL) and not any(code == c and part in message for c, part, _ in allowed):
        raise Problem("an internal error: %s %s" % (code, message))


class Session(threading.Thread):
    """One session; it has one connection at a time."""

    def __init__(self, number, options, world, calls, stop):
        super().__init__(name="session %d" % number, daemon=True)
        self.rng = random.Random("%s/%s" % (options.seed, self.name))
        self.world = world
        self.calls = calls
        self.stop = stop
        self.allowed = options.allow
        self.connection = None
        self.pid = 0
        self.latin = False        # the client's encoding; statements are sent as they are: then ids are others
        self.statements = deque(maxlen=KEPT)
        self.problem = None
        self.known = {}           # id -> "active" or "paused", as the calls have said
        self.unsure = set()       # ids of which the calls have not said enough
        self.blind = False        # messages may have been polled where nobody sees them
        self.fresh = set()        # ids of what the last statement has subscribed to
        self.as_other = False     # the calls are made as another role
        self.pending = []         # the effects of the open transaction
        self.counts = {}

    def run(self):
        """Calls until told to stop."""
        try:
            while not self.stop.is_set():
                self._step()
        except Exception as error:  # pylint: disable=broad-except
            self.problem = error
            self.stop.set()

    def connect(self):
        """Connects, as one of the roles."""
        if self.connection:
            self.connection.close()
        role = self.rng.choice([None, self.world.roles["a"], self.world.roles["b"]])
        try:
            self.connection = self.world.connect(role, self.name)
        except psycopg2.OperationalError:  # renamed, or may not log in
            self.connection = self.world.connect(None, self.name)
        self.pid, self.latin, self.blind, self.pending = self.connection.info.backend_pid, False, False, []
        self.forget_all()
        self.calm()

    def calm(self):
        """Ends what is open and makes the settings without which a session may hang."""
        self.sql("ROLLBACK")
        self.pending = []
        self.sql("RESET ALL")
        self.sql("SET client_min_messages = error; SET statement_timeout = '1500ms'; SET lock_timeout = '300ms';"
                 " SET idle_in_transaction_session_timeout = '20s'; SET search_path = public;"
                 " SET app.tenant = 'x'; SET live_queries.subscribe_timeout = '3s'")

    def sql(self, text, data=None):
        """Runs a statement; returns its rows ([] where it has none), or None where it failed, as it may."""
        self.statements.append(text)
        self.count("statements")
        sent = text.encode("utf-8", "surrogateescape")
        try:
            with self.connection.cursor() as cursor:
                if data is None:
                    cursor.execute(sent)
                else:
                    cursor.copy_expert(sent, data)
                return cursor.fetchall() if cursor.description else []
        except psycopg2.Error as error:
            self.judge(error)
            return None
        except SystemError as error:  # the driver's own trouble with a connection that ends within a COPY
            if self.pid not in self.world.ended:
                raise
            self.connection.close()
            raise Gone() from error

    def judge(self, error):
        """Raises a Problem if an error must not be."""
        if self.connection.closed:
            pid, self.connection = self.pid, None
            self.known, self.pending = {}, []
            if pid in self.world.ended or error.pgcode in ("57P01", "25P03"):
                raise Gone() from error
            raise Problem("the connection was lost: %s" % error)
        if error.pgcode is None and isinstance(error, psycopg2.ProgrammingError):
            return  # the driver's own: "can't execute an empty query"
        self.count("error %s" % error.pgcode)
        self.check_error(error.pgcode, error.diag.message_primary)

    def check_error(self, code, message):
        """Raises a Problem if the error of a statement must not be, or tells nothing."""
        if not (self.allowed and re.search(self.allowed, message or "")):
            check_error(code, message, ALLOWED)

    def perform(self, call):
        """Makes a call; its effect counts once the transaction commits."""
        self.count(call.name)
        rows = self.sql(call.text)
        if rows is not None and call.name == "subscribe":
            self.count("subscribed")
            if self.rng.random() < 0.5:
                self.sql("SELECT * FROM live.snapshot(%s)" % values.literal(call.id))
        self.effect(call, None if rows is None else True, rows)
        return rows is not None

    def effect(self, call, done, rows=None):
        """Notes a call that has succeeded (True), failed (None), or nobody knows ("?")."""
        if done and self.as_other and call.name == "unsubscribe_all":
            done = "?"  # it passes over what belongs to others
        if done is not None:
            self.pending.append((call, done, rows))
        if not self.in_transaction():
            self.settle_effects()

    def in_transaction(self):
        """Tells whether a transaction is open."""
        return self.connection.info.transaction_status not in (extensions.TRANSACTION_STATUS_IDLE,)

    def end(self, text="COMMIT"):
        """Ends the transaction; its effects count if it has committed."""
        self.statements.append(text)
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(text)
                done = cursor.statusmessage in ("COMMIT", "PREPARE TRANSACTION")
        except psycopg2.Error as error:
            self.judge(error)
            done = False
        if not done:
            self.pending = []
        if self.in_transaction():
            self.sql("ROLLBACK")
        self.settle_effects()
        return done

    def settle_effects(self):
        """What was noted has committed: it counts."""
        pending, self.pending = self.pending, []
        for call, done, rows in pending:
            self._count_effect(call, done, rows)
            if call.name == "subscribe":
                self.fresh.add(self._name_of(call))
        self.receive()
        self.fresh = set()

    def _count_effect(self, call, done, rows):
        if call.name == "poll":
            if rows is None:
                self.blind = True
            for row in rows or []:
                self._message(row[2])
        if not call.changes():
            return
        identity = self._name_of(call)
        if done == "?":
            self.unsure.update([identity] if identity else self.known)
        elif call.name == "subscribe":
            self.known[identity] = "active"
            self.unsure.discard(identity)
        elif call.name == "unsubscribe":
            self.known.pop(identity, None)
        elif call.name == "unsubscribe_all":
            self.known = {}
        elif call.name in ("pause", "resume") and identity in self.known:
            self.known[identity] = "paused" if call.name == "pause" else "active"

    def _name_of(self, call):
        """Returns the id that the server has understood."""
        if call.id and self.latin:
            return call.id.encode("utf-8", "surrogateescape").decode("latin-1")
        return call.id

    def forget_all(self):
        """All subscriptions have been ended, by DISCARD ALL and the like."""
        self.known, self.unsure = {}, set(values.NAUGHTY_IDS)

    def receive(self):
        """Takes the notifications that have come."""
        try:
            if select.select([self.connection], [], [], 0)[0]:
                self.connection.poll()
        except psycopg2.Error as error:
            self.judge(error)
        while self.connection.notifies:
            notification = self.connection.notifies.pop(0)
            if notification.channel.startswith("live_queries"):
                self._message(notification.payload)

    def _message(self, text):
        try:
            message = json.loads(text)
        except ValueError as error:
            raise Problem("a message is no JSON: %.300r" % text) from error
        if message.get("type") not in ("changes", "reset", "terminated", "progress"):
            raise Problem("a message of the type %s" % message.get("type"))
        self.count("messages")
        if message["type"] == "terminated":
            check_error(message["code"], message["reason"])
            self.known.pop(message["subscription_id"], None)
            self.unsure.discard(message["subscription_id"])
            if message["subscription_id"] in self.fresh:
                self.unsure.add(message["subscription_id"])  # it may be the end of the one before it

    def count(self, what):
        """Counts something for the summary."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def _step(self):
        try:
            if self.connection is None or self.connection.closed:
                self.connect()
            choice = self.rng.random()
            if choice < 0.78:
                contexts.random_context(self.rng)(self, self.calls.random(self.rng))
                self.as_other = False
                if self.in_transaction():
                    self.end("ROLLBACK")
            elif choice < 0.92:
                self.write()
            elif choice < 0.96:
                self.sql("SET %s" % self.rng.choice(values.SETTINGS))
            elif choice < 0.97:
                self.calm()
            elif choice < 0.98:
                if self.sql(self.rng.choice(["UNLISTEN *", "DISCARD ALL"])) is not None:
                    self.forget_all()
                self.calm()
            elif choice < 0.985:
                self._change_encoding()
            elif choice < 0.99:
                self.connection.close()
            else:
                time.sleep(self.rng.random() * 0.1)
        except Gone:
            pass

    def _change_encoding(self):
        try:
            self.connection.set_client_encoding("UTF8" if self.latin else "LATIN1")
            self.latin = not self.latin
        except psycopg2.Error as error:
            self.judge(error)

    def write(self):
        """Changes some rows."""
        text = self.rng.choice(definitions.WRITES).replace("{0}", str(self.rng.randint(0, 12)))
        self.sql(text.replace("{1}", values.literal(self.rng.choice(["x", "y", "z", None]))))

    def finish(self):
        """At the end, with nobody else about: what the view shows has to be what the calls have said."""
        if self.connection is None or self.connection.closed:
            return
        if self.in_transaction():
            self.end("ROLLBACK")
        self.sql("RESET SESSION AUTHORIZATION")
        self.calm()
        self.sql("SET statement_timeout = '30s'")
        if self.known and self.sql("SELECT live.wait_for(NULL, '20 s')") != [(True,)]:
            raise Problem("live.wait_for gave up after 20 s")
        self.settle_effects()
        self._count_effect(Call("poll", "live.poll()", True), True, self.sql("SELECT * FROM live.poll()"))
        self.receive()

    def compare(self, shown, terminated):
        """Compares what the view shows of this session with what its calls and messages have said."""
        for identity in set(shown) | set(self.known):
            if identity in self.unsure:
                continue
            if identity not in shown and (self.blind or identity in terminated):
                continue
            if shown.get(identity) != self.known.get(identity):
                raise Problem("the view shows %r as %s, and by its calls it is %s" % (identity, shown.get(identity),
                                                                                      self.known.get(identity)))


class Gone(Exception):
    """The connection was ended, as the fuzz wanted."""
