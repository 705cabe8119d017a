"""Live queries that wait together begin by one call, on a real server; and one that is wrong keeps no other from being live."""

import re
import unittest
from unittest import mock

from live_queries import transport
from server import SHELLS, execute, write

RIGHT = "SELECT id, word FROM words WHERE word = $1 OR $2::int IS NOT NULL ORDER BY id"
WRONG = "SELECT nothing FROM words"


class Several(unittest.TestCase):
    def setUp(self):
        execute(
            "CREATE EXTENSION IF NOT EXISTS live_queries",
            "DROP TABLE IF EXISTS words",
            "CREATE TABLE words (id int PRIMARY KEY, word text)",
            "INSERT INTO words VALUES (1, 'it''s'), (2, '\"\\'), (3, 'é')",
        )
        self.said = []

    def record(self, command, batch):
        sql, arguments = self.statement(command, batch)
        self.said += re.findall(r"live\.(subscribe\w*)", sql)
        return sql, arguments

    def begin(self, name, *definitions):
        """All in one moment, on one connection."""
        self.said = []
        self.statement = transport.statement
        recording = mock.patch.object(transport, "statement", self.record)
        recording.start()
        self.addCleanup(recording.stop)
        shell = SHELLS[name]("")
        self.addCleanup(shell.close)
        return shell, shell.add_all(definitions)

    def check_begin_by_one_call(self, name):
        options = {"throttle": "10 ms", "refresh_every": 0.5}
        shell, queries = self.begin(
            name, (RIGHT, ["it's", None], {}), (RIGHT, ['"\\', None], options), (RIGHT, ["é", None], {}), (RIGHT, [None, 1], {})
        )
        for query in queries:
            shell.ready(query)
        self.assertEqual([[row["id"] for row in query.rows] for query in queries], [[1], [2], [3], [1, 2, 3]])
        self.assertEqual(self.said, ["subscribe_many"])
        self.assertEqual(len({query.seq for query in queries}), 1)
        self.assertEqual([query.strategy for query in queries], [queries[0].strategy] * 4)
        shell.includes(queries[0], write("INSERT INTO words VALUES (4, 'it''s')"))
        self.assertEqual([len(queries[0].rows), len(queries[3].rows)], [2, 4])

    def check_one_that_is_wrong(self, name):
        shell, queries = self.begin(name, (RIGHT, ["it's", None], {}), (WRONG, [], {}), (RIGHT, ["é", None], {}))
        for query in (queries[0], queries[2]):
            shell.ready(query)
        self.assertTrue(shell.until(lambda: queries[1].state == "error"))
        self.assertEqual(queries[1].error.sqlstate, "42703")
        self.assertEqual([query.state for query in queries], ["live", "error", "live"])
        self.assertEqual(self.said, ["subscribe_many", "subscribe", "subscribe", "subscribe"])
        shell.includes(queries[2], write("INSERT INTO words VALUES (4, 'é')"))
        self.assertEqual([row["id"] for row in queries[2].rows], [3, 4])

    def test_they_begin_by_one_call(self):
        self.check_begin_by_one_call("sync")

    def test_they_begin_by_one_call_async(self):
        self.check_begin_by_one_call("async")

    def test_one_that_is_wrong(self):
        self.check_one_that_is_wrong("sync")

    def test_one_that_is_wrong_async(self):
        self.check_one_that_is_wrong("async")


if __name__ == "__main__":
    unittest.main()
