"""bench_polling.py: a client that polls: it runs its query again and again, and compares the results.

What is left to a client without live queries that wants any SELECT, and is to know of a change.
"""

import random
import threading
import time


class Poller:
    """One connection, and the result that it had last."""

    def __init__(self, server, query):
        self.connection = server.connect()
        self.copy = f"COPY ({query}) TO STDOUT"
        self.result, self.seconds = self.poll()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.raw.close()

    def poll(self):
        """Takes all rows: what tells this result from another one, and how long it took."""
        start = time.monotonic()
        rows = Sum()
        with self.connection.cursor() as cursor:
            cursor.copy_expert(self.copy, rows)
        return rows.value, time.monotonic() - start

    def notice(self, commit):
        """Polls without a pause, while commit() comes at some moment of a poll; milliseconds from when that says it was
        until the result has changed."""
        committed = []

        def commit_soon():
            time.sleep(random.random() * self.seconds)
            committed.append(commit())

        thread = threading.Thread(target=commit_soon)
        thread.start()
        while True:
            has_to_notice = not thread.is_alive()
            result, self.seconds = self.poll()
            arrived = time.monotonic_ns()
            if result != self.result:
                break
            if has_to_notice:
                raise RuntimeError("a poll after the commit has the same result")
        thread.join()
        self.result = result
        return (arrived - committed[0]) / 1e6


class Sum:
    """A file for COPY that keeps the sum of its rows' hashes: the same for the same rows, in whatever order they come."""

    def __init__(self):
        self.value = 0

    def write(self, row):
        self.value = (self.value + hash(row)) & 0xFFFFFFFFFFFFFFFF
