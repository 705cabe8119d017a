"""The stages: each does one thing very often, and leaves nothing behind."""

import os
import subprocess
import sys
import threading
import time

import psycopg2

import connects
import cycles
import joins
import pressure
import wal
from probe import Probe
from world import Failed


# Of what is slow there are fewer, so that each may leave more: a lower limit.
FEW = {"contexts kB": (32, 1024)}


def in_threads(works):
    """Calls several functions at one time; the first exception is raised once all have ended."""
    errors = []

    def guarded(work):
        try:
            work()
        except (psycopg2.Error, Failed) as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


class Stage:
    """What is done `total` times. run() may be called several times, with parts of it."""

    name = unit = ""
    warm_up = 0
    limits = {}  # where it needs others than growth.LIMITS
    threads = 4

    def __init__(self, world):
        self.world = world
        self.total = getattr(world.options, self.name)
        self.done = 0

    def open(self):
        """Before the warm-up."""

    def begin(self):
        """Before the first half, after the first measurement."""
        self.done = 0

    def run(self, count):
        """Does it `count` times, shared among threads; the first of them takes a larger share, alone."""
        alone = count // 4
        self._share(0, alone)
        rest = count - alone
        shares = [rest // self.threads + (number < rest % self.threads) for number in range(self.threads)]
        in_threads([lambda number=number, share=share: self._share(number, share) for number, share in enumerate(shares)])

    def _share(self, thread, count):
        for _ in range(count):
            self.done += 1
            self.one(thread, self.done)
            if thread == 0:
                self.world.tick("%s: %d of %d" % (self.name, self.done, self.total))

    def one(self, thread, number):
        """Does it once."""

    def rest(self):
        """After each half, before things come to rest."""

    def checks(self):
        """Returns a list of (what, whether it holds)."""
        return []


class Subscriptions(Stage):
    """Subscribes and unsubscribes in all ways, on one connection and on several, while a writer writes."""

    name = "subscriptions"
    unit = "subscribe and unsubscribe"
    warm_up = 3000

    def __init__(self, world):
        super().__init__(world)
        self.clients = [cycles.Subscriber(world, client) for client in world.subscribers]

    def run(self, count):
        stop = threading.Event()

        def subscribe():
            try:
                super(Subscriptions, self).run(count)
            finally:
                stop.set()

        in_threads([subscribe, lambda: self._write(stop)])

    def one(self, thread, number):
        self.clients[thread].cycle(number)

    def _write(self, stop):
        number = 0
        while not stop.wait(0.01):
            number += 1
            self.world.writer.ask(
                "INSERT INTO soak_rows VALUES (nextval('soak_ids'), %s, 'k1', %s, 'x'); "
                "UPDATE soak_parts SET body = %s WHERE owner = %s",
                number % 7, number % 11, str(number), number % 5)
            if number % 500 == 0:
                self.world.writer.ask("DELETE FROM soak_rows WHERE id >= 1000")
                self.world.writer.ask("VACUUM soak_rows")

    def checks(self):
        return [("every call was answered as it has to be" + "".join(": " + one.wrong for one in self.clients if one.wrong),
                 not any(one.wrong for one in self.clients))]


class Joins(Stage):
    """Rows change that a hundred live joins read, and dead ones are removed meanwhile."""

    name = "joins"
    unit = "updates beside a hundred live joins"
    warm_up = 400
    # Where definitions and messages come to lie in shared memory differs each time: one more segment, of whatever size.
    limits = {"segments kB": (4096, 4096)}

    def __init__(self, world):
        super().__init__(world)
        self.joins = None
        self.connections = []
        self.verdicts = []

    def begin(self):
        super().begin()
        self.verdicts = []

    def run(self, count):
        self.joins = joins.Joins(self.world)
        self.joins.open()
        self.connections = [self.world.connect() for _ in range(self.threads)]
        try:
            super().run(count)
        finally:
            for connection in self.connections:
                connection.close()
            self.joins.close()
        self.verdicts += self.joins.checks()

    def one(self, thread, number):
        with self.connections[thread].cursor() as cursor:
            cursor.execute("UPDATE soak_joined SET n = %s WHERE id = %s", (number, 1 + number % joins.ROWS))
        self.joins.updated()

    def checks(self):
        return self.verdicts


class Connects(Stage):
    """Connects, subscribes, receives a message and goes, in all ways."""

    name = "connects"
    unit = "connections"
    warm_up = 300
    limits = FEW

    def __init__(self, world):
        super().__init__(world)
        self.visitors = []

    def run(self, count):
        self.visitors = [connects.Visitor(self.world) for _ in range(self.threads)]
        super().run(count)
        self.rest()

    def one(self, thread, number):
        self.visitors[thread].visit(number)

    def rest(self):
        for visitor in self.visitors:
            visitor.close()
        self.visitors = []


class Databases(Stage):
    """A database gets its decoder, which is ended, starts again, and makes way for DROP DATABASE."""

    name = "databases"
    unit = "databases with a decoder"
    warm_up = 4
    limits = FEW
    threads = 1

    def one(self, thread, number):
        world = self.world
        name = "%s_%d" % (world.name, thread)
        world.ask("CREATE DATABASE %s" % name)
        try:
            connection = world.connect(dbname=name)
            with connection.cursor() as cursor:
                cursor.execute("CREATE EXTENSION live_queries; CREATE TABLE one (id int PRIMARY KEY)")
                cursor.execute("SELECT live.subscribe('a', 'SELECT * FROM one', delivery => 'poll')")
                cursor.execute("SELECT count(*) FROM live.snapshot('a')")
                if number % 2:
                    # Whatever it had must be gone with it, its subscriptions reset.
                    cursor.execute("SELECT pg_terminate_backend(pid, 10000) FROM live.workers"
                                   " WHERE database = current_database()")
                    cursor.execute("SELECT message->>'type' FROM live.poll(timeout => '60s')")
                    if cursor.fetchall() != [("reset",)]:
                        raise Failed("no reset after the decoder was ended")
                    cursor.execute("SELECT live.refresh('a')")
                    cursor.execute("SELECT count(*) FROM live.snapshot('a')")
                cursor.execute("INSERT INTO one VALUES (1)")
                cursor.execute("SELECT live.wait_for(timeout => '60s')")
                cursor.execute("SELECT count(*) FROM live.poll()")
                if cursor.fetchone() != (1,):
                    raise Failed("no message in a new database")
            connection.close()
        finally:
            world.ask("DROP DATABASE %s WITH (FORCE)" % name)


class Oracle(Stage):
    """The oracle, in many short runs; each makes a database and drops it."""

    name = "oracle"
    unit = "seeds of the oracle"
    warm_up = 4  # each way once
    # A segment goes when nothing is left in it. What the view keeps of terminated subscriptions may stand in any of those
    # that a burst of messages has needed.
    limits = {"segments": (1, 6), "segments kB": (1024, 32768)}
    threads = 1
    ways = [[], ["--tiny-mailboxes"], ["--delays", "--small-decoding-mem"], ["--delays", "--tiny-mailboxes"]]
    differences = ()

    def one(self, thread, number):
        options = self.world.options
        command = [os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "oracle", "run"),
                   "--seed", str(options.oracle_first + number - 1), "--seconds", str(options.oracle_seconds)]
        command += self.ways[number % len(self.ways)] + (["--dsn", options.dsn] if options.dsn else [])
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            sys.stdout.write(done.stdout.decode())
            self.differences += (" ".join(command[1:]),)

    def checks(self):
        return [("no difference" + "".join(": " + one for one in self.differences), not self.differences)]


