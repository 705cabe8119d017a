"""Runs each recipe, with its real driver, on the server that libpq's environment names.

    python3 -m unittest -v test_recipes       with the extension's server, and compilers, as `test/run python` has them
"""

import json
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from pgbouncer import PgBouncer

HERE = pathlib.Path(__file__).parent
SECONDS = 60
QUERY = "SELECT id, customer, total, note FROM recipe_orders WHERE customer = $1"


def sql(text):
    """What psql prints for some statements, unaligned."""
    command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", text]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS).stdout.strip()


def expected_rows(query=QUERY):
    rows = sql(f"SELECT coalesce(json_agg(row_to_json(q)), '[]') FROM ({query.replace('$1', '42')}) q")
    return sorted(json.loads(rows), key=json.dumps)


class Recipe:
    """A running recipe: its lines of output as they come."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)

    def next_rows(self):
        """The rows of the next line."""
        return sorted(json.loads(self.lines.get(timeout=SECONDS)), key=json.dumps)

    def end(self):
        """Waits for its end: its status, and what it said."""
        status = self.process.wait(timeout=SECONDS)
        return status, self.process.stderr.read().strip()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        self.process.stderr.close()


class EachRecipe:
    """What every recipe does. A class of tests says by which command it is run."""

    def command(self):
        raise NotImplementedError

    def setUp(self):
        sql("""
            CREATE EXTENSION IF NOT EXISTS live_queries;
            DROP TABLE IF EXISTS recipe_orders;
            CREATE TABLE recipe_orders (id int PRIMARY KEY, customer int, total numeric(10, 2), note text);
            INSERT INTO recipe_orders VALUES (1, 42, 9.50, 'a'), (2, 42, 3, 'it''s "b"\\'), (3, 7, 1, 'c')""")

    def start(self, query=QUERY):
        recipe = Recipe([*self.command(), query, "42"])
        self.addCleanup(recipe.close)
        self.assertEqual(recipe.next_rows(), expected_rows(query))
        return recipe

    def test_follows_changes(self):
        recipe = self.start()
        for statements in (
            "INSERT INTO recipe_orders VALUES (4, 42, 1.25, NULL)",
            "UPDATE recipe_orders SET total = total + 1 WHERE customer = 42",
            "BEGIN; UPDATE recipe_orders SET customer = 7 WHERE id = 1; UPDATE recipe_orders SET id = 20 WHERE id = 2; COMMIT",
            "DELETE FROM recipe_orders WHERE id = 4",
        ):
            sql(statements)
            self.assertEqual(recipe.next_rows(), expected_rows())

    def test_reads_a_long_first_result_and_a_message_in_parts(self):
        sql("INSERT INTO recipe_orders SELECT i, 42, i, '' FROM generate_series(100, 2599) i")
        recipe = self.start()
        sql("UPDATE recipe_orders SET note = repeat('x', 300) WHERE id >= 100")
        self.assertEqual(recipe.next_rows(), expected_rows())

    def test_keeps_equal_rows(self):
        sql("""
            DROP TABLE IF EXISTS recipe_bag;
            CREATE TABLE recipe_bag (a int, b text);
            ALTER TABLE recipe_bag REPLICA IDENTITY FULL;
            INSERT INTO recipe_bag VALUES (42, 'x'), (42, 'x'), (42, 'y')""")
        query = "SELECT a, b FROM recipe_bag WHERE a = $1"
        recipe = self.start(query)
        sql("DELETE FROM recipe_bag WHERE ctid = (SELECT ctid FROM recipe_bag WHERE b = 'x' LIMIT 1)")
        rows = recipe.next_rows()
        self.assertEqual(rows, expected_rows(query))
        self.assertEqual(len(rows), 2)

    def test_begins_again_after_a_reset(self):
        recipe = self.start()
        sql("VACUUM FULL recipe_orders")  # another storage: whoever watches the table is reset
        self.assertEqual(recipe.next_rows(), expected_rows())
        sql("INSERT INTO recipe_orders VALUES (5, 42, 1, 'e')")
        self.assertEqual(recipe.next_rows(), expected_rows())

    def test_says_that_the_live_query_has_ended(self):
        recipe = self.start()
        sql("DROP TABLE recipe_orders")
        status, said = recipe.end()
        self.assertEqual(status, 1)
        self.assertIn("the live query has ended", said)

    def test_says_that_the_connection_is_lost(self):
        recipe = self.start()
        sql("SELECT pg_terminate_backend(pid) FROM live_queries WHERE query ~ 'recipe' AND status = 'active'")
        status, said = recipe.end()
        self.assertEqual(status, 1)
        self.assertRegex(said, "terminating connection|server closed the connection")

    def test_says_why_it_is_refused(self):
        recipe = Recipe([*self.command(), "SELECT random()", "42"])
        self.addCleanup(recipe.close)
        status, said = recipe.end()
        self.assertEqual(status, 1)
        self.assertRegex(said, "volatile|parameter")


class Psycopg2(EachRecipe, unittest.TestCase):
    def command(self):
        return [str(HERE / "psycopg2_client.py"), ""]


class Libpq(EachRecipe, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.program = os.path.join(cls.directory.name, "libpq_client")
        flags = ["pkg-config", "--cflags", "--libs", "libpq", "json-c"]
        flags = subprocess.run(flags, check=True, capture_output=True, text=True).stdout.split()
        compiler = ["cc", "-Wall", "-Wextra", "-Werror", "-O1", "-o", cls.program]
        subprocess.run([*compiler, str(HERE / "libpq_client.c"), *flags], check=True)

    def command(self):
        return [self.program, ""]


class Pgx(EachRecipe, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.program = os.path.join(cls.directory.name, "pgx_client")
        # Debian's packages of Go are sources, outside of any module.
        settings = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": os.path.join(cls.directory.name, "cache")}
        source = str(HERE / "pgx_client.go")
        for command in (["go", "build", "-o", cls.program, source], ["go", "vet", source]):
            subprocess.run(command, check=True, env={**os.environ, **settings})

    def command(self):
        return [self.program, ""]


class Jdbc(EachRecipe, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        jars = ["/usr/share/java/postgresql.jar", "/usr/share/java/gson.jar"]
        cls.class_path = ":".join(jars + [cls.directory.name])
        compiler = ["javac", "-Xlint:all", "-Werror", "-d", cls.directory.name, "-cp", ":".join(jars)]
        subprocess.run([*compiler, str(HERE / "JdbcClient.java")], check=True)
        # The driver knows TCP alone; the server of a test has but a socket.
        proxy = [sys.executable, str(HERE.parent / "conformance" / "proxy.py")]
        cls.proxy = subprocess.Popen(proxy, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(cls.proxy.communicate)
        cls.port = cls.proxy.stdout.readline().split()[1]

    def command(self):
        url = f"jdbc:postgresql://127.0.0.1:{self.port}/{os.environ['PGDATABASE']}?user={os.environ['PGUSER']}"
        return ["java", "-XX:TieredStopAtLevel=1", "-cp", self.class_path, "JdbcClient", url]


class ThroughPgBouncer(unittest.TestCase):
    """The recipe of psycopg2 through a pooler."""

    setUp = EachRecipe.setUp

    def command(self, mode):
        pooler = PgBouncer(mode)
        self.addCleanup(pooler.close)
        return [str(HERE / "psycopg2_client.py"), pooler.conninfo, QUERY, "42"]

    def test_a_session_is_a_connection(self):
        recipe = Recipe(self.command("session"))
        self.addCleanup(recipe.close)
        self.assertEqual(recipe.next_rows(), expected_rows())
        sql("INSERT INTO recipe_orders VALUES (6, 42, 1, 'f')")
        self.assertEqual(recipe.next_rows(), expected_rows())
        recipe.close()
        # The pooler keeps the connection; DISCARD ALL, which it sends when its client has gone, ends what was subscribed to.
        deadline = time.monotonic() + SECONDS
        while sql("SELECT count(*) FROM live_queries WHERE status = 'active'") != "0":
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def test_a_transaction_is_none(self):
        """Nothing is told, and nobody says so; what was subscribed to is left behind. So the page says not to."""
        recipe = Recipe(self.command("transaction"))
        self.addCleanup(recipe.close)
        self.assertEqual(recipe.next_rows(), expected_rows())  # by chance, on the same connection of the pooler
        sql("INSERT INTO recipe_orders VALUES (6, 42, 1, 'f')")
        self.assertEqual(sql("SELECT live.wait_for()"), "t")
        with self.assertRaises(queue.Empty):
            recipe.lines.get(timeout=2)
        recipe.close()
        self.assertEqual(sql("SELECT count(*) FROM live_queries WHERE status = 'active'"), "1")
        sql("SELECT live.kill(live_id) FROM live_queries WHERE status = 'active'")


if __name__ == "__main__":
    unittest.main()
