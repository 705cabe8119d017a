"""bench_delivery.py: what clients see: latency, throughput, own rows.

Each part runs live_queries and an AFTER ROW trigger with pg_notify in turns, on
servers of their own, with the same rows, writers and listening program.
"""

import collections
import time

from bench_clients import NOTE
from bench_report import in_turns, percentile

AGAINST = "trigger + pg_notify"
COLUMNS = "id, owner, amount, note"
FAN_OUT = (1, 10, 100, 500)  # connections
SECONDS = 1.5  # of writers as fast as they can

# One side of a comparison: a server, the tables to write to, and the SQL by
# which a client starts to watch all rows, or those of owner %c.
Side = collections.namedtuple("Side", "server table_all table_owner watch_all watch_owner")


def watch(condition="", params="{}", name="bench"):
    """The SQL that a live_queries client runs: subscribe, and read the first result."""
    return (f"SELECT channel FROM live.subscribe('{name}', "
            f"'SELECT {COLUMNS} FROM items {condition}', '{params}')",
            f"SELECT count(*) FROM live.snapshot('{name}')")


def live_side(bench):
    """live_queries, or None in a run of the baseline alone."""
    if bench.baseline_only:
        return None
    return Side(bench.servers.get("live"), "items", "items",
                watch(), watch("WHERE owner = $1", "{%c}"))


def trigger_side(bench):
    return Side(bench.servers.get("plain"), "items_all", "items_owner",
                ("LISTEN items",), ("LISTEN items_%c",))


def compare(bench, measure):
    """measure(side) in turns for both; two lists of results."""
    live, trigger = live_side(bench), trigger_side(bench)
    return in_turns(bench.repetitions, (lambda: measure(live)) if live else None, lambda: measure(trigger))


def each(results, name):
    """One figure of each repetition."""
    return [result[name] for result in results]


def add_rates(bench, part, what, ours, other, at_least=None):
    """The rows of what was delivered while writers went as fast as they could, and of these."""
    bench.report.add(part, what, "changes/s", each(ours, "rate"), each(other, "rate"), AGAINST, at_least=at_least)
    bench.report.add(part, "  its writers", "tps", each(ours, "tps"), each(other, "tps"), AGAINST)


