"""bench_load.py: what the server pays: writers, drain, memory.

The measure is a plain server with wal_level = logical, without and with
pg_recvlogical reading pgoutput from a slot, and the trigger for comparison.
"""

import contextlib
import glob
import os
import re
import signal
import threading
import time

from bench_clients import NOTE, SlotConsumer, at_once
from bench_delivery import COLUMNS, SECONDS, each, live_side, rows_by_owner, trigger_side, watch
from bench_report import in_turns, subscriptions

WRITERS = 4
OWNERS = 100
MANY = (1, 10_000, 100_000)  # live queries that ten connections share
CONNECTIONS = 10
UPDATED = 10_000  # rows that writers update
WATCH_NOBODY = f"""
SELECT count(*) FROM generate_series(%s, %s, %s) i,
    live.subscribe('s' || i, 'SELECT {COLUMNS} FROM items WHERE owner = $1', ARRAY[(-i)::text], "snapshot" => false)
"""


def writers(bench):
    """Throughput of single-row writers, and what the server's processors do for each transaction, beside whoever watches."""
    plain = bench.servers.get("plain")
    live, trigger = live_side(bench), trigger_side(bench)
    nothing = watch("WHERE owner = $1", "{1000%c}")

    def write(server, table, synchronous_commit, **load):
        return bench.clients.pgbench(server, table, SECONDS * bench.scale, WRITERS, synchronous_commit=synchronous_commit, **load)

    def alone(server, synchronous_commit):
        server.empty("items")
        return costs(server, lambda: (write(server, "items", synchronous_commit), 0.0))

    def with_slot(synchronous_commit):
        plain.empty("items")
        with SlotConsumer(plain) as consumer:
            consumer.start()
            return costs(plain, lambda: (write(plain, "items", synchronous_commit), consumer.seconds_behind()))

    def with_listeners(side, synchronous_commit, setup, matching=True):
        def load():
            load = write(side.server, side.table_owner, synchronous_commit, owners=OWNERS)
            stopped = time.monotonic_ns()
            totals = listener.finish(*(rows_by_owner(side.server, side.table_owner, OWNERS) if matching else [0]))
            return load, max(0.0, (totals.last - stopped) / 1e9)

        side.server.empty(side.table_owner)
        with bench.clients.listener(side.server, setup, OWNERS) as listener:
            return costs(side.server, load)

    for commit in ("on", "off"):
        bench.progress(f"writers: synchronous_commit {commit}")
        on = commit == "on"
        idle = None if bench.baseline_only else bench.servers.get("idle")
        # To save time, the trigger is measured with ordinary commits alone, and subscriptions that
        # match nothing where writers wait for no flush, so that decoding costs them the most.
        unused, slot, none, hundred, unmatched, notify = in_turns(
            bench.repetitions,
            lambda: alone(plain, commit),
            lambda: with_slot(commit),
            (lambda: alone(idle, commit)) if idle else None,
            (lambda: with_listeners(live, commit, live.watch_owner)) if live else None,
            (lambda: with_listeners(live, commit, nothing, matching=False)) if live and not on else None,
            (lambda: with_listeners(trigger, commit, trigger.watch_owner)) if on else None)
        case = f"synchronous_commit {commit}"
        rows = [("no subscription", none, unused, "plain server", None),
                ("100 subscriptions, each change for one", hundred, slot, "pg_recvlogical", 0.97),
                ("100 subscriptions, each change for one", hundred, unused, "plain server", None)]
        if on:
            rows.append(("100 subscriptions, each change for one", hundred, notify, "trigger, 100 listeners", None))
        else:
            rows.append(("100 subscriptions, no change for any", unmatched, slot, "pg_recvlogical", None))
        for what, ours, other, against, target in rows:
            add_costs(bench, f"{what}, {case}", ours, other, against, target)
        bench.report.add("writers", f"  behind when they stop, {case}", "s", each(hundred, "behind"),
                         each(slot, "behind"), "pg_recvlogical", ratio=False)
    beside_many(bench, plain, alone, write)
    of_whole_rows(bench, plain, write)


