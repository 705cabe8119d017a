"""Writes much WAL while max_wal_size is small: the decoder has to keep up and to give it back."""

import random
import time

from world import Failed

MB = 1024 * 1024
# So that WAL is recycled all the time, and that decoding and change batches go to files.
SETTINGS = {"max_wal_size": "64MB", "min_wal_size": "32MB", "logical_decoding_work_mem": "2MB",
            "live_queries.transaction_memory": "2MB"}
LAG = 48 * MB     # writers wait where the decoder is farther behind
LARGEST = 512     # MB that pg_wal may ever take: the lag of two writers' last transactions included

# What a transaction does, in an order of tables in which nobody deadlocks: each writer has rows of its own (%(owner)s).
BODY = "(SELECT string_agg(md5((g * 31 + i)::text), '') FROM generate_series(1, %(size)s) i)"
STATEMENTS = {
    "other": "INSERT INTO soak_other SELECT g, " + BODY + " FROM generate_series(1, %(rows)s) g",
    "bulk": "INSERT INTO soak_bulk SELECT nextval('soak_ids'), " + BODY + " FROM generate_series(1, %(rows)s) g",
    "delete": "DELETE FROM soak_bulk WHERE id %% 6 = %(owner)s %% 6",
    "rows": "INSERT INTO soak_rows SELECT nextval('soak_ids'), %(owner)s, 'wal', g, " + BODY +
            " FROM generate_series(1, %(rows)s) g",
    "update": "UPDATE soak_rows SET amount = 99999 * random() WHERE id >= 1000 AND owner = %(owner)s",
}
EMPTY = ["TRUNCATE soak_other, soak_bulk", "DELETE FROM soak_rows WHERE id >= 1000 AND owner %% 2 = %(owner)s"]


class Flood:
    """Writers of WAL, and what the server did with it."""

    def __init__(self, world):
        self.world = world
        self.largest = 0
        self.start = self.restart = None
        self.peak_retained = 0

    def begin(self):
        """From here on is counted."""
        self.largest = self.peak_retained = 0
        self.start = self._position()
        self.restart = self._restart_position()

    def write(self, megabytes, writer, report):
        """Random transactions until so much WAL has been written, by all writers together. Several threads call it."""
        choose = random.Random(writer)
        connection = self.world.connect()
        begin = self._position()
        transactions = 0
        with connection.cursor() as cursor:
            while True:
                self._transaction(cursor, choose, writer)
                transactions += 1
                if transactions % 5:
                    continue
                written = (self._position() - begin) // MB
                report(written)
                if written >= megabytes:
                    break
                self._wait_for_decoder()
        connection.close()

    def _transaction(self, cursor, choose, writer):
        if choose.random() < 0.02:
            for text in EMPTY:
                cursor.execute(text % {"owner": writer})
            return
        chosen = set(choose.choices(list(STATEMENTS), [30, 30, 8, 10, 10], k=choose.choice([1, 1, 1, 3])))
        # Some are large: several times what fits into memory.
        rows = choose.choice([1, 1, 5, 50, 50, 400, 4000])
        cursor.execute("BEGIN")
        for name in [name for name in STATEMENTS if name in chosen]:
            size = choose.choice([1, 10, 60])
            nested = choose.random() < 0.2
            if nested:
                cursor.execute("SAVEPOINT s")
            few = min(rows, 400) if name == "rows" else rows
            cursor.execute(STATEMENTS[name] % {"rows": few, "size": size, "owner": 2 * choose.randrange(5) + writer})
            if nested:
                cursor.execute(choose.choice(["ROLLBACK TO s", "RELEASE s"]))
        cursor.execute(choose.choice(["COMMIT", "COMMIT", "COMMIT", "COMMIT", "ROLLBACK"]))

    def _wait_for_decoder(self):
        deadline = time.monotonic() + 120
        while True:
            lag, retained = self.world.writer.row(
                "SELECT lag_bytes, retained_wal_bytes FROM live.workers WHERE database = current_database()")
            self.peak_retained = max(self.peak_retained, retained or 0)
            self.largest = max(self.largest, self._wal_bytes())
            if lag < LAG:
                return
            if time.monotonic() > deadline:
                raise Failed("the decoder is %d MB behind" % (lag // MB))
            time.sleep(0.01)

    def _position(self):
        return int(self.world.ask("SELECT pg_current_wal_lsn() - '0/0'"))

    def _restart_position(self):
        return int(self.world.writer.ask(
            "SELECT restart_lsn - '0/0' FROM pg_replication_slots s JOIN live.workers w ON w.slot_name = s.slot_name"
            " WHERE w.database = current_database()"))

    def _wal_bytes(self):
        return int(self.world.ask("SELECT sum(size) FROM pg_ls_waldir()"))

    def rest(self):
        """Empties the tables."""
        self.world.write("TRUNCATE soak_other, soak_bulk")
        self.world.write("DELETE FROM soak_rows WHERE id >= 1000")
        self.world.writer.ask("VACUUM soak_rows")  # in full, it would reset all who watch

    def checks(self):
        """Returns what holds of the WAL."""
        written = self._position() - self.start
        moved = self._restart_position() - self.restart
        return [
            ("pg_wal never took more than %d MB: %d MB while %d MB were written" % (
                LARGEST, self.largest // MB, written // MB), 0 < self.largest <= LARGEST * MB),
            ("restart_lsn has moved on by %d MB" % (moved // MB), moved > written - 64 * MB),
            ("at most %d MB were retained for the decoder" % (self.peak_retained // MB), self.peak_retained < LARGEST * MB),
        ]
