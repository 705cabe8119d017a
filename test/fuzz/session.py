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
from dataclasses import dataclass

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
# The same of statements that begin so: TRUNCATE looks at a table before it has locked it.
ALLOWED_IN = {"TRUNCATE": [("XX000", "cache lookup failed for relation", "where it is dropped in between")]}
# What the server may also raise after a statement has committed, while it delivers the messages that wait and has not
# said yet that it is ready: a cancel that came too late for the statement, or a lack of room.
AFTER_COMMIT = ("57014", "53")
KEPT = 40  # statements for a report
KEPT_OF_ONE = 4000  # of which a report may choose those that name one subscription
ATTEMPTS = 100  # at a statement that a cancel or a short statement_timeout may end


class Problem(Exception):
    """Something that must not be."""


def check_error(code, message, allowed=()):
    """Raises a Problem if an error must not be, or tells nothing."""
    if code is None or len(code) != 5 or not (message or "").strip():
        raise Problem("an error without a code or a message: %s %s" % (code, message))
    if code.startswith(INTERNAL) and not any(code == c and part in message for c, part, _ in allowed):
        raise Problem("an internal error: %s %s" % (code, message))


@dataclass
class Effect:
    """What a call means, once its transaction has committed."""

    call: Call
    done: object          # True, or "?" if nobody knows
    rows: object          # its result; None if that was not to be seen
    as_other: bool        # it was made as another role


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
        self.role = None          # None: the superuser
        self.statements = deque(maxlen=KEPT)
        self.history = deque(maxlen=KEPT_OF_ONE)
        self.problem = None
        self.known = {}           # id -> "active" or "paused", as the calls have said
        self.unsure = set()       # ids of which the calls have not said enough
        self.others = set()       # ids of what it has made as another role, which it may not be able to become again
        self.blind = False        # messages may have been polled where nobody sees them
        self.fresh = set()        # ids of what the last statement has subscribed to
        self.as_other = False     # the calls are made as another role
        self.late = False         # the last statement's error may have come after its commit
        self.pending = []         # the Effects of the open transaction
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
        self.role = self.rng.choice([None, self.world.roles["a"], self.world.roles["b"]])
        try:
            self.connection = self.world.connect(self.role, self.name)
        except psycopg2.OperationalError:  # renamed, or may not log in
            self.role = None
            self.connection = self.world.connect(None, self.name)
        self.pid, self.blind, self.pending = self.connection.info.backend_pid, False, []
        self.history.clear()
        self.as_other, self.fresh = False, set()
        self.forget_all()
        self.calm()

    def calm(self):
        """Ends what is open and makes the settings without which a session may hang."""
        self.insist("ROLLBACK")
        self.pending = []
        self.encode("UTF8")  # RESET ALL does that, and the driver would not know
        self.insist("RESET ALL")
        self.insist("SET client_min_messages = error; SET statement_timeout = '1500ms'; SET lock_timeout = '300ms';"
                    " SET idle_in_transaction_session_timeout = '20s'; SET search_path = public;"
                    " SET app.tenant = 'x'; SET live_queries.subscribe_timeout = '3s'")

    def insist(self, text):
        """Runs a statement that nothing but a cancel or a timeout can make fail, until it is done."""
        for _ in range(ATTEMPTS):
            if self.sql(text) is not None:
                return
        raise Problem("cannot be done: %s" % text)

    def finish_prepared(self, how, name):
        """Commits or rolls back a prepared transaction, whose locks would bother the others, unless they did that."""
        for _ in range(ATTEMPTS):
            if (self.sql("%s PREPARED %s" % (how, name)) is not None
                    or self.sql("SELECT 1 FROM pg_prepared_xacts WHERE gid = %s" % name) == []):
                return

    def encode(self, encoding):
        """Sets the client's encoding, or leaves the connection closed."""
        try:
            self.connection.set_client_encoding(encoding)
        except psycopg2.Error as error:
            self.judge(error)
            self.connection.close()  # the driver and the server may be of two minds
            raise Gone() from error

    @property
    def latin(self):
        """Tells whether the client's encoding is LATIN1. Statements are sent as they are: then ids are others."""
        return self.connection.get_parameter_status("client_encoding") != "UTF8"

    def sql(self, text, data=None):
        """Runs a statement; returns its rows ([] where it has none), or None where it failed, as it may."""
        self._keep(text)
        self.late = False
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

    def _keep(self, text):
        self.statements.append(text)
        self.history.append(text)

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
        self.late = error.pgcode.startswith(AFTER_COMMIT) and not self.in_transaction()
        self.check_error(error.pgcode, error.diag.message_primary)

    def check_error(self, code, message):
        """Raises a Problem if the error of a statement must not be, or tells nothing."""
        if not (self.allowed and re.search(self.allowed, message or "")):
            statement = self.statements[-1].split()[0] if self.statements else ""
            check_error(code, message, ALLOWED + ALLOWED_IN.get(statement, []))

    def perform(self, call):
        """Makes a call; its effect counts once the transaction commits."""
        self.count(call.name)
        rows = self.sql(call.text)
        done = self.outcome(rows)
        if rows is not None and call.subscribes():
            self.count("subscribed")
            for identity in call.ids or [call.id]:
                if self.rng.random() < 0.5:
                    self.sql("SELECT * FROM live.snapshot(%s)" % values.literal(identity))
        self.effect(call, done, rows)
        return rows is not None

    def outcome(self, rows):
        """Tells of the last statement, which had this result, whether it has succeeded: as effect() takes it."""
        if rows is None:
            return "?" if self.late else None
        return True

    def effect(self, call, done, rows=None):
        """Notes a call that has succeeded (True), failed (None), or nobody knows ("?")."""
        if done is not None:
            self.pending.append(Effect(call, done, rows, self.as_other))
        if not self.in_transaction():
            self.settle_effects()

    def in_transaction(self):
        """Tells whether a transaction is open."""
        return self.connection.info.transaction_status not in (extensions.TRANSACTION_STATUS_IDLE,)

    def end(self, text="COMMIT"):
        """Ends the transaction; its effects count if it has committed."""
        self._keep(text)
        self.late = False
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(text)
                done = cursor.statusmessage in ("COMMIT", "PREPARE TRANSACTION")
        except psycopg2.Error as error:
            self.judge(error)
            done = False
        if self.late and text != "ROLLBACK":
            for effect in self.pending:
                effect.done = "?"
        elif not done:
            self.pending = []
        if self.in_transaction():
            self.sql("ROLLBACK")
        self.settle_effects()
        return done

    def settle_effects(self):
        """What was noted has committed: it counts."""
        pending, self.pending = self.pending, []
        for effect in pending:
            self._count_effect(effect)
            if effect.call.subscribes():
                self.fresh.update(self._names_of(effect.call))
        self.receive()
        self.fresh = set()

    def _count_effect(self, effect):
        call = effect.call
        if call.name == "poll":
            if effect.rows is None:
                self.blind = True
            for row in effect.rows or []:
                self._message(row[2])
        if not call.changes():
            return
        names = self._names_of(call)
        if call.subscribes() and effect.as_other:
            self.others.update(names)
        if effect.done == "?":
            self.unsure.update(names or self.known)
        elif call.subscribes():
            self.known.update(dict.fromkeys(names, "active"))
            self.unsure.difference_update(names)
            if not effect.as_other:
                self.others.difference_update(names)
        elif call.name == "unsubscribe":
            for identity in names:
                self.known.pop(identity, None)
        elif call.name == "unsubscribe_all":
            # It passes over what belongs to roles that the caller may not become.
            self.unsure.update(self.known if effect.as_other else self.known.keys() & self._of_others())
            self.known = {} if not effect.as_other else self.known
        elif call.name in ("pause", "resume"):
            for identity in self.known.keys() & set(names):
                self.known[identity] = "paused" if call.name == "pause" else "active"

    def _names_of(self, call):
        """Returns the ids that the server has understood."""
        ids = call.ids or ([call.id] if call.id else [])
        if self.latin:
            return [identity.encode("utf-8", "surrogateescape").decode("latin-1") for identity in ids]
        return list(ids)

    def _of_others(self):
        """Returns the ids of what may be out of reach, since the superuser may give and take roles at any time."""
        return self.others if self.role else set()

    def forget_all(self):
        """All subscriptions have been ended, by DISCARD ALL and the like."""
        self.known, self.unsure, self.others = {}, set(), set()

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
                self._end_all()
                self.calm()
            elif choice < 0.985:
                self.encode("UTF8" if self.latin else "LATIN1")
            elif choice < 0.99:
                self._leave()
            else:
                time.sleep(self.rng.random() * 0.1)
        except Gone:
            pass

    def _end_all(self):
        self.encode("UTF8")  # as in calm()
        done = self.outcome(self.sql(self.rng.choice(["UNLISTEN *", "DISCARD ALL"])))
        if done is True:
            self.forget_all()
        elif done == "?":
            self.unsure.update(self.known)

    def write(self):
        """Changes some rows."""
        text = self.rng.choice(definitions.WRITES).replace("{0}", str(self.rng.randint(0, 12)))
        self.sql(text.replace("{1}", values.literal(self.rng.choice(["x", "y", "z", None]))))

    def finish(self):
        """At the end, with nobody else about: hears what there is to be heard, for compare()."""
        try:
            if self.connection is None or self.connection.closed:
                return
            if self.in_transaction():
                self.end("ROLLBACK")
            self.sql("RESET SESSION AUTHORIZATION")
            self.calm()
            self.sql("SET statement_timeout = '90s'")
            if not self._hear():
                raise Problem("live.wait_for gave up after 60 s")
        except Gone:
            pass  # ended by what it has called last

    def _hear(self):
        """Takes the messages that there are, if all can be told by now."""
        if self.known and self.sql("SELECT live.wait_for(NULL, '60 s')") != [(True,)]:
            return False
        self.settle_effects()
        if not self.perform(Call("poll", "live.poll()", True)):
            self.blind = True
        return True

    def _leave(self):
        """Ends the connection, and compares before if everything is in its place just now."""
        self.calm()
        if self._hear():
            try:
                self.compare()
            except psycopg2.Error:
                pass  # no extension, no view
        self.connection.close()

    def compare(self):
        """Compares what the view shows of this session with what its calls and messages have said."""
        if self.connection is None or self.connection.closed:
            return
        rows = self.world.rows("SELECT subscription_id, status FROM live_queries WHERE pid = %d" % self.pid)
        if self.pid in self.world.ended:
            return  # by now
        shown = dict(row for row in rows if row[1] != "terminated")
        terminated = {row[0] for row in rows if row[1] == "terminated"}
        self.count("compared")
        for identity in set(shown) | set(self.known):
            if identity in self.unsure or identity in values.NAUGHTY_IDS:
                continue
            if identity not in shown and (self.blind or identity in terminated or identity in self._of_others()):
                continue
            if shown.get(identity) != self.known.get(identity):
                raise Problem("the view shows %r as %s, and by its calls it is %s; what was called:%s" % (
                    identity, shown.get(identity), self.known.get(identity), self._history_of(identity)))

    def _history_of(self, identity):
        """Returns what this connection has called that may be about a subscription, within which transactions."""
        named = re.compile("'%s'|^(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)" % re.escape(identity or "").replace("'", "'+"))
        return "".join("\n  %r" % text for text in self.history if named.search(text))


class Gone(Exception):
    """The connection was ended, as the fuzz wanted."""
