"""One huge transaction, one huge COPY, and very many small transactions, beside connections that read and some that never do.

Every round begins with connections of its own. Nothing is slept for: a phase ends when every reader shows what the tables have.
"""

import json
import re
import selectors
import threading
import time

import psycopg2

from probe import MB, anonymous_kb
from world import CannotRun

BODY = 4000        # bytes of each, none of them compressed
WRITERS = 4        # of small transactions
RATE = 2000        # of them all, a second
LATE = 120         # seconds after the last commit, or since the last message, in which all has to arrive
WITH_JOINS = 3     # readers that have queries for an evaluator, too
AGAIN = 1000       # rows that are copied once the table is empty again
START = '{"type":"changes","subscription_id":"'

SCHEMA = """
CREATE TABLE pressure_rows (id int PRIMARY KEY, reader int NOT NULL, part int NOT NULL, n bigint NOT NULL, body text);
ALTER TABLE pressure_rows REPLICA IDENTITY FULL;
ALTER TABLE pressure_rows ALTER body SET STORAGE EXTERNAL;
CREATE TABLE pressure_copied (id bigint PRIMARY KEY, reader int NOT NULL GENERATED ALWAYS AS (id %% %(readers)d) STORED);
ALTER TABLE pressure_copied REPLICA IDENTITY FULL;
CREATE TABLE pressure_parts (id int PRIMARY KEY, name text);
INSERT INTO pressure_parts SELECT i, 'part ' || i FROM generate_series(0, 9) i;
"""
FILL = """
INSERT INTO pressure_rows SELECT i, i %% %(readers)d, i %% 10, 0, repeat('a', %(body)d) FROM generate_series(1, %(rows)d) i;
ANALYZE pressure_rows, pressure_copied, pressure_parts;
"""
# Rows are changed over and over until so much WAL is written; some come, and some of these go again.
TRANSACTION = """
DO $$ DECLARE start pg_lsn := pg_current_wal_insert_lsn(); pass int := 0; BEGIN
  INSERT INTO pressure_rows SELECT i, i %% %(readers)d, i %% 10, 0, repeat('n', %(body)d)
    FROM generate_series(%(rows)d + 1, %(rows)d + 100) i;
  WHILE pg_current_wal_insert_lsn() - start < %(bytes)d LOOP
    pass := pass + 1;
    UPDATE pressure_rows SET n = n + 1, body = repeat(chr(97 + pass %% 26), %(body)d);
  END LOOP;
  DELETE FROM pressure_rows WHERE id > %(rows)d + 50;
END $$
"""
# Of one writer, each in a transaction of its own, none before its time.
TRANSACTIONS = """
DO $$ DECLARE due timestamptz := clock_timestamp(); BEGIN
  FOR i IN 1 .. %(count)d LOOP
    UPDATE pressure_rows SET n = n + 1 WHERE id = 1 + (i * %(writers)d + %(writer)d) %% %(rows)d;
    COMMIT;
    due := due + %(pause)f * interval '1 second';
    IF due > clock_timestamp() + interval '5 ms' THEN PERFORM pg_sleep(extract(epoch FROM due - clock_timestamp())); END IF;
  END LOOP;
END $$
"""

# The queries of those that read: of each its own rows, and of some more than that. The first column is the key.
OWN = {"rows": "SELECT id, n FROM pressure_rows WHERE reader = $1",
       "copied": "SELECT id FROM pressure_copied WHERE reader = $1"}
MORE = {"all": "SELECT id, n, length(body) AS length FROM pressure_rows",
        "joined": "SELECT r.id, r.n, p.name FROM pressure_rows r JOIN pressure_parts p ON p.id = r.part WHERE r.reader = $1",
        "totals": "SELECT reader, count(*) AS n, sum(n) AS sum FROM pressure_rows GROUP BY reader",
        "copies": "SELECT reader, count(*) AS n, sum(id) AS sum FROM pressure_copied WHERE reader < 20 GROUP BY reader"}
# And of those that do not: all there is.
SILENT = {"rows": "SELECT id, n, body FROM pressure_rows", "copied": "SELECT id FROM pressure_copied"}
SILENT_MORE = {"joined": "SELECT r.id, r.n, r.body, p.name FROM pressure_rows r JOIN pressure_parts p ON p.id = r.part"}

