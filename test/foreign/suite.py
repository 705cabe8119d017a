"""A file of PostgreSQL's regression suite: runs it, and gives each query in it, in the state in which it stands, to a Watch.

Owns: what has to be different so that another session sees what the file does: temporary and unlogged tables are ordinary
ones here, in a schema of their own, and there are no transactions of several statements; what one would roll back is dropped.
"""

import io
import re
import time

import psycopg2
import script
from watch import Problem, one_line

IGNORED = re.compile(r"(begin|start\s+transaction|commit|end|rollback|abort|savepoint|release|prepare\s+transaction|vacuum|analyze)\b",
                     re.IGNORECASE)
QUERY = re.compile(r"[(\s]*(select|with|values|table)\b", re.IGNORECASE)
INSIDE = re.compile(r"(?:explain\s*(?:\([^)]*\))?\s*(?:(?:analyze|verbose|costs\s+off)\b\s*)*"
                    r"|declare\s+\S+\s+(?:(?:no|scroll|insensitive|asensitive|binary)\s+)*cursor\s+(?:with(?:out)?\s+hold\s+)?for\s+"
                    r"|prepare\s+\w+\s+as\s+)(?=[(\s]*(?:select|with|values|table)\b)", re.IGNORECASE)
INTO = re.compile(r"\bselect\b[^()]*\binto\b", re.IGNORECASE)
TEMPORARY = re.compile(r"\bcreate\s+(or\s+replace\s+)?(?:(?:local|global)\s+)?temp(?:orary)?\s+"
                       r"((?:recursive\s+)?(?:table|view|sequence)\s+(?:if\s+not\s+exists\s+)?)(?=[\w\"])", re.IGNORECASE)
# A function of a script that does nothing but say something, or calculates.
PURE = re.compile(r"create\s+(?:or\s+replace\s+)?function(?!.*\b(?:from|random|insert|update|delete|execute|nextval|clock_timestamp"
                  r"|immutable|stable|volatile|perform|trigger|language\s+c|setof|table)\b)", re.IGNORECASE | re.DOTALL)
KEPT = re.compile(r"\bon\s+commit\s+(?:drop|(?:preserve|delete)\s+rows)\b", re.IGNORECASE)


class Suite:
    """One file."""

    def __init__(self, name, text, session, watch, report, environment, identities=None):
        self.name = name
        self.text = text
        self.session = session
        self.cursor = session.cursor()
        self.watch = watch
        self.report = report
        self.environment = environment
        self.identities = identities  # gives tables replica identities
        self.variables = {}
        self.seen = set()
        self.before = None  # the relations that there were when a transaction began
        self.local = []     # settings to be reset at its end

    def run(self):
        """Runs all of it."""
        self._quietly("CREATE SCHEMA IF NOT EXISTS scratch; GRANT ALL ON SCHEMA scratch TO PUBLIC")
        self._quietly("SET search_path = scratch, public")
        for item in script.read(self.text):
            if isinstance(item, script.Command):
                self._command(item.words)
            else:
                self._statement(item)

    def _command(self, words):
        if words[0] == "getenv" and len(words) == 3:
            self.variables[words[1]] = self.environment.get(words[2], "")
        elif words[0] == "set" and len(words) > 1:
            self.variables[words[1]] = "".join(
                script.substitute(word, self.variables) if word.startswith(":") else word.strip("'") for word in words[2:])

    def _statement(self, statement):
        text = script.substitute(statement.text, self.variables)
        if INSIDE.match(text):
            self._query(text[INSIDE.match(text).end():], statement.line)
        elif QUERY.match(text) and not INTO.search(text.split("from")[0]):
            self._query(text, statement.line)
        if statement.into is not None:
            self._set_variables(text, statement.into)
        elif IGNORED.match(text):
            self._transaction(text.split()[0].lower())
        elif statement.data is not None:
            try:
                self.cursor.copy_expert(text, io.StringIO(statement.data))
            except psycopg2.Error:
                pass
        elif not text.lower().startswith("explain"):
            self._quietly(self._ordinary(text))

    def _ordinary(self, text):
        text = KEPT.sub("", TEMPORARY.sub(r"create \1\2 scratch.", text))
        text = re.sub(r"\bunlogged\s+table\b", "table", text, flags=re.IGNORECASE)
        if PURE.match(text):
            text += " IMMUTABLE"
        local = re.match(r"set\s+local\s+(session\s+authorization|role|\w+)", text, re.IGNORECASE)
        if local:
            self.local.append(local.group(1))
            text = re.sub(r"^set\s+local", "set", text, flags=re.IGNORECASE)
        return text

    def _quietly(self, text):
        try:
            self.cursor.execute(text)
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            if error.pgcode is None:  # the session is gone
                raise
        except psycopg2.Error:
            pass

    def _relations(self):
        self.watch.watcher.execute("SELECT c.oid, c.oid::regclass::text, relkind FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
                                   " WHERE relkind IN ('r', 'p', 'v', 'm') AND nspname !~ '^pg_' AND nspname <> 'information_schema'")
        return {oid: (name, kind) for oid, name, kind in self.watch.watcher.fetchall()}

    def _transaction(self, word):
        if word in ("begin", "start"):
            self.before = self._relations()
        elif word in ("rollback", "abort", "commit", "end") and self.before is not None:
            if word in ("rollback", "abort"):
                for oid, (name, kind) in self._relations().items():
                    if oid not in self.before:
                        self.watch.watcher.execute("DROP %s IF EXISTS %s CASCADE" % (
                            {"v": "VIEW", "m": "MATERIALIZED VIEW"}.get(kind, "TABLE"), name))
            self.before = None
            for name in self.local:
                self._quietly("RESET %s" % name)
            self.local = []

    def _set_variables(self, text, prefix):
        try:
            self.cursor.execute(text)
            for column, value in zip(self.cursor.description, self.cursor.fetchone()):
                self.variables[prefix + column.name] = str(value)
        except (psycopg2.Error, TypeError):
            pass

    def _query(self, text, line):
        if text in self.seen:
            return
        self.seen.add(text)
        if self.identities:
            self.identities()
        start = time.monotonic()
        try:
            outcome = self.watch.try_query(text)
        except Problem as problem:
            self.report.problem(self.name, line, text, problem, self.watch)
            return
        if outcome.kind == "refused":
            # A query that fails anyway is not refused.
            try:
                self.cursor.execute("SELECT FROM (%s\n) foreign_query" % text)
            except psycopg2.Error as error:
                if error.pgcode not in ("0A000", "57014") and not re.search(r"live|watch", outcome.text):
                    outcome.kind = "fails"
        self.report.outcome(self.name, line, one_line(text), outcome, time.monotonic() - start)
