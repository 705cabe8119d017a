"""The small application at the end of docs/guide.md, as it stands there."""

import os
import pathlib
import queue
import re
import subprocess
import sys
import threading
import unittest

from server import SECONDS, execute

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs" / "guide.md"


def blocks():
    """Those of the last section: kind and text."""
    section = PAGE.read_text(encoding="utf-8").split("\n## A small application\n")[1]
    return re.findall(r"^```(\w*)\n(.*?)^```$", section, re.M | re.S)


class Application:
    """Runs the program, and knows what it has printed."""

    def __init__(self, test, *arguments):
        (program,) = (text for kind, text in blocks() if kind == "python")
        path = os.pathsep.join(filter(None, sys.path))
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path},
        )
        test.addCleanup(self.process.stdout.close)
        test.addCleanup(self.process.wait)
        test.addCleanup(self.process.kill)
        self.lines = queue.Queue()
        threading.Thread(target=lambda: [self.lines.put(line) for line in self.process.stdout], daemon=True).start()

    def next_lines(self, count):
        return "".join(self.lines.get(timeout=SECONDS) for _ in range(count))


class Guide(unittest.TestCase):
    def test_the_small_application(self):
        (table,) = (text for kind, text in blocks() if kind == "sql")
        first, then = (text for kind, text in blocks() if kind == "")
        execute("CREATE EXTENSION IF NOT EXISTS live_queries", "DROP TABLE IF EXISTS todo", *filter(str.strip, table.split(";\n")))
        application = Application(self, "write an application")
        self.assertEqual(application.next_lines(first.count("\n")), first)
        execute("UPDATE todo SET done = true WHERE id = 1")
        self.assertEqual(application.next_lines(then.count("\n")), then)
        self.assertIsNone(application.process.poll())


if __name__ == "__main__":
    unittest.main()