class Wal(Stage):
    """Megabytes of WAL, while max_wal_size is small and subscribers stay."""

    name = "wal"
    unit = "MB of WAL"
    warm_up = 120
    # The allocator keeps what the largest transactions have needed, and the largest come at random.
    limits = {"memory kB": (8192, 16384)}

    def __init__(self, world):
        super().__init__(world)
        self.flood = wal.Flood(world)

    def open(self):
        self.world.set(wal.SETTINGS)

    def begin(self):
        super().begin()
        self.flood.begin()

    def run(self, count):
        before = self.done
        in_threads([lambda writer=writer: self.flood.write(count, writer, self._report(before)) for writer in range(2)])
        self.done = before + count

    def _report(self, before):
        return lambda written: self.world.tick("%s: %d of %d MB" % (self.name, before + written, self.total))

    def rest(self):
        self.flood.rest()

    def checks(self):
        return self.flood.checks()


class Pressure(Stage):
    """A huge transaction, a huge COPY and very many small transactions, beside those that read and some that never do."""

    name = "pressure"
    unit = "rounds of pressure"
    warm_up = 1
    # Where so many mailboxes were, a few segments stay.
    limits = {"segments": (2, 4), "segments kB": (8192, 16384), "memory kB": (8192, 32768)}

    def __init__(self, world):
        super().__init__(world)
        self.sizes = pressure.Sizes(world.options)
        pressure.require_connections(world, self.sizes)
        self.warm = False
        self.verdicts = []

    def open(self):
        self.world.writer.ask(pressure.SCHEMA % {"readers": self.sizes.readers})

    def begin(self):
        super().begin()
        self.warm = True
        self.verdicts = []

    def run(self, count):
        sizes = self.sizes if self.warm else self.sizes.tenth()
        self.world.set(pressure.settings(sizes))
        for _ in range(count):
            one = pressure.Round(self.world, Probe(self.world), sizes)
            try:
                one.run()
            finally:
                one.close()
            self.verdicts += one.verdicts
        self.world.reset(pressure.settings(sizes))

    def rest(self):
        self.world.writer.ask("TRUNCATE pressure_rows, pressure_copied")

    def checks(self):
        return self.verdicts


STAGES = {stage.name: stage for stage in (Subscriptions, Joins, Connects, Databases, Wal, Pressure, Oracle)}