def costs(server, load):
    """Of load(), which returns what pgbench says and for how long somebody was behind when that ended: until nobody is."""
    before = server.processor_seconds()
    done, behind = load()
    return {"tps": done.tps, "cpu": (server.processor_seconds() - before) / done.transactions * 1e6, "behind": behind}


def add_costs(bench, what, ours, other, against, at_least=None):
    bench.report.add("writers", what, "tps", each(ours, "tps"), each(other, "tps"), against, at_least=at_least)
    bench.report.add("writers", "  processor time of the server, each transaction", "us", each(ours, "cpu"), each(other, "cpu"),
                     against)


def beside_many(bench, plain, alone, write):
    """Of very many live queries, of which none matches what is written."""
    if bench.baseline_only:
        return
    many = bench.servers.get("many")

    def beside(client):
        def load():
            load = write(many, "items", "off")
            stopped = time.monotonic()
            client.value("SELECT live.wait_for(timeout => '5 min')")
            return load, time.monotonic() - stopped

        many.empty("items")
        return costs(many, load)

    for count in bench.counts(MANY):
        bench.progress(f"writers: {subscriptions(count)}")
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(many.connect()) for _ in range(min(count, CONNECTIONS))]
            at_once(clients, lambda number, client, last=count: client.execute(WATCH_NOBODY, number + 1, last, CONNECTIONS))
            ours, other = in_turns(bench.repetitions, lambda: beside(clients[0]), lambda: alone(plain, "off"))
        add_costs(bench, f"{subscriptions(count)}, no change for any, synchronous_commit off", ours, other, "plain server")


def of_whole_rows(bench, plain, write):
    """What REPLICA IDENTITY FULL costs by itself, which a stream of all columns takes."""
    def update(table):
        plain.empty(table)
        plain.execute(f"INSERT INTO {table} (id, owner, amount, note) SELECT i, 1, 12.50, '{NOTE}' "
                      f"FROM generate_series(1, {UPDATED}) i")
        return costs(plain, lambda: (write(plain, table, "off", updated=UPDATED), 0.0))

    bench.progress("writers: REPLICA IDENTITY FULL")
    full, by_key = in_turns(bench.repetitions, lambda: update("items"), lambda: update("items_by_key"))
    add_costs(bench, "plain server, updates, REPLICA IDENTITY FULL, synchronous_commit off", full, by_key, "by key")


