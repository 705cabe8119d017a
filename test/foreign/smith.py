#!/usr/bin/python3
"""Queries that sqlsmith makes up, explained and subscribed. See README.md.

No result is compared: none may be an internal error, end a process or leave anything behind. Exit status: 0 nothing found, 1
something that must not be.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter

sys.dont_write_bytecode = True
sys.path[:0] = [os.path.dirname(os.path.realpath(__file__)), os.path.join(os.path.dirname(os.path.realpath(__file__)), "../oracle")]

# pylint: disable=wrong-import-position
import psycopg2  # noqa: E402
from one_by_one import Identities  # noqa: E402
from watch import one_line, without_names  # noqa: E402

# What a process that serves for long may grow by, in kB: caches of relations, types and plans.
ROOM = 60000


def arguments():
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(prog="smith.py")
    parser.add_argument("--database", required=True)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=2000, help="queries of one session, and of one run of sqlsmith")
    return parser.parse_known_args()[0]


def made_up(options, seed):
    """Yields queries."""
    command = ["sqlsmith", "--target=dbname=%s" % options.database, "--dry-run", "--exclude-catalog", "--seed=%d" % seed,
               "--max-queries=%d" % (10 * options.every)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.rstrip().endswith(";"):
                text = "".join(lines).strip().rstrip(";")
                lines = []
                if re.match(r"\s*(select|with)\b", text, re.IGNORECASE):
                    yield text
        process.terminate()


class Server:
    """What the server's processes are and have."""

    def __init__(self, database):
        self.connection = psycopg2.connect(dbname=database)
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()
        self.database = database

    def workers(self):
        """Returns the resident memory, in kB, of the extension's processes of the database, by pid and kind."""
        self.cursor.execute("SELECT pid, backend_type FROM pg_stat_activity WHERE backend_type LIKE 'live_queries%%' AND datname = %s",
                            (self.database,))
        return {(pid, kind): memory(pid) for pid, kind in self.cursor.fetchall()}

    def left(self):
        """Returns what is left of subscriptions."""
        self.cursor.execute("SELECT count(*) FROM live_queries WHERE status <> 'terminated' AND database = %s", (self.database,))
        return self.cursor.fetchone()[0]


def memory(pid):
    """Returns what a process has in memory of its own, in kB."""
    try:
        with open("/proc/%d/status" % pid, encoding="ascii") as file:
            return int(re.search(r"RssAnon:\s+(\d+)", file.read()).group(1))
    except OSError:
        return 0


class Session:
    """Explains and subscribes; counts what comes of it."""

    def __init__(self, options, counts, reasons):
        # It sees its errors itself: the server's log has those of others.
        self.connection = psycopg2.connect(dbname=options.database, options="-c statement_timeout=10s -c log_min_messages=fatal")
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()
        self.counts = counts
        self.reasons = reasons
        self.problems = 0

    def _call(self, text, query):
        try:
            self.cursor.execute(text, (query,))
            return self.cursor.fetchall()
        except psycopg2.Error as error:
            if error.pgcode is None or (error.pgcode.startswith(("XX", "58")) and not self._fails_by_itself(query, error)):
                self.problems += 1
                print("FAILED %s: %s\n  query: %s" % (text, error, one_line(query)), flush=True)
                if error.pgcode is None:
                    raise
                return "problem"
            return without_names(str(error))

    def _fails_by_itself(self, query, error):
        """Tells whether the server has the same internal error where it only plans the query, without the extension."""
        try:
            self.cursor.execute("EXPLAIN " + query)
        except psycopg2.Error as own:
            self.counts["internal errors of the server's own"] += 1
            return own.pgcode == error.pgcode and str(own).split("\n", maxsplit=1)[0] == str(error).split("\n", maxsplit=1)[0]
        return False

    def take(self, query):
        """Tries one query."""
        explained = self._call("SELECT * FROM live.explain(%s)", query)
        if isinstance(explained, str):
            self.counts["refused" if explained != "problem" else explained] += 1
            self.reasons[explained] += 1
            return
        found = self._call("SELECT strategy FROM live.subscribe('smith', %s, delivery => 'poll')", query)
        if isinstance(found, str):
            self.counts["explained, not subscribed"] += 1
            self.reasons["not subscribed: " + found] += 1
            return
        self.counts[found[0][0]] += 1
        # The first result is read, unless it takes long or fails.
        read = self._call("SELECT count(*) FROM live.snapshot('smith', 1000) -- %s", "")
        if isinstance(read, str):
            self.counts["first result: " + read] += 1
        self._call("SELECT live.unsubscribe_all() -- %s", "")


def main():
    """Runs sqlsmith again and again."""
    options = arguments()
    server = Server(options.database)
    Identities(server.connection, random.Random(options.seed))()  # with keys, more is delta
    counts, reasons, problems, done, seed = Counter(), Counter(), 0, 0, options.seed
    baseline = {}
    grown = False
    start = time.monotonic()
    while done < options.queries:
        session = Session(options, counts, reasons)
        pid, first = session.connection.info.backend_pid, 0
        for number, query in enumerate(made_up(options, seed)):
            if number >= options.every or done >= options.queries:
                break
            session.take(query)
            done += 1
            if number == options.every // 4:
                first = memory(pid)
        own = memory(pid)
        problems += session.problems
        session.connection.close()
        workers = server.workers()
        for which, size in workers.items():
            baseline.setdefault(which, size)
            if size > baseline[which] + ROOM:
                grown = True
                print("FAILED: %s %d has grown from %d to %d kB" % (which[1], which[0], baseline[which], size), flush=True)
        print("smith: %d queries, %.0f s, %s; session %d to %d kB; %s; left: %d" % (
            done, time.monotonic() - start, dict(counts.most_common(6)), first, own,
            ", ".join("%s %d kB" % (kind, size) for (_, kind), size in workers.items()), server.left()), flush=True)
        seed += 1
    for number, (reason, count) in enumerate(reasons.most_common()):
        if number < 60 or reason.startswith("not subscribed"):
            print("%6d  %s" % (count, reason))
    for what, count in counts.most_common():
        print("%6d  %s" % (count, what))
    return 1 if problems or grown or server.left() else 0


if __name__ == "__main__":
    sys.exit(main())
