"""What an application does with live queries, by either shell, on a real server."""

import asyncio
import json
import pathlib
import sys
import threading
import time
import unittest
from decimal import Decimal

import psycopg

import live_queries
from live_queries import LiveQueryClosed, LiveQueryError, Times, aio, live
from live_queries.transport import check_psycopg
from server import SECONDS, SHELLS, execute, result_now, texts, value, write

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "recipes"))

from pgbouncer import PgBouncer  # noqa: E402

QUERY = "SELECT id, customer, total FROM shop_orders WHERE customer = $1"


def active():
    return value("SELECT count(*) FROM live_queries WHERE status = 'active'")


class OnAServer(unittest.TestCase):
    def setUp(self):
        execute(
            "CREATE EXTENSION IF NOT EXISTS live_queries",
            "DROP TABLE IF EXISTS shop_orders, shop_items CASCADE",
            "CREATE TABLE shop_orders (id int PRIMARY KEY, customer int, total numeric(10, 2), weight float8, note jsonb)",
            "CREATE TABLE shop_items (id int PRIMARY KEY, order_id int, n int)",
            "INSERT INTO shop_orders VALUES (1, 42, 9.50, 0.1, '{\"a\": 1.5}'), (2, 42, 3, NULL, NULL), (3, 7, 1, 2, NULL)",
        )

    def wait_until(self, done):
        end = time.monotonic() + SECONDS
        while not done():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)


