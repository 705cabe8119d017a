"""bench_routing.py: what a changed row costs beside many live queries of one table.

They differ in constants alone: of an equality, of bounds, of a list. Each looks at numbers of its
own, and the rows that are inserted have others: what is measured is that a row finds nobody.
"""

import contextlib
import time

from bench_delivery import REPETITIONS
from bench_load import Stopped

CONNECTIONS = 10
COUNTS = (1, 100, 10_000)
ROWS = 100_000
# Of twenty numbers each, a live query wants some of the first ten, and a row has one of the others.
WIDTH = 20
FORMS = (
    ("equality", "owner = $1", "ARRAY[(i * 20)::text]"),
    ("BETWEEN", "owner BETWEEN $1 AND $2", "ARRAY[(i * 20)::text, (i * 20 + 9)::text]"),
    ("IN, of 3", "owner IN ($1, $2, $3)", "ARRAY[(i * 20)::text, (i * 20 + 4)::text, (i * 20 + 9)::text]"),
    ("= ANY, of 10", "owner = ANY($1)", "ARRAY[array(SELECT generate_series(i * 20, i * 20 + 9))::text]"),
)

SUBSCRIBE = """
SELECT count(*) FROM generate_series(%s, %s - 1, %s) AS i,
    live.subscribe('s' || i, 'SELECT id, amount FROM items WHERE {}', {}, "snapshot" => false, delivery => 'poll')
"""
INSERT = """
INSERT INTO items (owner, amount, note)
    SELECT (i * 7919) %% %s * {width} + {width} / 2 + i %% ({width} / 2), 12.50, 'a line of text of ordinary length'
    FROM generate_series(1, %s) AS i
""".format(width=WIDTH)


def routing(bench):
    """Changes/s beside 1, 100 and 10,000 subscriptions, of which none matches."""
    if bench.baseline_only:
        return
    server = bench.servers.get("live")
    rows = max(1_000, round(ROWS * bench.scale))
    for form, condition, params in FORMS:
        alone = None
        for count in COUNTS:
            bench.progress(f"routing: {count:,} of {form}")
            with contextlib.ExitStack() as stack:
                clients = [stack.enter_context(server.connect()) for _ in range(CONNECTIONS)]
                for first, client in enumerate(clients[:count]):
                    client.execute(SUBSCRIBE.format(condition, params), first, count, CONNECTIONS)
                rates = [rate(server, clients[0], count, rows) for _ in range(REPETITIONS)]
            alone = alone or rates
            bench.report.add("routing", f"{form}, {count:,} subscriptions", "changes/s", rates, alone,
                             "one subscription")


def rate(server, client, count, rows):
    """Changes/s of one transaction, from when it is decoded on."""
    server.empty("items")
    client.value("SELECT live.wait_for(timeout => '5 min')")
    with Stopped(server) as decoder:
        with server.connect(synchronous_commit="off") as writer:
            writer.execute(INSERT, count, rows)
            end = writer.value("SELECT pg_current_wal_insert_lsn()")
            # A commit past the end, so that whoever waits for it sees something go by.
            writer.execute("SELECT pg_logical_emit_message(true, 'bench', 'end')")
        start = time.monotonic()
        decoder.go_on()
        if not client.value("SELECT live.wait_for(%s, '5 min')", end):
            raise RuntimeError("live.wait_for: not decoded in five minutes")
        return rows / (time.monotonic() - start)
