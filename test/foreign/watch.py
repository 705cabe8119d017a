"""One query that somebody else wrote, subscribed while rows change.

Owns: what becomes of it: live by which strategy, refused with which reason, or a problem. The client's model is the oracle's.
"""

import json
import re
import threading
import time

import psycopg2
import rows
import state

STOPPED = "57014"
MANY = 100000  # rows that a result has at most
ENOUGH = 2   # seconds for the rounds of one query
PATIENCE = 30  # seconds for all of it; WITH RECURSIVE may have no end but by a LIMIT, which is not waited for
# What SQL leaves open, where nothing decides it.
OPEN = re.compile(r"\bover\b|\blimit\b|\bfetch\b|\bdistinct\s+on\b|_agg\b|\bmode\b|\bpercentile|\boffset\b|\barray\s*\(", re.IGNORECASE)
LIMITED = re.compile(r"\([^()]*\b(?:limit|fetch)\b[^()]*\)", re.IGNORECASE)  # a sub-select that takes some of its rows
# Windows in a sub-select, to whose numbers a condition outside of it looks: how many rows it takes is as open as these.
NUMBERED = re.compile(r"\(.*\bover\b.*\)\s*(?:as\s+)?\w*\s*where\b", re.IGNORECASE | re.DOTALL)
# Different values may look alike as JSON: SQL's NULL and a json null, arrays with other bounds.
ALIKE = re.compile(r"null$|\[")
NAMES = re.compile(r'"[^"]*"|\b\d+\b')


class Problem(Exception):
    """Something that must not be."""


class Outcome:
    """What became of a query."""

    def __init__(self, kind, text=""):
        self.kind = kind      # a strategy, refused, fails, slow (or too large)
        self.text = text      # the reason
        self.notes = set()    # open, renamed, reset, ended


def without_names(text):
    """Returns the text of an error without the names in it."""
    return NAMES.sub("…", text.split("\n")[0])


def one_line(text):
    """Returns a text without line ends."""
    return " ".join(text.split())


