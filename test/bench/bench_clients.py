"""bench_clients.py: the load programs of the benchmark, as Python objects.

Listener (listen.c) and write_at_rate (write.c) are this benchmark's own; pgbench
and pg_recvlogical are PostgreSQL's. Nothing here knows what is being compared.
"""

import collections
import concurrent.futures
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import time

from bench_servers import DATABASE, bin_path, pg_config

NOTE = "a line of text of ordinary length"
QUIET_SECONDS = 15

# What pgbench says: transactions a second, and how many.
Load = collections.namedtuple("Load", "tps transactions")
Totals = collections.namedtuple("Totals", "changes messages lost surplus resets first last")


def at_once(clients, run):
    """run(number from 0, client) of all of them, some at a time: where each makes very many subscriptions."""
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        for _ in threads.map(run, range(len(clients)), clients):
            pass


class LostChanges(Exception):
    """The count check failed: changes are missing, doubled or were reset."""


class Clients:
    """The compiled programs and the directory for their files."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        here = pathlib.Path(__file__).resolve().parent
        # The servers of test/run are copies without libpq's headers, which are where Debian has them.
        headers = [f"-I{pg_config('--includedir')}", "-idirafter", "/usr/include/postgresql"]
        for name in ("listen", "write"):
            subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-O2", "-Wall", "-Wextra", *headers, str(here / f"{name}.c"),
                            "-o", str(self.root / name), f"-L{pg_config('--libdir')}", "-lpq", "-pthread"],
                           check=True)

    def listener(self, server, setup, connections=1, threads=1, record=False):
        return Listener(self, server, setup, connections, threads, record)

    def write_at_rate(self, server, table, rate, count, synchronous_commit, owner=1, after=0):
        """Single-row commits at a rate, with ids from after + 1 on: ({id: (start_ns, return_ns)}, rate achieved)."""
        out = self.root / "commits"
        sql = f"INSERT INTO {table} (id, owner, amount, note) VALUES ({after} + %i, '{owner}', 12.50, '{NOTE}')"
        done = subprocess.run([str(self.root / "write"), "-d", server.conninfo(synchronous_commit),
                               "-r", str(rate), "-n", str(count), "-j", "4" if rate > 200 else "1",
                               "-o", str(out), sql], check=True, capture_output=True, text=True)
        commits = {}
        for line in out.read_text().splitlines():
            number, start, returned = map(int, line.split())
            commits[after + number] = (start, returned)
        return commits, float(done.stdout.split()[1])

    def pgbench(self, server, table, seconds, writers, owners=100, synchronous_commit="on", updated=0):
        """Single-row inserts, or updates of one of so many rows, as fast as they go."""
        script = self.root / "write.sql"
        script.write_text(f"\\set id random(1, {updated})\nUPDATE {table} SET amount = amount + 1 WHERE id = :id;\n" if updated else
                          f"\\set owner random(1, {owners})\n"
                          f"INSERT INTO {table} (owner, amount, note) VALUES (:owner, 12.50, '{NOTE}');\n")
        done = subprocess.run([bin_path("pgbench"), "-n", "-M", "prepared", "-c", str(writers), "-j", "2",
                               "-T", str(max(1, round(seconds))), "-f", str(script)],
                              env=server.environment(synchronous_commit), check=True,
                              capture_output=True, text=True)
        return Load(float(re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE).group(1)),
                    int(re.search(r"^number of transactions actually processed: (\d+)", done.stdout, re.MULTILINE).group(1)))


class Listener:
    """listen.c at work: subscribed and listening when the constructor returns."""

    def __init__(self, clients, server, setup, connections, threads, record):
        self.connections = connections
        self.record = clients.root / f"arrivals_{id(self)}" if record else None
        self.name = f"{server.name}, {connections} connections"
        command = [str(clients.root / "listen"), "-d", server.conninfo(), "-c", str(connections),
                   "-j", str(threads), "-q", str(QUIET_SECONDS)]
        if record:
            command += ["-r", str(self.record)]
        self.process = subprocess.Popen(command + list(setup), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            self.process.wait()
            raise RuntimeError(f"the listener ended before it was ready ({self.name})")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def totals(self, *expected):
        """Waits for the number of changes expected since the last time (for all connections, or for each) and checks it."""
        with contextlib.suppress(BrokenPipeError):  # a listener that has failed gives no answer
            self.process.stdin.write("expect " + " ".join(map(str, expected)) + "\n")
            self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the listener failed ({self.name})")
        totals = Totals(*map(int, answer.split()[1::2]))
        if totals.lost or totals.surplus or totals.resets:
            raise LostChanges(f"{self.name}: {totals.changes} changes arrived, {totals.lost} lost, "
                              f"{totals.surplus} too many, {totals.resets} resets")
        return totals

    def finish(self, *expected):
        """The same, for the last time."""
        totals = self.totals(*expected)
        self.end()
        return totals

    def end(self):
        """Ends the program, which writes down what it has recorded."""
        self.process.communicate()
        if self.process.returncode != 0:
            raise RuntimeError(f"the listener failed ({self.name})")

    def arrivals(self):
        """{id: arrival_ns} of the first connection, after finish()."""
        return dict(map(int, line.split()) for line in self.record.read_text().splitlines())


class SlotConsumer:
    """pg_recvlogical with pgoutput: what a change-data-capture pipeline costs."""

    def __init__(self, server):
        self.server = server
        self.slot = "consumer"
        server.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", self.slot)
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.communicate()
        while self.server.value("SELECT active FROM pg_replication_slots WHERE slot_name = %s", self.slot):
            time.sleep(0.02)
        self.server.execute("SELECT pg_drop_replication_slot(%s)", self.slot)

    def command(self):
        return [bin_path("pg_recvlogical"), "-d", DATABASE, "--no-loop", "--start", "--slot", self.slot,
                "-f", "/dev/null", "-o", "proto_version=1", "-o", "publication_names=p"]

    def start(self):
        """Consumes in the background until the end of the `with`."""
        # Its complaint about being interrupted is of no interest; one about a failed start is.
        self.process = subprocess.Popen(self.command(), env=self.server.environment(),
                                        stderr=subprocess.PIPE, text=True)
        while not self.server.value("SELECT count(*) FROM pg_stat_replication"):
            if self.process.poll() is not None:
                raise RuntimeError(self.process.stderr.read())
            time.sleep(0.02)

    def seconds_behind(self):
        """Waits until all that is committed now has been sent; how long that took."""
        start = time.monotonic()
        with self.server.connect() as connection:
            end = connection.value("SELECT pg_current_wal_lsn()")
            while not connection.value("SELECT sent_lsn >= %s FROM pg_stat_replication", end):
                time.sleep(0.005)
        return time.monotonic() - start

    def drain(self, end):
        """Reads the backlog up to a position; seconds."""
        start = time.monotonic()
        subprocess.run(self.command() + ["--endpos", end], env=self.server.environment(), check=True)
        return time.monotonic() - start