def latency(bench):
    """From COMMIT sent to the message in the client's hands."""
    def once(side, rate, synchronous_commit):
        warm_up = max(20, rate // 10)
        count = warm_up + max(50, round(rate * 1.4 * bench.scale))
        side.server.empty(side.table_all)
        with bench.clients.listener(side.server, side.watch_all, record=True) as listener:
            commits, achieved = bench.clients.write_at_rate(side.server, side.table_all, rate, count,
                                                            synchronous_commit)
            listener.finish(count)
            arrivals = listener.arrivals()
        if achieved < 0.95 * rate:
            bench.note(f"latency: {side.server.name} reached only {achieved:.0f} of {rate} commits/s")
        measured = [number for number in commits if number > warm_up]
        from_start = [(arrivals[number] - commits[number][0]) / 1e6 for number in measured]
        from_return = [(arrivals[number] - commits[number][1]) / 1e6 for number in measured]
        return {"p50": percentile(from_start, 0.50), "p99": percentile(from_start, 0.99),
                "after": percentile(from_return, 0.50)}

    for synchronous_commit in ("on", "off"):
        for rate in (100, 1000):
            bench.progress(f"latency: {rate} commits/s, synchronous_commit {synchronous_commit}")
            ours, other = compare(bench, lambda side: once(side, rate, synchronous_commit))
            case = f"{rate:,}/s, synchronous_commit {synchronous_commit}"
            on = synchronous_commit == "on"
            bench.report.add("latency", f"p50, {case}", "ms", each(ours, "p50"), each(other, "p50"), AGAINST,
                             at_most=1 if on else None, below=None if on else 5)
            bench.report.add("latency", f"p99, {case}", "ms", each(ours, "p99"), each(other, "p99"), AGAINST,
                             at_most=1 if on else None)
            bench.report.add("latency", "  p50 after COMMIT returned", "ms", each(ours, "after"),
                             each(other, "after"), AGAINST, ratio=False)


def throughput(bench):
    """Changes a second delivered to clients that all watch the same table."""
    def bulk(side, clients, transactions, rows):
        side.server.empty(side.table_all)
        with bench.clients.listener(side.server, side.watch_all, clients, threads=min(2, clients)) as listener:
            with side.server.connect() as connection:
                start = time.monotonic_ns()
                for _ in range(transactions):
                    connection.execute(f"INSERT INTO {side.table_all} (owner, amount, note) SELECT i % 100 + 1, "
                                       f"12.50, '{NOTE}' FROM generate_series(1, {rows}) i")
                committed = time.monotonic_ns()
            totals = listener.finish(transactions * rows)
        return {"whole": totals.changes / (totals.last - start) * 1e9,
                "after": (totals.last - committed) / 1e6}

    def single(side, clients):
        side.server.empty(side.table_all)
        with bench.clients.listener(side.server, side.watch_all, clients, threads=min(2, clients)) as listener:
            load = bench.clients.pgbench(side.server, side.table_all, SECONDS * bench.scale, writers=4)
            totals = listener.finish(side.server.value(f"SELECT count(*) FROM {side.table_all}"))
        return {"rate": totals.changes / (totals.last - totals.first) * 1e9, "tps": load.tps}

    for clients, transactions, rows in ((1, 1, 100_000), (1, 100, 1_000), (100, 1, 20_000), (100, 20, 1_000)):
        if transactions == 1:
            rows = max(1000, round(rows * bench.scale))
        else:
            transactions = max(2, round(transactions * bench.scale))
        bench.progress(f"throughput: {transactions} x {rows} rows to {clients}")
        ours, other = compare(bench, lambda side: bulk(side, clients, transactions, rows))
        plural = "s" if transactions > 1 else ""
        case = f"{transactions} transaction{plural} of {rows:,} rows to {clients}"
        bench.report.add("throughput", case, "changes/s", each(ours, "whole"),
                         each(other, "whole"), AGAINST, at_least=2)
        bench.report.add("throughput", "  from the last COMMIT to the last change", "ms", each(ours, "after"),
                         each(other, "after"), AGAINST)
    for clients in bench.counts(FAN_OUT):
        bench.progress(f"throughput: single rows to {clients}")
        ours, other = compare(bench, lambda side: single(side, clients))
        add_rates(bench, "throughput", f"1-row transactions to {clients}", ours, other, at_least=1)


def own_rows(bench):
    """Many connections, each watching rows of its own; several writers as fast as they go."""
    def once(side, connections, synchronous_commit):
        side.server.empty(side.table_owner)
        with bench.clients.listener(side.server, side.watch_owner, connections) as listener:
            load = bench.clients.pgbench(side.server, side.table_owner, SECONDS * bench.scale, writers=8, owners=connections,
                                         synchronous_commit=synchronous_commit)
            totals = listener.finish(*rows_by_owner(side.server, side.table_owner, connections))
        return {"rate": totals.changes / (totals.last - totals.first) * 1e9, "tps": load.tps}

    for connections, synchronous_commit, target in ((1, "on", None), (10, "on", None), (100, "on", 20), (100, "off", 20),
                                                    (500, "on", 100), (500, "off", None)):
        if connections not in bench.counts(FAN_OUT):
            continue
        bench.progress(f"own_rows: {connections} connections, synchronous_commit {synchronous_commit}")
        ours, other = compare(bench, lambda side: once(side, connections, synchronous_commit))
        add_rates(bench, "own_rows", f"{connections} connections, synchronous_commit {synchronous_commit}", ours, other,
                  at_least=target)
    one_connection(bench)


def one_connection(bench):
    """A connection with a live query for each owner, of whom one gets rows: the others cost nothing."""
    def once(server, count):
        server.empty("items")
        setup = (f"SELECT count(*) FROM generate_series(1, {count}) i, live.subscribe('s' || i, "
                 f"'SELECT {COLUMNS} FROM items WHERE owner = $1', ARRAY[i::text], \"snapshot\" => false)",)
        commits = max(50, round(1000 * bench.scale))
        with bench.clients.listener(server, setup, record=True) as listener:
            sent, _ = bench.clients.write_at_rate(server, "items", 1000, commits, "off")
            listener.finish(commits)
            arrivals = listener.arrivals()
        return percentile([(arrivals[number] - sent[number][0]) / 1e6 for number in sent], 0.50)

    if bench.baseline_only:
        return
    server = bench.servers.get("many")
    few, many = 10, 10_000
    bench.progress(f"own_rows: one connection with {few} and {many:,} live queries")
    of_many, of_few = in_turns(bench.repetitions, lambda: once(server, many), lambda: once(server, few))
    bench.report.add("own_rows", f"p50, 1,000/s, to one connection with {many:,} live queries", "ms", of_many, of_few,
                     f"with {few}")


def rows_by_owner(server, table, owners):
    """How many rows each owner has, from owner 1 on."""
    rows = server.execute(f"SELECT count(t.id) FROM generate_series(1, {owners}) o "
                          f"LEFT JOIN {table} t ON t.owner = o GROUP BY o ORDER BY o")
    return [count for count, in rows]
