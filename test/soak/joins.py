"""A hundred live joins, who reads them, and VACUUM beside: what the evaluator's snapshot keeps from being removed."""

import re
import threading
import time

from world import Failed

CONNECTIONS = 10
OWNERS = 10
ROWS = 1000
PAUSE = 0.3  # seconds between two vacuums
OLDEST = 2   # seconds that the evaluator's snapshot may lag behind

SCHEMA = """
CREATE TABLE IF NOT EXISTS soak_joined (id int PRIMARY KEY, owner int NOT NULL, part int NOT NULL, n int NOT NULL);
INSERT INTO soak_joined SELECT i, i %% %d, 1 + i %% 50, 0 FROM generate_series(1, %d) i ON CONFLICT DO NOTHING;
""" % (OWNERS, ROWS)
# Of each connection another one, with a parameter: so many evaluations, and not one that all share.
QUERY = ("SELECT j.id, j.n, p.body, %d AS which FROM soak_joined j JOIN soak_parts p ON p.id = j.part"
         " WHERE j.owner = $1 AND j.n >= 0")
LEFT = re.compile(r"(\d+) are dead but not yet removable")


class Joins:
    """The live joins, from one rest to the next."""

    def __init__(self, world):
        self.world = world
        self.connections = []
        self.stop = threading.Event()
        self.threads = []
        self.done = 0       # updates
        self.lock = threading.Lock()
        self.history = []   # (time, updates)
        self.vacuums = []   # (updates, dead rows that were left, seconds since as many were updated)
        self.messages = 0
        self.wrong = ""

    def open(self):
        """Subscribes."""
        self.world.writer.ask(SCHEMA)
        for number in range(CONNECTIONS):
            connection = self.world.connect()
            self.connections.append(connection)
            with connection.cursor() as cursor:
                for owner in range(OWNERS):
                    cursor.execute("SELECT live.subscribe(%s, %s, ARRAY[%s], delivery => 'poll')",
                                   ("j%d" % owner, QUERY % number, str(owner)))
                    cursor.execute("SELECT count(*) FROM live.snapshot(%s)", ("j%d" % owner,))
        self.history = [(time.monotonic(), 0)]
        self.threads = [threading.Thread(target=self._guarded, args=(work,)) for work in (self._read, self._vacuum)]
        for thread in self.threads:
            thread.start()

    def updated(self):
        """Counts an update."""
        with self.lock:
            self.done += 1

    def close(self):
        """Ends them."""
        self.stop.set()
        for thread in self.threads:
            thread.join()
        for connection in self.connections:
            connection.close()
        self.connections = []

    def _guarded(self, work):
        try:
            while not self.stop.is_set():
                work()
        except Exception as error:  # pylint: disable=broad-except
            self.wrong = str(error).strip()

    def _read(self):
        for connection in self.connections:
            with connection.cursor() as cursor:
                cursor.execute("SELECT message->>'type', count(*) FROM live.poll() GROUP BY 1")
                for kind, count in cursor.fetchall():
                    if kind != "changes":
                        raise Failed("a live join got %s" % kind)
                    self.messages += count
        self.stop.wait(0.05)

    def _vacuum(self):
        self.stop.wait(PAUSE)
        connection = self.world.writer.connection
        with self.world.writer.lock, connection.cursor() as cursor:
            del connection.notices[:]
            cursor.execute("VACUUM (VERBOSE) soak_joined")
            left = LEFT.search("".join(connection.notices))
        now, done = time.monotonic(), self.done
        self.history.append((now, done))
        since = next((at for at, count in reversed(self.history) if count <= done - int(left[1])), self.history[0][0])
        self.vacuums.append((done, int(left[1]), now - since))

    def checks(self):
        """Returns a list of (what, whether it holds). A snapshot that stayed would leave all."""
        done, left, age = max((one for one in self.vacuums if one[0] >= self.done / 2), key=lambda one: one[2], default=(0, 0, 0))
        return [("a vacuum has left %d dead rows of %d, updated in %.1f s, at the worst" % (left, done, age),
                 done > 0 and (age < OLDEST or left < done / 2)),
                ("the live joins were told of changes" + (": " + self.wrong if self.wrong else ""),
                 self.messages > 0 and not self.wrong)]