class EitherShell(OnAServer):
    """Each test takes `shell`; made into two below."""

    def one(self, shell, *arguments, **options):
        shell = SHELLS[shell]("", **options)
        self.addCleanup(shell.close)
        return shell

    def check_shows_one_point(self, name):
        shell = self.one(name)
        orders = shell.add("SELECT count(*) AS n FROM shop_orders")
        items = shell.add("SELECT count(*) AS n FROM shop_items")
        shell.ready(orders)
        shell.ready(items)
        seen = []
        for query in (orders, items):
            query.on_change(lambda change: seen.append((orders.rows[0]["n"], items.rows[0]["n"])))
        for number in range(10, 20):
            with psycopg.connect("") as writer:
                writer.execute("INSERT INTO shop_orders VALUES (%s, 42, 1)", [number])
                writer.execute("INSERT INTO shop_items VALUES (%s, %s, 1)", [number, number])
        self.assertTrue(shell.until(lambda: items.rows[0]["n"] == 10))
        self.assertEqual({orders - items for orders, items in seen}, {3})
        self.assertEqual(orders.seq, items.seq)

    def check_gives_values_as_they_are(self, name):
        shell = self.one(name)
        query = shell.add("SELECT id, total, weight, note FROM shop_orders WHERE id = $1", [1])
        (row,) = shell.ready(query)
        self.assertEqual(repr(row), repr({"id": 1, "total": Decimal("9.50"), "weight": 0.1, "note": {"a": 1.5}}))
        self.assertEqual(query.keys, ("[1]",))
        execute("UPDATE shop_orders SET weight = 1e300, total = 10 WHERE id = 1")
        self.assertTrue(shell.until(lambda: query.rows[0]["weight"] == 1e300))
        self.assertEqual(repr(query.rows[0]["total"]), "Decimal('10.00')")

    def check_takes_other_params(self, name):
        shell = self.one(name)
        query = shell.add(QUERY, [42])
        self.assertEqual(len(shell.ready(query)), 2)
        shell.set_params(query, [7])
        self.assertTrue(shell.until(lambda: len(query.rows) == 1))
        self.assertEqual(query.state, "live")
        with self.assertRaisesRegex(LiveQueryError, "invalid input syntax") as caught:
            shell.set_params(query, ["x"])
        self.assertEqual(caught.exception.sqlstate, "22P02")
        self.assertEqual((query.state, query.params), ("live", ("7",)))

    def check_is_refused(self, name):
        shell = self.one(name)
        query = shell.add("SELECT nothing FROM nowhere")
        with self.assertRaises(LiveQueryError) as caught:
            shell.ready(query)
        self.assertEqual((query.state, caught.exception.sqlstate), ("error", "42P01"))

    def check_has_ended(self, name):
        shell = self.one(name)
        query = shell.add(QUERY, [42])
        shell.ready(query)
        execute("SELECT live.kill(live_id) FROM live_queries WHERE status = 'active'")
        self.assertTrue(shell.until(lambda: query.state == "error"))
        self.assertEqual(query.error.sqlstate, "57014")
        self.assertEqual(len(query.rows), 2)

    def check_is_closed(self, name):
        shell = self.one(name)
        first = shell.add(QUERY, [42])
        second = shell.add(QUERY, [7])
        shell.ready(second)
        first.close()
        self.assertEqual((first.state, len(first.rows)), ("closed", 2))
        self.assertTrue(shell.until(lambda: active() == 1))
        with self.assertRaises(LiveQueryError):
            shell.set_params(first, [7])
        second.close()
        self.assertTrue(shell.until(lambda: active() == 0))
        third = shell.add(QUERY, [7])  # which connects again
        self.assertEqual(len(shell.ready(third)), 1)

    def check_keeps_rows_while_stale(self, name):
        shell = self.one(name, times=Times(first_wait=0.2))
        query = shell.add(QUERY, [42])
        rows = shell.ready(query)
        states, errors = [], []

        def note(change):
            states.append((change.state, len(query.rows), change.left))
            if change.state == "stale":
                errors.append(query.error.sqlstate)
                execute("DELETE FROM shop_orders WHERE id = 1")

        query.on_change(note)
        execute("SELECT pg_terminate_backend(pid) FROM live_queries WHERE status = 'active'")
        self.assertTrue(shell.until(lambda: len(states) == 2))
        self.assertIn(errors[0], (None, "57P01"))
        self.assertEqual(states, [("stale", 2, ()), ("live", 1, ("[1]",))])
        self.assertIs(query.rows[0], rows[1])
        self.assertIsNone(query.error)

    def check_begins_with_data(self, name):
        shell = self.one(name)
        query = shell.add(QUERY, [42])
        rows = shell.ready(query)
        data = json.loads(json.dumps(query.data()))
        self.assertEqual(data["rows"][0], {"id": 1, "customer": 42, "total": "9.50"})
        execute("UPDATE shop_orders SET total = 99 WHERE id = 2")
        again = shell.add(QUERY, [42], initial=data)
        changes = []
        again.on_change(changes.append)
        self.assertEqual((again.state, texts(again.rows)), ("stale", texts(rows)))
        shell.ready(again)
        self.assertEqual([(c.state, c.entered, c.changed, c.left) for c in changes], [("live", (), ("[2]",), ())])

    def check_data_is_plain_and_loses_no_digit(self, name):
        shell = self.one(name)
        execute("INSERT INTO shop_orders VALUES (50, 9, 0.10, 0.1, '{\"n\": 9007199254740993, \"t\": \"9007199254740993\"}')")
        statement = "SELECT total, weight, note, 9007199254740993 + id AS whole FROM shop_orders WHERE customer = $1"
        query = shell.add(statement, [9])
        rows = shell.ready(query)
        text = json.dumps(query.data())
        note = {"n": "9007199254740993", "t": "9007199254740993"}
        self.assertEqual(json.loads(text)["rows"], [{"total": "0.10", "weight": 0.1, "note": note, "whole": "9007199254741043"}])
        again = shell.add(statement, [9], initial=json.loads(text))
        changes = []
        again.on_change(changes.append)
        self.assertEqual(repr(again.rows), repr(rows))
        shell.ready(again)
        self.assertEqual([(c.state, c.changed) for c in changes], [("live", ())])
        self.assertNotIn("exact", shell.add(QUERY, [7], initial={"rows": [], "keys": []}).data())

    def check_tells_the_others_when_a_listener_fails(self, name):
        shell = self.one(name)
        query = shell.add(QUERY, [42])
        told = []
        end = query.on_change(lambda change: 1 // 0)
        query.on_change(told.append)
        with self.assertLogs("live_queries", "ERROR"):
            shell.ready(query)
        self.assertEqual(len(told), 1)
        end()

    def check_uses_a_connection_that_is_lent(self, name):
        with psycopg.connect("") as connection, self.assertRaisesRegex(ValueError, "autocommit"):
            SHELLS[name](connection)
        connection = psycopg.connect("", autocommit=True)
        self.addCleanup(connection.close)
        shell = SHELLS[name](connection)
        query = shell.add(QUERY, [42])
        shell.ready(query)
        execute("INSERT INTO shop_orders VALUES (4, 42, 1)")
        self.assertTrue(shell.until(lambda: len(query.rows) == 3))
        shell.close()
        self.assertEqual(query.state, "closed")
        self.wait_until(lambda: active() == 0)
        self.assertEqual(connection.execute("SELECT 1").fetchone(), (1,))

    def check_has_a_throttle(self, name):
        shell = self.one(name)
        query = shell.add(QUERY, [42], throttle=0.1)
        shell.ready(query)
        execute("INSERT INTO shop_orders VALUES (4, 42, 1)")
        self.assertTrue(shell.until(lambda: len(query.rows) == 3))
        with self.assertRaises(ValueError):
            shell.includes(query, 1)

    def check_reads_its_own_writes(self, name):
        shell = self.one(name)
        query = shell.add(QUERY, [42])
        shell.ready(query)
        for statement in ("UPDATE shop_orders SET total = total + 1", "CREATE TABLE IF NOT EXISTS shop_other (x int)"):
            shell.includes(query, write(statement))
            self.assertEqual(sorted(texts(query.rows)), sorted(texts(result_now(QUERY, [42]))))

    def check_through_a_pooler(self, name):
        pooler = PgBouncer("session")
        self.addCleanup(pooler.close)
        shell = SHELLS[name](pooler.conninfo)
        self.addCleanup(shell.close)
        query = shell.add(QUERY, [42])
        shell.ready(query)
        execute("INSERT INTO shop_orders VALUES (4, 42, 1)")
        self.assertTrue(shell.until(lambda: len(query.rows) == 3))

    def check_refuses_a_pooler_of_transactions(self, name):
        pooler = PgBouncer("transaction")
        self.addCleanup(pooler.close)
        shell = SHELLS[name](pooler.conninfo)
        self.addCleanup(shell.close)
        query = shell.add(QUERY, [42])
        with self.assertRaisesRegex(LiveQueryError, "pool_mode = session"):
            shell.ready(query)
        self.wait_until(lambda: active() == 0)

    def check_says_who_may_not_connect(self, name):
        shell = SHELLS[name]("dbname=nowhere_at_all")
        self.addCleanup(shell.close)
        query = shell.add(QUERY, [42])
        with self.assertRaisesRegex(LiveQueryError, "does not exist"):
            shell.ready(query)


def _test_of(check, shell):
    def test(self):
        check(self, shell)

    return test


for check_name, check_function in list(vars(EitherShell).items()):
    if check_name.startswith("check_"):
        for shell_name in SHELLS:
            setattr(EitherShell, f"test_{check_name[6:]}_{shell_name}", _test_of(check_function, shell_name))


class Sync(OnAServer):
    def test_rows_in_a_loop(self):
        counts = []
        for rows in live("", QUERY, [42]):
            counts.append(len(rows))
            if len(counts) == 3:
                break
            execute(f"INSERT INTO shop_orders VALUES ({10 + len(counts)}, 42, 1)")
        self.assertEqual(counts, [2, 3, 4])
        self.wait_until(lambda: active() == 0)

    def test_a_loop_ends_with_an_error(self):
        with self.assertRaises(LiveQueryError), live("", QUERY, [42]) as query:
            for _ in query:
                execute("DROP TABLE shop_orders")

    def test_who_is_slow_gets_the_newest(self):
        with live("", QUERY, [42]) as query:
            counts = []
            for rows in query:
                counts.append(len(rows))
                if len(rows) > 20:
                    break
                for number in range(20):
                    execute(f"INSERT INTO shop_orders VALUES ({100 + number}, 42, 1)")
                while len(query.rows) < 22:
                    query._connection.wait(30)
            self.assertEqual(counts, [2, 22])

    def test_a_timeout_disturbs_nothing(self):
        with live("", QUERY, [42]) as query:
            query.ready(SECONDS)
            with self.assertRaises(TimeoutError):
                query.includes(2**40, 0.3)
            execute("INSERT INTO shop_orders VALUES (4, 42, 1)")
            self.assertTrue(query._connection.wait(SECONDS))
            self.assertEqual(len(query.rows), 3)
            query.includes(write("DELETE FROM shop_orders WHERE id = 4"), SECONDS)

    def test_a_loop_ends_after_a_time(self):
        with live("", QUERY, [42]) as query:
            query.ready(SECONDS)
            start = time.monotonic()
            self.assertEqual([len(rows) for rows in query.iterate(0.3)], [2])
            self.assertTrue(0.3 <= time.monotonic() - start < SECONDS)
            self.assertEqual(query.state, "live")
            execute("INSERT INTO shop_orders VALUES (4, 42, 1)")
            self.assertEqual(next(len(rows) for rows in query if len(rows) > 2), 3)
        # One that has its connection for itself leaves nothing behind.
        # Where the machine is slow, it needs more time for its first rows.
        self.assertTrue(any([len(rows) for rows in live("", QUERY, [42]).iterate(seconds)] == [3] for seconds in (2, 10, 30)))
        self.wait_until(lambda: active() == 0)

    def test_stopped_from_another_thread(self):
        connection = live_queries.connect("")
        query = connection.live(QUERY, [42])
        query.ready(SECONDS)
        sizes = []
        for rows in query:
            sizes.append(len(rows))
            threading.Timer(0.2, connection.stop).start()
        self.assertEqual(sizes, [2])
        connection.close()
        self.assertEqual(query.state, "closed")

    def test_nobody_there(self):
        with live("host=/nowhere", QUERY, [42], times=Times(first_wait=0.05)) as query:
            with self.assertRaises(TimeoutError):
                query.ready(0.3)
            self.assertEqual((query.state, query.error.sqlstate), ("connecting", None))


class Async(OnAServer):
    def run_async(self, coroutine):
        return asyncio.run(asyncio.wait_for(coroutine, SECONDS))

    def test_rows_in_a_loop(self):
        async def main():
            counts = []
            async for rows in aio.live("", QUERY, [42]):
                counts.append(len(rows))
                if len(counts) == 3:
                    break
                execute(f"INSERT INTO shop_orders VALUES ({10 + len(counts)}, 42, 1)")
            return counts

        self.assertEqual(self.run_async(main()), [2, 3, 4])
        self.wait_until(lambda: active() == 0)

    def test_cancelling_disturbs_nothing(self):
        async def main():
            async with aio.live("", QUERY, [42]) as query:
                await query.ready()
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(query.includes(2**40), 0.3)
                self.assertEqual(query._state.include_calls, [])
                await query.includes(write("DELETE FROM shop_orders WHERE id = 2"))
                self.assertEqual(len(query.rows), 1)
            self.assertEqual(query.state, "closed")
            with self.assertRaises(LiveQueryClosed):
                await query.ready()

        self.run_async(main())
        self.wait_until(lambda: active() == 0)

    def test_a_loop_ends_after_a_time(self):
        async def read(query, counts):
            async for rows in query:
                counts.append(len(rows))

        async def main():
            counts = []
            async with aio.live("", QUERY, [42]) as query:
                await query.ready()
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(read(query, counts), 0.3)
                self.assertEqual((query.state, query._waiting), ("live", set()))
                await query.includes(write("INSERT INTO shop_orders VALUES (4, 42, 1)"))
            return counts, len(query.rows)

        self.assertEqual(self.run_async(main()), ([2], 3))
        self.wait_until(lambda: active() == 0)

    def test_a_loop_ends_by_an_event(self):
        async def main():
            enough = asyncio.Event()
            counts = []

            async def read():
                async for rows in aio.live("", QUERY, [42]):  # nobody else could close it
                    counts.append(len(rows))
                    enough.set()

            reader = asyncio.create_task(read())
            await enough.wait()
            reader.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await reader
            return counts

        self.assertEqual(self.run_async(main()), [2])
        self.wait_until(lambda: active() == 0)

    def test_several_readers(self):
        async def main():
            async with aio.live("", QUERY, [42]) as query:

                async def read():
                    async for rows in query:
                        if len(rows) == 3:
                            return rows

                readers = [asyncio.create_task(read()) for _ in range(5)]
                await query.ready()
                execute("INSERT INTO shop_orders VALUES (4, 42, 1)")
                return await asyncio.gather(*readers)

        self.assertEqual(len({id(rows) for rows in self.run_async(main())}), 1)

    def test_a_loop_that_ends_leaves_no_task(self):
        async def main():
            tasks = len(asyncio.all_tasks())
            connection = aio.connect("")
            query = connection.live(QUERY, [42])
            await query.ready()
            query.close()
            while connection._task and not connection._task.done():
                await asyncio.sleep(0.01)
            await connection.aclose()
            return len(asyncio.all_tasks()) - tasks

        self.assertEqual(self.run_async(main()), 0)


class Versions(unittest.TestCase):
    def test_psycopg_that_loses_notifications_is_refused(self):
        for version in ("3.1.7", "3.2.3", "2.9.5"):
            with self.subTest(version), self.assertRaisesRegex(ImportError, "3.2.4"):
                check_psycopg(version)
        for version in ("3.2.4", "3.2.10", "3.3.0.dev1", "4.0"):
            check_psycopg(version)


if __name__ == "__main__":
    unittest.main()
