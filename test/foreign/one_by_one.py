#!/usr/bin/python3
"""Queries of PostgreSQL's own regression suite and of TPC-H, subscribed one by one while rows change. See README.md.

Exit status: 0 nothing found, 1 something that must not be.
"""

import argparse
import os
import random
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path[:0] = [os.path.dirname(os.path.realpath(__file__)), os.path.join(os.path.dirname(os.path.realpath(__file__)), "../oracle")]

# pylint: disable=wrong-import-position
import psycopg2  # noqa: E402
from changes import Changes  # noqa: E402
from report import Report  # noqa: E402
from suite import Suite  # noqa: E402
from watch import Watch  # noqa: E402

SETUP = ("test_setup create_function_c create_misc create_operator create_procedure create_table create_type create_schema create_index"
         " create_view create_aggregate create_function_sql date time timetz timestamp timestamptz interval").split()
SUITES = ("select select_distinct select_distinct_on select_implicit select_having subselect union case join join_hash aggregates arrays"
          " rowsecurity groupingsets window limit with equivclass tsrf rangefuncs incremental_sort inherit partition_join"
          " partition_prune partition_aggregate updatable_views rowtypes polymorphism memoize select_views tpch").split()
HERE = os.path.dirname(os.path.realpath(__file__))


def arguments():
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(prog="one_by_one.py")
    parser.add_argument("--source", required=True, help="src/test/regress of a server, built")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--log", help="a file for one line a query")
    parser.add_argument("suites", nargs="*")
    return parser.parse_args()


def connect(database, **settings):
    """Returns a connection to a database."""
    options = "-c statement_timeout=10s " + " ".join("-c %s=%s" % pair for pair in settings.items())
    return psycopg2.connect(dbname=database, options=options)


def prepare(options, environment):
    """Makes the database that each suite gets a copy of."""
    subprocess.run(["dropdb", "--if-exists", "foreign_base"], check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["createdb", "foreign_base"], check=True)
    for name in SETUP:
        with open(os.path.join(options.source, "sql", name + ".sql"), encoding="utf-8") as file:
            subprocess.run(["psql", "-X", "-q", "-d", "foreign_base"], stdin=file, env=environment, check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run(["psql", "-X", "-q", "-d", "foreign_base", "-c", "CREATE EXTENSION live_queries"], check=True)


class Identities:
    """Gives new tables a key or a replica identity by chance."""

    def __init__(self, connection, rng):
        self.cursor = connection.cursor()
        self.rng = rng
        self.known = set()

    def __call__(self):
        self.cursor.execute("SELECT c.oid, c.oid::regclass::text, relhasindex, relispartition, relkind, array(SELECT quote_ident(attname)"
                            " FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum)"
                            " FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'p')"
                            " AND relpersistence = 'p' AND nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1")
        for oid, name, _, part, kind, columns in self.cursor.fetchall():
            if oid in self.known:
                continue
            self.known.add(oid)
            if kind == "r" and not part and self.rng.random() < .85:
                # The first columns that tell its rows apart become its key.
                for columns in (columns[:1], columns[1:2], columns[:2]):
                    if self._alter(name, "ADD PRIMARY KEY (%s)" % ", ".join(columns)):
                        break
            if self.rng.random() < .5:
                self._alter(name, "REPLICA IDENTITY FULL")

    def _alter(self, name, what):
        try:
            self.cursor.execute("ALTER TABLE %s %s" % (name, what))
            return True
        except psycopg2.Error:
            return False


def run_suite(name, options, environment, report):
    """Runs one file in a database of its own."""
    database = "foreign_%s" % name
    subprocess.run(["dropdb", "--if-exists", "--force", database], check=True, stderr=subprocess.DEVNULL)
    file = os.path.join(options.source, "sql", name + ".sql")
    if name == "tpch":
        file = os.path.join(HERE, "tpch_queries.sql")
        subprocess.run(["createdb", database], check=True)
        subprocess.run(["psql", "-X", "-q", "-d", database, "-v", "ON_ERROR_STOP=1", "-c", "CREATE EXTENSION live_queries",
                        "-f", os.path.join(HERE, "tpch_tables.sql")], check=True, stdout=subprocess.DEVNULL)
    else:
        subprocess.run(["createdb", "-T", "foreign_base", database], check=True)
    rng = random.Random("%d %s" % (options.seed, name))
    session, watcher = connect(database), connect(database)
    session.autocommit = watcher.autocommit = True
    changes = Changes(connect(database, session_replication_role="replica"), rng)
    watch = Watch(session, watcher, changes, rng, options.rounds)
    with open(file, encoding="utf-8") as opened:
        text = opened.read()
    try:
        Suite(name, text, session, watch, report, environment, Identities(watcher, rng)).run()
    finally:
        for connection in (session, watcher, changes.connection):
            connection.close()
        subprocess.run(["dropdb", "--force", database], check=False)


def main():
    """Runs the suites that are asked for."""
    options = arguments()
    print("foreign: seed %d, %d rounds" % (options.seed, options.rounds), flush=True)
    environment = dict(os.environ, PG_ABS_SRCDIR=options.source, PG_LIBDIR=options.source, PG_DLSUFFIX=".so", PGOPTIONS="-c client_min_messages=error")
    if options.suites != ["tpch"]:
        prepare(options, environment)
    report = Report(options.log)
    for name in options.suites or SUITES:
        run_suite(name, options, environment, report)
        print("foreign: %s %s" % (name, dict(report.counts.get(name, {}))), flush=True)
    report.show()
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