def drain(bench):
    """How fast a backlog is decoded: the same WAL, by live_queries and by pg_recvlogical."""
    server = bench.servers.get("plain" if bench.baseline_only else "live")

    def load(transactions, rows):
        """Two writers, so that transactions interleave; the position after the last commit."""
        def share():
            with server.connect(synchronous_commit="off") as connection:
                connection.execute("CALL load(%s, %s)", transactions // 2, rows)
        threads = [threading.Thread(target=share) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        end = server.value("SELECT pg_current_wal_insert_lsn()")
        # A commit past the end, so that whoever waits for it sees something go by.
        server.execute("SELECT pg_logical_emit_message(true, 'bench', 'end')")
        return end

    def ours_nothing(changes):
        """Watched table, a filter that no row passes: decoding and evaluating."""
        with server.connect() as connection:
            for sql in watch("WHERE owner = $1", "{-1}", name="nothing"):
                connection.execute(sql)
            with Stopped(server) as decoder:
                end = yield
                start = time.monotonic()
                decoder.go_on()
                if not connection.value("SELECT live.wait_for(%s, '5 min')", end):
                    raise RuntimeError("live.wait_for: not drained in five minutes")
                yield changes / (time.monotonic() - start)

    def ours_all(changes):
        """Every change reaches a client."""
        with bench.clients.listener(server, watch()) as listener:
            with Stopped(server) as decoder:
                yield
                start = time.monotonic_ns()
                decoder.go_on()
                yield changes / (listener.finish(changes).last - start) * 1e9

    def once(ours, transactions, rows, ours_first):
        """Loads once and drains twice; (ours, pg_recvlogical) in changes a second."""
        changes = transactions * rows
        server.empty("items")
        rates = {}
        with SlotConsumer(server) as consumer, contextlib.closing(ours(changes) if ours else iter_none()) as live:
            next(live)
            end = load(transactions, rows)

            def theirs():
                rates["other"] = changes / consumer.drain(end)

            if not ours_first:
                theirs()
            rates["ours"] = live.send(end)
            if ours_first:
                theirs()
        return rates

    for transactions, rows in ((100_000, 1), (5_000, 100)):
        transactions = max(100, round(transactions * bench.scale) // 2 * 2)
        for what, ours in (("none matches", ours_nothing), ("all to a client", ours_all)):
            if bench.baseline_only:
                ours = None
            bench.progress(f"drain: {transactions} transactions of {rows} rows, {what}")
            results = [once(ours, transactions, rows, repetition % 2 == 0)
                       for repetition in range(bench.repetitions)]
            bench.report.add("drain", f"{transactions:,} transactions of {rows}, {what}", "changes/s",
                             each(results, "ours") if ours else [], each(results, "other"),
                             "pg_recvlogical, pgoutput", at_least=0.8)


def iter_none():
    """Stands for our side in a run of the baseline alone."""
    while True:
        yield None


def memory(bench):
    """What a subscription costs: in the decoder, in shared memory, in the client's backend."""
    if bench.baseline_only:
        return
    server = bench.servers.get("live")
    server.empty("items")
    connections = 10
    before = count_before = None
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(connections)]
        made = 0
        for wanted in (10, 1_000, 10_000):
            wanted = max(10, round(wanted * min(1, bench.scale)))
            bench.progress(f"memory: {wanted} subscriptions")
            start = time.monotonic()
            while made < wanted:
                for sql in watch("WHERE owner = $1", "{%d}" % made, name=f"s{made}"):
                    clients[made % connections].execute(sql)
                made += 1
            clients[0].value("SELECT live.wait_for()")
            now = memory_of(server, [client.raw.get_backend_pid() for client in clients])
            seconds = time.monotonic() - start
            for name, value in now.items():
                if before is None:
                    bench.report.add("memory", f"{name}, {wanted:,} subscriptions, in all", "bytes", [value],
                                     [], "-")
                else:
                    cost = (value - before[name]) / max(1, wanted - count_before)
                    bench.report.add("memory", f"{name}, {count_before:,} to {wanted:,}",
                                     "bytes/subscription", [cost], [], "-")
            if before is not None:
                bench.report.add("memory", f"time to subscribe, {count_before:,} to {wanted:,}", "ms",
                                 [seconds * 1e3 / max(1, wanted - count_before)], [], "-")
            before, count_before = now, wanted


def memory_of(server, backends):
    """Bytes: the decoder's own, the shared segments that it maps, the client backends' own."""
    decoder = decoder_pid(server)
    segments = set()
    for pid in [decoder] + backends:
        segments.update(re.findall(r"/dev/shm/PostgreSQL\.\d+", open(f"/proc/{pid}/maps", encoding="ascii").read()))
    return {
        "decoder": private_memory(decoder),
        "shared": sum(os.stat(path).st_blocks * 512 for path in glob.glob("/dev/shm/PostgreSQL.*")
                      if path in segments),
        "client backends": sum(map(private_memory, backends)),
    }


def private_memory(pid):
    """Bytes of anonymous memory that a process holds."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"^RssAnon:\s+(\d+) kB", file.read(), re.MULTILINE).group(1)) * 1024


def decoder_pid(server):
    return server.value("SELECT pid FROM live.workers WHERE pid IS NOT NULL")


class Stopped:
    """The decoder, held by SIGSTOP so that a backlog gathers, until go_on()."""

    def __init__(self, server):
        # Asleep by then, so that it holds no lock while it stands still.
        time.sleep(0.5)
        self.pid = decoder_pid(server)

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)
        return self

    def __exit__(self, *_):
        self.go_on()

    def go_on(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)