class Watch:
    """Subscribes queries on a session, one at a time.

    session: the connection on which the script runs; watcher: a superuser's, that sees all; changes: a writer.
    """

    def __init__(self, session, watcher, changes, rng, rounds):
        self.session = session.cursor()
        self.watcher = watcher.cursor()
        self.pid = session.info.backend_pid
        self.changes = changes
        self.rng = rng
        self.rounds = rounds
        self.number = 0
        self.id = None
        self.query = None
        self.result = None
        self.explained = []
        self.clock = False

    # ---- what it asks

    def _ask(self, text, *values):
        self.session.execute(text, values or None)
        return self.session.fetchall()

    def _truth(self):
        return sorted(rows.row_from(row) for row, in self._ask(
            "SELECT row_to_json(foreign_query)::text FROM (%s\n) foreign_query" % self.query))

    def _is_large(self):
        try:
            (count,), = self._ask("SELECT count(*) FROM (SELECT FROM (%s\n) foreign_query LIMIT %d) first" % (self.query, MANY + 1))
        except psycopg2.Error as error:
            if error.pgcode == STOPPED:
                raise
            return False  # which the comparison comes to
        return count > MANY

    def _with_views(self):
        """Returns the text of the query with the definitions of the views that it names, for they may leave something open too."""
        self.watcher.execute("SELECT viewname, definition FROM pg_views WHERE schemaname !~ '^pg_' AND schemaname <> 'information_schema'")
        views, text, looked_at = self.watcher.fetchall(), self.query, set()
        while True:
            found = [view for view in views if view not in looked_at and re.search(r"\b%s\b" % re.escape(view[0]), text)]
            if not found:
                return text
            looked_at.update(found)
            text = "\n".join([text] + [definition for _, definition in found])

    def _calls_aggregate(self, text):
        """Tells whether a text names an aggregate that somebody made: what it gives may depend on the order of its rows."""
        self.watcher.execute("SELECT DISTINCT proname FROM pg_proc WHERE prokind = 'a' AND oid >= 16384")
        return any(re.search(r"\b%s\s*\(" % re.escape(name), text) for name, in self.watcher.fetchall())

    def _read_snapshot(self):
        result = state.WholeResult(full=self.full)
        result.alike = ALIKE
        for key, row in self._ask("SELECT key::text, \"row\"::text FROM live.snapshot(%s)", self.id):
            result.load(rows.key_from(key), rows.row_from(row))
        return result

    # ---- one query

    def try_query(self, text):
        """Returns the outcome; raises Problem."""
        timer = threading.Timer(PATIENCE, self.session.connection.cancel)
        timer.start()
        try:
            return self._try_query(text)
        finally:
            timer.cancel()

    def _try_query(self, text):
        self.number += 1
        self.id = "foreign-%d" % self.number
        self.query = text
        outcome = Outcome("?")
        try:
            self._subscribe(outcome)
        except psycopg2.Error as error:
            if error.pgcode in ("XX000", "XX001", "XX002") or error.pgcode is None:
                raise Problem("live.subscribe: %s" % error) from error
            if error.pgcode == STOPPED:
                return Outcome("slow")
            return Outcome("refused", without_names(str(error)))
        try:
            self._live(outcome)
        except rows.Malformed as error:
            # A record in a column may have two fields of one name.
            outcome.notes.add("not compared: %s" % without_names(str(error).split(":", maxsplit=1)[0]))
        except state.Violation as error:
            raise Problem(str(error)) from error
        except psycopg2.Error as error:
            if error.pgcode == STOPPED:
                outcome.kind = "slow"
                return outcome
            raise Problem("%s %s" % (error.pgcode, error)) from error
        finally:
            self._leave()
            self.changes.put_back()
        return outcome

    def _subscribe(self, outcome):
        self.full = False
        self.explained = []
        try:
            (outcome.kind,), = self._ask("SELECT strategy FROM live.subscribe(%s, %s, delivery => 'poll')", self.id, self.query)
        except psycopg2.errors.DuplicateColumn:
            self._name_columns()
            outcome.notes.add("renamed")
            (outcome.kind,), = self._ask("SELECT strategy FROM live.subscribe(%s, %s, delivery => 'poll')", self.id, self.query)

    def _name_columns(self):
        """Gives the columns names of their own, for two of one name are refused."""
        self.session.execute("SELECT * FROM (%s\n) foreign_query LIMIT 0" % self.query)
        self.query = "SELECT * FROM (%s\n) foreign_query(%s)" % (
            self.query, ", ".join("c%d" % number for number in range(len(self.session.description))))

    def _live(self, outcome):
        self.explained = self._ask("SELECT property, value FROM live.explain(%s)", self.query)
        self.clock = any(name == "clock" for name, _ in self.explained)
        if outcome.kind == "refresh":
            outcome.text = without_names("; ".join(value or "" for name, value in self.explained if name.startswith("why")))
        self.watcher.execute("SELECT to_json(tables)::text FROM live_queries WHERE pid = %s AND subscription_id = %s", (self.pid, self.id))
        (found,), = self.watcher.fetchall()
        found = json.loads(found)
        tables = found if isinstance(found, list) else [name.strip() for name in found.split(",")]
        self.tables = tables
        self.full = outcome.kind != "stream"
        if self._is_large():
            outcome.kind = "slow"
            return
        self.result = self._read_snapshot()
        self._compare("the first result", outcome)
        self.changes.about(tables)
        start = time.monotonic()
        for number in range(self.rounds if tables and tables != [""] else 0):
            for _ in range(self.rng.randint(1, 3)):
                self.changes.transaction()
            if not self._hear(outcome):
                return
            if not self._compare("round %d" % number, outcome) or time.monotonic() - start > ENOUGH:
                break
        if not self.clock:
            self._refresh()

    def _hear(self, outcome):
        """Applies what has come; returns whether the subscription goes on as it was."""
        (delivered,), = self._ask("SELECT live.wait_for(timeout => '60s')")
        if not delivered:
            raise Problem("live.wait_for: not delivered within 60 s")
        for text, in self._ask("SELECT message::text FROM live.poll()"):
            message = rows.parse(text)
            if message["type"] == "reset":
                outcome.notes.add("reset: " + without_names(message["reason"]))
                self._ask("SELECT live.refresh(%s)", self.id)
                self.result = self._read_snapshot()
                return True
            if message["type"] == "terminated":
                self._ended(message, outcome)
                return False
            if message["type"] != "changes" or message["subscription_id"] != self.id:
                raise Problem("a message of another kind: %s" % text[:300])
            for change in message["changes"]:
                self.result.apply(change)
        return True

    def _ended(self, message, outcome):
        """A query may end with the error that it raises by itself."""
        try:
            self._truth()
        except psycopg2.Error as error:
            if error.pgcode == message["code"] or error.pgcode == STOPPED:
                outcome.notes.add("ended as it fails by itself")
                return
        if message["code"] == STOPPED:
            outcome.kind = "slow"
            return
        if message["code"].startswith("22"):
            # The query as a whole need not come to an expression that fails: it stops before, or another condition comes first.
            outcome.notes.add("ended by an error in an expression")
            return
        raise Problem("terminated: %s: %s" % (message["code"], message["reason"]))

    def _compare(self, when, outcome):
        """Compares with the query itself; returns whether it could be run."""
        if self.clock:
            outcome.notes.add("asks the clock: not compared, as its time is that of the last step")
            return True
        try:
            truth = self._truth()
        except psycopg2.Error as error:
            if error.pgcode == STOPPED:
                raise
            outcome.notes.add("fails by itself")
            return True
        mine = sorted(self.result.as_bag().elements())
        if truth == mine:
            return True
        meant = self._with_views()
        is_open = OPEN.search(meant) or self._calls_aggregate(meant)
        if is_open and (len(truth) == len(mine) or LIMITED.search(meant) or NUMBERED.search(meant)):
            outcome.notes.add("open")
            return True  # _refresh compares what was decided
        raise Problem("%s: %d rows, and %d expected\n  too many %s\n  too few  %s" % (
            (when, len(mine), len(truth)) + differences(mine, truth)))

    def _refresh(self):
        """A first result that is read anew has the same rows under the same keys."""
        self._ask("SELECT live.refresh(%s)", self.id)
        again = self._read_snapshot()
        if again.rows != self.result.rows or +again.copies != +self.result.copies:
            mine = sorted("%s %s" % pair for pair in self.result.rows.items())
            fresh = sorted("%s %s" % pair for pair in again.rows.items())
            raise Problem("other rows or keys after live.refresh\n  too many %s\n  too few  %s" % differences(mine, fresh))

    def _leave(self):
        for _ in range(3):
            try:
                self._ask("SELECT live.unsubscribe_all()")
                self._ask("SELECT 1 FROM live.poll()")
                return
            except psycopg2.Error:
                time.sleep(.1)


def differences(mine, truth):
    """Returns what the one list has and the other has not, shortened."""
    missing, more = list(truth), []
    for row in mine:
        if row in missing:
            missing.remove(row)
        else:
            more.append(row)
    return rows.shorten(more[:4], 1200), rows.shorten(missing[:4], 1200)