# By how many kB each may grow, whatever is written; with --short and otherwise. All of the huge transaction, or of what one of them
# has waiting, would be more.
PEAKS = {"decoder": (30000, 150000), "evaluator": (15000, 100000), "a reader": (8000, 20000),
         "one that does not read": (12000, 20000), "segments": (8192, 100000)}

UNREAD = "too many messages were waiting for the client"
HELD = "too many changes while the subscription was paused or its snapshot unread"
WAYS = ("does not read its socket", "stays in a transaction", "is paused", "does not poll")
KEY = re.compile(r'\{"op":"(\w+)","key":\[(\d+)\]')


class Sizes:
    """How much of everything, by the command line."""

    def __init__(self, options):
        self.short = options.short
        self.megabytes, self.copied, self.seconds = options.pressure_mb, options.pressure_rows, options.pressure_seconds
        self.readers, self.silent, self.rows = (32, 8, 256) if self.short else (450, 50, 2048)
        # Enough for one who reads the huge transaction, by far not for one who has all its rows waiting.
        self.spill_mb = 1 if self.short else 64

    def tenth(self):
        """Makes them smaller, to warm up."""
        smaller = Sizes.__new__(Sizes)
        smaller.__dict__.update(self.__dict__, megabytes=max(1, self.megabytes // 10), copied=self.copied // 10,
                                seconds=min(2, self.seconds / 10))
        return smaller

    def connections(self):
        """How many come in a round, beside the soak's own."""
        return self.readers + self.silent + WRITERS + 1


def condensed(row):
    """Returns a row with its body's length in place of the body, as a tuple."""
    return tuple(len(value) if name == "body" else value for name, value in row.items())


class Ascending:
    """Very many numbers that come in their order: how many, their sum, and the last one."""

    def __init__(self, numbers):
        self.kept = (0, 0, 0)
        for number in numbers:
            self.add(number)

    def add(self, number):
        """Returns whether it is greater than all before."""
        count, total, last = self.kept
        self.kept = (count + 1, total + number, number)
        return number > last

    def __eq__(self, other):
        return self.kept == other


class Subscriber:
    """A connection with live queries, and what each of them shows."""

    def __init__(self, world, queries, params, delivery="notify"):
        self.connection = world.connect()
        self.pid = self.connection.info.backend_pid
        self.delivery = delivery
        self.queries = queries
        self.params = params
        self.states = {}
        self.resets = {}   # reasons, by live query
        self.messages = 0
        self.wrong = ""
        with self.connection.cursor() as cursor:
            for name, query in queries.items():
                given = params if "$1" in query else []
                cursor.execute("SELECT live.subscribe(%s, %s, %s::text[], delivery => %s)", (name, query, given, delivery))
                self._read_first(cursor, name)

    def _read_first(self, cursor, name):
        cursor.execute('SELECT key->>0, "row"::text FROM live.snapshot(%s)', (name,))
        state = {int(key): condensed(json.loads(row)) for key, row in cursor}
        self.states[name] = Ascending(sorted(state)) if name == "copied" else state

    def fileno(self):
        """For a selector."""
        return self.connection.fileno()

    def read(self):
        """Takes what has come; returns whether it was anything."""
        self.connection.poll()
        return self.take()

    def take(self):
        """Takes what the connection has read."""
        taken = bool(self.connection.notifies)
        for notification in self.connection.notifies:
            self._apply(notification.payload)
        del self.connection.notifies[:]
        return taken

    def ask(self, text):
        """Runs a statement, and takes what has come."""
        with self.connection.cursor() as cursor:
            cursor.execute(text)
        self.take()

    def catch_up(self):
        """Takes all messages of what has been committed."""
        self.ask("SELECT live.wait_for(timeout => '%ds')" % LATE)
        with self.connection.cursor() as cursor:
            while self.delivery == "poll":
                cursor.execute("SELECT message::text FROM live.poll(1000)")
                for message, in cursor:
                    self._apply(message)
                if cursor.rowcount == 0:
                    break
        self.ask("SELECT 1")

    def refresh(self):
        """Refreshes what was reset."""
        for name in list(self.resets):
            with self.connection.cursor() as cursor:
                cursor.execute("SELECT live.refresh(%s)", (name,))
                self._read_first(cursor, name)
        self.resets = {}

    def shows(self, truth):
        """Whether all its live queries show what the queries return: truth(query, params)."""
        return all(state == truth(self.queries[name], self.params) for name, state in self.states.items())

    def _apply(self, text):
        self.messages += 1
        if text.startswith(START):
            name = text[len(START):text.index('"', len(START))]
            if name == "copied":
                self._copied(text)
                return
            for change in json.loads(text)["changes"]:
                self._change(name, change)
            return
        message = json.loads(text)
        if message["type"] == "reset":
            self.resets[message["subscription_id"]] = message["reason"]
            self.states[message["subscription_id"]] = None
        else:
            self._complain(text)

    def _complain(self, what):
        self.wrong = self.wrong or what[:300]

    def _change(self, name, change):
        """What was told twice, or was left out, does not fit."""
        state = self.states[name]
        if state is None:
            self._complain("%s: a change after a reset" % name)
            return
        key = change["key"][0]
        former = state.get(key)
        if (change["op"] != "insert") != (former is not None):
            self._complain("%s: %s of %s, which was %s" % (name, change["op"], key, former))
        if change["op"] == "delete":
            state.pop(key, None)
            return
        state[key] = condensed(change["row"])
        if former and change["op"] == "update":
            old, new = change["old"].get("n", former[1]), change["row"]["n"]
            if old != former[1] or (name in ("rows", "all") and new != old + 1):
                self._complain("%s: %s was %s, and got from %s to %s" % (name, key, former[1], old, new))

    def _copied(self, text):
        if '"op":"clear"' in text:
            self.states["copied"] = Ascending([])
        for operation, key in KEY.findall(text):
            state = self.states["copied"]
            if operation != "insert" or state is None or not state.add(int(key)):
                self._complain("copied: %s of %s" % (operation, key))


class Silent(Subscriber):
    """One that does not read, in one of the ways, until it recovers."""

    def __init__(self, world, number):
        self.way = WAYS[number % len(WAYS)]
        queries = dict(SILENT, **(SILENT_MORE if number % 5 == 0 else {}))
        super().__init__(world, queries, [], "poll" if self.way == "does not poll" else "notify")

    def fall_silent(self):
        """From here on it reads nothing."""
        if self.way == "stays in a transaction":
            self.ask("BEGIN; SELECT 1")
        if self.way == "is paused":
            self.ask("SELECT %s" % ", ".join("live.pause('%s')" % name for name in self.queries))

    def recover(self):
        """Reads all that waits. Returns the reasons of its resets, by live query."""
        if self.way == "stays in a transaction":
            self.ask("COMMIT")
        if self.way == "is paused":
            self.ask("SELECT %s" % ", ".join("live.resume('%s')" % name for name in self.queries))
        self.catch_up()
        told = dict(self.resets)
        self.refresh()
        return told


class Truth:
    """What the tables have: of one moment, at which nobody writes."""

    def __init__(self, world):
        self.connection = world.connect()
        self.known = {}

    def look(self):
        """Looks at what all those that read their own rows are to have."""
        self.known = {}
        own = {}
        for reader, key, n in self._rows("SELECT reader, id, n FROM pressure_rows"):
            own.setdefault(str(reader), {})[key] = (key, n)
        copied = {str(reader): rest for reader, *rest in
                  self._rows("SELECT reader, count(*), sum(id)::bigint, max(id) FROM pressure_copied GROUP BY reader")}
        self.known[SILENT["copied"]] = (sum(one[0] for one in copied.values()), sum(one[1] for one in copied.values()),
                                        max((one[2] for one in copied.values()), default=0))
        self.known[OWN["rows"]] = own
        self.known[OWN["copied"]] = copied

    def of(self, query, params):
        """Returns the state that a live query is to have."""
        if query == OWN["rows"]:
            return self.known[query].get(params[0], {})
        if query == OWN["copied"]:
            return tuple(self.known[query].get(params[0], (0, 0, 0)))
        key = query if query == SILENT["copied"] else query.replace("$1", params[0] if params else "")
        if key not in self.known:
            with self.connection.cursor() as cursor:
                cursor.execute("SELECT to_json(q) FROM (%s) q" % key)
                rows = [condensed(row) for row, in cursor]
            self.known[key] = {row[0]: row for row in rows}
        return self.known[key]

    def _rows(self, query):
        with self.connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()


class Sampler(threading.Thread):
    """Looks at the memory of processes, and at the shared one, all the time."""

    def __init__(self, processes, segment_bytes):
        super().__init__(daemon=True)
        self.processes = processes  # by name: a list of process ids
        self.segment_bytes = segment_bytes
        self.stopping = threading.Event()
        self.before = self._look()
        self.peaks = dict(self.before)
        self.gone = set()

    def _look(self):
        seen = {(name, pid): anonymous_kb(pid) for name, pids in self.processes.items() for pid in pids}
        seen["segments", 0] = self.segment_bytes() // 1024
        return seen

    def run(self):
        while not self.stopping.wait(0.05):
            for key, kilobytes in self._look().items():
                if kilobytes is None:
                    self.gone.add("%s %d" % key)
                else:
                    self.peaks[key] = max(self.peaks[key], kilobytes)

    def close(self):
        """Returns by how many kB each of them has grown at the most: by name, of several the one that has grown most."""
        self.stopping.set()
        self.join()
        grown = {}
        for key, peak in self.peaks.items():
            grown[key[0]] = max(grown.get(key[0], 0), peak - self.before[key])
        return grown


class Round:
    """Connections come, the three phases, and they go."""

    def __init__(self, world, probe, sizes):
        self.world = world
        self.sizes = sizes
        self.verdicts = []
        self.names = {"readers": sizes.readers, "rows": sizes.rows, "body": BODY, "bytes": sizes.megabytes * MB,
                      "writers": WRITERS}
        world.writer.ask("TRUNCATE pressure_rows, pressure_copied;" + FILL % self.names)
        self.truth = Truth(world)
        self.readers = [Subscriber(world, dict(OWN, **(MORE if number < WITH_JOINS else {})), [str(number)])
                        for number in range(sizes.readers)]
        self.silent = [Silent(world, number) for number in range(sizes.silent)]
        self.selector = selectors.DefaultSelector()
        for reader in self.readers:
            self.selector.register(reader, selectors.EVENT_READ, reader)
        workers = self._workers()
        self.sampler = Sampler({"decoder": [workers["decoder"]], "evaluator": [workers["evaluator"]],
                                "a reader": [reader.pid for reader in self.readers[:2 * WITH_JOINS]],
                                "one that does not read": [silent.pid for silent in self.silent]}, probe.segment_bytes)
        self.workers = workers
        self.sampler.start()

    def _workers(self):
        with self.truth.connection.cursor() as cursor:
            cursor.execute("SELECT kind, pid FROM live.workers WHERE database = current_database() AND pid IS NOT NULL")
            return dict(cursor.fetchall())

    def run(self):
        """All phases; returns the verdicts."""
        self._phase("%d MB in a transaction" % self.sizes.megabytes, "rows", [lambda: self._write(TRANSACTION % self.names)])
        self._phase("%d rows copied" % self.sizes.copied, "copied",
                    [lambda: self._write("COPY pressure_copied (id) FROM PROGRAM 'seq %d'" % self.sizes.copied)])
        count = int(RATE * self.sizes.seconds) // WRITERS
        small = [dict(self.names, writer=writer, count=count, pause=WRITERS / RATE) for writer in range(WRITERS)]
        self._phase("%d transactions in %.0f s" % (count * WRITERS, self.sizes.seconds), "rows",
                    [lambda names=names: self._write(TRANSACTIONS % names) for names in small])
        self._check("no process has ended" + "".join(": " + one for one in self.sampler.gone),
                    not self.sampler.gone and self._workers() == self.workers)
        return self.verdicts

    def close(self):
        """Ends the connections; what has grown how far is a verdict."""
        for name, kilobytes in self.sampler.close().items():
            most = PEAKS[name][0 if self.sizes.short else 1]
            self._check("%s has grown by %d kB at the most, of %d" % (name, kilobytes, most), kilobytes <= most)
        for one in self.readers + self.silent + [self.truth]:
            one.connection.close()

    def _check(self, what, good):
        self.verdicts.append((what, good))
        if not self.sizes.short:
            self.world.progress("pressure: %s: %s" % (what, "ok" if good else "FAILED"))

    def _write(self, text):
        connection = self.world.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(text)
        finally:
            connection.close()

    def _phase(self, name, changed, writes):
        """Writes, while the readers read; then those that did not do."""
        for silent in self.silent:
            silent.fall_silent()
        began = time.monotonic()
        self._read_beside(writes)
        written = time.monotonic()
        self.truth.look()
        self._read_until_true()
        ended = time.monotonic()
        behind = [reader for reader in self.readers if not reader.shows(self.truth.of)]
        self._check("%s: written in %.1f s, %d readers had all %.1f s later" % (name, written - began, len(self.readers), ended - written),
                    not behind)
        self._check("%s: no reader was reset, or told anything twice%s" % (name, self._complaints(self.readers)),
                    not any(reader.wrong or reader.resets for reader in self.readers))
        self._recover(name, changed)

    @staticmethod
    def _complaints(subscribers):
        wrong = [one.wrong or str(one.resets) for one in subscribers if one.wrong or one.resets]
        return ": " + wrong[0] if wrong else ""

    def _read_beside(self, writes):
        errors = []

        def guarded(write):
            try:
                write()
            except psycopg2.Error as error:
                errors.append(error)

        threads = [threading.Thread(target=guarded, args=(write,)) for write in writes]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self._read(0.1)
        if errors:
            raise errors[0]

    def _read(self, patience):
        """Returns whether anything came."""
        return any([key.data.read() for key, _ in self.selector.select(patience)])

    def _read_until_true(self):
        deadline = time.monotonic() + LATE
        while time.monotonic() < deadline:
            if self._read(0.1):
                deadline = time.monotonic() + LATE
            elif all(reader.shows(self.truth.of) for reader in self.readers):
                return

    def _recover(self, name, changed):
        if changed == "copied":
            # So that a first result takes no time. What is evaluated would be reset.
            for reader in self.readers[:WITH_JOINS]:
                reader.ask("SELECT live.unsubscribe('copies')")
                del reader.states["copies"]
            self._write("TRUNCATE pressure_copied")
            self._write("COPY pressure_copied (id) FROM PROGRAM 'seq %d'" % AGAIN)
        told = [(silent, silent.recover()) for silent in self.silent]
        reasons = set(reason for _, resets in told for reason in resets.values())
        self._check("%s: %d that did not read were reset: %s" % (name, len(told), "; ".join(sorted(reasons))),
                    all(changed in resets for _, resets in told) and reasons <= {UNREAD, HELD})
        self._write("UPDATE pressure_rows SET n = n + 1 WHERE id <= 20")
        self.truth.look()
        for silent in self.silent:
            silent.catch_up()
        self._read_until_true()
        self._check("%s: after live.refresh they go on%s" % (name, self._complaints(self.silent)),
                    all(silent.shows(self.truth.of) and not silent.wrong and not silent.resets for silent in self.silent))
        self._check("%s: and so do the others%s" % (name, self._complaints(self.readers)),
                    all(reader.shows(self.truth.of) and not reader.wrong for reader in self.readers))


def settings(sizes):
    """Returns the settings of the server for a round. Transactions go to files, and whole results may take their time."""
    return {"live_queries.spill_size": "%dMB" % sizes.spill_mb, "logical_decoding_work_mem": "4MB",
            "live_queries.transaction_memory": "2MB", "live_queries.evaluation_timeout": "1min"}


def require_connections(world, sizes):
    """Raises CannotRun if the server has too few."""
    free = int(world.ask("SELECT current_setting('max_connections')::int - count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"))
    if free < sizes.connections() + 5:
        raise CannotRun("the stage pressure has %d connections, of which %d are free: raise max_connections"
                        " (CLUSTER_SETTINGS='max_connections = 600' test/run ...)" % (sizes.connections(), free))
